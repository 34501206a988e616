-- `rille test`: busted inside the host, with a limit of time, leaks, and the last line.
local process = dofile("spec/helper/process.lua")

local HEAD = 'local rille = require "rille" local http = require "rille.http" '
  .. "local two = rille.generator(function() coroutine.yield(1) coroutine.yield(2) end) "

-- Runs `rille test` with these words in a directory with these files: name -> text.
local function run(files, ...)
  local pipe <close> = assert(io.popen("mktemp -d"))
  local directory = pipe:read("l")
  local _ <close> = setmetatable({}, { __close = function() os.execute("rm -rf " .. directory) end })
  for name, text in pairs(files) do
    assert(os.execute(("mkdir -p %s/%s"):format(directory, name:match("^(.-)[^/]*$"))))
    local file <close> = assert(io.open(directory .. "/" .. name, "w"))
    assert(file:write(text))
  end
  return process.run(process.host("test", ...), { cwd = directory })
end

-- Of one spec: its body, with what is needed at hand. TAP is short, and its last line is on stderr.
local function run_body(body, ...)
  return run(
    { ["a_spec.lua"] = HEAD .. 'describe("a", function() ' .. body .. " end)" },
    "-o", "TAP", "a_spec.lua", ...)
end

local function has(text, what)
  assert.is_truthy(text:find(what, 1, true), ("%s\n---\n%s"):format(what, text))
end

local function has_not(text, what) assert.is_nil(text:find(what, 1, true), text) end

local function counts(result, line)
  local told = result.stderr ~= "" and result.stderr or result.stdout
  assert.equal(line .. "\n", told:match("[^\n]*\n$"), result.stdout .. result.stderr)
  assert.equal(line:find(" 0 failed", 1, true) and 0 or 1, result.status)
end

