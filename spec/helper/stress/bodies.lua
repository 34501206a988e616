-- bodies.lua -- the generators of the stress program: bodies that wait, nest, fail, swallow what is raised in
-- them, and clean up with waits, errors and collections.
-- Model:  an entry is a generator with its record; only who holds the entry keeps the generator. What a body
--         does between its items is `act`, which the program gives.
-- Errors: planned ones, and whatever a step or an act raises.
local rille = require "rille"
local model = require "spec.helper.stress.model"

local bodies = {}

local TINY = { 0, 0, 0, 0, 0.0003, 0.001 }

--- A wait that ends by itself.
function bodies.pause(world)
  model.count("sleep")
  rille.sleep(world.random:pick(TINY))
end

--- Calls f and looks at what it raises. A signal mostly goes on, anything else ends here.
---@return boolean ok, any err
function bodies.guard(world, f, ...)
  local ok, err = pcall(f, ...)
  if ok then return true end
  model.check_error(err)
  if model.is_signal(err) and not world.random:one_in(5) then error(err, 0) end
  return false, err
end

--- Every item of a generator that ends by itself; nobody else knows it.
local function drain(world)
  local entry = bodies.new(world, { length = 2 })
  for item, from in entry.g:each() do model.take_item(entry.rec, item, from) end
  bodies.ended(entry)
end

local CLEANUPS = {
  function() end,
  function() end,
  bodies.pause,
  drain,
  function() collectgarbage("step", 10) end,
  function(world)
    bodies.pause(world)
    pcall(error, model.planned(world.random))
    bodies.pause(world)
  end,
  function(world)
    bodies.pause(world)
    if world.random:one_in(3) then error(model.planned(world.random), 0) end
  end,
}

--- What a <close> handler does: it may wait, but not for others.
function bodies.clean_up(world, depth)
  if depth < 0 then return end -- of a generator that cleans up itself
  world.random:pick(CLEANUPS)(world)
end

-- What came into the body with a step is what was sent with it, once.
local function check_sent(rec, token)
  if token == nil then return end
  model.check(token.rec == rec, "generator %d was sent another's value", rec.id)
  model.check(not token.used, "generator %d was sent a value twice", rec.id)
  token.used = true
end

-- Caught what was raised at the yield: true to go on, which ignores a close.
local function goes_on(world, rec, err)
  model.check_error(err)
  rec.loses = rec.loses or rille.is_error(err, "ECLOSED") -- an item on its way is lost then, and nobody waits
  local choice = world.random:upto(4)
  if choice == 1 then return true end
  if choice == 2 then return false end
  error(err, 0)
end

local function yield_item(world, rec, plan)
  model.count("yield")
  local item = model.next_item(rec)
  if not plan.stubborn then
    check_sent(rec, coroutine.yield(item, rec))
    return true
  end
  local ok, result = pcall(coroutine.yield, item, rec)
  if not ok then return goes_on(world, rec, result) end
  check_sent(rec, result)
  return true
end

-- Between two items.
local function work(world, plan)
  if plan.waits then bodies.pause(world) end
  if plan.act then bodies.guard(world, plan.act, world, plan.depth) end
end

local function plain(world, rec, plan)
  for _ = 1, plan.length do
    work(world, plan)
    if not yield_item(world, rec, plan) then return end
  end
end

-- Passes on as many items as an inner generator has.
local function delegating(world, rec, plan)
  local inner = bodies.new(world, plan.inner)
  for item, from in inner.g:each() do
    model.take_item(inner.rec, item, from)
    if not yield_item(world, rec, plan) then break end
    work(world, plan)
  end
end

-- The same through a plain coroutine.
local function wrapped(world, rec, plan)
  local inner = bodies.new(world, plan.inner)
  for item in coroutine.wrap(function()
    model.note_thread()
    for item, from in inner.g:each() do
      model.take_item(inner.rec, item, from)
      coroutine.yield(item)
    end
  end) do
    model.check(item == inner.rec.taken, "a coroutine gave item %s for %d", tostring(item), inner.rec.taken)
    if not yield_item(world, rec, plan) then break end
  end
  inner.g:close()
end

local function run(world, rec, plan)
  local _ <close> = model.begin_body(rec, function() bodies.clean_up(world, plan.depth) end)
  plan.items(world, rec, plan)
  if plan.fails then error(model.planned(world.random), 0) end
  rec.returned = true
  return rec
end

local run_generator = rille.generator(run)

local LENGTHS = { 0, 1, 2, 2, 3, 3, 4, 6 }

--- A plan at random.
---@param act function|nil what the body does between its items
---@param depth integer of the act
function bodies.plan(world, act, depth)
  local random = world.random
  local plan = {
    items = plain,
    depth = depth,
    length = random:pick(LENGTHS),
    waits = random:one_in(3),
    stubborn = random:one_in(4),
    fails = random:one_in(8),
    act = random:one_in(3) and act or nil,
  }
  if random:one_in(300) then plan.length, plan.act, plan.waits = 1500, nil, false end
  if random:one_in(6) then
    plan.items = random:one_in(3) and wrapped or delegating
    plan.inner = bodies.plan(world, act, depth)
  end
  return plan
end

--- A plan with so many generators, one in the other.
function bodies.chain(world, levels)
  local plan = { length = 3, waits = world.random:one_in(2) }
  for _ = 1, levels do plan = { items = delegating, inner = plan } end
  return plan
end

--- Makes a generator.
---@return { g: rille.Generator, rec: table }
function bodies.new(world, plan)
  model.count("generator")
  plan.items, plan.depth = plan.items or plain, plan.depth or -1
  local rec = model.new_generator()
  local g = run_generator(world, rec, plan)
  world.generators[g] = true
  return { g = g, rec = rec }
end

--- Looks at a generator after a step or a close.
function bodies.check(entry)
  local status = entry.g:status()
  model.check_generator(entry.rec, status)
  return status
end

local ENDED = { exhausted = true, closed = true, failed = true }

--- Looks at a generator that must have ended.
function bodies.ended(entry)
  local status = bodies.check(entry)
  model.check(ENDED[status], "generator %d is %s after its loop", entry.rec.id, status)
end

return bodies
