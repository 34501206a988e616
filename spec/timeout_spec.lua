-- rille.timeout and rille.shield; and what a yield does with a scope that is open in its body.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")

local caught, has, same_object, closer = expect.caught, expect.has, expect.same_object, expect.closer
local here, until_waiting, turns = expect.here, expect.until_waiting, expect.turns

local function timed_out(err)
  assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
  return err
end

local function is_cancelled(err)
  assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
  return err
end

-- Waits for long; its cleanup waits and then adds a line to the log.
local function sleeper(log, name, failure)
  local _ <close> = closer(function()
    rille.sleep(0)
    rille.sleep(0.001)
    log[#log + 1] = name
    if failure ~= nil then error(failure, 0) end
  end)
  rille.sleep(60)
  log[#log + 1] = name .. " was not cancelled"
end

describe("rille.timeout", function()
  it("passes arguments and results with their count and nils", function()
    for _, waits in ipairs({ false, true }) do
      local function f(...)
        if waits then rille.sleep(0) end
        return select("#", ...), ...
      end
      assert.same({ n = 4, 3, nil, 2 }, table.pack(rille.timeout(60, f, nil, 2, nil)))
      assert.same({ n = 1, 0 }, table.pack(rille.timeout(60, f)))
    end
    assert.same({ n = 0 }, table.pack(rille.timeout(60, function() end)))
  end)

  it("raises ETIMEDOUT if fn is not done in time", function()
    local err = timed_out(caught(rille.timeout, 0.001, rille.sleep, 60))
    assert.equal("string", type(err.message))
    assert.is_nil(tostring(err):find("\n", 1, true))
    assert.is_nil(err.suppressed)
    rille.sleep(0)
  end)

  it("R29 raises an error of fn as the same value", function()
    for _, value in ipairs({ "text", false, {}, fault.new("EMINE", "mine"), "nil" }) do
      if value == "nil" then value = nil end
      for _, waits in ipairs({ false, true }) do
        local r = table.pack(pcall(rille.timeout, 60, function()
          if waits then rille.sleep(0) end
          error(value, 0)
        end))
        assert.is_false(r[1])
        assert.equal(2, r.n)
        same_object(value, r[2])
      end
    end
  end)

  it("never interrupts what does not wait, even with 0 seconds", function()
    assert.same({ n = 3, 1, nil, nil }, table.pack(rille.timeout(0, function() return 1, nil, nil end)))
    assert.equal("done", rille.timeout(0.001, function()
      local start = rille.now()
      while rille.now() < start + 0.003 do start = start + 0 end
      return "done"
    end))
    rille.sleep(0)
  end)

  it("with 0 seconds ends at a wait that goes on", function()
    timed_out(caught(rille.timeout, 0, rille.sleep, 60))
    timed_out(caught(rille.timeout, 0, function() rille.callback(function() end) end))
    rille.sleep(0)
  end)

  it("of the past strikes nobody", function()
    local clock <close> = rille.test.clock()
    for _ = 1, 20 do rille.timeout(1, function() return 1 end) end
    for _ = 1, 20 do rille.timeout(2, rille.sleep, 0) end
    rille.sleep(5)
    local task = rille.spawn(function()
      rille.timeout(2, rille.sleep, 1)
      rille.sleep(5)
      return clock:now()
    end)
    assert.equal(11, task:await())
  end)

  it("R63 cleanup may wait, and is done before the error is raised", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, sleeper, log, "cleanup"))
    assert.same({ "cleanup" }, log)
    rille.sleep(0)
  end)

  it("R40 an error of the cleanup is attached", function()
    local log = {}
    local err = timed_out(caught(rille.timeout, 0.001, sleeper, log, "cleanup", "cleanup failed"))
    assert.same({ "cleanup failed" }, err.suppressed)
    has(rille.traceback(err), "cleanup failed")
    local mine = {}
    err = timed_out(caught(rille.timeout, 0.001, sleeper, log, "cleanup", mine))
    same_object(mine, err.suppressed[1])
    err = timed_out(caught(rille.timeout, 0.001, function()
      pcall(rille.sleep, 60)
      error(nil)
    end))
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    err = timed_out(caught(rille.timeout, 0.001, sleeper, log, "cleanup", false))
    assert.same({ false }, err.suppressed)
  end)

  it("R66 reports ETIMEDOUT though fn swallows the signal and returns", function()
    timed_out(caught(rille.timeout, 0.001, function()
      pcall(rille.sleep, 60)
      return "fine"
    end))
    timed_out(caught(rille.timeout, 0.001, function()
      xpcall(rille.sleep, debug.traceback, 60)
      return "fine"
    end))
    timed_out(caught(rille.timeout, 0.001, function()
      coroutine.resume(coroutine.create(rille.sleep), 60)
      return "fine"
    end))
    rille.sleep(0)
  end)

  it("R66 an error that fn raises instead is attached", function()
    local err = timed_out(caught(rille.timeout, 0.001, function()
      pcall(rille.sleep, 60)
      error("instead", 0)
    end))
    assert.same({ "instead" }, err.suppressed)
  end)

  it("R66 the signal is raised again at each wait, and ends with the timeout", function()
    local count = 0
    timed_out(caught(rille.timeout, 0.001, function()
      for _ = 1, 10 do
        if not pcall(rille.sleep, 60) then count = count + 1 end
      end
    end))
    assert.equal(10, count)
    rille.sleep(0)
    rille.timeout(60, rille.sleep, 0)
  end)

  it("R66 a fn that always catches the signal is ended after 100 times, and the task goes on", function()
    local count = 0
    timed_out(caught(rille.timeout, 0.001, function()
      while true do
        count = count + 1
        pcall(rille.sleep, 60)
      end
    end))
    assert.is_true(count > 50 and count <= 102, count)
    rille.sleep(0)
    count = 0
    timed_out(caught(rille.timeout, 0.001, function()
      local _ <close> = closer(function()
        assert.is_false((pcall(error, "a cleanup catches its own errors")))
        rille.sleep(0)
        count = -1
      end)
      while true do xpcall(coroutine.wrap(rille.sleep), debug.traceback, 60) end
    end))
    assert.equal(-1, count)
  end)

  it("nested: the inner one strikes first and the outer one goes on", function()
    assert.equal("went on", rille.timeout(60, function()
      timed_out(caught(rille.timeout, 0.001, rille.sleep, 60))
      rille.sleep(0.001)
      return "went on"
    end))
  end)

  it("R70 nested: the outer one strikes, and the inner one does not claim it", function()
    local inner, reached
    local outer = timed_out(caught(rille.timeout, 0.001, function()
      inner = caught(rille.timeout, 60, rille.sleep, 60)
      rille.sleep(0)
      reached = true
    end))
    assert.is_nil(reached)
    is_cancelled(inner)
    assert.is_nil(outer.suppressed)
  end)

  it("R70 nested three deep: the one in the middle strikes, only it is ended", function()
    local log = {}
    assert.equal("outer went on", rille.timeout(60, function()
      timed_out(caught(rille.timeout, 0.001, function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "middle cleanup"
        end)
        rille.timeout(60, sleeper, log, "inner cleanup")
        log[#log + 1] = "not reached"
      end))
      rille.sleep(0)
      return "outer went on"
    end))
    assert.same({ "inner cleanup", "middle cleanup" }, log)
  end)

  it("nested with one deadline: one time-out is raised, after the cleanup", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, rille.timeout, 0.001, sleeper, log, "cleanup"))
    assert.same({ "cleanup" }, log)
    rille.sleep(0)
  end)

  it("nested: the outer one strikes during the inner one's cleanup, which is not cut short", function()
    local clock <close> = rille.test.clock()
    local log = {}
    timed_out(caught(rille.timeout, 3, function()
      pcall(rille.timeout, 1, function()
        local _ <close> = closer(function()
          rille.sleep(10)
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end)
      log[#log + 1] = "inner ended"
      rille.sleep(60)
      log[#log + 1] = "not reached"
    end))
    assert.same({ "cleanup", "inner ended" }, log)
    assert.equal(11, clock:now())
  end)

  it("a timeout inside a cleanup that waits may strike there", function()
    local inner
    timed_out(caught(rille.timeout, 0.001, function()
      local _ <close> = closer(function()
        inner = caught(rille.timeout, 0.001, rille.sleep, 60)
      end)
      rille.sleep(60)
    end))
    timed_out(inner)
  end)

  it("R70 a task that is cancelled inside it is cancelled, not timed out", function()
    local seen
    local task = rille.spawn(function()
      rille.timeout(60, function()
        local ok, err = pcall(rille.sleep, 60)
        seen = err
        assert(ok, err)
      end)
    end)
    until_waiting(task)
    task:cancel("outside")
    has(is_cancelled(caught(task.await, task)), "outside")
    is_cancelled(seen)
    assert.equal("cancelled", task:status())
  end)

  it("R66 a task that is cancelled inside it is cancelled, though fn returns", function()
    local task = rille.spawn(function()
      rille.timeout(60, function()
        pcall(rille.sleep, 60)
        return "fine"
      end)
      rille.sleep(0)
      error("not reached")
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.equal("cancelled", task:status())
  end)

  it("R63 a task that is cancelled during the cleanup of its time-out finishes it", function()
    local log, cleaning = {}, false
    local task = rille.spawn(function()
      pcall(rille.timeout, 0.001, function()
        local _ <close> = closer(function()
          cleaning = true
          turns(10)
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end)
      log[#log + 1] = "ended"
      rille.sleep(60)
      log[#log + 1] = "lost"
    end)
    while not cleaning do rille.sleep(0) end
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.same({ "cleanup", "ended" }, log)
  end)

  it("strikes a task's await, and leaves the task that is awaited alone", function()
    local clock <close> = rille.test.clock()
    local task = rille.spawn(function()
      rille.sleep(10)
      return "result"
    end)
    timed_out(caught(rille.timeout, 1, task.await, task))
    assert.equal(1, clock:now())
    assert.equal("result", task:await())
    assert.equal(10, clock:now())
  end)

  it("strikes inside coroutines, at any depth", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, function()
      coroutine.wrap(function()
        coroutine.wrap(function() sleeper(log, "cleanup") end)()
      end)()
    end))
    assert.same({ "cleanup" }, log)
    rille.sleep(0)
  end)

  it("cancels a group, its children cleaned up before it raises", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, rille.group, function(group)
      group:spawn(sleeper, log, "child")
      group:spawn(sleeper, log, "child")
    end))
    assert.same({ "child", "child" }, log)
    rille.sleep(0)
  end)

  it("cancels rille.all and rille.race in the same way", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, rille.all, { function() sleeper(log, "all") end }))
    timed_out(caught(rille.timeout, 0.001, rille.race, { function() sleeper(log, "race") end }))
    assert.same({ "all", "race" }, log)
  end)

  it("R29 its error is the group's first error if a child times out", function()
    local log = {}
    timed_out(caught(rille.group, function(group)
      group:spawn(sleeper, log, "sibling")
      group:spawn(rille.timeout, 0.001, rille.sleep, 60)
    end))
    assert.same({ "sibling" }, log)
  end)

  it("two tasks have their own", function()
    local log = {}
    rille.group(function(group)
      group:spawn(function()
        timed_out(caught(rille.timeout, 0.002, rille.sleep, 60))
        log[#log + 1] = "timed out"
      end)
      group:spawn(function()
        rille.timeout(60, rille.sleep, 0.02)
        log[#log + 1] = "in time"
      end)
    end)
    assert.same({ "timed out", "in time" }, log)
  end)

  it("R104 where nothing may wait a wait inside it is an error, and it leaves nothing open", function()
    local err = caught(table.sort, { 2, 1 }, function(a, b)
      rille.timeout(60, rille.sleep, 0)
      return a < b
    end)
    has(err, "table.sort")
    rille.sleep(0)
    local seen = {}
    for v in rille.generator(function()
      pcall(table.sort, { 2, 1 }, function() rille.timeout(60, rille.sleep, 0) end)
      coroutine.yield("no scope is open")
    end)() do seen[#seen + 1] = v end
    assert.same({ "no scope is open" }, seen)
  end)

  it("refuses what is no duration and no function", function()
    local ran
    local function f() ran = true end
    for _, bad in ipairs({ -1, 0 / 0, 1 / 0, 1e9, "soon", {}, true }) do
      has(caught(function() rille.timeout(bad, f) end), "bad argument #1 to 'timeout'")
    end
    has(caught(function() rille.timeout() end), "bad argument #1 to 'timeout'")
    has(caught(function() rille.timeout(1) end), "bad argument #2 to 'timeout'")
    has(caught(function() rille.timeout(1, 42) end), "bad argument #2 to 'timeout'")
    assert.is_nil(ran)
  end)

  it("a thousand of them, nested a hundred deep and side by side", function()
    local function nest(depth)
      if depth == 0 then
        rille.sleep(0)
        return "bottom"
      end
      return rille.timeout(60, nest, depth - 1)
    end
    local fns = {}
    for i = 1, 10 do fns[i] = function() return nest(100) end end
    for _, result in ipairs(rille.all(fns)) do assert.equal("bottom", result) end
  end)
end)

describe("rille.timeout around a generator's step", function()
  it("R74 applies to what the body waits for, and the body cleans up first", function()
    local log, seen = {}, nil
    local g = rille.generator(function()
      coroutine.yield(1)
      local _ <close> = closer(function(err)
        seen = err
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
      coroutine.yield(2)
    end)()
    assert.equal(1, (rille.timeout(60, g.next, g)))
    timed_out(caught(rille.timeout, 0.001, g.next, g))
    assert.same({ "cleanup" }, log)
    assert.is_true(rille.is_error(seen))
    rille.sleep(0)
  end)

  it("R74 a scope of the consumer does not forbid the body's yield", function()
    local g = rille.generator(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)()
    local seen = {}
    assert.equal(1, (rille.timeout(60, g.next, g)))
    assert.equal(2, (rille.shield(g.next, g)))
    rille.group(function() seen[1] = g:next() end)
    assert.same({ 3 }, seen)
    assert.is_nil((rille.timeout(60, g.next, g)))
  end)

  it("R74 a step begun in one scope does not carry it to the next step", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0.005)
      coroutine.yield(2)
    end)()
    assert.equal(1, (rille.timeout(0.002, g.next, g)))
    assert.equal(2, (g:next()))
    g:close()
  end)

  it("R64 R65 the generator has failed, and a later next says by what and where", function()
    local g = rille.generator(function()
      rille.sleep(60)
      coroutine.yield(1)
    end)()
    local where
    local err = caught(function()
      where = here() rille.timeout(0.001, g.next, g)
    end)
    timed_out(err)
    assert.equal("failed", g:status())
    for _ = 1, 2 do
      local later = caught(g.next, g)
      has(later, "generator already failed")
      has(later, "timeout")
      has(later, where)
    end
    g:close()
  end)

  it("R65 the loop that comes later is told too", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(60)
    end)()
    g:next()
    timed_out(caught(rille.timeout, 0.001, g.next, g))
    has(caught(function() for _ in g:each() do break end end), "generator already failed")
  end)

  it("R64 through a chain: every generator on the way has failed, innermost cleanup first", function()
    local log = {}
    local function layer(inner, name)
      return (rille.generator(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = name
        end)
        if inner then
          for v in inner:each() do coroutine.yield(v) end
        else
          coroutine.yield(1)
          rille.sleep(60)
        end
      end)())
    end
    local a = layer(nil, "a")
    local b = layer(a, "b")
    local c = layer(b, "c")
    assert.equal(1, (c:next()))
    timed_out(caught(rille.timeout, 0.001, c.next, c))
    assert.same({ "a", "b", "c" }, log)
    for _, g in ipairs({ a, b, c }) do assert.equal("failed", g:status()) end
  end)

  it("R62 a generator that is suspended when the time-out strikes in the loop's body is closed", function()
    local seen
    local g = rille.generator(function()
      local _ <close> = closer(function(err)
        seen = err
        rille.sleep(0)
      end)
      while true do coroutine.yield(1) end
    end)()
    timed_out(caught(rille.timeout, 0.001, function()
      for _ in g:each() do rille.sleep(60) end
    end))
    assert.is_true(rille.is_error(seen, "ECLOSED"), tostring(seen))
    assert.equal("closed", g:status())
  end)

  it("R68 a timeout of each step is not charged for the loop's body", function()
    local g = rille.generator(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)()
    local seen, _ <close> = {}, rille.test.clock()
    for v in function() return rille.timeout(0.5, g.next, g) end do
      rille.timeout(60, rille.sleep, 0.002)
      seen[#seen + 1] = v
    end
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("R69 an item that comes before the time-out is kept, and the next is asked for anew", function()
    local g = rille.generator(function()
      for i = 1, 50 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)()
    local last = 0
    while true do
      local ok, v = pcall(rille.timeout, 0.0005, g.next, g)
      if not ok then
        timed_out(v)
        has(caught(g.next, g), "generator already failed")
        break
      end
      if not v then break end
      assert.equal(last + 1, v)
      last = v
    end
  end)

  it("R70 R33 the time-out of one task fails the generator for another, as an error", function()
    local g = rille.generator(function()
      rille.sleep(60)
      coroutine.yield(1)
    end)()
    local task = rille.spawn(function() return caught(rille.timeout, 0.001, g.next, g) end)
    timed_out(task:await())
    local err = caught(g.next, g)
    assert.is_false(rille.is_error(err, "ETIMEDOUT"))
    has(err, "generator already failed")
  end)

  it("R71 a time-out that strikes inside close does not cut the cleanup short", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0.005)
        log[#log + 1] = "cleanup"
      end)
      coroutine.yield(1)
    end)()
    g:next()
    pcall(rille.timeout, 0.001, g.close, g)
    assert.same({ "cleanup" }, log)
    assert.equal("closed", g:status())
    rille.sleep(0)
  end)
end)