describe("rille test", function()
  it("runs the specs below spec/, where every function may wait", function()
    local result = run { ["spec/deep/a_spec.lua"] = [[
      local rille = require "rille"
      local log = {}
      local function step(name) rille.sleep(0.001) log[#log + 1] = name end
      step "file"
      describe("a", function()
        step "describe"
        setup(function() step "setup" end)
        lazy_setup(function() step "lazy" end)
        before_each(function() step "before" end)
        it("waits", function() step "it" finally(function() step "finally" end) end)
        after_each(function() step "after" end)
        teardown(function() step "teardown" print(table.concat(log, " ")) end)
      end)]] }
    has(result.stdout, "file describe setup lazy before it finally after teardown\n")
    assert.equal("1 passed, 0 failed\n", result.stdout:match("[^\n]*\n$"))
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
  end)

  it("ends with the counts, and status 1 if a test failed", function()
    local result = run_body [[
      it("b", function() end)
      it("c", function() rille.sleep(0) assert.equal(1, 2) end)
      it("d", function() rille.sleep(0) error("oops") end)
      pending("e")]]
    has(result.stdout, "not ok 2 - a c")
    has(result.stdout, "Failure message: a_spec.lua:3: oops")
    counts(result, "1 passed, 2 failed, 1 pending")
  end)

  it("blames the script's line for what the host's modules raise", function()
    local result = run_body 'it("b", function()\nhttp.get("http://127.0.0.1:1/") end)'
    has(result.stdout, "Failure message: a_spec.lua:2: GET http://127.0.0.1:1/: connection refused")
  end)

  it("counts an error in before_each, in a describe and in a file", function()
    local failed = "0 passed, 1 failed"
    counts(run_body [[before_each(function() error("oops") end) it("b", function() end)]], failed)
    counts(run_body [[error("oops")]], failed)
    counts(run({ ["a_spec.lua"] = "error('oops')" }, "-o", "TAP", "."), failed)
    counts(run({}, "nothing"), "0 passed, 2 failed") -- no such file, and no test at all
  end)

  it("passes the options on", function()
    local body = 'it("b", function() print("ran b") end) it("c", function() print("ran c") end)'
    local result = run_body(body, "--filter=b$")
    has(result.stdout, "ran b")
    has_not(result.stdout, "ran c")
    counts(result, "1 passed, 0 failed")
    counts(run_body(body, "--repeat=3"), "6 passed, 0 failed")
    counts(run_body(body, "--shuffle"), "2 passed, 0 failed")
    result = run_body(body, "--list")
    assert.equal("a_spec.lua:1: a b\na_spec.lua:1: a c\n", result.stdout)
    assert.equal("", result.stderr)
  end)

  it("reads .busted, with a timeout too", function()
    local files = {
      [".busted"] = [[return { default = {
        ROOT = { "here" }, pattern = "_check", timeout = 0.05, output = "TAP", lua = "/nonexistent",
      } }]],
      ["here/a_check.lua"] = 'it("a", function() require("rille").sleep(60) end)',
      ["here/a_spec.lua"] = 'it("b", function() end)',
    }
    local result = run(files)
    has(result.stdout, "timed out after 0.05 s")
    counts(result, "0 passed, 1 failed")
    has(run(files, "--timeout", "0.06").stdout, "timed out after 0.06 s")
  end)

  it("gives its usage, and refuses what it does not know", function()
    local result = run({}, "--help")
    assert.equal(0, result.status)
    has(result.stdout, "Usage: rille test [OPTIONS]")
    has(result.stdout, "--timeout=SECONDS")
    for _, word in ipairs { "--timeout=x", "--timeout=0", "--nonsense" } do
      result = run({}, word)
      assert.equal(2, result.status)
      has(result.stderr, "rille test: error: ")
      assert.equal("", result.stdout)
    end
    assert.equal(2, run({ [".busted"] = "return { default = { timeout = 'x' } }" }).status)
  end)

  describe("on a terminal", function()
    local name, path

    -- `rille test` on a terminal, with these variables set.
    local function on_terminal(variables)
      local command = ("%s '%s' test --pattern=. %s"):format(variables, process.rille, path)
      local result = process.run { "script", "-qec", command, "/dev/null" }
      has(result.stdout, "2 passed, 0 failed\r\n")
      assert.equal(0, result.status)
      return result.stdout
    end

    before_each(function()
      name = os.tmpname()
      path = name .. "_whose_name_is_rather_long.lua"
      local file <close> = assert(io.open(path, "w"))
      assert(file:write('describe("a", function() it("b", print) it("c", print) end)'))
    end)

    after_each(function()
      os.remove(name)
      os.remove(path)
    end)

    it("tells how far it is", function()
      local seen = on_terminal("TERM=xterm NO_COLOR=")
      has(seen, ("\r\27[K0 passed, 0 failed  %s: a b"):format(path))
      has(seen, ("\r\27[K1 passed, 0 failed  %s: a c"):format(path))
    end)

    it("tells so in one line, however narrow the terminal is", function()
      local seen = on_terminal("stty cols 40; TERM=xterm NO_COLOR=")
      local lines = 0
      for line in seen:gmatch("\r\27%[K([^\r]+)") do
        lines = lines + 1
        assert.equal(39, #line)
        assert.is_truthy(line:find("^%d passed, 0 failed  /.*%.%.%.$"), line)
      end
      assert.equal(2, lines)
    end)

    it("writes text only, if NO_COLOR is set or the terminal is dumb", function()
      for _, variables in ipairs { "TERM=xterm NO_COLOR=1", "TERM=dumb" } do
        local seen = on_terminal(variables)
        has_not(seen, "\27")
        has(seen, "\r\n2 successes / 0 failures / 0 errors / 0 pending")
      end
    end)
  end)

  it("says how to get busted", function()
    local result = process.run(process.host("-e", "package.path = ''", "test"))
    assert.equal(1, result.status)
    assert.equal("rille: 'rille test' needs busted; install it: sudo apt-get install lua-busted\n",
      result.stderr)
  end)

  it("gives each file the same rille, whatever it has loaded", function()
    local text = 'local rille, json = require "rille", require "rille.json" '
      .. '_G.test_seen = rawget(_G, "test_seen") it("a", function() print(rille, json) end)'
    local result = run({ ["a_spec.lua"] = text, ["b_spec.lua"] = text }, "-o", "TAP", ".")
    local first, second = result.stdout:match("(table: [^\n]+)\n.-(table: [^\n]+)\n")
    assert.is_string(second)
    assert.equal(first, second)
  end)

  it("ends at SIGINT, and does not try the rest", function()
    local program <close> = process.start(process.host("test", "--filter=until", "--timeout=100", "-e",
      'package.path = "./?.lua;" .. package.path', "spec/helper/interrupted.lua"))
    program:expect("begun")
    program:signal("INT")
    local result = program:wait()
    assert.equal(130, result.status)
    has(result.stdout, "cleanup\n")
    has_not(result.stdout, "tried")
  end)
end)

describe("rille test, a test that takes too long", function()
  it("fails with what it waited for, and with what its tasks did", function()
    local result = run_body([[
      it("b", function()
        local done = rille.event()
        rille.group(function(group)
          group:spawn(function() done:wait() end)
        end)
      end)
      it("c", function() end)]], "--timeout=0.05")
    has(result.stdout, "a_spec.lua:3: timed out after 0.05 s, waiting for a task\n")
    has(result.stdout, "meanwhile 1 task\n")
    has(result.stdout, "task 'a_spec.lua:4' (waiting), waits for an event (a_spec.lua:4)")
    counts(result, "1 passed, 1 failed")
  end)

  it("fails though it has caught the signal, and though a clock is open", function()
    local result = run_body([[
      it("b", function() pcall(rille.sleep, 60) end)
      it("c", function()
        local server <close> = http.serve({}, function() rille.event():wait() end)
        local clock <close> = rille.test.clock()
        http.get(server.url)
      end)
      it("d", function()
        local clock <close> = rille.test.clock()
        rille.sleep(3600)
      end)]], "--timeout=0.2")
    has(result.stdout, "not ok 1 - a b")
    has(result.stdout, "a_spec.lua:1: timed out after 0.2 s, waiting for sleep")
    has(result.stdout, "timed out after 0.2 s, waiting for http.get")
    counts(result, "1 passed, 2 failed")
  end)

  it("may be in a before_each, a setup or a file; the rest has its own time", function()
    local result = run_body([[
      describe("b", function()
        before_each(function() rille.sleep(60) end)
        after_each(function() rille.sleep(0.001) print("after") end)
        it("never", function() end)
      end)
      describe("c", function() setup(function() rille.sleep(60) end) it("never", function() end) end)
      it("d", function() rille.sleep(0.001) end)
      rille.sleep(60)]], "--timeout=0.5")
    counts(result, "0 passed, 1 failed") -- the describe: what it has does not run
    result = run_body([[
      describe("b", function()
        before_each(function() rille.sleep(60) end)
        after_each(function() rille.sleep(0.001) print("after") end)
        it("never", function() end)
      end)
      describe("c", function() setup(function() rille.sleep(60) end) it("never", function() end) end)
      it("d", function() rille.sleep(0.001) end)]], "--timeout=0.5")
    has(result.stdout, "after\n")
    counts(result, "1 passed, 2 failed")
  end)
end)

describe("rille test, a test that leaves something open", function()
  local function leaves(body, ...)
    local result = run_body(body, ...)
    has(result.stdout, "left behind:")
    return result
  end

  it("fails: a task", function()
    local result = leaves [[
      it("b", function() rille.spawn(function() rille.event():wait() end) end)
      it("c", function() assert.equal(1, #rille.tasks()) end)]]
    has(result.stdout, "not ok 1 - a b")
    has(result.stdout, "task 'a_spec.lua:1' (waiting), waits for an event (a_spec.lua:1)\n")
    counts(result, "1 passed, 1 failed")
  end)

  it("fails: a generator, also if it was collected meanwhile", function()
    for _, rest in ipairs { "", "g = nil collectgarbage() collectgarbage()" } do
      local result = leaves('local g it("b", function()\ng = two()\ng:next() ' .. rest
        .. " end)\n" .. 'it("c", function() collectgarbage() local h <close> = two() h:next() end)')
      has(result.stdout, "the generator made at a_spec.lua:2 and first used at a_spec.lua:3 is open")
      counts(result, "1 passed, 1 failed")
    end
  end)

  it("fails: a streamed response, a server, a clock", function()
    local result = leaves [[
      local server
      setup(function() server = http.serve({}, function() return { body = ("x"):rep(1000000) } end) end)
      teardown(function() server:close(0) end)
      it("b", function() http.stream(server.url) end)
      it("c", function() http.serve({}, print) end)
      it("d", function() rille.test.clock() rille.sleep(60) end)
      it("e", function()
        local res <close> = http.stream(server.url)
        local clock <close> = rille.test.clock()
        assert.equal(1000000, #http.stream(server.url):text())
      end)]]
    has(result.stdout, "the response of GET " )
    has(result.stdout, " opened at a_spec.lua:4 is open")
    has(result.stdout, "task 'http.serve http://127.0.0.1:")
    has(result.stdout, "the clock opened at a_spec.lua:6 is open")
    counts(result, "1 passed, 3 failed")
  end)

  it("does not fail for what its setup or before_each opened, and what is closed after it", function()
    counts(run_body [[
      local s, l, b
      setup(function() s = two() s:next() end)
      teardown(function() s:close() end)
      lazy_setup(function() l = two() l:next() end)
      lazy_teardown(function() l:close() end)
      before_each(function() b = two() b:next() end)
      after_each(function() b:close() end)
      it("b", function() local g = two() g:next() finally(function() g:close() end) end)
      it("c", function() for _ in two() do break end two() end)
      it("d", function() rille.spawn(function() rille.sleep(0) end) end)]], "3 passed, 0 failed")
  end)

  it("is a describe or a file, if its setup opened it", function()
    local result = leaves [[
      describe("b", function() setup(function() _G.g = two() _G.g:next() end) it("c", function() end) end)]]
    has(result.stdout, "not ok 2 - a b")
    counts(result, "1 passed, 1 failed")
    local text = HEAD .. 'g = two() g:next() it("a", function() end)'
    result = run({ ["a_spec.lua"] = text }, "-o", "TAP", ".")
    has(result.stdout, "left behind:")
    counts(result, "1 passed, 1 failed")
  end)

  it("is told of its failure only if it has failed already, and may say that it leaks", function()
    local result = run_body [[
      it("b", function() two():next() error("oops") end)
      it("c", function() rille.test.may_leak() two():next() end)]]
    has_not(result.stdout, "left behind")
    counts(result, "1 passed, 1 failed")
  end)
end)

describe("rille test, a background task that fails", function()
  it("fails the test under way at once, with its story, and the run goes on", function()
    local result = run_body([[
      it("b", function()
        local done = rille.event()
        rille.spawn(function() rille.sleep(0) error("oops") end)
        finally(function() rille.sleep(0) print("finally b") end)
        done:wait()
        print("not reached")
      end)
      it("c", function() rille.sleep(0) end)]], "--timeout=1000")
    has(result.stdout, "not ok 1 - a b")
    has(result.stdout, "Failure message: a background task has failed: a_spec.lua:3: oops\n")
    has(result.stdout, "a_spec.lua:3: in function <a_spec.lua:3>")
    has(result.stdout, "task 'a_spec.lua:3' spawned at a_spec.lua:3 by task 'main'")
    has(result.stdout, "finally b\n")
    has(result.stdout, "ok 2 - a c")
    has_not(result.stdout, "not reached")
    counts(result, "1 passed, 1 failed")
  end)

  it("tells where the test was, if its error has no place", function()
    local result = run_body([[
      it("b", function()
        rille.spawn(http.get, "http://127.0.0.1:1/")
        rille.event():wait()
      end)]], "--timeout=1000")
    has(result.stdout,
      "a_spec.lua:3: a background task has failed: GET http://127.0.0.1:1/: connection refused")
    counts(result, "0 passed, 1 failed")
  end)

  it("fails a test that has caught its signal, that has a shield, and that has failed", function()
    local result = run_body([[
      local function fail() error("oops") end
      it("b", function() rille.spawn(fail) pcall(rille.sleep, 3600) end)
      it("c", function()
        rille.spawn(fail)
        rille.shield(function() rille.sleep(0.001) print("shielded") end)
      end)
      it("d", function()
        rille.spawn(fail)
        if not pcall(rille.sleep, 3600) then error("other") end
      end)
      it("e", function() rille.spawn(fail) rille.spawn(fail) rille.event():wait() end)
      it("f", function() end)]], "--timeout=1000", "-o", "plainTerminal")
    local _, times = result.stdout:gsub("a background task has failed: a_spec.lua:1: oops\n", "")
    assert.equal(5, times)
    has(result.stdout, "a_spec.lua:9: other")
    has(result.stdout, "shielded\n")
    counts(result, "1 passed, 4 failed")
  end)

  it("fails the test that it belongs to, if that does not wait", function()
    local result = run_body [[
      it("b", function() rille.spawn(function() rille.sleep(0) error("oops") end) end)
      it("c", function() end)]]
    has(result.stdout, "not ok 1 - a b")
    has(result.stdout, "a background task has failed: a_spec.lua:1: oops\n")
    has_not(result.stdout, "left behind")
    has(result.stdout, "ok 2 - a c")
    counts(result, "1 passed, 1 failed")
  end)

  it("fails what is before and after a test, a block and a file", function()
    local function told(body, line)
      local result = run_body("local function fail() error('oops') end " .. body, "--timeout=1000")
      local _, times = result.stdout:gsub("a background task has failed: a_spec.lua:1: oops\n", "")
      assert.equal(1, times, result.stdout)
      counts(result, line)
    end
    local wait = "rille.spawn(fail) rille.event():wait()"
    local test = ' it("b", function() end)'
    told("before_each(function() " .. wait .. " end)" .. test, "0 passed, 1 failed")
    told("setup(function() " .. wait .. " end)" .. test, "0 passed, 1 failed")
    told("setup(function() rille.spawn(fail) end)" .. test, "1 passed, 1 failed")
    told("after_each(function() " .. wait .. " end)" .. test, "1 passed, 1 failed")
    told("teardown(function() " .. wait .. " end)" .. test, "1 passed, 1 failed")
    told("teardown(function() rille.spawn(fail) end)" .. test, "1 passed, 1 failed")
    told(wait .. test, "0 passed, 1 failed")
    told(test .. " rille.spawn(fail)", "1 passed, 1 failed")
  end)

  it("is that of the test under way, whoever has spawned it", function()
    local result = run_body([[
      local go = rille.event()
      setup(function() rille.spawn(function() go:wait() error("oops") end) end)
      it("b", function() rille.sleep(0) end)
      it("c", function() go:set() rille.event():wait() end)
      it("d", function() end)]], "--timeout=1000")
    has(result.stdout, "not ok 2 - a c")
    counts(result, "2 passed, 1 failed")
  end)

  it("is no failure if somebody awaits it", function()
    counts(run_body [[
      it("b", function()
        local job = rille.spawn(function() rille.sleep(0) error("oops") end)
        assert.is_false(pcall(job.await, job))
      end)]], "1 passed, 0 failed")
  end)

  it("ends the run if no test is under way", function()
    local result = run({
      ["helper.lua"] = HEAD .. 'rille.spawn(error, "oops") rille.sleep(0)',
      ["a_spec.lua"] = 'it("b", function() end)',
    }, "-o", "TAP", "--helper=helper.lua", "a_spec.lua")
    has(result.stderr, "rille: oops\n")
    assert.equal(1, result.status)
  end)
end)

describe("busted --lua=rille", function()
  it("runs specs that wait", function()
    local result = process.run({ "busted", "--lua=" .. process.rille, "--pattern=until", "--filter=sleeps",
      "spec/helper/interrupted.lua" })
    has(result.stdout, "1 success / 0 failures / 0 errors")
    assert.equal(0, result.status)
  end)
end)
