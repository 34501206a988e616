-- Operators that deal with errors and ends: catch, retry, take_until; and repeating, distinct, window. R<n>
-- are the rules of the semantics, C<n> the points of the contract that every operator meets; what all of them
-- promise is in spec/helper/contract.lua.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local task = require("rille.host.task")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")
local contract = require("spec.helper.contract")
local here = require("spec.helper.expect").here

local caught, has, same_object, refuses = expect.caught, expect.has, expect.same_object, helper.refuses
local logged, stuck, timed, times = helper.logged, helper.stuck, helper.timed, helper.times
local spawn, waiting, outcome, turns = helper.spawn, helper.waiting, helper.outcome, expect.turns

local EXPECTED = "expected a stream, a generator function, an iterator function or a list, got "

local function raise(err) error(err, 0) end

-- A function that must not be called.
local function never() error("not reached") end

describe("stream.catch", function()
  contract({
    name = "catch",
    make = function(src) return stream.catch(src, raise) end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  it("goes on with the items of the source that f returns for the error", function()
    for _, mine in ipairs({ "text", 7, {}, false, fault.new("EX", "mine") }) do
      local log, got, n = {}, nil, nil
      local s = helper.failing(log, "source", 2, mine):catch(function(...)
        log[#log + 1] = "f"
        got, n = ..., select("#", ...)
        rille.sleep(0)
        return { "x", false, "y" }
      end)
      assert.same({ 1, 2, "x", false, "y" }, s:collect())
      assert.equal(1, n)
      same_object(mine, got)
      assert.same({ "source", "f" }, log)
      assert.equal("exhausted", s:status())
    end
  end)

  it("R39 error(nil) is an error too", function()
    local called
    local s = stream.range(1, 1):map(function() error(nil) end):catch(function(err)
      called = { err, true }
      return { "x" }
    end)
    assert.same({ "x" }, s:collect())
    assert.same({ nil, true }, called)
  end)

  it("takes every kind of source from f, and closes it when it is left", function()
    local log = {}
    local gen = rille.generator(function() coroutine.yield("x") end)
    for _, make in ipairs({
      function() return gen end, function() return gen() end, function() return stream.range(1, 3) end,
      function() return ipairs({ "x" }) end, function() return stuck(log, "fallback", 3) end,
    }) do
      for v in helper.failing(log, "source", 0, "err"):catch(make) do
        assert.is_truthy(v == "x" or v == 1)
        break
      end
    end
    assert.equal("fallback", log[#log])
    assert.equal(6, #log)
  end)

  it("ends if f returns nil", function()
    local s = helper.failing({}, "source", 2, "err"):catch(function() return nil end)
    assert.same({ 1, 2 }, s:collect())
    assert.is_nil((s:next()))
    assert.equal("exhausted", s:status())
    assert.same({}, helper.failing({}, "source", 0, "err"):catch(function() end):collect())
  end)

  it("f may raise the error again, or another", function()
    local mine = {}
    local s = helper.failing({}, "source", 1, "err"):catch(function() error(mine, 0) end)
    assert.equal(1, (s:next()))
    same_object(mine, caught(s.next, s))
    has(caught(s.next, s), "stream already failed")
  end)

  it("f is not asked for an error of what it returned", function()
    local calls = 0
    local s = helper.failing({}, "source", 0, "first"):catch(function()
      calls = calls + 1
      return helper.failing({}, "fallback", 1, "second")
    end)
    assert.equal(1, (s:next()))
    assert.equal("second", caught(s.next, s))
    assert.equal(1, calls)
  end)

  it("refuses a result that is no source", function()
    for _, result in ipairs({ 5, false, "x" }) do
      local s = helper.failing({}, "source", 0, "err"):catch(function() return result end)
      has(caught(s.next, s), EXPECTED .. type(result))
    end
  end)

  it("catches no error of later stages, nor of the consumer", function()
    local mine, log = {}, {}
    local s = logged(log, "source"):catch(never):map(function() error(mine, 0) end)
    same_object(mine, caught(s.next, s))
    same_object(mine, caught(function()
      for _ in logged(log, "source"):catch(never) do error(mine, 0) end
    end))
    assert.same({ "source", "source" }, log)
  end)

  it("catches errors of all stages before it", function()
    local s = stream.range(1, 3):map(function(v) return v < 3 and v or error("three", 0) end)
      :filter(function(v) return v > 1 end)
      :catch(function(err) return { err } end)
    assert.same({ 2, "three" }, s:collect())
  end)

  it("R61 catches no cancellation", function()
    local log = {}
    local t = waiting(function() stuck(log, "source", 0):catch(never):collect() end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.same({ "source" }, log)
    local err = caught(rille.timeout, 0.005, function() stuck(log, "source", 0):catch(never):collect() end)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    assert.same({ "source", "source" }, log)
  end)

  it("refuses what is no function", function()
    local g <close> = logged({}, "g")
    refuses({ 5, {}, "x" }, 1, "catch", "function expected, got ", function(v) g:catch(v) end)
    refuses({ 5 }, 2, "catch", "function expected, got ", function(v) stream.catch({}, v) end)
  end)

  it("R30 a string that the second source fails with keeps its story when nobody catches it", function()
    local made
    local job = rille.spawn(function()
      local broken = rille.generator(function() error("connection lost", 0) end)
      made = here() broken():catch(function() return (broken()) end):collect()
    end)
    local story = rille.traceback((caught(job.await, job)))
    has(story, "generator made at " .. made .. ", advanced by task '")
    has(story, "\nraised again in task '")
  end)
end)

describe("stream.retry", function()
  contract({
    name = "retry",
    make = function(src) return stream.retry(function() return src end, { times = 1 }) end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
    late = true,
  })

  -- A function that makes generators of 1, 2; the first ones fail, with "failure 1", "failure 2" and so on.
  local function flaky(log, failures)
    local n = 0
    return function()
      n = n + 1
      local attempt = n
      log[#log + 1] = "made " .. attempt
      return rille.generator(function()
        local _ <close> = helper.leaves(log, "closed " .. attempt)
        for i = 1, 2 do coroutine.yield(i) end
        if attempt <= failures then error("failure " .. attempt, 0) end
      end)()
    end
  end

  it("makes the source again after an error, and starts anew with its items", function()
    local log = {}
    local s = stream.retry(flaky(log, 2))
    assert.same({}, log)
    assert.same({ 1, 2, 1, 2, 1, 2 }, s:collect())
    assert.same({ "made 1", "closed 1", "made 2", "closed 2", "made 3", "closed 3" }, log)
    assert.equal("exhausted", s:status())
  end)

  it("up to so many tries in all, by default three; the last error is raised", function()
    for times_of, options in pairs({ [3] = {}, [1] = { times = 1 }, [5] = { times = 5 } }) do
      local log, seen = {}, {}
      local s = stream.retry(flaky(log, 99), options)
      local err = caught(function() for v in s:keep() do seen[#seen + 1] = v end end)
      assert.equal("failure " .. times_of, err)
      assert.equal(2 * times_of, #seen)
      assert.equal(2 * times_of, #log)
      has(caught(s.next, s), "stream already failed")
    end
  end)

  it("takes generator functions, and functions that return any source", function()
    local calls = 0
    local gen = rille.generator(function()
      calls = calls + 1
      if calls < 3 then error("no", 0) end
      coroutine.yield("yes")
    end)
    assert.same({ "yes" }, stream.retry(gen):collect())
    assert.equal(3, calls)
    assert.same({ 1, 2 }, stream.retry(function() return { 1, 2 } end):collect())
    assert.same({ 1, 2 }, stream.retry(function() return stream.range(1, 2) end):collect())
    assert.same({ { 1, "a" } }, stream.retry(function() return ipairs({ "a" }) end):collect())
  end)

  it("an error of the function that makes the source is one of the source", function()
    local calls = 0
    assert.same({ "yes" }, stream.retry(function()
      calls = calls + 1
      if calls < 3 then error("no", 0) end
      return { "yes" }
    end):collect())
    assert.equal(3, calls)
  end)

  it("waits between the tries: a number of seconds", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0, 1 }, { 0, 2 }, { 5, 1 }, { 5, 2 }, { 10, 1 }, { 10, 2 } },
      times(clock, stream.retry(flaky({}, 2), { backoff = 5 })))
    assert.same({ { 0, 1 }, { 0, 2 }, { 0, 1 }, { 0, 2 } }, times(clock, stream.retry(flaky({}, 1))))
  end)

  it("or what a function of the number of the try says", function()
    local clock <close> = rille.test.clock()
    local s = stream.retry(flaky({}, 3), { times = 4, backoff = function(attempt) return 10 ^ attempt end })
    assert.same({ { 0, 1 }, { 10, 1 }, { 110, 1 }, { 1110, 1 } },
      times(clock, s:filter(function(v) return v == 1 end)))
  end)

  it("does not wait after the last try", function()
    local clock <close> = rille.test.clock()
    local s = stream.retry(flaky({}, 9), { times = 2, backoff = 5 })
    assert.equal("failure 2", caught(s.collect, s))
    assert.equal(5, helper.round(clock:now()))
  end)

  it("when(err, attempt) says which errors are tried again", function()
    local asked, log = {}, {}
    local s = stream.retry(flaky(log, 9), {
      times = 9,
      when = function(err, attempt)
        asked[#asked + 1] = { err, attempt }
        rille.sleep(0)
        return attempt < 3
      end,
    })
    assert.equal("failure 3", caught(s.collect, s))
    assert.same({ { "failure 1", 1 }, { "failure 2", 2 }, { "failure 3", 3 } }, asked)
    assert.equal("closed 3", log[#log])
    assert.equal("failure 1", caught(function()
      stream.retry(flaky({}, 9), { when = function() return nil end }):collect()
    end))
  end)

  it("R29 raises the same object", function()
    for _, mine in ipairs({ 7, {}, false, fault.new("EX", "mine") }) do
      local s = stream.retry(function() return helper.failing({}, "x", 0, mine) end)
      same_object(mine, caught(s.next, s))
    end
  end)

  it("R61 never tries again after a cancellation", function()
    local log = {}
    local function make()
      log[#log + 1] = "made"
      return stuck(log, "closed", 0)
    end
    local t = waiting(function() stream.retry(make):collect() end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.same({ "made", "closed" }, log)
    local err = caught(rille.timeout, 0.005, function() stream.retry(make):collect() end)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    assert.same({ "made", "closed", "made", "closed" }, log)
  end)

  it("never tries again after an error of a later stage, or of the consumer", function()
    local log, mine = {}, {}
    local s = stream.retry(flaky(log, 0)):map(function() error(mine, 0) end)
    same_object(mine, caught(s.next, s))
    same_object(mine, caught(function() for _ in stream.retry(flaky(log, 0)) do error(mine, 0) end end))
    assert.same({ "made 1", "closed 1", "made 1", "closed 1" }, log)
  end)

  it("R46 R61 the wait between tries can be closed and cancelled", function()
    local clock <close> = rille.test.clock()
    local function make() return stream.retry(flaky({}, 9), { backoff = 60 }):drop(2) end
    local s = make()
    local consumer = waiting(s.next, s)
    s:close()
    has(caught(outcome, consumer), "closed by another task")
    local t = waiting(function() make():collect() end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.equal(0, helper.round(clock:now()))
  end)

  it("refuses what cannot be made again, and a result that is no source", function()
    local g <close> = logged({}, "g")
    local s <close> = stream.range(1)
    refuses({ { 1, 2 }, g, s, 5, "x", true }, 1, "retry", "", function(v) stream.retry(v) end)
    assert.equal("created", g:status())
    local bad = stream.retry(function() return 7 end)
    has(caught(bad.next, bad), EXPECTED .. "number")
  end)

  it("checks its options", function()
    local function retry(options) return caught(stream.retry, never, options) end
    for _, n in ipairs({ 0, -1, 1.5, 0 / 0, math.huge, "2" }) do
      has(retry({ times = n }), "bad option 'times' (an integer >= 1 expected, got ")
    end
    for _, n in ipairs({ -1, 0 / 0, math.huge, "x", {}, true }) do
      has(retry({ backoff = n }), "bad option 'backoff' (")
    end
    has(retry({ when = 5 }), "bad option 'when' (function expected, got number)")
    has(retry({ tries = 3 }), "unknown option 'tries'")
    has(retry(3), "bad argument #2 to 'retry' (table expected, got number)")
  end)

  it("R30 a string that it raises again keeps its story when nobody catches it", function()
    local made
    local job = rille.spawn(function()
      local broken = rille.generator(function() error("connection lost", 0) end)
      made = here() stream.retry(function() return (broken()) end, { times = 2 }):collect()
    end)
    local story = rille.traceback((caught(job.await, job)))
    has(story, "generator made at " .. made .. ", advanced by task '")
    has(story, "\nraised again in task '")
  end)

  it("checks what its function 'backoff' returns", function()
    local function wrong() error("wrong", 0) end
    local function after(v)
      local s = stream.retry(wrong, { backoff = function() return v end })
      return caught(s.next, s)
    end
    local BAD = "bad result of the function 'backoff' of 'retry' ("
    has(after(nil), BAD .. "number expected, got no value)")
    has(after("1"), BAD .. "number expected, got string)")
    for _, n in ipairs({ -1, 0 / 0, 1e9, math.huge }) do has(after(n), BAD .. "seconds out of range)") end
    assert.equal("wrong", after(0))
  end)
end)

describe("stream.take_until", function()
  for _, of_function in ipairs({ false, true }) do
    contract({
      name = "take_until",
      make = function(src)
        return stream.take_until(src, of_function and function() rille.sleep(60) end or rille.event())
      end,
      gives = { 1, 2, 3 },
      before = { 1, 2 },
      whole = true,
    })
  end

  it("ends without an error when the event is set, in the middle of a wait", function()
    local clock <close> = rille.test.clock()
    local log, event = {}, rille.event()
    spawn(function()
      rille.sleep(2.5)
      event:set()
    end)
    assert.same({ { 1, "a" }, { 2, "b" } },
      times(clock, stream.take_until(timed(1, "a", 2, "b", 50, "c"), event)))
    assert.equal(2.5, helper.round(clock:now()))
    event:clear()
    local s = stuck(log, "source", 1):take_until(event)
    assert.equal(1, (s:next()))
    local consumer = waiting(function() return s:next() end)
    event:set()
    assert.same({ nil, n = 1 }, table.pack(outcome(consumer)))
    assert.same({ "source" }, log)
    assert.is_nil((s:next()))
    assert.is_true(event:is_set())
  end)

  it("cleanup of the step that was cancelled is done before the end arrives", function()
    local clock <close> = rille.test.clock()
    local s = stream.take_until(rille.generator(function()
      local _ <close> = expect.closer(function() rille.sleep(7) end)
      rille.sleep(60)
    end), function() rille.sleep(1) end)
    assert.is_nil((s:next()))
    assert.equal(8, helper.round(clock:now()))
  end)

  it("ends when a task ends, however it does", function()
    local clock <close> = rille.test.clock()
    local t = rille.spawn(rille.sleep, 1.5)
    assert.same({ { 1, 1 } }, times(clock, stream.interval(1):take_until(t)))
    local cancelled = rille.spawn(rille.sleep, 60)
    spawn(function()
      rille.sleep(1.5)
      cancelled:cancel()
    end)
    assert.same({ { 1, 1 } }, times(clock, stream.interval(1):take_until(cancelled)))
    assert.equal(3, helper.round(clock:now()))
  end)

  it("ends when a function returns, which is run in a task from the first next on", function()
    local clock <close> = rille.test.clock()
    local began
    local s = stream.interval(1):take_until(function(...)
      assert(select("#", ...) == 0)
      began = clock:now()
      rille.sleep(2.5)
      return "ignored"
    end)
    rille.sleep(10)
    assert.is_nil(began)
    assert.same({ { 1, 1 }, { 2, 2 } }, times(clock, s))
    assert.equal(10, helper.round(began))
    assert.equal(12.5, helper.round(clock:now()))
  end)

  it("leaving the loop, the end of the source and an error cancel that function, cleanup included", function()
    local log, before = {}, task.count()
    local function lasting()
      local _ <close> = helper.leaves(log, "function")
      helper.for_long(log)
    end
    for _ in logged({}, "x", 100, true):take_until(lasting) do break end
    assert.same({ "function" }, log)
    assert.equal(3, logged({}, "x", 3, true):take_until(lasting):count())
    assert.same({ "function", "function" }, log)
    local s = helper.failing({}, "x", 0, "err"):take_until(lasting)
    assert.equal("err", caught(s.next, s))
    assert.same({ "function", "function", "function" }, log)
    assert.equal(before, task.count())
  end)

  it("C5 an error of that function is raised, and closes the source before", function()
    local log, mine = {}, {}
    local s = stuck(log, "source", 0):take_until(function()
      rille.sleep(0)
      error(mine, 0)
    end)
    same_object(mine, caught(s.next, s))
    assert.same({ "source" }, log)
    has(caught(s.next, s), "stream already failed")
  end)

  it("ends at once if the event was set, or the task over, before", function()
    local log, event = {}, rille.event()
    event:set()
    local over = rille.spawn(function() end)
    over:await()
    for _, what in ipairs({ event, over }) do
      assert.same({}, stuck(log, "source", 0):take_until(what):collect())
    end
    for _, line in ipairs(log) do assert.equal("source", line) end
  end)

  it("ends a source that never waits, too", function()
    local event, last = rille.event(), nil
    for v in stream.range(1):take_until(event) do
      last = v
      if v == 5 then event:set() end
      assert(v < 100)
    end
    assert.is_true(last >= 5 and last <= 7, "the last is " .. last)
  end)

  it("a second stream may end by the same event", function()
    local event = rille.event()
    local both = {}
    for i = 1, 2 do both[i] = waiting(function() return stuck({}, "x", 1):take_until(event):collect() end) end
    event:set()
    for i = 1, 2 do assert.same({ 1 }, outcome(both[i])) end
  end)

  it("refuses what is no event", function()
    local g <close> = logged({}, "g")
    refuses({ 5, {}, "x", true }, 1, "take_until", "", function(v) g:take_until(v) end)
    refuses({ 5 }, 2, "take_until", "", function(v) stream.take_until({}, v) end)
    has(caught(function() g:take_until() end), "bad argument #1 to 'take_until' (")
  end)
end)

describe("stream.repeating", function()
  it("calls fn for each item, until it returns nil", function()
    local n = 0
    local s = stream.repeating(function(...)
      assert.equal(0, select("#", ...))
      n = n + 1
      rille.sleep(0)
      if n <= 3 then return n end
    end)
    turns(2)
    assert.equal(0, n)
    assert.equal(1, (s:next()))
    assert.equal(1, n)
    assert.same({ 2, 3 }, s:collect())
    assert.is_nil((s:next()))
    assert.equal(4, n) -- R24
    assert.equal("exhausted", s:status())
  end)

  it("R14 R16 passes false, several values, and nils among them", function()
    local list = { { false, n = 1 }, { "k", nil, "v", nil, n = 4 } }
    local s = stream.repeating(function()
      local item = table.remove(list, 1)
      if item then return table.unpack(item, 1, item.n) end
    end)
    assert.same({ false, n = 1 }, table.pack(s:next()))
    assert.same({ "k", nil, "v", nil, n = 4 }, table.pack(s:next()))
    assert.same({ nil, n = 1 }, table.pack(s:next()))
  end)

  it("makes a stream: R3 four values, R41 that can be closed before it starts, and in a loop", function()
    local r = table.pack(stream.repeating(never))
    assert.is_true(r.n == 4 and rawequal(r[1], r[2]) and r[3] == nil and rawequal(r[1], r[4]))
    r[1]:close()
    assert.is_nil((r[1]:next()))
    local calls = 0
    for _ in stream.repeating(function() calls = calls + 1 return true end) do break end
    assert.equal(1, calls)
  end)

  it("R29 R33 an error of fn ends it", function()
    local mine = {}
    local s = stream.repeating(function() error(mine, 0) end)
    same_object(mine, caught(s.next, s))
    has(caught(s.next, s), "stream already failed")
  end)

  it("R46 R47 a close by another task ends fn's wait", function()
    local log = {}
    local s = stream.repeating(function()
      local _ <close> = helper.leaves(log, "fn")
      helper.for_long(log)
      return 1
    end)
    local consumer = waiting(s.next, s)
    s:close()
    assert.same({ "fn" }, log)
    has(caught(outcome, consumer), "closed by another task")
  end)

  it("refuses what is no function", function()
    refuses({ 5, {}, "x" }, 1, "repeating", "function expected, got ", function(v) stream.repeating(v) end)
  end)
end)

describe("stream.distinct", function()
  contract({ name = "distinct", make = stream.distinct, gives = { 1, 2, 3 }, before = { 1, 2 } })
  contract({
    name = "distinct",
    make = function(src) return stream.distinct(src, function() return {} end) end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  it("drops an item that is equal to the one before it", function()
    assert.same({ 1, 2, 1, 3 }, stream.from({ 1, 1, 2, 2, 2, 1, 3, 3 }):distinct():collect())
    assert.same({ false, true, false }, stream.from({ false, false, true, false }):distinct():collect())
    assert.same({ 1, "1" }, stream.from({ 1, 1.0, "1", "1" }):distinct():collect())
    assert.equal(2, stream.from({ 0 / 0, 0 / 0 }):distinct():count())
    assert.equal(2, stream.from({ {}, {} }):distinct():count())
  end)

  it("compares the first values; the item passes with all of them", function()
    local s = helper.packed({ "k", 1 }, { "k", 2 }, { "l", nil, 3, n = 3 }):distinct()
    assert.same({ "k", 1, n = 2 }, table.pack(s:next()))
    assert.same({ "l", nil, 3, n = 3 }, table.pack(s:next()))
    assert.is_nil((s:next()))
  end)

  it("or what key makes of all values; it may wait, and return nil", function()
    assert.same({ { 1, "a" }, { 3, "b" } }, stream.enumerate({ "a", "a", "b" }):distinct(function(_, v)
      rille.sleep(0)
      return v
    end):collect())
    assert.same({ 1, 3, 4 }, stream.from({ 1, 2, 3, 4, 5 }):distinct(function(v)
      if v ~= 3 then return nil end
      return false
    end):collect())
  end)

  it("an error of key closes the source before it arrives", function()
    local log, mine = {}, {}
    local s = logged(log, "source"):distinct(function() error(mine, 0) end)
    same_object(mine, caught(s.next, s))
    assert.same({ "source" }, log)
  end)

  it("refuses what is no function", function()
    local g <close> = logged({}, "g")
    refuses({ 5, {}, "x" }, 1, "distinct", "function expected, got ", function(v) g:distinct(v) end)
    refuses({ 5 }, 2, "distinct", "function expected, got ", function(v) stream.distinct({}, v) end)
  end)
end)

describe("stream.window", function()
  contract({
    name = "window",
    make = function(src) return stream.window(src, 1) end,
    gives = { { 1 }, { 2 }, { 3 } },
    before = { { 1 }, { 2 } },
  })

  it("gives every list of n items in a row", function()
    assert.same({ { 1, 2 }, { 2, 3 }, { 3, 4 } }, stream.range(1, 4):window(2):collect())
    assert.same({ { 1, 2, 3 } }, stream.range(1, 3):window(3):collect())
    assert.same({}, stream.range(1, 2):window(3):collect())
    assert.same({}, stream.from({}):window(1):collect())
  end)

  it("advances by step", function()
    assert.same({ { 1, 2 }, { 3, 4 } }, stream.range(1, 5):window(2, 2):collect())
    assert.same({ { 1, 2 }, { 4, 5 }, { 7, 8 } }, stream.range(1, 9):window(2, 3):collect())
    assert.same({ { 1, 2, 3 }, { 3, 4, 5 } }, stream.range(1, 6):window(3, 2):collect())
    assert.same({ { 1 }, { 4 } }, stream.range(1, 6):window(1, 3):collect())
    assert.same({ { 1, 2 } }, stream.range(1, 6):window(2, math.maxinteger):collect())
  end)

  it("each list is a table of its own", function()
    local s = stream.range(1, 4):window(2)
    local first = s:next()
    first[2] = "changed"
    local second = s:next()
    assert.same({ 2, 3 }, second)
    assert.same({ 1, "changed" }, first)
    assert.same({ 3, 4 }, (s:next()))
    assert.same({ 2, 3 }, second)
    s:close()
  end)

  it("R16 R14 false is an item, and one of several values is a list of them", function()
    assert.same({ { false, false } }, stream.from({ false, false }):window(2):collect())
    assert.same({ { { 1, "a" }, { 2, "b" } } }, stream.enumerate({ "a", "b" }):window(2):collect())
  end)

  it("passes a list on before it asks for the next item", function()
    local pulled = 0
    local s = stream.range(1, 9):tap(function() pulled = pulled + 1 end):window(3, 5)
    assert.same({ 1, 2, 3 }, (s:next()))
    assert.equal(3, pulled)
    assert.same({ 6, 7, 8 }, (s:next()))
    assert.equal(8, pulled)
    s:close()
  end)

  it("refuses what is no count", function()
    local g <close> = logged({}, "g")
    helper.refuses_counts(1, "window", function(v) g:window(v) end)
    helper.refuses_counts(2, "window", function(v) g:window(2, v) end)
    refuses({ 0 }, 2, "window", "an integer >= 1 expected, got 0)", function(v) stream.window({}, v) end)
    has(caught(function() g:window() end), "bad argument #1 to 'window' (an integer >= 1 expected, got ")
  end)
end)
