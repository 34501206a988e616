-- Operators that look at the time. R<n> are the rules of the semantics, C<n> the points of the contract that
-- every operator meets; what all of them promise is in spec/helper/contract.lua.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local task = require("rille.host.task")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")
local contract = require("spec.helper.contract")
local here = require("spec.helper.expect").here

local caught, has, same_object = expect.caught, expect.has, expect.same_object
local bad, refuses, refuses_seconds = helper.bad, helper.refuses, helper.refuses_seconds
local turns, timed, times = expect.turns, helper.timed, helper.times

-- A source that has ended: what methods are called on to see their arguments refused.
local function source() return (stream.from({ 1 })) end

-- Closes s while a task waits in its next.
local function closed_while_waiting(s)
  local consumer = helper.waiting(s.next, s)
  s:close()
  has(caught(helper.outcome, consumer), "closed by another task")
  assert.equal("closed", s:status())
end

describe("stream.interval", function()
  it("counts from 1, the first after so many seconds", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 2, 1 }, { 4, 2 }, { 6, 3 } }, times(clock, stream.interval(2):take(3)))
    assert.same({ { 0.5, 1 }, { 1, 2 } }, times(clock, stream.interval(0.5):take(2)))
  end)

  it("gives one value an item, and begins its schedule with the first next", function()
    local clock <close> = rille.test.clock()
    local s = stream.interval(1)
    assert.equal("created", s:status())
    rille.sleep(7.5)
    assert.same({ 1, n = 1 }, table.pack(s:next()))
    assert.equal(8.5, helper.round(clock:now()))
    s:close()
  end)

  it("does not drift: what the consumer does between ticks moves none of them", function()
    local clock <close> = rille.test.clock()
    local busy = { 0.9, 0.1, 0.5, 0.75 }
    for _, missed in ipairs({ "delay", "skip", "burst" }) do
      assert.same({ { 1, 1 }, { 2, 2 }, { 3, 3 }, { 4, 4 }, { 5, 5 } },
        times(clock, stream.interval(1, { missed = missed }):take(5), busy))
    end
  end)

  it("by default a late tick comes at once and shifts those after it", function()
    local clock <close> = rille.test.clock()
    for _, options in ipairs({ {}, { missed = "delay" } }) do
      assert.same({ { 1, 1 }, { 3.5, 2 }, { 4.5, 3 }, { 5.5, 4 } },
        times(clock, stream.interval(1, options):take(4), { 2.5 }))
    end
  end)

  it("with missed='burst' missed ticks come at once, and the schedule stays", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, 1 }, { 3.5, 2 }, { 3.5, 3 }, { 4, 4 }, { 5, 5 } },
      times(clock, stream.interval(1, { missed = "burst" }):take(5), { 2.5 }))
  end)

  it("with missed='skip' the next of the schedule follows a late tick; the count goes on", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, 1 }, { 3.5, 2 }, { 4, 3 }, { 5, 4 } },
      times(clock, stream.interval(1, { missed = "skip" }):take(4), { 2.5 }))
    assert.same({ { 1, 1 }, { 9.75, 2 }, { 10, 3 }, { 11, 4 } },
      times(clock, stream.interval(1, { missed = "skip" }):take(4), { 8.75 }))
  end)

  it("gives as many times as it is asked, with no task of its own at the end", function()
    local clock <close> = rille.test.clock()
    local before = task.count()
    assert.equal(1000, (stream.interval(60):take(1000):last()))
    assert.equal(60000, helper.round(clock:now()))
    assert.equal(before, task.count())
  end)

  it("R46 R47 a close by another task ends the wait for a tick", function()
    local clock <close> = rille.test.clock()
    local s = stream.interval(60)
    closed_while_waiting(s)
    assert.equal(0, helper.round(clock:now()))
    assert.is_nil((s:next()))
  end)

  it("R61 cancelling the consumer ends it", function()
    local s = stream.interval(60)
    local t = helper.waiting(function() for _ in s:each() do error("not reached") end end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.is_truthy(s:status() == "failed" or s:status() == "closed")
  end)

  it("refuses what is no time, and unknown options", function()
    refuses_seconds(1, "interval", function(v) stream.interval(v) end)
    refuses({ 0, -0.0 }, 1, "interval", "seconds out of range)", function(v) stream.interval(v) end)
    has(caught(function() stream.interval() end), bad(1, "interval", "number expected, got no value)"))
    refuses({ 1, "skip" }, 2, "interval", "table expected, got ", function(v) stream.interval(1, v) end)
    has(caught(stream.interval, 1, { burst = true }), "unknown option 'burst'")
    for _, missed in ipairs({ "x", 1, true }) do
      has(caught(stream.interval, 1, { missed = missed }), "bad option 'missed' (")
    end
  end)
end)

