-- Streams with several consumers, or with a task of their own: tee, share, buffer, producer. R<n> are the
-- rules of the semantics, C<n> the points of the contract that every operator meets; what all of them promise
-- is in spec/helper/contract.lua.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local task = require("rille.host.task")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")
local contract = require("spec.helper.contract")

local caught, has, same_object, refuses = expect.caught, expect.has, expect.same_object, helper.refuses
local logged, stuck, timed, times = helper.logged, helper.stuck, helper.timed, helper.times
local spawn, waiting, outcome, turns = helper.spawn, helper.waiting, helper.outcome, expect.turns

-- A source of 1 .. n that counts what was taken from it in `count.taken`.
local function counted(count, n)
  count.taken = 0
  return (stream.range(1, n):tap(function() count.taken = count.taken + 1 end))
end

-- How many keys of a weak table are not garbage.
local function kept(weak)
  collectgarbage()
  collectgarbage()
  local n = 0
  for _ in pairs(weak) do n = n + 1 end
  return n
end

describe("stream.tee", function()
  contract({
    name = "tee",
    make = function(src) return (stream.tee(src, 1)):each() end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })
  contract({
    name = "tee",
    make = function(src)
      local a, b = stream.tee(src, 2)
      b:close()
      return a:each()
    end,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
  })

  it("gives n streams, each a single value; without n two", function()
    assert.equal(3, select("#", stream.tee({ 1 }, 3)))
    assert.equal(2, select("#", stream.tee({ 1 })))
    assert.equal(1, select("#", stream.range(1, 2):tee(1)))
    for _, s in ipairs({ stream.range(1, 3):tee(3) }) do assert.equal("created", s:status()) end
  end)

  it("gives every item to each of them, however far they are apart", function()
    local count = {}
    local a, b, c = counted(count, 100):tee(3)
    assert.equal(0, count.taken)
    assert.equal(1, (a:next()))
    assert.equal(1, count.taken)
    assert.same({ 1, 2, 3 }, b:take(3):collect())
    assert.equal(3, count.taken)
    assert.equal(100, (c:last()))
    assert.equal(100, count.taken)
    assert.equal(99, a:count())
    assert.equal(100, count.taken)
  end)

  it("R16 R14 passes false, several values, and nils among them, to each", function()
    local a, b = stream.tee(helper.packed({ false }, { "k", nil, "v", nil, n = 4 }))
    for _, s in ipairs({ a, b }) do
      assert.same({ false, n = 1 }, table.pack(s:next()))
      assert.same({ "k", nil, "v", nil, n = 4 }, table.pack(s:next()))
      assert.same({ nil, n = 1 }, table.pack(s:next()))
    end
  end)

  it("tasks that wait for the same item all get it", function()
    local clock <close> = rille.test.clock()
    local a, b, c = stream.tee(timed(1, "x", 2, "y"), 3)
    local seen = {}
    for i, s in ipairs({ a, b, c }) do
      seen[i] = spawn(function() return times(clock, s) end)
    end
    for i = 1, 3 do assert.same({ { 1, "x" }, { 2, "y" } }, outcome(seen[i])) end
  end)

  it("R61 cancelling a task that waits in one of them loses no item of the others", function()
    local gate
    local a, b = stream.tee(rille.generator(function()
      rille.callback(function(resume) gate = resume end)
      for i = 1, 3 do coroutine.yield(i) end
    end))
    local first = waiting(function() return a:collect() end)
    local second = waiting(function() return b:collect() end)
    first:cancel()
    first:join()
    assert.equal("waiting", second:status())
    gate()
    assert.same({ 1, 2, 3 }, outcome(second))
  end)

  it("R83 the source is closed when the last of them is closed", function()
    local log = {}
    local a, b, c = logged(log, "source"):tee(3)
    a:next()
    a:close()
    b:close()
    assert.same({}, log)
    assert.same({ 1, 2 }, { c:next(), (c:next()) })
    for _ in c:each() do break end
    assert.same({ "source" }, log)
    for _, s in ipairs({ a, b, c }) do assert.equal("closed", s:status()) end
  end)

  it("R41 so it is if none of them was started", function()
    local g = logged({}, "g")
    local a, b = g:tee()
    a:close()
    assert.equal("created", g:status())
    b:close()
    assert.equal("closed", g:status())
  end)

  it("R60 what one of them has not taken is there after the source has ended", function()
    local log = {}
    local a, b = logged(log, "source", 3):tee()
    assert.same({ 1, 2, 3 }, a:collect())
    assert.same({ "source" }, log)
    assert.same({ 1, 2, 3 }, b:collect())
    assert.same({ "source" }, log)
  end)

  it("an error of the source reaches each of them after the items before it", function()
    local mine, log = {}, {}
    local a, b = helper.failing(log, "source", 2, mine):tee()
    for _, s in ipairs({ a, b }) do
      local seen = {}
      same_object(mine, caught(function() for v in s:keep() do seen[#seen + 1] = v end end))
      assert.same({ 1, 2 }, seen)
      assert.equal("failed", s:status())
      has(caught(s.next, s), "stream already failed")
    end
    assert.same({ "source" }, log)
  end)

  it("does not keep what all of them have taken", function()
    local weak = setmetatable({}, { __mode = "k" })
    local a, b = stream.range(1, 20):map(function()
      local t = {}
      weak[t] = true
      return t
    end):tee()
    for _ = 1, 20 do
      a:next()
      b:next()
    end
    assert.is_true(kept(weak) <= 2)
    a:close()
    b:close()
  end)

  it("does not keep items for one that is closed", function()
    local weak = setmetatable({}, { __mode = "k" })
    local a, b = stream.range(1, 20):map(function()
      local t = {}
      weak[t] = true
      return t
    end):tee()
    assert.is_not_nil((b:next()))
    b:close()
    assert.equal(20, a:count())
    assert.is_true(kept(weak) <= 1)
  end)

  it("refuses what is no count", function()
    local g <close> = logged({}, "g")
    helper.refuses_counts(1, "tee", function(v) g:tee(v) end)
    refuses({ 0 }, 2, "tee", "an integer >= 1 expected, got 0)", function(v) stream.tee({}, v) end)
  end)
end)

describe("stream.share", function()
  contract({
    name = "share",
    make = stream.share,
    gives = { 1, 2, 3 },
    before = { 1, 2 },
    whole = true,
    queue = true,
  })

  it("R82 gives each item to one of those who ask, in the order in which they asked", function()
    local clock <close> = rille.test.clock()
    local s = stream.share(timed(1, "a", 2, "b", 3, "c"))
    local seen, tasks = {}, {}
    for i = 1, 4 do
      tasks[i] = spawn(function()
        local v = s:next()
        seen[#seen + 1] = { i, v }
      end)
    end
    for _, t in ipairs(tasks) do outcome(t) end
    assert.same({ { 1, "a" }, { 2, "b" }, { 3, "c" }, { 4 } }, seen)
    assert.equal(3, helper.round(clock:now()))
    assert.is_nil((s:next()))
  end)

  it("R81 several tasks may loop over it, and every item goes to one of them", function()
    local s = logged({}, "source", 40, true):share()
    local seen, tasks = {}, {}
    for i = 1, 4 do
      tasks[i] = spawn(function()
        for v in s:each() do
          seen[#seen + 1] = v
          turns(i)
        end
      end)
    end
    for _, t in ipairs(tasks) do outcome(t) end
    assert.same(stream.range(1, 40):collect(), helper.sorted(seen))
  end)

  it("R82 a request that is cancelled in the queue takes no item", function()
    local gate
    local s = stream.share(rille.generator(function()
      for i = 1, 9 do
        rille.callback(function(resume) gate = resume end)
        coroutine.yield(i)
      end
    end))
    local first, second, third = waiting(s.next, s), waiting(s.next, s), waiting(s.next, s)
    second:cancel()
    second:join()
    gate()
    assert.equal(1, (outcome(first)))
    turns(3)
    gate()
    assert.equal(2, (outcome(third)))
    s:close()
  end)

  it("R82 nor does one that is cancelled while the source works for it; the next one gets it", function()
    local gate
    local s = stream.share(rille.generator(function()
      for i = 1, 9 do
        rille.callback(function(resume) gate = resume end)
        coroutine.yield(i)
      end
    end))
    local first, second = waiting(s.next, s), waiting(s.next, s)
    first:cancel()
    first:join()
    gate()
    assert.equal(1, (outcome(second)))
    s:close()
  end)

  it("R83 leaving a loop detaches that consumer; the last one closes the source", function()
    local log = {}
    local s = logged(log, "source", 100, true):share()
    local others = {}
    for i = 1, 2 do
      others[i] = spawn(function()
        for _ in s:each() do turns(i) end
        log[#log + 1] = "loop"
      end)
    end
    turns(3)
    for _ in s:each() do break end
    assert.same({}, log)
    for _, t in ipairs(others) do outcome(t) end
    assert.same({ "loop", "loop", "source" }, helper.sorted(log))
    assert.is_nil((s:next()))
  end)

  it("R83 when all have left their loops early the source is closed, before the last goes on", function()
    local log = {}
    local s = logged(log, "source", 100, true):share()
    local function consumer(name, turns_of)
      return spawn(function()
        for _ in s:each() do
          turns(turns_of)
          break
        end
        log[#log + 1] = name
      end)
    end
    local early, late = consumer("early", 2), consumer("late", 20)
    outcome(early)
    outcome(late)
    assert.same({ "early", "source", "late" }, log)
    assert.equal("closed", s:status())
  end)

  it("R83 so does a consumer whose task is cancelled, or whose loop fails", function()
    local log = {}
    local s = logged(log, "source", 100, true):share()
    local cancelled = spawn(function() for _ in s:each() do turns(50) end end)
    local failed = spawn(function() for _ in s:each() do error("x", 0) end end)
    turns(5)
    cancelled:cancel()
    cancelled:join()
    assert.equal("x", caught(outcome, failed))
    turns(5)
    assert.same({ "source" }, log)
  end)

  it("R46 R47 close ends it for all who wait", function()
    local log = {}
    local s = stuck(log, "source", 0):share()
    local first, second = waiting(s.next, s), waiting(s.next, s)
    s:close()
    assert.same({ "source" }, log)
    for _, t in ipairs({ first, second }) do
      has(caught(outcome, t), "closed by another task")
    end
    assert.equal("closed", s:status())
    assert.is_nil((s:next()))
  end)

  it("C4 one loop over it closes the source when it is left", function()
    local log = {}
    for v in logged(log, "source"):share() do
      assert.equal(1, v)
      break
    end
    assert.same({ "source" }, log)
  end)

  it("an error of the source reaches the one that asked; the others fail too", function()
    local gate
    local mine = {}
    local s = stream.share(rille.generator(function()
      rille.callback(function(resume) gate = resume end)
      error(mine, 0)
    end))
    local first, second, third = waiting(s.next, s), waiting(s.next, s), waiting(s.next, s)
    gate()
    same_object(mine, caught(outcome, first))
    for _, t in ipairs({ second, third }) do
      local err = caught(outcome, t)
      if err ~= mine then has(err, "stream already failed") end
    end
    has(caught(s.next, s), "stream already failed")
  end)

  it("operators over it compete for the items", function()
    local s = stream.range(1, 20):share()
    local function worker(sign)
      return spawn(function()
        return (s:map(function(v)
          turns(v % 3)
          return sign * v
        end):collect())
      end)
    end
    local got = {}
    for _, t in ipairs({ worker(1), worker(-1) }) do
      for _, v in ipairs(outcome(t)) do got[#got + 1] = math.abs(v) end
    end
    assert.same(stream.range(1, 20):collect(), helper.sorted(got))
  end)
end)

describe("stream.buffer", function()
  for _, overflow in ipairs({ "wait", "drop_oldest", "drop_newest", "latest" }) do
    contract({
      name = "buffer",
      make = function(src)
        return stream.buffer(stream.tap(src, function() turns(2) end), 2, { overflow = overflow })
      end,
      gives = { 1, 2, 3 },
      before = { 1, 2 },
      whole = true,
    })
  end

  it("runs ahead by at most n items, from the first next on", function()
    local count = {}
    local s = counted(count, 100):buffer(3)
    turns(5)
    assert.equal(0, count.taken)
    assert.equal(1, (s:next()))
    turns(20)
    assert.equal(4, count.taken)
    assert.equal(2, (s:next()))
    turns(20)
    assert.equal(5, count.taken)
    assert.same(stream.range(3, 100):collect(), s:collect())
  end)

  it("C7 the source works while the consumer is busy", function()
    local clock <close> = rille.test.clock()
    assert.same({ { 1, "a" }, { 6, "b" }, { 6, "c" }, { 7, "d" } },
      times(clock, stream.buffer(timed(1, "a", 2, "b", 3, "c", 7, "d"), 2), { 5 }))
  end)

  -- What is left of 1 .. 9 for a consumer that is busy while 2 .. 9 come.
  local function left_by(overflow, n)
    local clock <close> = rille.test.clock()
    local list = {}
    for i = 1, 9 do
      list[2 * i - 1], list[2 * i] = i, i
    end
    local seen = times(clock, stream.buffer(timed(table.unpack(list)), n, { overflow = overflow }), { 20 })
    for i, item in ipairs(seen) do seen[i] = item[2] end
    return seen
  end

  it("overflow says what happens to items for which there is no room", function()
    assert.same({ 1, 2, 3, 4, 5, 6, 7, 8, 9 }, left_by("wait", 3))
    assert.same({ 1, 7, 8, 9 }, left_by("drop_oldest", 3))
    assert.same({ 1, 2, 3, 4 }, left_by("drop_newest", 3))
    assert.same({ 1, 9 }, left_by("latest", 1))
    assert.same({ 1, 9 }, left_by("latest", 3))
    assert.same({ 1, 9 }, left_by("drop_oldest", 1))
    assert.same({ 1, 2 }, left_by("drop_newest", 1))
  end)

  it("C6 an error comes after the items that are kept", function()
    local mine, seen = {}, {}
    local s = helper.failing({}, "source", 3, mine):buffer(9)
    assert.equal(1, (s:next()))
    turns(20)
    same_object(mine, caught(function() for v in s:keep() do seen[#seen + 1] = v end end))
    assert.same({ 2, 3 }, seen)
  end)

  it("closes the source when that has ended, not when the last item is taken", function()
    local log = {}
    local s = logged(log, "source", 3):buffer(9)
    assert.equal(1, (s:next()))
    turns(20)
    assert.same({ "source" }, log)
    assert.same({ 2, 3 }, s:collect())
  end)

  it("checks its arguments", function()
    local g <close> = logged({}, "g")
    helper.refuses_counts(1, "buffer", function(v) g:buffer(v) end)
    refuses({ 0 }, 2, "buffer", "an integer >= 1 expected, got 0)", function(v) stream.buffer({}, v) end)
    refuses({ 1, "wait" }, 2, "buffer", "table expected, got ", function(v) g:buffer(1, v) end)
    has(caught(g.buffer, g, 1, { size = 1 }), "unknown option 'size'")
    for _, overflow in ipairs({ "drop", 1, true }) do
      has(caught(g.buffer, g, 1, { overflow = overflow }), "bad option 'overflow' (")
    end
  end)
end)

describe("stream.producer", function()
  for _, options in ipairs({ {}, { buffer = 0 }, { buffer = 2 } }) do
    contract({
      name = "producer",
      make = function(src)
        return stream.producer(function(emit)
          for item in stream.map(src, table.pack) do emit(table.unpack(item, 1, item.n)) end
        end, options)
      end,
      gives = { 1, 2, 3 },
      before = { 1, 2 },
      whole = true,
      late = true,
      wrapped = true,
    })
  end

  it("R77 gives what fn emits; its return is the end", function()
    assert.same({ "a", "b" }, stream.producer(function(emit)
      assert(emit("a"))
      rille.sleep(0)
      assert(emit("b"))
      return "not an item"
    end):collect())
    assert.same({}, stream.producer(function() return 1 end):collect())
  end)

  it("C1 R77 runs fn in a task of its own, from the first next on, and passes it nothing but emit", function()
    local who, n
    local s = stream.producer(function(...)
      who, n = task.current(), select("#", ...)
      local emit = ...
      emit(1)
    end)
    turns(3)
    assert.is_nil(who)
    assert.equal(1, (s:next()))
    assert.is_false(who == task.current())
    assert.equal(1, n)
    assert.is_nil((s:next()))
  end)

  it("without a buffer emit waits until the consumer has taken the item", function()
    local log = {}
    local s = stream.producer(function(emit)
      for i = 1, 2 do
        log[#log + 1] = "emit " .. i
        emit(i)
        log[#log + 1] = "taken " .. i
      end
    end)
    assert.equal(1, (s:next()))
    turns(10)
    assert.equal(2, (s:next()))
    assert.is_nil((s:next()))
    assert.same({ "emit 1", "taken 1", "emit 2", "taken 2" }, log)
  end)

  it("with a buffer it runs ahead by so many items", function()
    local emitted = 0
    local s = stream.producer(function(emit)
      for i = 1, 100 do
        emit(i)
        emitted = i
      end
    end, { buffer = 3 })
    assert.equal(1, (s:next()))
    turns(20)
    assert.equal(4, emitted)
    assert.equal(2, (s:next()))
    turns(20)
    assert.equal(5, emitted)
    assert.same(stream.range(3, 100):collect(), s:collect())
  end)

  it("C7 goes on while the consumer is busy", function()
    local clock <close> = rille.test.clock()
    local s = stream.producer(function(emit)
      for i = 1, 3 do
        rille.sleep(1)
        emit(i)
      end
    end, { buffer = 2 })
    assert.same({ { 1, 1 }, { 6, 2 }, { 6, 3 } }, times(clock, s, { 5 }))
  end)

  it("R79 any task may emit; they are served in the order of their calls", function()
    local s = stream.producer(function(emit)
      rille.group(function(group)
        for i = 1, 5 do
          group:spawn(function()
            assert.is_true(emit(i))
            assert.is_true(emit(i + 10))
          end)
        end
      end)
    end)
    assert.same({ 1, 2, 3, 4, 5, 11, 12, 13, 14, 15 }, s:collect())
  end)

  it("R79 emit returns false once the stream is closed", function()
    local emit, answers = nil, {}
    local s = stream.producer(function(e)
      emit = e
      e("first")
      rille.sleep(60)
    end)
    assert.equal("first", (s:next()))
    local other = waiting(function() answers[#answers + 1] = emit("never taken") end)
    s:close()
    outcome(other)
    answers[#answers + 1] = emit("late")
    assert.same({ false, false }, answers)
  end)

  it("R79 emit returns false after the end of fn", function()
    local emit
    local s = stream.producer(function(e) emit = e end)
    assert.is_nil((s:next()))
    assert.is_false(emit(1))
    assert.is_nil((s:next()))
  end)

  it("R15 emitting nil raises where it is emitted", function()
    local errors = {}
    local s = stream.producer(function(emit)
      errors[1] = caught(emit)
      errors[2] = caught(emit, nil, 2)
      emit(false, nil)
    end)
    assert.same({ false, nil, n = 2 }, table.pack(s:next()))
    assert.is_nil((s:next()))
    for i = 1, 2 do has(errors[i], "nil") end
  end)

  it("an error of fn comes after the items before it", function()
    for _, buffer in ipairs({ 0, 1, 9 }) do
      local mine, seen = {}, {}
      local s = stream.producer(function(emit)
        for i = 1, 3 do emit(i) end
        error(mine, 0)
      end, { buffer = buffer })
      assert.equal(1, (s:next()))
      turns(10)
      same_object(mine, caught(function() for v in s:keep() do seen[#seen + 1] = v end end))
      assert.same({ 2, 3 }, seen)
      has(caught(s.next, s), "stream already failed")
    end
  end)

  it("the end of the loop cancels fn and waits for its cleanup", function()
    for _, buffer in ipairs({ 0, 3 }) do
      local log, before = {}, task.count()
      for v in stream.producer(function(emit)
        local _ <close> = helper.leaves(log, "fn")
        for i = 1, 1000 do emit(i) end
        log[#log + 1] = "not cancelled"
      end, { buffer = buffer }) do
        assert.equal(1, v)
        turns(5)
        break
      end
      assert.same({ "fn" }, log)
      assert.equal(before, task.count())
    end
  end)

  it("R76 emit may be called inside a time-out, a shield and a group that fn opened", function()
    local s = stream.producer(function(emit)
      rille.timeout(60, function()
        emit(1)
        rille.shield(emit, 2)
        rille.group(function(group)
          emit(3)
          group:spawn(emit, 4)
        end)
      end)
    end)
    assert.same({ 1, 2, 3, 4 }, s:collect())
  end)

  it("R77 tasks of a group that fn opened are cancelled with it", function()
    local log = {}
    for _ in stream.producer(function(emit)
      rille.group(function(group)
        for i = 1, 2 do
          group:spawn(function()
            local _ <close> = helper.leaves(log, "child")
            emit(i)
            helper.for_long(log)
          end)
        end
      end)
    end) do break end
    assert.same({ "child", "child" }, log)
  end)

  it("R38 R37 an error of fn's cleanup surfaces at the break; one of the body wins", function()
    local function make()
      return stream.producer(function(emit)
        local _ <close> = expect.closer(function() error("cleanup", 0) end)
        emit(1)
        rille.sleep(60)
      end)
    end
    assert.equal("cleanup", caught(function() for _ in make() do break end end))
    local mine = fault.new("EX", "mine")
    same_object(mine, caught(function() for _ in make() do error(mine, 0) end end))
    assert.same({ "cleanup" }, mine.suppressed)
  end)

  it("R49 fn cannot end its own stream, which goes on", function()
    local s, err
    s = stream.producer(function(emit)
      err = caught(s.close, s)
      emit("still there")
    end)
    assert.same({ "still there" }, s:collect())
    has(err, "cannot close a running stream from inside it")
  end)

  it("checks its arguments", function()
    refuses({ 5, {}, "x" }, 1, "producer", "function expected, got ", function(v) stream.producer(v) end)
    refuses({ 5 }, 2, "producer", "table expected, got ", function(v) stream.producer(print, v) end)
    has(caught(stream.producer, print, { size = 1 }), "unknown option 'size'")
    for _, buffer in ipairs({ -1, 1.5, 0 / 0, math.huge, "1", {} }) do
      has(caught(stream.producer, print, { buffer = buffer }),
        "bad option 'buffer' (an integer >= 0 expected, got ")
    end
  end)
end)
