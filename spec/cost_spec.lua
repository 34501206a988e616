-- What a step costs: turns of the loop (R26, R27), memory (R117), and what is between a wait and its task
-- (R91). Nothing here is measured against a clock but R91, which compares two times of this processor.
local rille = require("rille")
local stream = require("rille.stream")
local expect = require("spec.helper.expect")

local caught = expect.caught

local BUDGET = 1024 -- steps without a wait that a task may take in one turn of the loop

local endless = rille.generator(function()
  local i = 0
  while true do
    i = i + 1
    coroutine.yield(i)
  end
end)

-- A task that notes that it had its turn.
local function witness()
  local seen = { turn = false }
  seen.task = rille.spawn(function() seen.turn = true end)
  return seen
end

-- Takes steps until the witness has had its turn; gives their number, at most `most`.
local function steps_until_turn(step, most)
  rille.sleep(0)
  local seen = witness()
  local n = 0
  while not seen.turn and n < most do
    step()
    n = n + 1
  end
  seen.task:await()
  return n
end

describe("an always-ready generator", function()
  it("R27 lets the loop run after 1024 steps without a wait", function()
    local g <close> = endless()
    local n = steps_until_turn(function() g:next() end, 100 * BUDGET)
    assert.is_true(n > BUDGET / 2 and n <= BUDGET + 1, n)
    n = steps_until_turn(g, 100 * BUDGET)
    assert.is_true(n > BUDGET / 2 and n <= BUDGET + 1, n)
  end)

  it("R27 cannot starve a timer, a task or a callback", function()
    local fired, resume, called = false, nil, false
    local sleeper = rille.spawn(function()
      rille.sleep(0.002)
      fired = true
    end)
    local caller = rille.spawn(function()
      rille.callback(function(r) resume = r end)
      called = true
    end)
    for i in endless() do
      if resume then
        resume()
        resume = nil
      end
      if fired and called or i > 50000 * BUDGET then break end
    end
    assert.same({ true, true }, { fired, called })
    sleeper:await()
    caller:await()
  end)

  it("R27 the steps of all generators of a task are counted together", function()
    local short = rille.generator(function() for i = 1, 7 do coroutine.yield(i) end end)
    local n = steps_until_turn(function() for _ in short() do assert(true) end end, BUDGET)
    assert.is_true(n <= BUDGET / 7 + 1, n)
    local a <close> = endless()
    local b <close> = endless()
    n = steps_until_turn(function() return a:next(), b:next() end, BUDGET)
    assert.is_true(n <= BUDGET / 2 + 1, n)
  end)

  it("R27 lets the loop run also when it is nested, or the source of a stream", function()
    local outer <close> = rille.generator(function()
      for v in endless() do coroutine.yield(v) end
    end)()
    assert.is_true(steps_until_turn(outer, 100 * BUDGET) <= BUDGET + 1)
    local doubled <close> = endless():map(function(v) return 2 * v end)
    assert.is_true(steps_until_turn(doubled, 100 * BUDGET) <= BUDGET + 1)
    local rare <close> = endless():filter(function(v) return v % 5000 == 0 end)
    assert.is_true(steps_until_turn(rare, 100 * BUDGET) <= BUDGET + 1)
  end)

  it("R27 a stream that is always ready cannot starve a task either", function()
    local numbers <close> = stream.range(1)
    assert.is_true(steps_until_turn(numbers, 1000 * BUDGET) < 1000 * BUDGET)
    local seen, counted = witness(), 0
    stream.range(1, 100 * BUDGET):tap(function()
      if not seen.turn then counted = counted + 1 end
    end):each_do(function() end)
    assert.is_true(counted < 100 * BUDGET)
    seen.task:await()
  end)

  it("R27 a wait begins the count anew", function()
    local g <close> = endless()
    for _ = 1, 3 do
      rille.sleep(0)
      local seen = witness()
      for _ = 1, BUDGET / 2 do g:next() end
      assert.is_false(seen.turn)
      seen.task:await()
    end
  end)

  it("R27 the loop over it can be cancelled, and given a time-out", function()
    local closed = 0
    local gen = rille.generator(function()
      local _ <close> = expect.closer(function()
        rille.sleep(0)
        closed = closed + 1
      end)
      for i = 1, 50000 * BUDGET do coroutine.yield(i) end
    end)
    local function spin() for _ in gen() do assert(true) end end
    assert.is_true(rille.is_error(caught(rille.timeout, 0.001, spin), "ETIMEDOUT"))
    local task = rille.spawn(spin)
    rille.sleep(0)
    task:cancel()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.equal(2, closed)
  end)

  it("R27 the turn loses no item and sends nothing", function()
    local sent = 0
    local g = rille.generator(function()
      for i = 1, 5 * BUDGET do sent = sent + select("#", coroutine.yield(i)) end
      return "done"
    end)()
    local expected = 0
    for v in g:each() do
      expected = expected + 1
      if v ~= expected then error(("%d instead of %d"):format(v, expected)) end
    end
    assert.same({ 5 * BUDGET, 0, "done" }, { expected, sent, (g:result()) })
  end)

  it("R27 R106 a plain coroutine takes no turn: code that does not wait cannot tell", function()
    rille.sleep(0)
    local seen = witness()
    for _ in coroutine.wrap(function()
      for i = 1, 5 * BUDGET do coroutine.yield(i) end
    end) do assert(not seen.turn) end
    assert.is_false(seen.turn)
    seen.task:await()
  end)
end)