describe("stream.range with seconds", function()
  it("spaces the numbers out", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0, 1 }, { 2, 2 }, { 4, 3 } }, times(clock, stream.range(1, 3, 1, 2)))
    assert.same({ { 0, 9 }, { 0.5, 6 }, { 1, 3 } }, times(clock, stream.range(9, 1, -3, 0.5)))
    assert.same({ { 0, 7 }, { 1, 8 } }, times(clock, stream.range(7, nil, nil, 1):take(2)))
  end)

  it("R46 can be closed while it waits", function()
    local clock <close> = rille.test.clock()
    local s = stream.range(1, 3, 1, 60)
    assert.equal(1, (s:next()))
    closed_while_waiting(s)
    assert.equal(0, helper.round(clock:now()))
  end)

  it("refuses what is no time", function()
    refuses_seconds(4, "range", function(v) stream.range(1, 2, 1, v) end)
  end)
end)

describe("stream.spaceout", function()
  contract({
    name = "spaceout",
    make = function(src) return stream.spaceout(src, 0.001) end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  it("leaves at least so much time between items, drops none, and waits for none that is late", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0, 1 }, { 2, 2 }, { 4, 3 } }, times(clock, stream.range(1, 3):spaceout(2)))
    assert.same({ { 0, "a" }, { 1, "b" }, { 2, "c" }, { 5, "d" }, { 6, "e" }, { 9, "f" } },
      times(clock, stream.spaceout(timed(0, "a", 0.25, "b", 0.5, "c", 5, "d", 5.5, "e", 9, "f"), 1)))
  end)

  it("does not wait for a consumer that took its time, nor make up for it", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0, 1 }, { 3, 2 }, { 4, 3 }, { 5, 4 } },
      times(clock, stream.range(1, 4):spaceout(1), { 3 }))
  end)

  it("R46 can be closed while it keeps an item back", function()
    local log, clock <close> = {}, rille.test.clock()
    local s = helper.logged(log, "a"):spaceout(60)
    assert.equal(1, (s:next()))
    closed_while_waiting(s)
    assert.same({ "a" }, log)
    assert.equal(0, helper.round(clock:now()))
  end)

  it("refuses what is no time", function()
    refuses_seconds(1, "spaceout", function(v) source():spaceout(v) end)
    refuses({ -1 }, 2, "spaceout", "seconds out of range)", function(v) stream.spaceout({}, v) end)
    has(caught(function() source():spaceout() end), bad(1, "spaceout", "number expected, got no value)"))
  end)
end)

