-- Operators over several sources at once. R<n> are the rules of the semantics, C<n> the points of the
-- contract that every operator meets; what all of them promise is in spec/helper/contract.lua.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local task = require("rille.host.task")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")
local contract = require("spec.helper.contract")

local caught, has, same_object, refuses = expect.caught, expect.has, expect.same_object, helper.refuses
local items, logged, stuck, turns = helper.items, helper.logged, helper.stuck, expect.turns
local timed, times = helper.timed, helper.times

local EXPECTED = "expected a stream, a generator function, an iterator function or a list, got "

-- A source of 1 .. n that counts what was taken from it in `count.taken`.
local function counted(count, n)
  count.taken = 0
  return (stream.range(1, n):tap(function() count.taken = count.taken + 1 end))
end

describe("stream.merge", function()
  contract({ name = "merge", make = stream.merge, gives = { 1, 2, 3 }, before = { 1, 2 }, whole = true })
  contract({ name = "merge", make = stream.merge, sources = 3, gives = { 1, 1, 1, 2, 2, 2, 3, 3, 3 },
    whole = true })

  it("gives the items as they arrive", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a" }, { 2, "A" }, { 3, "b" }, { 4, "B" }, { 5, "C" } },
      times(clock, stream.merge(timed(1, "a", 3, "b"), timed(2, "A", 4, "B", 5, "C"))))
  end)

  it("takes turns among sources that are ready", function()
    assert.same({ 1, 10, 100, 2, 20, 3, 30 }, stream.merge({ 1, 2, 3 }, { 10, 20, 30 }, { 100 }):collect())
  end)

  it("a source that is always ready does not starve one that waits", function()
    local n = 0
    for v in stream.merge(stream.range(1), logged({}, "slow", 5, true):map(function(v) return -v end)) do
      n = n + 1
      if v == -5 then break end
    end
    assert.is_true(n < 100, n .. " items")
  end)

  it("C7 looks one item ahead in each source, also while the consumer is busy", function()
    local a, b = {}, {}
    local s = stream.merge(counted(a, 100), counted(b, 100))
    for i = 1, 10 do
      s:next()
      turns(10)
      assert.is_true(a.taken + b.taken >= i + 1 and a.taken + b.taken <= i + 2, "taken " .. a.taken + b.taken)
      assert.is_true(math.abs(a.taken - b.taken) <= 1)
    end
    s:close()
  end)

  it("C7 an item that arrives while the consumer is busy is there at once", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a" }, { 6, "A" }, { 6, "b" }, { 7, "B" } },
      times(clock, stream.merge(timed(1, "a", 3, "b"), timed(2, "A", 7, "B")), { 5 }))
  end)

  it("closes a source that has ended at once, and goes on with the others", function()
    local log = {}
    local s = stream.merge(logged(log, "a", 1), logged(log, "b", 3, true))
    for _ = 1, 3 do assert.is_not_nil((s:next())) end
    turns(3)
    assert.equal("a", log[1])
    assert.equal(3, (s:next()))
    assert.is_nil((s:next()))
    assert.same({ "a", "b" }, log)
  end)

  it("of no source, or of empty ones, is empty", function()
    assert.same({}, stream.merge():collect())
    assert.same({}, stream.merge({}, {}):collect())
    assert.same({ 1 }, stream.merge({}, { 1 }, {}):collect())
  end)

  it("R6 is a method, and takes the four values of a generator call", function()
    local gen = rille.generator(function(a) for i = a, a + 1 do coroutine.yield(i) end end)
    assert.same({ 1, 2, 5, 6 }, helper.sorted(stream.merge(gen(1), gen(5)):collect()))
    assert.same({ 1, 2, 5, 6 }, helper.sorted(gen(1):merge(gen(5)):collect()))
    assert.same({ 1, 2, 5, 6 }, helper.sorted(stream.range(1, 2):merge({ 5 }, { 6 }):collect()))
  end)

  it("C5 the first error cancels the others, waits for their cleanup, and suppresses theirs", function()
    local clock <close> = rille.test.clock()
    local first, log = fault.new("EX", "first"), {}
    local function cleanup(name, seconds, err)
      return rille.generator(function()
        local _ <close> = expect.closer(function()
          rille.sleep(seconds)
          log[#log + 1] = name
          if err then error(err, 0) end
        end)
        rille.sleep(100)
        log[#log + 1] = "not cancelled"
      end)
    end
    local b = timed(1, function() error(first, 0) end)
    local s = stream.merge(cleanup("a", 5), b, cleanup("c", 2, "later"))
    same_object(first, caught(s.next, s))
    assert.same({ "a", "c" }, helper.sorted(log))
    assert.same({ "later" }, first.suppressed)
    assert.equal(6, helper.round(clock:now()))
  end)
end)

describe("stream.zip", function()
  contract({ name = "zip", make = stream.zip, gives = { 1, 2, 3 }, before = { 1, 2 } })
  contract({ name = "zip", make = stream.zip, sources = 2, gives = { { 1, 1 }, { 2, 2 }, { 3, 3 } },
    before = { 1, 2 } })
  contract({
    name = "zip",
    make = function(a, b, c) return stream.zip(a, b, c, { strict = true }) end,
    sources = 3,
    gives = { { 1, 1, 1 }, { 2, 2, 2 }, { 3, 3, 3 } },
  })

  it("gives one value of each source, the first of its item", function()
    assert.same({ { 1, "a" }, { 2, "b" } }, items(stream.zip({ 1, 2 }, { "a", "b" })))
    local s = stream.zip(helper.packed({ "k", "x" }, { false, nil, "y", n = 3 }),
      helper.packed({ false, 1 }, { 2 }))
    assert.same({ "k", false, n = 2 }, table.pack(s:next()))
    assert.same({ false, 2, n = 2 }, table.pack(s:next()))
    assert.same({ nil, n = 1 }, table.pack(s:next()))
  end)

  it("asks all sources at once", function()
    local clock <close> = rille.test.clock()
    local function every(seconds)
      return stream.range(1, 3):tap(function() rille.sleep(seconds) end)
    end
    assert.same({ { 2, 1 }, { 4, 2 }, { 6, 3 } }, times(clock, stream.zip(every(1), every(2), every(1.5))))
  end)

  it("ends when one ends, and closes the others without using them up", function()
    local a, b, log = {}, {}, {}
    assert.same({ { 1, 1 }, { 2, 2 } }, stream.zip(counted(a, 2), counted(b, 100)):collect())
    assert.is_true(b.taken <= 4, "taken " .. b.taken)
    assert.same({ { 1, 1 } }, stream.zip(logged(log, "a"), logged(log, "b", 1), logged(log, "c"))
      :map(function(x, y) return { x, y } end):collect())
    assert.same({ "a", "b", "c" }, helper.sorted(log))
    assert.same({}, stream.zip({ 1 }, {}):collect())
  end)

  it("ends when one ends even if others wait, whose step is cancelled", function()
    local clock <close> = rille.test.clock()
    local log = {}
    local s = stream.zip(stuck(log, "a", 1), timed(1, "A", 1.25, nil))
    assert.same({ 1, "A" }, { s:next() })
    assert.is_nil((s:next()))
    assert.same({ "a" }, log)
    assert.equal(1.25, helper.round(clock:now()))
  end)

  it("with strict=true sources of one length end it", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a" }, { 2, "b" } }, items(stream.zip({ 1, 2 }, { "a", "b" }, { strict = true })))
    assert.same({ { 1, "a" } }, times(clock, stream.zip(timed(1, "a", 1.5, nil), timed(0.5, "A", 3, nil),
      { strict = true })))
    assert.equal(3, helper.round(clock:now()))
  end)

  it("with strict=true sources of several lengths are an error after the last whole item", function()
    for longer = 1, 2 do
      local log, seen = {}, {}
      local s = stream.zip(logged(log, "a", longer == 1 and 3 or 2), logged(log, "b", longer == 2 and 3 or 2),
        { strict = true })
      local err = caught(function() for a, b in s:keep() do seen[#seen + 1] = a + b end end)
      assert.is_true(rille.is_error(err, "EMISMATCH"))
      assert.same({ 2, 4 }, seen)
      assert.same({ "a", "b" }, helper.sorted(log))
      assert.equal("failed", s:status())
    end
    local s = stream.zip({ 1 }, { 1 }, { 1, 2 }, { strict = true })
    assert.is_true(rille.is_error(caught(s.collect, s), "EMISMATCH"))
    assert.same({ { 1, 1 } }, stream.zip({ 1 }, { 1, 2 }, { strict = false }):collect())
  end)

  it("tells options from a list, and checks them", function()
    assert.same({}, stream.zip({ 1 }, {}):collect())
    has(caught(stream.zip, { 1 }, { strickt = true }), "unknown option 'strickt'")
    has(caught(stream.zip, { 1 }, { strict = 1 }), "bad option 'strict' (boolean expected, got number)")
    refuses({ 5, true, "x" }, 2, "zip", EXPECTED:sub(1, 8), function(v) stream.zip({}, v) end)
  end)

  it("R6 is a method, and takes the four values of a generator call", function()
    local gen = rille.generator(function(a) for i = a, a + 1 do coroutine.yield(i) end end)
    assert.same({ { 1, 5 }, { 2, 6 } }, stream.zip(gen(1), gen(5)):collect())
    assert.same({ { 1, 5 }, { 2, 6 } }, gen(1):zip(gen(5)):collect())
    assert.same({ { 1, 5 }, { 2, 6 } }, gen(1):zip({ 5, 6 }, { strict = true }):collect())
  end)
end)

describe("stream.latest", function()
  contract({ name = "latest", make = stream.latest, gives = { 1, 2, 3 }, before = { 1, 2 } })
  contract({ name = "latest", make = stream.latest, sources = 2 })
  contract({
    name = "latest",
    make = function(a, b) return stream.latest(a, b, { partial = true }) end,
    sources = 2,
  })

  -- What comes when, with the values of an item in one string.
  local function states(clock, s)
    return times(clock, s:map(function(...)
      local values = table.pack(...)
      for i = 1, values.n do values[i] = tostring(values[i]) end
      return table.concat(values, " ")
    end))
  end

  it("gives the last value of each source at each arrival, once all have one", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 3, "b A" }, { 4, "c A" }, { 5, "c B" } },
      states(clock, stream.latest(timed(1, "a", 2, "b", 4, "c"), timed(3, "A", 5, "B"))))
  end)

  it("with partial=true from the first arrival on, with false for what is not there", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a false" }, { 2, "b false" }, { 3, "b A" } },
      states(clock, stream.latest(timed(1, "a", 2, "b"), timed(3, "A"), { partial = true })))
    assert.same({ { 1, "false A" } }, states(clock, stream.latest({}, timed(1, "A"), { partial = true })))
    assert.same({ { 1, "a A" } }, states(clock, stream.latest(timed(1, "a"), { "A" }, { partial = false })))
  end)

  it("keeps the last value of a source that has ended", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a A" }, { 2, "a B" }, { 30, "a C" } },
      states(clock, stream.latest({ "a" }, timed(1, "A", 2, "B", 30, "C"))))
  end)

  it("R16 R14 gives first values, false too", function()
    local clock <close> = rille.test.clock()
    local s = stream.latest(timed(1, false, 3, false), timed(2, false))
    assert.same({ false, false, n = 2 }, table.pack(s:next()))
    assert.equal(2, helper.round(clock:now()))
    assert.same({ false, false, n = 2 }, table.pack(s:next()))
    assert.equal(3, helper.round(clock:now()))
    assert.is_nil((s:next()))
    local several = stream.latest(helper.packed({ "k", "x", "y" }), helper.packed({ "K", "X" }))
    assert.same({ "k", "K", n = 2 }, table.pack(several:next()))
  end)

  it("is empty if a source never gives a value", function()
    assert.same({}, stream.latest({ 1, 2 }, {}):collect())
    assert.same({}, stream.latest({}, {}, { partial = true }):collect())
  end)

  it("ends with what all sources gave last", function()
    local seen = items(stream.latest({ 1, 2, 3 }, { 10, 20 }))
    assert.same({ 3, 20 }, seen[#seen])
  end)

  it("checks its options", function()
    has(caught(stream.latest, { 1 }, { partail = true }), "unknown option 'partail'")
    has(caught(stream.latest, { 1 }, { partial = 1 }), "bad option 'partial' (boolean expected, got number)")
  end)

  it("is a method", function()
    assert.same({ 1, 2 }, { stream.from({ 1 }):latest({ 2 }):first() })
  end)
end)

describe("stream.race", function()
  contract({ name = "race", make = stream.race, gives = { 1, 2, 3 }, before = { 1, 2 }, whole = true })

  it("gives the items of the source that is first to give one", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "B" }, { 9, "C" } },
      times(clock, stream.race(timed(2, "a", 3, "b"), timed(1, "B", 9, "C"), timed(1.5, "c"))))
  end)

  it("passes false, several values, and nils among them", function()
    local s = stream.race(helper.packed({ false, nil, n = 2 }, { "k", nil, "v", n = 3 }), timed(0.01, 1))
    assert.same({ false, nil, n = 2 }, table.pack(s:next()))
    assert.same({ "k", nil, "v", n = 3 }, table.pack(s:next()))
    assert.is_nil((s:next()))
  end)

  it("C4 closes the losers before the first item arrives", function()
    local log, before = {}, task.count()
    local s = stream.race(stuck(log, "a", 0), logged(log, "b", 2), stuck(log, "c", 0))
    assert.equal(1, (s:next()))
    assert.same({ "a", "c" }, helper.sorted(log))
    assert.equal(2, (s:next()))
    assert.is_nil((s:next()))
    assert.equal(before, task.count())
    assert.equal(3, #log)
  end)

  it("closes the winner when it is left", function()
    local log = {}
    for _ in stream.race(stuck(log, "a", 0), logged(log, "b")) do break end
    assert.same({ "a", "b" }, log)
  end)

  it("goes on without sources that end without an item", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 2, "a" } }, times(clock, stream.race({}, timed(2, "a"), timed(1, nil))))
    assert.same({}, stream.race({}, {}):collect())
  end)

  it("R61 R63 cancelling a task that waits closes all of them", function()
    local log = {}
    local t = helper.waiting(function()
      for _ in stream.race(stuck(log, "a", 0), stuck(log, "b", 0)) do error("not reached") end
    end)
    t:cancel()
    t:join()
    assert.same({ "a", "b" }, helper.sorted(log))
  end)

  it("R46 R47 a close by another task ends a step that waits", function()
    local log = {}
    local s = stream.race(stuck(log, "a", 0), stuck(log, "b", 0))
    local consumer = helper.waiting(s.next, s)
    s:close()
    assert.same({ "a", "b" }, helper.sorted(log))
    has(caught(helper.outcome, consumer), "closed by another task")
  end)

  it("C5 an error before any item cancels the others and is raised", function()
    local log, mine = {}, {}
    local s = stream.race(stuck(log, "a", 0), helper.failing(log, "b", 0, mine), stuck(log, "c", 0))
    same_object(mine, caught(s.next, s))
    assert.same({ "a", "b", "c" }, helper.sorted(log))
    has(caught(s.next, s), "stream already failed")
  end)

  it("an error of the winner comes after its items; the losers can no longer fail", function()
    local clock <close> = rille.test.clock()
    local mine, seen = {}, {}
    local s = stream.race(timed(1, "a", 3, function() error(mine, 0) end),
      timed(2, function() error("lost") end))
    same_object(mine, caught(function() for v in s:keep() do seen[#seen + 1] = v end end))
    assert.same({ "a" }, seen)
    assert.equal(3, helper.round(clock:now()))
  end)

  it("R41 R6 R7 checks its sources, and starts none before the first next", function()
    local log = {}
    local a, b = logged(log, "a"), logged(log, "b")
    local s = stream.race(a, b)
    turns(3)
    assert.equal("created", a:status())
    s:close()
    assert.same({ "closed", "closed" }, { a:status(), b:status() })
    refuses({ 5, true, "x" }, 2, "race", EXPECTED:sub(1, 8), function(v) stream.race({}, v) end)
    local g <close> = logged(log, "g")
    has(caught(stream.race, g, g), "bad argument #2 to 'race' (the same stream is given twice)")
    assert.same({ 1 }, stream.range(1, 1):race(stuck(log, "c", 0)):collect())
  end)
end)

-- A function for flat_map: inner streams of two items each, which wait, log their ends and are counted.
local function inner(log, turns_of)
  local at = { now = 0, most = 0 }
  return function(v)
    return rille.generator(function()
      at.now = at.now + 1
      at.most = math.max(at.most, at.now)
      local _ <close> = expect.closer(function()
        rille.sleep(0)
        at.now = at.now - 1
        log[#log + 1] = v
      end)
      for i = 1, 2 do
        turns(turns_of and turns_of(v) or 0)
        coroutine.yield(v * 10 + i)
      end
    end)
  end, at
end

describe("stream.flat_map with n > 1", function()
  for _, ordered in ipairs({ true, false }) do
    contract({
      name = "flat_map",
      make = function(src)
        return stream.flat_map(src, function(...)
          return helper.packed(table.pack(...))
        end, { n = 3, ordered = ordered })
      end,
      gives = { 1, 2, 3 },
      before = ordered and { 1, 2 } or nil,
      whole = true,
    })
  end

  it("merges up to n inner streams, in the order of arrival", function()
    local clock <close> = rille.test.clock()
    local delays = { { 3, 6 }, { 1, 2 }, { 1, 5 } }
    local function f(v) return timed(delays[v][1], v .. "x", delays[v][2], v .. "y") end
    for _, options in ipairs({ { n = 2 }, { n = 2, ordered = false } }) do
      assert.same({ { 1, "2x" }, { 2, "2y" }, { 3, "1x" }, { 3, "3x" }, { 6, "1y" }, { 7, "3y" } },
        helper.by_time(times(clock, stream.range(1, 3):flat_map(f, options))))
    end
  end)

  it("with ordered=true keeps the order of the source, with n inner streams started ahead", function()
    local clock <close> = rille.test.clock()
    local function f(v) return timed(4 - v, v .. "x", 4, v .. "y") end
    assert.same({ { 3, "1x" }, { 4, "1y" }, { 4, "2x" }, { 4, "2y" } },
      times(clock, stream.range(1, 2):flat_map(f, { n = 2, ordered = true })))
  end)

  it("C7 never has more than n inner streams, and n when it can", function()
    for _, ordered in ipairs({ true, false }) do
      local log = {}
      local f, at = inner(log, function(v) return v % 4 end)
      local got = stream.range(1, 20):flat_map(f, { n = 4, ordered = ordered }):collect()
      if not ordered then table.sort(got) end
      local expected = {}
      for i = 1, 20 do
        expected[2 * i - 1], expected[2 * i] = i * 10 + 1, i * 10 + 2
      end
      assert.same(expected, got)
      assert.equal(4, at.most)
      assert.equal(20, #log)
    end
  end)

  it("C7 looks one item ahead in each inner stream while the consumer is busy", function()
    for _, ordered in ipairs({ true, false }) do
      local counts = { {}, {}, {} }
      local s = stream.range(1, 3):flat_map(function(v) return counted(counts[v], 100) end,
        { n = 2, ordered = ordered })
      s:next()
      turns(20)
      assert.is_nil(counts[3].taken)
      local taken = counts[1].taken + counts[2].taken
      assert.is_true(taken >= 2 and taken <= 4, "taken " .. taken)
      s:close()
    end
  end)

  it("R60 closes the inner streams, then the source", function()
    for _, ordered in ipairs({ true, false }) do
      local log, n = {}, 0
      for _ in logged(log, "source"):flat_map(function()
        n = n + 1
        return stuck(log, "inner", 1)
      end, { n = 3, ordered = ordered }) do
        turns(5)
        break
      end
      assert.equal(3, n)
      assert.same({ "inner", "inner", "inner", "source" }, log)
    end
  end)

  it("C5 an error of an inner stream cancels the others and closes the source before it arrives", function()
    for _, ordered in ipairs({ true, false }) do
      local log, mine = {}, fault.new("EX", "mine")
      local s = logged(log, "source"):flat_map(function(v)
        return v == 2 and helper.failing(log, "inner", 0, mine) or stuck(log, "inner", 0)
      end, { n = 3, ordered = ordered })
      same_object(mine, caught(s.next, s))
      assert.same({ "inner", "inner", "inner", "source" }, log)
      assert.equal("failed", s:status())
    end
  end)

  it("C6 with ordered=true what was there in order comes before the error", function()
    local mine, seen = {}, {}
    local s = stream.range(1, 2):flat_map(function(v)
      return v == 1 and stuck({}, "a", 2) or helper.failing({}, "b", 0, mine)
    end, { n = 2, ordered = true })
    assert.equal(1, (s:next()))
    turns(20)
    same_object(mine, caught(function() for v in s:keep() do seen[#seen + 1] = v end end))
    assert.same({ 2 }, seen)
  end)

  it("an error of the function, or a result that is no source, does so too", function()
    for _, ordered in ipairs({ true, false }) do
      local log, mine = {}, {}
      local s = logged(log, "source"):flat_map(function() error(mine, 0) end, { n = 2, ordered = ordered })
      same_object(mine, caught(s.next, s))
      s = logged(log, "source"):flat_map(function() return 7 end, { n = 2, ordered = ordered })
      has(caught(s.next, s), "bad result of the function of 'flat_map' (" .. EXPECTED .. "number)")
      assert.same({ "source", "source" }, log)
    end
  end)

  it("goes on over empty inner streams", function()
    for _, ordered in ipairs({ true, false }) do
      local s = stream.range(1, 500):flat_map(function(v) return v % 100 == 0 and { v } or {} end,
        { n = 3, ordered = ordered })
      assert.same({ 100, 200, 300, 400, 500 }, helper.sorted(s:collect()))
    end
  end)

  it("checks its options", function()
    local s = stream.range(1)
    local function f() return {} end
    has(caught(s.flat_map, s, f, { n = 0 }), "bad option 'n' (an integer >= 1 expected, got 0)")
    has(caught(s.flat_map, s, f, { ordered = 1 }), "bad option 'ordered' (boolean expected, got number)")
    has(caught(s.flat_map, s, f, { limit = 1 }), "unknown option 'limit'")
    s:close()
  end)
end)

describe("stream.switch_map", function()
  contract({
    name = "switch_map",
    make = function(src)
      return stream.switch_map(stream.tap(src, function() turns(3) end), function(...)
        return helper.packed(table.pack(...))
      end)
    end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  it("goes on with the newest inner stream", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a1" }, { 2, "a2" }, { 3.5, "b1" }, { 4.5, "b2" }, { 5.5, "b3" } },
      times(clock, stream.switch_map(timed(0, "a", 2.5, "b", 5, nil), function(v)
        return stream.interval(1):take(3):map(function(i) return v .. i end)
      end)))
  end)

  it("closes the old inner stream, cleanup included, before it makes the new one", function()
    local clock <close> = rille.test.clock()
    local log = {}
    local s = stream.switch_map(timed(0, "a", 2, "b", 4, "c"), function(v)
      log[#log + 1] = v .. " begins at " .. helper.round(clock:now())
      return rille.generator(function()
        local _ <close> = expect.closer(function()
          rille.sleep(0.5)
          log[#log + 1] = v .. " ends at " .. helper.round(clock:now())
        end)
        rille.sleep(1)
        coroutine.yield(v)
        rille.sleep(v == "c" and 0 or 100)
      end)
    end)
    assert.same({ { 1, "a" }, { 3.5, "b" }, { 5.5, "c" } }, times(clock, s))
    assert.same({ "a begins at 0.0", "a ends at 2.5", "b begins at 2.5", "b ends at 4.5", "c begins at 4.5",
      "c ends at 6.0" }, log)
  end)

  it("ends when the source and the last inner stream have ended", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 5, "late" } },
      times(clock, stream.switch_map({ 1 }, function() return timed(5, "late") end)))
    local seen = stream.switch_map({ 1, 2, 3 }, function(v) return { v } end):collect()
    assert.equal(3, seen[#seen])
    assert.same({}, stream.switch_map({}, function() error("not reached") end):collect())
    assert.same({}, stream.switch_map({ 1, 2 }, function() return {} end):collect())
  end)

  it("R60 closes the inner stream, then the source", function()
    local log = {}
    for _ in stuck(log, "source", 1):switch_map(function() return stuck(log, "inner", 1) end) do
      turns(3)
      break
    end
    assert.same({ "inner", "source" }, log)
  end)

  it("C5 an error of the inner stream, source or function cancels the rest before it arrives", function()
    local log, mine = {}, {}
    local s = stuck(log, "source", 1):switch_map(function() return helper.failing(log, "inner", 0, mine) end)
    same_object(mine, caught(s.next, s))
    assert.same({ "inner", "source" }, log)
    log = {}
    s = helper.failing(log, "source", 1, mine):switch_map(function() return stuck(log, "inner", 0) end)
    same_object(mine, caught(s.next, s))
    assert.same({ "inner", "source" }, helper.sorted(log))
    log = {}
    s = stuck(log, "source", 1):switch_map(function() error(mine, 0) end)
    same_object(mine, caught(s.next, s))
    assert.same({ "source" }, log)
    s = stuck(log, "source", 1):switch_map(function() return 7 end)
    has(caught(s.next, s), EXPECTED .. "number")
    assert.same({ "source", "source" }, log)
  end)

  it("R7 refuses what is no function", function()
    local g <close> = logged({}, "g")
    refuses({ 5, {}, "x" }, 1, "switch_map", "function expected, got ", function(v) g:switch_map(v) end)
    refuses({ 5 }, 2, "switch_map", "function expected, got ", function(v) stream.switch_map({}, v) end)
  end)
end)
