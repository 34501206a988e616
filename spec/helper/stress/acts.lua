-- acts.lua -- the operations of the stress program, each on whatever the world has at that moment.
-- Model:  an act is a function of the world and its depth; acts nest up to DEPTH. The world has slots with
--         generators, tasks, coroutines and channels that all tasks share. Every wait of an act ends by
--         itself: what could last is inside a time-out.
-- Errors: an act raises what its operation raised.
local rille = require "rille"
local host_task = require "rille.host.task"
local bodies = require "spec.helper.stress.bodies"
local model = require "spec.helper.stress.model"

local check, count, guard = model.check, model.count, bodies.guard

local DEPTH = 4 -- of acts in acts
local CROWD = 150 -- tasks at a time

local acts = {}
local act -- any of them

-- Runs f with a limit of time. Its own time-out is no error.
local function within(seconds, f, ...)
  count("timeout")
  local ok, err = pcall(rille.timeout, seconds, f, ...)
  if ok then return true end
  model.check_error(err)
  if not rille.is_error(err, "ETIMEDOUT") then error(err, 0) end
  return false
end

-- Runs f, then the check `finally`, however f ends.
local function finally(after, f, ...)
  local ok, err = pcall(f, ...)
  after()
  if not ok then error(err, 0) end
end

-- --- generators that others know ---

local function shared(world)
  return world.random:pick(world.pool)
end

local function received(entry, item, from)
  if item ~= nil then
    model.take_item(entry.rec, item, from)
  else
    check(bodies.check(entry) ~= "suspended", "generator %d gave nil before its end", entry.rec.id)
  end
end

local function fresh(world, depth)
  return bodies.new(world, bodies.plan(world, act, depth + 1))
end

local function close(entry)
  count("close")
  model.begin_close(entry.rec)
  finally(function() bodies.check(entry) end, entry.g.close, entry.g)
end