describe("stream.debounce", function()
  contract({
    name = "debounce",
    make = function(src) return stream.debounce(src, 0.001) end,
    lossy = true,
  })

  it("passes an item on when no other has come for so long", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 2, "c" }, { 4, "d" } },
      times(clock, stream.debounce(timed(0, "a", 0.5, "b", 1, "c", 3, "d", 9, nil), 1)))
  end)

  it("gives the last item at once when the source ends", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 3, "d" } }, times(clock, stream.debounce(timed(2.5, "c", 3, "d"), 1)))
    assert.same({ { 0, 3 } }, times(clock, stream.debounce({ 1, 2, 3 }, 60)))
    assert.same({}, times(clock, stream.debounce({}, 60)))
    assert.same({}, times(clock, stream.debounce(timed(5, nil), 1)))
  end)

  it("R16 R14 an item is all its values, false too", function()
    local clock <close> = rille.test.clock()
    assert.same({ 5, { 7, false } }, { 5, times(clock, stream.debounce(timed(6, false, 9, nil), 1))[1] })
    local s = helper.packed({ "x" }, { "k", nil, "v", nil, n = 4 }):debounce(1)
    assert.same({ "k", nil, "v", nil, n = 4 }, table.pack(s:next()))
    assert.is_nil((s:next()))
  end)

  it("C7 goes on while the consumer is busy", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 2, "a" }, { 7, "c" }, { 11, "d" } },
      times(clock, stream.debounce(timed(1, "a", 3, "b", 3.5, "c", 10, "d", 20, nil), 1), { 5 }))
  end)

  it("does not hold an item back for a source that ends while the consumer is busy", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 2, "a" }, { 7, "b" } }, times(clock, stream.debounce(timed(1, "a", 6.5, "b"), 1), { 5 }))
  end)

  it("refuses what is no time", function()
    refuses_seconds(1, "debounce", function(v) source():debounce(v) end)
    refuses({ -1 }, 2, "debounce", "seconds out of range)", function(v) stream.debounce({}, v) end)
    has(caught(function() source():debounce() end), bad(1, "debounce", "number expected, got no value)"))
  end)
end)

