-- rille.all and rille.race: what they give, how they fail, and how they are cancelled.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")
local groups = require("spec.helper.groups")
local process = require("spec.helper.process")

local caught, has, same_object, closer = expect.caught, expect.has, expect.same_object, expect.closer
local until_waiting, turns = expect.until_waiting, expect.turns
local new_gate, sleeper, fail_later = groups.new_gate, groups.sleeper, groups.fail_later

describe("rille.all", function()
  local function after(seconds, ...)
    local results = table.pack(...)
    return function()
      rille.sleep(seconds)
      return table.unpack(results, 1, results.n)
    end
  end

  it("gives each function's first result under its key, of a list", function()
    assert.same({ "a", "b", "c" }, rille.all({ after(0.004, "a", "x"), after(0.001, "b"), after(0, "c") }))
  end)

  it("gives each function's first result under its key, named, mixed and odd keys too", function()
    local key = {}
    local results = rille.all({
      after(0, 1), after(0, 2), name = after(0, "named"), [key] = after(0, "table"),
      [0.5] = after(0, "float"), [true] = after(0, "boolean"), [10] = after(0, "hole"),
    })
    assert.same({ 1, 2, name = "named", [key] = "table", [0.5] = "float", [true] = "boolean", [10] = "hole" },
      results)
  end)

  it("keeps false, and leaves out nil and no result", function()
    local results = rille.all({
      a = after(0, false), b = after(0, nil, 2), c = after(0), after(0), after(0, "second"),
    })
    assert.same({ [2] = "second", a = false }, results)
  end)

  it("of nothing is an empty table", function()
    assert.same({}, rille.all({}))
    assert.same({}, rille.all({}, { n = 1 }))
  end)

  it("does not change the table it is given", function()
    local f = after(0, 1)
    local fns = { f, name = f }
    local results = rille.all(fns)
    assert.is_false(rawequal(results, fns))
    same_object(f, fns[1])
    same_object(f, fns.name)
  end)

  it("calls the functions without arguments, each once", function()
    local log = {}
    local function f(...)
      log[#log + 1] = select("#", ...)
      rille.sleep(0)
    end
    rille.all({ f, f, f })
    assert.same({ 0, 0, 0 }, log)
  end)

  it("runs at most n at once, and all of them", function()
    for _, n in ipairs({ 1, 2, 3, 7, 100 }) do
      local running, most, fns = 0, 0, {}
      for i = 1, 7 do
        fns[i] = function()
          running = running + 1
          most = math.max(most, running)
          rille.sleep(0.001 * (i % 3))
          running = running - 1
          return i
        end
      end
      assert.same({ 1, 2, 3, 4, 5, 6, 7 }, rille.all(fns, { n = n }))
      assert.equal(math.min(n, 7), most)
    end
  end)

  it("without n runs all of them at once", function()
    local running, most, fns = 0, 0, {}
    for i = 1, 200 do
      fns[i] = function()
        running = running + 1
        most = math.max(most, running)
        rille.sleep(0.001)
        running = running - 1
      end
    end
    rille.all(fns)
    assert.equal(200, most)
  end)

  it("with n = 1 runs the list in order, one after the other", function()
    local log, fns = {}, {}
    for i = 1, 4 do
      fns[i] = function()
        log[#log + 1] = "begin " .. i
        rille.sleep(0.001 * (5 - i))
        log[#log + 1] = "end " .. i
      end
    end
    fns.last = function() log[#log + 1] = "named" end
    rille.all(fns, { n = 1 })
    assert.same({ "begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3", "begin 4", "end 4", "named" },
      log)
  end)

  it("refills the place of one that ends while others go on", function()
    local log, _ <close> = {}, rille.test.clock()
    rille.all({
      function()
        rille.sleep(0.02)
        log[#log + 1] = "slow"
      end,
      function() log[#log + 1] = 2 end,
      function()
        rille.sleep(0)
        log[#log + 1] = 3
      end,
      function() log[#log + 1] = 4 end,
    }, { n = 2 })
    assert.same({ 2, 3, 4, "slow" }, log)
  end)

  it("R29 the first error cancels the rest, waits for their cleanup and is raised as it is", function()
    for _, value in ipairs({ "text", false, {}, fault.new("EMINE", "mine"), "nil" }) do
      if value == "nil" then value = nil end
      local log = {}
      local r = table.pack(pcall(rille.all, {
        sleeper(log, "list"), fail_later(value), named = sleeper(log, "named"),
      }))
      assert.is_false(r[1])
      same_object(value, r[2])
      table.sort(log)
      assert.same({ "list", "named" }, log)
    end
  end)

  it("after an error starts none of those that wait for a place", function()
    local log = {}
    assert.equal("first", caught(rille.all, {
      sleeper(log, "cleanup"), fail_later("first"),
      function() log[#log + 1] = "started" end, function() log[#log + 1] = "started" end,
    }, { n = 2 }))
    assert.same({ "cleanup" }, log)
    assert.equal("at once", caught(rille.all, {
      function() error("at once", 0) end, function() log[#log + 1] = "started" end,
    }, { n = 1 }))
    turns()
    assert.same({ "cleanup" }, log)
  end)

  it("R40 errors of cleanups are attached to the first", function()
    local log, first = {}, fault.new("EFIRST", "first")
    same_object(first, caught(rille.all, { sleeper(log, "a", "cleanup failed"), fail_later(first) }))
    assert.same({ "cleanup failed" }, first.suppressed)
  end)

  it("R40 many errors that come with the first are told, then counted; its list has them all", function()
    local first, fns = fault.new("EFIRST", "first"), {}
    for i = 1, 2000 do
      fns[i] = function()
        rille.sleep(0)
        error(i == 1 and first or ("fault %05d"):format(i), 0)
      end
    end
    same_object(first, caught(rille.all, fns))
    assert.equal(1999, #first.suppressed)
    assert.equal("fault 02000", first.suppressed[1999])
    local story = rille.traceback(first)
    local _, told = story:gsub("\nsuppressed: fault %d%d%d%d%d%f[\n\0]", "")
    assert.is_true(told > 100)
    assert.is_true(#story < 20000)
    assert.equal(1999 - told, tonumber(story:match("\nsuppressed: (%d+) more$")))
  end)

  it("R61 cancelled from outside: all are cleaned up, those that wait for a place never start", function()
    local log = {}
    local task = rille.spawn(rille.all, { sleeper(log, "a"), sleeper(log, "b"),
      sleeper(log, "c") }, { n = 2 })
    until_waiting(task)
    turns()
    task:cancel()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.equal("cancelled", task:status())
    table.sort(log)
    assert.same({ "a", "b" }, log)
  end)

  it("refuses what it cannot run, before anything is started", function()
    local ran
    local function f() ran = true end
    for _, bad in ipairs({ 42, "text", false, f }) do
      has(caught(function() rille.all(bad) end), "bad argument #1 to 'all'")
    end
    has(caught(function() rille.all() end), "bad argument #1 to 'all'")
    assert.equal("string", type(caught(rille.all, { f, 42 })))
    assert.equal("string", type(caught(rille.all, { f, name = "text" })))
    for _, n in ipairs({ 0, -1, 1.5, "many", 0 / 0, {} }) do
      assert.equal("string", type(caught(rille.all, { f }, { n = n })))
    end
    has(caught(function() rille.all({ f }, 3) end), "bad argument #2 to 'all'")
    turns()
    assert.is_nil(ran)
  end)

  it("may be nested", function()
    local results = rille.all({
      a = function() return rille.all({ after(0.001, 1), after(0, 2) }) end,
      b = function() return rille.all({ x = after(0, 3) }, { n = 1 }) end,
    })
    assert.same({ a = { 1, 2 }, b = { x = 3 } }, results)
  end)
end)

describe("rille.race", function()
  it("gives the key and all the results of the first to finish", function()
    local log = {}
    assert.same({ n = 4, 2, "won", nil, false }, table.pack(rille.race({
      sleeper(log, 1),
      function()
        rille.sleep(0.001)
        return "won", nil, false
      end,
      sleeper(log, 3),
    })))
    table.sort(log)
    assert.same({ 1, 3 }, log)
  end)

  it("gives nils with their count", function()
    assert.same({ n = 3, "key" }, table.pack(rille.race({ key = function() return nil, nil end })))
    assert.same({ n = 1, "key" }, table.pack(rille.race({ key = function() rille.sleep(0) end })))
  end)

  it("has keys of every kind", function()
    local key = {}
    for _, k in ipairs({ key, true, 0.5, 7, "name" }) do
      local log = {}
      local won, value = rille.race({ sleeper(log, "list"), [k == 1 and 2 or k] = function() return "v" end })
      same_object(k, won)
      assert.equal("v", value)
    end
  end)

  it("waits for the cleanup of the others", function()
    local log = {}
    rille.race({
      slow = function()
        local _ <close> = closer(function()
          for _ = 1, 3 do rille.sleep(0.001) end
          log[#log + 1] = "cleanup"
        end)
        rille.sleep(60)
      end,
      fast = function()
        rille.sleep(0.001)
        log[#log + 1] = "won"
      end,
    })
    log[#log + 1] = "returned"
    assert.same({ "won", "cleanup", "returned" }, log)
  end)

  it("where all are ready at once the first of the list wins, once", function()
    local log, fns = {}, {}
    for i = 1, 5 do
      fns[i] = function()
        log[#log + 1] = i
        return "result " .. i
      end
    end
    assert.same({ 1, "result 1" }, { rille.race(fns) })
    assert.equal(1, log[1])
  end)

  it("where all are woken in one turn the first woken wins, once", function()
    local gate = new_gate()
    local fns = {}
    for i = 1, 5 do
      fns[i] = function()
        gate.wait()
        return "result " .. i
      end
    end
    local task = rille.spawn(rille.race, fns)
    until_waiting(task)
    turns()
    gate.open()
    assert.same({ 1, "result 1" }, { task:await() })
  end)

  it("where one fails and one wins in one turn, the first of them decides", function()
    local function run(order)
      local gate = new_gate()
      local fns = {}
      for i, what in ipairs(order) do
        fns[i] = function()
          gate.wait()
          if what == "fail" then error("failed", 0) end
          return what
        end
      end
      local task = rille.spawn(rille.race, fns)
      until_waiting(task)
      turns()
      gate.open()
      return pcall(task.await, task)
    end
    assert.same({ false, "failed" }, { run({ "fail", "win" }) })
    assert.same({ true, 1, "win" }, { run({ "win", "also" }) })
  end)

  it("R29 the error of the first to finish is raised as it is, after the others' cleanup", function()
    for _, value in ipairs({ "text", false, {}, fault.new("EMINE", "mine"), "nil" }) do
      if value == "nil" then value = nil end
      local log = {}
      local r = table.pack(pcall(rille.race, { sleeper(log, "cleanup"), fail_later(value) }))
      assert.is_false(r[1])
      same_object(value, r[2])
      assert.same({ "cleanup" }, log)
    end
  end)

  it("R40 errors of cleanups are attached to the error that is raised", function()
    local log, first = {}, fault.new("EFIRST", "first")
    same_object(first, caught(rille.race, { sleeper(log, "a", "cleanup failed"), fail_later(first) }))
    assert.same({ "cleanup failed" }, first.suppressed)
  end)

  it("R99 a loser's cleanup that fails does not take the victory away, and is not silent", function()
    local out = process.run(process.host("-e", [[
      local rille = require "rille"
      print(rille.race({
        function()
          local _ <close> = setmetatable({}, { __close = function()
            rille.sleep(0)
            error("the cleanup failed")
          end })
          rille.sleep(60)
        end,
        function() rille.sleep(0.001) return "won" end,
      }))
      rille.sleep(0)
      print("after")
    ]]))
    assert.equal("2\twon\nafter\n", out.stdout)
    has(out.stderr, "the cleanup failed")
    assert.equal(0, out.status)
  end)

  it("R66 reports the winner whatever the losers make of the signal", function()
    local function swallower()
      pcall(rille.sleep, 60)
      return "me too"
    end
    local key, value = rille.race({ swallower, function()
      rille.sleep(0.001)
      return "won"
    end, swallower })
    assert.same({ 2, "won" }, { key, value })
    rille.sleep(0)
  end)

  it("R66 a loser that always catches the signal does not hang it", function()
    local out = process.run(process.host("-e", [[
      local rille = require "rille"
      print(rille.race({
        function() while true do pcall(rille.sleep, 60) end end,
        function() rille.sleep(0.001) return "won" end,
      }))
      rille.sleep(0)
      print("after")
    ]]))
    assert.equal("2\twon\nafter\n", out.stdout)
    assert.equal(0, out.status, out.stderr)
  end)

  it("R61 cancelled from outside: all are cleaned up first", function()
    local log = {}
    local task = rille.spawn(rille.race, { sleeper(log, "a"), sleeper(log, "b") })
    until_waiting(task)
    turns()
    task:cancel("outside")
    local err = caught(task.await, task)
    assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
    has(err, "outside")
    assert.equal("cancelled", task:status())
    table.sort(log)
    assert.same({ "a", "b" }, log)
  end)

  it("R63 cancelled during the losers' cleanup: it is not cut short", function()
    local log, cleaning = {}, false
    local gate = new_gate()
    local task = rille.spawn(function()
      pcall(rille.race, {
        function() rille.sleep(0) end,
        function()
          local _ <close> = closer(function()
            cleaning = true
            gate.wait()
            rille.sleep(0)
            log[#log + 1] = "cleanup"
          end)
          rille.sleep(60)
        end,
      })
      log[#log + 1] = "ended"
      rille.sleep(60)
      log[#log + 1] = "lost"
    end)
    while not cleaning do rille.sleep(0) end
    task:cancel()
    turns()
    assert.same({}, log)
    gate.open()
    assert.is_true(rille.is_error(caught(task.await, task), "ECANCELED"))
    assert.same({ "cleanup", "ended" }, log)
  end)

  it("may be nested; the signal ends at whoever sent it", function()
    local log = {}
    local results = table.pack(rille.race({
      inner = function()
        local key, value = rille.race({ sleeper(log, "inner loser"), b = function()
          rille.sleep(0.001)
          return "inner"
        end })
        rille.sleep(0.001)
        return key, value
      end,
      outer = sleeper(log, "outer loser"),
    }))
    assert.same({ n = 3, "inner", "b", "inner" }, results)
    assert.same({ "inner loser", "outer loser" }, log)
  end)

  it("a race that loses a race cleans up its own children", function()
    local log = {}
    assert.equal("fast", (rille.race({
      slow = function() rille.race({ sleeper(log, "a"), sleeper(log, "b") }) end,
      fast = function() rille.sleep(0.001) end,
    })))
    table.sort(log)
    assert.same({ "a", "b" }, log)
  end)

  it("refuses what it cannot run, before anything is started, and a race of none", function()
    local ran
    local function f() ran = true end
    for _, bad in ipairs({ 42, "text", false, f }) do
      has(caught(function() rille.race(bad) end), "bad argument #1 to 'race'")
    end
    has(caught(function() rille.race() end), "bad argument #1 to 'race'")
    assert.equal("string", type(caught(rille.race, {})))
    assert.equal("string", type(caught(rille.race, { f, 42 })))
    assert.equal("string", type(caught(rille.race, { f, name = {} })))
    turns()
    assert.is_nil(ran)
  end)
end)
