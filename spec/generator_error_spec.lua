-- Generators and errors: what a failed generator says (R33), signals that user code raises (R34), errors of a
-- cleanup beside another one (R37, R38), and who is told what when a step is under way (R80).
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local json = require("rille.json")
local expect = require("spec.helper.expect")
local process = require("spec.helper.process")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here
local same_object, until_waiting = expect.same_object, expect.until_waiting

-- A generator of one item whose cleanup fails.
local function failing_cleanup(err, waits)
  return rille.generator(function()
    local _ <close> = closer(function()
      if waits then rille.sleep(0) end
      error(err, 0)
    end)
    coroutine.yield(1)
  end)()
end

local function error_object() return select(2, pcall(json.decode, "{")) end

describe("a generator that has failed", function()
  it("R33 because its consumer was cancelled says so, and does not end in silence", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(60)
    end)()
    local task = rille.spawn(function() for _ in g:keep() do rille.sleep(0) end end)
    until_waiting(task)
    while g:status() ~= "waiting" do rille.sleep(0) end
    task:cancel()
    caught(task.await, task)
    assert.equal("failed", g:status())
    for _, again in ipairs({ g.next, g, function() for _ in g:each() do break end end }) do
      local err = caught(again, g)
      has(err, "generator already failed")
      has(err, "cancel")
    end
  end)

  it("R33 because of nil or false says that it failed, too", function()
    for _, value in ipairs({ false, "nil" }) do
      local g = rille.generator(function()
        if value == "nil" then error(nil) end
        error(value)
      end)()
      pcall(g.next, g)
      has(caught(g.next, g), "generator already failed")
      has(caught(function() for _ in g:each() do break end end), "generator already failed")
    end
  end)

  it("R33 by an error thrown into it says which", function()
    local g = rille.generator(function() coroutine.yield(1) end)()
    g:next()
    assert.equal("thrown", caught(g.throw, g, "thrown"))
    has(caught(g.next, g), "generator already failed: thrown")
  end)

  it("R33 R17 may fail at any item: all before it have come, and the end is no end", function()
    for at = 0, 3 do
      local g = rille.generator(function()
        for i = 1, at do
          if i % 2 == 0 then rille.sleep(0) end
          coroutine.yield(i)
        end
        error("the cause", 0)
      end)()
      local seen = {}
      assert.equal("the cause", caught(function() for v in g:each() do seen[#seen + 1] = v end end))
      assert.equal(at, #seen)
      has(caught(g.next, g), "generator already failed: the cause")
    end
  end)

  it("R32 has cleaned up once, whatever is called later", function()
    local count = 0
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        count = count + 1
      end)
      error("x")
    end)()
    caught(g.next, g)
    assert.equal(1, count)
    caught(g.next, g)
    g:close()
    caught(g.throw, g, "y")
    for _ = 1, 2 do collectgarbage() end
    assert.equal(1, count)
  end)
end)

describe("a signal that user code raises", function()
  local function signals()
    local close, cancel
    local g = rille.generator(function() close = caught(coroutine.yield, 1) end)()
    g:next()
    g:close()
    local task = rille.spawn(function() cancel = caught(rille.sleep, 60) end)
    until_waiting(task)
    task:cancel()
    pcall(task.await, task)
    return close, cancel
  end

  -- What a task gets, and how the generator ends, whose body raises the signal.
  local function raising(signal, waits)
    local task = rille.spawn(function()
      local g = rille.generator(function()
        coroutine.yield(1)
        if waits then rille.sleep(0) end
        error(signal, 0)
      end)()
      g:next()
      local err = caught(g.next, g)
      rille.sleep(0)
      has(caught(g.next, g), "generator already failed")
      return err, g:status()
    end)
    local err, status = task:await()
    assert.equal("done", task:status())
    return err, status
  end

  it("R34 the close signal in a body is an error that names it, and closes nothing", function()
    local signal = signals()
    for _, waits in ipairs({ false, true }) do
      local err, status = raising(signal, waits)
      assert.is_false(rawequal(err, signal))
      has(err, "generator raised the close signal")
      assert.equal("failed", status)
    end
  end)

  it("R34 the signal of a cancelled task in a body is an error like others, and cancels nobody", function()
    local _, signal = signals()
    for _, waits in ipairs({ false, true }) do
      local err, status = raising(signal, waits)
      same_object(signal, err)
      assert.equal("failed", status)
    end
  end)

  it("R34 in a loop's body is an error of the loop: the generator is closed", function()
    for _, signal in ipairs({ signals() }) do
      local log = {}
      local g = rille.generator(function()
        local _ <close> = closer(function() log[#log + 1] = "cleanup" end)
        coroutine.yield(1)
      end)()
      local err = caught(function() for _ in g:each() do error(signal, 0) end end)
      same_object(signal, err)
      assert.same({ "cleanup" }, log)
      assert.equal("closed", g:status())
      rille.sleep(0)
    end
  end)

  it("R34 in a task ends that task only, as a failure or a cancellation", function()
    for _, signal in ipairs({ signals() }) do
      local task = rille.spawn(function()
        rille.sleep(0)
        error(signal, 0)
      end)
      caught(task.await, task)
      assert.is_truthy(task:status() == "failed" or task:status() == "cancelled")
      rille.sleep(0)
    end
  end)
end)

describe("an error of a cleanup", function()
  it("R37 beside an error object is in its list of suppressed ones, as it is", function()
    for _, waits in ipairs({ false, true }) do
      local mine, other = error_object(), error_object()
      local err = caught(function() for _ in failing_cleanup(other, waits) do error(mine, 0) end end)
      same_object(mine, err)
      assert.equal(1, #mine.suppressed)
      same_object(other, mine.suppressed[1])
    end
  end)

  it("R37 of nested loops: all are told of, the innermost first", function()
    local mine = error_object()
    same_object(mine, caught(function()
      for _ in failing_cleanup("outer fault") do
        for _ in failing_cleanup("inner fault", true) do error(mine, 0) end
      end
    end))
    assert.same({ "inner fault", "outer fault" }, mine.suppressed)
    has(rille.traceback(mine), "inner fault")
    has(rille.traceback(mine), "outer fault")
  end)

  it("R37 beside a string or a plain table is told in the story", function()
    local readable = setmetatable({}, { __tostring = function() return "readable" end })
    for _, mine in ipairs({ "a text", {}, readable }) do
      local err = caught(function() for _ in failing_cleanup("fault", true) do error(mine, 0) end end)
      same_object(mine, err)
      has(rille.traceback(err), "suppressed: fault")
    end
  end)

  it("R37 beside the cancellation of the consumer is reported, and does not hide it", function()
    local done = process.script([[
      local rille = require "rille"
      local gen = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function()
          rille.sleep(0)
          error("cleanup fault", 0)
        end })
        coroutine.yield(1)
      end)
      local task = rille.spawn(function() for _ in gen() do rille.sleep(60) end end)
      rille.sleep(0)
      task:cancel()
      local ok, err = pcall(task.await, task)
      print(ok, rille.is_error(err, "ECANCELED"), task:status())
    ]])
    assert.same({ 0, "false\ttrue\tcancelled\n" }, { done.status, done.stdout })
    has(done.stderr, "cleanup fault")
  end)

  it("R38 of nested loops left by one return: the inner one surfaces, the outer one is suppressed", function()
    local inner, outer = error_object(), error_object()
    local err = caught(function()
      for _ in failing_cleanup(outer) do
        for _ in failing_cleanup(inner, true) do return "value" end
      end
    end)
    same_object(inner, err)
    same_object(outer, inner.suppressed[1])
  end)
end)

describe("a step while another one is under way", function()
  it("R80 is refused at once: it says who waits where, and for what", function()
    local made, waits, resume
    local g = rille.generator(function()
      waits = here() coroutine.yield((rille.callback(function(r) resume = r end)))
      coroutine.yield("second")
    end)()
    local task = rille.spawn(function()
      made = here() return (g:next())
    end)
    task.name = "A"
    until_waiting(task)
    for _, step in ipairs({
      function() g:next() end,
      function() g() end,
      function() g:throw("x") end,
      function() for _ in g:keep() do break end end,
    }) do
      local err = caught(step)
      has(err, "generator already running: task 'A' is waiting in next() since " .. made)
      has(err, "body awaits callback at " .. waits)
    end
    assert.equal("waiting", g:status())
    resume("first")
    assert.equal("first", task:await())
    assert.equal("second", (g:next()))
    g:close()
  end)

  it("R80 a loop that is refused does not end the step of the other task", function()
    local gate = expect.new_gate()
    local g = rille.generator(function()
      gate.wait()
      coroutine.yield("item")
    end)()
    local task = rille.spawn(function() return (g:next()) end)
    until_waiting(task)
    has(caught(function() for _ in g:keep() do break end end), "generator already running")
    gate.open()
    assert.equal("item", task:await())
    g:close()
  end)
end)
