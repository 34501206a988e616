-- Generators in generators: re-entrancy, delegation, depth; and what a generator tells of itself.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local expect = require("spec.helper.expect")
local generators = require("spec.helper.generators")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here
local counter, logged, relay = generators.counter, generators.logged, generators.relay

local STATES = {
  created = true, suspended = true, running = true, waiting = true,
  closing = true, exhausted = true, closed = true, failed = true,
}

local DEPTH <const> = os.getenv("RILLE_SPEC_GC") == "stress" and 400 or 10000

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
    local g = chain(DEPTH, (counter(3)()))
    assert.same({ 1, 2, 3 }, { (g:next()), (g:next()), (g:next()) })
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R90 10,000 nested generators pass items that needed waits", function()
    local g = chain(DEPTH, (counter(3, true)()))
    assert.same({ 1, 2, 3 }, { (g:next()), (g:next()), (g:next()) })
    assert.is_nil((g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R90 an error passes 10,000 nested generators", function()
    for _, waits in ipairs({ false, true }) do
      local mine = {}
      local g = chain(DEPTH, (rille.generator(function()
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
      local g = chain(DEPTH, (logged(log, "leaf", waits)()))
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
    for v in nest(DEPTH) do seen[#seen + 1] = v end
    assert.same({ "bottom" }, seen)
  end)

  it("R90 an infinite recursion of generators is an error, not a crash", function()
    local nest
    local depth = 0
    nest = rille.generator(function()
      depth = depth + 1
      if depth > 2 * DEPTH then error("deep enough", 0) end
      for v in nest() do coroutine.yield(v) end
    end)
    local err = caught(function() for _ in nest() do break end end)
    assert.is_truthy(err == "deep enough" or err:find("overflow", 1, true), err)
    assert.is_true(depth > DEPTH)
    rille.sleep(0)
  end)

  it("R92 a chain of 501 closes innermost first, every level waiting", function()
    local log, levels = {}, math.min(501, DEPTH // 2)
    local g = (rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = 0
      end)
      for i = 1, 10 do coroutine.yield(i) end
    end)())
    for level = 1, levels do
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
    assert.equal(levels + 1, #log)
    for i = 1, levels + 1 do assert.equal(i - 1, log[i]) end
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