describe("a yield with an open scope", function()
  -- Each opens its scope, on the line that `here` gives, and calls f inside it.
  local scopes = {
    ["rille.timeout"] = function(f, mark)
      mark(here()) return rille.timeout(60, f)
    end,
    ["rille.shield"] = function(f, mark)
      mark(here()) return rille.shield(f)
    end,
    ["rille.group"] = function(f, mark)
      mark(here()) return (rille.group(f))
    end,
  }
  local names = { "rille.timeout", "rille.shield", "rille.group" }

  for _, name in ipairs(names) do
    local open = scopes[name]
    local rule = name == "rille.group" and "R73" or "R72"

    it(rule .. " of " .. name .. " in a generator's body is an error that names it", function()
      local where
      local g = rille.generator(function()
        open(function() coroutine.yield("item") end, function(w) where = w end)
      end)()
      local err = caught(g.next, g)
      assert.equal("string", type(err))
      has(err, "yield inside " .. name .. " opened at " .. where)
      assert.equal("failed", g:status())
      rille.sleep(0)
    end)

    it(rule .. " of " .. name .. " is an error at the yield, which the body may catch", function()
      local where, err
      local g = rille.generator(function()
        local result = open(function()
          rille.sleep(0)
          err = caught(coroutine.yield, "item")
          rille.sleep(0)
          return "the scope goes on"
        end, function(w) where = w end)
        coroutine.yield(result)
        coroutine.yield("and the generator")
      end)()
      assert.equal("the scope goes on", (g:next()))
      has(err, "yield inside " .. name .. " opened at " .. where)
      assert.equal("and the generator", (g:next()))
      assert.is_nil((g:next()))
      assert.equal("exhausted", g:status())
    end)

    it(rule .. " of " .. name .. " in a coroutine is an error, too", function()
      local where
      local co = coroutine.create(function()
        open(function() coroutine.yield("item") end, function(w) where = w end)
      end)
      local ok, err = coroutine.resume(co)
      assert.is_false(ok)
      has(err, "yield inside " .. name .. " opened at " .. where)
      has(caught(coroutine.wrap(function()
        open(function() coroutine.yield("item") end, function() end)
      end)), "yield inside " .. name)
      rille.sleep(0)
    end)

    it(rule .. " of " .. name .. " is found through helpers, pcall and a loop", function()
      local where
      local function helper() for _ = 1, 3 do coroutine.yield("item") end end
      local g = rille.generator(function()
        open(function()
          local ok, err = pcall(pcall, helper)
          assert(ok and err == false)
          local t = setmetatable({}, { __index = function() coroutine.yield("item") end })
          return t.x
        end, function(w) where = w end)
      end)()
      has(caught(g.next, g), "yield inside " .. name .. " opened at " .. where)
    end)

    it("R75 of " .. name .. " that is closed before is fine", function()
      local seen = {}
      for v in rille.generator(function()
        for i = 1, 3 do
          open(function() rille.sleep(0) end, function() end)
          coroutine.yield(i)
        end
        pcall(open, function() error("left by an error") end, function() end)
        coroutine.yield(4)
        pcall(open, function()
          rille.sleep(0)
          error("left by an error")
        end, function() end)
        coroutine.yield(5)
      end)() do seen[#seen + 1] = v end
      assert.same({ 1, 2, 3, 4, 5 }, seen)
    end)

    it("R74 of " .. name .. " that the body's consumer opened is fine", function()
      local g = rille.generator(function() while true do coroutine.yield("item") end end)()
      open(function()
        assert.equal("item", (g:next()))
        assert.equal("item", (g:next()))
        assert.equal("item", coroutine.wrap(function() coroutine.yield("item") end)())
      end, function() end)
      assert.equal("item", (g:next()))
      g:close()
    end)

    it("R74 of " .. name .. " in a body does not forbid an inner generator its yield", function()
      local inner = rille.generator(function() for i = 1, 3 do coroutine.yield(i) end end)
      local outer = rille.generator(function()
        local sum = open(function()
          local total = 0
          for v in inner() do total = total + v end
          for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do
            total = total + v
          end
          return total
        end, function() end)
        coroutine.yield(sum)
      end)()
      assert.equal(12, (outer:next()))
      outer:close()
    end)

    it(rule .. " of " .. name .. " cleans up what the body has opened", function()
      local log = {}
      local g = rille.generator(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "body"
        end)
        open(function()
          local _ <close> = closer(function()
            rille.sleep(0)
            log[#log + 1] = "scope"
          end)
          coroutine.yield(1)
        end, function() end)
      end)()
      has(caught(g.next, g), "yield inside " .. name)
      assert.same({ "scope", "body" }, log)
    end)
  end

  it("R72 the innermost of several is named", function()
    local where
    local g = rille.generator(function()
      rille.group(function()
        rille.shield(function()
          where = here() rille.timeout(60, function() coroutine.yield(1) end)
        end)
      end)
    end)()
    has(caught(g.next, g), "yield inside rille.timeout opened at " .. where)
  end)

  it("R72 after the inner one is closed the outer one is named", function()
    local where
    local g = rille.generator(function()
      where = here() rille.timeout(60, function()
        rille.shield(function() end)
        pcall(rille.timeout, 0, rille.sleep, 60)
        coroutine.yield(1)
      end)
    end)()
    has(caught(g.next, g), "yield inside rille.timeout opened at " .. where)
  end)

  it("R73 children of the group are cancelled and cleaned up", function()
    local log = {}
    local g = rille.generator(function()
      rille.group(function(group)
        until_waiting(group:spawn(sleeper, log, "child"))
        coroutine.yield(1)
      end)
    end)()
    has(caught(g.next, g), "yield inside rille.group")
    assert.same({ "child" }, log)
  end)

  it("R73 a generator in a child of the body's group may yield to the child", function()
    local seen = {}
    local g = rille.generator(function()
      rille.group(function(group)
        group:spawn(function()
          for v in rille.generator(function() coroutine.yield("inner") end)() do seen[#seen + 1] = v end
        end)
      end)
      coroutine.yield("outer")
    end)()
    assert.equal("outer", (g:next()))
    assert.same({ "inner" }, seen)
    g:close()
  end)

  it("R73 a child's yield never reaches the generator's consumer", function()
    local g = rille.generator(function()
      rille.group(function(group) group:spawn(function() coroutine.yield("from a child") end) end)
      coroutine.yield("not reached")
    end)()
    has(caught(g.next, g), "outside a coroutine")
    g = rille.generator(function()
      rille.race({ function() coroutine.yield("from a racer") end })
      coroutine.yield("not reached")
    end)()
    has(caught(g.next, g), "outside a coroutine")
  end)

  it("R72 a yield inside the cleanup of a scope that struck is an error, too", function()
    local err
    local g = rille.generator(function()
      local _, outcome = pcall(rille.timeout, 0.001, function()
        local _ <close> = closer(function() err = caught(coroutine.yield, 1) end)
        rille.sleep(60)
      end)
      coroutine.yield(outcome.code)
    end)()
    assert.equal("ETIMEDOUT", (g:next()))
    has(err, "yield inside rille.timeout")
    g:close()
  end)

  it("R72 many times in a row leaves nothing open", function()
    local seen = 0
    for _ in rille.generator(function()
      for _ = 1, 1000 do
        pcall(rille.timeout, 60, coroutine.yield, 1)
        pcall(rille.shield, coroutine.yield, 1)
        coroutine.yield("fine")
      end
    end)() do seen = seen + 1 end
    assert.equal(1000, seen)
  end)
end)

describe("rille.shield", function()
  it("passes arguments, results and errors as they are", function()
    for _, waits in ipairs({ false, true }) do
      assert.same({ n = 4, 3, nil, 2 }, table.pack(rille.shield(function(...)
        if waits then rille.sleep(0) end
        return select("#", ...), ...
      end, nil, 2, nil)))
      for _, value in ipairs({ "text", false, {}, "nil" }) do
        if value == "nil" then value = nil end
        local r = table.pack(pcall(rille.shield, function()
          if waits then rille.sleep(0) end
          error(value, 0)
        end))
        assert.is_false(r[1])
        same_object(value, r[2])
      end
    end
  end)

  it("a cancellation from outside waits until fn is done, and strikes at the next wait", function()
    local log = {}
    local task = rille.spawn(function()
      log[#log + 1] = rille.shield(function()
        for _ = 1, 5 do rille.sleep(0.001) end
        return "shielded"
      end)
      log[#log + 1] = "until the next wait"
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end)
    until_waiting(task)
    task:cancel("outside")
    has(is_cancelled(caught(task.await, task)), "outside")
    assert.equal("cancelled", task:status())
    assert.same({ "shielded", "until the next wait" }, log)
  end)

  it("R66 in a task that is cancelled already, in a cleanup and after a swallowed signal", function()
    local log = {}
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        rille.shield(function()
          rille.sleep(0)
          log[#log + 1] = "in cleanup"
        end)
      end)
      pcall(rille.sleep, 60)
      rille.shield(function()
        rille.sleep(0)
        rille.sleep(0.001)
        log[#log + 1] = "after the signal"
      end)
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.same({ "after the signal", "in cleanup" }, log)
  end)

  it("holds for groups inside it: their children are not cancelled", function()
    local log, _ <close> = {}, rille.test.clock()
    local task = rille.spawn(function()
      rille.shield(function()
        rille.group(function(group)
          for i = 1, 3 do
            group:spawn(function()
              rille.sleep(0.002 * i)
              log[#log + 1] = i
            end)
          end
        end)
        log[#log + 1] = rille.all({ function()
          rille.sleep(0)
          return "all"
        end })[1]
      end)
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end)
    until_waiting(task)
    turns()
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.same({ 1, 2, 3, "all" }, log)
  end)

  it("a child of a group that shields itself delays the end of the group", function()
    local log, _ <close> = {}, rille.test.clock()
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(function()
        rille.shield(rille.sleep, 0.01)
        log[#log + 1] = "shielded"
        rille.sleep(0)
        log[#log + 1] = "not reached"
      end)
      rille.sleep(0.001)
      error("first", 0)
    end))
    assert.same({ "shielded" }, log)
  end)

  it("inside a timeout: fn is done first, then the time-out is raised", function()
    local log = {}
    timed_out(caught(rille.timeout, 0.001, function()
      rille.shield(function()
        rille.sleep(0.005)
        log[#log + 1] = "shielded"
      end)
      log[#log + 1] = "until the next wait"
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end))
    assert.same({ "shielded", "until the next wait" }, log)
    rille.sleep(0)
  end)

  it("a timeout inside it strikes, in a cancelled task too", function()
    timed_out(caught(rille.shield, rille.timeout, 0.001, rille.sleep, 60))
    local inner
    local task = rille.spawn(function()
      rille.shield(function()
        inner = caught(rille.timeout, 0.005, rille.sleep, 60)
        rille.sleep(0)
      end)
      rille.sleep(60)
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    timed_out(inner)
  end)

  it("timeout in shield in timeout: both strike, each at its place", function()
    local clock <close> = rille.test.clock()
    local inner
    timed_out(caught(rille.timeout, 1, function()
      rille.shield(function()
        inner = caught(rille.timeout, 5, rille.sleep, 60)
        rille.sleep(0)
      end)
      rille.sleep(60)
    end))
    timed_out(inner)
    assert.equal(5, clock:now())
    rille.sleep(0)
  end)

  it("nested: the cancellation waits for the outer one", function()
    local log = {}
    local task = rille.spawn(function()
      rille.shield(function()
        rille.shield(rille.sleep, 0.002)
        rille.sleep(0.002)
        log[#log + 1] = "outer done"
      end)
      rille.sleep(0)
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.same({ "outer done" }, log)
  end)

  it("an error of fn passes though a cancellation waits; the next wait is cancelled", function()
    local seen
    local task = rille.spawn(function()
      seen = caught(rille.shield, function()
        rille.sleep(0.002)
        error("mine", 0)
      end)
      rille.sleep(0)
      error("not reached")
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.equal("mine", seen)
  end)

  it("holds for a generator's step inside it, which is not lost", function()
    local g = rille.generator(function()
      rille.sleep(0.005)
      coroutine.yield("item")
    end)()
    local got
    local task = rille.spawn(function()
      got = rille.shield(g.next, g)
      rille.sleep(0)
    end)
    until_waiting(task)
    task:cancel()
    is_cancelled(caught(task.await, task))
    assert.equal("item", got)
    assert.equal("suspended", g:status())
    g:close()
  end)

  it("a loser of a race that shields itself is waited for", function()
    local log, _ <close> = {}, rille.test.clock()
    assert.equal("fast", (rille.race({
      slow = function()
        rille.shield(rille.sleep, 0.005)
        log[#log + 1] = "shielded"
      end,
      fast = function() rille.sleep(0.001) end,
    })))
    assert.same({ "shielded" }, log)
  end)

  it("refuses what is not a function", function()
    has(caught(function() rille.shield(42) end), "bad argument #1 to 'shield'")
    has(caught(function() rille.shield() end), "bad argument #1 to 'shield'")
  end)
end)