describe("stream.timeout", function()
  contract({
    name = "timeout",
    make = function(src) return stream.timeout(src, 60) end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })
  contract({
    name = "timeout",
    make = function(src) return stream.timeout(src, 60, "fallback") end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  -- A generator that takes so many seconds for its second item, and logs its end.
  local function slow(log, seconds)
    return (rille.generator(function()
      local _ <close> = helper.leaves(log, "source")
      coroutine.yield("a")
      rille.sleep(seconds)
      log[#log + 1] = "not cancelled"
      coroutine.yield("b")
    end)())
  end

  it("R68 counts the time of each step alone, and none of the consumer's", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0.5, "a" }, { 9.5, "b" }, { 10.25, "c" } },
      times(clock, stream.timeout(timed(0.5, "a", 1.25, "b", 10.25, "c"), 1), { 9 }))
    assert.same({ { 0.75, 1 }, { 1.5, 2 }, { 2.25, 3 } },
      times(clock, stream.timeout(stream.range(1, 3):tap(function() rille.sleep(0.75) end), 1)))
  end)

  it("cancels a step that takes longer, closes the source, and raises ETIMEDOUT", function()
    local clock <close> = rille.test.clock()
    local log = {}
    local s = slow(log, 5):timeout(1)
    assert.equal("a", (s:next()))
    rille.sleep(3)
    local err = caught(s.next, s)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    assert.equal(4, helper.round(clock:now()))
    assert.same({ "source" }, log)
    assert.equal("failed", s:status())
    has(caught(s.next, s), "stream already failed") -- R65
    s:close()
    assert.same({ "source" }, log)
  end)

  it("waits for the cleanup of the step, however long, before the error arrives", function()
    local clock <close> = rille.test.clock()
    local g = rille.generator(function()
      local _ <close> = expect.closer(function() rille.sleep(7) end)
      rille.sleep(60)
    end)
    local s = g():timeout(1)
    assert.is_true(rille.is_error(caught(s.next, s), "ETIMEDOUT"))
    assert.equal(8, helper.round(clock:now()))
  end)

  it("an error of the cleanup is suppressed", function()
    local clock <close> = rille.test.clock()
    local g = rille.generator(function()
      local _ <close> = expect.closer(function() error("cleanup", 0) end)
      rille.sleep(60)
    end)
    local s = g():timeout(1)
    local err = caught(s.next, s)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    assert.same({ "cleanup" }, err.suppressed)
    assert.equal(1, helper.round(clock:now()))
  end)

  it("R67 with a fallback gives that, and the step goes on for the next call", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0.5, "a" }, { 1.5, "-" }, { 2.5, "-" }, { 3, "b" }, { 3.25, "c" } },
      times(clock, stream.timeout(timed(0.5, "a", 3, "b", 3.25, "c"), 1, "-")))
  end)

  it("R67 the step goes on while the consumer is busy, and its item is there for the next call", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0.5, "a" }, { 1.5, "-" }, { 6.5, "b" }, { 7.5, "-" }, { 8, "c" } },
      times(clock, stream.timeout(timed(0.5, "a", 3, "b", 8, "c"), 1, "-"), { 0, 5 }))
  end)

  it("R16 false is a fallback", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, false }, { 1.5, "a" } }, times(clock, stream.timeout(timed(1.5, "a"), 1, false)))
  end)

  it("a function as fallback is called each time, may wait and give several values", function()
    local calls, clock <close> = 0, rille.test.clock()
    local s = stream.timeout(timed(2.5, "a"), 1, function()
      calls = calls + 1
      rille.sleep(0.25)
      return calls, nil, "late", nil
    end)
    assert.same({ 1, nil, "late", nil, n = 4 }, table.pack(s:next()))
    assert.equal(1.25, helper.round(clock:now()))
    assert.same({ 2, nil, "late", nil, n = 4 }, table.pack(s:next()))
    assert.equal(2.5, helper.round(clock:now()))
    assert.same({ "a", n = 1 }, table.pack(s:next()))
    assert.is_nil((s:next()))
    assert.equal(2, calls)
  end)

  it("R15 a fallback that returns nil, or raises, ends the stream with an error", function()
    local clock <close> = rille.test.clock()
    local mine = {}
    for _, fallback in ipairs({ function() return nil end, function() error(mine, 0) end }) do
      local log = {}
      local s = slow(log, 50):drop(1):timeout(1, fallback)
      local err = caught(s.next, s)
      if err ~= mine then has(err, "returned nil; an item must not be nil") end
      assert.same({ "source" }, log)
      assert.equal("failed", s:status())
    end
    assert.equal(2, helper.round(clock:now()))
  end)

  it("an error of the step that went on arrives at the next call", function()
    local mine, clock <close> = {}, rille.test.clock()
    local s = stream.timeout(timed(2, function() error(mine, 0) end), 1.5, "-")
    assert.equal("-", (s:next()))
    rille.sleep(5)
    same_object(mine, caught(s.next, s))
    assert.equal(6.5, helper.round(clock:now()))
  end)

  it("an ETIMEDOUT of the source is its own, and no reason for the fallback", function()
    local clock <close> = rille.test.clock()
    local g = rille.generator(function()
      rille.timeout(0.5, rille.sleep, 60)
    end)
    local s = stream.timeout(g, 1, "-")
    assert.is_true(rille.is_error(caught(s.next, s), "ETIMEDOUT"))
    assert.equal(0.5, helper.round(clock:now()))
    assert.equal("failed", s:status())
  end)

  it("C4 closing it while a step goes on cancels the step, then closes the source", function()
    local clock <close> = rille.test.clock()
    local log, before = {}, task.count()
    for v in slow(log, 50):timeout(1, "-") do
      if v == "-" then break end
    end
    assert.same({ "source" }, log)
    assert.equal(before, task.count())
    assert.equal(1, helper.round(clock:now()))
  end)

  it("R30 the story of its error begins with what the source waited for", function()
    local clock <close> = rille.test.clock()
    local where
    local s = rille.generator(function()
      where = here() rille.sleep(60)
    end)():timeout(1)
    has(rille.traceback((caught(s.next, s))), "no item within 1 s\nwhile waiting for sleep (" .. where .. ")")
    assert.equal(1, helper.round(clock:now()))
  end)

  it("refuses what is no time; nil is no fallback", function()
    refuses_seconds(1, "timeout", function(v) source():timeout(v) end)
    refuses({ -1 }, 2, "timeout", "seconds out of range)", function(v) stream.timeout({}, v) end)
    has(caught(function() source():timeout() end), bad(1, "timeout", "number expected, got no value)"))
    local clock <close> = rille.test.clock()
    local s = stream.timeout(timed(5, "a"), 1, nil)
    assert.is_true(rille.is_error(caught(s.next, s), "ETIMEDOUT"))
    assert.equal(1, helper.round(clock:now()))
  end)
