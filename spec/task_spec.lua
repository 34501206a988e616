-- Tasks: spawn, await, cancel, status; cancellation as a task, its coroutines and its
-- generators see it; rille.callback.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local expect = require("spec.helper.expect")

local caught, has, closer, until_waiting = expect.caught, expect.has, expect.closer, expect.until_waiting

-- Cancels a task that waits, and joins it; gives what await raised.
local function cancelled(task, reason)
  until_waiting(task)
  task:cancel(reason)
  local err = caught(task.await, task)
  assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
  assert.equal("cancelled", task:status())
  return err
end

-- Tells one kind of signal from another without naming its type.
local function kind(signal)
  local code = rille.is_error(signal) and signal.code or "none"
  return type(signal) .. " " .. code .. " " .. tostring(signal):gsub("0x%x+", "")
end

describe("rille.spawn and Task:await", function()
  it("passes arguments and results with their count and nils", function()
    local task = rille.spawn(function(...)
      rille.sleep(0)
      return select("#", ...), ...
    end, nil, 2, nil)
    assert.same({ n = 4, 3, nil, 2 }, table.pack(task:await()))
  end)

  it("starts the task after the spawner waits, not before", function()
    local ran = false
    local task = rille.spawn(function() ran = true end)
    assert.is_false(ran)
    assert.equal("ready", task:status())
    task:await()
    assert.is_true(ran)
  end)

  it("starts tasks in the order in which they were spawned", function()
    local log, tasks = {}, {}
    for i = 1, 100 do
      tasks[i] = rille.spawn(function() log[#log + 1] = i end)
    end
    for i = 100, 1, -1 do tasks[i]:await() end
    for i = 1, 100 do assert.equal(i, log[i]) end
  end)

  it("gives the results to every awaiter, as often as asked", function()
    local task = rille.spawn(function()
      rille.sleep(0.001)
      return "a", "b"
    end)
    local others = {}
    for i = 1, 3 do
      others[i] = rille.spawn(function() return task:await() end)
    end
    for i = 1, 3 do assert.same({ "a", "b" }, { others[i]:await() }) end
    assert.same({ "a", "b" }, { task:await() })
    assert.same({ "a", "b" }, { task:await() })
  end)

  it("wakes awaiters in the order in which they began to wait", function()
    local log, resume = {}, nil
    local task = rille.spawn(function() rille.callback(function(r) resume = r end) end)
    local others = {}
    for i = 1, 5 do
      others[i] = rille.spawn(function()
        task:await()
        log[#log + 1] = i
      end)
    end
    until_waiting(others[5])
    resume()
    for i = 1, 5 do others[i]:await() end
    assert.same({ 1, 2, 3, 4, 5 }, log)
  end)

  it("raises a task's error as the same object at every await", function()
    local mine = {}
    local task = rille.spawn(function()
      rille.sleep(0.001)
      error(mine)
    end)
    assert.is_true(rawequal(mine, caught(task.await, task)))
    assert.equal("failed", task:status())
    assert.is_true(rawequal(mine, caught(task.await, task)))
  end)

  it("raises a task's error to every awaiter", function()
    local task = rille.spawn(function()
      rille.sleep(0.001)
      error("shared", 0)
    end)
    local others = {}
    for i = 1, 3 do others[i] = rille.spawn(function() return pcall(task.await, task) end) end
    for i = 1, 3 do assert.same({ false, "shared" }, { others[i]:await() }) end
  end)

  it("R39 a task may fail with nil or false", function()
    for _, value in ipairs({ false, "nil" }) do
      if value == "nil" then value = nil end
      local task = rille.spawn(function()
        rille.sleep(0.001)
        error(value)
      end)
      local r = table.pack(pcall(task.await, task))
      assert.is_false(r[1])
      assert.is_true(rawequal(value, r[2]))
      assert.equal("failed", task:status())
    end
  end)

  it("keeps an error that comes before the awaiter waits, if it awaits in the same turn", function()
    local task = rille.spawn(function() error("early", 0) end)
    assert.equal("early", caught(task.await, task))
  end)

  it("may be called from tasks, generators and coroutines", function()
    local log = {}
    local tasks = {}
    rille.spawn(function()
      tasks[1] = rille.spawn(function() log[#log + 1] = "from a task" end)
    end):await()
    for _ in rille.generator(function()
      tasks[2] = rille.spawn(function()
        rille.sleep(0.001)
        log[#log + 1] = "from a generator"
      end)
      coroutine.yield(1)
    end)() do break end
    coroutine.wrap(function()
      tasks[3] = rille.spawn(function()
        rille.sleep(0.002)
        log[#log + 1] = "from a coroutine"
      end)
    end)()
    for i = 1, 3 do tasks[i]:await() end
    assert.same({ "from a task", "from a generator", "from a coroutine" }, log)
  end)

  it("works where nothing may wait, because it does not wait", function()
    local task
    table.sort({ 2, 1 }, function(a, b)
      task = task or rille.spawn(function() return "ran" end)
      return a < b
    end)
    assert.equal("ran", task:await())
  end)

  it("refuses what is not a function", function()
    has(caught(function() rille.spawn(42) end), "bad argument #1 to 'spawn'")
    has(caught(function() rille.spawn() end), "bad argument #1 to 'spawn'")
  end)

  it("keeps a task alive that nobody holds", function()
    local done = false
    rille.spawn(function()
      rille.sleep(0.001)
      collectgarbage()
      rille.sleep(0.001)
      done = true
    end)
    collectgarbage()
    while not done do rille.sleep(0.001) end
    assert.is_true(done)
  end)

  it("runs a thousand tasks at once", function()
    local sum, tasks = 0, {}
    for i = 1, 1000 do
      tasks[i] = rille.spawn(function(n)
        rille.sleep(0)
        rille.sleep(0.001)
        sum = sum + n
      end, i)
    end
    for i = 1, 1000 do tasks[i]:await() end
    assert.equal(500500, sum)
  end)

  it("lets tasks take turns at each wait", function()
    local log = {}
    local function worker(name)
      for i = 1, 3 do
        log[#log + 1] = name .. i
        rille.sleep(0)
      end
    end
    local a, b = rille.spawn(worker, "a"), rille.spawn(worker, "b")
    a:await()
    b:await()
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, log)
  end)

  it("awaits a chain of tasks", function()
    local task = rille.spawn(function() return 0 end)
    for _ = 1, 500 do
      local inner = task
      task = rille.spawn(function() return inner:await() + 1 end)
    end
    assert.equal(500, task:await())
  end)

  it("runs <close> variables of a task before its awaiter goes on", function()
    local log = {}
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        rille.sleep(0.001)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(0)
      error("x", 0)
    end)
    caught(task.await, task)
    log[#log + 1] = "awaited"
    assert.same({ "cleanup", "awaited" }, log)
  end)
end)

describe("Task:status, name and tostring", function()
  it("status tells ready, running, waiting and done", function()
    local task, inside, resume
    task = rille.spawn(function()
      inside = task:status()
      rille.callback(function(r) resume = r end)
    end)
    assert.equal("ready", task:status())
    rille.sleep(0)
    assert.equal("running", inside)
    assert.equal("waiting", task:status())
    resume()
    task:await()
    assert.equal("done", task:status())
  end)

  it("status is running inside a coroutine and a generator of the task", function()
    local task
    task = rille.spawn(function()
      local a = coroutine.wrap(function() return task:status() end)()
      local b = rille.generator(function() coroutine.yield(task:status()) end)():first()
      return a, b
    end)
    assert.same({ "running", "running" }, { task:await() })
  end)

  it("status of a failed and of a cancelled task", function()
    local task = rille.spawn(function()
      rille.sleep(0.001)
      error("x")
    end)
    caught(task.await, task)
    assert.equal("failed", task:status())
    cancelled(rille.spawn(rille.sleep, 60))
  end)

  it("has a name, and tostring gives it", function()
    local task = rille.spawn(function() rille.sleep(0.001) end)
    assert.is_string(task.name)
    has(tostring(task), task.name)
    task:await()
    has(tostring(task), task.name)
  end)

  it("tostring tells what the task waits for", function()
    local sleeping = rille.spawn(rille.sleep, 60)
    local awaiting = rille.spawn(function() return sleeping:await() end)
    local resume
    local calling = rille.spawn(function() rille.callback(function(r) resume = r end) end)
    until_waiting(calling)
    local texts = { tostring(sleeping), tostring(awaiting), tostring(calling) }
    resume()
    calling:await()
    sleeping:cancel()
    assert.is_true(rille.is_error(caught(awaiting.await, awaiting), "ECANCELED"))
    has(texts[1], "waiting for sleep")
    assert.is_truthy(texts[2]:find("waiting for .*task"), texts[2])
    has(texts[3], "callback")
  end)

  it("tostring tells what a wait inside a generator in a coroutine is for", function()
    local task = rille.spawn(function()
      coroutine.wrap(function()
        for _ in rille.generator(function() rille.sleep(60) end)() do error("not reached") end
      end)()
    end)
    until_waiting(task)
    has(tostring(task), "sleep")
    cancelled(task)
  end)

  it("keeps metamethods out of the reach of methods", function()
    local task = rille.spawn(function() end)
    assert.is_nil(task.__gc)
    assert.is_nil(task.__index)
    assert.is_nil(task.no_such_field)
    task:await()
  end)

  it("refuses a method on a wrong self", function()
    local task = rille.spawn(function() end)
    has(caught(function() task.await({}) end), "bad argument #1 to 'await'")
    has(caught(function() task.cancel(1) end), "bad argument #1 to 'cancel'")
    has(caught(function() task.status(nil) end), "bad argument #1 to 'status'")
    task:await()
  end)
end)

describe("Task:cancel", function()
  it("R61 raises at the wait in flight, once, and await raises ECANCELED", function()
    local seen = 0
    local task = rille.spawn(function()
      local _ <close> = closer(function(err)
        seen = seen + (err ~= nil and 1 or 100)
      end)
      rille.sleep(60)
      seen = 1000
    end)
    cancelled(task)
    assert.equal(1, seen)
  end)

  it("a task that has not started never runs", function()
    local ran = false
    local task = rille.spawn(function() ran = true end)
    task:cancel()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.is_false(ran)
    assert.equal("cancelled", task:status())
  end)

  it("does nothing to a task that is done", function()
    local task = rille.spawn(function() return "result" end)
    task:await()
    task:cancel()
    assert.equal("done", task:status())
    assert.equal("result", task:await())
  end)

  it("does nothing to a task that failed", function()
    local task = rille.spawn(function()
      rille.sleep(0.001)
      error("mine", 0)
    end)
    caught(task.await, task)
    task:cancel()
    assert.equal("failed", task:status())
    assert.equal("mine", caught(task.await, task))
  end)

  it("may be repeated", function()
    local count = 0
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        count = count + 1
        rille.sleep(0.001)
        rille.sleep(0.001)
        count = count + 1
      end)
      rille.sleep(60)
    end)
    until_waiting(task)
    task:cancel()
    task:cancel()
    rille.sleep(0)
    task:cancel("again")
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    task:cancel()
    assert.equal(2, count)
    assert.equal("cancelled", task:status())
  end)

  it("does not stop the program, awaited or not", function()
    local task = rille.spawn(rille.sleep, 60)
    until_waiting(task)
    task:cancel()
    while task:status() ~= "cancelled" do rille.sleep(0) end
    rille.sleep(0)
  end)

  it("tells the reason", function()
    local err = cancelled(rille.spawn(rille.sleep, 60), "the reason")
    assert.is_truthy(tostring(err):find("the reason", 1, true) or err.reason == "the reason")
  end)

  it("never strikes code that does not wait", function()
    local task, log = nil, {}
    task = rille.spawn(function()
      task:cancel()
      for i = 1, 3 do log[i] = i end
      log[4] = pcall(rille.sleep, 60)
      return "returned"
    end)
    caught(task.await, task)
    assert.same({ 1, 2, 3, false }, log)
  end)

  it("from inside strikes at the task's own next wait", function()
    local task, after
    task = rille.spawn(function()
      task:cancel()
      rille.sleep(0)
      after = true
    end)
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.is_nil(after)
  end)

  it("strikes the awaiter only, not the task that it awaits", function()
    local resume
    local awaited = rille.spawn(function()
      return (rille.callback(function(r) resume = r end))
    end)
    local awaiter = rille.spawn(function() return awaited:await() end)
    cancelled(awaiter)
    assert.equal("waiting", awaited:status())
    resume("result")
    assert.equal("result", awaited:await())
  end)

  it("R63 cleanup of a cancelled task may wait", function()
    local log = {}
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        for i = 1, 3 do
          rille.sleep(0.001)
          log[#log + 1] = i
        end
        log[#log + 1] = rille.spawn(function()
          rille.sleep(0)
          return "awaited"
        end):await()
      end)
      rille.sleep(60)
    end)
    cancelled(task)
    assert.same({ 1, 2, 3, "awaited" }, log)
  end)

  it("R63 nested cleanup of a cancelled task runs innermost first, each waiting", function()
    local log = {}
    local function level(n)
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = n
      end)
      if n == 50 then rille.sleep(60) else level(n + 1) end
    end
    cancelled(rille.spawn(level, 1))
    assert.equal(50, #log)
    for i = 1, 50 do assert.equal(51 - i, log[i]) end
  end)

  it("R63 a pcall inside a cleanup catches the cleanup's own errors only", function()
    local log = {}
    cancelled(rille.spawn(function()
      local _ <close> = closer(function()
        local ok, err = pcall(function()
          rille.sleep(0)
          error("own", 0)
        end)
        log[#log + 1] = tostring(ok) .. " " .. tostring(err)
        rille.sleep(0)
        log[#log + 1] = "waited again"
      end)
      rille.sleep(60)
    end))
    assert.same({ "false own", "waited again" }, log)
  end)

  it("reports the cancellation of a task that caught it and returned", function()
    cancelled(rille.spawn(function()
      pcall(rille.sleep, 60)
      return "result"
    end))
  end)

  it("R61 unwinds the body of a generator that waits, then its consumer", function()
    local log = {}
    local g
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "consumer"
      end)
      g = rille.generator(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "body"
        end)
        coroutine.yield(1)
        rille.sleep(60)
        log[#log + 1] = "not reached"
      end)()
      for v in g:each() do log[#log + 1] = v end
    end)
    cancelled(task)
    assert.same({ 1, "body", "consumer" }, log)
    assert.is_false((pcall(g.next, g)))
  end)

  it("R33 next on a generator that was cancelled is an error, not an end", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(60)
    end)()
    cancelled(rille.spawn(function()
      for _ in g:keep() do rille.sleep(0) end
    end))
    caught(g.next, g)
    caught(g.next, g)
    g:close()
  end)

  it("R61 the body sees the signal at its wait, and its pcall there gets it", function()
    local ok, err
    local task = rille.spawn(function()
      rille.generator(function()
        ok, err = pcall(rille.sleep, 60)
        error(err, 0)
      end)():next()
    end)
    cancelled(task)
    assert.is_false(ok)
    assert.is_not_nil(err)
  end)

  it("R62 a generator suspended at a yield sees close, not the cancellation", function()
    local seen, consumer, log = nil, nil, {}
    local gen = rille.generator(function()
      local _ <close> = closer(function() log[#log + 1] = "body" end)
      seen = select(2, pcall(coroutine.yield, 1))
    end)
    for _ in gen() do break end
    local closed = kind(seen)
    seen, log = nil, {}
    cancelled(rille.spawn(function()
      for _ in gen() do
        local _, err = pcall(rille.sleep, 60)
        consumer = err
        error(err, 0)
      end
    end))
    log[#log + 1] = "awaited"
    assert.equal(closed, kind(seen))
    assert.is_not.equal(closed, kind(consumer))
    assert.same({ "body", "awaited" }, log)
  end)

  it("unwinds coroutines and generators at every level, innermost first", function()
    local log = {}
    local function guard(name, waits)
      return closer(function(err)
        if waits then rille.sleep(0) end
        log[#log + 1] = (err ~= nil and "" or "no error ") .. name
      end)
    end
    cancelled(rille.spawn(function()
      local _ <close> = guard("task", true)
      coroutine.wrap(function()
        local _ <close> = guard("coroutine")
        for _ in rille.generator(function()
          local _ <close> = guard("generator", true)
          coroutine.wrap(function()
            local _ <close> = guard("inner coroutine")
            rille.sleep(60)
          end)()
        end)() do log[#log + 1] = "item" end
      end)()
      log[#log + 1] = "not reached"
    end))
    assert.same({ "inner coroutine", "generator", "coroutine", "task" }, log)
  end)

  it("reaches a wait below 200 levels of coroutines and generators", function()
    local unwound = 0
    local function level(n)
      local _ <close> = closer(function() unwound = unwound + 1 end)
      if n == 0 then
        rille.sleep(60)
      elseif n % 2 == 0 then
        rille.generator(level)(n - 1):next()
      else
        local co = coroutine.create(level)
        local ok, err = coroutine.resume(co, n - 1)
        if not ok then
          coroutine.close(co)
          error(err, 0)
        end
      end
    end
    cancelled(rille.spawn(level, 200))
    assert.equal(201, unwound)
  end)

  it("makes a later resume of the aborted wait harmless", function()
    local resume, log = nil, {}
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        rille.sleep(0.002)
        log[#log + 1] = "cleanup"
      end)
      rille.callback(function(r) resume = r end)
      log[#log + 1] = "not reached"
    end)
    until_waiting(task)
    task:cancel()
    pcall(resume, "late")
    caught(task.await, task)
    pcall(resume, "later")
    rille.sleep(0)
    assert.same({ "cleanup" }, log)
  end)

  it("R63 a close handler in a coroutine of a cancelled task may wait", function()
    local log = {}
    cancelled(rille.spawn(function()
      local _ <close> = closer(function() log[#log + 1] = "task" end)
      coroutine.wrap(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "coroutine"
        end)
        rille.sleep(60)
      end)()
    end))
    assert.same({ "coroutine", "task" }, log)
  end)

  it("R63 a close handler may wait after the signal was caught and raised again", function()
    local log = {}
    cancelled(rille.spawn(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      local ok, err = pcall(rille.sleep, 60)
      if not ok then error(err, 0) end
    end))
    assert.same({ "cleanup" }, log)
  end)
end)

describe("R66 cancellation that pcall cannot lose", function()
  it("R66 the wait after a pcall that caught the signal raises it again", function()
    local log = {}
    cancelled(rille.spawn(function()
      log[1] = pcall(rille.sleep, 60)
      log[2] = pcall(rille.sleep, 0)
      log[3] = pcall(rille.sleep, 0)
      rille.sleep(0)
      log[4] = "not reached"
    end))
    assert.same({ false, false, false }, log)
  end)

  it("R66 a retry loop around pcall ends", function()
    local tries = 0
    cancelled(rille.spawn(function()
      for _ = 1, 5 do
        tries = tries + 1
        if pcall(rille.sleep, 60) then return end
      end
      rille.sleep(60)
    end))
    assert.equal(5, tries)
  end)

  it("R66 code between pcall and the next wait runs, finalisers included", function()
    local log = {}
    cancelled(rille.spawn(function()
      local ok, err = pcall(function()
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = "close handler waited"
        end)
        rille.sleep(60)
      end)
      log[#log + 1] = "finaliser"
      if not ok then error(err, 0) end
    end))
    assert.same({ "close handler waited", "finaliser" }, log)
  end)

  it("R66 a close handler waits again after the signal was raised again", function()
    local log = {}
    cancelled(rille.spawn(function()
      pcall(rille.sleep, 60)
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "waited"
      end)
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end))
    assert.same({ "waited" }, log)
  end)

  it("R66 xpcall with debug.traceback does not lose the signal", function()
    local log = {}
    cancelled(rille.spawn(function()
      log[1] = xpcall(rille.sleep, debug.traceback, 60)
      log[2] = xpcall(rille.sleep, function() return "mine" end, 0)
      rille.sleep(0)
      log[3] = "not reached"
    end))
    assert.same({ false, false }, log)
  end)

  it("R66 coroutine.resume does not lose the signal", function()
    local log = {}
    cancelled(rille.spawn(function()
      local co = coroutine.create(function() rille.sleep(60) end)
      log[1] = coroutine.resume(co)
      log[2] = coroutine.status(co)
      rille.sleep(0)
      log[3] = "not reached"
    end))
    assert.same({ false, "dead" }, log)
  end)

  it("R66 a pcall around coroutine.wrap does not lose the signal", function()
    local log = {}
    cancelled(rille.spawn(function()
      log[1] = pcall(coroutine.wrap(function() rille.sleep(60) end))
      rille.sleep(0)
      log[2] = "not reached"
    end))
    assert.same({ false }, log)
  end)

  it("R66 a pcall around a generator's step does not lose the signal", function()
    local log = {}
    cancelled(rille.spawn(function()
      local g = rille.generator(function() rille.sleep(60) end)()
      log[1] = pcall(g.next, g)
      rille.sleep(0)
      log[2] = "not reached"
    end))
    assert.same({ false }, log)
  end)

  it("R66 a pcall inside a generator's body does not lose the signal", function()
    local log = {}
    cancelled(rille.spawn(function()
      for v in rille.generator(function()
        log[#log + 1] = pcall(rille.sleep, 60)
        coroutine.yield("item")
        log[#log + 1] = "not reached"
      end)() do
        log[#log + 1] = v
        rille.sleep(0)
        log[#log + 1] = "not reached either"
      end
    end))
    assert.same({ false, "item" }, log)
  end)

  it("R66 an await after a pcall that caught the signal raises it again", function()
    local other = rille.spawn(rille.sleep, 0.002)
    local log = {}
    cancelled(rille.spawn(function()
      log[1] = pcall(rille.sleep, 60)
      log[2] = pcall(other.await, other)
      log[3] = pcall(rille.callback, function() end)
    end))
    assert.same({ false, false, false }, { log[1], log[2], log[3] })
    other:await()
  end)

  it("R66 the signal of one task does not touch another", function()
    local log = {}
    local other = rille.spawn(function()
      for i = 1, 3 do
        rille.sleep(0.001)
        log[i] = i
      end
    end)
    cancelled(rille.spawn(function()
      pcall(rille.sleep, 60)
      pcall(rille.sleep, 60)
    end))
    other:await()
    assert.same({ 1, 2, 3 }, log)
  end)

  it("R66 an ordinary error after the signal was caught is caught as usual", function()
    local log = {}
    cancelled(rille.spawn(function()
      pcall(rille.sleep, 60)
      log[1], log[2] = pcall(error, "ordinary", 0)
      rille.sleep(0)
    end))
    assert.same({ false, "ordinary" }, log)
  end)

  it("a task cancelled in the same turn in which its wait ended is cancelled or goes on", function()
    local resume, log = nil, {}
    local task = rille.spawn(function()
      log[1] = rille.callback(function(r) resume = r end)
      rille.sleep(0)
      log[2] = "not reached"
    end)
    until_waiting(task)
    resume("value")
    task:cancel()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.is_nil(log[2])
  end)
end)

describe("rille.callback", function()
  it("waits until resume is called and returns its values", function()
    local resume
    local task = rille.spawn(function()
      return rille.callback(function(r) resume = r end)
    end)
    until_waiting(task)
    resume(1, nil, 3, nil)
    assert.same({ n = 4, 1, nil, 3 }, table.pack(task:await()))
  end)

  it("returns nothing when resume is called with nothing", function()
    local resume
    local task = rille.spawn(function()
      return select("#", rille.callback(function(r) resume = r end))
    end)
    until_waiting(task)
    resume()
    assert.equal(0, task:await())
  end)

  it("may be resumed before the function returns", function()
    assert.same({ n = 3, "now", nil, "x" }, table.pack(rille.callback(function(resume)
      resume("now", nil, "x")
    end)))
  end)

  it("is resumed once: a second call changes nothing", function()
    local resume
    local log = {}
    local task = rille.spawn(function()
      log[1] = rille.callback(function(r) resume = r end)
      log[2] = rille.callback(function(r) log.second = r end)
    end)
    until_waiting(task)
    resume("first")
    pcall(resume, "second")
    while not log.second do rille.sleep(0) end
    pcall(resume, "third")
    rille.sleep(0)
    assert.equal("waiting", task:status())
    assert.same({ "first" }, { log[1], log[2] })
    log.second("right")
    task:await()
    assert.equal("right", log[2])
    pcall(resume)
  end)

  it("is resumed once, even inside the function", function()
    assert.equal("first", (rille.callback(function(resume)
      resume("first")
      pcall(resume, "second")
    end)))
  end)

  it("raises what the function raises", function()
    local mine = {}
    assert.is_true(rawequal(mine, caught(rille.callback, function() error(mine) end)))
    rille.sleep(0)
  end)

  it("raises what the function raises, even after resume", function()
    local ok, v = pcall(rille.callback, function(resume)
      resume("value")
      error("after", 0)
    end)
    assert.is_false(ok)
    assert.equal("after", v)
    rille.sleep(0)
  end)

  it("makes resume of a failed call harmless", function()
    local resume
    pcall(rille.callback, function(r)
      resume = r
      error("x")
    end)
    pcall(resume, "late")
    assert.equal("fresh", (rille.callback(function(r) r("fresh") end)))
  end)

  it("hands over functions, threads and tables as they are", function()
    local values = { print, coroutine.running(), {}, io.stdout }
    local got = { rille.callback(function(resume) resume(table.unpack(values)) end) }
    for i, v in ipairs(values) do assert.is_true(rawequal(v, got[i])) end
  end)

  it("may be resumed from a coroutine, a generator or another task", function()
    local resumes = {}
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = rille.spawn(function()
        return (rille.callback(function(r) resumes[i] = r end))
      end)
    end
    until_waiting(tasks[3])
    coroutine.wrap(function() resumes[1]("coroutine") end)()
    for _ in rille.generator(function() resumes[2]("generator") end)() do error("no item") end
    rille.spawn(function() resumes[3]("task") end)
    assert.same({ "coroutine", "generator", "task" },
      { tasks[1]:await(), tasks[2]:await(), tasks[3]:await() })
  end)

  it("may be resumed where nothing may wait", function()
    local resume
    local task = rille.spawn(function()
      return (rille.callback(function(r) resume = r end))
    end)
    until_waiting(task)
    string.gsub("x", "x", function() resume("from gsub") end)
    assert.equal("from gsub", task:await())
  end)

  it("does not run its waiter before the resumer waits", function()
    local resume
    local log = {}
    local task = rille.spawn(function()
      rille.callback(function(r) resume = r end)
      log[#log + 1] = "waiter"
    end)
    until_waiting(task)
    resume()
    log[#log + 1] = "resumer"
    task:await()
    assert.same({ "resumer", "waiter" }, log)
  end)

  it("wakes waiters in the order of their resumes", function()
    local resumes, log, tasks = {}, {}, {}
    for i = 1, 5 do
      tasks[i] = rille.spawn(function()
        rille.callback(function(r) resumes[i] = r end)
        log[#log + 1] = i
      end)
    end
    until_waiting(tasks[5])
    for _, i in ipairs({ 3, 1, 5, 2, 4 }) do resumes[i]() end
    for i = 1, 5 do tasks[i]:await() end
    assert.same({ 3, 1, 5, 2, 4 }, log)
  end)

  it("refuses what is not a function", function()
    has(caught(function() rille.callback(42) end), "bad argument #1 to 'callback'")
    has(caught(function() rille.callback() end), "bad argument #1 to 'callback'")
  end)
end)

describe("task:join", function()
  it("waits for the end, however the task ends, and tells that it has ended", function()
    local done = rille.spawn(function() rille.sleep(0) return "result" end)
    assert.same({ n = 1, true }, table.pack(done:join()))
    assert.same({ n = 1, true }, table.pack(done:join(0)))
    assert.equal("result", done:await())
    local gone = rille.spawn(rille.sleep, 60)
    until_waiting(gone)
    gone:cancel()
    assert.is_true(gone:join(10))
    assert.equal("cancelled", gone:status())
  end)

  it("waits for so long; the task goes on", function()
    local resume
    local task = rille.spawn(function() return rille.callback(function(r) resume = r end) end)
    assert.same({ n = 1, false }, table.pack(task:join(0)))
    assert.is_false(task:join(0.001))
    assert.equal("waiting", task:status())
    local joining = rille.spawn(task.join, task, 10)
    until_waiting(joining)
    resume("late")
    assert.is_true(joining:await())
    assert.equal("late", task:await())
  end)

  it("R69 an end in the turn of the time-out is told", function()
    local task = rille.spawn(function() end)
    assert.is_true(task:join(0))
  end)

  it("checks its argument", function()
    local task = rille.spawn(function() end)
    for _, bad in ipairs({ -1, 1e9, 0 / 0 }) do
      has(caught(function() task:join(bad) end), "bad argument #1 to 'join' (seconds out of range)")
    end
    has(caught(function() task:join("x") end), "number expected, got string")
    task:join()
  end)
end)
