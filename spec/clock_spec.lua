-- rille.test.clock: virtual time. What would take hours here takes none, or the run never ends.
local http = require "rille.http"
local host_server = require "rille.host.server"
local expect = require "spec.helper.expect"
local rille = require "rille"
local stream = require "rille.stream"
local waitlist = require "rille.host.waitlist"
local process = dofile("spec/helper/process.lua")
local raw_client = dofile("spec/helper/raw_client.lua")

local HOUR = 3600

local caught, has = expect.caught, expect.has

-- A task that logs its name after so many seconds.
local function sleeper(log, name, seconds)
  return rille.spawn(function()
    rille.sleep(seconds)
    log[#log + 1] = name
  end)
end

-- Waits in virtual time until nothing is left to do at the present.
local function settle() rille.sleep(1e-6) end

-- The processor is busy for a while.
local function work()
  local start = os.clock()
  while os.clock() - start < 0.005 do end
end

describe("rille.test.clock", function()
  it("is in the module rille.test too", function()
    assert.equal(rille.test, require "rille.test")
  end)

  it("makes sleeps jump, by exactly their seconds", function()
    local clock <close> = rille.test.clock()
    local began = rille.now()
    rille.sleep(10)
    rille.sleep(10)
    assert.equal(20, rille.now() - began)
    assert.equal(20, clock:now())
    for _ = 1, 1000 do rille.sleep(HOUR) end
    assert.equal(20 + 1000 * HOUR, clock:now())
  end)

  it("lets time stand still while code runs", function()
    local clock <close> = rille.test.clock()
    local before = rille.now()
    work()
    rille.sleep(0)
    work()
    assert.equal(before, rille.now())
    assert.equal(0, clock:now())
  end)

  it("wakes tasks in the order of their deadlines, each at its time", function()
    local clock <close> = rille.test.clock()
    local log, tasks = {}, {}
    for _, hours in ipairs { 30, 10, 50, 20, 40 } do
      tasks[#tasks + 1] = rille.spawn(function()
        rille.sleep(hours * HOUR)
        log[#log + 1] = hours
        assert.equal(hours * HOUR, clock:now())
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    assert.same({ 10, 20, 30, 40, 50 }, log)
  end)

  it("wakes equal deadlines in the order in which they were set, in one jump", function()
    local clock <close> = rille.test.clock()
    local log, tasks = {}, {}
    for i = 1, 50 do tasks[i] = sleeper(log, i, 60) end
    for _, task in ipairs(tasks) do task:await() end
    assert.equal(60, clock:now())
    for i = 1, 50 do assert.equal(i, log[i]) end
  end)

  it("jumps only when nothing is ready", function()
    local clock <close> = rille.test.clock()
    local log = {}
    local task = sleeper(log, "slept", 1e-6)
    for i = 1, 100 do
      rille.sleep(0)
      log[i] = i
    end
    assert.equal(0, clock:now())
    task:await()
    assert.equal("slept", log[101])
  end)

  it("lets a deadline pass that was set while time was real", function()
    local log = {}
    local task = sleeper(log, "slept", 0.05)
    rille.sleep(0)
    local clock <close> = rille.test.clock()
    task:await()
    assert.same({ "slept" }, log)
    assert.is_true(clock:now() <= 0.05)
  end)

  it("does not see tasks that wait for each other as something in flight", function()
    local clock <close> = rille.test.clock()
    local channel, event, mutex = rille.channel(), rille.event(), rille.mutex()
    local log = {}
    local tasks = {
      rille.spawn(function()
        local value = channel:recv()
        log[#log + 1] = value
      end),
      rille.spawn(function()
        event:wait()
        log[#log + 1] = "event"
      end),
      rille.spawn(function()
        local _ <close> = mutex:acquire()
        rille.sleep(3 * HOUR)
        log[#log + 1] = "first"
      end),
      rille.spawn(function()
        local _ <close> = mutex:acquire()
        log[#log + 1] = "second"
      end),
    }
    rille.sleep(HOUR)
    channel:send("sent")
    rille.sleep(HOUR)
    event:set()
    for _, task in ipairs(tasks) do task:await() end
    assert.same({ "sent", "event", "first", "second" }, log)
    assert.equal(3 * HOUR, clock:now())
  end)

  it("raises a time-out at its time", function()
    local clock <close> = rille.test.clock()
    local err = caught(rille.timeout, 60, rille.sleep, HOUR)
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    assert.equal(60, clock:now())
    assert.equal("done", rille.timeout(60, function()
      rille.sleep(59)
      return "done"
    end))
    assert.equal(119, clock:now())
  end)

  it("strikes a time-out before a sleep that ends at the same time and was begun later", function()
    local clock <close> = rille.test.clock()
    assert.is_false(pcall(rille.timeout, 60, rille.sleep, 60))
    assert.equal(60, clock:now())
  end)

  it("ends a wait of a queue that has a time-out", function()
    local clock <close> = rille.test.clock()
    local list = waitlist.new()
    assert.is_false(list:wait(HOUR))
    assert.equal(HOUR, clock:now())
    local task = rille.spawn(function()
      rille.sleep(HOUR - 1)
      list:wake()
    end)
    assert.is_true(list:wait(HOUR))
    assert.equal(2 * HOUR - 1, clock:now())
    task:await()
  end)

  it("keeps the schedule of operators that look at the clock", function()
    local clock <close> = rille.test.clock()
    local log = {}
    for tick in stream.interval(60):take(3) do
      rille.sleep(tick * 10)
      log[#log + 1] = clock:now()
    end
    assert.same({ 70, 140, 210 }, log)
    local batches = stream.interval(1):take(5):batch(10, 2.5):collect()
    assert.same({ { 1, 2, 3 }, { 4, 5 } }, batches)
  end)

  it("jumps below generators too", function()
    local clock <close> = rille.test.clock()
    local ticks = rille.generator(function()
      for i = 1, 1000 do
        rille.sleep(1)
        coroutine.yield(i)
      end
    end)
    for tick in ticks() do assert.equal(tick, clock:now()) end
    assert.equal(1000, clock:now())
  end)

  it("lets a cancelled task sleep in its cleanup", function()
    local clock <close> = rille.test.clock()
    local cleaned
    local task = rille.spawn(function()
      local _ <close> = setmetatable({}, { __close = function()
        rille.sleep(HOUR)
        cleaned = clock:now()
      end })
      rille.sleep(1e8)
    end)
    settle()
    task:cancel()
    task:join()
    assert.is_true(cleaned >= HOUR)
  end)
end)

describe("a clock", function()
  it("is opened only where none is open, and tells where the other one was", function()
    local clock <close> = rille.test.clock()
    local line = debug.getinfo(1, "l").currentline - 1
    local err = caught(function() rille.test.clock() end)
    has(err, ("clock_spec.lua:%d: a clock is open already (opened at "):format(line + 2))
    has(err, ("clock_spec.lua:%d)"):format(line))
    rille.sleep(HOUR) -- the first is still open
    assert.equal(HOUR, clock:now())
  end)

  it("may be closed again and again, without harm to the next one", function()
    local first = rille.test.clock()
    first:close()
    first:close()
    local second <close> = rille.test.clock()
    first:close()
    rille.sleep(HOUR)
    assert.equal(HOUR, second:now())
  end)

  it("has no time once it is closed", function()
    local clock = rille.test.clock()
    clock:close()
    has(caught(function() clock:now() end), "the clock is closed (opened at ")
    has(caught(function() clock:now() end), "clock_spec.lua:")
  end)

  it("has no other methods, and takes no other object", function()
    local clock <close> = rille.test.clock()
    assert.is_nil(clock.__gc)
    assert.is_nil(clock.__close)
    has(caught(function() clock.now(io.stdout) end), "rille.Clock expected")
  end)

  it("gives deadlines that are pending their remaining seconds when it is closed", function()
    local log = {}
    local clock = rille.test.clock()
    local late, soon = sleeper(log, "late", HOUR + 0.03), sleeper(log, "soon", HOUR + 0.01)
    rille.sleep(HOUR)
    local closed = rille.now()
    clock:close()
    local real = sleeper(log, "real", 60)
    assert.same({}, log)
    for _, task in ipairs { late, soon } do task:await() end
    assert.same({ "soon", "late" }, log)
    assert.is_true(rille.now() - closed >= 0.03)
    real:cancel()
  end)

  it("leaves a deadline that is far away where it is when it is closed", function()
    local log = {}
    local clock = rille.test.clock()
    local task = sleeper(log, "slept", HOUR)
    rille.sleep(1)
    clock:close()
    rille.sleep(0.01)
    assert.same({}, log)
    local again <close> = rille.test.clock()
    task:await()
    assert.is_true(math.abs(again:now() - (HOUR - 1)) < HOUR / 2)
  end)

  it("never makes rille.now go back", function()
    local last = rille.now()
    local function check()
      assert.is_true(rille.now() >= last)
      last = rille.now()
    end
    for i = 1, 20 do
      local clock = rille.test.clock()
      check()
      rille.sleep(2 ^ i)
      assert.equal(2 ^ i, clock:now())
      check()
      clock:close()
      check()
      rille.sleep(0.0001)
      check()
    end
  end)

  it("may be opened in one task and closed in another", function()
    rille.test.may_leak()
    local clock
    rille.spawn(function() clock = rille.test.clock() end):await()
    rille.sleep(HOUR)
    assert.equal(HOUR, clock:now())
    rille.spawn(function() clock:close() end):await()
    has(caught(rille.test.clock().now, clock), "closed") -- and one that is dropped
    collectgarbage()
    collectgarbage()
    rille.test.clock():close()
  end)

  it("that is collected makes time real again", function()
    rille.test.may_leak()
    local log = {}
    local task
    do
      local clock = rille.test.clock()
      task = sleeper(log, "slept", HOUR + 0.02)
      rille.sleep(HOUR)
      assert.equal(HOUR, clock:now())
    end
    local before = rille.now()
    collectgarbage()
    collectgarbage()
    assert.same({}, log)
    work()
    assert.is_true(rille.now() > before)
    task:await()
  end)

  it("may be opened and closed where nothing may wait", function()
    table.sort({ 2, 1 }, function()
      rille.test.clock():close()
      return false
    end)
  end)
end)

describe("a clock beside the world outside", function()
  it("does not jump over a request in flight", function()
    local answer = rille.event()
    local server <close> = http.serve({}, function()
      answer:wait()
      return { body = "moon" }
    end)
    local clock <close> = rille.test.clock()
    local log = {}
    local hour = sleeper(log, "hour", HOUR)
    local moment = rille.spawn(function()
      rille.sleep(0.01) -- takes real time
      log[#log + 1] = "moment"
      answer:set()
    end)
    local text = http.get(server.url):text()
    log[#log + 1] = text
    assert.is_true(clock:now() >= 0.01 and clock:now() < HOUR / 2)
    moment:await()
    hour:await()
    assert.same({ "moment", "moon", "hour" }, log)
    assert.is_true(clock:now() >= HOUR)
  end)

  it("handles many requests before it jumps, whatever the order", function()
    local server <close> = http.serve({}, function(req)
      rille.sleep(0)
      return { body = req.path }
    end)
    local clock <close> = rille.test.clock()
    local log = {}
    local hour = sleeper(log, "hour", HOUR)
    for i = 1, 20 do
      local text = rille.timeout(60, http.get, server.url .. "/" .. i):text()
      log[#log + 1] = text
    end
    assert.is_true(clock:now() < 60)
    hour:await()
    assert.equal(21, #log)
    assert.equal("hour", log[21])
  end)

  it("jumps beside a server that waits, and a connection that is kept", function()
    local ports = {}
    local server <close> = http.serve({}, function(req)
      ports[#ports + 1] = req.peer.port
      return {}
    end)
    local client <close> = http.client()
    client:get(server.url)
    local clock <close> = rille.test.clock()
    rille.sleep(24 * HOUR)
    assert.equal(24 * HOUR, clock:now())
    client:get(server.url) -- the server's own deadlines are real: the connection is still open
    assert.equal(ports[1], ports[2])
  end)

  it("jumps again after requests that were cancelled, cut or refused", function()
    local server <close> = http.serve({}, function() rille.sleep(1e8) end)
    local client = http.client()
    local tasks = {}
    for i = 1, 6 do
      tasks[i] = rille.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() rille.sleep(HOUR) end })
        return (pcall(client.get, client, server.url))
      end)
    end
    rille.sleep(0.01)
    local clock <close> = rille.test.clock()
    for i = 1, 3 do tasks[i]:cancel() end
    rille.sleep(0.001)
    client:close()
    for i, task in ipairs(tasks) do
      local ok, answered = pcall(task.await, task)
      assert.equal(i > 3, ok)
      assert.is_falsy(ok and answered)
    end
    assert.is_false(pcall(http.get, "http://127.0.0.1:1/"))
    assert.is_false(pcall(rille.timeout, 0.01, http.get, server.url)) -- in real time
    rille.sleep(24 * HOUR)
    assert.is_true(clock:now() >= 24 * HOUR)
    server:close(60)
    assert.is_true(clock:now() < 25 * HOUR + 120)
  end)

  it("does not jump over a response that is being written", function()
    local listener <close> = host_server.listen {}
    local client <close> = raw_client.start(listener:port(), raw_client.send("GET / HTTP/1.0\r\n\r\n"),
      "pause:0.05", "eof")
    local exchange <close> = listener:accept()
    local log = {}
    do
      local clock <close> = rille.test.clock()
      local hour = sleeper(log, "hour", HOUR)
      rille.sleep(0)
      local sent = exchange:respond(200, nil, ("x"):rep(32 * 1024 * 1024))
      log[#log + 1] = sent
      hour:await()
      assert.is_true(clock:now() >= HOUR)
    end
    assert.same({ true, "hour" }, log)
    client:wait()
  end)

  it("does not jump over look-ups of names", function()
    local clock <close> = rille.test.clock()
    local log, tasks = {}, {}
    local hour = sleeper(log, "hour", HOUR)
    rille.sleep(0)
    for i = 1, 64 do -- more than can be done at once
      tasks[i] = rille.spawn(function()
        local address = host_server.resolve("localhost")
        log[#log + 1] = address
      end)
    end
    for _, task in ipairs(tasks) do task:await() end
    assert.equal(64, #log)
    hour:await()
    assert.equal("hour", log[65])
    assert.is_true(clock:now() >= HOUR)
  end)

  it("does not jump over the time that a client has to send its request", function()
    local server <close> = http.serve({ header_timeout = 60 }, function(req) return { body = req.path } end)
    local client <close> = raw_client.start(server.port, "send:GET /moon HTTP/1.0\\r\\n", "say:begun\\n",
      "pause:0.05", "send:\\r\\n", "eof")
    client:expect("begun")
    do
      local _ <close> = rille.test.clock()
      for _ = 1, 10 do rille.sleep(HOUR) end
    end
    has(client:expect("(.*)%[eof%]"), "moon")
  end)
end)

describe("a program with a clock", function()
  local function run(script) return process.run(process.host("-e", script)) end

  local HEAD = "local rille = require 'rille' clock = rille.test.clock() "

  it("that cannot go on is told so", function()
    local result = run(HEAD .. "rille.sleep(3600) rille.event():wait()")
    assert.equal(1, result.status)
    has(result.stderr, "deadlock: these tasks wait for what can never come")
    has(result.stderr, "an event")
  end)

  it("ends at SIGINT, though it never waits in earnest", function()
    local program <close> = process.start(process.host("-e", HEAD .. [[
      local _ <close> = setmetatable({}, { __close = function() rille.sleep(1) print("cleaned") end })
      print("begun") io.stdout:flush()
      while true do rille.sleep(3600) end]]))
    program:expect("begun")
    program:signal("INT")
    local result = program:wait()
    assert.equal(130, result.status)
    assert.equal("begun\ncleaned\n", result.stdout)
  end)

  it("has five seconds of real time for its cleanup", function()
    local result = run(HEAD .. [[
      rille.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() rille.sleep(3600) print("cleaned") end })
        rille.sleep(1e8)
      end)
      rille.sleep(1)
      os.exit(3)]])
    assert.equal(3, result.status)
    assert.equal("cleaned\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("may end with the clock open", function()
    local result = run(HEAD .. "rille.spawn(function() rille.sleep(3600) print('done') end)")
    assert.equal(0, result.status)
    assert.equal("done\n", result.stdout)
  end)
end)
