-- Random operations on generators and tasks, checked against a model of what must happen
-- (spec/helper/stress). It ends with the line "N operations" and status 0 if all was as it must be, and
-- nothing is left: no task, generator, coroutine, libuv handle or deadline. The seed is printed; time is
-- virtual, so that a seed repeats a run, but for what depends on addresses: the order of `next`, and with it
-- when the collector runs.
-- usage: rille spec/stress.lua [operations [seed]]
package.path = "./?.lua;" .. package.path

local rille = require "rille"
local task = require "rille.host.task"
local acts = require "spec.helper.stress.acts"
local model = require "spec.helper.stress.model"
local new_random = require "spec.helper.stress.random"

local DRIVERS = 24 -- tasks that do one act after the other
local SWEEP = 1000 -- operations between two looks at all tasks
local PATIENCE = 3000 -- turns for what is under way at the end

warn("@off") -- generators are dropped on purpose

local clock <close> = rille.test.clock() -- luacheck: ignore 211 (it is there to be closed)
local handles = task.handles() -- the runtime has some
local operations = tonumber(arg[1] or 200000)
local seed = math.tointeger(arg[2]) or os.time() ~ math.random(0)
print("seed " .. seed)

local mode = os.getenv("RILLE_SPEC_GC")
if mode and mode ~= "stress" then collectgarbage(mode) end

local function on_world(world)
  local swept = 0
  local function drive()
    while model.ops < operations and not model.violation do
      local ok, err = pcall(acts.any, world, 0)
      if not ok then model.check_error(err) end
      rille.sleep(0) -- no signal is left to be raised here
      if model.ops - swept > SWEEP then
        swept = model.ops
        model.sweep()
      end
    end
  end
  local drivers = {}
  for i = 1, DRIVERS do drivers[i] = rille.spawn(drive) end
  for _, driver in ipairs(drivers) do driver:await() end
end

-- Waits until `done`; says what there is if that takes too long.
local function wait_for(what, done)
  for _ = 1, PATIENCE do
    if model.violation then error(model.violation, 0) end
    if done() then return end
    rille.sleep(0.001)
  end
  model.violated("%s did not end\n%s", what, model.describe_tasks())
end

local function collect()
  collectgarbage()
  collectgarbage()
end

local function is_empty(t) return next(t) == nil end

-- What the world held is let go: generators are dropped, cleaned by the host, and collected.
local function take_down(world)
  wait_for("a task", function() return task.count() == 1 end)
  for _, channel in ipairs(world.channels) do acts.drain(world, channel) end
  model.check(world.unread == 0, "%d values were lost in channels", world.unread)
  model.sweep()
  world.ending = true
  world.pool, world.tasks, world.coroutines, world.resumes = {}, {}, {}, {}
  wait_for("a generator", function()
    collect()
    return task.count() == 1 and is_empty(world.generators)
  end)
  model.check_end()
end

local function check_nothing_left()
  model.open = {}
  model.threads[coroutine.running()] = nil
  wait_for("a coroutine", function()
    collect()
    return model.live_threads() == 0
  end)
  local left, deadlines = task.handles()
  model.check(left == handles, "%d libuv handles are left", left - handles)
  model.check(deadlines == 0, "%d deadlines are left", deadlines)
end

local world = acts.world(new_random(seed))
on_world(world)
if model.violation then error(model.violation, 0) end
take_down(world)
check_nothing_left()
if os.getenv("RILLE_DEBUG") then
  for kind, n in pairs(model.counts) do print(("  %-16s %d"):format(kind, n)) end
end
print(model.ops .. " operations")
