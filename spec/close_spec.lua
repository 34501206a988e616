-- Closing a generator from another task: while a task waits in its step, while it is being closed, and with
-- scopes open inside its body; and what a body may not do to its own generator.
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

local function relay(inner, log, name)
  return (rille.generator(function()
    local _ <close> = closer(function()
      rille.sleep(0)
      log[#log + 1] = name
    end)
    for v in inner:each() do coroutine.yield(v) end
  end)())
end

describe("close while another task waits in next", function()
  it("R46 aborts the wait, runs the cleanup, and both calls return", function()
    local log = {}
    local g = waiting_generator(log)
    local waiting = start(g.next, g)
    assert.equal("waiting", g:status())
    g:close()
    log[#log + 1] = "closed"
    assert.same({ "cleanup", "closed" }, { log[1], log[2] })
    assert.equal("closed", g:status())
    assert.is_true(rille.is_error(log.signal, "ECLOSED"), tostring(log.signal))
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
  end)

  it("R46 aborts what is in flight at once, before the cleanup waits", function()
    local log = {}
    local gate = new_gate()
    local g = rille.generator(function()
      local _ <close> = closer(function()
        log[#log + 1] = "aborted"
        gate.wait()
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()
    local waiting = start(g.next, g)
    local closing = start(g.close, g)
    assert.same({ "aborted" }, log)
    assert.equal("closing", g:status())
    gate.open()
    assert.is_true((closing:await()))
    assert.is_false((waiting:await()))
    assert.same({ "aborted", "cleanup" }, log)
  end)

  it("R46 works for every kind of wait", function()
    local never = rille.spawn(rille.sleep, 60)
    local waits = {
      sleep = function() rille.sleep(60) end,
      callback = function() rille.callback(function() end) end,
      await = function() never:await() end,
      coroutine = function() coroutine.wrap(rille.sleep)(60) end,
      generator = function() (rille.generator(rille.sleep)(60)):next() end,
      timeout = function() rille.timeout(60, rille.sleep, 60) end,
      group = function() rille.group(function(group) group:spawn(rille.sleep, 60) end) end,
      all = function() rille.all({ function() rille.sleep(60) end }) end,
      race = function() rille.race({ function() rille.sleep(60) end }) end,
    }
    for name, wait in pairs(waits) do
      local g = rille.generator(wait)()
      local waiting = start(g.next, g)
      turns()
      g:close()
      assert.equal("closed", g:status(), name)
      local ok, err = waiting:await()
      assert.is_false(ok, name)
      has(err, BY_ANOTHER)
    end
    never:cancel()
    pcall(never.await, never)
  end)

  it("R46 a late resume of the callback that was aborted does no harm", function()
    local resume
    local g = rille.generator(function()
      rille.callback(function(r) resume = r end)
    end)()
    local waiting = start(g.next, g)
    g:close()
    pcall(resume, "late")
    turns()
    assert.is_false((waiting:await()))
  end)

  it("R47 the error is a plain one: the waiting task is not cancelled, and goes on", function()
    local g = waiting_generator({})
    local waiting = rille.spawn(function()
      local err = caught(g.next, g)
      rille.sleep(0)
      return err
    end)
    until_waiting(waiting)
    g:close()
    local err = waiting:await()
    has(err, BY_ANOTHER)
    assert.is_false(rille.is_error(err, "ECANCELED"))
    assert.equal("done", waiting:status())
  end)

  it("R47 a loop in another task ends with the error, not silently", function()
    local gate = new_gate()
    local g = rille.generator(function()
      coroutine.yield(1)
      coroutine.yield(2)
      gate.wait()
      coroutine.yield(3)
    end)()
    local seen = {}
    local looping = start(function()
      for v in g:each() do seen[#seen + 1] = v end
      seen[#seen + 1] = "ended silently"
    end)
    g:close()
    local ok, err = looping:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    assert.same({ 1, 2 }, seen)
  end)

  it("R47 g:throw that waits gets it as well", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      rille.sleep(60)
    end)()
    g:next()
    local waiting = start(g.throw, g, "thrown")
    g:close()
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    assert.equal("closed", g:status())
  end)

  it("R44 R24 next after that is the end, and close does nothing", function()
    local log = {}
    local g = waiting_generator(log)
    local waiting = start(g.next, g)
    g:close()
    waiting:await()
    assert.is_nil((g:next()))
    assert.is_nil((g:next()))
    g:close()
    assert.same({ "cleanup" }, { table.unpack(log) })
    assert.equal(1, #log)
  end)

  it("R51 R52 a body that swallows the signal and returns is closed; close gives its values", function()
    local g = rille.generator(function()
      pcall(rille.sleep, 60)
      return "a", nil
    end)()
    local waiting = start(g.next, g)
    assert.same({ n = 2, "a" }, table.pack(g:close()))
    assert.equal("closed", g:status())
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R50 a body that swallows the signal and yields is reported to close, and is over", function()
    local body
    local g = rille.generator(function()
      body = coroutine.running()
      pcall(rille.sleep, 60)
      while true do pcall(coroutine.yield, "again") end
    end)()
    local waiting = start(g.next, g)
    has(caught(g.close, g), "generator ignored close")
    assert.equal("dead", coroutine.status(body))
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R66 a body that swallows the signal and waits gets it again at each wait", function()
    local count = 0
    local g = rille.generator(function()
      for _ = 1, 10 do
        if not pcall(rille.sleep, 60) then count = count + 1 end
      end
      return "tired"
    end)()
    local waiting = start(g.next, g)
    assert.equal("tired", (g:close()))
    assert.equal(10, count)
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R38 an error of the cleanup is raised by close; the waiting step gets its own", function()
    for _, value in ipairs({ "text", false, {}, fault.new("EMINE", "mine") }) do
      local g = waiting_generator({}, nil, value)
      local waiting = start(g.next, g)
      local r = table.pack(pcall(g.close, g))
      assert.is_false(r[1])
      same_object(value, r[2])
      local ok, err = waiting:await()
      assert.is_false(ok)
      has(err, BY_ANOTHER)
      g:close()
    end
  end)

  it("R71 the task that closes is cancelled: the cleanup is done, the step still gets its error", function()
    local log = {}
    local gate = new_gate()
    local g = rille.generator(function()
      local _ <close> = closer(function()
        gate.wait()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()
    local waiting = start(g.next, g)
    local closing = rille.spawn(function()
      g:close()
      rille.sleep(60)
      log[#log + 1] = "cancellation lost"
    end)
    until_waiting(closing)
    closing:cancel()
    turns()
    assert.same({}, log)
    gate.open()
    is_cancelled(caught(closing.await, closing))
    has(select(2, waiting:await()), BY_ANOTHER)
    assert.same({ "cleanup" }, log)
    assert.equal("closed", g:status())
  end)

  it("R46 the task that waited is cancelled during the cleanup: close still returns after it", function()
    local log = {}
    local gate = new_gate()
    local g = rille.generator(function()
      local _ <close> = closer(function()
        gate.wait()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()
    local waiting = rille.spawn(function()
      pcall(g.next, g)
      rille.sleep(60)
      log[#log + 1] = "cancellation lost"
    end)
    until_waiting(waiting)
    local closing = start(g.close, g)
    waiting:cancel()
    turns()
    gate.open()
    assert.is_true((closing:await()))
    is_cancelled(caught(waiting.await, waiting))
    assert.same({ "cleanup" }, log)
    assert.equal("closed", g:status())
  end)

  it("R69 an item and a close in one turn: the item comes whole, or the error", function()
    for _, order in ipairs({ "item first", "close first" }) do
      local gate = new_gate()
      local g = rille.generator(function()
        gate.wait()
        coroutine.yield("item")
      end)()
      local waiting = start(g.next, g)
      if order == "item first" then gate.open() end
      g:close()
      if order == "close first" then pcall(gate.open) end
      local ok, value = waiting:await()
      if ok then
        assert.equal("item", value)
      else
        has(value, BY_ANOTHER)
      end
      assert.equal("closed", g:status())
      assert.is_nil((g:next()))
    end
  end)

  it("R46 by a task that the body itself waits for", function()
    local log, g = {}, nil
    g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      rille.spawn(function()
        rille.sleep(0)
        g:close()
        log[#log + 1] = "closed"
      end):await()
      log[#log + 1] = "not reached"
    end)()
    has(caught(g.next, g), BY_ANOTHER)
    turns()
    assert.same({ "cleanup", "closed" }, log)
  end)

  it("R46 from a generator, a coroutine and a cleanup of another task", function()
    local closers = {
      function(g) coroutine.wrap(g.close)(g) end,
      function(g) (rille.generator(function() g:close() end)()):next() end,
      function(g) local _ <close> = g end,
      function(g)
        local task = rille.spawn(function()
          local _ <close> = g
          rille.sleep(60)
        end)
        until_waiting(task)
        task:cancel()
        pcall(task.await, task)
      end,
    }
    for _, close in ipairs(closers) do
      local log = {}
      local g = waiting_generator(log)
      local waiting = start(g.next, g)
      close(g)
      assert.equal("cleanup", log[1])
      assert.equal("closed", g:status())
      has(select(2, waiting:await()), BY_ANOTHER)
    end
  end)

  it("R46 a hundred at once", function()
    local log, generators, waiting, closing = {}, {}, {}, {}
    for i = 1, 100 do
      generators[i] = waiting_generator(log, i)
      waiting[i] = rille.spawn(pcall, generators[i].next, generators[i])
    end
    turns()
    for i = 1, 100 do closing[i] = rille.spawn(generators[i].close, generators[i]) end
    for i = 1, 100 do
      closing[i]:await()
      has(select(2, waiting[i]:await()), BY_ANOTHER)
    end
    assert.equal(100, #log)
  end)

  it("R46 whatever the collector does", function()
    local g = rille.generator(function()
      local _ <close> = closer(function()
        collectgarbage()
        rille.sleep(0)
        collectgarbage()
      end)
      rille.sleep(60)
    end)()
    local waiting = start(g.next, g)
    collectgarbage()
    g:close()
    collectgarbage()
    has(select(2, waiting:await()), BY_ANOTHER)
  end)
end)

describe("close while another task waits in a chain of generators", function()
  it("R46 R92 of the outer one: the inner one is cleaned up first, the step gets the error", function()
    local log = {}
    local inner = waiting_generator(log, "inner")
    local outer = relay(inner, log, "outer")
    local waiting = start(outer.next, outer)
    outer:close()
    assert.equal("inner outer", table.concat(log, " "))
    assert.equal("closed", outer:status())
    assert.is_truthy(inner:status() == "closed" or inner:status() == "failed", inner:status())
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R46 R47 of the inner one: the outer one fails with the error, and passes it on", function()
    local log = {}
    local inner = waiting_generator(log, "inner")
    local outer = relay(inner, log, "outer")
    local waiting = start(outer.next, outer)
    inner:close()
    assert.equal("closed", inner:status())
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    assert.equal("failed", outer:status())
    assert.equal("inner outer", table.concat(log, " "))
    has(caught(outer.next, outer), "generator already failed")
  end)

  it("R46 R47 of the inner one: the outer one may catch the error and go on", function()
    local inner = waiting_generator({})
    local outer = rille.generator(function()
      has(caught(inner.next, inner), BY_ANOTHER)
      rille.sleep(0)
      coroutine.yield("went on")
    end)()
    local waiting = start(outer.next, outer)
    inner:close()
    assert.same({ true, "went on" }, { waiting:await() })
    outer:close()
  end)

  it("R46 of the one in the middle of three", function()
    local log = {}
    local a = waiting_generator(log, "a")
    local b = relay(a, log, "b")
    local c = relay(b, log, "c")
    local waiting = start(c.next, c)
    b:close()
    has(select(2, waiting:await()), BY_ANOTHER)
    assert.equal("a b c", table.concat(log, " "))
    assert.equal("closed", b:status())
    assert.equal("failed", c:status())
  end)

  it("R46 R92 of a chain of 200, every level waiting in its cleanup", function()
    local log = {}
    local g = waiting_generator(log, 0)
    for i = 1, 200 do g = relay(g, log, i) end
    local waiting = start(g.next, g)
    g:close()
    assert.equal(201, #log)
    for i = 0, 200 do assert.equal(i, log[i + 1]) end
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R46 through coroutines between the consumer and the generator", function()
    local log = {}
    local inner = waiting_generator(log, "inner")
    local waiting = start(function()
      return coroutine.wrap(function() return coroutine.wrap(inner.next)(inner) end)()
    end)
    inner:close()
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
  end)

end)

describe("close during close", function()
  it("R48 waits for the first, and each returns after the cleanup", function()
    local log = {}
    local g, gate = slow_to_close(log)
    local first = start(g.close, g)
    local others = {}
    for i = 1, 3 do others[i] = start(g.close, g) end
    turns()
    for i = 1, 3 do assert.equal("waiting", others[i]:status()) end
    assert.equal("closing", g:status())
    gate.open()
    assert.is_true((first:await()))
    for i = 1, 3 do assert.is_true((others[i]:await())) end
    assert.same({ "cleanup begins", "cleanup ends" }, log)
    assert.equal("closed", g:status())
  end)

  it("R48 each raises the cleanup's error; a later close does not", function()
    local mine = fault.new("EMINE", "mine")
    local g, gate = slow_to_close({}, mine)
    local first = start(g.close, g)
    local second = start(g.close, g)
    gate.open()
    for _, task in ipairs({ first, second }) do
      local ok, err = task:await()
      assert.is_false(ok)
      same_object(mine, err)
    end
    g:close()
  end)

  it("R48 R52 each gets what the body returns; a later close does not", function()
    local g, gate = slow_to_close({}, nil, "a", nil)
    local closing = { start(g.close, g), start(g.close, g), start(g.close, g) }
    gate.open()
    for _, task in ipairs(closing) do
      assert.same({ n = 3, true, "a" }, table.pack(task:await()))
    end
    assert.same({ n = 0 }, table.pack(g:close()))
    assert.same({ n = 0 }, table.pack(g:result()))
  end)

  it("R48 each gets the report that the body ignored close", function()
    local gate = new_gate()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      rille.shield(gate.wait)
      coroutine.yield(2)
    end)()
    g:next()
    local first = start(g.close, g)
    local second = start(g.close, g)
    gate.open()
    has(select(2, first:await()), "generator ignored close")
    has(select(2, second:await()), "generator ignored close")
  end)

  it("R48 R71 one that waits is cancelled alone; the cleanup and the others are not touched", function()
    local log = {}
    local g, gate = slow_to_close(log)
    local first = start(g.close, g)
    local second = rille.spawn(g.close, g)
    local third = start(g.close, g)
    until_waiting(second)
    second:cancel()
    turns()
    assert.same({ "cleanup begins" }, log)
    gate.open()
    assert.is_true((first:await()))
    assert.is_true((third:await()))
    pcall(second.await, second)
    assert.same({ "cleanup begins", "cleanup ends" }, log)
  end)

  it("R48 R71 the first is cancelled: the cleanup is done and the second returns", function()
    local log = {}
    local g, gate = slow_to_close(log)
    local first = rille.spawn(function()
      g:close()
      rille.sleep(60)
    end)
    until_waiting(first)
    local second = start(g.close, g)
    first:cancel()
    turns()
    assert.equal("waiting", second:status())
    gate.open()
    is_cancelled(caught(first.await, first))
    assert.is_true((second:await()))
    assert.same({ "cleanup begins", "cleanup ends" }, log)
  end)

  it("R48 the end of a loop is such a close", function()
    local log = {}
    local g, gate = slow_to_close(log)
    local loop = rille.spawn(function()
      local seen = {}
      do
        local _ <close> = g
        seen[1] = "left"
      end
      return seen[1]
    end)
    until_waiting(loop)
    local second = start(g.close, g)
    gate.open()
    assert.equal("left", loop:await())
    assert.is_true((second:await()))
    assert.same({ "cleanup begins", "cleanup ends" }, log)
  end)

  it("R46 R48 the loop whose step was ended waits for the close that another task began", function()
    local log = {}
    local gate = new_gate()
    local g = rille.generator(function()
      local _ <close> = closer(function()
        gate.wait()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()
    local loop = start(function()
      local _ <close> = closer(function() log[#log + 1] = "loop left" end)
      for _ in g:each() do error("an item") end
    end)
    local closing = start(g.close, g)
    turns()
    gate.open()
    assert.is_true((closing:await()))
    local ok, err = loop:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    assert.same({ "cleanup", "loop left" }, log)
  end)

  it("R80 next and throw during close are refused or ended at once, and do not hang", function()
    local log = {}
    local g, gate = slow_to_close(log)
    local closing = start(g.close, g)
    assert.equal("string", type(caught(g.next, g)))
    assert.equal("string", type(caught(g.throw, g, "thrown")))
    gate.open()
    assert.is_true((closing:await()))
    assert.is_nil((g:next()))
  end)

  it("R48 two generators whose cleanups close each other do not hang", function()
    local log = {}
    local a, b
    a = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "a"
        local ok, err = pcall(b.close, b)
        if not ok then log[#log + 1] = "refused: " .. tostring(err) end
      end)
      coroutine.yield(1)
    end)()
    b = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "b"
        local ok, err = pcall(a.close, a)
        if not ok then log[#log + 1] = "refused: " .. tostring(err) end
      end)
      coroutine.yield(1)
    end)()
    a:next()
    b:next()
    a:close()
    assert.equal("a", log[1])
    assert.equal("b", log[2])
    has(log[3], "refused")
    assert.equal("closed", a:status())
    assert.equal("closed", b:status())
  end)
end)

describe("close by another task with scopes open in the body", function()
  -- What the body does in its first step, and what its cleanup logs.
  local function opened(body)
    local g = rille.generator(function()
      body()
      coroutine.yield("not reached")
    end)()
    local waiting = start(g.next, g)
    turns()
    return g, waiting
  end

  local function ended(g, waiting)
    assert.equal("closed", g:status())
    local ok, err = waiting:await()
    assert.is_false(ok)
    has(err, BY_ANOTHER)
    rille.sleep(0)
  end

  it("R70 a timeout passes the close on, and does not claim it", function()
    local signal, outcome
    local g, waiting = opened(function()
      local _, err = pcall(rille.timeout, 60, function()
        local _, e = pcall(rille.sleep, 60)
        signal = e
        error(e, 0)
      end)
      outcome = err
      error(err, 0)
    end)
    g:close()
    assert.is_true(rille.is_error(signal, "ECLOSED"), tostring(signal))
    assert.is_true(rille.is_error(outcome, "ECLOSED"), tostring(outcome))
    ended(g, waiting)
  end)

  it("R70 a timeout that strikes during the cleanup of a close does not cut it short", function()
    local _ <close> = rille.test.clock() -- it does not strike before the close
    local log = {}
    local g, waiting = opened(function()
      rille.timeout(0.01, function()
        local _ <close> = closer(function()
          rille.sleep(0.03)
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end)
    end)
    pcall(g.close, g)
    assert.same({ "cleanup" }, log)
    ended(g, waiting)
  end)

  it("R46 R71 a close during the cleanup of a timeout that struck does not cut it short", function()
    local log = {}
    local gate = new_gate()
    local g, waiting = opened(function()
      rille.timeout(0.001, function()
        local _ <close> = closer(function()
          gate.wait()
          rille.sleep(0)
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end)
    end)
    while not gate.has_waiter() do rille.sleep(0) end
    local closing = start(g.close, g)
    turns()
    gate.open()
    closing:await()
    assert.same({ "cleanup" }, log)
    local ok = waiting:await()
    assert.is_false(ok)
    assert.is_truthy(g:status() == "closed" or g:status() == "failed", g:status())
  end)

  it("R46 a shield is waited for", function()
    local log = {}
    local gate = new_gate()
    local g, waiting = opened(function()
      rille.shield(function()
        gate.wait()
        rille.sleep(0)
        log[#log + 1] = "shielded"
      end)
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end)
    local closing = start(g.close, g)
    turns()
    assert.same({}, log)
    assert.equal("waiting", closing:status())
    gate.open()
    assert.is_true((closing:await()))
    assert.same({ "shielded" }, log)
    ended(g, waiting)
  end)

  it("R46 a group's children are cancelled and cleaned up before close returns", function()
    local log = {}
    local g, waiting = opened(function()
      rille.group(function(group)
        for i = 1, 3 do
          group:spawn(function()
            local _ <close> = closer(function(err)
              is_cancelled(err)
              rille.sleep(0)
              rille.sleep(0.001)
              log[#log + 1] = i
            end)
            rille.sleep(60)
          end)
        end
      end)
    end)
    g:close()
    table.sort(log)
    assert.same({ 1, 2, 3 }, log)
    ended(g, waiting)
  end)

  it("R46 a group whose fn waits is ended in the same way", function()
    local log = {}
    local g, waiting = opened(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "body"
      end)
      rille.group(function(group)
        group:spawn(function()
          local _ <close> = closer(function()
            rille.sleep(0.002)
            log[#log + 1] = "child"
          end)
          rille.sleep(60)
        end)
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "fn"
        end)
        rille.sleep(60)
      end)
    end)
    g:close()
    table.sort(log, function(a, b) return a ~= "body" and (b == "body" or a < b) end)
    assert.same({ "child", "fn", "body" }, log)
    ended(g, waiting)
  end)

  it("R46 a race's racers and the functions of rille.all are, too", function()
    for _, run in ipairs({ rille.race, rille.all }) do
      local log = {}
      local function f()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end
      local g, waiting = opened(function() run({ f, f }) end)
      g:close()
      assert.same({ "cleanup", "cleanup" }, log)
      ended(g, waiting)
    end
  end)

  it("R51 a scope whose fn swallows the close signal and returns does not end it", function()
    local reached
    local g, waiting = opened(function()
      rille.timeout(60, function()
        pcall(rille.sleep, 60)
        return "fine"
      end)
      rille.sleep(0)
      reached = true
    end)
    g:close()
    assert.is_nil(reached)
    ended(g, waiting)
  end)

  it("R74 the scope of the task that waited does not strike what the closing task cleans up", function()
    local _ <close> = rille.test.clock() -- it does not strike before the close
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0.02)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
    end)()
    local waiting = start(rille.timeout, 0.01, g.next, g)
    g:close()
    assert.same({ "cleanup" }, log)
    assert.is_false((waiting:await()))
    assert.equal("closed", g:status())
  end)

  it("R70 the scopes of the task that waited go on after it caught the error", function()
    local g = waiting_generator({})
    local waiting = start(function()
      return rille.timeout(60, function()
        has(caught(g.next, g), BY_ANOTHER)
        rille.sleep(0)
        return "went on"
      end)
    end)
    g:close()
    assert.same({ true, "went on" }, { waiting:await() })
  end)

  it("R46 a child of a group closes what its sibling waits for; the group fails with the error", function()
    local log = {}
    local g = waiting_generator(log)
    local err = caught(rille.group, function(group)
      until_waiting(group:spawn(function() g:next() end))
      group:spawn(function() g:close() end)
    end)
    has(err, BY_ANOTHER)
    assert.equal("cleanup", log[1])
    assert.equal("closed", g:status())
  end)

  it("R46 R49 a child of the body's own group that closes the generator is no deadlock", function()
    local g, refused
    g = rille.generator(function()
      rille.group(function(group)
        group:spawn(function()
          rille.sleep(0)
          local ok, err = pcall(g.close, g)
          refused = not ok and err
        end)
      end)
      coroutine.yield("item")
    end)()
    local ok, value = pcall(rille.timeout, 20, g.next, g)
    assert.is_false(rille.is_error(value, "ETIMEDOUT"), "it hangs")
    turns()
    if ok then
      assert.equal("item", value)
      assert.is_truthy(refused)
      g:close()
    end
    assert.equal("closed", g:status())
  end)
end)

describe("a body that steps or closes its own generator", function()
  it("R84 next, throw and close are errors, at once", function()
    local g, errors
    g = rille.generator(function()
      errors = {
        caught(g.next, g), caught(g.throw, g, "x"), caught(function() g() end), caught(g.close, g),
      }
      rille.sleep(0)
      errors[5] = caught(g.next, g)
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    for i, err in ipairs(errors) do
      has(err, i == 4 and "cannot close a running generator from inside it" or "already running")
    end
    assert.is_nil((g:next()))
  end)

  it("R84 from coroutines and generators that the body runs", function()
    local g, errors
    g = rille.generator(function()
      errors = {}
      coroutine.wrap(function()
        errors[1] = caught(g.next, g)
        rille.sleep(0)
        errors[2] = caught(g.next, g)
      end)()
      for _ in rille.generator(function()
        errors[3] = caught(g.next, g)
        rille.sleep(0)
        errors[4] = caught(g.throw, g, "x")
        coroutine.yield(1)
      end)() do break end
      rille.timeout(60, function()
        rille.sleep(0)
        errors[5] = caught(g.next, g)
      end)
      rille.shield(function() errors[6] = caught(g.next, g) end)
      rille.group(function() errors[7] = caught(g.next, g) end)
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    assert.equal(7, #errors)
    for _, err in ipairs(errors) do has(err, "already running") end
    g:close()
  end)

  it("R84 R49 in a cleanup while another task closes it", function()
    local g, errors
    g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        errors = { caught(g.next, g), caught(g.close, g), caught(g.throw, g, "x") }
      end)
      rille.sleep(60)
    end)()
    local waiting = start(g.next, g)
    g:close()
    assert.equal(3, #errors)
    has(errors[2], "cannot close a running generator from inside it")
    assert.equal("closed", g:status())
    has(select(2, waiting:await()), BY_ANOTHER)
  end)

  it("R84 two generators that step each other: the circle is refused, and both may go on", function()
    local a, b, err
    a = rille.generator(function()
      rille.sleep(0)
      coroutine.yield((b:next()))
    end)()
    b = rille.generator(function()
      rille.sleep(0)
      err = caught(a.next, a)
      coroutine.yield("b's item")
    end)()
    assert.equal("b's item", (a:next()))
    has(err, "already running")
    a:close()
    b:close()
  end)

  it("R84 two generators where the inner one closes the outer one: refused, and both may go on", function()
    local a, b, err
    a = rille.generator(function() coroutine.yield((b:next())) end)()
    b = rille.generator(function()
      rille.sleep(0)
      err = caught(a.close, a)
      coroutine.yield("b's item")
    end)()
    assert.equal("b's item", (a:next()))
    has(err, "cannot close a running generator from inside it")
    a:close()
    b:close()
  end)
end)
