-- stream.yield_from: a body that hands its consumer on to another generator, or any other source.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local expect = require("spec.helper.expect")
local rille = require("rille")
local stream = require("rille.stream")

local caught, has, closer = expect.caught, expect.has, expect.closer
local yield_from = stream.yield_from

local function items_of(g)
  local items = {}
  for v in g:each() do items[#items + 1] = v end
  return items
end

-- A generator of 1, 2, ... n that returns "result", n; its cleanup waits and adds a line to the log.
local function counter(n, log, name)
  return (rille.generator(function()
    local _ <close> = closer(function(err)
      rille.sleep(0)
      if log then log[#log + 1] = name or rille.is_error(err) and err.code or tostring(err) end
    end)
    for i = 1, n do
      if i % 2 == 0 then rille.sleep(0) end
      coroutine.yield(i)
    end
    return "result", n
  end)())
end

-- Calls f with two generators of the body: one that is new, whose body runs in the coroutine that delegates
-- to it, and one that has begun, whose body has a coroutine of its own.
local function both_ways(body, f)
  f((rille.generator(body)()))
  local begun = rille.generator(function()
    coroutine.yield("begun")
    return body()
  end)()
  assert.equal("begun", (begun:next()))
  f(begun)
end

-- The generator of a body that delegates to inner.
local function over(inner)
  return (rille.generator(function() return yield_from(inner) end)())
end

describe("stream.yield_from", function()
  it("R89 R23 yields the items of a generator and returns what its body returns", function()
    local results
    local g = rille.generator(function()
      coroutine.yield("before")
      results = table.pack(yield_from(counter(3)))
      coroutine.yield("after")
    end)()
    assert.same({ "before", 1, 2, 3, "after" }, items_of(g))
    assert.same({ n = 2, "result", 3 }, results)
  end)

  it("R89 R14 passes all values of an item, nils and false included, and all results", function()
    local inner = rille.generator(function()
      coroutine.yield(false, nil, "x", nil)
      return nil, 1, nil
    end)()
    local g = over(inner)
    assert.same({ n = 4, false, nil, "x", nil }, table.pack(g:next()))
    assert.same({ n = 1 }, table.pack(g:next()))
    assert.same({ n = 3, nil, 1, nil }, table.pack(g:result()))
  end)

  it("R89 R6 takes what a generator function returns, and the generator function", function()
    local make = rille.generator(function(a)
      coroutine.yield(a or "none")
      return "done"
    end)
    local results = {}
    local g = rille.generator(function()
      results[1] = yield_from(make("given"))
      results[2] = yield_from(make)
    end)()
    assert.same({ "given", "none" }, items_of(g))
    assert.same({ "done", "done" }, results)
  end)

  it("R89 R20 what the consumer sends goes to the inner body", function()
    both_ways(function()
      local log = {}
      for i = 1, 2 do log[i] = table.pack(coroutine.yield(i)) end
      return log
    end, function(inner)
      local g = rille.generator(function()
        local sent = coroutine.yield("start")
        return sent, yield_from(inner)
      end)()
      g:next()
      assert.equal(1, (g:next("to the outer")))
      assert.equal(2, (g:next("a", nil)))
      assert.is_nil((g:next(nil, "b")))
      local sent, log = g:result()
      assert.equal("to the outer", sent)
      assert.same({ { n = 2, "a" }, { n = 2, nil, "b" } }, log)
    end)
  end)

  it("R89 R19 a loop sends nothing", function()
    local counts = {}
    local inner = rille.generator(function()
      for i = 1, 2 do counts[i] = select("#", coroutine.yield(i)) end
    end)()
    items_of(over(inner))
    assert.same({ 0, 0 }, counts)
  end)

  it("R89 an error that is thrown in is raised in the inner body, which may go on", function()
    local mine, seen = {}, nil
    both_ways(function()
      local _, err = pcall(coroutine.yield, 1)
      seen = err
      coroutine.yield(2)
      return "recovered"
    end, function(inner)
      local g = over(inner)
      g:next()
      assert.equal(2, (g:throw(mine)))
      assert.is_true(rawequal(mine, seen))
      assert.is_nil((g:next()))
      assert.equal("recovered", g:result())
      assert.equal("recovered", inner:result())
      assert.equal("exhausted", inner:status())
    end)
  end)

  it("R89 R29 an error that the inner body lets pass is raised in the outer, as the same object", function()
    local mine, log = {}, {}
    local inner = counter(3, log, "inner")
    local g = rille.generator(function()
      local _, err = pcall(yield_from, inner)
      log[#log + 1] = rawequal(err, mine)
      coroutine.yield("went on")
    end)()
    g:next()
    assert.equal("went on", (g:throw(mine)))
    assert.same({ "inner", true }, log)
    assert.equal("failed", inner:status())
    g:close()
  end)

  it("R29 R32 an error of the inner body fails the outer one, after the cleanup of both", function()
    local log, mine = nil, {}
    both_ways(function()
      local _ <close> = closer(function() rille.sleep(0) log[#log + 1] = "inner" end)
      coroutine.yield(1)
      error(mine)
    end, function(inner)
      log = {}
      local g = rille.generator(function()
        local _ <close> = closer(function() rille.sleep(0) log[#log + 1] = "outer" end)
        yield_from(inner)
      end)()
      g:next()
      assert.is_true(rawequal(mine, caught(g.next, g)))
      assert.same({ "inner", "outer" }, log)
      assert.equal("failed", g:status())
      assert.equal("failed", inner:status())
      has(caught(g.next, g), "generator already failed")
      has(caught(inner.next, inner), "generator already failed")
    end)
  end)

  it("R31 the story of its error tells of both bodies", function()
    local function culprit() error(setmetatable({}, { __tostring = function() return "mine" end })) end
    local function tells(story, parts)
      local at = 1
      for _, part in ipairs(parts) do
        local _, e = story:find(part, at, true)
        assert.is_truthy(e, ("%q is not in order in %s"):format(part, story))
        at = e
      end
    end
    local inner = rille.generator(function() culprit() end)()
    tells(rille.traceback(caught(function() items_of(over(inner)) end)),
      { "mine", "in upvalue 'culprit'", "yield_from'", "generator made at ", ", advanced by task" })
    inner = rille.generator(function() coroutine.yield(1) culprit() end)()
    inner:next()
    tells(rille.traceback(caught(function() items_of(over(inner)) end)),
      { "mine", "in upvalue 'culprit'", "generator made at ", ", advanced by generator (", "yield_from'",
        "generator made at ", ", advanced by task" })
  end)

  it("R88 R92 close of the outer one closes the inner first", function()
    local log
    both_ways(function()
      local _ <close> = closer(function(err) rille.sleep(0) log[#log + 1] = "inner " .. err.code end)
      for i = 1, 10 do coroutine.yield(i) end
    end, function(inner)
      log = {}
      local g = rille.generator(function()
        local _ <close> = closer(function(err) rille.sleep(0) log[#log + 1] = "outer " .. err.code end)
        yield_from(inner)
      end)()
      g:next()
      g:close()
      assert.same({ "inner ECLOSED", "outer ECLOSED" }, log)
      assert.equal("closed", inner:status())
      assert.equal("closed", g:status())
      assert.is_nil((inner:next()))
      inner:close()
    end)
  end)

  it("R42 the inner body sees the close signal, on every way out of a loop", function()
    for _, leave in ipairs({
      function(g) for _ in g:each() do break end end,
      function(g) for _ in g:each() do return end end,
      function(g) pcall(function() for _ in g:each() do error("x") end end) end,
    }) do
      local log = {}
      leave(over(counter(3, log)))
      assert.same({ "ECLOSED" }, log)
    end
  end)

  it("R46 R47 close while another task waits in the inner body", function()
    local log
    both_ways(function()
      local _ <close> = closer(function() rille.sleep(0) log[#log + 1] = "inner" end)
      rille.sleep(60)
    end, function(inner)
      log = {}
      local g = over(over(inner))
      local waiting = rille.spawn(pcall, g.next, g)
      while waiting:status() ~= "waiting" do rille.sleep(0) end
      assert.equal("waiting", g:status())
      assert.equal("waiting", inner:status())
      has(tostring(inner), "waiting for sleep")
      g:close()
      assert.same({ "inner" }, log)
      assert.is_truthy(inner:status() == "closed" or inner:status() == "failed", inner:status())
      has(select(2, waiting:await()), "generator closed by another task")
    end)
  end)

  it("R61 cancelling the consumer while the inner body waits unwinds both", function()
    local log = {}
    local function level(name, inner)
      return (rille.generator(function()
        local _ <close> = closer(function(err) rille.sleep(0) log[#log + 1] = name .. " " .. err.code end)
        if inner then yield_from(inner) else rille.sleep(60) end
      end)())
    end
    local g = level("outer", level("inner"))
    local waiting = rille.spawn(function() g:next() end)
    while waiting:status() ~= "waiting" do rille.sleep(0) end
    waiting:cancel()
    caught(waiting.await, waiting)
    assert.same({ "inner ECANCELED", "outer ECANCELED" }, log)
  end)

  it("R50 an inner body that keeps the close signal and yields is ended, and reported", function()
    both_ways(function() while true do pcall(coroutine.yield, 1) end end, function(inner)
      local g = over(inner)
      g:next()
      has(caught(g.close, g), "generator ignored close")
      assert.equal("closed", inner:status())
      assert.equal("closed", g:status())
    end)
  end)

  it("R67 works with next_within", function()
    local g = over(rille.generator(function()
      rille.sleep(0.002)
      coroutine.yield(1)
      return "result"
    end)())
    assert.same({ n = 2, nil, "timeout" }, table.pack(g:next_within(0)))
    assert.equal(1, (g:next()))
    assert.is_nil((g:next_within(1)))
    assert.equal("result", g:result())
  end)

  it("R89 an inner generator with a step in flight goes on from there", function()
    local inner = counter(3)
    inner:next()
    assert.same({ n = 2, nil, "timeout" }, table.pack(inner:next_within(0)))
    assert.same({ 2, 3 }, items_of(over(inner)))
  end)

  it("R24 one that has ended yields nothing and gives its results", function()
    local inner = counter(2)
    items_of(inner)
    assert.same({}, items_of(over(inner)))
    inner = counter(1)
    inner:next()
    inner:next()
    local g = over(inner)
    assert.is_nil((g:next()))
    assert.equal("result", (g:result()))
  end)

  it("R33 one that has failed is an error", function()
    local inner = rille.generator(function() error("cause", 0) end)()
    pcall(inner.next, inner)
    has(caught(items_of, over(inner)), "generator already failed: cause")
  end)

  it("R84 a body cannot delegate to itself, nor to its consumer", function()
    local g
    g = rille.generator(function() yield_from(g) end)()
    has(caught(g.next, g), "generator already running")
    local outer
    local inner = rille.generator(function() yield_from(outer) end)()
    outer = over(inner)
    has(caught(outer.next, outer), "generator already running")
  end)

  it("R80 R49 a body in place is advanced and closed through the one that delegates to it", function()
    local inner = counter(3)
    local g = over(inner)
    assert.equal("created", inner:status())
    assert.equal(1, (g:next()))
    assert.equal("suspended", inner:status())
    for _, name in ipairs({ "next", "throw" }) do
      has(caught(inner[name], inner, nil), "generator already running: another one delegates to it")
    end
    has(caught(inner.next_within, inner, 0), "another one delegates to it")
    has(caught(inner.close, inner), "cannot close a generator that another one delegates to")
    assert.equal("mine", caught(function()
      local _ <close> = inner
      error("mine", 0)
    end))
    assert.equal(2, (g:next()))
    g:close()
    assert.equal("closed", inner:status())
    inner:close()
  end)

  it("R15 R72 what a body must not do is refused in place too", function()
    local errors = {}
    local g = over(rille.generator(function()
      errors[1] = caught(coroutine.yield, nil)
      errors[2] = caught(rille.timeout, 1, coroutine.yield, 1)
      errors[3] = caught(table.sort, { 2, 1 }, coroutine.yield)
      coroutine.yield("item")
    end)())
    assert.equal("item", (g:next()))
    has(errors[1], "yielded nil")
    has(errors[2], "yield inside rille.timeout opened at")
    has(errors[3], "table.sort")
    g:close()
  end)

  it("R10 arguments keep count and nils in place", function()
    local g = over(rille.generator(function(...) coroutine.yield(select("#", ...), ...) end)(nil, "x", nil))
    assert.same({ n = 4, 3, nil, "x", nil }, table.pack(g:next()))
    g:close()
  end)

  it("R96 R93 one that is dropped in place runs its cleanup once", function()
    rille.test.may_leak()
    local log = {}
    local g = over(counter(3, log))
    g:next()
    g = nil -- luacheck: ignore 311
    for _ = 1, 3 do
      collectgarbage()
      for _ = 1, 5 do rille.sleep(0) end
    end
    assert.same({ "ECLOSED" }, log)
  end)

  it("R89 yields the items of every other source, and closes it", function()
    local log = {}
    local closing = closer(function() rille.sleep(0) log[#log + 1] = "closed" end)
    local at = 0
    local function iterator() at = at + 1 return at <= 2 and at or nil end
    local ch = rille.channel(3)
    ch:send("c")
    local callable = setmetatable({}, {
      __call = function(_, ...)
        at = at + 1
        return at <= 4 and select("#", ...) or nil
      end,
      __close = function() log[#log + 1] = "callable" end,
    })
    local g = rille.generator(function()
      log[#log + 1] = select("#", yield_from({ "list" }))
      yield_from(stream.range(1, 2):enumerate())
      yield_from(iterator, nil, nil, closing)
      yield_from(ipairs({ "pairs" }))
      yield_from(callable)
      yield_from(ch)
      yield_from(coroutine.wrap(function() rille.sleep(0) coroutine.yield("wrap") end))
    end)()
    local items = {}
    for a, b in g:each() do
      items[#items + 1] = b == nil and tostring(a) or ("%s=%s"):format(a, b)
      if a == "c" then ch:close() end
    end
    assert.same({ "list", "1=1", "2=2", "1", "2", "1=pairs", "0", "c", "wrap" }, items)
    assert.same({ 0, "closed", "callable" }, log)
  end)

  it("R60 R88 closes another source on every way out", function()
    for _, leave in ipairs({
      function(g) g:close() end,
      function(g) pcall(g.throw, g, "x") end,
      function(g) for _ in g:each() do break end end,
    }) do
      local log = {}
      local s = counter(5, log, "source"):map(function(v) return v end)
      local g = over(s)
      g:next()
      leave(g)
      assert.same({ "source" }, log)
      assert.equal("closed", s:status())
    end
  end)

  it("R7 refuses what is no source, and blames the caller", function()
    local g = over(3)
    local err = caught(g.next, g)
    has(err, "delegation_spec.lua")
    has(err, "bad argument #1 to 'yield_from' (expected a stream, a generator function")
    has(caught(coroutine.wrap(function() yield_from() end)), "bad argument #1 to 'yield_from'")
  end)

  it("R104 refuses where nothing can be yielded; the source is not started", function()
    local ran
    local inner = rille.generator(function() ran = true end)()
    local err = caught(function() yield_from(inner) end)
    has(err, "delegation_spec.lua")
    has(err, "yield_from outside the body of a generator or coroutine")
    local g = rille.generator(function()
      table.sort({ 2, 1 }, function() yield_from(inner) end)
    end)()
    has(caught(g.next, g), "cannot yield an item inside table.sort")
    assert.is_nil(ran)
    assert.equal("created", inner:status())
  end)

  it("R72 R73 refuses inside a time-out or group that the body has opened", function()
    local inner = counter(1)
    local g = rille.generator(function()
      rille.timeout(1, function() yield_from(inner) end)
    end)()
    local err = caught(g.next, g)
    has(err, "yield inside rille.timeout opened at")
    has(err, "delegation_spec.lua")
    assert.equal("created", inner:status())
  end)

  it("R108 works in a plain coroutine", function()
    local results
    local items = {}
    for v in coroutine.wrap(function() results = table.pack(yield_from(counter(3))) end) do
      items[#items + 1] = v
    end
    assert.same({ 1, 2, 3 }, items)
    assert.same({ n = 2, "result", 3 }, results)
  end)

  it("R90 R92 delegates at any depth, and closes the innermost first", function()
    local depth, deepest = os.getenv("RILLE_SPEC_GC") == "stress" and 300 or 1000, 0
    local log = {}
    local function walk(n)
      local _ <close> = closer(function()
        if n % 100 == 0 then rille.sleep(0) end
        log[#log + 1] = n
      end)
      deepest = math.max(deepest, n)
      if n < depth then yield_from(rille.generator(walk)(n + 1)) end
      coroutine.yield(n)
    end
    local g = rille.generator(walk)(1)
    for i = 0, 9 do assert.equal(depth - i, (g:next())) end
    g:close()
    assert.equal(depth, deepest)
    assert.equal(depth, #log)
    for i = 1, depth do assert.equal(depth - i + 1, log[i]) end
  end)

  it("R102 whatever the collector does", function()
    local function walk(n)
      collectgarbage()
      if n > 0 then
        yield_from(rille.generator(walk)(n - 1))
        yield_from({ n + 0.5 })
      end
      rille.sleep(0)
      coroutine.yield(n)
      collectgarbage()
      return n
    end
    assert.same({ 0, 1.5, 1, 2.5, 2, 3.5, 3 }, items_of(rille.generator(walk)(3)))
  end)
end)