end)

describe("stream.batch", function()
  contract({
    name = "batch",
    make = function(src) return stream.batch(src, 1, 60) end,
    gives = { { 1 }, { 2 }, { 3 } },
    before = { { 1 }, { 2 } },
  })

  it("gives lists of n items, or of what came in so much time after the first", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0.25, { "a", "b" } }, { 1.5, { "c" } }, { 5, { "d" } } },
      times(clock, stream.batch(timed(0, "a", 0.25, "b", 0.5, "c", 5, "d"), 2, 1)))
    assert.same({ { 11, { "a", "b", "c" } }, { 12, { "d" } } },
      times(clock, stream.batch(timed(10, "a", 10.25, "b", 10.75, "c", 11.75, "d", 12, nil), 9, 1)))
  end)

  it("the last may be shorter, and none is empty", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 0, { 1, 2 } }, { 0, { 3, 4 } }, { 0, { 5 } } },
      times(clock, stream.range(1, 5):batch(2, 60)))
    assert.same({ { 0, { 1, 2 } } }, times(clock, stream.range(1, 2):batch(2, 60)))
    assert.same({}, times(clock, stream.batch({}, 2, 60)))
    assert.same({}, times(clock, stream.batch(timed(100, nil), 2, 1)))
    assert.same({ { 8, { "a" } } }, times(clock, stream.batch(timed(7, "a", 50, nil), 2, 1)))
  end)

  it("R16 R14 false is an item, and one of several values is a list of them", function()
    assert.same({ { false, false } }, stream.batch({ false, false }, 2, 1):collect())
    assert.same({ { { 1, "a" }, { 2, "b" } } }, stream.enumerate({ "a", "b" }):batch(5, 1):collect())
  end)

  it("the item that comes after the time begins the next list", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, { "a" } }, { 2.5, { "b", "c" } } },
      times(clock, stream.batch(timed(0, "a", 1.5, "b", 1.75, "c", 60, nil), 9, 1)))
  end)

  it("C6 delivers the list that was not full before an error", function()
    local err = fault.new("EX", "mine")
    local s = stream.range(1, 9):tap(function(v) if v == 6 then error(err, 0) end end):batch(4, 60)
    assert.same({ 1, 2, 3, 4 }, (s:next()))
    assert.same({ 5 }, (s:next()))
    same_object(err, caught(s.next, s))
  end)

  it("C6 so it does before one that comes while it waits for more", function()
    local err, clock <close> = fault.new("EX", "mine"), rille.test.clock()
    local s = stream.batch(timed(0, "a", 0.5, function() error(err, 0) end), 4, 1)
    assert.same({ "a" }, (s:next()))
    assert.equal(0.5, helper.round(clock:now()))
    same_object(err, caught(s.next, s))
  end)

  it("R46 can be closed while it waits for more", function()
    local log = {}
    closed_while_waiting((helper.stuck(log, "source", 1):batch(2, 60)))
    assert.same({ "source" }, log)
  end)

  it("C4 a wait for more does not outlive the loop", function()
    local clock <close> = rille.test.clock()
    local log, before = {}, task.count()
    for batch in helper.stuck(log, "source", 1):batch(2, 0.25) do
      assert.same({ 1 }, batch)
      break
    end
    turns(3)
    assert.same({ "source" }, log)
    assert.equal(before, task.count())
    assert.equal(0.25, helper.round(clock:now()))
  end)

  it("refuses what is no count or no time", function()
    helper.refuses_counts(1, "batch", function(v) source():batch(v, 1) end)
    refuses_seconds(2, "batch", function(v) source():batch(2, v) end)
    refuses({ 0 }, 2, "batch", "an integer >= 1 expected, got 0)", function(v) stream.batch({}, v, 1) end)
    has(caught(function() source():batch(2) end), bad(2, "batch", "number expected, got no value)"))
  end)
end)
