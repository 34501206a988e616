-- Operators upon operators, whatever the moments are: nothing is lost, closed twice or left behind. R<n> are
-- the rules of the semantics.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local task = require("rille.host.task")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")
local process = dofile("spec/helper/process.lua")

local turns = expect.turns

local function wait_some(...)
  turns(math.random(0, 2))
  return ...
end

-- Stages that change no item, each over a source, with a small number to choose.
local STAGES = {
  function(s, k) return s:map(wait_some, { n = k }) end,
  function(s, k) return s:map(wait_some, { n = k, ordered = false }) end,
  function(s, k)
    return s:flat_map(function(v) return { wait_some(v) } end, { n = k, ordered = k % 2 == 0 })
  end,
  function(s, k) return s:buffer(k) end,
  function(s) return s:merge({}) end,
  function(s) return stream.zip(s) end,
  function(s) return stream.latest(s) end,
  function(s) return stream.race(s, {}) end,
  function(s) return (s:tee(1)):each() end,
  function(s) return s:share() end,
  function(s, k)
    return stream.producer(function(emit)
      for v in s:each() do
        if not emit(v) then break end
      end
    end, { buffer = k - 1 })
  end,
  function(s, k) return s:batch(k, 0.001):flatten() end,
  function(s) return s:window(1):flatten() end,
  function(s) return s:timeout(9) end,
  function(s) return s:timeout(9, -1) end,
  function(s) return s:spaceout(0) end,
  function(s) return s:catch(function(err) error(err, 0) end) end,
  function(s) return stream.retry(function() return s end, { times = 1 }) end,
  function(s) return s:take_until(rille.event()) end,
  function(s) return s:take_until(function() rille.sleep(9) end) end,
  function(s) return s:distinct() end,
}

-- One to three stages, by their numbers, over s.
local function pile(s)
  local numbers = {}
  for i = 1, math.random(1, 3) do
    local n, k = math.random(#STAGES), math.random(1, 4)
    numbers[i] = n .. "/" .. k
    s = STAGES[n](s, k)
  end
  return s, table.concat(numbers, " ")
end

-- A source of 1 .. n that logs its end, with waits here and there, which raises err after them.
local function source(log, n, err)
  return (rille.generator(function()
    local _ <close> = helper.leaves(log, "source")
    for i = 1, n do coroutine.yield(wait_some(i)) end
    if err then error(err, 0) end
  end)())
end

-- Runs f for many piles. The log tells afterwards that the source was closed once, and no task is left.
local function many(f)
  local seed = os.time()
  math.randomseed(seed)
  for round = 1, 60 do
    local log, before = {}, task.count()
    local about = f(log) .. (" (seed %d, round %d)"):format(seed, round)
    assert.is_true(#log <= 1, about)
    assert.equal(before, task.count(), about)
  end
end

describe("rille.stream: operators upon operators", function()
  it("every item arrives once", function()
    many(function(log)
      local n = math.random(0, 30)
      local s, about = pile(source(log, n))
      local seen = {}
      for v in s:each() do
        seen[#seen + 1] = v
        wait_some()
      end
      assert.same(stream.range(1, n):collect(), helper.sorted(seen), about)
      assert.same({ "source" }, log, about)
      return about
    end)
  end)

  it("R29 R32 an error arrives as it is, after the cleanup", function()
    many(function(log)
      local mine = fault.new("EX", "mine")
      local s, about = pile(source(log, math.random(0, 10), mine))
      local ok, err = pcall(function() for _ in s:each() do wait_some() end end)
      assert.is_false(ok, about)
      assert.is_true(rawequal(mine, err), about .. ": " .. tostring(err))
      assert.same({ "source" }, log, about)
      return about
    end)
  end)

  it("R55 R60 a loop may be left at any item", function()
    many(function(log)
      local s, about = pile(source(log, 30))
      local n, last = 0, math.random(1, 20)
      for _ in s:each() do
        n = n + 1
        wait_some()
        if n == last then break end
      end
      assert.same({ "source" }, log, about)
      return about
    end)
  end)

  it("R46 R48 a stream may be closed by another task at any moment", function()
    many(function(log)
      local s, about = pile(source(log, 30))
      local consumer = helper.spawn(function() for _ in s:each() do wait_some() end end)
      turns(math.random(0, 20))
      s:close()
      pcall(helper.outcome, consumer)
      return about
    end)
  end)

  it("R61 R63 a consumer may be cancelled at any moment", function()
    many(function(log)
      local s, about = pile(source(log, 30))
      local consumer = helper.spawn(function() for _ in s:each() do wait_some() end end)
      turns(math.random(0, 20))
      consumer:cancel()
      consumer:join()
      s:close()
      return about
    end)
  end)

  it("R64 a time-out may strike at any moment", function()
    many(function(log)
      local s, about = pile(source(log, 30))
      pcall(rille.timeout, math.random() * 0.002, function() for _ in s:each() do wait_some() end end)
      s:close()
      return about
    end)
  end)

  it("R93 a stream may be dropped at any item", function()
    rille.test.may_leak()
    many(function(log)
      local about
      do
        local s
        s, about = pile(source(log, 30))
        for _ = 1, math.random(1, 5) do s:next() end
        wait_some()
      end
      for _ = 1, 6 do
        collectgarbage()
        turns(6)
      end
      assert.same({ "source" }, log, about)
      return about
    end)
  end)
end)

describe("rille.stream: the end of the program", function()
  -- What a program does that leaves this stream, over src(), after an item.
  local function left(expression)
    return process.run(process.host("-e", ([[
      local rille, stream = require "rille", require "rille.stream"
      local src = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function()
          rille.sleep(0)
          print "closed"
        end })
        for i = 1, 1000 do
          rille.sleep(0)
          coroutine.yield(i)
        end
      end)
      left_open = %s
      print((left_open:next()))
    ]]):format(expression)))
  end

  for _, expression in ipairs({
    "stream.merge(src())", "stream.zip(src())", "stream.latest(src())", "stream.race(src())",
    "stream.flat_map(src(), function(v) return { v } end, { n = 2 })",
    "stream.switch_map(src(), function(v) return { v } end)",
    "stream.buffer(src(), 2)", "stream.tee(src())", "stream.share(src())",
    "stream.producer(function(emit) for v in src() do emit(v) end end)",
    "stream.spaceout(src(), 0.01)", "stream.timeout(src(), 60)", "stream.batch(src(), 1, 60)",
    "stream.take_until(src(), rille.event())", "stream.take_until(src(), function() rille.sleep(60) end)",
    "stream.catch(src(), error)", "stream.retry(src)", "stream.distinct(src())", "stream.window(src(), 1)",
  }) do
    it("R97 " .. expression .. " does not keep the program alive, and is cleaned up", function()
      local r = left(expression)
      assert.equal("", (r.stderr:gsub("rille: warning[^\n]*\n", "")))
      assert.equal(0, r.status)
      assert.matches("\nclosed\n$", r.stdout)
    end)
  end
end)
