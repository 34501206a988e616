-- The collector: what is left behind is collected, what is in use is not, whenever it runs and
-- in each of its modes.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local descriptors = require("spec.helper.descriptors")
local process = require("spec.helper.process")
local expect = require("spec.helper.expect")

local closer = expect.closer

local MANY <const> = os.getenv("RILLE_SPEC_GC") == "stress" and 500 or 10000

local function collect()
  collectgarbage()
  collectgarbage()
end

local function alive(weak)
  collect()
  local n = 0
  for _ in pairs(weak) do n = n + 1 end
  return n
end

describe("what a program leaves behind", function()
  it("10,000 generators left by break leave no coroutine, no generator, no memory and no file", function()
    local weak = setmetatable({}, { __mode = "k" })
    local function leave(n)
      for _ = 1, n do
        local gen = rille.generator(function()
          weak[coroutine.running()] = true
          rille.sleep(0)
          coroutine.yield(1)
        end)
        local g = gen()
        weak[g] = true
        for _ in g:each() do break end
      end
    end
    leave(MANY // 100)
    assert.equal(0, alive(weak))
    local open, before = descriptors.open(), collectgarbage("count")
    leave(MANY)
    assert.equal(0, alive(weak))
    assert.same({}, descriptors.since(open))
    weak = setmetatable({}, { __mode = "k" }) -- the old one has room for all of them
    collectgarbage()
    assert.is_true(collectgarbage("count") < before + 1024, "more than 1 MiB is left")
  end)

  it("10,000 generators left by an error, a return or close are collected too", function()
    local weak = setmetatable({}, { __mode = "k" })
    local gen = rille.generator(function()
      weak[coroutine.running()] = true
      coroutine.yield(1)
    end)
    for _ = 1, MANY // 3 do
      pcall(function() for _ in gen() do error("x") end end)
      ;(function() for _ in gen() do return end end)()
      local g = gen()
      g:next()
      g:close()
    end
    assert.equal(0, alive(weak))
  end)

  it("10,000 generators that were never started are collected without a word", function()
    local weak = setmetatable({}, { __mode = "k" })
    local gen = rille.generator(function() error("never") end)
    for _ = 1, MANY do weak[gen()] = true end
    assert.equal(0, alive(weak))
  end)

  it("10,000 generators left by break end with the program, which says nothing", function()
    local result = process.run({ process.rille, "-e", [[
      local rille = require "rille"
      local gen = rille.generator(function()
        rille.sleep(0)
        coroutine.yield(1)
        rille.sleep(3600)
      end)
      for _ = 1, 10000 do
        for _ in gen() do break end
      end
      print("end")
    ]] })
    assert.equal("", result.stderr)
    assert.equal("end\n", result.stdout)
    assert.equal(0, result.status)
  end)

  it("exhausted and failed generators release their bodies at once", function()
    local weak = setmetatable({}, { __mode = "v" })
    local g = rille.generator(function()
      weak[1] = coroutine.running()
      local t = {}
      weak[2] = t
      coroutine.yield(t)
    end)()
    for _ in g:each() do rille.sleep(0) end
    local h = rille.generator(function()
      weak[3] = coroutine.running()
      error("x")
    end)()
    pcall(h.next, h)
    collect()
    assert.is_nil(weak[2])
    assert.equal("exhausted", g:status())
    assert.equal("failed", h:status())
    g, h = nil, nil -- luacheck: ignore 311
    assert.equal(0, alive(weak))
  end)

  it("tasks that are done, failed or cancelled are collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    ;(function()
      for i = 1, MANY // 10 do
        local task = rille.spawn(function()
          weak[coroutine.running()] = true
          rille.sleep(i % 3 == 0 and 60 or 0)
          if i % 3 == 1 then error("x") end
        end)
        weak[task] = true
        if i % 3 == 0 then
          rille.sleep(0)
          task:cancel()
        end
        pcall(task.await, task)
      end
    end)()
    rille.sleep(0)
    assert.is_true(alive(weak) <= 2, alive(weak) .. " are alive")
  end)

  it("coroutines that waited are collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    ;(function()
      for _ = 1, MANY // 10 do
        local co = coroutine.create(function()
          rille.sleep(0)
          coroutine.yield(1)
        end)
        weak[co] = true
        coroutine.resume(co)
      end
    end)()
    assert.is_true(alive(weak) <= 1)
  end)

  it("what a resume function of rille.callback held is collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    ;(function()
      for _ = 1, MANY // 10 do
        local value = {}
        weak[value] = true
        rille.callback(function(resume) resume(value) end)
      end
    end)()
    assert.is_true(alive(weak) <= 1)
  end)

  it("a chain of 1,000 generators that is dropped before its first step is collected", function()
    local weak = setmetatable({}, { __mode = "k" })
    ;(function()
      local g = rille.generator(function() coroutine.yield(1) end)()
      for _ = 1, MANY // 10 do
        local inner = g
        g = rille.generator(function() for v in inner:each() do coroutine.yield(v) end end)()
        weak[g] = true
      end
    end)()
    assert.equal(0, alive(weak))
  end)

  it("200,000 items make no garbage that stays", function()
    collect()
    local before = collectgarbage("count")
    local n = 0
    for v in rille.generator(function()
      for i = 1, 200000 do coroutine.yield(i) end
    end)() do n = n + (v > 0 and 1 or 0) end
    assert.equal(200000, n)
    collect()
    assert.is_true(collectgarbage("count") < before + 256)
  end)
