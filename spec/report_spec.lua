-- What is told of tasks: rille.tasks, the tree that SIGUSR1 prints, and RILLE_DEBUG=strict.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local expect = require("spec.helper.expect")
local rille = require("rille")
local process = require("spec.helper.process")

local has, until_waiting = expect.has, expect.until_waiting

local function here()
  local info = debug.getinfo(2, "Sl")
  return info.short_src .. ":" .. info.currentline
end

local function entry_of(task)
  for _, entry in ipairs(rille.tasks()) do
    if entry.task == task then return entry end
  end
end

-- Tasks that end with the block.
local function tasks_of_a_block()
  local tasks = {}
  return setmetatable(tasks, {
    __close = function()
      for _, task in ipairs(tasks) do task:cancel() end
      for _, task in ipairs(tasks) do task:join() end
    end,
    __call = function(_, ...)
      tasks[#tasks + 1] = rille.spawn(...)
      return tasks[#tasks]
    end,
  })
end

local function script_file(script)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(script))
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

-- A strict program tells of slow steps too, and on a slow machine any step may be one: spec/debug_spec.lua's.
local function without_slow_steps(text)
  local kept, is_report = {}, false
  for line in text:gmatch("[^\n]*\n?") do
    local goes_on = line:find("^\t") or line == "stack traceback:\n" or line:find("^advanced by ")
    is_report = line:find("^rille: slow step: ") or is_report and goes_on
    if not is_report then kept[#kept + 1] = line end
  end
  return table.concat(kept)
end

local function run(script, ...)
  local file <close> = script_file(script)
  local words = { "env", ... }
  table.move(process.host(file.path), 1, 9, #words + 1, words)
  local result = process.run(words)
  result.stderr = without_slow_steps(result.stderr)
  return result
end

describe("rille.tasks", function()
  it("R114 lists the live tasks, the oldest first", function()
    local spawn <close> = tasks_of_a_block()
    local before = #rille.tasks()
    local first, second = spawn(rille.sleep, 60), spawn(rille.sleep, 60)
    local list = rille.tasks()
    assert.equal(before + 2, #list)
    assert.equal(first, list[before + 1].task)
    assert.equal(second, list[before + 2].task)
    first:cancel()
    first:join()
    assert.is_nil(entry_of(first))
    assert.equal(second, rille.tasks()[before + 1].task)
  end)

  it("R114 says what a task waits for, where, and since when", function()
    local spawn <close> = tasks_of_a_block()
    local where, spawned
    local function nap()
      where = here() rille.sleep(60)
      return nil
    end
    spawned = here() local task = spawn(nap)
    task.name = "sleeper"
    until_waiting(task)
    local entry = entry_of(task)
    rille.sleep(0.01)
    assert.same({ "sleeper", "waiting" }, { entry.name, entry.state })
    assert.same({ "sleep", where }, { entry.waits_for, entry.where })
    assert.equal(spawned:match("[^:]+"), entry.spawned:match("[^:]+"))
    assert.equal("float", math.type(entry.since))
    assert.is_true(entry.since >= 0 and entry.since < 60)
    assert.is_true(entry_of(task).since > entry.since)
  end)

  it("R114 says nothing of waits for a task that does not wait", function()
    local spawn <close> = tasks_of_a_block()
    local entry = entry_of(spawn(function() end))
    assert.same({ "ready" }, { entry.state, entry.waits_for, entry.where, entry.since })
    local event = rille.event()
    local woken = spawn(event.wait, event)
    until_waiting(woken)
    assert.equal("event", entry_of(woken).waits_for:match("event"))
    event:set()
    entry = entry_of(woken)
    assert.same({ "ready" }, { entry.state, entry.waits_for, entry.where, entry.since })
  end)

  it("R114 the caller runs, also inside a generator that has waited", function()
    local state, within
    local body = rille.generator(function()
      rille.sleep(0)
      rille.sleep(0)
      local me = rille.tasks()
      for _, entry in ipairs(me) do
        if entry.name == "the caller" then state, within = entry.state, entry.within end
      end
      coroutine.yield(1)
    end)
    local task = rille.spawn(function()
      for _ in body() do break end
    end)
    task.name = "the caller"
    task:await()
    assert.equal("running", state)
    assert.equal(1, #within)
    has(within[1], "generator (")
  end)

  it("R114 names the coroutines that a task is in, the innermost first", function()
    local spawn <close> = tasks_of_a_block()
    local task = spawn(function()
      coroutine.wrap(function()
        for _ in rille.generator(function() rille.sleep(60) end)() do break end
      end)()
    end)
    until_waiting(task)
    local within = entry_of(task).within
    assert.equal(2, #within)
    assert.is_truthy(within[1]:find("^generator %(.*report_spec.lua:%d+%)$"), within[1])
    assert.is_truthy(within[2]:find("^coroutine %(.*report_spec.lua:%d+%)$"), within[2])
  end)

  it("R114 names sixteen coroutines of a deeper chain, and counts the others", function()
    local spawn <close> = tasks_of_a_block()
    local function nested(n)
      return rille.generator(function()
        if n == 0 then rille.sleep(60) end
        for v in nested(n - 1) do coroutine.yield(v) end
      end)()
    end
    local task = spawn(function()
      for _ in nested(99) do break end
    end)
    until_waiting(task)
    local within = entry_of(task).within
    assert.equal(17, #within)
    assert.equal("84 more", within[17])
  end)

  it("R114 names the task that another one awaits", function()
    local spawn <close> = tasks_of_a_block()
    local worker = spawn(rille.sleep, 60)
    worker.name = "worker"
    local waiter = spawn(function() worker:join() end)
    until_waiting(waiter)
    assert.equal("task 'worker'", entry_of(waiter).waits_for)
    has(tostring(waiter), "waiting for task 'worker' (")
  end)

  it("R114 tells no place of what waits outside of the script", function()
    local server <close> = require("rille.http").serve({}, print)
    rille.sleep(0)
    for _, entry in ipairs(rille.tasks()) do
      if entry.name == "http.serve " .. server.url then
        assert.equal(("task '%s' (waiting for a request)"):format(entry.name), tostring(entry.task))
        return
      end
    end
    error("the task of the server is not told of")
  end)

  it("R114 tells the parent as long as it lives, and keeps nothing alive", function()
    local spawn <close> = tasks_of_a_block()
    local child
    local weak = setmetatable({}, { __mode = "v" })
    do
      local parent = rille.spawn(function()
        child = spawn(rille.sleep, 60)
        rille.sleep(60)
      end)
      until_waiting(parent)
      assert.equal(parent, entry_of(child).parent)
      parent:cancel()
      parent:join()
      weak[1] = parent
    end
    assert.is_nil(entry_of(child).parent)
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    assert.equal("waiting", child:status())
  end)

  it("R114 a task that takes an ended parent's place is not taken for it", function()
    local spawn <close> = tasks_of_a_block()
    local child
    local parent = rille.spawn(function() child = spawn(rille.sleep, 60) end)
    parent:await()
    local later = {}
    for i = 1, 20 do later[i] = spawn(rille.sleep, 60) end
    assert.is_nil(entry_of(child).parent)
    assert.equal(20, #later)
  end)

  it("R114 the child of a group was spawned where the script says so", function()
    local spawned, entry
    rille.group(function(group)
      spawned = here() local child = group:spawn(rille.sleep, 0.001)
      entry = entry_of(child)
    end)
    assert.equal(spawned, entry.spawned)
    assert.equal(spawned, entry.name)
  end)

  it("R114 may be called where nothing may wait", function()
    table.sort({ 2, 1 }, function()
      assert.is_true(#rille.tasks() >= 1)
      return false
    end)
  end)
end)

describe("SIGUSR1", function()
  it("prints the tree of tasks, each under the one that spawned it", function()
    local file <close> = script_file([[
      local rille = require "rille"
      local inner = rille.generator(function() rille.sleep(60) end)
      local outer = rille.generator(function()
        for v in inner() do coroutine.yield(v) end
      end)
      local parent = rille.spawn(function()
        local child = rille.spawn(function()
          for _ in outer() do end
        end)
        child.name = "child"
        child:await()
      end)
      parent.name = "parent"
      rille.spawn(function() rille.spawn(rille.sleep, 60) end):await()
      print("ready")
      parent:await()
    ]])
    local child <close> = process.start({ process.rille, file.path })
    child:expect("ready\n")
    child:signal("USR1")
    child:poll(function() return child:stderr():find("\n.*\n.*\n.*\n.*\n") end, "the tree")
    child:signal("TERM")
    local result = child:wait()
    assert.equal(143, result.status)
    local tree = result.stderr:gsub(file.path:gsub("%p", "%%%0"), "x.lua"):gsub("%d+%.%d s", "N s")
    assert.equal([[
rille: 4 tasks
task 'main' (waiting), waits for task 'parent' (x.lua:16) for N s
  task 'parent' (waiting), waits for task 'child' (x.lua:11) for N s, spawned at x.lua:6
    task 'child' (waiting), waits for sleep (x.lua:2) for N s, ]]
      .. [[
in generator (x.lua:2) in generator (x.lua:3), spawned at x.lua:7
task 'x.lua:14' (waiting), waits for sleep for N s
]], tree)
  end)

  it("is answered by a program that only computes when it comes to wait", function()
    local file <close> = script_file([[
      local rille = require "rille"
      print("ready")
      io.stdout:flush()
      local t = os.time()
      while not io.open(arg[1]) do end
      rille.sleep(0)
      rille.sleep(0)
    ]])
    local go = os.tmpname()
    os.remove(go)
    local child <close> = process.start({ process.rille, file.path, go })
    child:expect("ready\n")
    child:signal("USR1")
    assert(io.open(go, "w")):close()
    local result = child:wait()
    os.remove(go)
    assert.equal(0, result.status)
    has(result.stderr, "rille: 1 task\ntask 'main' (")
  end)

  it("does not keep the program alive, nor hide a deadlock", function()
    local file <close> = script_file([[
      local rille = require "rille"
      print("ready")
      rille.sleep(0.05)
      rille.callback(function() end)
    ]])
    local child <close> = process.start({ process.rille, file.path })
    child:expect("ready\n")
    child:signal("USR1")
    child:signal("USR1")
    local result = child:wait()
    assert.equal(1, result.status)
    has(result.stderr, "deadlock")
  end)
end)

local DROPPED = [[
  local rille = require "rille"
  local gen = rille.generator(function()
    local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) print("cleanup") end })
    coroutine.yield(1)
  end)
  do
    local g = gen()
    g:next()
  end
  collectgarbage()
  collectgarbage()
  rille.sleep(0.01)
  print("goes on")
]]

describe("RILLE_DEBUG=strict", function()
  it("R115 turns a warning into an error of the program, which ends after its cleanup", function()
    local result = run(DROPPED, "RILLE_DEBUG=strict")
    assert.same({ 1, "cleanup\n" }, { result.status, result.stdout })
    assert.is_truthy(result.stderr:find("^rille: error: the generator made at [^ ]+ and first used at"))
  end)

  it("R115 is off by default: warnings do not change the status, and can be silenced", function()
    local result = run(DROPPED)
    assert.same({ 0, "cleanup\ngoes on\n" }, { result.status, result.stdout })
    has(result.stderr, "Lua warning: rille: the generator made at")
    assert.same({ status = 0, stdout = "cleanup\ngoes on\n", stderr = "" }, run("warn('@off')" .. DROPPED))
    assert.equal(0, run(DROPPED, "RILLE_DEBUG=1").status)
  end)

  it("R115 cannot be silenced", function()
    local result = run("warn('@off')" .. DROPPED, "RILLE_DEBUG=strict")
    assert.equal(1, result.status)
    has(result.stderr, "rille: error: the generator made at")
  end)

  it("R115 holds for the script's own warnings, and for errors in finalisers to the last", function()
    local result = run([[
      warn("mind ", "the ", "gap")
      require("rille").sleep(60)
    ]], "RILLE_DEBUG=strict")
    assert.same({ status = 1, stdout = "", stderr = "rille: error: mind the gap\n" }, result)
    result = run("x = setmetatable({}, { __gc = function() error('no end', 0) end })", "RILLE_DEBUG=strict")
    assert.equal(1, result.status)
    has(result.stderr, "rille: error: error in __gc")
    has(result.stderr, "no end")
  end)

  it("R115 holds for what is left at the end, and leaves another status as it is", function()
    local bad = [[
      local rille = require "rille"
      g = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function() error("no cleanup") end })
        coroutine.yield(1)
      end)()
      g:next()
    ]]
    local result = run(bad, "RILLE_DEBUG=strict")
    assert.equal(1, result.status)
    has(result.stderr, "rille: error: error while closing the generator made at")
    assert.equal(0, run(bad).status)
    assert.equal(7, run(bad .. "os.exit(7)", "RILLE_DEBUG=strict").status)
    assert.equal(1, run(bad .. "os.exit(0)", "RILLE_DEBUG=strict").status)
  end)

  it("R115 holds for a loser of a race that fails in its cleanup", function()
    local race = [[
      local rille = require "rille"
      print(rille.race {
        winner = function() rille.sleep(0.001) return 1 end,
        loser = function()
          local _ <close> = setmetatable({}, { __close = function() error("sore loser", 0) end })
          rille.sleep(60)
        end,
      })
    ]]
    local result = run(race)
    assert.same({ 0, "winner\t1\n" }, { result.status, result.stdout })
    has(result.stderr, "Lua warning: rille: a task that lost a race failed in its cleanup: sore loser")
    result = run(race, "RILLE_DEBUG=strict")
    assert.equal(1, result.status)
    has(result.stderr, "rille: error: a task that lost a race failed in its cleanup: sore loser")
  end)

  it("R115 holds for a task that is killed, and for one whose cleanup fails after a cancel", function()
    local killed = [[
      local rille = require "rille"
      local t = rille.spawn(function() while true do pcall(rille.sleep, 60) end end)
      rille.sleep(0)
      t:cancel()
      t:join()
    ]]
    local result = run(killed, "RILLE_DEBUG=strict")
    assert.equal(1, result.status)
    has(result.stderr, "caught its cancellation too often and was killed; it waits for")
    assert.equal(0, run(killed).status)
    local failed = [[
      local rille = require "rille"
      local t = rille.spawn(function()
        local _ <close> = setmetatable({}, { __close = function() error("no cleanup", 0) end })
        rille.sleep(60)
      end)
      rille.sleep(0)
      t:cancel()
      t:join()
    ]]
    assert.equal(1, run(failed, "RILLE_DEBUG=strict").status)
    result = run(failed)
    assert.equal(0, result.status)
    has(result.stderr, "rille: no cleanup")
  end)
end)
