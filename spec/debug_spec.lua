-- RILLE_DEBUG=1: what it has told of slow steps, of generators that were never used and of what is left open.
-- Other tests may be slow steps too, on a loaded machine: what is said of those is looked for by its words.
local process = require("spec.helper.process")

local has = require("spec.helper.expect").has

local HEAD = [[
  local rille, stream, http = require "rille", require "rille.stream", require "rille.http"
  local function busy(seconds)
    local start = os.clock()
    while os.clock() - start < (seconds or 0.2) do end
  end
  local gen = rille.generator(function(...)
    for _, v in ipairs({ ... }) do coroutine.yield(v) end
  end)
  rille.sleep(0) -- to load all that is a step of its own
]]

local LINES = select(2, HEAD:gsub("\n", "\n")) -- a script begins after these

-- Runs a script; gives what it did, with "x" for its name, and its lines counted from 1.
local function run(script, value)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  assert(file:write(HEAD, script))
  assert(file:close())
  local words = { "env", value and "RILLE_DEBUG=" .. value or "A=b" }
  table.move(process.host(path), 1, 9, #words + 1, words)
  local done = process.run(words)
  os.remove(path)
  done.stderr = done.stderr:gsub(path:gsub("%p", "%%%0") .. ":(%d+)", function(line)
    return "x:" .. math.tointeger(line) - LINES
  end)
  return done
end

-- What is said of slow steps, a report each: its first line, and the lines of its stack.
local function slow_steps(stderr)
  local reports = {}
  for line in stderr:gmatch("[^\n]+") do
    if line:find("^rille: slow step: ") then
      reports[#reports + 1] = { line }
    elseif #reports > 0 then
      table.insert(reports[#reports], line)
    end
  end
  return reports
end

local function find(reports, words)
  for _, report in ipairs(reports) do
    if table.concat(report, "\n"):find(words, 1, true) then return report end
  end
  error(("nothing of %q"):format(words), 2)
end

-- The warnings: all that is no report of a slow step.
local function warnings(done)
  local list = {}
  for line in done.stderr:gmatch("[^\n]+") do
    if line:find("^Lua warning: ") or line:find("^rille: error: ") then list[#list + 1] = line end
  end
  return list
end

describe("RILLE_DEBUG=1", function()
  describe("of a slow step", function()
    it("tells the task, how long it ran, and its stack when that was too long", function()
      local done = run([[
        rille.spawn(function()
          busy()
          rille.sleep(0)
        end).name = "worker"
        rille.sleep(0)
        print("done")
      ]], "1")
      assert.same({ 0, "done\n" }, { done.status, done.stdout })
      local report = find(slow_steps(done.stderr), "task 'worker'")
      assert.is_truthy(report[1]:find("task 'worker' [ranhsu ]+ for %d+%.%d%d s without waiting[^;]*; "
        .. "after 0.10 s it was at x:"), report[1])
      has(table.concat(report, "\n"), " in upvalue 'busy'\n\tx:2: in function <x:1>")
    end)

    it("tells the stacks of the coroutines that take the step together, the innermost first", function()
      local done = run([[
        local slow = rille.generator(function()
          busy()
          coroutine.yield(1)
        end)
        for _ in slow() do rille.sleep(0) end
      ]], "1")
      local report = table.concat(find(slow_steps(done.stderr), "x:2: in function <x:1>"), "\n")
      assert.is_truthy(report:find("<x:1>.*\nadvanced by task 'main':.*\tx:5: in main chunk"), report)
    end)

    it("names the C function that took the time", function()
      local done = run("os.execute('sleep 0.5')", "1")
      local report = find(slow_steps(done.stderr), "os.execute")
      assert.is_truthy(report[1]:find("it was at x:1", 1, true), report[1])
    end)

    it("tells of a place once, and in the end how often it was slow since", function()
      local done = run([[
        for _ = 1, 4 do
          os.execute("sleep 0.3")
          rille.sleep(0)
        end
      ]], "1")
      local reports = slow_steps(done.stderr)
      find(reports, "it was at x:2")
      assert.equal("rille: slow step: 3 more at x:2", find(reports, "more at x:2")[1])
      local _, count = done.stderr:gsub("it was at x:2\n", "")
      assert.equal(1, count)
    end)

    it("does not wait for the end of one that takes more than a second", function()
      local done = run([[
        busy(1.5)
        io.stderr:write("over\n")
      ]], "1")
      local report = done.stderr:find("'main' has run for %d+%.%d%d s without waiting, and goes on; after")
      assert.is_true(report < done.stderr:find("over\n", 1, true))
      assert.is_falsy(done.stderr:find("main' ran for", report, true))
    end)

    it("leaves the script's own hook where it is", function()
      local done = run([[
        local lines = 0
        local function count() lines = lines + 1 end
        debug.sethook(count, "l")
        busy()
        local before = lines
        busy(0.01)
        local hook, mask = debug.gethook()
        debug.sethook()
        print(lines > before, hook == count, mask)
        rille.sleep(0)
        debug.sethook(error, "", 1 << 30)
        busy()
        print(debug.gethook() == error, select(2, debug.gethook()), select(3, debug.gethook()))
      ]], "1")
      assert.equal("true\ttrue\tl\ntrue\t\t1073741824\n", done.stdout)
      find(slow_steps(done.stderr), "in local 'busy'")
    end)

    it("gives the script's own hook no event that it has not asked for", function()
      local done = run([[
        local events = {}
        local function note(event) events[event] = true end
        debug.sethook(note, "c")
        for _ = 1, 5 do
          rille.sleep(0)
          local start, x = os.clock(), 0
          while os.clock() - start < 0.2 do
            for i = 1, 1e6 do
              x = x + i
              x = x - 1
            end
          end
        end
        debug.sethook()
        for event in pairs(events) do io.write(event, "\n") end
      ]], "1")
      assert.equal("call\n", done.stdout)
      assert.is_truthy(slow_steps(done.stderr)[1])
    end)

    it("leaves errors, yields and closes as they are", function()
      local done = run([[
        local log = {}
        local g = rille.generator(function()
          local _ <close> = setmetatable({}, { __close = function() busy() log[#log + 1] = "closed" end })
          while true do
            busy()
            coroutine.yield("item")
          end
        end)()
        log[1] = g:next()
        log[2] = select(2, pcall(function() busy() error("an error", 0) end))
        log[3] = coroutine.wrap(function() busy() return "wrapped" end)()
        g:close()
        print(table.concat(log, " "))
      ]], "1")
      assert.equal("item an error wrapped closed\n", done.stdout)
      assert.equal(0, done.status)
    end)

    it("says nothing of waits", function() -- a step that does nothing may be slow, but not by that much
      local done = run([[
        rille.spawn(rille.sleep, 1.2)
        rille.sleep(1.2)
        print("done")
      ]], "1")
      assert.equal("done\n", done.stdout)
      assert.is_falsy(done.stderr:find("and goes on; after 0.10 s it was at x:%d"), done.stderr)
    end)
  end)

  describe("of generators", function()
    it("tells which were never used, once for each place", function()
      local done = run([[
        for _ = 1, 3 do gen() end
        collectgarbage()
        collectgarbage()
        warn("between")
        kept = gen()
      ]], "1")
      local list = warnings(done)
      assert.equal(3, #list)
      has(list[1], "the generator made at x:1 was never used: its body did not run")
      has(list[2], "between")
      has(list[3], "the generator made at x:5 was never used")
    end)

    it("says nothing of those that were used or closed", function()
      local done = run([[
        for _ in gen(1, 2) do end
        for _ in gen(1, 2) do break end
        local _ = stream.map(gen(1), tostring):collect()
        do local g <close> = gen() end
        local delegate = rille.generator(function() stream.yield_from(gen(1)) end)
        for _ in delegate() do end
      ]], "1")
      assert.same({}, warnings(done))
      assert.equal(0, done.status)
    end)

    it("tells which are open at the end", function()
      local done = run([[
        kept = gen(1)
        kept:next()
      ]], "1")
      local list = warnings(done)
      assert.equal(1, #list)
      has(list[1], "the generator made at x:1 and first used at x:2 is open at the end of the program")
    end)
  end)

  describe("of what is left open at the end", function()
    it("tells where a stream was made, and how many", function()
      local list = warnings(run([[
        kept = {}
        for i = 1, 2 do
          kept[i] = stream.merge({ 1 }, { 2 })
          kept[i]:next()
        end
      ]], "1"))
      assert.equal(1, #list)
      has(list[1], "the stream 'merge' made at x:3 is open at the end of the program (2 times)")
    end)

    it("tells where a response was opened", function()
      local list = warnings(run([[
        local server <close> = http.serve({ port = 0 }, function() return { body = ("x"):rep(1 << 20) } end)
        kept = http.stream(server.url)
      ]], "1"))
      assert.equal(1, #list)
      has(list[1], " opened at x:2 is open at the end of the program")
    end)

    it("tells where permits and a mutex were acquired", function()
      local list = warnings(run([[
        semaphore, mutex = rille.semaphore(3), rille.mutex() -- reachable to the end
        semaphore:acquire()
        kept = semaphore:acquire()
        mutex:acquire()
      ]], "1"))
      assert.equal(2, #list)
      has(list[1], "2 of 3 permits of a semaphore, the last acquired at x:3, are not given back")
      has(list[2], "the mutex acquired at x:4 is held")
    end)

    it("tells where a clock was opened, also if it was dropped", function()
      local list = warnings(run([[
        rille.test.clock()
        collectgarbage()
        collectgarbage()
        kept = rille.test.clock()
      ]], "1"))
      assert.equal(2, #list)
      has(list[1], "the clock opened at x:1 was dropped; time is real again")
      has(list[2], "the clock opened at x:4 is open at the end of the program")
    end)

    it("says nothing of what was closed", function()
      local done = run([[
        local server <close> = http.serve({ port = 0 }, function() return { body = "x" } end)
        local response <close> = http.stream(server.url)
        assert(http.get(server.url):text() == "x")
        local semaphore, mutex = rille.semaphore(1), rille.mutex()
        semaphore:acquire()
        semaphore:release()
        do
          local permit <close> = semaphore:acquire()
          local hold <close> = mutex:acquire()
        end
        local merged <close> = stream.merge({ 1 }, { 2 })
        merged:next()
        do local clock <close> = rille.test.clock() end
      ]], "1")
      assert.same({}, warnings(done))
      assert.equal(0, done.status)
    end)

    it("says nothing if the program has failed", function()
      local done = run([[
        kept, unused = gen(1), gen()
        kept:next()
        error("failed")
      ]], "1")
      assert.equal(1, done.status)
      assert.same({}, warnings(done))
    end)
  end)
end)

describe("RILLE_DEBUG", function()
  it("is off by default: nothing more is told", function()
    local done = run([[
      kept, unused, mutex = gen(1), gen(), rille.mutex()
      kept:next()
      mutex:acquire()
      busy()
    ]])
    assert.same({ status = 0, stdout = "", stderr = "" }, done)
  end)

  it("=strict makes errors of what is left open or was never used, and none of slow steps", function()
    for script, words in pairs({
      ["kept = gen(1) kept:next()"] = "is open at the end of the program",
      ["gen()"] = "was never used",
      ["mutex = rille.mutex() mutex:acquire()"] = "is held at the end",
    }) do
      local done = run(script, "strict")
      assert.equal(1, done.status)
      has(done.stderr, "rille: error: ")
      has(done.stderr, words)
    end
    local done = run("busy()", "strict")
    assert.equal(0, done.status)
    find(slow_steps(done.stderr), "task 'main'")
  end)

  it("with any other value says which there are, and goes on", function()
    local done = run("print('on')", "yes")
    assert.same({ 0, "on\n", "rille: RILLE_DEBUG can be '1' or 'strict'; 'yes' is ignored\n" },
      { done.status, done.stdout, done.stderr })
    assert.equal("", run("", "").stderr)
  end)
end)
