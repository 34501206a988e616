-- Generators and errors: those of a body, of a loop and of a cleanup, and which of them is told (R29 to R40);
-- throw; signals that user code raises (R34); who is told what when a step is under way (R80).
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local json = require("rille.json")
local stream = require("rille.stream")
local process = require("spec.helper.process")
local expect = require("spec.helper.expect")
local generators = require("spec.helper.generators")

local caught, has, same_object, closer = expect.caught, expect.has, expect.same_object, expect.closer
local here, until_waiting = expect.here, expect.until_waiting
local counter, logged, relay = generators.counter, generators.logged, generators.relay
local close_signal, cancel_signal = generators.close_signal, generators.cancel_signal
local kind = generators.kind

-- A generator of one item whose cleanup fails.
local function failing_cleanup(err, waits)
  return rille.generator(function()
    local _ <close> = closer(function()
      if waits then rille.sleep(0) end
      error(err, 0)
    end)
    coroutine.yield(1)
  end)()
end

local function error_object() return select(2, pcall(json.decode, "{")) end

describe("rille.generator: errors", function()
  it("R29 an error in the body is the same object at the consumer", function()
    local values = { {}, setmetatable({}, { __tostring = function() return "x" end }), io.stdout,
      function() end, 42, 4.5, true, coroutine.create(print) }
    for _, waits in ipairs({ false, true }) do
      for i, value in ipairs(values) do
        local g = rille.generator(function()
          if waits then rille.sleep(0) end
          error(value, 0)
        end)()
        assert.is_true(rawequal(value, caught(g.next, g)), "value " .. i)
      end
    end
  end)

  it("R29 a string is not given a position again at each level", function()
    local source = (rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0)
      error("boom", 0)
    end)())
    local g = relay(relay(relay(source)))
    g:next()
    assert.equal("boom", caught(function() for _ in g:each() do rille.sleep(0) end end))
  end)

  it("R29 an error that has a position keeps that one only", function()
    local where
    local g = relay(relay((rille.generator(function()
      where = here() error("boom")
    end)())))
    local err = caught(function() g:next() end)
    assert.equal(where .. ": boom", err)
  end)

  it("R29 an error object passes through levels of generators untouched", function()
    local err = select(2, pcall(json.decode, "{"))
    local g = relay(relay((rille.generator(function() error(err, 0) end)())))
    assert.is_true(rawequal(err, caught(g.next, g)))
    assert.is_true(rille.is_error(err, "EJSON"))
  end)

  it("R32 cleanup ran once, before the error reached the consumer", function()
    local log = {}
    local ok = pcall(function()
      for _ in rille.generator(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "cleanup"
        end)
        coroutine.yield(1)
        error("x")
      end)() do log[#log + 1] = "item" end
    end)
    log[#log + 1] = "caught"
    assert.is_false(ok)
    assert.same({ "item", "cleanup", "caught" }, log)
  end)

  it("R33 next on a failed generator says that it failed, and why", function()
    local g = rille.generator(function() error("the cause", 0) end)()
    assert.equal("the cause", caught(g.next, g))
    assert.equal("failed", g:status())
    for _ = 1, 2 do
      local err = caught(g.next, g)
      has(err, "generator already failed")
      has(err, "the cause")
    end
    has(caught(function() for _ in g:each() do rille.sleep(0) end end), "the cause")
  end)

  it("R33 the cause of a failed generator may be a table", function()
    local cause = setmetatable({}, { __tostring = function() return "readable" end })
    local g = rille.generator(function() error(cause) end)()
    caught(g.next, g)
    has(caught(g.next, g), "readable")
  end)

  it("R34 the close signal raised by user code is converted", function()
    local signal = close_signal()
    for _, waits in ipairs({ false, true }) do
      local g = rille.generator(function()
        coroutine.yield(1)
        if waits then rille.sleep(0) end
        error(signal, 0)
      end)()
      g:next()
      local err = caught(g.next, g)
      assert.is_false(rawequal(err, signal))
      has(err, "generator raised the close signal")
      assert.equal("failed", g:status())
    end
  end)

  it("R34 the close signal thrown by a consumer is converted too", function()
    local signal = close_signal()
    local g = counter(2)()
    g:next()
    has(caught(g.throw, g, signal), "generator raised the close signal")
    assert.equal("failed", g:status())
  end)

  it("R34 the cancel signal raised by user code cancels nobody", function()
    local signal = cancel_signal()
    local task = rille.spawn(function()
      local g = rille.generator(function() error(signal, 0) end)()
      local ok, err = pcall(g.next, g)
      rille.sleep(0)
      rille.sleep(0)
      return ok, err, g:status()
    end)
    local ok, err, status = task:await()
    assert.is_false(ok)
    assert.is_not_nil(err)
    assert.equal("failed", status)
    assert.equal("done", task:status())
  end)

  it("R34 awaiting a cancelled task in a body is an ordinary error", function()
    local victim = rille.spawn(rille.sleep, 60)
    rille.sleep(0)
    victim:cancel()
    local task = rille.spawn(function()
      local g = rille.generator(function() victim:await() end)()
      local ok, err = pcall(g.next, g)
      rille.sleep(0)
      return ok, err
    end)
    local ok, err = task:await()
    assert.is_false(ok)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    assert.equal("done", task:status())
  end)

  it("R35 the end of an inner generator does not end the outer one", function()
    local seen = {}
    for v in rille.generator(function()
      local inner = counter(1, true)()
      coroutine.yield(inner:next())
      assert.is_nil((inner:next()))
      assert.is_nil((inner:next()))
      coroutine.yield("after")
    end)() do seen[#seen + 1] = v end
    assert.same({ 1, "after" }, seen)
  end)

  it("R36 an error in the loop body is not thrown into the generator", function()
    local seen
    local mine = {}
    local err = caught(function()
      for _ in rille.generator(function()
        local _, signal = pcall(coroutine.yield, 1)
        seen = signal
      end)() do error(mine) end
    end)
    assert.is_true(rawequal(mine, err))
    assert.is_not_nil(seen)
    assert.is_false(rawequal(mine, seen))
    assert.equal(kind(close_signal()), kind(seen))
  end)

  it("R37 the error of the loop body wins over one of the cleanup", function()
    for _, waits in ipairs({ false, true }) do
      for _, mine in ipairs({ "loop body", {}, false }) do
        local err = caught(function()
          for _ in rille.generator(function()
            local _ <close> = closer(function()
              if waits then rille.sleep(0) end
              error("cleanup")
            end)
            coroutine.yield(1)
          end)() do error(mine, 0) end
        end)
        assert.is_true(rawequal(mine, err))
      end
    end
  end)

  it("R37 an error object that won can tell of the suppressed one", function()
    local mine = select(2, pcall(json.decode, "{"))
    caught(function()
      for _ in rille.generator(function()
        local _ <close> = closer(function() error("cleanup went wrong") end)
        coroutine.yield(1)
      end)() do error(mine, 0) end
    end)
    has(rille.traceback(mine), "cleanup went wrong")
  end)

  it("R38 a cleanup error of a break, a return or a goto surfaces there", function()
    local mine = {}
    local gen = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        error(mine)
      end)
      coroutine.yield(1)
    end)
    local after = false
    assert.is_true(rawequal(mine, caught(function()
      for _ in gen() do break end
      after = true
    end)))
    assert.is_true(rawequal(mine, caught(function()
      for _ in gen() do return "value" end
    end)))
    assert.is_true(rawequal(mine, caught(function()
      do for _ in gen() do goto out end end
      ::out::
      after = true
    end)))
    assert.is_false(after)
  end)

  it("R38 a cleanup error surfaces at an explicit close, once", function()
    local g = rille.generator(function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      coroutine.yield(1)
    end)()
    g:next()
    assert.equal("cleanup", caught(g.close, g))
    g:close()
    g:close()
  end)

  it("R39 nil and false are errors like others", function()
    for _, waits in ipairs({ false, true }) do
      for _, value in ipairs({ false, "nil" }) do
        if value == "nil" then value = nil end
        local g = rille.generator(function()
          coroutine.yield(1)
          if waits then rille.sleep(0) end
          error(value)
        end)()
        g:next()
        local r = table.pack(pcall(g.next, g))
        assert.is_false(r[1])
        assert.is_true(rawequal(value, r[2]))
        assert.equal("failed", g:status())
        assert.is_false((pcall(g.next, g)))
        g:close()
      end
    end
  end)

  it("R39 error(nil) in the loop body closes and still is an error", function()
    local log = {}
    local r = table.pack(pcall(function()
      for _ in logged(log, "closed", true)() do error(nil) end
    end))
    assert.is_false(r[1])
    assert.is_nil(r[2])
    assert.same({ "closed" }, log)
  end)

  it("R39 a cleanup error replaces error(nil), as it would a break", function()
    local err = caught(function()
      for _ in rille.generator(function()
        local _ <close> = closer(function() error("cleanup", 0) end)
        coroutine.yield(1)
      end)() do error(nil) end
    end)
    assert.equal("cleanup", err)
  end)

  it("an error in a cleanup replaces the body's own error inside the body", function()
    local first, log = {}, {}
    local g = rille.generator(function()
      local _ <close> = closer(function(err)
        log[1] = err
        rille.sleep(0)
        error("second", 0)
      end)
      error(first)
    end)()
    assert.equal("second", caught(g.next, g))
    assert.is_true(rawequal(first, log[1]))
  end)
