-- The program in the place of Lua's standalone interpreter: the same command lines under both, and the C and
-- Lua modules that Debian packages for Lua 5.4.
local process = require("spec.helper.process")

local LUA = "lua5.4"

-- A shell command under both programs, as $P: what comes out is the same, but for the names of the programs.
-- Of what is on stderr the first line counts: usage and stack differ.
local cases = {
  ["-e runs a statement"] = [[$P -e 'print(1)']],
  ["-e with its argument beside it, twice, in order"] = [[$P '-ex = 1' '-eprint(x)']],
  ["-e runs up to the one that does not compile"] = [[$P -e 'print(1)' -e 'x = = 1']],
  ["-e runs up to the one that fails"] = [[$P -e 'print(1)' -e 'error("boom")' -e 'print(2)']],
  ["-e has no arguments"] = [[$P -e 'print(select("#", ...))' ]],
  ["-e before a script"] = [[$P -e 'x = 7' $D/args.lua a]],
  ["-e without more does not read standard input"] = [[echo 'print(1)' | $P -e '']],
  ["-e and standard input"] = [[echo 'print(x, ...)' | $P -e 'x = 1' - a b]],
  ["-l into a global"] = [[$P -l string -e 'print(string.rep("x", 3))']],
  ["-l into a global of another name"] = [[$P -l s=string -e 'print(s == string)']],
  ["-l with its argument beside it"] = [[$P -ls=string -e 'print(s == string)']],
  ["-l and no script reads standard input"] = [[echo 'print(s ~= nil, ...)' | $P -l s=string]],
  ["-l of no module"] = [[$P -l no.such.module -e 'print(1)']],
  ["-l in its order with -e"] = [[$P -e 'package.preload.m = function() return 5 end' -l m -e 'print(m)']],
  ["-W and no script reads standard input"] = [[echo 'print(arg[0] ~= nil, ...)' | $P -W]],
  ["-W turns warnings on"] = [[$P -W -e 'warn("a", "b")']],
  ["-W in its order"] = [[$P -e 'warn("@off")' -W -e 'warn("heard")']],
  ["warnings that were turned off"] = [[$P -W -e 'warn("@off") warn("not heard")']],
  ["-E ignores LUA_PATH"] = [[LUA_PATH=x $P -E -e 'print(package.path)']],
  ["-E ignores LUA_CPATH_5_4"] = [[LUA_CPATH_5_4=x $P -E -e 'print(package.cpath)']],
  ["-E ignores LUA_INIT"] = [[LUA_INIT='print("init")' $P -E -e 'print(1)']],
  ["-E after another option"] = [[LUA_PATH=x $P -e 'x = 1' -E $D/path.lua]],
  ["-E after the script is the script's"] = [[LUA_PATH=x $P $D/path.lua -E]],
  ["LUA_PATH"] = [[LUA_PATH='x;;y' $P -e 'print(package.path)']],
  ["LUA_PATH_5_4 before LUA_PATH"] = [[LUA_PATH=x LUA_PATH_5_4=y $P -e 'print(package.path)']],
  ["LUA_CPATH"] = [[LUA_CPATH='x;;' $P -e 'print(package.cpath)']],
  ["LUA_INIT"] = [[LUA_INIT='print("init")' $P -e 'print(1)']],
  ["LUA_INIT before a script"] = [[LUA_INIT='x = 5' $P $D/args.lua a]],
  ["LUA_INIT before standard input"] = [[echo 'print(x, ...)' | LUA_INIT='x = 5' $P]],
  ["LUA_INIT_5_4 instead of LUA_INIT"] = [[LUA_INIT='print(1)' LUA_INIT_5_4='print(54)' $P -e '']],
  ["LUA_INIT of a file"] = [[LUA_INIT=@$D/init.lua $P -e 'print(1)']],
  ["LUA_INIT of a file that is not there"] = [[LUA_INIT=@$D/none.lua $P -e 'print(1)']],
  ["LUA_INIT that does not compile"] = [[LUA_INIT='x = = 1' $P -e 'print(1)']],
  ["LUA_INIT that fails"] = [[LUA_INIT_5_4='error("boom")' $P -e 'print(1)']],
  ["LUA_INIT that is empty"] = [[LUA_INIT= $P -e 'print(1)']],
  ["arg of a script"] = [[$P -e '' $D/args.lua a 'b c']],
  ["arg without options"] = [[$P $D/args.lua a '' b]],
  ["arg of standard input"] = [[$P -W - a <$D/args.lua]],
  ["arg of standard input without a dash"] = [[$P <$D/args.lua]],
  ["arg of -e"] = [[$P -e 'print(#arg, arg[1], arg[-1])']],
  ["arg that was changed before the script"] = [[$P -e 'arg[1] = "x" arg[2] = "y"' $D/args.lua a]],
  ["arg that is no table"] = [[$P -e 'arg = nil' $D/args.lua a]],
  ["-- ends the options"] = [[$P -- $D/args.lua -e]],
  ["-- before a script with a dash"] = [[cd $D && $P -- -dash.lua]],
  ["-- and no script reads standard input"] = [[echo 'print(...)' | $P --]],
  ["standard input with a #! line"] = [[printf '#!x\nprint(1)\n' | $P -]],
  ["a script with a #! line"] = [[$P $D/hashbang.lua]],
  ["a #! line is a line"] = [[printf '#!x\nx = = 1\n' >$D/line.lua; $P $D/line.lua]],
  ["an error in a script"] = [[$P $D/fails.lua]],
  ["an error that is a table"] = [[$P -e 'error({})']],
  ["an error that is nil"] = [[$P -e 'error()']],
  ["an error with __tostring"] =
    [[$P -e 'error(setmetatable({}, {__tostring = function() return "text" end}))']],
  ["a script that is not there"] = [[$P $D/none.lua]],
  ["a script that does not compile"] = [[$P $D/syntax.lua]],
  ["a directory"] = [[$P $D]],
  ["a compiled script"] =
    [[cd $D; $P -e 'io.open("x.luac", "wb"):write(string.dump(load("print(...)")))' && $P x.luac a]],
  ["os.exit"] = [[$P -e 'io.write("x") os.exit(7)']],
  ["os.exit with true and close"] = [[$P -e 'io.write("x") os.exit(true, true)']],
  ["os.exit with false"] = [[$P -e 'io.write("x") os.exit(false)']],
  ["finalisers at the end"] = [[$P -e 'setmetatable({}, {__gc = function() print("gc") end})']],
  ["output that is buffered is written at the end"] =
    [[$P -e 'io.stdout:setvbuf("full") io.write("x")' | cat]],
  ["io.write and os.execute, flushed"] =
    [[$P -e 'io.write("a") io.flush() os.execute("printf b") print("c")']],
}