end)

describe("what is in use is not collected", function()
  it("R96 a waiting task that only its timer knows goes on", function()
    local log = {}
    ;(function()
      rille.spawn(function()
        for v in coroutine.wrap(function()
          for v in rille.generator(function()
            rille.sleep(0.002)
            coroutine.yield("item")
          end)() do coroutine.yield(v) end
        end) do log[#log + 1] = v end
      end)
    end)()
    rille.sleep(0)
    while #log == 0 do
      collect()
      rille.sleep(0.001)
    end
    assert.same({ "item" }, log)
  end)

  it("a task that only its resume function knows goes on", function()
    local resume, log = nil, {}
    ;(function()
      rille.spawn(function()
        local v = coroutine.wrap(function()
          return (rille.callback(function(r) resume = r end))
        end)()
        log[1] = v
      end)
    end)()
    while not resume do rille.sleep(0) end
    collect()
    resume({ "value" })
    collect()
    while #log == 0 do rille.sleep(0) end
    assert.same({ { "value" } }, log)
  end)

  it("values handed over are alive until they are taken", function()
    local resume
    local task = rille.spawn(function()
      return rille.callback(function(r) resume = r end)
    end)
    while not resume do rille.sleep(0) end
    resume({ 1 }, "two" .. 2, function() return 3 end)
    resume = nil -- luacheck: ignore 311
    collect()
    rille.sleep(0)
    collect()
    local a, b, c = task:await()
    assert.same({ { 1 }, "two2", 3 }, { a, b, c() })
  end)

  it("arguments, results and errors of a task survive", function()
    local task = rille.spawn(function(a, b)
      collect()
      rille.sleep(0)
      collect()
      return { a[1], b[1] }
    end, { "a" .. 1 }, { "b" .. 2 })
    collect()
    rille.sleep(0)
    rille.sleep(0)
    collect()
    assert.same({ "a1", "b2" }, (task:await()))
    local failing = rille.spawn(function()
      rille.sleep(0.001)
      error({ "err" .. 1 })
    end)
    collect()
    local _, err = pcall(failing.await, failing)
    collect()
    assert.same({ "err1" }, err)
    _, err = pcall(failing.await, failing)
    assert.same({ "err1" }, err)
  end)

  it("arguments and results of a generator survive", function()
    local g = rille.generator(function(argument)
      collect()
      local sent = coroutine.yield({ argument[1] })
      collect()
      return { sent[1] }
    end)({ "argument" .. 1 })
    collect()
    assert.same({ "argument1" }, (g:next()))
    collect()
    assert.is_nil((g:next({ "sent" .. 2 })))
    collect()
    assert.same({ "sent2" }, (g:result()))
  end)

  it("a generator that only its loop knows, with a body that only it knows, survives", function()
    local seen = {}
    for v in (function()
      return rille.generator((function()
        return function()
          for i = 1, 3 do
            collect()
            rille.sleep(0)
            coroutine.yield({ i })
          end
        end
      end)())()
    end)() do
      collect()
      seen[#seen + 1] = v[1]
    end
    assert.same({ 1, 2, 3 }, seen)
  end)
end)

-- The same work in each mode of the collector, which also runs by force at every step.
local function work()
  local log = {}
  local function note(v) log[#log + 1] = v end

  local function numbers(n)
    return rille.generator(function()
      local _ <close> = closer(function()
        collect()
        rille.sleep(0)
        collect()
        note("closed")
      end)
      for i = 1, n do
        collect()
        rille.sleep(0)
        collect()
        local sent = coroutine.yield(i, { i })
        collect()
        assert(sent == nil or sent[1] == i)
      end
      return { "result" }
    end)
  end

  for v, t in numbers(3)() do
    collect()
    assert(t[1] == v)
    note(v)
  end
  for v in numbers(100)() do
    rille.sleep(0)
    collect()
    if v == 2 then break end
  end

  local g = numbers(2)()
  g:next()
  collect()
  g:next({ 1 })
  collect()
  g:next({ 2 })
  collect()
  note((g:result())[1])

  local f = coroutine.wrap(function()
    for v in numbers(2)() do
      collect()
      coroutine.yield({ v })
      rille.sleep(0)
      collect()
    end
  end)
  note(f()[1])
  collect()
  note(f()[1])
  collect()
  f()

  local ok, err = pcall(function()
    for _ in numbers(2)() do
      collect()
      error({ "fault" })
    end
  end)
  collect()
  note(ok)
  note(err[1])

  local task = rille.spawn(function()
    local _ <close> = closer(function()
      collect()
      rille.sleep(0)
      collect()
      note("task cleaned")
    end)
    for _ in numbers(1)() do
      collect()
      rille.sleep(60)
    end
  end)
  while task:status() ~= "waiting" do rille.sleep(0) end
  for _ = 1, 10 do
    collect()
    rille.sleep(0)
  end
  task:cancel()
  collect()
  ok, err = pcall(task.await, task)
  collect()
  note(ok)
  note(rille.is_error(err, "ECANCELED"))
  note(type(rille.traceback(err)))

  local tasks = {}
  for i = 1, 20 do
    tasks[i] = rille.spawn(function(t)
      collect()
      rille.sleep(t[1] % 3 / 1000)
      collect()
      return { t[1] }
    end, { i })
  end
  local sum = 0
  for i = 1, 20 do
    collect()
    sum = sum + tasks[i]:await()[1]
  end
  note(sum)
  return log
end

local EXPECTED = {
  1, 2, 3, "closed", "closed", "closed", "result", 1, 2, "closed", "closed", false, "fault",
  "closed", "task cleaned", false, true, "string", 210,
}

describe("R102 the collector at every step", function()
  -- Runs f in the mode, and puts the mode that was there back.
  local function within(mode, f)
    local before = collectgarbage(mode)
    local ok, result = pcall(f)
    collectgarbage(before)
    assert(ok, result)
    return result
  end

  it("R102 incremental", function()
    assert.same(EXPECTED, within("incremental", work))
  end)

  it("R102 generational", function()
    assert.same(EXPECTED, within("generational", work))
  end)

  it("R102 switching between the modes at every step", function()
    local before = collectgarbage("incremental")
    local running = true
    local switcher = rille.spawn(function()
      while running do
        collectgarbage("generational")
        rille.sleep(0)
        collectgarbage("incremental")
        rille.sleep(0)
      end
    end)
    local ok, result = pcall(work)
    running = false
    switcher:await()
    collectgarbage(before)
    assert.same({ true, EXPECTED }, { ok, result })
  end)

  it("R102 stopped, then started again", function()
    collectgarbage("stop")
    local ok, result = pcall(work)
    collectgarbage("restart")
    assert.same({ true, EXPECTED }, { ok, result })
  end)

  it("R102 generational with thousands of short-lived waits", function()
    within("generational", function()
      local n = 0
      for i = 1, 2000 do
        for v in rille.generator(function()
          rille.sleep(0)
          coroutine.yield({ i })
        end)() do
          assert(v[1] == i)
          n = n + 1
          break
        end
      end
      assert.equal(2000, n)
    end)
  end)

  it("R102 a finaliser may close, cancel and drop what it holds", function()
    local resume, closed
    local task = rille.spawn(function() rille.callback(function(r) resume = r end) end)
    while not resume do rille.sleep(0) end
    ;(function()
      local g = rille.generator(function() coroutine.yield(1) end)()
      setmetatable({}, { __gc = function()
        closed = pcall(g.close, g)
        task:cancel()
      end })
    end)()
    collect()
    assert.is_true(closed)
    local ok, err = pcall(task.await, task)
    assert.is_false(ok)
    assert.is_true(rille.is_error(err, "ECANCELED"))
  end)

  it("R102 a collection inside a finaliser, a hook and a message handler", function()
    local n = 0
    for v in rille.generator(function()
      for i = 1, 5 do
        setmetatable({}, { __gc = function() collectgarbage("step") end })
        rille.sleep(0)
        xpcall(error, function() collect() end, "x")
        coroutine.yield(i)
      end
    end)() do
      n = n + v
      collect()
    end
    assert.equal(15, n)
  end)
end)
