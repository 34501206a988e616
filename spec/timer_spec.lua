-- rille.sleep and rille.now: order of deadlines, bad arguments, cancellation.
local http = require("rille.http")
local rille = require("rille")
local expect = require("spec.helper.expect")

local caught, has = expect.caught, expect.has

local function join(tasks)
  for _, task in ipairs(tasks) do task:await() end
end

describe("rille.sleep", function()
  it("wakes tasks in the order of their deadlines", function()
    local order, tasks = {}, {}
    for i, ms in ipairs({ 15, 5, 10, 0, 20 }) do
      tasks[i] = rille.spawn(function()
        local due = rille.now() + ms / 1000 -- each task begins a little later than the one before
        rille.sleep(ms / 1000)
        order[#order + 1] = due
      end)
    end
    join(tasks)
    assert.equal(5, #order)
    for i = 2, 5 do assert.is_true(order[i - 1] <= order[i]) end
  end)

  it("wakes hundreds of sleepers, those with earlier deadlines first", function()
    local clock <close> = rille.test.clock()
    local expected, order, tasks = {}, {}, {}
    for i = 1, 300 do
      local seconds = 1 + i * 127 % 300 -- each number from 1 to 300 once
      expected[i] = i
      tasks[i] = rille.spawn(function()
        rille.sleep(seconds)
        assert.equal(seconds, clock:now())
        order[#order + 1] = seconds
      end)
    end
    join(tasks)
    assert.same(expected, order)
  end)

  it("wakes equal deadlines in the order in which they were set", function()
    local order, tasks = {}, {}
    for i = 1, 50 do
      tasks[i] = rille.spawn(function()
        rille.sleep(0.005)
        order[#order + 1] = i
      end)
    end
    join(tasks)
    for i = 1, 50 do assert.equal(i, order[i]) end
  end)

  it("sleep(0) is one turn: the others that are ready run first", function()
    local log, tasks = {}, {}
    for _, name in ipairs({ "a", "b", "c" }) do
      tasks[#tasks + 1] = rille.spawn(function()
        for i = 1, 3 do
          log[#log + 1] = name .. i
          rille.sleep(0)
        end
      end)
    end
    join(tasks)
    assert.equal("a1 b1 c1 a2 b2 c2 a3 b3 c3", table.concat(log, " "))
  end)

  it("sleep(0) in a loop does not keep a timer from firing", function()
    local fired = false
    local task = rille.spawn(function()
      rille.sleep(0.005)
      fired = true
    end)
    while not fired do rille.sleep(0) end
    task:await()
    assert.is_true(fired)
  end)

  it("sleep(0) in a loop keeps out nothing that comes from outside", function()
    local server <close> = http.serve({ port = 0 }, function() return { body = "here" } end)
    local task = rille.spawn(function() return http.get(server.url):text() end)
    while task:status() ~= "done" do rille.sleep(0) end
    assert.equal("here", task:await())
  end)

  it("minus zero is zero", function()
    rille.sleep(-0.0)
    rille.sleep(0.0)
  end)

  it("may be called again and again from one task", function()
    for _ = 1, 1000 do rille.sleep(0) end
    for _ = 1, 5 do rille.sleep(0.001) end
  end)

  it("raises on a bad argument, before it waits", function()
    local turned = false
    local task = rille.spawn(function() turned = true end)
    for _, bad in ipairs({ -1, -0.001, -math.huge, math.huge, 0 / 0, "soon", {}, true, print }) do
      has(caught(function() rille.sleep(bad) end), "bad argument #1 to 'sleep'")
    end
    has(caught(function() rille.sleep() end), "bad argument #1 to 'sleep'")
    has(caught(function() rille.sleep(nil) end), "bad argument #1 to 'sleep'")
    assert.is_false(turned)
    task:await()
  end)

  it("tells where the bad call was", function()
    has(caught(function() rille.sleep(-1) end), "timer_spec.lua:")
  end)

  it("a cancelled sleep lets the others sleep on", function()
    local log, tasks = {}, {}
    for i = 1, 5 do
      tasks[i] = rille.spawn(function()
        rille.sleep(i % 2 == 0 and i / 500 or 60) -- those of 60 seconds are cancelled
        log[#log + 1] = i
      end)
    end
    while tasks[5]:status() ~= "waiting" do rille.sleep(0) end
    tasks[1]:cancel()
    tasks[3]:cancel()
    tasks[5]:cancel()
    for i = 1, 5 do pcall(tasks[i].await, tasks[i]) end
    assert.same({ 2, 4 }, log)
  end)

  it("a sleep that ended in the turn of its cancellation does no harm", function()
    local tasks = {}
    for i = 1, 200 do
      tasks[i] = rille.spawn(rille.sleep, i % 5 / 1000)
    end
    for i = 1, 200 do
      if i % 3 == 0 then rille.sleep(0) end
      tasks[i]:cancel()
    end
    for i = 1, 200 do
      local ok, err = pcall(tasks[i].await, tasks[i])
      assert.is_true(ok or rille.is_error(err, "ECANCELED"), tostring(err))
    end
  end)

  it("sleeps in a task while the spawner goes on", function()
    local _ <close> = rille.test.clock() -- however slow the machine is
    local log = {}
    local task = rille.spawn(function()
      rille.sleep(0.002)
      log[#log + 1] = "slept"
    end)
    rille.sleep(0)
    log[#log + 1] = "went on"
    task:await()
    assert.same({ "went on", "slept" }, log)
  end)

  it("a task whose sleep was cancelled sleeps again in its cleanup, while others sleep", function()
    local log = {}
    local function slow(name)
      local _ <close> = setmetatable({}, { __close = function()
        for _ = 1, 2 do rille.sleep(0.002) end
        log[#log + 1] = name
      end })
      rille.sleep(60)
    end
    local first, second = rille.spawn(slow, "first"), rille.spawn(slow, "second")
    rille.sleep(0)
    second:cancel()
    second:join()
    assert.equal("waiting", first:status())
    first:cancel()
    first:join()
    assert.same({ "second", "first" }, log)
  end)
end)

describe("rille.now", function()
  it("is a number of seconds that never goes back", function()
    local last = rille.now()
    assert.equal("float", math.type(last))
    for _ = 1, 100 do
      rille.sleep(0)
      local now = rille.now()
      assert.is_true(now >= last)
      last = now
    end
  end)

  it("has moved on after a sleep", function()
    local before = rille.now()
    rille.sleep(0.002)
    assert.is_true(rille.now() > before)
  end)

  it("may be called where nothing may wait", function()
    table.sort({ 2, 1 }, function()
      assert.is_number(rille.now())
      return false
    end)
  end)
end)
