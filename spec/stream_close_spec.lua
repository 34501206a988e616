-- Closing a stream from another task while a task waits in its step.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.closing")

local caught, has, same_object, closer = expect.caught, expect.has, expect.same_object, expect.closer
local until_waiting, turns, new_gate = expect.until_waiting, expect.turns, expect.new_gate
local start, is_cancelled = helper.start, helper.is_cancelled
local waiting_generator, slow_to_close = helper.waiting_generator, helper.slow_to_close

local BY_ANOTHER = "generator closed by another task"

describe("close of a stream while another task waits in it", function()
  local stream = require("rille.stream")
  local STREAM_BY_ANOTHER = "stream closed by another task"

  local function same(v) return v end

  it("R46 R60 over a generator: aborts the wait, runs the cleanup, and both calls return", function()
    local makers = {
      map = function(g) return g:map(same) end,
      stages = function(g) return g:filter(same):enumerate():drop(1) end,
      from = function(g) return stream.from(g):tap(same) end,
      chain = function(g) return stream.chain(g, { 1 }) end,
      nested = function(g) return stream.chain(stream.chain(g:take(3)):map(same), { 1 }) end,
      flat_map = function(g) return stream.from({ 1 }):flat_map(function() return g end) end,
      outer = function(g) return g:flat_map(same) end,
    }
    for name, make in pairs(makers) do
      local log = {}
      local g = waiting_generator(log)
      local s = make(g)
      local waiting = start(s.next, s)
      assert.equal("waiting", s:status(), name)
      s:close()
      log[#log + 1] = "closed"
      assert.same({ "cleanup", "closed" }, { table.unpack(log) }, name)
      assert.equal("closed", s:status(), name)
      assert.equal("closed", g:status(), name)
      local ok, err = waiting:await()
      assert.is_false(ok)
      has(err, BY_ANOTHER)
      assert.is_nil((s:next()))
      s:close()
    end
  end)

  it("R46 over a generator function, in a loop, and in an operator that ends a stream", function()
    local consumers = {
      function(s) for _ in s:each() do error("not reached") end end,
      function(s) s:collect() end,
      function(s) s:first() end,
      function(s) return s() end,
      function(s) return s:keep()() end,
    }
    for _, consume in ipairs(consumers) do
      local log = {}
      local s = stream.map(rille.generator(function()
        local _ <close> = closer(function() rille.sleep(0) log[#log + 1] = "cleanup" end)
        rille.sleep(60)
      end), same)
      local waiting = start(consume, s)
      s:close()
      assert.same({ "cleanup" }, log)
      local ok, err = waiting:await()
      assert.is_false(ok)
      has(err, BY_ANOTHER)
    end
  end)

  it("R46 R60 over a channel: wakes the receiver, whose step fails, and closes the channel", function()
    for _, make in ipairs({
      function(ch) return ch:map(same) end,
      function(ch) return stream.chain(ch) end,
    }) do
      local ch = rille.channel()
      local s = make(ch)
      local waiting = start(s.next, s)
      s:close()
      assert.equal("closed", ch:status())
      local ok, err = waiting:await()
      assert.is_false(ok)
      has(err, STREAM_BY_ANOTHER)
      assert.equal("closed", s:status())
    end
  end)

  it("R46 by the end of a loop in another task, and from what was made of the stream", function()
    for _, close in ipairs({
      function(s) local _ <close> = s end,
      function(s) s:map(same):close() end,
      function(s) for _ in s:map(same):keep() do error("not reached") end end,
    }) do
      local log = {}
      local s = waiting_generator(log):map(same)
      local waiting = start(s.next, s)
      local ok = pcall(close, s)
      if not ok then s:close() end -- a step while another one is under way
      assert.same("cleanup", log[1])
      has(select(2, waiting:await()), BY_ANOTHER)
    end
  end)

  it("R38 an error of the cleanup is raised by close; the step gets its own", function()
    for _, make in ipairs({
      function(g) return g:map(same) end,
      function(g) return stream.chain(g, { 1 }) end,
    }) do
      local mine = fault.new("EMINE", "mine")
      local s = make(waiting_generator({}, nil, mine))
      local waiting = start(s.next, s)
      same_object(mine, caught(s.close, s))
      local ok, err = waiting:await()
      assert.is_false(ok)
      has(err, BY_ANOTHER)
      s:close()
    end
  end)

  it("R37 with an error in flight it is attached to that one", function()
    local mine, other = fault.new("EMINE", "mine"), fault.new("EOTHER", "other")
    local s = waiting_generator({}, nil, mine):map(same)
    local waiting = start(s.next, s)
    same_object(other, caught(function()
      local _ <close> = s
      error(other)
    end))
    same_object(mine, other.suppressed[1])
    assert.is_false((waiting:await()))
  end)

  it("R48 every close waits for the cleanup and has its error", function()
    local gate = new_gate()
    local mine = fault.new("EMINE", "mine")
    local s = (rille.generator(function()
      local _ <close> = closer(function()
        gate.wait()
        error(mine)
      end)
      rille.sleep(60)
    end)()):map(same)
    local waiting = start(s.next, s)
    local closing = { start(s.close, s), start(s.close, s), start(s.close, s) }
    turns()
    for _, task in ipairs(closing) do assert.equal("waiting", task:status()) end
    gate.open()
    for _, task in ipairs(closing) do
      local ok, err = task:await()
      assert.is_false(ok)
      same_object(mine, err)
    end
    assert.is_false((waiting:await()))
    s:close()
  end)

  it("R48 likewise when no step was under way", function()
    local mine = fault.new("EMINE", "mine")
    local g, gate = slow_to_close({}, mine)
    local s = g:map(same)
    local closing = { start(s.close, s), start(s.close, s) }
    gate.open()
    for _, task in ipairs(closing) do
      local ok, err = task:await()
      assert.is_false(ok)
      same_object(mine, err)
    end
    s:close()
  end)

  it("R46 R48 a close that finds the stream closed waits for the cleanup that is under way", function()
    local log = {}
    local gate = new_gate()
    local s = stream.from(function() rille.sleep(0.002) return 1 end, nil, nil, closer(function()
      gate.wait()
      log[#log + 1] = "cleanup"
    end)):map(same)
    local waiting = start(s.next, s)
    local first = start(s.close, s)
    while not gate.has_waiter() do rille.sleep(0) end
    local second = start(s.close, s)
    assert.same({}, log)
    gate.open()
    assert.same({ true }, { first:await() })
    assert.same({ true }, { second:await() })
    assert.same({ "cleanup" }, log)
    has(select(2, waiting:await()), STREAM_BY_ANOTHER)
  end)

  it("R46 the wait of a function is aborted too: it is left first, then the source is closed", function()
    local log = {}
    local gate = new_gate()
    local g = (rille.generator(function()
      local _ <close> = closer(function() log[#log + 1] = "source" end)
      for i = 1, 3 do coroutine.yield(i) end
    end)())
    local s = g:map(function(v)
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "function"
      end)
      gate.wait()
      log[#log + 1] = "not reached"
      return v
    end):filter(function() return false end)
    local waiting = start(s.next, s)
    local closing = start(s.close, s)
    assert.same({ true }, { closing:await() })
    assert.same({ "function", "source" }, log)
    has(select(2, waiting:await()), STREAM_BY_ANOTHER)
  end)

  it("R46 R66 so is one that its function catches, and one in a generator that it steps", function()
    local log = {}
    local functions = {
      function() while true do pcall(rille.sleep, 60) end end,
      function()
        return (rille.generator(function()
          local _ <close> = closer(function() log[#log + 1] = "inner" end)
          rille.sleep(60)
        end)():next())
      end,
      function(v) return rille.timeout(100, rille.sleep, 60) or v end,
    }
    for _, f in ipairs(functions) do
      local s = stream.map({ 1, 2 }, f)
      local waiting = start(s.next, s)
      assert.same({ true }, { start(s.close, s):await() })
      has(select(2, waiting:await()), STREAM_BY_ANOTHER)
      assert.equal("closed", s:status())
    end
    assert.same({ "inner" }, log)
  end)

  it("R46 R38 an error of the function's cleanup is raised by close", function()
    local s = stream.map({ 1 }, function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      rille.sleep(60)
    end)
    local waiting = start(s.next, s)
    assert.same({ false, "cleanup" }, { start(s.close, s):await() })
    has(select(2, waiting:await()), STREAM_BY_ANOTHER)
  end)

  it("R46 what is shielded in a step is not cut short, what comes after it is", function()
    local log = {}
    local gate = new_gate()
    local s = stream.map({ 1 }, function()
      rille.shield(function()
        gate.wait()
        log[#log + 1] = "shielded"
      end)
      rille.sleep(60)
    end)
    local waiting = start(s.next, s)
    local closing = start(s.close, s)
    assert.same({}, log)
    gate.open()
    assert.same({ true }, { closing:await() })
    assert.same({ "shielded" }, log)
    has(select(2, waiting:await()), STREAM_BY_ANOTHER)
  end)

  it("R49 a close from a generator that the step's function steps is refused", function()
    local s
    s = stream.map({ 1 }, function()
      return (rille.generator(function() coroutine.yield(select(2, pcall(s.close, s))) end)():first())
    end)
    has(s:next(), "cannot close a running stream from inside it")
    s:close()
  end)

  it("R71 the task that closes is cancelled: the cleanup is done, the step gets its error", function()
    local log = {}
    local gate = new_gate()
    local s = (rille.generator(function()
      local _ <close> = closer(function()
        gate.wait()
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()):map(same)
    local waiting = start(s.next, s)
    local closing = rille.spawn(s.close, s)
    until_waiting(closing)
    closing:cancel()
    turns()
    assert.same({}, log)
    gate.open()
    is_cancelled(caught(closing.await, closing))
    has(select(2, waiting:await()), BY_ANOTHER)
    assert.same({ "cleanup" }, log)
    s:close()
    assert.equal("closed", s:status())
  end)

  it("R46 R71 a shield around the steps does not keep a close by another task waiting", function()
    local channel = rille.channel()
    local makers = {
      interval = function() return (stream.interval(60)) end,
      buffer = function() return (stream.interval(60):buffer(2)) end,
      channel = function() return (channel:map(same)) end,
      catch = function() return (stream.interval(60):catch(error)) end,
      retry = function() return (stream.retry(error, { backoff = 60 })) end,
      tee = function() return (stream.interval(60):tee(1)) end,
      generator = function() return stream.map(rille.generator(rille.sleep)(60), same) end,
    }
    for name, make in pairs(makers) do
      local s = make()
      local waiting = start(rille.shield, s.next, s)
      s:close()
      local ok, err = waiting:await()
      assert.is_false(ok, name)
      has(err, "closed by another task")
    end
  end)
end)
