-- Generators: creation, stepping, values, errors, close, re-entrancy and nesting.
-- The rule numbers are those of the semantics that the project promises.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local json = require("rille.json")
local expect = require("spec.helper.expect")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here

local STATES = {
  created = true, suspended = true, running = true, waiting = true,
  closing = true, exhausted = true, closed = true, failed = true,
}

local function counter(n, waits)
  return rille.generator(function()
    for i = 1, n do
      if waits then rille.sleep(0) end
      coroutine.yield(i)
    end
  end)
end

-- A generator of 1, 2, 3, ... that adds `name` to the log when its body is left.
local function logged(log, name, waits)
  return rille.generator(function()
    local _ <close> = closer(function()
      if waits then rille.sleep(0) end
      log[#log + 1] = name
    end)
    for i = 1, 1000 do coroutine.yield(i) end
  end)
end

-- What a body sees at its yield when it is closed.
local function close_signal()
  local seen
  local g = rille.generator(function()
    local _, err = pcall(coroutine.yield, 1)
    seen = err
  end)()
  g:next()
  g:close()
  return seen
end

-- What a cancelled task sees at its wait.
local function cancel_signal()
  local seen
  local task = rille.spawn(function()
    local _, err = pcall(rille.sleep, 60)
    seen = err
    error(err, 0)
  end)
  while task:status() ~= "waiting" do rille.sleep(0) end
  task:cancel()
  pcall(task.await, task)
  return seen
end

-- Tells one kind of signal from another without naming its type.
local function kind(signal)
  local code = rille.is_error(signal) and signal.code or "none"
  return type(signal) .. " " .. code .. " " .. tostring(signal):gsub("0x%x+", "")
end

local function relay(inner)
  return (rille.generator(function()
    for v in inner:each() do coroutine.yield(v) end
  end)())
end

describe("rille.generator: creation and the loop protocol", function()
  it("R1 calling a generator function runs no body code", function()
    local ran = false
    local g = rille.generator(function()
      ran = true
      coroutine.yield(1)
    end)()
    assert.is_false(ran)
    assert.equal("created", g:status())
    assert.equal(1, (g:next()))
    assert.is_true(ran)
    g:close()
  end)

  it("R1 each call makes a new generator with its own arguments and position", function()
    local from = rille.generator(function(a) for i = a, a + 2 do coroutine.yield(i) end end)
    local g, h = (from(1)), (from(10))
    assert.is_false(rawequal(g, h))
    assert.same({ 1, 10, 2, 11 }, { (g:next()), (h:next()), (g:next()), (h:next()) })
    g:close()
    h:close()
  end)

  it("R2 asking a generator for an iterator gives the same object", function()
    local g = counter(3)()
    local a, b, c, d = g:each()
    assert.is_true(rawequal(a, g))
    assert.is_true(rawequal(b, g))
    assert.is_nil(c)
    assert.is_true(rawequal(d, g))
    g:close()
  end)

  it("R2 asking for an iterator again keeps the position", function()
    local g = counter(4)()
    assert.equal(1, (g:next()))
    local seen = {}
    for v in g:each() do seen[#seen + 1] = v end
    assert.same({ 2, 3, 4 }, seen)
  end)

  it("R3 a generator function returns four values, the last of which closes", function()
    local r = table.pack(counter(1)())
    assert.equal(4, r.n)
    assert.is_true(rawequal(r[1], r[2]))
    assert.is_nil(r[3])
    assert.is_true(rawequal(r[1], r[4]))
    r[1]:close()
  end)

  it("R3 the loop closes on break, return, goto, error and at the end", function()
    local log = {}
    local gen = logged(log, "closed")
    for _ in gen() do break end
    assert.equal(1, #log)
    ;(function() for _ in gen() do return end end)()
    assert.equal(2, #log)
    do
      for _ in gen() do goto out end
    end
    ::out::
    assert.equal(3, #log)
    pcall(function() for _ in gen() do error("x") end end)
    assert.equal(4, #log)
    local n = 0
    for _ in gen() do n = n + 1 end
    assert.equal(1000, n)
    assert.equal(5, #log)
  end)

  it("R3 a local <close> variable closes a generator", function()
    local log = {}
    do
      local g <close> = logged(log, "closed")()
      g:next()
    end
    assert.same({ "closed" }, log)
  end)

  it("R5 g() is g:next()", function()
    local g = rille.generator(function()
      coroutine.yield("a", 1)
      coroutine.yield("b", 2)
    end)()
    assert.same({ "a", 1 }, { g() })
    assert.same({ "b", 2 }, { g:next() })
    assert.is_nil((g()))
    assert.is_nil((g:next()))
  end)

  it("R5 a library that takes an iterator takes a generator", function()
    local function fold(iterator)
      local sum = 0
      local v = iterator()
      while v ~= nil do
        sum = sum + v
        v = iterator()
      end
      return sum
    end
    assert.equal(10, fold((counter(4, true)())))
  end)

  it("R7 a body that is not a function is refused", function()
    has(caught(function() rille.generator(42) end), "bad argument #1 to 'generator'")
    has(caught(function() rille.generator() end), "bad argument #1 to 'generator'")
  end)

  it("R7 a method on a wrong self names the type that it wants", function()
    local g <close> = counter(1)()
    has(caught(function() g.next({}) end),
      "bad argument #1 to 'next' (rille.generator expected, got table)")
    has(caught(function() g.close(12) end), "(rille.generator expected, got number)")
    has(caught(function() g.status(io.stdout) end), "rille.generator expected")
    has(caught(function() g.throw(nil, "x") end), "rille.generator expected")
  end)

  it("keeps metamethods out of the reach of methods", function()
    local g <close> = counter(1)()
    assert.is_nil(g.__gc)
    assert.is_nil(g.__close)
    assert.is_nil(g.__index)
    assert.is_nil(g.no_such_method)
  end)

  it("R10 arguments of the body keep their count and their nils", function()
    local got
    local g = rille.generator(function(...)
      got = table.pack(...)
      coroutine.yield(true)
    end)(nil, 1, nil, nil)
    g:next()
    assert.same({ n = 4, [2] = 1 }, got)
    g:close()
  end)

  it("R10 many arguments reach the body", function()
    local list = {}
    for i = 1, 200 do list[i] = i end
    local got
    for n, last in rille.generator(function(...)
      coroutine.yield(select("#", ...), (select(-1, ...)))
    end)(table.unpack(list)) do got = { n, last } end
    assert.same({ 200, 200 }, got)
  end)
end)

describe("rille.generator: stepping and values", function()
  it("R11 waits of the body are invisible to the consumer", function()
    local g = rille.generator(function()
      rille.sleep(0)
      coroutine.yield(1)
      rille.sleep(0.001)
      rille.sleep(0)
      coroutine.yield(2)
      rille.sleep(0)
    end)()
    assert.same({ n = 1, 1 }, table.pack(g:next()))
    assert.same({ n = 1, 2 }, table.pack(g:next()))
    assert.is_nil((g:next()))
  end)

  it("R11 other tasks run while a step waits", function()
    local log = {}
    local resume
    local task = rille.spawn(function()
      log[#log + 1] = "other"
      resume("item")
    end)
    local g = rille.generator(function()
      coroutine.yield((rille.callback(function(r) resume = r end)))
    end)()
    local item = g:next()
    log[#log + 1] = item
    task:await()
    g:close()
    assert.same({ "other", "item" }, log)
  end)

  it("R12 every Lua value can be yielded, with a wait before it or not", function()
    local thread = coroutine.create(print)
    local values = {
      print, rille.sleep, coroutine.yield, function() end, thread, coroutine.running(), io.stdout,
      json.null, {}, "", "wait", 0, -1, 0.5, math.huge, true, false, rille, getmetatable("") or 1,
    }
    for _, waits in ipairs({ false, true }) do
      local i = 0
      for v in rille.generator(function()
        for _, v in ipairs(values) do
          if waits then rille.sleep(0) end
          coroutine.yield(v)
        end
      end)() do
        i = i + 1
        assert.is_true(rawequal(values[i], v), "value " .. i)
      end
      assert.equal(#values, i)
    end
  end)

  it("R12 a NaN is an item", function()
    local n = 0
    for v in rille.generator(function() coroutine.yield(0 / 0) end)() do
      n = n + 1
      assert.is_true(v ~= v)
    end
    assert.equal(1, n)
  end)

  it("R12 a body's own thread and its own generator are items", function()
    local g, body
    g = rille.generator(function()
      body = coroutine.running()
      coroutine.yield(body)
      coroutine.yield(g)
    end)()
    assert.is_true(rawequal(g:next(), body))
    assert.is_true(rawequal(g:next(), g))
    g:close()
  end)

  it("R13 a task is yielded as it is, not awaited", function()
    local task = rille.spawn(function() return "result" end)
    task:await()
    local g = rille.generator(function() coroutine.yield(task) end)()
    assert.is_true(rawequal(task, g:next()))
    g:close()
  end)

  it("R14 several values a yield arrive with their count and nils", function()
    local g = rille.generator(function()
      coroutine.yield("k", "v", nil)
      coroutine.yield(1, nil, nil, 4, nil)
      rille.sleep(0)
      coroutine.yield(1, nil, nil)
    end)()
    assert.same({ n = 3, "k", "v" }, table.pack(g:next()))
    assert.same({ n = 5, 1, nil, nil, 4 }, table.pack(g:next()))
    assert.same({ n = 3, 1 }, table.pack(g:next()))
    g:close()
  end)

  it("R14 several values become several loop variables", function()
    local seen = {}
    for a, b, c in rille.generator(function()
      coroutine.yield(1, nil, 3)
      coroutine.yield(4, 5, 6)
    end)() do seen[#seen + 1] = table.pack(a, b, c) end
    assert.same({ { n = 3, 1, nil, 3 }, { n = 3, 4, 5, 6 } }, seen)
  end)

  it("R14 two hundred values pass in one yield after a wait", function()
    local list = {}
    for i = 1, 200 do list[i] = i end
    local g = rille.generator(function()
      rille.sleep(0)
      coroutine.yield(table.unpack(list))
    end)()
    assert.same(list, { g:next() })
    g:close()
  end)

  it("R15 yielding nil raises at the yield, where the body can catch it", function()
    local errors = {}
    local g = rille.generator(function()
      errors[1] = select(2, pcall(coroutine.yield))
      errors[2] = select(2, pcall(coroutine.yield, nil))
      errors[3] = select(2, pcall(coroutine.yield, nil, "x"))
      coroutine.yield("after")
    end)()
    assert.equal("after", (g:next()))
    for i = 1, 3 do
      has(errors[i], "async generator yielded nil; ")
      has(errors[i], "first value must not be nil (yield false or a table)")
    end
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R15 a nil that nobody catches fails the generator instead of ending it", function()
    local where
    local g = rille.generator(function()
      coroutine.yield(1)
      where = here() coroutine.yield(nil)
    end)()
    g:next()
    local err = caught(function() return (g:next()) end)
    has(err, "async generator yielded nil")
    has(err, where)
    assert.equal("failed", g:status())
  end)

  it("R15 a plain coroutine inside a body may still yield nil", function()
    local got
    for v in rille.generator(function()
      local co = coroutine.wrap(function()
        coroutine.yield(nil, "second")
        coroutine.yield()
      end)
      got = table.pack(co())
      got.none = select("#", co())
      coroutine.yield("item")
    end)() do assert.equal("item", v) end
    assert.same({ n = 2, [2] = "second", none = 0 }, got)
  end)

  it("R16 false is an ordinary item", function()
    local seen = {}
    for v in rille.generator(function()
      coroutine.yield(false)
      rille.sleep(0)
      coroutine.yield(false)
      coroutine.yield(true)
    end)() do seen[#seen + 1] = v end
    assert.same({ false, false, true }, seen)
  end)

  it("R17 next gives nil only at the end, and status tells why", function()
    local g = rille.generator(function() coroutine.yield(false) end)()
    assert.is_false((g:next()))
    assert.equal("suspended", g:status())
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R18 signals and error objects pass as values", function()
    local _, err = pcall(json.decode, "{")
    local values = { close_signal(), cancel_signal(), err }
    assert.equal(3, #values)
    for _, waits in ipairs({ false, true }) do
      local i = 0
      for v in rille.generator(function()
        for _, v in ipairs(values) do
          if waits then rille.sleep(0) end
          coroutine.yield(v)
        end
      end)() do
        i = i + 1
        assert.is_true(rawequal(values[i], v))
      end
      assert.equal(3, i)
    end
  end)

  it("R18 signals and error objects pass as sent values and as results", function()
    local signal = close_signal()
    local got
    local g = rille.generator(function()
      got = coroutine.yield(1)
      return signal
    end)()
    g:next()
    g:next(signal)
    assert.is_true(rawequal(signal, got))
    assert.is_true(rawequal(signal, (g:result())))
  end)

  it("R19 a generic for sends nothing into the body", function()
    local counts = {}
    local gen = rille.generator(function()
      for i = 1, 2 do
        rille.sleep(0)
        local n = select("#", coroutine.yield(i))
        counts[#counts + 1] = n
      end
    end)
    for _ in gen() do counts[#counts + 1] = "item" end
    local g = gen()
    for _ in g:each() do counts[#counts + 1] = "item" end
    g = gen()
    for _ in g:keep() do counts[#counts + 1] = "item" end
    assert.same({ "item", 0, "item", 0, "item", 0, "item", 0, "item", 0, "item", 0 }, counts)
  end)

  it("R19 a generic for over the object itself sends nothing either", function()
    local counts = {}
    local g = rille.generator(function()
      counts[1] = select("#", coroutine.yield(1))
      counts[2] = select("#", coroutine.yield(2))
    end)()
    for _ in g do counts.seen = (counts.seen or 0) + 1 end
    assert.same({ 0, 0, seen = 2 }, counts)
  end)

  it("R20 arguments of next become the results of the pending yield", function()
    local got = {}
    local g = rille.generator(function()
      got[1] = table.pack(coroutine.yield(1))
      got[2] = table.pack(coroutine.yield(2))
      rille.sleep(0)
      got[3] = table.pack(coroutine.yield(3))
    end)()
    g:next()
    g:next("a", nil, "c", nil)
    g:next()
    g:next(nil)
    assert.same({ { n = 4, "a", nil, "c" }, { n = 0 }, { n = 1 } }, got)
  end)

  it("R20 what is sent while the body then waits is not mixed with the item", function()
    local g = rille.generator(function()
      local sent = coroutine.yield("first")
      rille.sleep(0.001)
      coroutine.yield(sent .. "!")
    end)()
    g:next()
    assert.same({ n = 1, "hello!" }, table.pack(g:next("hello")))
    g:close()
  end)

  it("R21 a value sent to a created generator is refused and starts nothing", function()
    local ran = false
    local g = rille.generator(function(arg)
      ran = true
      coroutine.yield(arg)
    end)("argument")
    has(caught(g.next, g, "value"), "send a value to a just-started generator")
    assert.is_false(ran)
    assert.equal("created", g:status())
    assert.equal("argument", (g:next()))
    g:close()
  end)

  it("R21 a nil sent to a created generator starts it", function()
    local g = counter(1)()
    assert.equal(1, (g:next(nil)))
    g:close()
  end)

  it("R22 return values are not items", function()
    local seen = {}
    for v in rille.generator(function()
      coroutine.yield(1)
      return "not an item"
    end)() do seen[#seen + 1] = v end
    assert.same({ 1 }, seen)
    for _ in rille.generator(function() return "no item" end)() do seen = nil end
    assert.is_not_nil(seen)
  end)

  it("R23 return values are there after exhaustion, with their count and nils", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0)
      return nil, "b", nil
    end)()
    for _ in g:each() do rille.sleep(0) end
    assert.same({ n = 3, [2] = "b" }, table.pack(g:result()))
    assert.same({ n = 3, [2] = "b" }, table.pack(g:result()))
  end)

  it("R23 a body that returns nothing has an empty result", function()
    local g = counter(1)()
    for _ in g:each() do rille.sleep(0) end
    assert.equal(0, select("#", g:result()))
  end)

  it("R24 exhausted stays exhausted", function()
    local g = counter(1, true)()
    g:next()
    for _ = 1, 3 do
      assert.is_nil((g:next()))
      assert.is_nil((g()))
      assert.is_nil((g:next("value")))
    end
    assert.equal("exhausted", g:status())
    g:close()
    assert.equal("exhausted", g:status())
    assert.is_nil((g:next()))
  end)

  it("R24 a second loop over an exhausted generator runs no turn", function()
    local g = counter(2)()
    local n = 0
    for _ in g:each() do n = n + 1 end
    for _ in g:each() do n = n + 100 end
    for _ in g do n = n + 100 end
    assert.equal(2, n)
  end)

  it("R24 a body that yields nothing is exhausted at the first step", function()
    local g = rille.generator(function() end)()
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R26 a producer that does not wait takes no turn of the loop", function()
    local log = {}
    local task = rille.spawn(function() log[#log + 1] = "task" end)
    for v in counter(3)() do log[#log + 1] = v end
    task:await()
    assert.same({ 1, 2, 3, "task" }, log)
  end)

  it("R28 helpers that the body calls may yield to the consumer", function()
    local function walk(tree)
      if not tree then return end
      walk(tree.left)
      rille.sleep(0)
      coroutine.yield(tree.value)
      walk(tree.right)
    end
    local function node(value, left, right) return { value = value, left = left, right = right } end
    local tree = node(4, node(2, node(1), node(3)), node(6, node(5), node(7)))
    local seen = {}
    for v in rille.generator(walk)(tree) do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3, 4, 5, 6, 7 }, seen)
  end)

  it("R28 a yield from deep recursion reaches the consumer", function()
    local function dive(depth)
      if depth == 0 then
        coroutine.yield("bottom")
        return 0
      end
      return 1 + dive(depth - 1)
    end
    local g = rille.generator(function() return dive(10000) end)()
    assert.equal("bottom", (g:next()))
    assert.is_nil((g:next()))
    assert.equal(10000, (g:result()))
  end)

  it("R28 a yield passes pcall, xpcall, metamethods and iterators", function()
    local object = setmetatable({}, {
      __index = function(_, key) return coroutine.yield("index " .. key) end,
      __add = function() return coroutine.yield("add") end,
      __lt = function() coroutine.yield("lt") return true end,
      __concat = function() coroutine.yield("concat") return "" end,
      __call = function() coroutine.yield("call") end,
    })
    local seen = {}
    for v in rille.generator(function()
      pcall(coroutine.yield, "pcall")
      xpcall(coroutine.yield, debug.traceback, "xpcall")
      local _ = { object.key, object + 1, object < 1, object .. "x" }
      object()
      local function iterator(_, i)
        if i < 2 then
          coroutine.yield("iterator")
          return i + 1
        end
      end
      for _ in iterator, nil, 0 do coroutine.yield("turn") end
      do
        local _ <close> = closer(function() coroutine.yield("close") end)
      end
    end)() do seen[#seen + 1] = v end
    assert.same({
      "pcall", "xpcall", "index key", "add", "lt", "concat", "call",
      "iterator", "turn", "iterator", "turn", "close",
    }, seen)
  end)

  it("R28 an error after a yield inside a pcall is caught by that pcall", function()
    local g = rille.generator(function()
      local ok, err = pcall(function()
        coroutine.yield(1)
        rille.sleep(0)
        coroutine.yield(2)
        error("inside", 0)
      end)
      coroutine.yield(tostring(ok) .. " " .. err)
    end)()
    assert.same({ 1, 2, "false inside" }, { (g:next()), (g:next()), (g:next()) })
    assert.is_nil((g:next()))
  end)
end)

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

describe("rille.generator: close", function()
  it("R41 close of a created generator runs nothing", function()
    local ran = false
    local g = rille.generator(function() ran = true end)()
    g:close()
    assert.is_false(ran)
    assert.equal("closed", g:status())
    local ok, v = pcall(g.next, g)
    assert.is_true(not ok or v == nil)
    assert.is_false(ran)
  end)

  it("R41 close of a created generator releases its arguments", function()
    local weak = setmetatable({}, { __mode = "v" })
    local gen = rille.generator(function() end)
    local g = (function()
      local argument = {}
      weak[1] = argument
      return (gen(argument))
    end)()
    collectgarbage()
    assert.is_not_nil(weak[1])
    g:close()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    assert.equal("closed", g:status())
  end)

  it("R42 close raises at the yield; cleanup runs innermost first", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function(err)
        log[#log + 1] = err ~= nil and "outer"
      end)
      local ok, err = pcall(function()
        local _ <close> = closer(function(e)
          log[#log + 1] = e ~= nil and "inner"
        end)
        coroutine.yield(1)
        log[#log + 1] = "not reached"
      end)
      log[#log + 1] = ok == false and "pcall"
      error(err, 0)
    end)()
    g:next()
    g:close()
    assert.same({ "inner", "pcall", "outer" }, log)
    assert.equal("closed", g:status())
  end)

  it("R42 several <close> variables of one block close last first", function()
    local log = {}
    local g = rille.generator(function()
      local a <close> = closer(function() log[#log + 1] = "a" end)
      local b <close> = closer(function() rille.sleep(0) log[#log + 1] = "b" end)
      local c <close> = closer(function() log[#log + 1] = "c" end)
      coroutine.yield(a, b, c)
    end)()
    g:next()
    g:close()
    assert.same({ "c", "b", "a" }, log)
  end)

  it("R43 cleanup may wait, and close returns after it", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        for i = 1, 3 do
          rille.sleep(0.001)
          log[#log + 1] = i
        end
      end)
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    log[#log + 1] = "returned"
    assert.same({ 1, 2, 3, "returned" }, log)
  end)

  it("R43 cleanup may run a whole loop over another generator", function()
    local log = {}
    for _ in rille.generator(function()
      local _ <close> = closer(function()
        for v in counter(3, true)() do log[#log + 1] = v end
      end)
      coroutine.yield(1)
    end)() do break end
    log[#log + 1] = "after"
    assert.same({ 1, 2, 3, "after" }, log)
  end)

  it("R43 other tasks run while a cleanup waits", function()
    local log, resume = {}, nil
    local task = rille.spawn(function()
      for _ in rille.generator(function()
        local _ <close> = closer(function()
          rille.callback(function(r) resume = r end)
          log[#log + 1] = "cleanup"
        end)
        coroutine.yield(1)
      end)() do break end
      log[#log + 1] = "after"
    end)
    while not resume do rille.sleep(0) end
    log[#log + 1] = "main"
    resume()
    task:await()
    assert.same({ "main", "cleanup", "after" }, log)
  end)

  it("R44 close is idempotent in every final state", function()
    local cleaned = {}
    local g = logged(cleaned, "x")()
    g:next()
    g:close()
    g:close()
    assert.equal("closed", g:status())
    assert.same({ "x" }, cleaned)

    g = counter(1)()
    g:close()
    g:close()
    assert.equal("closed", g:status())

    g = counter(0)()
    g:next()
    g:close()
    g:close()
    assert.equal("exhausted", g:status())
  end)

  it("R45 close of a failed generator does not repeat the error", function()
    local g = rille.generator(function() error("once") end)()
    caught(g.next, g)
    g:close()
    g:close()
    assert.equal("failed", g:status())
  end)

  it("R49 close from inside the running body is an error, not a hang", function()
    local g, errors
    g = rille.generator(function()
      errors = { select(2, pcall(g.close, g)) }
      rille.sleep(0)
      errors[2] = select(2, pcall(g.close, g))
      errors[3] = select(2, coroutine.wrap(function() return pcall(g.close, g) end)())
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    for i = 1, 3 do
      has(errors[i], "cannot close a running generator from inside it; use return")
    end
    g:close()
    assert.equal("closed", g:status())
  end)

  it("R49 close from inside its own cleanup is not a hang", function()
    local g, err
    g = rille.generator(function()
      local _ <close> = closer(function()
        err = select(2, pcall(g.close, g))
      end)
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    assert.equal("closed", g:status())
    has(err, "cannot close a running generator from inside it")
  end)

  it("R50 a body that yields again at close is reported, with the place", function()
    local where
    local body
    local g = rille.generator(function()
      body = coroutine.running()
      pcall(coroutine.yield, 1)
      where = here() coroutine.yield(2)
    end)()
    g:next()
    local err = caught(g.close, g)
    has(err, "generator ignored close")
    has(err, where)
    assert.equal("dead", coroutine.status(body))
    g:close()
  end)

  it("R50 close ends even a body that always catches and yields", function()
    local steps = 0
    local g = rille.generator(function()
      while true do
        steps = steps + 1
        pcall(coroutine.yield, steps)
      end
    end)()
    g:next()
    has(caught(g.close, g), "generator ignored close")
    local before = steps
    g:close()
    pcall(g.next, g)
    rille.sleep(0)
    assert.equal(before, steps)
  end)

  it("R50 the killed body does not go on after its loop was left", function()
    local log = {}
    has(caught(function()
      for _ in rille.generator(function()
        while true do
          pcall(coroutine.yield, 1)
          log[#log + 1] = "caught"
        end
      end)() do break end
      log[#log + 1] = "after"
    end), "generator ignored close")
    assert.same({ "caught" }, log)
  end)

  it("R50 a yield in a cleanup is a yield after close", function()
    local g = rille.generator(function()
      local _ <close> = closer(function() coroutine.yield("from cleanup") end)
      coroutine.yield(1)
    end)()
    g:next()
    has(caught(g.close, g), "generator ignored close")
  end)

  it("R51 a body that catches the signal and returns is closed", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      return
    end)()
    g:next()
    g:close()
    assert.equal("closed", g:status())
  end)

  it("R52 close gives the body's return values", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      return "bye", nil, 3
    end)()
    g:next()
    assert.same({ n = 3, "bye", nil, 3 }, table.pack(g:close()))
  end)

  it("R66 a closing body that caught the signal gets it again at its next wait", function()
    local log = {}
    local g = rille.generator(function()
      local _, first = pcall(coroutine.yield, 1)
      local ok, second = pcall(rille.sleep, 0)
      log = { kind(first) == kind(second), ok }
    end)()
    g:next()
    g:close()
    assert.same({ true, false }, log)
    assert.equal("closed", g:status())
  end)

  it("R54 cleanup runs in the task that closes", function()
    local log, resume = {}, nil
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.callback(function(r) resume = r end)
        log[#log + 1] = "cleanup"
      end)
      for i = 1, 10 do coroutine.yield(i) end
    end)()
    local first = rille.spawn(function()
      g:next()
      rille.sleep(0)
      rille.sleep(0)
      log[#log + 1] = "first task went on"
    end)
    local second = rille.spawn(function()
      rille.sleep(0)
      g:close()
      log[#log + 1] = "second task went on"
    end)
    first:await()
    rille.sleep(0)
    assert.equal("waiting", second:status())
    resume()
    second:await()
    assert.same({ "first task went on", "cleanup", "second task went on" }, log)
  end)

  it("R55 cleanup of a break completes before the statement after the loop", function()
    local log = {}
    for _ in logged(log, "cleanup", true)() do break end
    log[#log + 1] = "after"
    assert.same({ "cleanup", "after" }, log)
  end)

  it("R55 cleanup inside a coroutine inside a generator inside a pcall is complete too", function()
    local log = {}
    local ok, result = pcall(function()
      for v in rille.generator(function()
        local co = coroutine.wrap(function()
          for v in logged(log, "inner", true)() do
            rille.sleep(0)
            coroutine.yield(v)
            break
          end
          log[#log + 1] = "coroutine"
        end)
        for v in co do coroutine.yield(v) end
        log[#log + 1] = "body"
      end)() do log[#log + 1] = v end
      return "result"
    end)
    assert.is_true(ok)
    assert.equal("result", result)
    assert.same({ 1, "inner", "coroutine", "body" }, log)
  end)

  it("R56 return inside the loop closes and keeps the values", function()
    local log = {}
    local function f(...)
      for _ in logged(log, "cleanup", true)() do
        log[#log + 1] = "return"
        return ...
      end
    end
    local r = table.pack(f(1, nil, 3, nil))
    log[#log + 1] = "after"
    assert.same({ n = 4, 1, nil, 3 }, r)
    assert.same({ "return", "cleanup", "after" }, log)
  end)

  it("L16 return f() inside a loop runs f before the close", function()
    local log = {}
    local function f()
      log[#log + 1] = "f"
      return 1
    end
    local v = (function()
      for _ in logged(log, "cleanup")() do return f() end
    end)()
    assert.equal(1, v)
    assert.same({ "f", "cleanup" }, log)
  end)

  it("R56 goto out closes, goto continue does not", function()
    local log, seen = {}, {}
    do
      for v in logged(log, "cleanup", true)() do
        if v < 3 then goto continue end
        seen[#seen + 1] = v
        if v == 4 then goto out end
        ::continue::
        assert.same({}, log)
      end
    end
    ::out::
    assert.same({ 3, 4 }, seen)
    assert.same({ "cleanup" }, log)
  end)

  it("R56 an error in the loop closes before the pcall returns", function()
    local log = {}
    assert.equal("x", caught(function()
      for _ in logged(log, "cleanup", true)() do error("x", 0) end
    end))
    assert.same({ "cleanup" }, log)
  end)

  it("R57 nested loops close the inner one first", function()
    for _, how in ipairs({ "return", "error", "goto" }) do
      local log = {}
      pcall(function()
        for _ in logged(log, "outer", true)() do
          for _ in logged(log, "inner", true)() do
            if how == "return" then return end
            if how == "error" then error("x") end
            goto out
          end
        end
        ::out::
      end)
      assert.same({ "inner", "outer" }, log)
    end
  end)

  it("R58 keep leaves the generator open", function()
    local log = {}
    local g = logged(log, "cleanup")()
    for v in g:keep() do if v == 2 then break end end
    assert.same({}, log)
    assert.equal("suspended", g:status())
    pcall(function() for _ in g:keep() do error("x") end end)
    assert.same({}, log)
    assert.equal(4, (g:next()))
    for v in g:each() do
      assert.equal(5, v)
      break
    end
    assert.same({ "cleanup" }, log)
  end)

  it("R59 a new loop over a generator that a loop closed names that loop", function()
    local g = counter(5)()
    local where, first = here()
    local file = where:match("^(.*):%d+$")
    for _ in g:each() do
      break
    end
    local _, last = here()
    for _, again in ipairs({
      function() for _ in g:each() do return end end,
      function() for _ in g do return end end,
    }) do
      local err = tostring(caught(again))
      has(err, "generator was closed by the loop at " .. file .. ":")
      has(err, "use g:keep")
      local line = tonumber(err:match("closed by the loop at [^:]*:(%d+)"))
      assert.is_true(line > first and line < last, err)
    end
  end)

  it("closes a generator whose own loop variable is the only reference", function()
    local log = {}
    for _ in (function() return logged(log, "cleanup")() end)() do
      collectgarbage()
      break
    end
    assert.same({ "cleanup" }, log)
  end)
end)

describe("rille.generator: operators", function()
  it("R60 operators close their sources on an early end, once and in reverse order", function()
    local log = {}
    local source = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "source"
      end)
      for i = 1, 100 do coroutine.yield(i) end
    end)
    local list = source():map(function(v) return v * 2 end):take(3):collect()
    assert.same({ 2, 4, 6 }, list)
    assert.same({ "source" }, log)
  end)

  it("R60 operators close their sources on break and on an error of a callback", function()
    local log = {}
    for _ in logged(log, "break", true)():map(function(v) return v end) do break end
    local mine = {}
    assert.is_true(rawequal(mine, caught(function()
      logged(log, "error", true)():map(function() error(mine) end):collect()
    end)))
    assert.same({ "break", "error" }, log)
  end)

  it("R3 a stream made by a method returns four values too", function()
    local g = counter(1)()
    local r = table.pack(g:map(function(v) return v end))
    assert.equal(4, r.n)
    assert.is_true(rawequal(r[1], r[2]))
    assert.is_true(rawequal(r[1], r[4]))
    r[1]:close()
    g:close()
  end)

  it("R118 collect gathers the items into a list", function()
    assert.same({ 1, 2, 3 }, counter(3, true)():collect())
    assert.same({}, counter(0)():collect())
  end)
end)

describe("rille.generator: re-entrancy", function()
  it("R84 next, throw and close from inside the body are errors", function()
    local g, errors
    g = rille.generator(function()
      errors = {}
      errors[1] = select(2, pcall(g.next, g))
      errors[2] = select(2, pcall(g.throw, g, "x"))
      errors[3] = select(2, pcall(g))
      errors[4] = select(2, coroutine.wrap(function() return pcall(g.next, g) end)())
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    for i = 1, 4 do has(errors[i], "already running") end
    assert.equal("suspended", g:status())
    g:close()
  end)

  it("R84 a loop over itself inside the body is an error", function()
    local g, err
    g = rille.generator(function()
      err = select(2, pcall(function()
        for _ in g:each() do error("not reached") end
      end))
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    has(err, "already running")
    g:close()
  end)

  it("R84 two generators that advance each other find it out", function()
    local a, b, err
    a = rille.generator(function() coroutine.yield(b:next()) end)()
    b = rille.generator(function()
      rille.sleep(0)
      err = select(2, pcall(a.next, a))
      coroutine.yield("from b")
    end)()
    assert.equal("from b", (a:next()))
    has(err, "already running")
    a:close()
    b:close()
  end)

  it("R85 different tasks may advance one generator one after another", function()
    local g = counter(6, true)()
    local seen = {}
    for _ = 1, 3 do
      rille.spawn(function()
        seen[#seen + 1] = g:next()
        rille.sleep(0)
      end):await()
      seen[#seen + 1] = g:next()
    end
    assert.same({ 1, 2, 3, 4, 5, 6 }, seen)
    assert.is_nil((g:next()))
  end)

  it("R85 coroutines and tasks may take turns at one generator", function()
    local g = counter(4, true)()
    local seen = {
      (coroutine.wrap(function() return (g:next()) end)()),
      (g:next()),
      (rille.spawn(function() return (g:next()) end):await()),
      select(2, coroutine.resume(coroutine.create(function() return (g:next()) end))),
    }
    assert.same({ 1, 2, 3, 4 }, seen)
    g:close()
  end)

  it("R86 a generator outlives the task that made and advanced it", function()
    local log = {}
    local g = rille.spawn(function()
      local g = logged(log, "cleanup", true)()
      g:next()
      return g
    end):await()
    collectgarbage()
    assert.equal(2, (g:next()))
    g:close()
    assert.same({ "cleanup" }, log)
  end)

  it("R86 a generator outlives a cancelled task that advanced it", function()
    local g = counter(3, true)()
    local task = rille.spawn(function()
      g:next()
      rille.sleep(60)
    end)
    while task:status() ~= "waiting" or g:status() ~= "suspended" do rille.sleep(0) end
    task:cancel()
    pcall(task.await, task)
    assert.equal(2, (g:next()))
    g:close()
  end)
end)

describe("rille.generator: nesting", function()
  it("R88 a loop that yields again is delegation", function()
    local seen = {}
    for a, b in rille.generator(function()
      for a, b in rille.generator(function()
        coroutine.yield(1, "one")
        rille.sleep(0)
        coroutine.yield(2, nil)
      end)() do coroutine.yield(a, b) end
      coroutine.yield(3, "three")
    end)() do seen[#seen + 1] = table.pack(a, b) end
    assert.same({ { n = 2, 1, "one" }, { n = 2, 2 }, { n = 2, 3, "three" } }, seen)
  end)

  it("R88 close of the outer generator closes the inner one first", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "outer"
      end)
      for v in logged(log, "inner", true)() do coroutine.yield(v) end
    end)()
    g:next()
    g:close()
    assert.same({ "inner", "outer" }, log)
  end)

  it("R88 a recursive generator delegates to itself", function()
    local walk
    walk = rille.generator(function(tree)
      if type(tree) ~= "table" then
        rille.sleep(0)
        coroutine.yield(tree)
        return
      end
      for _, child in ipairs(tree) do
        for v in walk(child) do coroutine.yield(v) end
      end
    end)
    local seen = {}
    for v in walk({ 1, { 2, { 3, { 4 } }, 5 }, {}, 6 }) do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3, 4, 5, 6 }, seen)
  end)

  local function chain(depth, source)
    local g = source
    for _ = 1, depth do g = relay(g) end
    return g
  end

  it("R90 10,000 nested generators pass items that needed no wait", function()
    local g = chain(10000, (counter(3)()))
    assert.same({ 1, 2, 3 }, { (g:next()), (g:next()), (g:next()) })
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R90 10,000 nested generators pass items that needed waits", function()
    local g = chain(10000, (counter(3, true)()))
    assert.same({ 1, 2, 3 }, { (g:next()), (g:next()), (g:next()) })
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R90 an error passes 10,000 nested generators", function()
    for _, waits in ipairs({ false, true }) do
      local mine = {}
      local g = chain(10000, (rille.generator(function()
        coroutine.yield(1)
        if waits then rille.sleep(0) end
        error(mine)
      end)()))
      g:next()
      assert.is_true(rawequal(mine, caught(g.next, g)))
      assert.equal("failed", g:status())
    end
  end)

  it("R90 10,000 nested generators close", function()
    for _, waits in ipairs({ false, true }) do
      local log = {}
      local g = chain(10000, (logged(log, "leaf", waits)()))
      g:next()
      g:close()
      assert.same({ "leaf" }, log)
      assert.equal("closed", g:status())
    end
  end)

  it("R90 10,000 generators, each nested in the body of the one before", function()
    local nest
    nest = rille.generator(function(depth)
      if depth == 0 then
        rille.sleep(0)
        coroutine.yield("bottom")
        return
      end
      for v in nest(depth - 1) do coroutine.yield(v) end
    end)
    local seen = {}
    for v in nest(10000) do seen[#seen + 1] = v end
    assert.same({ "bottom" }, seen)
  end)

  it("R90 an infinite recursion of generators is an error, not a crash", function()
    local nest
    local depth = 0
    nest = rille.generator(function()
      depth = depth + 1
      if depth > 20000 then error("deep enough", 0) end
      for v in nest() do coroutine.yield(v) end
    end)
    local err = caught(function() for _ in nest() do break end end)
    assert.is_truthy(err == "deep enough" or err:find("overflow", 1, true), err)
    assert.is_true(depth > 10000)
    rille.sleep(0)
  end)

  it("R92 a chain of 501 closes innermost first, every level waiting", function()
    local log = {}
    local g = (rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = 0
      end)
      for i = 1, 10 do coroutine.yield(i) end
    end)())
    for level = 1, 501 do
      local inner = g
      g = (rille.generator(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = level
        end)
        for v in inner:each() do coroutine.yield(v) end
      end)())
    end
    assert.equal(1, (g:next()))
    assert.equal(2, (g:next()))
    g:close()
    assert.equal(502, #log)
    for i = 1, 502 do assert.equal(i - 1, log[i]) end
  end)
end)

describe("rille.generator: introspection", function()
  it("R113 status tells each state", function()
    local g, inside, resume
    local during
    g = rille.generator(function()
      local _ <close> = closer(function()
        during = g:status()
        rille.callback(function(r) resume = r end)
      end)
      inside = g:status()
      rille.callback(function(r) resume = r end)
      coroutine.yield(1)
    end)()
    assert.equal("created", g:status())
    local task = rille.spawn(function()
      g:next()
      rille.sleep(0)
      g:close()
    end)
    while not resume do rille.sleep(0) end
    assert.equal("running", inside)
    assert.equal("waiting", g:status())
    local r = resume
    resume = nil
    r()
    while g:status() == "waiting" do rille.sleep(0) end
    while not resume do rille.sleep(0) end
    assert.equal("closing", during)
    assert.equal("closing", g:status())
    resume()
    task:await()
    assert.equal("closed", g:status())

    g = counter(1)()
    g:next()
    assert.equal("suspended", g:status())
    g:next()
    assert.equal("exhausted", g:status())
    g = rille.generator(error)("x")
    pcall(g.next, g)
    assert.equal("failed", g:status())
  end)

  it("R113 a consumer sees its generator suspended inside the loop", function()
    local g = counter(2)()
    for _ in g:each() do assert.equal("suspended", g:status()) end
  end)

  it("R113 tostring shows where it was made, its state and what it waits for", function()
    local where, resume
    local gen = rille.generator(function()
      rille.sleep(0.01)
      rille.callback(function(r) resume = r end)
      coroutine.yield(1)
    end)
    local g
    where = here() g = gen()
    local text = tostring(g)
    has(text, where)
    has(text, "created")
    local task = rille.spawn(function() g:next() end)
    rille.sleep(0)
    text = tostring(g)
    has(text, where)
    has(text, "waiting")
    has(text, "sleep")
    while not resume do rille.sleep(0.001) end
    has(tostring(g), "callback")
    resume()
    task:await()
    has(tostring(g), "suspended")
    g:close()
    has(tostring(g), "closed")
  end)

  it("R113 status is always one of the documented names", function()
    local g = counter(1, true)()
    for _ = 1, 4 do
      assert.is_true(STATES[g:status()])
      g:next()
    end
    g:close()
    assert.is_true(STATES[g:status()])
  end)
end)
