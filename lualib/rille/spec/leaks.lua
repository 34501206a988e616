--- rille.spec.leaks: a test that leaves something open fails (internal; a part of `rille test`).
-- Model:  what is open (tasks, and what bindings note: host/leak.h) is listed when a test begins and when its
--         last `after_each` is done: what is new was left behind. What a `lazy_setup` opens is the block's
--         that has it. Of a block and of a file the same is asked when its last `teardown` is done. A test
--         ends, for who listens to busted, when that is known.
-- Owner:  tasks that were left are cancelled, a clock that was left is closed, so that the next test begins
--         as this one did. The rest stays as it is.
-- Errors: an error of the test, or of the block, that says of each thing where it was made; or that of a
--         task that has failed meanwhile. Nothing is said of a test that has failed already: what it left may
--         be so for that.

local background = require "rille.spec.background"
local leak = require "rille.host.leak"
local report = require "rille.host.report"
local task = require "rille.host.task"
local task_tree = require "rille.task_tree"
local timer = require "rille.host.timer"

local leaks = {}

--- Nothing is said of what the test under way leaves. Nor is it where no test is.
function leaks.allow() end

local TURNS = 20 -- of the loop, at most, in which a task that was cancelled may run its cleanup
local PATIENCE = 0.05 -- seconds that the cleanup of one that is cancelled here may take before the next test

local WEAK = { __mode = "k" }

local BLOCKS = { it = true, describe = true, file = true }

-- What is open: object -> what it is, in words, or the entry of a task.
local function things()
  local found = leak.open()
  for _, entry in ipairs(report.tasks()) do found[entry.task] = entry end
  found[task.current()] = nil
  return found
end

-- What is open now and was not before: a list of { object, what }, and how many tasks are among them.
local function since(before)
  local list, tasks = {}, 0
  for object, what in pairs(things()) do
    if not before[object] then
      list[#list + 1] = { object, what }
      if type(what) == "table" then tasks = tasks + 1 end
    end
  end
  return list, tasks
end

local function describe(what)
  if type(what) == "string" then return what end
  what.parent = nil
  return (task_tree({ what }):gsub("^[^\n]*\n", ""):gsub("( waits for .-) for %d+%.%d s", "%1"))
end

-- Ends tasks and clocks that were left; gives in words what was.
local function put_away(left)
  local words = leak.collected()
  for _, thing in ipairs(left) do
    local object, what = table.unpack(thing)
    words[#words + 1] = describe(what)
    if type(what) == "table" then
      object:cancel("its test has ended")
      object:join(PATIENCE)
    else
      leak.forget(object)
      if getmetatable(object).__name == "rille.Clock" then object:close() end
    end
  end
  table.sort(words)
  return words
end

--- Has tests fail that leave something open.
---@param busted table busted's core
function leaks.install(busted)
  leak.watch()
  local safe, publish = busted.safe, busted.publish
  local told = setmetatable({}, WEAK)
  local lazy = setmetatable({}, WEAK) -- what a lazy_setup has opened
  local failed = false -- something, in the innermost block
  local ended -- the end of the test under way, which is published when it was checked

  function leaks.allow() failed = true end

  -- Tells what a block has left that knew `before`, or which task has failed; true if there was something.
  local function check(element, before)
    local left, tasks = since(before)
    for _ = 1, TURNS do
      if tasks == 0 then break end
      timer.sleep(0.001)
      left, tasks = since(before)
    end
    local words = put_away(left)
    for _, thing in ipairs(left) do told[thing[1]] = true end
    local message = background.tell()
    if not message and (#words == 0 or failed) then return false end
    message = message or "left behind:\n  " .. table.concat(words, "\n  ")
    local trace = element.trace or { short_src = element.name, currentline = 0, traceback = "" }
    publish({ "error", element.descriptor }, element, busted.context.parent(element), message, trace)
    return true
  end

  for _, kind in ipairs { "failure", "error" } do
    busted.subscribe({ kind }, function()
      failed = true
      return nil, true
    end)
  end

  local function run_lazy_setup(...)
    local before = things()
    local results = table.pack(safe(...))
    for object in pairs(things()) do
      if not before[object] then lazy[object] = true end
    end
    return table.unpack(results, 1, results.n)
  end

  function busted.publish(channel, ...)
    local is_end = channel[1] == "test" and channel[2] == "end" and (...).descriptor == "it"
    if not is_end then return publish(channel, ...) end
    ended = table.pack(...)
    return {}
  end

  -- The test has ended like this, or with an error.
  local function publish_end(element, leaked)
    local arguments = ended
    ended = nil
    if leaked then arguments[3] = "error" end
    safe("test", function() publish({ "test", "end" }, table.unpack(arguments, 1, arguments.n)) end, element)
  end

  function busted.safe(descriptor, run, element)
    if descriptor == "lazy_setup" then return run_lazy_setup(descriptor, run, element) end
    if run == element.run or not BLOCKS[descriptor] then return safe(descriptor, run, element) end
    local before = setmetatable(things(), { __mode = "k", __index = function(_, object)
      return told[object] or descriptor == "it" and lazy[object]
    end })
    local outer = failed
    failed = false
    local results = table.pack(safe(descriptor, run, element))
    local leaked = check(element, before)
    if descriptor == "it" and ended then publish_end(element, leaked) end
    failed = outer
    return table.unpack(results, 1, results.n)
  end
end

return leaks