local function outcome(program, directory, command)
  local script = ("P=%s; D=%s; unset LUA_INIT LUA_PATH LUA_CPATH; %s"):format(program, directory, command)
  local result = process.run({ "sh", "-c", script })
  local message = result.stderr:match("^[^\n]*")
  return {
    status = result.status,
    stdout = result.stdout,
    stderr = message:gsub("^" .. program:match("[^/]*$"):gsub("%p", "%%%0") .. ": ", "PROGRAM: "),
  }
end

describe("in the place of lua5.4", function()
  local directory

  setup(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    for name, text in pairs({
      ["args.lua"] = "print(x, #arg, arg[0] ~= nil, arg[1], arg[2], arg[-1] ~= nil, arg[-3] ~= nil, ...)",
      ["-dash.lua"] = "print('dash', arg[-1])",
      ["path.lua"] = "print(package.path, ...)",
      ["init.lua"] = "print('init file')",
      ["hashbang.lua"] = "#!/usr/bin/env lua\nprint('ran', ...)",
      ["fails.lua"] = "print('before')\nerror('boom')",
      ["syntax.lua"] = "print('not run')\nx = = 1",
    }) do
      local file <close> = assert(io.open(directory .. "/" .. name, "w"))
      assert(file:write(text))
    end
  end)

  teardown(function() os.execute("rm -r " .. directory) end)

  local names = {}
  for name in pairs(cases) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do
    it(name, function()
      assert.same(outcome(LUA, directory, cases[name]), outcome(process.rille, directory, cases[name]))
    end)
  end

  it("-v prints a line, and runs what follows", function()
    local result = process.run({ process.rille, "-v", "-e", "print(1)" })
    assert.is_truthy(result.stdout:find("^rille [^\n]*Lua 5%.4[^\n]*libuv[^\n]*libcurl[^\n]*\n1\n$"))
    assert.equal(0, result.status)
  end)

  it("-v alone reads no script", function()
    local result = process.run({ "sh", "-c", 'echo "error()" | "$0" -v', process.rille })
    assert.equal(0, result.status)
    assert.equal("", result.stderr)
  end)

  it("wrong usage is status 2, where lua5.4 has 1", function()
    for _, words in ipairs({ { "-e" }, { "-l" }, { "-e", "-x" }, { "-vW" }, { "-x" }, { "-Wx" } }) do
      local result = process.run({ process.rille, table.unpack(words) })
      assert.equal(2, result.status)
      assert.is_truthy(result.stderr:find(words[1], 1, true))
      assert.equal("", result.stdout)
    end
  end)

  it("a script from standard input that fails is status 1, where lua5.4 has 0", function()
    local result = process.run({ "sh", "-c", [[printf 'error("boom")' | "$0"]], process.rille })
    assert.equal(1, result.status)
    assert.is_truthy(result.stderr:find("stdin:1: boom", 1, true))
  end)

  it("what is run before the script may wait", function()
    local wait = 'require("rille").sleep(0)'
    local result = process.run({ "env", "LUA_INIT=" .. wait, process.rille, "-e", wait, "-e", "print(1)" })
    assert.equal("1\n", result.stdout)
    assert.equal(0, result.status)
  end)
end)

describe("modules of Debian's for Lua 5.4", function()
  it("Penlight", function()
    local List, pretty = require("pl.List"), require("pl.pretty")
    assert.equal("{1,4,9}", pretty.write(List({ 1, 2, 3 }):map(function(x) return x * x end), ""))
    assert.is_true(require("pl.path").isdir("/"))
  end)

  it("LPeg and re", function()
    local lpeg = require("lpeg")
    local number = lpeg.C(lpeg.R("09") ^ 1) / tonumber
    assert.same({ 1, 23 }, { lpeg.match(number * "," * number, "1,23") })
    assert.equal("x=1", require("re").gsub("x = 1", "' '", ""))
  end)

  it("LuaFileSystem", function()
    local lfs = require("lfs")
    local names = {}
    for name in lfs.dir("/proc/self") do names[name] = true end
    assert.is_true(names.status)
    assert.equal("directory", lfs.attributes("/", "mode"))
  end)

  it("LuaSocket", function()
    local socket = require("socket")
    local server = assert(socket.bind("127.0.0.1", 0))
    local _, port = server:getsockname()
    local client = assert(socket.connect("127.0.0.1", port))
    local peer = assert(server:accept())
    assert(client:send("hello\n"))
    assert.equal("hello", peer:receive())
    for _, s in ipairs({ client, peer, server }) do s:close() end
    assert.equal("a%20b", require("socket.url").escape("a b"))
  end)
end)