end)

describe("rille.generator: throw", function()
  it("raises at the pending yield and returns the next item", function()
    local mine = {}
    local g = rille.generator(function()
      local ok, err = pcall(coroutine.yield, 1)
      rille.sleep(0)
      coroutine.yield(ok, err, nil)
    end)()
    g:next()
    local r = table.pack(g:throw(mine))
    assert.equal(3, r.n)
    assert.is_false(r[1])
    assert.is_true(rawequal(mine, r[2]))
    g:close()
  end)

  it("comes back as the same object when the body does not catch it", function()
    local log, mine = {}, {}
    local g = logged(log, "cleanup", true)()
    g:next()
    assert.is_true(rawequal(mine, caught(g.throw, g, mine)))
    assert.same({ "cleanup" }, log)
    assert.equal("failed", g:status())
  end)

  it("does not add a position to a string", function()
    local g = counter(2)()
    g:next()
    assert.equal("plain", caught(g.throw, g, "plain"))
  end)

  it("raises nil and false too", function()
    local seen
    local g = rille.generator(function()
      seen = { pcall(coroutine.yield, 1) }
      coroutine.yield(2)
    end)()
    g:next()
    assert.equal(2, (g:throw(false)))
    assert.same({ false, false }, seen)
    local r = table.pack(pcall(g.throw, g, nil))
    assert.is_false(r[1])
    assert.is_nil(r[2])
    assert.equal("failed", g:status())
  end)

  it("returns nil when the body catches it and returns", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      return "result"
    end)()
    g:next()
    assert.is_nil((g:throw("x")))
    assert.equal("exhausted", g:status())
    assert.equal("result", (g:result()))
  end)

  it("at a created generator raises without running the body", function()
    local ran, mine = false, {}
    local g = rille.generator(function() ran = true end)()
    assert.is_true(rawequal(mine, caught(g.throw, g, mine)))
    assert.is_false(ran)
    assert.is_not.equal("created", g:status())
  end)

  it("at an exhausted or closed generator gives no item and changes no state", function()
    local g = counter(0)()
    g:next()
    local ok, v = pcall(g.throw, g, "late")
    assert.is_true(not ok or v == nil)
    assert.equal("exhausted", g:status())
    assert.is_nil((g:next()))
    g = counter(1)()
    g:close()
    ok, v = pcall(g.throw, g, "late")
    assert.is_true(not ok or v == nil)
    assert.equal("closed", g:status())
  end)

  it("reaches the innermost pcall only", function()
    local log = {}
    local g = rille.generator(function()
      pcall(function()
        log[#log + 1] = select(2, pcall(coroutine.yield, 1))
        log[#log + 1] = "inner went on"
        coroutine.yield(2)
      end)
      log[#log + 1] = "outer went on"
    end)()
    g:next()
    assert.equal(2, (g:throw("a")))
    assert.is_nil((g:throw("b")))
    assert.same({ "a", "inner went on", "outer went on" }, log)
  end)

  it("may be repeated at every yield", function()
    local g = rille.generator(function()
      local err = 0
      for _ = 1, 50 do err = err + select(2, pcall(coroutine.yield, err)) end
      return err
    end)()
    g:next()
    for i = 1, 49 do assert.equal(i, (g:throw(1))) end
    assert.is_nil((g:throw(1)))
    assert.equal(50, (g:result()))
  end)
end)

describe("a generator that has failed", function()
  it("R33 because its consumer was cancelled says so, and does not end in silence", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(60)
    end)()
    local task = rille.spawn(function() for _ in g:keep() do rille.sleep(0) end end)
    until_waiting(task)
    while g:status() ~= "waiting" do rille.sleep(0) end
    task:cancel()
    caught(task.await, task)
    assert.equal("failed", g:status())
    for _, again in ipairs({ g.next, g, function() for _ in g:each() do break end end }) do
      local err = caught(again, g)
      has(err, "generator already failed")
      has(err, "cancel")
    end
  end)

  it("R33 because of nil or false says that it failed, too", function()
    for _, value in ipairs({ false, "nil" }) do
      local g = rille.generator(function()
        if value == "nil" then error(nil) end
        error(value)
      end)()
      pcall(g.next, g)
      has(caught(g.next, g), "generator already failed")
      has(caught(function() for _ in g:each() do break end end), "generator already failed")
    end
  end)

  it("R33 by an error thrown into it says which", function()
    local g = rille.generator(function() coroutine.yield(1) end)()
    g:next()
    assert.equal("thrown", caught(g.throw, g, "thrown"))
    has(caught(g.next, g), "generator already failed: thrown")
  end)

  it("R33 R17 may fail at any item: all before it have come, and the end is no end", function()
    for at = 0, 3 do
      local g = rille.generator(function()
        for i = 1, at do
          if i % 2 == 0 then rille.sleep(0) end
          coroutine.yield(i)
        end
        error("the cause", 0)
      end)()
      local seen = {}
      assert.equal("the cause", caught(function() for v in g:each() do seen[#seen + 1] = v end end))
      assert.equal(at, #seen)
      has(caught(g.next, g), "generator already failed: the cause")
    end
  end)

  it("R32 has cleaned up once, whatever is called later", function()
    local count = 0
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        count = count + 1
      end)
      error("x")
    end)()
    caught(g.next, g)
    assert.equal(1, count)
    caught(g.next, g)
    g:close()
    caught(g.throw, g, "y")
    for _ = 1, 2 do collectgarbage() end
    assert.equal(1, count)
  end)
end)

describe("a signal that user code raises", function()
  -- What a task gets, and how the generator ends, whose body raises the signal.
  local function raising(signal, waits)
    local task = rille.spawn(function()
      local g = rille.generator(function()
        coroutine.yield(1)
        if waits then rille.sleep(0) end
        error(signal, 0)
      end)()
      g:next()
      local err = caught(g.next, g)
      rille.sleep(0)
      has(caught(g.next, g), "generator already failed")
      return err, g:status()
    end)
    local err, status = task:await()
    assert.equal("done", task:status())
    return err, status
  end

  it("R34 the close signal in a body is an error that names it, and closes nothing", function()
    local signal = close_signal()
    for _, waits in ipairs({ false, true }) do
      local err, status = raising(signal, waits)
      assert.is_false(rawequal(err, signal))
      has(err, "generator raised the close signal")
      assert.equal("failed", status)
    end
  end)

  it("R34 the signal of a cancelled task in a body is an error like others, and cancels nobody", function()
    local signal = cancel_signal()
    for _, waits in ipairs({ false, true }) do
      local err, status = raising(signal, waits)
      same_object(signal, err)
      assert.equal("failed", status)
    end
  end)

  it("R34 in a loop's body is an error of the loop: the generator is closed", function()
    for _, signal in ipairs({ close_signal(), cancel_signal() }) do
      local log = {}
      local g = rille.generator(function()
        local _ <close> = closer(function() log[#log + 1] = "cleanup" end)
        coroutine.yield(1)
      end)()
      local err = caught(function() for _ in g:each() do error(signal, 0) end end)
      same_object(signal, err)
      assert.same({ "cleanup" }, log)
      assert.equal("closed", g:status())
      rille.sleep(0)
    end
  end)

  it("R34 in a task ends that task only, as a failure or a cancellation", function()
    for _, signal in ipairs({ close_signal(), cancel_signal() }) do
      local task = rille.spawn(function()
        rille.sleep(0)
        error(signal, 0)
      end)
      caught(task.await, task)
      assert.is_truthy(task:status() == "failed" or task:status() == "cancelled")
      rille.sleep(0)
    end
  end)
end)

describe("an error of a cleanup", function()
  it("R37 beside an error object is in its list of suppressed ones, as it is", function()
    for _, waits in ipairs({ false, true }) do
      local mine, other = error_object(), error_object()
      local err = caught(function() for _ in failing_cleanup(other, waits) do error(mine, 0) end end)
      same_object(mine, err)
      assert.equal(1, #mine.suppressed)
      same_object(other, mine.suppressed[1])
    end
  end)

  it("R37 of nested loops: all are told of, the innermost first", function()
    local mine = error_object()
    same_object(mine, caught(function()
      for _ in failing_cleanup("outer fault") do
        for _ in failing_cleanup("inner fault", true) do error(mine, 0) end
      end
    end))
    assert.same({ "inner fault", "outer fault" }, mine.suppressed)
    has(rille.traceback(mine), "inner fault")
    has(rille.traceback(mine), "outer fault")
  end)

  it("R37 beside a string or a plain table is told in the story", function()
    local readable = setmetatable({}, { __tostring = function() return "readable" end })
    for _, mine in ipairs({ "a text", {}, readable }) do
      local err = caught(function() for _ in failing_cleanup("fault", true) do error(mine, 0) end end)
      same_object(mine, err)
      has(rille.traceback(err), "suppressed: fault")
    end
  end)

  it("R37 beside the cancellation of the consumer is reported, and does not hide it", function()
    local done = process.script([[
      local rille = require "rille"
      local gen = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function()
          rille.sleep(0)
          error("cleanup fault", 0)
        end })
        coroutine.yield(1)
      end)
      local task = rille.spawn(function() for _ in gen() do rille.sleep(60) end end)
      rille.sleep(0)
      task:cancel()
      local ok, err = pcall(task.await, task)
      print(ok, rille.is_error(err, "ECANCELED"), task:status())
    ]])
    assert.same({ 0, "false\ttrue\tcancelled\n" }, { done.status, done.stdout })
    has(done.stderr, "cleanup fault")
  end)

  it("R38 of nested loops left by one return: the inner one surfaces, the outer one is suppressed", function()
    local inner, outer = error_object(), error_object()
    local err = caught(function()
      for _ in failing_cleanup(outer) do
        for _ in failing_cleanup(inner, true) do return "value" end
      end
    end)
    same_object(inner, err)
    same_object(outer, inner.suppressed[1])
  end)
end)

describe("an error that one of a <close> handler replaces", function()
  local function fails(err, waits)
    return closer(function()
      if waits then rille.sleep(0) end
      error(err, 0)
    end)
  end

  -- Calls f where its error ends a coroutine, or a call that is protected by the host.
  local bases = {
    ["a generator"] = function(f) return rille.generator(f)():next() end,
    ["a coroutine"] = function(f) return coroutine.wrap(f)() end,
    ["rille.timeout"] = function(f) return rille.timeout(60, f) end,
    ["rille.shield"] = function(f) return rille.shield(f) end,
    ["rille.group"] = function(f) return rille.group(f) end,
    ["a child of a group"] = function(f) return rille.group(function(group) group:spawn(f) end) end,
    ["rille.all"] = function(f) return rille.all({ f }) end,
    ["an inner generator"] = function(f)
      return rille.generator(function() stream.yield_from(rille.generator(f)()) end)():next()
    end,
  }

  for name, call in pairs(bases) do
    it("R40 in " .. name .. " is attached to it", function()
      for _, waits in ipairs({ false, true }) do
        local first, second = error_object(), error_object()
        same_object(second, caught(call, function()
          local _ <close> = fails(second, waits)
          error(first)
        end))
        assert.equal(1, #second.suppressed)
        same_object(first, second.suppressed[1])
        assert.is_nil(first.suppressed)
      end
    end)
  end

  it("R40 is told in the story of a string", function()
    local err = caught(bases["a generator"], function()
      local _ <close> = fails("second fault", true)
      error("first fault")
    end)
    assert.equal("second fault", err)
    has(rille.traceback(err), "suppressed: spec/generator_error_spec.lua:")
    has(rille.traceback(err), "first fault")
  end)

  it("R40 is told in the story of the last of several, in order", function()
    local err = caught(bases["a generator"], function()
      local _ <close> = fails("fourth fault", true)
      local _ <close> = fails(nil, true)
      local _ <close> = fails("second fault", true)
      error("first fault", 0)
    end)
    assert.equal("fourth fault", err)
    has(rille.traceback(err),
      "\nsuppressed: first fault\nsuppressed: second fault\nsuppressed: (error object is a nil value)")
  end)

  it("R40 may come from a generator in its turn", function()
    local first, second, third = error_object(), error_object(), error_object()
    same_object(third, caught(bases["a generator"], function()
      local _ <close> = fails(third)
      local _ <close> = closer(function() rille.generator(function() error(second) end)():next() end)
      error(first)
    end))
    assert.equal(1, #third.suppressed)
    same_object(second, third.suppressed[1])
    assert.equal(1, #second.suppressed)
    same_object(first, second.suppressed[1])
  end)

  it("R40 R37 may be one that has no text: what is raised arrives", function()
    local broken = setmetatable({}, { __tostring = function() error("no text") end })
    for _, waits in ipairs({ false, true }) do
      for _, name in ipairs({ "a generator", "rille.timeout" }) do
        local err = caught(bases[name], function()
          local _ <close> = fails("second fault", waits)
          error(broken)
        end)
        assert.equal("second fault", err)
        has(rille.traceback(err), "suppressed: (error object is a table value)")
      end
    end
    assert.equal("loop fault", caught(function()
      for _ in failing_cleanup(broken) do error("loop fault", 0) end
    end))
  end)

  it("R40 is not attached to itself, nor what was caught to what comes later", function()
    local first, second = error_object(), error_object()
    same_object(second, caught(bases["a generator"], function()
      pcall(rille.timeout, 60, error, first)
      pcall(error, first)
      local _ <close> = closer(function(err) error(err) end)
      local _ <close> = closer(function() pcall(rille.timeout, 60, error, first) end)
      error(second)
    end))
    assert.is_nil(second.suppressed)
    assert.is_nil(rille.traceback(second):find("suppressed", 1, true))
  end)

  it("R40 is garbage when the generator is", function()
    local weak = setmetatable({}, { __mode = "v" })
    local function fail()
      local first = error_object()
      weak[1] = first
      caught(bases["a generator"], function()
        local _ <close> = fails({})
        error(first)
      end)
    end
    fail()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
  end)
end)

describe("a step while another one is under way", function()
  it("R80 is refused at once: it says who waits where, and for what", function()
    local made, waits, resume
    local g = rille.generator(function()
      waits = here() coroutine.yield((rille.callback(function(r) resume = r end)))
      coroutine.yield("second")
    end)()
    local task = rille.spawn(function()
      made = here() return (g:next())
    end)
    task.name = "A"
    until_waiting(task)
    for _, step in ipairs({
      function() g:next() end,
      function() g() end,
      function() g:throw("x") end,
      function() for _ in g:keep() do break end end,
    }) do
      local err = caught(step)
      has(err, "generator already running: task 'A' is waiting in next() since " .. made)
      has(err, "body awaits callback at " .. waits)
    end
    assert.equal("waiting", g:status())
    resume("first")
    assert.equal("first", task:await())
    assert.equal("second", (g:next()))
    g:close()
  end)

  it("R80 a loop that is refused does not end the step of the other task", function()
    local gate = expect.new_gate()
    local g = rille.generator(function()
      gate.wait()
      coroutine.yield("item")
    end)()
    local task = rille.spawn(function() return (g:next()) end)
    until_waiting(task)
    has(caught(function() for _ in g:keep() do break end end), "generator already running")
    gate.open()
    assert.equal("item", task:await())
    g:close()
  end)
end)
