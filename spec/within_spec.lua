-- next_within: a step that may outlive the patience of its caller, of generators, streams and channels.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local expect = require("spec.helper.expect")
local rille = require("rille")
local stream = require("rille.stream")
local task = require("rille.host.task")

local caught, has, closer = expect.caught, expect.has, expect.closer
local turns = expect.turns

local BY_ANOTHER = "generator closed by another task"

-- A place where one task waits until it is opened; reports name a line of this file.
local function new_gate()
  local resume
  return {
    wait = function() rille.callback(function(r) resume = r end) end,
    open = function() resume() end,
  }
end

local function start(f, ...)
  local waiting = rille.spawn(pcall, f, ...)
  while waiting:status() == "ready" do rille.sleep(0) end
  turns(2)
  return waiting
end

-- A generator that waits at the gate before each of its items 1, 2, 3.
local function gated(log)
  local gate = new_gate()
  local g = rille.generator(function()
    local _ <close> = closer(function(err)
      rille.sleep(0)
      if log then log[#log + 1] = rille.is_error(err) and err.code or tostring(err) end
    end)
    for i = 1, 3 do
      gate.wait()
      coroutine.yield(i)
    end
    gate.wait()
    return "result", nil
  end)()
  return g, gate
end

local function timed_out(...)
  assert.same({ n = 2, nil, "timeout" }, table.pack(...))
end

describe("g:next_within", function()
  it("R67 an item that comes in time is returned, with all its values", function()
    local g = rille.generator(function()
      coroutine.yield(1, nil, "x", nil)
      rille.sleep(0)
      coroutine.yield(false)
    end)()
    assert.same({ n = 4, 1, nil, "x", nil }, table.pack(g:next_within(0)))
    assert.same({ n = 1, false }, table.pack(g:next_within(10)))
    assert.same({ n = 1, nil }, table.pack(g:next_within(10)))
    assert.equal("exhausted", g:status())
    assert.same({ n = 1, nil }, table.pack(g:next_within(0)))
  end)

  it("R67 the step stays in flight after the time-out; the next call gets its item", function()
    local later = {
      next = function(g) return g:next() end,
      call = function(g) return g() end,
      keep = function(g) return g:keep()() end,
      each = function(g) for v in g:each() do return v end end,
      next_within = function(g) return g:next_within(10) end,
      stream = function(g) return g:map(function(v) return v end):next() end,
    }
    for name, f in pairs(later) do
      local g, gate = gated()
      timed_out(g:next_within(0))
      timed_out(g:next_within(0.001))
      local waiting = start(f, g)
      gate.open()
      local ok, v = waiting:await()
      assert.is_true(ok, name)
      assert.equal(1, v, name)
      g:close()
    end
  end)

  it("R67 the body is not told of the time-out: it waits once", function()
    local waits = 0
    local g = rille.generator(function()
      for i = 1, 2 do
        waits = waits + 1
        rille.sleep(0.003)
        coroutine.yield(i)
      end
    end)()
    local items = {}
    repeat
      local v, why = g:next_within(0.001)
      if v then items[#items + 1] = v end
    until v == nil and why == nil
    assert.same({ 1, 2 }, items)
    assert.equal(2, waits)
  end)

  it("R67 the end after a time-out is nil alone, and the results are there", function()
    local g, gate = gated()
    for i = 1, 3 do
      timed_out(g:next_within(0))
      gate.open()
      assert.equal(i, (g:next()))
    end
    timed_out(g:next_within(0))
    gate.open()
    assert.same({ n = 1, nil }, table.pack(g:next_within(1)))
    assert.same({ n = 2, "result" }, table.pack(g:result()))
    assert.equal("exhausted", g:status())
    assert.is_nil((g:next()))
  end)

  it("R69 an item that arrives while nobody asks is kept for the next call", function()
    local g, gate = gated()
    timed_out(g:next_within(0))
    gate.open()
    turns()
    assert.equal("suspended", g:status())
    assert.equal(1, (g:next_within(0)))
    timed_out(g:next_within(0))
    gate.open()
    turns()
    assert.equal(2, (g()))
    timed_out(g:next_within(0))
    gate.open()
    turns()
    assert.equal(3, (g:keep()()))
    g:close()
  end)

  it("R69 an item that comes in the turn of the time-out is delivered, or kept", function()
    for patience = 0, 3 do
      local g, gate = gated()
      local waiting = rille.spawn(function() return g:next_within(patience / 1000) end)
      turns(2)
      rille.sleep(patience / 1000)
      gate.open()
      local v, why = waiting:await()
      if v == nil then
        assert.equal("timeout", why)
        v = g:next()
      end
      assert.equal(1, v)
      g:close()
    end
  end)

  it("R67 with 0 seconds the body has its turn", function()
    local g = rille.generator(function()
      for i = 1, 100 do coroutine.yield(i) end
    end)()
    for i = 1, 100 do assert.equal(i, (g:next_within(0))) end
    assert.is_nil((g:next_within(0)))
  end)

  it("R67 checks its argument; nothing is started", function()
    local ran
    local g = rille.generator(function() ran = true end)()
    for _, bad in ipairs({ -1, 1e9, 0 / 0, math.huge }) do
      local err = caught(function() g:next_within(bad) end)
      has(err, "within_spec.lua")
      has(err, "bad argument #1 to 'next_within' (seconds out of range)")
    end
    has(caught(function() g:next_within("x") end), "number expected, got string")
    has(caught(function() g:next_within() end), "number expected, got no value")
    has(caught(function() g.next_within({}, 1) end), "rille.generator expected, got table")
    turns()
    assert.is_nil(ran)
    assert.equal("created", g:status())
  end)

  it("R104 cannot be called where nothing can wait, in flight or not", function()
    local g, gate = gated()
    local function sort() table.sort({ 2, 1 }, function() return g:next_within(1) end) end
    has(caught(sort), "table.sort")
    assert.equal("created", g:status())
    timed_out(g:next_within(0))
    has(caught(sort), "table.sort")
    gate.open()
    turns()
    has(caught(sort), "table.sort")
    assert.equal(1, (g:next()))
    g:close()
  end)

  it("R113 status and tostring tell of the step in flight", function()
    local g, gate = gated()
    assert.equal("created", g:status())
    local waiting = rille.spawn(g.next_within, g, 0.001)
    turns(1)
    assert.equal("waiting", g:status())
    waiting:await()
    assert.equal("waiting", g:status())
    has(tostring(g), "waiting for callback (spec/within_spec.lua:")
    has(tostring(g), "within_spec.lua")
    gate.open()
    turns()
    assert.equal("suspended", g:status())
    g:close()
    assert.equal("closed", g:status())
  end)

  it("R113 the task of the step is named after the generator", function()
    local name
    local line = debug.getinfo(1, "l").currentline + 1
    local g = rille.generator(function() name = task.current().name rille.sleep(60) end)()
    timed_out(g:next_within(0))
    has(name, "step of the generator made at ")
    has(name, "within_spec.lua:" .. line)
    g:close()
  end)

  it("R20 a value cannot be sent to a step in flight, nor an error thrown into it", function()
    local g, gate = gated()
    timed_out(g:next_within(0))
    has(caught(g.next, g, "v"), "cannot send a value to a generator whose step is in flight")
    has(caught(g.next, g, nil, 1), "cannot send a value")
    has(caught(g.throw, g, "err"), "cannot throw into a generator whose step is in flight")
    gate.open()
    turns()
    has(caught(g.next, g, "v"), "take its item first")
    has(caught(g.throw, g, "err"), "take its item first")
    assert.equal(1, (g:next(nil)))
    g:close()
  end)

  it("R80 R84 one call at a time waits for the step, and the body cannot", function()
    local g, gate
    gate = new_gate()
    g = rille.generator(function()
      gate.wait()
      coroutine.yield((select(2, pcall(g.next, g))))
    end)()
    timed_out(g:next_within(0))
    local waiting = start(g.next, g)
    has(caught(g.next, g), "generator already running")
    has(caught(g.next_within, g, 1), "generator already running")
    gate.open()
    has(caught(g.next, g), "generator already running")
    local ok, item = waiting:await()
    assert.is_true(ok)
    has(item, "generator already running")
    g:close()
  end)

  it("R80 a call that was woken gets the item, whoever asks in between", function()
    local g, gate = gated()
    local first = start(g.next_within, g, 10)
    gate.open()
    rille.sleep(0) -- the step is over, or about to be
    local ok, second = pcall(g.next_within, g, 0)
    local _, v = first:await()
    assert.equal(1, v)
    if ok then assert.is_nil(second) else has(second, "generator already running") end
    g:close()
  end)

  it("R85 another task may take the item", function()
    local g, gate = gated()
    rille.spawn(function() timed_out(g:next_within(0)) end):await()
    local other = start(g.next, g)
    gate.open()
    assert.same({ true, 1 }, { other:await() })
    g:close()
  end)
end)

describe("a step in flight", function()
  it("R46 is ended by close, with its cleanup", function()
    local log = {}
    local g = gated(log)
    timed_out(g:next_within(0))
    g:close()
    assert.same({ "ECLOSED" }, log)
    assert.equal("closed", g:status())
    assert.same({ n = 1, nil }, table.pack(g:next_within(0)))
    assert.is_nil((g:next()))
  end)

  it("R46 is ended by the end of a loop, and of a block", function()
    for _, leave in ipairs({
      function(g) for _ in g:each() do timed_out(g:next_within(0)) break end end,
      function(g) local _ <close> = g g:next() timed_out(g:next_within(0)) end,
      function(g)
        pcall(function()
          local _ <close> = g
          g:next()
          timed_out(g:next_within(0))
          error("x")
        end)
      end,
    }) do
      local log = {}
      local g, gate = gated(log)
      timed_out(g:next_within(0))
      gate.open()
      turns()
      leave(g)
      assert.same({ "ECLOSED" }, log)
      assert.equal("closed", g:status())
    end
  end)

  it("R46 is ended before it had its turn: the body never runs", function()
    local ran
    local g = rille.generator(function() ran = true end)()
    local waiting = rille.spawn(pcall, g.next_within, g, 10)
    local closing = rille.spawn(g.close, g)
    local ok, err = waiting:await()
    closing:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    assert.is_nil(ran)
    assert.equal("closed", g:status())
  end)

  it("R47 whoever waits for it gets the error; both calls return", function()
    local log = {}
    local g = gated(log)
    timed_out(g:next_within(0))
    local waiting = { start(g.next_within, g, 60) }
    g:close()
    has(select(2, waiting[1]:await()), BY_ANOTHER)
    assert.equal(1, #log)
  end)

  it("R52 close gives what the body returns", function()
    local g = rille.generator(function()
      pcall(rille.sleep, 60)
      return "a", nil
    end)()
    timed_out(g:next_within(0))
    assert.same({ n = 2, "a" }, table.pack(g:close()))
  end)

  it("R67 an undelivered item is dropped by close", function()
    local log = {}
    local g, gate = gated(log)
    timed_out(g:next_within(0))
    gate.open()
    turns()
    g:close()
    assert.same({ "ECLOSED" }, log)
    assert.is_nil((g:next()))
  end)

  it("R67 is not touched when the caller is cancelled; its loop closes the generator", function()
    local log = {}
    local g, gate = gated(log)
    local waiting = start(g.next_within, g, 60)
    waiting:cancel()
    caught(waiting.await, waiting)
    assert.equal("waiting", g:status())
    waiting = start(g.next, g)
    waiting:cancel()
    caught(waiting.await, waiting)
    assert.same({}, log)
    gate.open()
    turns()
    assert.equal(1, (g:next()))
    timed_out(g:next_within(0))
    local looping = start(function() for v in g:each() do return v end end)
    looping:cancel()
    caught(looping.await, looping)
    assert.equal("closed", g:status())
    assert.same({ "ECLOSED" }, log)
  end)

  it("R64 R67 rille.timeout around a call that waits for it ends that call alone", function()
    local g, gate = gated()
    timed_out(g:next_within(0))
    local err = caught(rille.timeout, 0.001, g.next, g)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
    assert.equal("waiting", g:status())
    gate.open()
    assert.equal(1, (g:next()))
    g:close()
  end)

  it("R29 R33 its error is raised in the call that gets it, as the same object, once", function()
    for _, value in ipairs({ "text", {}, false }) do
      local gate = new_gate()
      local g = rille.generator(function() gate.wait() error(value, 0) end)()
      timed_out(g:next_within(0))
      gate.open()
      turns()
      assert.equal("failed", g:status())
      local r = table.pack(pcall(g.next_within, g, 1))
      assert.is_false(r[1])
      assert.is_true(rawequal(value, r[2]))
      has(caught(g.next, g), "generator already failed")
      has(caught(g.next_within, g, 1), "generator already failed")
      g:close()
    end
  end)

  it("R30 R31 the story of its error tells of the body, the step and who asked", function()
    local gate = new_gate()
    local function culprit()
      gate.wait()
      error(setmetatable({}, { __tostring = function() return "mine" end }))
    end
    local g = rille.generator(function() culprit() end)()
    timed_out(g:next_within(0))
    gate.open()
    local line = debug.getinfo(1, "l").currentline + 1
    local story = rille.traceback(caught(function() g:next() end))
    local at = 1
    for _, part in ipairs({ "mine", "in upvalue 'culprit'", "advanced by task 'step of the generator made at",
                            "awaited by task '", "within_spec.lua:" .. line }) do
      local _, e = story:find(part, at, true)
      assert.is_truthy(e, ("%q is not in order in %s"):format(part, story))
      at = e
    end
  end)

  it("R29 an error that nobody asked for is raised by close, once", function()
    local g = rille.generator(function() rille.sleep(0) rille.sleep(0) error("late", 0) end)()
    timed_out(g:next_within(0))
    turns()
    assert.equal("late", caught(g.close, g))
    g:close()
    has(caught(g.next, g), "generator already failed: late")
  end)

  it("R37 with an error in flight it is attached to that one", function()
    local g = rille.generator(function() rille.sleep(0) rille.sleep(0) error("late", 0) end)()
    local mine = require("rille.host.fault").new("EMINE", "mine")
    local err = caught(function()
      local _ <close> = g
      timed_out(g:next_within(0))
      turns()
      error(mine)
    end)
    assert.is_true(rawequal(mine, err))
    assert.same({ "late" }, err.suppressed)
  end)

  it("R96 R93 keeps its generator alive; afterwards it is dropped like any other", function()
    rille.test.may_leak()
    local log = {}
    local g, gate = gated(log)
    local weak = setmetatable({ g }, { __mode = "v" })
    timed_out(g:next_within(0))
    g = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal("waiting", weak[1]:status())
    assert.same({}, log)
    gate.open()
    turns()
    collectgarbage()
    collectgarbage()
    turns()
    assert.same({ "ECLOSED" }, log)
  end)

  it("R102 whatever the collector does", function()
    local g = rille.generator(function()
      for i = 1, 20 do
        collectgarbage()
        rille.sleep(0)
        coroutine.yield(i, {})
      end
    end)()
    local items = {}
    repeat
      local v, why = g:next_within(0)
      collectgarbage()
      if v then items[#items + 1] = v end
    until not v and not why
    assert.equal(20, #items)
  end)

  it("R74 scopes of the body work in it", function()
    local g = rille.generator(function()
      coroutine.yield((pcall(rille.timeout, 0.001, rille.sleep, 60)))
      rille.group(function(group) group:spawn(rille.sleep, 60) end)
    end)()
    assert.equal(false, (g:next_within(10)))
    timed_out(g:next_within(0.001))
    g:close()
    assert.equal("closed", g:status())
  end)
end)

local function same(v) return v end

describe("s:next_within", function()
  it("R67 an item that comes in time is returned, with all its values; the end is nil alone", function()
    local s = stream.from({ "a", false }):enumerate()
    assert.same({ n = 2, 1, "a" }, table.pack(s:next_within(0)))
    assert.same({ n = 2, 2, false }, table.pack(s:next_within(10)))
    assert.same({ n = 1 }, table.pack(s:next_within(0)))
    assert.same({ n = 1 }, table.pack(s:next_within(10)))
    assert.equal("exhausted", s:status())
  end)

  it("R67 the step stays in flight after the time-out; the next call gets its item", function()
    local later = {
      next = function(s) return s:next() end,
      call = function(s) return s() end,
      keep = function(s) return s:keep()() end,
      each = function(s) for v in s:each() do return v end end,
      next_within = function(s) return s:next_within(10) end,
      operator = function(s) return s:filter(function() return true end):next() end,
      first = function(s) return s:first() end,
      merged = function(s) return stream.chain(s, { 7 }):next() end,
      generator = function(s)
        return (rille.generator(function() for v in s:each() do coroutine.yield(v) end end)()):first()
      end,
    }
    for name, f in pairs(later) do
      local g, gate = gated()
      local s = g:map(same)
      timed_out(s:next_within(0))
      timed_out(s:next_within(0.001))
      assert.equal("waiting", s:status())
      local waiting = start(f, s)
      gate.open()
      local ok, v = waiting:await()
      assert.is_true(ok, name .. ": " .. tostring(v))
      assert.equal(1, v, name)
      s:close()
      g:close()
    end
  end)

  it("R69 an item that arrives while nobody asks is kept, also for what is made of the stream", function()
    local readers = {
      function(s) return s:next_within(0) end,
      function(s) return s:next() end,
      function(s) return s:take(2):collect()[1] end,
      function(s) return s:enumerate():map(function(_, v) return v end):next() end,
      function(s) return s:first() end,
      function(s) return stream.chain(s, { 7 }):next() end,
    }
    for i, read in ipairs(readers) do
      local log = {}
      local s = stream.from(function()
        log[#log + 1] = "pulled"
        rille.sleep(0)
        return #log
      end):map(same):tap(same)
      timed_out(s:next_within(0))
      turns()
      assert.equal("suspended", s:status())
      assert.equal(1, read(s), i)
      s:close()
    end
  end)

  it("R67 items come in order, each once, whatever the patience", function()
    local items = {}
    local n = 0
    local s = stream.from(function()
      n = n + 1
      if n % 3 == 0 then rille.sleep(0.001) end
      return n <= 20 and n or nil
    end):filter(function(v) return v % 5 ~= 0 end):drop(1)
    repeat
      local v, why
      if n % 2 == 0 then v, why = s:next_within(0) else v = s:next() end
      if v then items[#items + 1] = v end
    until not v and not why
    assert.same({ 2, 3, 4, 6, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 19 }, items)
  end)

  it("R67 a stage keeps its place", function()
    local s = stream.range(1, 10):map(function(v) rille.sleep(0) return v end):take(3)
    local items = {}
    repeat
      local v, why = s:next_within(0)
      if v then items[#items + 1] = v end
    until not v and not why
    assert.same({ 1, 2, 3 }, items)
  end)

  it("R67 checks its argument; nothing is started", function()
    local pulled
    local s = stream.from(function() pulled = true end)
    local err = caught(function() s:next_within(-1) end)
    has(err, "within_spec.lua")
    has(err, "bad argument #1 to 'next_within' (seconds out of range)")
    has(caught(function() s:next_within(0 / 0) end), "seconds out of range")
    has(caught(function() s:next_within() end), "number expected, got no value")
    has(caught(function() s.next_within({}, 1) end), "rille.Stream expected, got table")
    has(caught(function() table.sort({ 2, 1 }, function() return s:next_within(1) end) end), "table.sort")
    turns()
    assert.is_nil(pulled)
    assert.equal("created", s:status())
  end)

  it("R80 one call at a time waits for the step; R84 the step itself cannot", function()
    local gate, s, inner = new_gate(), nil, nil
    s = stream.from({ 1, 2 }):map(function(v)
      gate.wait()
      inner = { caught(function() s:next() end), caught(function() s:next_within(0) end) }
      return v
    end)
    timed_out(s:next_within(0))
    local waiting = start(s.next, s)
    for _, f in ipairs({ function() s:next() end, function() s:next_within(0) end }) do
      local err = caught(f)
      has(err, "within_spec.lua")
      has(err, "stream already running")
    end
    has(caught(function() s:throw("x") end), "stream already running")
    gate.open()
    local ok, v = waiting:await()
    assert.is_true(ok)
    assert.equal(1, v)
    has(inner[1], "stream already running")
    has(inner[2], "stream already running")
    s:close()
  end)

  it("R29 R33 its error is raised in the call that gets it, once", function()
    local mine = {}
    local s = stream.from({ 1 }):map(function() rille.sleep(0) rille.sleep(0) error(mine) end)
    timed_out(s:next_within(0))
    turns()
    assert.equal("failed", s:status())
    assert.is_true(rawequal(mine, caught(s.next_within, s, 0)))
    has(caught(s.next, s), "stream already failed")
    s:close()
  end)

  it("R29 an error that nobody asked for is raised by close, or attached", function()
    local function failing()
      local s = stream.from({ 1 }):map(function() rille.sleep(0) rille.sleep(0) error("late", 0) end)
      timed_out(s:next_within(0))
      turns()
      return s
    end
    local s = failing()
    assert.equal("late", caught(s.close, s))
    s:close()
    local mine = require("rille.host.fault").new("EMINE", "mine")
    local err = caught(function()
      local _ <close> = failing()
      error(mine)
    end)
    assert.is_true(rawequal(mine, err))
    assert.same({ "late" }, err.suppressed)
  end)

  it("R67 is not touched when the caller is cancelled", function()
    local g, gate = gated()
    local s = g:map(same)
    local waiting = start(s.next_within, s, 60)
    waiting:cancel()
    caught(waiting.await, waiting)
    assert.equal("waiting", s:status())
    gate.open()
    assert.equal(1, (s:next()))
    s:close()
  end)

  it("R46 close ends the step: of a generator with its cleanup, of a function by cancelling it", function()
    local log = {}
    local g = gated(log)
    local s = g:map(same)
    timed_out(s:next_within(0))
    s:close()
    assert.same({ "ECLOSED" }, log)
    assert.equal("closed", s:status())
    assert.equal("closed", g:status())
    assert.is_nil((s:next_within(0)))

    s = stream.from({ 1 }):map(function()
      local _ <close> = closer(function(err) rille.sleep(0) log[#log + 1] = err.code end)
      rille.sleep(60)
    end)
    timed_out(s:next_within(0))
    s:close()
    assert.same({ "ECLOSED", "ECANCELED" }, log)
    assert.equal("closed", s:status())
    assert.is_nil((s:next()))
  end)

  it("R46 the end of its loop, and closing what was made of it, end the step", function()
    for _, leave in ipairs({
      function(s) for _ in s:each() do timed_out(s:next_within(0)) break end end,
      function(s) local _ <close> = s s:next() timed_out(s:next_within(0)) end,
      function(s)
        s:next()
        timed_out(s:next_within(0))
        local t = s:map(same)
        t:close()
      end,
    }) do
      local log = {}
      local s = (rille.generator(function()
        local _ <close> = closer(function() rille.sleep(0) log[#log + 1] = "cleanup" end)
        coroutine.yield(1)
        rille.sleep(60)
      end)()):map(same)
      leave(s)
      assert.same({ "cleanup" }, log)
      assert.equal("closed", s:status())
      assert.is_nil((s:next()))
    end
  end)

  it("R46 is ended before it had its turn", function()
    local ran
    local s = stream.from({ 1 }):tap(function() ran = true end)
    local waiting = rille.spawn(pcall, s.next_within, s, 10)
    local closing = rille.spawn(s.close, s)
    local ok, err = waiting:await()
    closing:await()
    assert.is_false(ok)
    has(err, "stream closed by another task")
    assert.is_nil(ran)
    assert.equal("closed", s:status())
  end)

  it("R47 whoever waits for it gets an error", function()
    local s = stream.from({ 1 }):map(function() rille.sleep(60) end)
    timed_out(s:next_within(0))
    local waiting = start(s.next_within, s, 60)
    s:close()
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, "stream closed by another task")
  end)

  it("R67 works for concurrent streams, and for several steps in one chain", function()
    local s = stream.range(1, 4):map(function(v) rille.sleep(0.001) return v end)
    local t = s:map(function(v) rille.sleep(0.001) return v end, { n = 2 })
    timed_out(s:next_within(0))
    timed_out(t:next_within(0))
    local items = {}
    repeat
      local v, why = t:next_within(0.001)
      if v then items[#items + 1] = v end
    until not v and not why
    assert.same({ 1, 2, 3, 4 }, items)
  end)

  it("R96 keeps its stream alive; afterwards the stream is garbage", function()
    local gate = new_gate()
    local s = stream.from({ 1 }):map(function(v) gate.wait() return v end)
    local weak = setmetatable({ s }, { __mode = "v" })
    timed_out(s:next_within(0))
    s = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal("waiting", weak[1]:status())
    gate.open()
    turns()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)

describe("ch:next_within", function()
  it("R67 gives what is there, or comes in time; afterwards nobody waits", function()
    local ch = rille.channel(1)
    ch:send("a")
    assert.same({ n = 1, "a" }, table.pack(ch:next_within(0)))
    timed_out(ch:next_within(0))
    timed_out(ch:next_within(0.001))
    assert.equal("suspended", ch:status())
    local sending = rille.spawn(function() rille.sleep(0) ch:send("b") end)
    assert.equal("b", (ch:next_within(10)))
    sending:await()
    ch:send("c")
    assert.equal("c", ch:recv())
  end)

  it("R69 a value that is sent after the time-out is for the next receiver", function()
    local ch = rille.channel()
    timed_out(ch:next_within(0))
    local sending = start(ch.send, ch, 1)
    assert.equal(1, (ch:next_within(0)))
    assert.same({ true, true }, { sending:await() })
  end)

  it("R69 a value and the time-out in one turn: it is received once", function()
    local ch = rille.channel()
    local receiving = rille.spawn(function() return ch:next_within(0.001) end)
    rille.sleep(0.001)
    local sending = rille.spawn(ch.send, ch, "v")
    local v = receiving:await()
    if v == nil then v = ch:next_within(1) end
    assert.equal("v", v)
    assert.is_true(sending:await())
  end)

  it("R67 the end is nil alone", function()
    local ch = rille.channel()
    local waiting = start(function() return table.pack(ch:next_within(10)) end)
    ch:close()
    assert.same({ true, { n = 1 } }, { waiting:await() })
    assert.same({ n = 1 }, table.pack(ch:next_within(0)))
  end)

  it("R67 checks its argument", function()
    local ch = rille.channel()
    local err = caught(function() ch:next_within(1e9) end)
    has(err, "within_spec.lua")
    has(err, "bad argument #1 to 'next_within' (seconds out of range)")
    has(caught(function() ch.next_within({}, 1) end), "rille.Channel expected, got table")
  end)
end)
