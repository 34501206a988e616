-- Semaphores, mutexes and events: order, cancellation, misuse.
local rille = require "rille"

-- Lets the other tasks run until each of them waits.
local function settle()
  for _ = 1, 4 do rille.sleep(0) end
end

-- The call fails at this file's line, with a message that has `part` in it.
local function assert_refused(part, fn)
  local ok, err = pcall(fn)
  assert.is_false(ok)
  assert.matches("^spec/sync_spec.lua:%d+: ", err)
  assert.is_truthy(err:find(part, 1, true), err)
end

local function cancel(task)
  task:cancel()
  task:join()
  assert.equal("cancelled", task:status())
end

-- Calls fn in a comparator, where nothing can wait.
local function in_sort(fn)
  return pcall(table.sort, { 1, 2 }, function(a, b)
    fn()
    return a < b
  end)
end

describe("rille.semaphore", function()
  it("lets n tasks in at a time, in the order in which they came", function()
    local semaphore, inside, most, log, tasks = rille.semaphore(3), 0, 0, {}, {}
    for i = 1, 12 do
      tasks[i] = rille.spawn(function()
        local _ <close> = semaphore:acquire()
        log[#log + 1] = i
        inside = inside + 1
        most = math.max(most, inside)
        rille.sleep(0)
        inside = inside - 1
      end)
    end
    for i = 1, 12 do tasks[i]:await() end
    assert.equal(3, most)
    for i = 1, 12 do assert.equal(i, log[i]) end
    assert.equal("semaphore (3 of 3 free)", tostring(semaphore))
  end)

  it("gives a permit to who waits, not to who comes meanwhile", function()
    local semaphore, log = rille.semaphore(1), {}
    local guard = semaphore:acquire()
    local function enter(name)
      local _ <close> = semaphore:acquire()
      log[#log + 1] = name
    end
    rille.spawn(enter, "waited")
    settle()
    guard:close() -- the waiter has not run yet
    enter("came")
    assert.same({ "waited", "came" }, log)
  end)

  it("gives the permit back when the block is left by an error", function()
    local semaphore = rille.semaphore(1)
    local ok, err = pcall(function()
      local _ <close> = semaphore:acquire()
      error("boom", 0)
    end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
  end)

  it("has guards that give back once", function()
    local semaphore = rille.semaphore(2)
    local guard = semaphore:acquire()
    semaphore:acquire()
    guard:close()
    guard:close()
    do local _ <close> = guard end
    assert.equal("semaphore (1 of 2 free)", tostring(semaphore))
  end)

  it("can be released without the guard, by another task, at most as often as acquired", function()
    local semaphore = rille.semaphore(1)
    local guard = semaphore:acquire()
    rille.spawn(function() semaphore:release() end):await()
    assert_refused("semaphore released more often than acquired", function() semaphore:release() end)
    assert_refused("semaphore released more often than acquired", function() guard:close() end)
    guard:close()
    assert_refused("semaphore released more often than acquired", function()
      local _ <close> = semaphore:acquire()
      semaphore:release()
    end)
    local ok, err = pcall(function()
      local _ <close> = semaphore:acquire()
      semaphore:release()
      error("boom", 0)
    end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
  end)

  it("skips a waiter that was cancelled in the same turn", function()
    local semaphore, entered = rille.semaphore(1), {}
    local guard = semaphore:acquire()
    local function enter(name)
      local _ <close> = semaphore:acquire()
      entered[#entered + 1] = name
    end
    local first = rille.spawn(enter, "first")
    rille.spawn(enter, "second")
    settle()
    first:cancel()
    guard:close() -- the first has left, but has not run
    first:join()
    settle()
    assert.same({ "second" }, entered)
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
  end)

  it("loses no permit to a waiter that was woken, then cancelled (copas#208)", function()
    local semaphore, entered = rille.semaphore(1), false
    local guard = semaphore:acquire()
    local task = rille.spawn(function()
      local _ <close> = semaphore:acquire()
      entered = true
      rille.sleep(60)
    end)
    settle()
    guard:close()
    cancel(task)
    assert.is_true(entered)
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
  end)

  it("loses no permit to a time-out", function()
    local semaphore = rille.semaphore(1)
    local guard = semaphore:acquire()
    for _ = 1, 3 do
      local ok, err = pcall(rille.timeout, 0.001, semaphore.acquire, semaphore)
      assert.is_false(ok)
      assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    end
    guard:close()
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
    rille.timeout(60, semaphore.acquire, semaphore)
  end)

  it("succeeds where waiting is impossible if it need not wait", function()
    local semaphore = rille.semaphore(1)
    assert.is_true(in_sort(function() semaphore:acquire():close() end))
    local guard = semaphore:acquire()
    local ok, err = in_sort(function() semaphore:acquire() end)
    assert.is_false(ok)
    assert.matches("cannot wait for a semaphore inside table.sort", err)
    guard:close()
    assert.equal("semaphore (1 of 1 free)", tostring(semaphore))
  end)

  it("refuses bad counts and foreign selves", function()
    for _, bad in ipairs { 0, -1, 1.5, 0 / 0, math.huge, "x", {} } do
      assert_refused("bad argument #1 to 'semaphore' (an integer >= 1 expected", function()
        local semaphore = rille.semaphore(bad)
        return semaphore
      end)
    end
    assert_refused("bad argument #1 to 'semaphore'", function()
      local semaphore = rille.semaphore()
      return semaphore
    end)
    local semaphore = rille.semaphore(1)
    assert_refused("(rille.Semaphore expected, got string; is", function() semaphore.acquire("x") end)
    assert_refused("(rille.Semaphore expected, got rille.Mutex; is", function()
      semaphore.release(rille.mutex())
    end)
  end)

  it("keeps its count under random cancels", function()
    local seed = os.time()
    local function random(n)
      seed = (seed * 6364136223846793005 + 1442695040888963407) & math.maxinteger
      return (seed >> 33) % n + 1
    end
    for _ = 1, 20 do
      local first, count = seed, random(3)
      local semaphore, tasks, inside = rille.semaphore(count), {}, 0
      local function enter()
        local _ <close> = semaphore:acquire()
        inside = inside + 1
        assert.is_true(inside <= count, "seed " .. first)
        local _ <close> = setmetatable({}, { __close = function() inside = inside - 1 end })
        if random(2) == 1 then rille.sleep(0) end
      end
      for _ = 1, 200 do
        tasks[#tasks + 1] = rille.spawn(enter)
        if random(3) == 1 then tasks[random(#tasks)]:cancel() end
        if random(3) == 1 then rille.sleep(0) end
      end
      for _, task in ipairs(tasks) do task:join() end
      assert.equal(("semaphore (%d of %d free)"):format(count, count), tostring(semaphore), "seed " .. first)
    end
  end)
end)

describe("rille.mutex", function()
  it("lets one task in at a time, in the order in which they came", function()
    local mutex, log, tasks = rille.mutex(), {}, {}
    for i = 1, 5 do
      tasks[i] = rille.spawn(function()
        local _ <close> = mutex:acquire()
        log[#log + 1] = "in " .. i
        rille.sleep(0)
        log[#log + 1] = "out " .. i
      end)
    end
    for i = 1, 5 do tasks[i]:await() end
    for i = 1, 5 do assert.same({ "in " .. i, "out " .. i }, { log[2 * i - 1], log[2 * i] }) end
    assert.equal("mutex (free)", tostring(mutex))
  end)

  it("is released by the task that has it, and by no other", function()
    local mutex = rille.mutex()
    assert_refused("the mutex is free", function() mutex:release() end)
    local guard = mutex:acquire()
    assert.equal("mutex (held)", tostring(mutex))
    local other = rille.spawn(function()
      assert_refused("another task has the mutex", function() mutex:release() end)
    end)
    other:await()
    mutex:release()
    assert_refused("the mutex is free", function() mutex:release() end)
    local later = mutex:acquire()
    guard:close() -- its mutex was released: this one stands
    assert.equal("mutex (held)", tostring(mutex))
    later:close()
    later:close()
    assert.equal("mutex (free)", tostring(mutex))
  end)

  it("is released by its guard in any task", function()
    local mutex = rille.mutex()
    local guard = mutex:acquire()
    rille.spawn(function() guard:close() end):await()
    assert.equal("mutex (free)", tostring(mutex))
  end)

  it("raises for the task that has it already, and belongs to it from the hand-over on", function()
    local mutex, done = rille.mutex(), false
    local guard = mutex:acquire()
    assert_refused("the task has the mutex already", function() mutex:acquire() end)
    local task = rille.spawn(function()
      mutex:acquire()
      assert_refused("the task has the mutex already", function() mutex:acquire() end)
      mutex:release()
      done = true
    end)
    settle()
    guard:close() -- the waiter has it, though it has not run yet
    assert.equal("mutex (held)", tostring(mutex))
    assert_refused("another task has the mutex", function() mutex:release() end)
    task:await()
    assert.is_true(done)
  end)

  it("passes over a cancelled waiter, and keeps what one that was woken has got", function()
    local mutex, log = rille.mutex(), {}
    local guard = mutex:acquire()
    local function enter(name)
      local _ <close> = mutex:acquire()
      log[#log + 1] = name
      rille.sleep(60)
    end
    local first, second = rille.spawn(enter, "first"), rille.spawn(enter, "second")
    settle()
    first:cancel()
    guard:close()
    cancel(second)
    first:join()
    assert.same({ "second" }, log)
    assert.equal("mutex (free)", tostring(mutex))
  end)

  it("names the boundary where it would have to wait", function()
    local mutex = rille.mutex()
    assert.is_true(in_sort(function() mutex:acquire():close() end))
    rille.spawn(function() mutex:acquire() end):await()
    local ok, err = in_sort(function() mutex:acquire() end)
    assert.is_false(ok)
    assert.matches("cannot wait for a mutex inside table.sort", err)
  end)

  it("refuses foreign selves", function()
    local mutex = rille.mutex()
    assert_refused("(rille.Mutex expected, got rille.Event; ", function() mutex.acquire(rille.event()) end)
    local guard <close> = mutex:acquire()
    assert_refused("(rille.Hold expected, got nil; ", function() guard.close() end)
  end)
end)

describe("rille.event", function()
  it("lets every waiter go on once it is set, and does not wait while it is", function()
    local event, log = rille.event(), {}
    for i = 1, 3 do
      rille.spawn(function()
        event:wait()
        log[#log + 1] = i
      end)
    end
    settle()
    assert.same({}, log)
    assert.is_false(event:is_set())
    assert.equal("event (not set)", tostring(event))
    event:set()
    event:set()
    assert.is_true(event:is_set())
    assert.equal("event (set)", tostring(event))
    event:wait()
    settle()
    assert.same({ 1, 2, 3 }, log)
  end)

  it("lets go on who was waiting, also if it is cleared before they run", function()
    local event, passed = rille.event(), 0
    local function pass()
      event:wait()
      passed = passed + 1
    end
    rille.spawn(pass)
    settle()
    event:set()
    event:clear()
    local late = rille.spawn(pass)
    settle()
    assert.equal(1, passed)
    assert.is_false(event:is_set())
    event:set()
    late:await()
    assert.equal(2, passed)
  end)

  it("is left by a waiter that is cancelled", function()
    local event, passed = rille.event(), false
    local task = rille.spawn(function()
      event:wait()
      passed = true
    end)
    settle()
    cancel(task)
    event:set()
    settle()
    assert.is_false(passed)
  end)

  it("names the boundary where it would have to wait", function()
    local event = rille.event()
    local ok, err = in_sort(function() event:wait() end)
    assert.is_false(ok)
    assert.matches("cannot wait for an event inside table.sort", err)
    event:set()
    assert.is_true(in_sort(function() event:wait() end))
    assert_refused("(rille.Event expected, got number; ", function() event.set(1) end)
  end)
end)