function acts.replace(world, depth)
  local slot = world.random:upto(#world.pool)
  local old = world.pool[slot]
  world.pool[slot] = fresh(world, depth)
  if world.random:one_in(2) then return end -- dropped
  close(old)
end

function acts.next(world)
  local entry = shared(world)
  count("next")
  received(entry, entry.g:next())
end

function acts.send(world)
  local entry = shared(world)
  local token = { rec = entry.rec }
  count("send")
  local item, from = entry.g:next(token)
  received(entry, item, from)
  check(item == nil or token.used, "generator %d did not get what was sent", entry.rec.id)
end

function acts.throw(world)
  local entry = shared(world)
  count("throw")
  local status = entry.g:status()
  local err = model.planned(world.random)
  if status == "created" then
    local ok, result = pcall(entry.g.throw, entry.g, err)
    check(not ok and rawequal(result, err), "generator %d did not raise what was thrown", entry.rec.id)
    bodies.check(entry)
    return
  end
  received(entry, entry.g:throw(err))
end

function acts.close(world)
  close(shared(world))
end

function acts.look(world)
  local entry = shared(world)
  count("status")
  local status = bodies.check(entry)
  check(tostring(entry.g):find("generator made at", 1, true), "tostring")
  local result = entry.g:result()
  check(result == nil or result == entry.rec, "generator %d has another's result", entry.rec.id)
  check(result == nil or status == "exhausted", "generator %d has a result but is %s", entry.rec.id, status)
end

-- Some items of a shared generator, in a loop that closes it or keeps it.
function acts.share(world)
  local entry = shared(world)
  local left = world.random:upto(3)
  count("loop")
  local function turn(item, from)
    received(entry, item, from)
    left = left - 1
    return left == 0
  end
  if world.random:one_in(2) then
    for item, from in entry.g:each() do
      if turn(item, from) then break end
    end
  else
    for item, from in entry.g:keep() do
      if turn(item, from) then break end
    end
  end
end

-- --- generators that nobody else knows ---

local LEAVE = {
  function() return false end,
  function() return true end,
  function(world) error(model.planned(world.random), 0) end,
  function(world, depth)
    guard(world, act, world, depth + 1)
    return false
  end,
}

-- A loop that is left by its end, break, an error or a return.
function acts.loop(world, depth)
  local entry = fresh(world, depth)
  count("loop")
  finally(function() bodies.ended(entry) end, function()
    for item, from in entry.g:each() do
      model.take_item(entry.rec, item, from)
      if world.random:pick(LEAVE)(world, depth) then break end
    end
  end)
end

-- More levels than a C stack has room for steps.
function acts.chain(world)
  local entry = bodies.new(world, bodies.chain(world, world.random:upto(60)))
  local stop = world.random:upto(4)
  count("loop")
  for item, from in entry.g:each() do
    model.take_item(entry.rec, item, from)
    if item == stop then break end
  end
  bodies.ended(entry)
end

-- --- streams ---

local function identity(...) return ... end

local STAGES = {
  function(s) return (s:map(identity)) end,
  function(s) return (s:filter(function(v) return v ~= 2 end)) end,
  function(s, world) return (s:take(world.random:upto(3))) end,
  function(s) return (s:drop(1)) end,
  function(s) return (s:enumerate()) end,
  function(s) return (s:chunks(2)) end,
  function(s) return (s:flat_map(function(v) return { v, v } end)) end,
  function(s, world, depth)
    return (s:map(function(v)
      guard(world, act, world, depth + 1)
      return v
    end))
  end,
  function(s, world)
    return (s:map(function(v)
      bodies.pause(world)
      return v
    end, { n = 3, ordered = world.random:one_in(2) }))
  end,
  function(s) return (s:buffer(2)) end,
  function(s, world) return (s:merge({ 1, 2, world.random:upto(3) })) end,
  function(s, world)
    return (s:tap(function()
      if world.random:one_in(6) then error(model.planned(world.random), 0) end
    end))
  end,
}

local ENDS = {
  function(s) s:collect() end,
  function(s) s:count() end,
  function(s) s:first() end,
  function(s) s:last() end,
  function(s, world) s:each_do(function() bodies.pause(world) end, { n = 2 }) end,
  function(s) s:close() end,
  function(s, world)
    for _ in s:each() do
      if world.random:one_in(3) then break end
    end
  end,
}

function acts.stream(world, depth)
  local entry = fresh(world, depth)
  count("stream")
  local s = entry.g:tap(function(item, from) model.take_item(entry.rec, item, from) end)
  for _ = 1, world.random:upto(4) - 1 do s = world.random:pick(STAGES)(s, world, depth) end
  finally(function() bodies.ended(entry) end, world.random:pick(ENDS), s, world)
end

-- --- tasks ---

local function work(world, depth)
  for _ = 1, world.random:upto(3) do guard(world, act, world, depth + 1) end
  if world.random:one_in(3) then bodies.clean_up(world, 0) end
end

-- Catches its cancellation until it is killed.
local function stubborn(world)
  for _ = 1, 110 do pcall(bodies.pause, world) end
end

local function may_fail(world, depth)
  work(world, depth)
  if world.random:one_in(4) then error(model.planned(world.random), 0) end
end

-- A task whose failure is its own business.
local function spawn_owned(world, depth, rec, f)
  return host_task.spawn_owned(model.run_task, rec, function() f(world, depth) end)
end

-- A task of the program, which must not fail.
local function spawn_safe(world, depth, rec)
  return rille.spawn(model.run_task, rec, function()
    local ok, err = pcall(work, world, depth)
    if not ok then model.check_error(err) end
  end)
end

function acts.spawn(world, depth)
  if host_task.count() > CROWD then return end
  count("spawn")
  local rec = model.new_task(false)
  local kind = world.random:upto(40)
  if kind == 1 then
    rec.task = spawn_owned(world, depth, rec, stubborn)
  elseif kind % 2 == 1 then
    rec.task = spawn_owned(world, depth, rec, may_fail)
  else
    rec.task = spawn_safe(world, depth, rec)
  end
  if world.random:one_in(4) then -- nobody keeps it
    rec.task = nil
    return
  end
  world.tasks[world.random:upto(world.slots)] = rec
end

local function some_task(world)
  return world.tasks[world.random:upto(world.slots)]
end

function acts.cancel(world)
  local rec = some_task(world)
  if not rec then return end
  count("cancel")
  local status = model.check_task(rec)
  if status == "ready" or status == "running" or status == "waiting" then rec.cancelled = true end
  rec.task:cancel(world.random:one_in(2) and "stress" or nil)
  model.check_task(rec)
end

local function await(rec)
  local ok, result = pcall(rec.task.await, rec.task)
  local status = model.check_task(rec)
  if ok then
    check(result == rec and status == "done", "task %d is %s, gave %s", rec.id, status, tostring(result))
    return
  end
  check(status ~= "failed" or rawequal(result, rec.err) or model.is_signal(result),
    "task %d raised another error than its own: %s", rec.id, tostring(result))
  error(result, 0)
end

function acts.await(world)
  local rec = some_task(world)
  if not rec then return end
  count("await")
  within(0.002, await, rec)
end

function acts.join(world)
  local rec = some_task(world)
  if not rec or rec.cleaned == 0 and world.random:one_in(2) then return end
  count("join")
  within(0.001, function()
    if rec.cleaned == 1 then rec.task:join() else rille.sleep(0) end
  end)
end

-- --- scopes ---

local LIMITS = { 0, 0, 0.0005, 0.002 }

function acts.timeout(world, depth)
  local token = {}
  local result
  if within(world.random:pick(LIMITS), function()
    result = rille.timeout(1, function()
      act(world, depth + 1)
      return token
    end)
  end) then
    check(result == token, "timeout returned another result")
  end
end

function acts.shield(world, depth)
  count("shield")
  rille.shield(act, world, depth + 1)
end

function acts.group(world, depth)
  local children = {}
  count("group")
  finally(function()
    for _, rec in ipairs(children) do
      local status = model.check_task(rec)
      check(rec.cleaned == rec.begun and status ~= "running", "a group left task %d %s", rec.id, status)
    end
  end, rille.group, function(group)
    for i = 1, world.random:upto(3) do
      local rec = model.new_task(true)
      local f = world.random:one_in(30) and stubborn or may_fail
      rec.task = group:spawn(model.run_task, rec, function() f(world, depth + 1) end)
      children[i] = rec
    end
    guard(world, act, world, depth + 1)
  end)
end

local function functions(world, depth)
  local list, running = {}, { n = 0 }
  for i = 1, world.random:upto(3) do
    list[i] = function()
      running.n = running.n + 1
      local _ <close> = model.closing(function()
        bodies.clean_up(world, 0)
        running.n = running.n - 1
      end)
      act(world, depth + 1)
      return i
    end
  end
  return list, running
end

function acts.race(world, depth)
  local list = functions(world, depth)
  count("race")
  local key, result = rille.race(list)
  check(key == result, "race gave another result")
end

function acts.all(world, depth)
  local list = functions(world, depth)
  count("all")
  local results = rille.all(list, { n = world.random:upto(3) })
  for i = 1, #list do check(results[i] == i, "all lost a result") end
end

-- --- channels, locks, callbacks ---

local function settle(world, value, sent)
  if sent then
    if value.state == "received" then return end
    check(value.state == "sending", "a value was sent twice")
    value.state, world.unread = "sent", world.unread + 1
  else
    check(value.state == "sending", "a value that was not sent was received")
    value.state = "refused"
  end
end

local function take_value(world, value)
  if value == nil then return end
  check(value.state == "sent" or value.state == "sending", "a value is %s, and received", value.state)
  if value.state == "sent" then world.unread = world.unread - 1 end
  value.state = "received"
end

function acts.channel_send(world)
  local channel = world.random:pick(world.channels)
  count("channel_send")
  within(0.001, function()
    local value = { state = "sending" }
    local ok, sent = pcall(channel.send, channel, value)
    settle(world, value, ok and sent)
    if not ok then error(sent, 0) end
  end)
end

function acts.channel_receive(world)
  local channel = world.random:pick(world.channels)
  count("channel_receive")
  within(0.001, function() take_value(world, channel:recv()) end)
end

--- Closes a channel and takes what is left in it.
function acts.drain(world, channel)
  channel:close()
  for value in channel do take_value(world, value) end
end

function acts.channel_close(world)
  local slot = world.random:upto(#world.channels)
  local channel = world.channels[slot]
  count("channel_close")
  world.channels[slot] = rille.channel(world.random:upto(3) - 1)
  acts.drain(world, channel)
end

function acts.mutex(world)
  count("mutex")
  within(0.002, function()
    local _ <close> = world.mutex:acquire()
    check(not world.locked, "two tasks have the mutex")
    world.locked = true
    local _ <close> = model.closing(function() world.locked = false end)
    bodies.pause(world)
  end)
end

function acts.callback(world)
  count("callback")
  local token = {}
  within(0.001, function()
    local result = rille.callback(function(resume)
      local slot = world.random:upto(world.slots)
      world.resumes[slot] = function() resume(token) end
    end)
    check(result == token, "a callback gave another's value")
  end)
end

function acts.resume_callback(world)
  local slot = world.random:upto(world.slots)
  local resume = world.resumes[slot]
  if not resume then return end
  count("resume_callback")
  world.resumes[slot] = nil
  resume()
end

-- --- coroutines ---

local function counting(world, depth)
  return function()
    model.note_thread()
    for i = 1, 3 do
      guard(world, act, world, depth + 1)
      coroutine.yield(i)
    end
  end
end

function acts.wrap(world, depth)
  count("wrap")
  local last = 0
  for i in coroutine.wrap(counting(world, depth)) do
    check(i == last + 1, "a coroutine gave %s after %d", tostring(i), last)
    last = i
    if world.random:one_in(5) then break end
  end
end

local REFUSED = "^cannot resume"

function acts.coroutine(world, depth)
  local slot = world.random:upto(world.slots)
  local co = world.coroutines[slot]
  if not co or coroutine.status(co) == "dead" then
    count("coroutine")
    world.coroutines[slot] = coroutine.create(counting(world, depth))
    return
  end
  count("resume")
  local ok, err = coroutine.resume(co)
  if not ok then
    model.check_error(err, REFUSED)
    if model.is_signal(err) then error(err, 0) end
  end
end

function acts.coroutine_close(world)
  local slot = world.random:upto(world.slots)
  local co = world.coroutines[slot]
  if not co then return end
  count("coroutine_close")
  local status = coroutine.status(co)
  local ok, closed, err = pcall(coroutine.close, co)
  if status == "suspended" or status == "dead" then
    check(ok, "a %s coroutine cannot be closed: %s", status, tostring(closed))
    if not closed then model.check_error(err, "cannot wait for") end
    world.coroutines[slot] = nil
  else
    check(not ok, "a %s coroutine was closed", status)
  end
end

-- --- the collector ---

function acts.collect(world)
  count("collect")
  if world.random:one_in(100) then
    collectgarbage()
  else
    collectgarbage("step", world.random:upto(100))
  end
end

-- --- any act ---

function acts.pause(world) bodies.pause(world) end

function acts.fail(world) error(model.planned(world.random), 0) end

local function weighted(weights)
  local list = {}
  for _, weight in ipairs(weights) do
    local name, n = weight:match("^(%S+) (%d+)$")
    for _ = 1, tonumber(n) do list[#list + 1] = acts[name] end
  end
  return list
end

local LEAVES = weighted {
  "pause 10", "next 30", "send 10", "throw 4", "close 4", "look 6", "share 8", "cancel 6", "await 4",
  "join 2", "channel_send 5", "channel_receive 5", "channel_close 1", "mutex 3", "callback 2",
  "resume_callback 3", "coroutine_close 1", "collect 4", "fail 2",
}
local NESTS = weighted {
  "replace 10", "loop 12", "chain 1", "stream 10", "spawn 10", "timeout 6", "shield 2", "group 4", "race 3",
  "all 3", "wrap 3", "coroutine 4",
}

function act(world, depth)
  if world.ending then return bodies.pause(world) end -- in a body that goes on although it is closed
  local list = (depth >= DEPTH or world.random:one_in(2)) and LEAVES or NESTS
  return world.random:pick(list)(world, depth)
end
acts.any = act

--- What the acts share.
---@param random spec.Random
function acts.world(random)
  local world = {
    random = random,
    slots = 24,
    pool = {}, -- entries of generators
    tasks = {}, -- records
    coroutines = {},
    resumes = {},
    channels = { rille.channel(), rille.channel(1), rille.channel(2) },
    unread = 0, -- values that were sent and not received
    mutex = rille.mutex(),
    locked = false,
    ending = false,
    generators = setmetatable({}, { __mode = "k" }), -- all there are
  }
  for slot = 1, world.slots do world.pool[slot] = fresh(world, 0) end
  return world
end

return acts