-- By how many bytes the memory of Lua grows in n calls of step; nothing is collected in between.
local function growth(step, n)
  rille.sleep(0) -- so that none of the steps waits for a turn of the loop, which costs memory
  collectgarbage()
  collectgarbage("stop")
  for _ = 1, 3 do step() end -- the collector has shrunk the stacks
  local before = collectgarbage("count")
  for _ = 1, n do step() end
  local after = collectgarbage("count")
  collectgarbage("restart")
  return (after - before) * 1024
end

describe("a step without a wait", function()
  -- 10,000 steps, in rounds that need no turn of the loop.
  local function allocates_nothing(step, levels)
    local round = 900 // (levels or 1)
    local bytes = 0
    for _ = 1, 10000 // round do bytes = bytes + growth(step, round) end
    assert.equal(0, bytes)
  end

  it("R117 allocates nothing", function()
    local g <close> = endless()
    allocates_nothing(g)
    allocates_nothing(function() g:next() end)
  end)

  it("R117 allocates nothing for items of several values, and for what is sent", function()
    local g <close> = rille.generator(function()
      local a, b
      while true do a, b = coroutine.yield(a or 1, nil, b, "text", nil) end
    end)()
    g:next()
    allocates_nothing(function() g:next(1.5, nil) end)
    allocates_nothing(function() g:next() end)
  end)

  it("R117 allocates nothing at any level of nesting", function()
    local g = endless()
    for _ = 1, 20 do
      local inner = g
      g = (rille.generator(function()
        for v in inner:each() do coroutine.yield(v) end
      end)())
    end
    allocates_nothing(g, 21)
    g:close()
  end)

  it("R117 a loop costs the same whatever the number of its items", function()
    local gen = rille.generator(function(n) for i = 1, n do coroutine.yield(i) end end)
    local function loop(n)
      return growth(function()
        for v in gen(n) do assert(v) end
      end, 1)
    end
    assert.equal(loop(10), loop(250))
  end)
end)

describe("a wait below many generators", function()
  -- The processor's time of `waits` waits in the body of the innermost of `depth` generators.
  local function cost(depth, waits)
    local g = rille.generator(function()
      coroutine.yield("ready")
      for _ = 1, waits do rille.sleep(0) end
      coroutine.yield("done")
    end)()
    for _ = 1, depth do
      local inner = g
      g = (rille.generator(function()
        for v in inner:each() do coroutine.yield(v) end
      end)())
    end
    g:next()
    collectgarbage()
    collectgarbage("stop")
    local before = os.clock()
    local item = g:next()
    local spent = os.clock() - before
    collectgarbage("restart")
    assert.equal("done", item)
    g:close()
    return spent
  end

  -- d + k switches at depth 2000 with 4000 waits are 1.5 times those at depth 1; d * k would be 2000 times.
  it("R91 costs the same at depth 1 and 2000", function()
    local depth = os.getenv("RILLE_SPEC_GC") == "stress" and 500 or 2000
    cost(1, 1000)
    local flat = math.min(cost(1, 4000), cost(1, 4000))
    local deep = math.min(cost(depth, 4000), cost(depth, 4000))
    assert.is_true(deep < 20 * flat, ("%.6f s at depth %d, %.6f s at depth 1"):format(deep, depth, flat))
  end)
end)
