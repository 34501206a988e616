-- Groups: what they give, how they fail, and how they are cancelled.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")
local groups = require("spec.helper.groups")
local process = require("spec.helper.process")

local caught, has, same_object, closer = expect.caught, expect.has, expect.same_object, expect.closer
local here, until_waiting, turns = expect.here, expect.until_waiting, expect.turns
local new_gate, sleeper, fail_later = groups.new_gate, groups.sleeper, groups.fail_later

local function lacks(text, part)
  text = tostring(text)
  assert.is_nil(text:find(part, 1, true), ("%q is in %q"):format(part, text))
end

describe("rille.group", function()
  it("gives the results of fn, with their count and nils", function()
    assert.same({ n = 3, nil, 2, nil }, table.pack(rille.group(function() return nil, 2, nil end)))
    assert.same({ n = 0 }, table.pack(rille.group(function() end)))
    assert.same({ n = 3, nil, 2, nil }, table.pack(rille.group(function(group)
      group:spawn(rille.sleep, 0.001)
      rille.sleep(0)
      return nil, 2, nil
    end)))
  end)

  it("returns after fn and every child", function()
    local log, _ <close> = {}, rille.test.clock()
    local result = rille.group(function(group)
      for i = 3, 1, -1 do
        group:spawn(function()
          rille.sleep(i * 0.002)
          log[#log + 1] = i
        end)
      end
      log[#log + 1] = "fn"
      return "result"
    end)
    log[#log + 1] = result
    assert.same({ "fn", 1, 2, 3, "result" }, log)
  end)

  it("waits for a fn that outlasts the children", function()
    local log = {}
    rille.group(function(group)
      group:spawn(function() log[#log + 1] = "child" end)
      rille.sleep(0.002)
      log[#log + 1] = "fn"
    end)
    assert.same({ "child", "fn" }, log)
  end)

  it("passes arguments to a child, and its results to who awaits it", function()
    rille.group(function(group)
      local child = group:spawn(function(...)
        rille.sleep(0)
        return select("#", ...), ...
      end, nil, 2, nil)
      assert.same({ n = 4, 3, nil, 2 }, table.pack(child:await()))
      assert.equal("done", child:status())
      assert.equal("string", type(child.name))
    end)
  end)

  it("starts children in order, and after the spawner waits", function()
    local log = {}
    rille.group(function(group)
      for i = 1, 50 do group:spawn(function() log[#log + 1] = i end) end
      assert.same({}, log)
    end)
    for i = 1, 50 do assert.equal(i, log[i]) end
  end)

  it("joins what a child, and a child of that, spawns into it", function()
    local log = {}
    rille.group(function(group)
      group:spawn(function()
        group:spawn(function()
          rille.sleep(0.001)
          group:spawn(function()
            rille.sleep(0.001)
            log[#log + 1] = "third"
          end)
          log[#log + 1] = "second"
        end)
        log[#log + 1] = "first"
      end)
    end)
    assert.same({ "first", "second", "third" }, log)
  end)

  it("joins what another task spawns into it while it is open", function()
    local _ <close> = rille.test.clock()
    local log, open = {}, nil
    local gate = new_gate()
    local stranger = rille.spawn(function()
      gate.wait()
      open:spawn(function()
        rille.sleep(0.002)
        log[#log + 1] = "spawned from outside"
      end)
    end)
    rille.group(function(group)
      open = group
      group:spawn(rille.sleep, 0.002)
      gate.open()
    end)
    log[#log + 1] = "returned"
    stranger:await()
    assert.same({ "spawned from outside", "returned" }, log)
  end)

  it("R78 a task that a generator's body spawns into it belongs to it, not to the generator", function()
    local log, _ <close> = {}, rille.test.clock()
    rille.group(function(group)
      for _ in rille.generator(function()
        group:spawn(function()
          rille.sleep(0.002)
          log[#log + 1] = "child"
        end)
        coroutine.yield(1)
      end)() do break end
      log[#log + 1] = "generator closed"
    end)
    assert.same({ "generator closed", "child" }, log)
  end)

  it("refuses to spawn when it has ended, as misuse with a position", function()
    local kept, ran
    rille.group(function(group) kept = group end)
    local where
    local err = caught(function()
      where = here() kept:spawn(function() ran = true end)
    end)
    assert.equal("string", type(err))
    has(err, where)
    caught(rille.group, function(group)
      kept = group
      error("failed", 0)
    end)
    assert.equal("string", type(caught(kept.spawn, kept, function() ran = true end)))
    turns()
    assert.is_nil(ran)
  end)

  it("runs no child for long that is spawned while it is cancelled", function()
    local log = {}
    local err = caught(rille.group, function(group)
      group:spawn(function()
        local _ <close> = closer(function()
          pcall(group.spawn, group, sleeper(log, "late"))
          rille.sleep(0.001)
        end)
        rille.sleep(60)
      end)
      group:spawn(fail_later("first"))
    end)
    assert.equal("first", err)
    assert.is_truthy(#log == 0 or log[1] == "late")
  end)

  it("refuses what is not a function", function()
    has(caught(function() rille.group(42) end), "bad argument #1 to 'group'")
    has(caught(function() rille.group() end), "bad argument #1 to 'group'")
    rille.group(function(group)
      has(caught(function() group:spawn(42) end), "bad argument #1 to 'spawn'")
      has(caught(function() group:spawn() end), "bad argument #1 to 'spawn'")
    end)
  end)

  it("R7 refuses a wrong self", function()
    rille.group(function(group)
      caught(function() group.spawn({}, function() end) end)
      caught(function() group.spawn(nil, function() end) end)
      caught(function() group.spawn(io.stdout, function() end) end)
    end)
  end)

  it("R104 cannot wait where nothing may wait, and leaves nothing open", function()
    local log = {}
    local err = caught(table.sort, { 2, 1 }, function(a, b)
      rille.group(function(group) group:spawn(sleeper(log, "child")) end)
      return a < b
    end)
    has(err, "table.sort")
    turns()
    assert.same({}, log)
    rille.group(function(group) group:spawn(rille.sleep, 0) end)
  end)

  it("may be used from coroutines, generators and tasks", function()
    local function use()
      local child
      rille.group(function(group)
        child = group:spawn(function()
          rille.sleep(0.001)
          return "result"
        end)
      end)
      return child:await()
    end
    assert.equal("result", coroutine.wrap(use)())
    assert.equal("result", rille.generator(function() coroutine.yield(use()) end)():first())
    assert.equal("result", rille.spawn(use):await())
  end)

  it("runs a thousand children", function()
    local sum = 0
    rille.group(function(group)
      for i = 1, 1000 do
        group:spawn(function()
          rille.sleep(0)
          sum = sum + i
        end)
      end
    end)
    assert.equal(500500, sum)
  end)

  it("keeps its children alive, and itself, whatever the collector does", function()
    local done
    rille.group(function(group)
      group:spawn(function()
        collectgarbage()
        rille.sleep(0.001)
        collectgarbage()
        done = true
      end)
      collectgarbage()
    end)
    assert.is_true(done)
  end)
end)

describe("rille.group: errors", function()
  it("R29 raises the first error as the same value, of any type", function()
    for _, value in ipairs({ "text", 42, false, {}, fault.new("EMINE", "mine"), print, "nil" }) do
      if value == "nil" then value = nil end
      for _, who in ipairs({ "fn", "fn that waited", "child", "child that waited" }) do
        local log = {}
        local r = table.pack(pcall(rille.group, function(group)
          local sleeping = group:spawn(sleeper(log, "cleanup"))
          until_waiting(sleeping)
          if who == "fn" then error(value, 0) end
          if who == "fn that waited" then
            rille.sleep(0)
            error(value, 0)
          end
          group:spawn(function()
            if who == "child that waited" then rille.sleep(0) end
            error(value, 0)
          end)
          if who == "child" then rille.sleep(60) end
        end))
        assert.same({ false, 2, "cleanup" }, { r[1], r.n, log[1] })
        same_object(value, r[2])
        assert.equal(1, #log)
        rille.sleep(0)
      end
    end
  end)

  it("cancels the others, waits for their cleanup, then raises", function()
    local log = {}
    local err = caught(rille.group, function(group)
      for i = 1, 3 do group:spawn(sleeper(log, "cleanup " .. i)) end
      group:spawn(fail_later("first"))
      local _ <close> = closer(function()
        rille.sleep(0.001)
        log[#log + 1] = "cleanup of fn"
      end)
      rille.sleep(60)
      log[#log + 1] = "fn was not cancelled"
    end)
    assert.equal("first", err)
    table.sort(log)
    assert.same({ "cleanup 1", "cleanup 2", "cleanup 3", "cleanup of fn" }, log)
  end)

  it("cancels children while fn has ended and it joins", function()
    local log = {}
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(sleeper(log, "cleanup"))
      group:spawn(fail_later("first"))
      return "result"
    end))
    assert.same({ "cleanup" }, log)
  end)

  it("an error of fn cancels children, and those that have not started never run", function()
    local ran
    assert.equal("fn", caught(rille.group, function(group)
      group:spawn(function() ran = true end)
      error("fn", 0)
    end))
    turns()
    assert.is_nil(ran)
  end)

  it("an error in the first step of a child stops those that have not started", function()
    local ran = {}
    assert.equal("child", caught(rille.group, function(group)
      group:spawn(function() ran[#ran + 1] = 1 end)
      group:spawn(function() error("child", 0) end)
      group:spawn(function() ran[#ran + 1] = 3 end)
    end))
    assert.same({ 1 }, ran)
  end)

  it("the signal in fn and in children is a plain cancellation", function()
    local seen = {}
    local function watch()
      local _, err = pcall(rille.sleep, 60)
      seen[#seen + 1] = err
      error(err, 0)
    end
    local err = caught(rille.group, function(group)
      group:spawn(watch)
      group:spawn(fail_later("first"))
      watch()
    end)
    assert.equal("first", err)
    assert.equal(2, #seen)
    for _, signal in ipairs(seen) do
      assert.is_true(rille.is_error(signal, "ECANCELED"), tostring(signal))
    end
  end)

  it("R66 reports the first error whatever fn makes of the signal", function()
    local mine = fault.new("EMINE", "mine")
    same_object(mine, caught(rille.group, function(group)
      group:spawn(fail_later(mine))
      pcall(rille.sleep, 60)
      return "fine"
    end))
    assert.is_nil(mine.suppressed)
    rille.sleep(0)
    mine = fault.new("EMINE", "mine")
    same_object(mine, caught(rille.group, function(group)
      group:spawn(fail_later(mine))
      pcall(rille.sleep, 60)
      error("instead", 0)
    end))
    assert.same({ "instead" }, mine.suppressed)
    rille.sleep(0)
  end)

  it("R66 the signal is raised again in fn at each wait, until the group has ended", function()
    local count = 0
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(fail_later("first"))
      for _ = 1, 10 do
        if not pcall(rille.sleep, 60) then count = count + 1 end
      end
    end))
    assert.equal(10, count)
    rille.sleep(0)
  end)

  it("R66 a fn that always catches the signal is ended after 100 times, and the task goes on", function()
    local count = 0
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(error, "first", 0)
      while true do
        count = count + 1
        pcall(rille.sleep, 60)
      end
    end))
    assert.is_true(count > 50 and count <= 102, count)
    rille.sleep(0)
  end)

  it("R66 a child that always catches the signal does not hang it", function()
    local out = process.run(process.host("-e", [[
      local rille = require "rille"
      print(pcall(rille.group, function(group)
        group:spawn(function() while true do pcall(rille.sleep, 60) end end)
        group:spawn(function() rille.sleep(0.001) error("first", 0) end)
      end))
      rille.sleep(0)
      print("after")
    ]]))
    assert.equal("false\tfirst\nafter\n", out.stdout)
    assert.equal(0, out.status, out.stderr)
  end)

  it("an error of a child fails it even if fn caught it at await", function()
    local mine = fault.new("EMINE", "mine")
    local seen
    same_object(mine, caught(rille.group, function(group)
      local child = group:spawn(fail_later(mine))
      seen = caught(child.await, child)
      return "fine"
    end))
    assert.is_truthy(rawequal(seen, mine) or rille.is_error(seen, "ECANCELED"))
    assert.is_nil(mine.suppressed)
  end)

  it("R40 an error that comes back through await is not suppressed by itself", function()
    local mine = fault.new("EMINE", "mine")
    same_object(mine, caught(rille.group, function(group)
      local child = group:spawn(fail_later(mine))
      group:spawn(function() child:await() end)
      group:spawn(function() child:await() end)
      child:await()
    end))
    assert.is_nil(mine.suppressed)
    lacks(rille.traceback(mine), "suppressed")
  end)

  it("R40 children that fail in one turn: the first is raised, the others are attached in order", function()
    local first = fault.new("EFIRST", "the first")
    local third = { "the third" }
    local gate = new_gate()
    local waiting
    same_object(first, caught(rille.group, function(group)
      for _, value in ipairs({ first, "the second", third }) do
        waiting = group:spawn(function()
          gate.wait()
          error(value, 0)
        end)
      end
      until_waiting(waiting)
      gate.open()
      rille.sleep(60)
    end))
    assert.equal(2, #first.suppressed)
    assert.equal("the second", first.suppressed[1])
    same_object(third, first.suppressed[2])
    has(rille.traceback(first), "the second")
  end)

  it("R40 children that fail in one turn with nil, false and nil", function()
    for _, order in ipairs({ { "nil", "false" }, { "false", "nil" }, { "nil", "nil" } }) do
      local values = { ["nil"] = nil, ["false"] = false }
      local gate = new_gate()
      local r = table.pack(pcall(rille.group, function(group)
        local waiting
        for _, name in ipairs(order) do
          waiting = group:spawn(function()
            gate.wait()
            error(values[name])
          end)
        end
        until_waiting(waiting)
        gate.open()
      end))
      assert.is_false(r[1])
      same_object(values[order[1]], r[2])
    end
  end)

  it("R40 nil and false are kept apart from no error when they are suppressed", function()
    local first = fault.new("EFIRST", "the first")
    same_object(first, caught(rille.group, function(group)
      local child = group:spawn(function()
        pcall(rille.sleep, 60)
        error(false)
      end)
      until_waiting(child)
      error(first, 0)
    end))
    assert.equal(1, #first.suppressed)
    assert.is_false(first.suppressed[1])
  end)

  it("R40 a cleanup that fails is attached to the first error, in its field and its story", function()
    local log, first = {}, fault.new("EFIRST", "the first")
    same_object(first, caught(rille.group, function(group)
      until_waiting(group:spawn(sleeper(log, "a", "cleanup a")))
      until_waiting(group:spawn(sleeper(log, "b", "cleanup b")))
      error(first, 0)
    end))
    table.sort(first.suppressed)
    assert.same({ "cleanup a", "cleanup b" }, first.suppressed)
    has(rille.traceback(first), "cleanup a")
    has(rille.traceback(first), "cleanup b")
  end)

  it("R40 the story of a string, and of a table, has the cleanup that failed", function()
    for _, value in ipairs({ "a string", { "a table" } }) do
      local log = {}
      local err = caught(rille.group, function(group)
        group:spawn(sleeper(log, "a", "the cleanup failed"))
        group:spawn(fail_later(value))
      end)
      same_object(value, err)
      has(rille.traceback(err), "the cleanup failed")
    end
  end)

  it("R40 a cleanup of fn that fails is attached to the child's error", function()
    local first = fault.new("EFIRST", "the first")
    same_object(first, caught(rille.group, function(group)
      group:spawn(fail_later(first))
      local _ <close> = closer(function()
        rille.sleep(0)
        error("cleanup of fn", 0)
      end)
      rille.sleep(60)
    end))
    assert.same({ "cleanup of fn" }, first.suppressed)
  end)

  it("R30 the story has the child's frames and where the group waited", function()
    local where
    local err = caught(rille.group, function(group)
      group:spawn(function()
        rille.sleep(0)
        where = here() error(fault.new("EMINE", "mine"), 0)
      end)
    end)
    has(rille.traceback(err), where)
  end)

  it("a child that was cancelled by itself is no error", function()
    local log, _ <close> = {}, rille.test.clock()
    assert.equal("result", rille.group(function(group)
      local child = group:spawn(sleeper(log, "cleanup"))
      local other = group:spawn(function()
        rille.sleep(0.005)
        log[#log + 1] = "other"
      end)
      until_waiting(child)
      child:cancel()
      assert.is_true(rille.is_error(caught(child.await, child), "ECANCELED"))
      other:await()
      return "result"
    end))
    assert.same({ "cleanup", "other" }, log)
  end)

  it("a child that was cancelled before its first step is no error", function()
    assert.equal("result", rille.group(function(group)
      group:spawn(error, "never run"):cancel()
      return "result"
    end))
  end)

  it("the cleanup of a child that was cancelled by itself may fail, and then it is an error", function()
    local log = {}
    assert.equal("cleanup failed", caught(rille.group, function(group)
      local child = group:spawn(sleeper(log, "child", "cleanup failed"))
      group:spawn(sleeper(log, "other"))
      until_waiting(child)
      child:cancel()
    end))
    assert.same({ "child", "other" }, log)
  end)

  it("R70 another task's cancellation that reaches a child through await is an error", function()
    local stranger = rille.spawn(rille.sleep, 60)
    until_waiting(stranger)
    local log = {}
    local err = caught(rille.group, function(group)
      group:spawn(sleeper(log, "cleanup"))
      group:spawn(function() stranger:await() end)
      rille.sleep(0)
      stranger:cancel("not yours")
    end)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    has(err, "not yours")
    assert.same({ "cleanup" }, log)
  end)

  it("R70 a cancelled child that fn awaits without pcall is an error of fn", function()
    local log = {}
    local err = caught(rille.group, function(group)
      group:spawn(sleeper(log, "cleanup"))
      local child = group:spawn(rille.sleep, 60)
      until_waiting(child)
      child:cancel("by fn")
      child:await()
    end)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    has(err, "by fn")
    assert.same({ "cleanup" }, log)
  end)

  it("its error does not stop the program, and a task of its caller goes on", function()
    local log = {}
    local stranger = rille.spawn(function()
      rille.sleep(0.005)
      log[#log + 1] = "stranger"
    end)
    caught(rille.group, function(group) group:spawn(fail_later("first")) end)
    stranger:await()
    assert.same({ "stranger" }, log)
  end)

  it("a task that a child starts with rille.spawn is not of the group", function()
    local stranger
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(function()
        stranger = rille.spawn(function()
          rille.sleep(0.002)
          return "went on"
        end)
        rille.sleep(0)
        error("first", 0)
      end)
    end))
    assert.equal("went on", stranger:await())
  end)
end)

describe("rille.group: cancellation from outside", function()
  local function outer(body)
    local task = rille.spawn(function() rille.group(body) end)
    until_waiting(task)
    turns()
    task:cancel("outside")
    local err = caught(task.await, task)
    return err, task
  end

  it("R61 while fn waits: fn and the children are cleaned up first", function()
    local log = {}
    local err, task = outer(function(group)
      group:spawn(sleeper(log, "child"))
      sleeper(log, "fn")()
    end)
    assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
    has(err, "outside")
    assert.equal("cancelled", task:status())
    table.sort(log)
    assert.same({ "child", "fn" }, log)
  end)

  it("R61 while it joins: the children are cancelled and cleaned up first", function()
    local log = {}
    local err, task = outer(function(group)
      group:spawn(sleeper(log, "1"))
      group:spawn(sleeper(log, "2"))
    end)
    assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
    assert.equal("cancelled", task:status())
    table.sort(log)
    assert.same({ "1", "2" }, log)
  end)

  it("R63 R71 during the cleanup of a failed group: the cleanup is not cut short", function()
    local log, after = {}, nil
    local gate = new_gate()
    local cleaning
    local task = rille.spawn(function()
      local _, err = pcall(rille.group, function(group)
        group:spawn(function()
          local _ <close> = closer(function()
            cleaning = true
            gate.wait()
            rille.sleep(0.001)
            log[#log + 1] = "cleanup"
          end)
          rille.sleep(60)
        end)
        group:spawn(fail_later("first"))
      end)
      log[#log + 1] = "ended"
      after = err
      rille.sleep(60)
      log[#log + 1] = "cancellation was lost"
    end)
    while not cleaning do rille.sleep(0) end
    task:cancel("outside")
    turns()
    assert.same({}, log)
    gate.open()
    local err = caught(task.await, task)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    assert.equal("cancelled", task:status())
    assert.same({ "cleanup", "ended" }, log)
    assert.is_truthy(after == "first" or rille.is_error(after, "ECANCELED"), tostring(after))
  end)

  it("R66 a pcall around it does not lose the cancellation", function()
    local log = {}
    local task = rille.spawn(function()
      pcall(rille.group, function(group) group:spawn(sleeper(log, "child")) end)
      log[#log + 1] = "caught"
      rille.sleep(0)
      log[#log + 1] = "lost"
    end)
    until_waiting(task)
    turns()
    task:cancel()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.same({ "child", "caught" }, log)
  end)

  it("R66 a fn and a child that swallow the signal and return do not lose it", function()
    local err, task = outer(function(group)
      group:spawn(pcall, rille.sleep, 60)
      pcall(rille.sleep, 60)
      return "fine"
    end)
    assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
    assert.equal("cancelled", task:status())
  end)

  it("R40 a child's cleanup that fails does not hide the cancellation", function()
    local log = {}
    local task = rille.spawn(function()
      local r = table.pack(pcall(rille.group, function(group)
        group:spawn(sleeper(log, "child", "cleanup failed"))
      end))
      log.seen = r[2]
      error(r[2], 0)
    end)
    until_waiting(task)
    turns()
    task:cancel()
    caught(task.await, task)
    assert.equal("cancelled", task:status())
    assert.is_true(rille.is_error(log.seen, "ECANCELED"), tostring(log.seen))
    assert.same({ "cleanup failed" }, log.seen.suppressed)
  end)

  it("a child may cancel the task that runs it", function()
    local log, task = {}, nil
    task = rille.spawn(function()
      rille.group(function(group)
        group:spawn(sleeper(log, "sibling"))
        group:spawn(function()
          rille.sleep(0.001)
          task:cancel("from below")
          log[#log + 1] = "goes on to its next wait"
          rille.sleep(60)
          log[#log + 1] = "not cancelled"
        end)
      end)
    end)
    has(caught(task.await, task), "from below")
    assert.equal("cancelled", task:status())
    assert.same({ "goes on to its next wait", "sibling" }, log)
  end)

  it("before the task's first step nothing of it runs", function()
    local ran
    local task = rille.spawn(rille.group, function() ran = true end)
    task:cancel()
    caught(task.await, task)
    assert.is_nil(ran)
  end)

  it("R69 a failing child and a cancellation in one turn: one is raised, cleanup is done", function()
    for _, order in ipairs({ "cancel first", "fail first" }) do
      local log = {}
      local gate = new_gate()
      local task = rille.spawn(function()
        rille.group(function(group)
          group:spawn(sleeper(log, "sibling"))
          group:spawn(function()
            gate.wait()
            error("failed", 0)
          end)
        end)
      end)
      until_waiting(task)
      turns()
      if order == "fail first" then
        gate.open()
        task:cancel()
      else
        task:cancel()
        gate.open()
      end
      local err = caught(task.await, task)
      assert.is_truthy(err == "failed" or rille.is_error(err, "ECANCELED"), tostring(err))
      assert.same({ "sibling" }, log)
    end
  end)
end)

describe("rille.group: groups in groups", function()
  it("an error of the inner one cancels both, innermost cleanup first", function()
    local log = {}
    assert.equal("inner failed", caught(rille.group, function(outer)
      outer:spawn(sleeper(log, "outer child"))
      rille.group(function(inner)
        inner:spawn(sleeper(log, "inner child"))
        inner:spawn(fail_later("inner failed"))
      end)
      log[#log + 1] = "not reached"
    end))
    assert.same({ "inner child", "outer child" }, log)
  end)

  it("an error of the inner one that is caught leaves the outer one alone", function()
    local log, go_on = {}, rille.event()
    assert.equal("result", rille.group(function(outer)
      outer:spawn(function()
        go_on:wait()
        log[#log + 1] = "outer child"
      end)
      assert.equal("inner failed", caught(rille.group, function(inner)
        inner:spawn(fail_later("inner failed"))
        rille.sleep(60)
      end))
      rille.sleep(0)
      log[#log + 1] = "caught"
      go_on:set()
      return "result"
    end))
    assert.same({ "caught", "outer child" }, log)
  end)

  it("an error of the outer one cancels the inner one and waits for its children", function()
    local log = {}
    assert.equal("outer failed", caught(rille.group, function(outer)
      outer:spawn(fail_later("outer failed"))
      pcall(rille.group, function(inner)
        inner:spawn(sleeper(log, "inner child"))
        sleeper(log, "inner fn")()
      end)
      log[#log + 1] = "inner ended"
      rille.sleep(60)
      log[#log + 1] = "not cancelled"
    end))
    assert.equal("inner ended", table.remove(log))
    table.sort(log)
    assert.same({ "inner child", "inner fn" }, log)
  end)

  it("a child of the outer one may hold an inner one; a failure there cancels all", function()
    local log = {}
    local first = fault.new("EFIRST", "first")
    same_object(first, caught(rille.group, function(outer)
      for i = 1, 3 do
        outer:spawn(function()
          rille.group(function(inner)
            inner:spawn(sleeper(log, "inner " .. i))
            if i == 2 then inner:spawn(fail_later(first)) end
          end)
        end)
      end
      outer:spawn(sleeper(log, "outer"))
    end))
    table.sort(log)
    assert.same({ "inner 1", "inner 2", "inner 3", "outer" }, log)
    assert.is_nil(first.suppressed)
  end)

  it("the inner cleanup's failure, during the outer one's, is attached once", function()
    local log, first = {}, fault.new("EFIRST", "first")
    same_object(first, caught(rille.group, function(outer)
      outer:spawn(function()
        rille.group(function(inner) inner:spawn(sleeper(log, "inner", "inner cleanup failed")) end)
      end)
      outer:spawn(fail_later(first))
    end))
    local story = rille.traceback(first)
    has(story, "inner cleanup failed")
    assert.is_truthy(first.suppressed)
  end)

  it("a child of the inner one may spawn into the outer one", function()
    local log, _ <close> = {}, rille.test.clock()
    rille.group(function(outer)
      rille.group(function(inner)
        inner:spawn(function()
          outer:spawn(function()
            rille.sleep(0.002)
            log[#log + 1] = "outer's"
          end)
        end)
      end)
      log[#log + 1] = "inner ended"
    end)
    assert.same({ "inner ended", "outer's" }, log)
  end)

  it("depth 50 fails from the innermost, every level cleaning up", function()
    local log = {}
    local function nest(depth)
      rille.group(function(group)
        if depth == 0 then fail_later("deep")() end
        group:spawn(sleeper(log, depth))
        nest(depth - 1)
      end)
    end
    assert.equal("deep", caught(nest, 50))
    assert.equal(50, #log)
    for i = 1, 50 do assert.equal(i, log[i]) end
  end)

  it("R64 R33 a generator that a child waits in when it is cancelled has failed", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "generator"
      end)
      rille.sleep(60)
      coroutine.yield(1)
    end)()
    assert.equal("first", caught(rille.group, function(group)
      group:spawn(function() g:next() end)
      group:spawn(fail_later("first"))
    end))
    assert.same({ "generator" }, log)
    assert.equal("failed", g:status())
    has(caught(g.next, g), "generator already failed")
  end)
end)
