-- The command line: bin/rille as a child process. Arguments, exit statuses, what is on stdout
-- and stderr, signals, deadlocks, failing tasks, the main chunk.
local rille = require("rille")
local process = require("spec.helper.process")
local expect = require("spec.helper.expect")

local has = expect.has

-- A file that is removed when its variable is closed.
local function file(text)
  local path = os.tmpname()
  local f = assert(io.open(path, "wb"))
  assert(f:write(text))
  assert(f:close())
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

local function command(...)
  return process.run({ process.rille, ... })
end

-- Runs the text as a script.
local function run(text, ...)
  local script <close> = file(text)
  return command(script.path, ...), script.path
end

-- Runs rille with the text on its standard input.
local function fed(text, ...)
  local input <close> = file(text)
  local words = { "sh", "-c", 'exec <"$0"; exec "$@"', input.path, process.rille, ... }
  return process.run(words)
end

local function succeeded(result, stdout)
  assert.equal("", result.stderr)
  assert.equal(stdout, result.stdout)
  assert.equal(0, result.status)
end

describe("rille script", function()
  it("runs the script and ends with status 0", function()
    succeeded(run('print("hello")'), "hello\n")
  end)

  it("an empty script is a program", function()
    succeeded(run(""), "")
  end)

  it("gives the script its arguments in arg and in ...", function()
    local result, path = run([[
      print(arg[0])
      print(#arg, arg[1], arg[2], arg[3])
      print(select("#", ...), ...)
      print(type(arg[-1]), arg[4])
    ]], "a", "b c", "--help")
    succeeded(result, path .. "\n3\ta\tb c\t--help\n3\ta\tb c\t--help\nstring\tnil\n")
  end)

  it("leaves options after the script to the script", function()
    succeeded(run("print(...)", "-e", "error()", "-", "--version"), "-e\terror()\t-\t--version\n")
  end)

  it("takes a script that begins with a #! line, and counts lines with it", function()
    succeeded(run("#!/usr/bin/env rille\nprint(debug.getinfo(1, 'l').currentline)\n"), "2\n")
    succeeded(run("#!/usr/bin/env rille"), "")
  end)

  it("runs a script whose path has blanks and quotes", function()
    local name = os.tmpname()
    os.remove(name)
    local path = name .. " it's \"odd\".lua"
    local f = assert(io.open(path, "w"))
    f:write('print("ran")')
    f:close()
    local result = command(path)
    os.remove(path)
    succeeded(result, "ran\n")
  end)

  it("a script may wait in its main chunk", function()
    succeeded(run([[
      local rille = require "rille"
      for i = 1, 3 do
        rille.sleep(0.001)
        print(i)
      end
    ]]), "1\n2\n3\n")
  end)

  it("ignores what the main chunk returns", function()
    succeeded(run("return 5"), "")
    succeeded(run("return nil, 'error'"), "")
  end)

  it("ends when the last task ends, not when the main chunk does", function()
    succeeded(run([[
      local rille = require "rille"
      rille.spawn(function()
        rille.sleep(0.01)
        print("task")
      end)
      print("main")
    ]]), "main\ntask\n")
  end)

  it("does not wait for a sleep that was cancelled", function()
    succeeded(run([[
      local rille = require "rille"
      local task = rille.spawn(rille.sleep, 3600)
      rille.sleep(0)
      task:cancel()
      print(pcall(task.await, task) == false)
    ]]), "true\n")
  end)

  it("does not wait for the rest of a generator that a loop left", function()
    succeeded(run([[
      local rille = require "rille"
      for v in rille.generator(function()
        coroutine.yield("item")
        rille.sleep(3600)
      end)() do
        print(v)
        break
      end
    ]]), "item\n")
  end)

  it("writes everything that was printed, however much", function()
    local result = run('for i = 1, 100000 do print(i) end io.write("end")')
    assert.equal(0, result.status)
    has(result.stdout, "99999\n100000\nend")
    assert.equal(100000, select(2, result.stdout:gsub("\n", "")))
  end)

  it("reads its standard input", function()
    local script <close> = file('print(io.read("a"):upper())')
    succeeded(fed("input", script.path), "INPUT\n")
  end)
end)

describe("rille -", function()
  it("runs its standard input", function()
    succeeded(fed('print("from stdin", ...)\nrequire("rille").sleep(0)\n', "-", "a", "b"),
      "from stdin\ta\tb\n")
  end)

  it("sets arg", function()
    succeeded(fed("print(arg[0], arg[1], #arg)", "-", "x"), "-\tx\t1\n")
  end)

  it("takes a #! line", function()
    succeeded(fed("#!/usr/bin/env rille\nprint(1)\n", "-"), "1\n")
  end)

  it("reports a syntax error with its line", function()
    local result = fed("\nx = = 1\n", "-")
    assert.equal(1, result.status)
    has(result.stderr, "stdin:2:")
  end)
end)

describe("rille -e", function()
  it("runs the code", function()
    succeeded(command("-e", "print(1 + 1)"), "2\n")
  end)

  it("may wait", function()
    succeeded(command("-e", 'require("rille").sleep(0.001) print("waited")'), "waited\n")
  end)

  it("reports an error with status 1", function()
    local result = command("-e", "error('boom')")
    assert.equal(1, result.status)
    has(result.stderr, "boom")
    assert.equal("", result.stdout)
    assert.equal(1, command("-e", "x = = 1").status)
  end)

  it("without code is wrong usage", function()
    local result = command("-e")
    assert.equal(2, result.status)
    has(result.stderr, "-e")
    assert.equal("", result.stdout)
  end)
end)

describe("rille --version and --help", function()
  it("--version names the versions of Lua, libuv and libcurl", function()
    local result = command("--version")
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    assert.is_truthy(result.stdout:find("^rille"))
    assert.is_truthy(result.stdout:find("Lua 5%.4"))
    assert.is_truthy(result.stdout:find("libuv/? ?%d+%.%d+"))
    assert.is_truthy(result.stdout:find("libcurl/? ?%d+%.%d+"))
  end)

  it("--help tells the usage on stdout", function()
    local result = command("--help")
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
    has(result.stdout:lower(), "usage")
    for _, option in ipairs({ "-e", "--version", "--help" }) do has(result.stdout, option) end
  end)
end)

describe("rille with wrong usage", function()
  it("an unknown option gives the usage on stderr and status 2", function()
    for _, option in ipairs({ "--no-such-option", "-Q", "--versionx" }) do
      local result = command(option)
      assert.equal(2, result.status)
      has(result.stderr, option)
      has(result.stderr:lower(), "usage")
      assert.equal("", result.stdout)
    end
  end)

  it("a missing file is named on stderr", function()
    local result = command("/no/such/file.lua")
    assert.is_truthy(result.status == 1 or result.status == 2)
    has(result.stderr, "/no/such/file.lua")
    assert.equal("", result.stdout)
  end)

  it("a directory is refused", function()
    local result = command("/tmp")
    assert.is_truthy(result.status == 1 or result.status == 2)
    has(result.stderr, "/tmp")
  end)

  it("a script that does not compile gives its file and line, and runs nothing", function()
    local result, path = run('print("not run")\nlocal x = = 1\n')
    assert.equal(1, result.status)
    has(result.stderr, path:match("[^/]*$") .. ":2:")
    assert.equal("", result.stdout)
  end)
end)

describe("a script that fails", function()
  it("ends with status 1 and a trace on stderr", function()
    local result, path = run([[
local function inner() error("boom") end
local function outer() inner() return 1 end
print("before")
outer()
print("after")
]])
    assert.equal(1, result.status)
    assert.equal("before\n", result.stdout)
    has(result.stderr, path .. ":1: boom")
    has(result.stderr, "stack traceback")
    has(result.stderr, "inner")
    has(result.stderr, "outer")
  end)

  it("has its stdout flushed before the trace is written", function()
    local script <close> = file('io.write("printed") error("boom")')
    local result = process.run({ "sh", "-c", '"$@" 2>&1; echo "status $?"', "sh",
      process.rille, script.path })
    assert.is_truthy(result.stdout:find("^printed.*boom.*status 1\n$"), result.stdout)
  end)

  it("ends with its cleanup and status 141 when nobody reads what it prints", function()
    for _, write in ipairs { "print", "io.write" } do
      local script <close> = file([[
        local rille = require "rille"
        local _ <close> = setmetatable({}, { __close = function()
          rille.sleep(0.001)
          io.stderr:write("cleaned up")
        end })
        while true do
          ]] .. write .. [[("line\n")
          rille.sleep(0.001)
        end
      ]])
      local result = process.run({ "bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash",
        process.rille, script.path })
      assert.same({ "line\n", "cleaned up", 141 }, { result.stdout, result.stderr, result.status })
    end
  end)

  it("ends at the second line that nobody reads if it never waits", function()
    for _, write in ipairs { "print", "io.write" } do
      local result = process.run({ "bash", "-c", '"$@" | head -n 1; exit ${PIPESTATUS[0]}', "bash",
        process.rille, "-e", ("while true do %s('line\\n') end"):format(write) })
      assert.same({ "line\n", "", 141 }, { (result.stdout:gsub("\n+$", "\n")), result.stderr, result.status })
    end
  end)

  it("goes on when other readers are gone, too, and it prints nothing", function()
    local result = process.run({ "bash", "-c", 'exec 3> >(exec true); wait $!; exec "$@" >&3', "bash",
      process.rille, "-e", [[
        for _ = 1, 3 do
          local pipe <close> = io.popen("exec true", "w")
          local ok, message
          repeat ok, message = pipe:write(("x"):rep(1 << 12)) until not ok
          io.stderr:write(message, "\n")
        end
      ]] })
    assert.same({ ("Broken pipe\n"):rep(3), 0 }, { result.stderr, result.status })
  end)

  it("says so, with status 1, when what it printed could not be written", function()
    local sort = "table.sort({ 1, 2 }, function() io.write('x') os.exit() end)"
    for _, write in ipairs { "print('x')", "io.write('x')", "io.write('x') os.exit()", sort } do
      local result = process.run({ "bash", "-c", '"$@" >/dev/full', "bash", process.rille, "-e", write })
      assert.same({ "rille: standard output: not all of it could be written\n", 1 },
        { result.stderr, result.status })
    end
    local script = "print(1) os.exit(3)"
    local result = process.run({ "bash", "-c", '"$@" >/dev/full', "bash", process.rille, "-e", script })
    assert.same({ "", 3 }, { result.stderr, result.status })
  end)

  it("runs with standard streams that are closed", function()
    for _, closed in ipairs { "<&-", ">&-", "2>&-", "<&- >&- 2>&-" } do
      local script = [[local rille = require "rille"
        rille.sleep(0.001) print("out") io.stderr:write("err") assert(io.read() == nil)]]
      local shell = '"$@" </dev/null ' .. closed
      local result = process.run({ "bash", "-c", shell, "bash", process.rille, "-e", script })
      assert.equal(0, result.status, closed .. ": " .. result.stderr)
      assert.equal(closed:find("%f[^ \0]>") and "" or "out\n", result.stdout, closed)
    end
  end)

  it("fails after a wait as it does before one", function()
    local result = run([[
      local rille = require "rille"
      print("before")
      rille.sleep(0.001)
      error("boom")
    ]])
    assert.equal(1, result.status)
    assert.equal("before\n", result.stdout)
    has(result.stderr, "boom")
  end)

  it("shows an error value of any type", function()
    for code, text in pairs({
      ["error({})"] = "table",
      ["error(setmetatable({}, {__tostring = function() return 'readable' end}))"] = "readable",
      ["error()"] = "nil",
      ["error(false)"] = "",
      ["error(42)"] = "42",
      ["error(io.stdout)"] = "",
      ["error(string.rep('x', 100000))"] = ("x"):rep(100000),
    }) do
      local result = run(code)
      assert.equal(1, result.status)
      assert.is_true(#result.stderr > 0)
      has(result.stderr, text)
    end
  end)

  it("survives an error whose __tostring fails", function()
    local result = run("error(setmetatable({}, {__tostring = function() error('worse') end}))")
    assert.equal(1, result.status)
    assert.is_true(#result.stderr > 0)
  end)

  it("shows the message of an error object", function()
    local result = run('require("rille.json").decode("{")')
    assert.equal(1, result.status)
    has(result.stderr, "Expected object key string")
  end)

  it("runs its <close> variables, which may wait", function()
    local result = run([[
      local rille = require "rille"
      local guard <close> = setmetatable({}, {__close = function()
        rille.sleep(0.001)
        print("cleaned")
      end})
      error("boom")
    ]])
    assert.equal(1, result.status)
    assert.equal("cleaned\n", result.stdout)
    has(result.stderr, "boom")
  end)

  it("closes the generator of the loop that it was in, and shows every line printed", function()
    local result = run([[
      local rille = require "rille"
      for v in rille.generator(function()
        local guard <close> = setmetatable({}, {__close = function()
          rille.sleep(0)
          print("cleaned")
        end})
        for i = 1, 10 do
          rille.sleep(0)
          coroutine.yield(i)
        end
      end)() do
        print(v)
        if v == 3 then error("in the loop") end
      end
    ]])
    assert.equal(1, result.status)
    assert.equal("1\n2\n3\ncleaned\n", result.stdout)
    has(result.stderr, "in the loop")
  end)

  it("R30 R31 shows the body, its consumer and where the generator was made", function()
    local result, path = run([[
local rille = require "rille"
local function fail_in_the_body()
  rille.sleep(0)
  error("boom")
end
local numbers = rille.generator(function()
  fail_in_the_body()
  return nil
end)
local g =
  numbers()
local function consume_the_numbers()
  for _ in g:each() do rille.sleep(0) end
  return nil
end
consume_the_numbers()
print("not reached")
]])
    assert.equal(1, result.status)
    assert.equal("", result.stdout)
    has(result.stderr, path .. ":4: boom")
    has(result.stderr, "fail_in_the_body")
    has(result.stderr, "consume_the_numbers")
    assert.is_truthy(result.stderr:find(path .. ":1[01]%D"), result.stderr)
  end)

  it("R37 reports a cleanup error that another error suppressed", function()
    local result = run([[
      local rille = require "rille"
      for _ in rille.generator(function()
        local guard <close> = setmetatable({}, {__close = function() error("cleanup fault") end})
        coroutine.yield(1)
      end)() do error("loop fault") end
    ]])
    assert.equal(1, result.status)
    has(result.stderr, "loop fault")
    has(result.stderr, "cleanup fault")
  end)

  it("R37 keeps the story of an error beside which a cleanup failed, strings both", function()
    local result, path = run([[
local rille = require "rille"
local rows = rille.generator(function()
  local guard <close> = setmetatable({}, {__close = function() error("cleanup fault") end})
  coroutine.yield(1)
end)
local function consume_the_rows()
  for _ in rows() do error("loop fault") end
end
consume_the_rows()
]])
    assert.equal(1, result.status)
    has(result.stderr, "rille: " .. path .. ":7: loop fault\nstack traceback:\n")
    has(result.stderr, "consume_the_rows")
    has(result.stderr, "\nsuppressed: " .. path .. ":3: cleanup fault\n")
    assert.is_nil(result.stderr:find("\n\n", 1, true), result.stderr)
  end)

  it("has no empty line in the story of a caught string beside which a cleanup failed", function()
    local result = run([[
      local rille = require "rille"
      local _, err = pcall(function()
        for _ in rille.generator(function()
          local guard <close> = setmetatable({}, {__close = function() error("cleanup fault", 0) end})
          coroutine.yield(1)
        end)() do error("loop fault", 0) end
      end)
      print(rille.traceback(err))
    ]])
    assert.equal("loop fault\nsuppressed: cleanup fault\n", result.stdout)
  end)
end)

describe("a task that fails", function()
  it("with nobody awaiting it ends the program with its trace and status 1", function()
    local result, path = run([[
local rille = require "rille"
local function fail_in_the_background()
  rille.sleep(0.001)
  error("background fault")
end
rille.spawn(function() fail_in_the_background() return 1 end)
print("before")
rille.sleep(3600)
print("not reached")
]])
    assert.equal(1, result.status)
    assert.equal("before\n", result.stdout)
    has(result.stderr, path .. ":4: background fault")
    has(result.stderr, "fail_in_the_background")
  end)

  it("before its first wait ends the program too", function()
    local result = run([[
      local rille = require "rille"
      rille.spawn(function() error("at once") end)
      rille.sleep(3600)
    ]])
    assert.equal(1, result.status)
    has(result.stderr, "at once")
  end)

  it("after the main chunk has ended gives status 1 too", function()
    local result = run([[
      local rille = require "rille"
      rille.spawn(function()
        rille.sleep(0.005)
        error("late fault")
      end)
    ]])
    assert.equal(1, result.status)
    has(result.stderr, "late fault")
  end)

  it("with nil ends the program", function()
    local result = run([[
      local rille = require "rille"
      rille.spawn(function() error(nil) end)
      rille.sleep(3600)
    ]])
    assert.equal(1, result.status)
    assert.is_true(#result.stderr > 0)
  end)

  it("with somebody awaiting it does not end the program", function()
    succeeded(run([[
      local rille = require "rille"
      local task = rille.spawn(function()
        rille.sleep(0.001)
        error("caught", 0)
      end)
      print(pcall(task.await, task))
      rille.sleep(0.001)
      print("went on")
    ]]), "false\tcaught\nwent on\n")
  end)

  it("that was cancelled does not end the program", function()
    succeeded(run([[
      local rille = require "rille"
      local task = rille.spawn(function() rille.sleep(3600) end)
      rille.sleep(0)
      task:cancel()
      rille.sleep(0.001)
      print(task:status())
    ]]), "cancelled\n")
  end)

  it("in its cleanup when cancelled: the cancellation stands, the error is reported", function()
    local result = run([[
      local rille = require "rille"
      local task = rille.spawn(function()
        local guard <close> = setmetatable({}, {__close = function() error("cleanup fault") end})
        rille.sleep(3600)
      end)
      rille.sleep(0)
      task:cancel()
      local ok, err = pcall(task.await, task)
      print(ok, rille.is_error(err, "ECANCELED"))
      io.stderr:write(rille.traceback(err))
    ]])
    assert.equal("false\ttrue\n", result.stdout)
    has(result.stderr, "cleanup fault")
    assert.equal(0, result.status)
  end)

  it("R66 by swallowing its cancellation for ever is killed and reported", function()
    local result = run([[
      local rille = require "rille"
      local tries = 0
      local task = rille.spawn(function()
        while true do
          tries = tries + 1
          pcall(rille.sleep, 3600)
        end
      end)
      rille.sleep(0)
      task:cancel()
      print(pcall(task.await, task) == false, task:status())
      rille.sleep(0.001)
      print(tries >= 100 and tries <= 110)
    ]])
    assert.equal("true\tcancelled\ntrue\n", result.stdout)
    assert.is_true(#result.stderr > 0)
    assert.equal(0, result.status)
  end)
end)

describe("os.exit", function()
  it("ends the program with its status, stdout flushed", function()
    for code, status in pairs({
      ["os.exit(3)"] = 3, ["os.exit(0)"] = 0, ["os.exit()"] = 0, ["os.exit(true)"] = 0,
      ["os.exit(false)"] = 1, ["os.exit(255)"] = 255, ["os.exit(7, true)"] = 7,
    }) do
      local result = run('io.write("written") ' .. code .. ' print("not reached")')
      assert.equal(status, result.status, code)
      assert.equal("written", result.stdout)
      assert.equal("", result.stderr)
    end
  end)

  it("ends it from a task, while others wait", function()
    local result = run([[
      local rille = require "rille"
      rille.spawn(rille.sleep, 3600)
      rille.spawn(function()
        rille.sleep(0.001)
        io.write("written")
        os.exit(4)
      end)
      rille.sleep(3600)
      print("not reached")
    ]])
    assert.equal(4, result.status)
    assert.equal("written", result.stdout)
  end)

  it("ends it from a generator in a coroutine in a pcall", function()
    local result = run([[
      local rille = require "rille"
      pcall(coroutine.wrap(function()
        for v in rille.generator(function()
          rille.sleep(0)
          io.write("written")
          os.exit(5)
        end)() do print(v) end
      end))
      print("not reached")
    ]])
    assert.equal(5, result.status)
    assert.equal("written", result.stdout)
  end)

  it("ends it from where nothing may wait", function()
    local result = run([[
      table.sort({ 2, 1 }, function()
        io.write("written")
        os.exit(6)
      end)
      print("not reached")
    ]])
    assert.equal(6, result.status)
    assert.equal("written", result.stdout)
  end)
end)

describe("os.exit below a pcall", function()
  it("does not come back", function()
    for _, code in ipairs({
      "pcall(os.exit, 3)", "pcall(function() os.exit(3) end)", "xpcall(os.exit, debug.traceback, 3)",
      "coroutine.resume(coroutine.create(os.exit), 3)", "coroutine.wrap(os.exit)(3)",
    }) do
      local result = run('io.write("written") ' .. code .. ' print("not reached")')
      assert.equal("written", result.stdout, code)
      assert.equal(3, result.status)
    end
  end)
end)

describe("SIGINT", function()
  -- Runs the script, sends SIGINT each time that it prints one of the marks.
  local function interrupted(text, ...)
    local script <close> = file('io.stdout:setvbuf("line")\n' .. text)
    local child <close> = process.start({ process.rille, script.path })
    for _, mark in ipairs({ ... }) do
      child:expect(mark .. "\n")
      child:signal("INT")
    end
    return child:wait()
  end

  -- Has the program been sent a signal that it has not received?
  local function signals_pending(child)
    local status <close> = assert(io.open(("/proc/%s/status"):format(child:pid())))
    return status:read("a"):match("\nShdPnd:%s*(%x+)"):find("[^0]") ~= nil
  end

  it("ends a waiting program with status 130 after its cleanup, which may wait", function()
    local result = interrupted([[
      local rille = require "rille"
      local guard <close> = setmetatable({}, {__close = function()
        rille.sleep(0.005)
        print("cleaned")
      end})
      print("ready")
      rille.sleep(3600)
      print("not reached")
    ]], "ready")
    assert.equal(130, result.status)
    assert.equal("ready\ncleaned\n", result.stdout)
  end)

  it("is the reason of the cancellation", function()
    local result = interrupted([[
      local rille = require "rille"
      print("ready")
      print(pcall(rille.sleep, 60))
    ]], "ready")
    assert.equal("ready\nfalse\ttask 'main' was cancelled: SIGINT\n", result.stdout)
  end)

  it("ends a program that computes, and one whose cleanup does, when the time of cleanup is over", function()
    local computes <close> = process.start({ process.rille, "-e", "print('ready') while true do end" })
    local cleans <close> = process.start({ process.rille, "-e", [[
      local guard <close> = setmetatable({}, { __close = function() while true do end end })
      print("ready")
      require "rille".sleep(3600)
    ]] })
    for _, child in ipairs { computes, cleans } do
      child:expect("ready\n")
      child:signal("INT")
    end
    assert.equal(130, computes:wait().status)
    assert.equal(130, cleans:wait().status)
  end)

  it("in the middle of a loop runs the cleanup of the generator and of its consumer", function()
    local result = interrupted([[
      local rille = require "rille"
      local function guard(name)
        return setmetatable({}, {__close = function()
          rille.sleep(0)
          print(name)
        end})
      end
      local consumer <close> = guard("consumer cleaned")
      for v in rille.generator(function()
        local body <close> = guard("body cleaned")
        coroutine.yield("item")
        print("ready")
        rille.sleep(3600)
      end)() do print(v) end
      print("not reached")
    ]], "ready")
    assert.equal(130, result.status)
    assert.equal("item\nready\nbody cleaned\nconsumer cleaned\n", result.stdout)
  end)

  it("while the consumer waits closes the generator of its loop", function()
    local result = interrupted([[
      local rille = require "rille"
      for v in rille.generator(function()
        local body <close> = setmetatable({}, {__close = function()
          rille.sleep(0)
          print("body cleaned")
        end})
        while true do coroutine.yield("ready") end
      end)() do
        print(v)
        rille.sleep(3600)
      end
    ]], "ready")
    assert.equal(130, result.status)
    assert.equal("ready\nbody cleaned\n", result.stdout)
  end)

  it("cancels background tasks too, with their cleanup", function()
    local result = interrupted([[
      local rille = require "rille"
      for i = 1, 2 do
        rille.spawn(function()
          local guard <close> = setmetatable({}, {__close = function()
            rille.sleep(0.001)
            print("cleaned")
          end})
          rille.sleep(3600)
        end)
      end
      rille.sleep(0.001)
      print("ready")
      rille.sleep(3600)
    ]], "ready")
    assert.equal(130, result.status)
    assert.equal("ready\ncleaned\ncleaned\n", result.stdout)
  end)

  it("ends a program whose main chunk has ended", function()
    local result = interrupted([[
      local rille = require "rille"
      rille.spawn(function()
        print("ready")
        rille.sleep(3600)
      end)
    ]], "ready")
    assert.equal(130, result.status)
    assert.equal("ready\n", result.stdout)
  end)

  it("is not lost in a retry loop around pcall", function()
    local result = interrupted([[
      local rille = require "rille"
      print("ready")
      while true do pcall(rille.sleep, 3600) end
    ]], "ready")
    assert.equal(130, result.status)
  end)

  it("a second time ends the program at once", function()
    local result = interrupted([[
      local rille = require "rille"
      local guard <close> = setmetatable({}, {__close = function()
        print("cleaning")
        rille.sleep(3600)
        print("not reached")
      end})
      print("ready")
      rille.sleep(3600)
    ]], "ready", "cleaning")
    assert.equal(130, result.status)
    assert.equal("ready\ncleaning\n", result.stdout)
  end)

  it("a second time ends a program that never waits", function()
    local script <close> = file([[
      io.stdout:setvbuf("line")
      print("ready")
      while os.clock() < 30 do end
      print("not reached")
    ]])
    local child <close> = process.start({ process.rille, script.path })
    child:expect("ready\n")
    child:signal("INT")
    while signals_pending(child) do rille.sleep(0.005) end -- two that are pending are one
    child:signal("INT")
    local result = child:wait()
    assert.equal(130, result.status)
    assert.equal("ready\n", result.stdout)
  end)
end)

describe("a program that waits for what can never come", function()
  it("is the reason of the cancellation, and tells where the task of a stream comes from", function()
    local result, path = run([[
local rille = require "rille"
local numbers = rille.channel():map(function(n) return n end, { n = 2 })
print(pcall(numbers.next, numbers))
]])
    assert.equal("false\ttask 'main' was cancelled: deadlock\n", result.stdout)
    has(result.stderr, "\ntask 'map of a stream' spawned at " .. path .. ":3 by task ")
    assert.is_nil(result.stderr:find("spawned at rille/", 1, true), result.stderr)
  end)

  it("is reported as a deadlock with status 1", function()
    local result = run([[
      local rille = require "rille"
      print("before")
      rille.callback(function() end)
      print("not reached")
    ]])
    assert.equal(1, result.status)
    assert.equal("before\n", result.stdout)
    has(result.stderr:lower(), "deadlock")
  end)

  it("has each waiting task named in the report", function()
    local result = run([[
      local rille = require "rille"
      local tasks = {}
      tasks[1] = rille.spawn(function() rille.callback(function() end) end)
      tasks[2] = rille.spawn(function() tasks[1]:await() end)
      print(tasks[1].name)
      print(tasks[2].name)
    ]])
    assert.equal(1, result.status)
    has(result.stderr:lower(), "deadlock")
    local count = 0
    for name in result.stdout:gmatch("[^\n]+") do
      count = count + 1
      has(result.stderr, name)
    end
    assert.equal(2, count)
  end)

  it("is found when the last timer has fired, not before", function()
    local result = run([[
      local rille = require "rille"
      rille.spawn(function()
        rille.sleep(0.005)
        print("timer")
      end)
      rille.callback(function() end)
    ]])
    assert.equal(1, result.status)
    assert.equal("timer\n", result.stdout)
    has(result.stderr:lower(), "deadlock")
  end)

  it("is reported when two tasks await each other", function()
    local result = run([[
      local rille = require "rille"
      local a, b
      a = rille.spawn(function() b:await() end)
      b = rille.spawn(function() a:await() end)
    ]])
    assert.equal(1, result.status)
    has(result.stderr:lower(), "deadlock")
  end)

  it("is not one that waits for a timer, however long the others wait", function()
    succeeded(run([[
      local rille = require "rille"
      local resume
      local task = rille.spawn(function() return (rille.callback(function(r) resume = r end)) end)
      rille.sleep(0.01)
      resume("came")
      print(task:await())
    ]]), "came\n")
  end)
end)

describe("the main chunk", function()
  it("R106 is the main thread, as in Lua", function()
    succeeded(run([[
      local main, ismain = coroutine.running()
      print(type(main), ismain)
      print(coroutine.isyieldable(), coroutine.isyieldable(main), coroutine.status(main))
      print((coroutine.resume(main)))
      print((pcall(coroutine.yield)))
      print((pcall(coroutine.close, main)))
      coroutine.wrap(function()
        print(coroutine.status(main), select(2, coroutine.running()), coroutine.isyieldable())
      end)()
    ]]), "thread\ttrue\nfalse\tfalse\trunning\nfalse\nfalse\nfalse\nnormal\tfalse\ttrue\n")
  end)

  it("R106 an infinite recursion of coroutines is an error, not a crash", function()
    local result = run([[
      local function f(f) coroutine.wrap(f)(f) end
      print((pcall(f, f)))
      print("alive")
    ]])
    succeeded(result, "false\nalive\n")
  end)

  it("R106 the C stack overflow of Lua's own recursion is an error, not a crash", function()
    succeeded(run([[
      local t = setmetatable({}, {})
      getmetatable(t).__index = function(t, k) return t[k + 1] end
      print((pcall(function() return t[1] end)))
      print((pcall(string.rep, "x", -1)))
      local function g() return pcall(g) end
      print(type(g()))
      print("alive")
    ]]), "false\ntrue\nboolean\nalive\n")
  end)

  it("R106 error and assert put a position before a message where Lua does", function()
    local result, path = run([[
local function message(f) print((select(2, pcall(f)))) end
message(function() error("m") end)
message(function() error("m", 0) end)
message(function() assert(false) end)
message(function() assert(nil, "m") end)
message(function() assert(false, nil) end)
print(select("#", assert(1, nil, 3, nil)))
print(pcall(assert, false, "m"))
print(pcall(error, "m"))
]])
    succeeded(result, ("%s:2: m\nm\n%s:4: assertion failed!\n%s:5: m\nnil\n4\n")
      :format(path, path, path) .. "false\tm\nfalse\tm\n")
  end)

  it("keeps the standard libraries and the version of Lua", function()
    succeeded(run([[
      print(_VERSION)
      for _, name in ipairs { "coroutine", "debug", "io", "math", "os", "package", "string",
        "table", "utf8" } do
        assert(type(_G[name]) == "table" and require(name) == _G[name], name)
      end
      for _, name in ipairs { "assert", "collectgarbage", "dofile", "error", "getmetatable",
        "ipairs", "load", "loadfile", "next", "pairs", "pcall", "print", "rawequal", "rawget",
        "rawlen", "rawset", "require", "select", "setmetatable", "tonumber", "tostring", "type",
        "warn", "xpcall" } do
        assert(type(_G[name]) == "function", name)
      end
      local extra = {}
      for name in pairs(_G) do
        if name:find("rille") then extra[#extra + 1] = name end
      end
      print(#extra)
    ]]), "Lua 5.4\n0\n")
  end)

  it("lets the program's collector finalise what is left at the end", function()
    succeeded(run([[
      kept = setmetatable({}, {__gc = function() print("finalised") end})
      local rille = require "rille"
      rille.sleep(0.001)
      print("end")
    ]]), "end\nfinalised\n")
  end)

  it("may leave a suspended generator, coroutine and unfinished loop behind at the end", function()
    local result = run([[
      local rille = require "rille"
      g = rille.generator(function() coroutine.yield(1) end)()
      g:next()
      h = rille.generator(function() end)()
      co = coroutine.wrap(function() coroutine.yield(1) end)
      co()
      for _ in g:keep() do break end
      print("end")
    ]])
    assert.equal(0, result.status)
    assert.equal("end\n", result.stdout)
  end)
end)
