-- Streams whose function runs in several tasks: map and each_do with n > 1.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local task = require("rille.host.task")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")

local caught, has, turns = expect.caught, expect.has, expect.turns
local closer, logged = expect.closer, helper.logged

local function double(v) return v * 2 end
local function even(v) return v % 2 == 0 end

-- A function for map that waits some turns of its own, and keeps count of those at work.
local function work(turns_of)
  local at = { now = 0, most = 0, calls = 0 }
  return function(v)
    at.calls = at.calls + 1
    at.now = at.now + 1
    at.most = math.max(at.most, at.now)
    turns(turns_of(v))
    at.now = at.now - 1
    return v
  end, at
end

describe("rille.stream: map with n > 1", function()
  it("R77 C7 keeps the order, with at most n at work", function()
    local f, at = work(function(v) return 12 - v % 12 end)
    local expected = stream.range(1, 40):collect()
    assert.same(expected, logged({}, "s", 40, true):map(f, { n = 5 }):collect())
    assert.equal(5, at.most)
    assert.equal(40, at.calls)
  end)

  it("gives results as completed with ordered = false", function()
    local _ <close> = rille.test.clock()
    local wait = { 0.02, 0.005, 0.01 }
    local function f(v) rille.sleep(wait[v]) return v end
    assert.same({ 2, 3, 1 }, stream.range(1, 3):map(f, { n = 3, ordered = false }):collect())
    assert.same({ 1, 2, 3 }, stream.range(1, 3):map(f, { n = 3 }):collect())
  end)

  it("C8 passes all values of an item to f, and all results on", function()
    local s = stream.enumerate({ "a", "b" }):map(function(i, v)
      rille.sleep(0)
      return v, nil, i, nil
    end, { n = 2 })
    assert.same({ 4, "a", nil, 1 }, { select("#", s:next()), "a", nil, 1 })
    assert.same({ "b", nil, 2 }, { s:next() })
    assert.is_nil((s:next()))
    local single = stream.range(1, 1):map(function(v) rille.sleep(0) return v end, { n = 2 })
    assert.equal(1, select("#", single:next()))
  end)

  it("C1 starts no task before the first next, and no more than there is work for", function()
    local before = task.count()
    local f = work(function() return 3 end)
    local s = stream.range(1, 3):map(f, { n = 100 })
    turns(1)
    assert.equal(before, task.count())
    local most = 0
    local watch = rille.spawn(function()
      while s:status() ~= "exhausted" do
        most = math.max(most, task.count() - before - 1)
        rille.sleep(0)
      end
    end)
    assert.same({ 1, 2, 3 }, s:collect())
    watch:await()
    assert.is_true(most >= 3 and most <= 4, "tasks: " .. most) -- one looks for a fourth item
    assert.equal(before, task.count())
  end)

  it("R104 starts nothing where nobody can wait for a result", function()
    local before, calls = task.count(), 0
    local s = stream.range(1, 9):map(function(v) calls = calls + 1 return v end, { n = 2 })
    local err = caught(table.sort, { 3, 2, 1 }, function() return s:next() end)
    has(err, "table.sort")
    assert.equal(before, task.count())
    turns(2)
    assert.equal(0, calls)
  end)

  it("uses its workers again instead of making one an item", function()
    local spawned, seen = 0, {}
    local s = stream.range(1, 200):map(function(v)
      local name = task.current()
      if not seen[name] then
        seen[name] = true
        spawned = spawned + 1
      end
      turns(v % 3)
      return v
    end, { n = 4 })
    assert.equal(200, s:count())
    assert.is_true(spawned < 40, "workers: " .. spawned)
  end)

  it("C7 goes on while the consumer's body runs, at most n items ahead", function()
    local pulled, done = 0, 0
    local s = stream.range(1, 100):tap(function() pulled = pulled + 1 end)
      :map(function(v) rille.sleep(0) done = done + 1 return v end, { n = 4 })
    assert.equal(1, (s:next()))
    turns(20)
    assert.equal(5, pulled)
    assert.equal(5, done)
    assert.equal(2, (s:next()))
    turns(20)
    assert.equal(6, pulled)
    s:close()
  end)

  it("C7 never has more than n items pulled and not yet delivered", function()
    local pulled, delivered, most = 0, 0, 0
    local s = stream.range(1, 60):tap(function()
      pulled = pulled + 1
      most = math.max(most, pulled - delivered)
    end):map(function(v)
      turns(v * 7 % 5)
      return v
    end, { n = 3 })
    for _ in s do delivered = delivered + 1 end
    assert.equal(60, delivered)
    assert.equal(3, most)
  end)

  it("a source that waits does not delay a finished result", function()
    local gate
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.callback(function(resume) gate = resume end)
      coroutine.yield(2)
    end)
    local s = g():map(function(v) rille.sleep(0) return v end, { n = 3 })
    assert.equal(1, (s:next()))
    turns(2)
    gate()
    assert.equal(2, (s:next()))
    assert.is_nil((s:next()))
  end)

  it("advances the source in one task at a time", function()
    local inside, most = 0, 0
    local s = stream.from(function()
      inside = inside + 1
      most = math.max(most, inside)
      turns(2)
      inside = inside - 1
      return true
    end):map(function(v) turns(1) return v end, { n = 6 })
    for _ = 1, 30 do s:next() end
    s:close()
    assert.equal(1, most)
  end)

  it("R80 another task's next is refused while one waits", function()
    local s = stream.range(1, 3):map(function(v) turns(3) return v end, { n = 2 })
    local first = rille.spawn(function() return (s:next()) end)
    turns(2)
    assert.equal("waiting", s:status())
    has(caught(s.next, s), "stream already running")
    assert.equal(1, first:await())
    s:close()
  end)

  it("C6 delivers what was finished in order before an error, then the same error", function()
    local mine, seen = {}, {}
    local s = stream.range(1, 9):map(function(v)
      if v == 4 then
        turns(5)
        error(mine, 0)
      end
      rille.sleep(0)
      return v
    end, { n = 4 })
    assert.equal(1, (s:next()))
    turns(20) -- 2 and 3 are finished, 4 has failed
    local err = caught(function() for v in s:keep() do seen[#seen + 1] = v end end)
    assert.is_true(rawequal(mine, err))
    assert.same({ 2, 3 }, seen)
    has(caught(s.next, s), "stream already failed")
  end)

  it("C5 cancels the others at once and waits for their cleanup before the error arrives", function()
    local log = {}
    local s = logged(log, "source"):map(function(v)
      local _ <close> = closer(function()
        turns(3)
        log[#log + 1] = "worker " .. v
      end)
      if v == 2 then
        turns(2)
        error("two", 0)
      end
      rille.sleep(60)
    end, { n = 3 })
    assert.equal("two", caught(s.next, s))
    assert.equal("source", log[#log])
    table.sort(log)
    assert.same({ "source", "worker 1", "worker 2", "worker 3" }, log)
  end)

  it("C5 works on nothing more after an error, though the source cannot be cut short", function()
    local before, pulled, worked = task.count(), 0, {}
    local s = stream.repeating(function()
      if pulled > 0 then rille.shield(function() turns(6) end) end
      pulled = pulled + 1
      return pulled
    end):map(function(v)
      worked[#worked + 1] = v
      turns(2)
      error("one", 0)
    end, { n = 3 })
    assert.equal("one", caught(s.next, s))
    assert.same({ 2, { 1 } }, { pulled, worked })
    assert.equal(before, task.count())
  end)

  it("C5 attaches the errors of the others' cleanup as suppressed", function()
    local first = fault.new("EX", "first")
    local s = stream.range(1, 2):map(function(v)
      if v == 2 then
        rille.sleep(0)
        error(first, 0)
      end
      local _ <close> = closer(function() error("later", 0) end)
      rille.sleep(60)
    end, { n = 2 })
    assert.is_true(rawequal(first, caught(s.next, s)))
    assert.same({ "later" }, first.suppressed)
  end)

  it("R30 the error tells the worker's story", function()
    local function fetch_it() error("no such thing") end
    local s = stream.range(1, 2):map(function() rille.sleep(0) fetch_it() end, { n = 2 })
    local err = caught(s.next, s)
    has(rille.traceback(err), "fetch_it")
  end)

  it("an error of the source cancels the work and arrives as the same object", function()
    local mine, log = {}, {}
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0)
      error(mine, 0)
    end)
    local s = g():map(function()
      local _ <close> = closer(function() log[#log + 1] = "worker" end)
      rille.sleep(60)
    end, { n = 2 })
    assert.is_true(rawequal(mine, caught(s.next, s)))
    assert.same({ "worker" }, log)
  end)

  it("R60 break cancels the workers, waits for their cleanup, then closes the source", function()
    local log = {}
    local before = task.count()
    for v in logged(log, "source"):map(function(v)
      if v == 1 then return v end
      local _ <close> = closer(function()
        turns(2)
        log[#log + 1] = "worker"
      end)
      rille.sleep(60)
    end, { n = 3 }) do
      assert.equal(1, v)
      turns(3)
      break
    end
    assert.same({ "worker", "worker", "worker", "source" }, log)
    assert.equal(before, task.count())
  end)

  it("R38 an error of a worker's cleanup surfaces at the break, after everything is closed", function()
    local log = {}
    local err = caught(function()
      for _ in logged(log, "source"):map(function(v)
        if v == 1 then return v end
        local _ <close> = closer(function() error("cleanup", 0) end)
        rille.sleep(60)
      end, { n = 2 }) do
        turns(3)
        break
      end
    end)
    assert.equal("cleanup", err)
    assert.same({ "source" }, log)
  end)

  it("R61 R71 cancelling the consumer ends the workers and the source, and skips no cleanup", function()
    local log = {}
    local t = rille.spawn(function()
      for _ in logged(log, "source"):map(function(v)
        local _ <close> = closer(function()
          turns(3)
          log[#log + 1] = "worker " .. v
        end)
        rille.sleep(60)
      end, { n = 2 }) do error("not reached") end
    end)
    turns(4)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.equal("source", log[3])
    table.sort(log)
    assert.same({ "source", "worker 1", "worker 2" }, log)
  end)

  it("R71 cancelling a task that is closing the stream does not skip the rest", function()
    local log = {}
    local s = logged(log, "source"):map(function(v)
      if v == 1 then return v end
      local _ <close> = closer(function()
        turns(4)
        log[#log + 1] = "worker"
      end)
      rille.sleep(60)
    end, { n = 3 })
    s:next()
    turns(3)
    local t = rille.spawn(function() s:close() end)
    turns(2)
    t:cancel()
    t:join()
    assert.same({ "worker", "worker", "worker", "source" }, log)
    assert.equal("closed", s:status())
  end)

  it("R46 R47 a close from another task ends a next that waits", function()
    local log, err = {}, nil
    local s = logged(log, "source"):map(function()
      local _ <close> = closer(function() log[#log + 1] = "worker" end)
      rille.sleep(60)
    end, { n = 2 })
    local consumer = rille.spawn(function() err = caught(s.next, s) end)
    turns(3)
    s:close()
    consumer:await()
    assert.equal("stream closed by another task", err)
    assert.same({ "worker", "worker", "source" }, log)
    assert.equal("closed", s:status())
  end)

  it("R49 f cannot close the stream that it works for", function()
    local s, err
    s = stream.range(1, 3):map(function(v)
      rille.sleep(0)
      err = err or caught(s.close, s)
      return v
    end, { n = 2 })
    assert.same({ 1, 2, 3 }, s:collect())
    has(err, "cannot close a running stream from inside it")
  end)

  it("a stream that is dropped in the middle leaves no task behind", function()
    local before = task.count()
    local done = 0
    do
      local s = stream.range(1, 100):map(function(v) turns(2) done = done + 1 return v end, { n = 4 })
      assert.equal(1, (s:next()))
    end
    turns(20)
    collectgarbage()
    assert.equal(before, task.count())
    assert.equal(5, done)
  end)

  it("take over it stops the work", function()
    local before = task.count()
    local f, at = work(function() return 2 end)
    assert.same({ 2, 4 }, stream.range(1):map(f, { n = 3 }):map(double):take(2):collect())
    assert.equal(before, task.count())
    assert.is_true(at.calls <= 5)
  end)

  it("stages, chains and other concurrent maps may stand on either side", function()
    local function slow(v) turns(v % 3) return v end
    local s = stream.chain(stream.range(1, 6):map(slow, { n = 2 }), { 7, 8 })
      :map(slow, { n = 3 }):filter(even):flat_map(function(v)
        return stream.from({ v, v }):map(slow, { n = 2 })
      end)
    assert.same({ 2, 2, 4, 4, 6, 6, 8, 8 }, s:collect())
  end)

  it("gives every item exactly once, whatever the times are", function()
    local seed = os.time()
    math.randomseed(seed)
    for _ = 1, 30 do
      local n, count, ordered = math.random(2, 8), math.random(0, 40), math.random() < 0.5
      local s = logged({}, "s", count, math.random() < 0.5):map(function(v)
        turns(math.random(0, 3))
        return v
      end, { n = n, ordered = ordered })
      local got = {}
      for v in s do
        got[#got + 1] = v
        turns(math.random(0, 2))
      end
      if not ordered then table.sort(got) end
      assert.same(stream.range(1, count):collect(), got, "seed " .. seed)
    end
  end)

  it("R102 survives a collection at any point", function()
    local s = logged({}, "s", 20, true):map(function(v)
      rille.sleep(0)
      collectgarbage()
      return v
    end, { n = 3 })
    assert.equal(20, s:count())
  end)
end)

describe("rille.stream: each_do with n > 1", function()
  it("runs f for every item, at most n at a time, and returns nothing", function()
    local f, at = work(function(v) return 4 + v % 4 end)
    local seen = {}
    assert.equal(0, select("#", stream.range(1, 20):each_do(function(v)
      f(v)
      seen[#seen + 1] = v
    end, { n = 4 })))
    table.sort(seen)
    assert.same(stream.range(1, 20):collect(), seen)
    assert.equal(4, at.most)
  end)

  it("C5 the first error cancels the others and closes the source before it is raised", function()
    local log, mine = {}, {}
    assert.is_true(rawequal(mine, caught(function()
      logged(log, "source"):each_do(function(v)
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "worker"
        end)
        if v == 2 then
          rille.sleep(0)
          error(mine, 0)
        end
        rille.sleep(60)
      end, { n = 2 })
    end)))
    assert.same({ "worker", "worker", "source" }, log)
  end)

  it("ignores what f returns, nil and false too", function()
    local calls = 0
    stream.range(1, 5):each_do(function() calls = calls + 1 return nil end, { n = 2 })
    stream.range(1, 5):each_do(function() calls = calls + 1 return false end, { n = 2 })
    assert.equal(10, calls)
  end)
end)
