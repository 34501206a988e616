-- Generators: creation, the protocol of a loop, stepping and values.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local json = require("rille.json")
local expect = require("spec.helper.expect")
local generators = require("spec.helper.generators")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here
local counter, logged, close_signal = generators.counter, generators.logged, generators.close_signal
local cancel_signal = generators.cancel_signal

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

  it("R7 a loop over the generator function itself is refused, at the line of the loop", function()
    local numbers = rille.generator(function() coroutine.yield(1) end)
    local line
    local err = caught(function()
      line = here() for _ in numbers do break end
    end)
    assert.equal(line .. ": a loop over a generator function; call it: 'for v in f() do'", err)
  end)

  it("R1 arguments like those of a loop are arguments", function()
    local both = rille.generator(function(...) coroutine.yield(select("#", ...), ...) end)
    local g <close> = both(nil, 2)
    assert.same({ 2, nil, 2 }, { g:next() })
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
      "bad argument #1 to 'next' (rille.generator expected, got table; is it called with ':'?)")
    has(caught(function() g.close(12) end), "(rille.generator expected, got number; ")
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
      has(errors[i], "first value must not be nil (yield false or a table; return ends the generator)")
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
