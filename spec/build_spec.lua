-- `rille build`: one program of a script, its modules and its assets. The programs are run where nothing of
-- that is, and do what the scripts do.
local rille = require "rille"
local files = require "spec.helper.files"
local process = require "spec.helper.process"
local expect = require "spec.helper.expect"
local scan = require "rille.build.scan"

local has, contents, write = expect.has, files.contents, files.write

local function shell(command, cwd) return process.run({ "sh", "-c", command }, { cwd = cwd }) end

-- A directory with files, by their paths; removed when its variable is closed. `elsewhere` is an empty one.
local function project(texts)
  local pipe <close> = assert(io.popen("mktemp -d"))
  local root = pipe:read("l")
  assert(os.execute(("mkdir '%s/src' '%s/elsewhere'"):format(root, root)))
  files.write_all(root .. "/src", texts)
  return setmetatable({
    root = root, src = root .. "/src", elsewhere = root .. "/elsewhere", program = root .. "/program",
  }, { __close = function() os.execute("rm -rf " .. root) end })
end

-- Builds main.lua of a project.
local function build(p, ...)
  return process.run({ process.rille, "build", "main.lua", "-o", p.program, ... }, { cwd = p.src })
end

local function assert_built(p, ...)
  local result = build(p, ...)
  assert.equal("", result.stderr)
  assert.equal(0, result.status)
  return result.stdout
end

-- Runs the program where there is nothing else; the sources are gone.
local function run(p, ...)
  os.execute(("mv '%s' '%s/gone' 2>/dev/null"):format(p.src, p.root))
  return process.run({ p.program, ... }, { cwd = p.elsewhere })
end

local function assert_prints(p, stdout, ...)
  assert.same({ status = 0, stdout = stdout, stderr = "" }, run(p, ...))
end

-- What is in a directory.
local function listing(path) return (shell("ls -A " .. path).stdout:gsub("\n", " ")) end

local NOT_FOUND = " not found beside the script, in LUA_PATH or in LUA_CPATH"

describe("rille build", function()
  it("makes one program of a script and the modules that it requires, and these require", function()
    local p <close> = project {
      ["main.lua"] = 'local a = require "lib.a"\nprint(a(), ...)\n',
      ["lib/a.lua"] = "local b = require('lib.sub.b')\nreturn function() return 'a' .. b end",
      ["lib/sub/b.lua"] = "return require [[c]] .. ' of b'",
      ["c/init.lua"] = "return 'c'",
    }
    has(assert_built(p), "program: 3 modules, 0 assets\n")
    assert_prints(p, "ac of b\tx\n", "x")
  end)

  it("runs each module once, with its name and its path, cycles too", function()
    local p <close> = project {
      ["main.lua"] = "require 'a' require 'a' require 'b'",
      ["a.lua"] = "print('a', ...) package.loaded.a = 1 require 'b' require 'm-c' return 1",
      ["b.lua"] = "print('b', ...) require 'a'",
      ["m-c.lua"] = "require 'b'",
    }
    has(assert_built(p), "3 modules")
    assert_prints(p, "a\ta\t./a.lua\nb\tb\t./b.lua\n")
  end)

  it("takes C modules in, one library for all of its modules", function()
    local p <close> = project {
      ["main.lua"] = [[
        local lfs, lpeg, re = require "lfs", require "lpeg", require "re"
        print(lfs.attributes(".", "mode"), lpeg.match(lpeg.P "a" ^ 1, "aab"), re.match("xy", "'x'"))
        local socket = require "socket"
        print(type(socket.gettime()), socket._VERSION)
        print(io.popen("ls | wc -l"):read("n"))
      ]],
    }
    assert_built(p)
    local result = shell("LUA_PATH=nowhere LUA_CPATH=nowhere exec " .. p.program, p.elsewhere)
    assert.equal("", result.stderr)
    assert.is_truthy(result.stdout:find("^directory\t3\t2\nnumber\t[^\n]*\n0\n$"), result.stdout)
  end)

  it("finds the functions of C modules by the rules of the manual", function()
    local p <close> = project {
      ["main.lua"] = [[
        print((require "all"), (require "all.in_one"), (require "v1-all"), (require "all-v2"))
        print(pcall(require, "all.absent"))
      ]],
      ["all.c"] = [[
        typedef struct lua_State lua_State;
        const char *lua_pushstring(lua_State *L, const char *s);
        int luaopen_all(lua_State *L) { lua_pushstring(L, "all"); return 1; }
        int luaopen_all_in_one(lua_State *L) { lua_pushstring(L, "in one"); return 1; }
      ]],
    }
    local make = "gcc -shared -fPIC -o all.so all.c && cp all.so v1-all.so && cp all.so all-v2.so"
    assert.equal("", shell(make, p.src).stderr)
    local result = build(p)
    assert.equal("rille: warning: main.lua:2: left out: module 'all.absent'" .. NOT_FOUND .. "\n",
      result.stderr)
    has(result.stdout, "4 modules")
    result = run(p)
    assert.equal("", result.stderr)
    has(result.stdout, "all\tin one\tall\tall\nfalse\tmodule 'all.absent' not found:")
  end)

  it("says why a library cannot be loaded", function()
    local p <close> = project { ["main.lua"] = "require 'broken'", ["broken.so"] = "no library" }
    local result = build(p)
    assert.equal(1, result.status)
    has(result.stderr, "rille: main.lua:1: error loading module 'broken': './broken.so' cannot be loaded: ")
  end)

  it("takes a big library of modules in", function()
    local p <close> = project {
      ["main.lua"] = "print((require 'pl.pretty'.write({ 1, a = 'x' }, '')))",
    }
    local result = build(p, "--include", "pl.List", "--include=pl.Map")
    assert.equal(0, result.status)
    assert_prints(p, '{1,a="x"}\n')
  end)

  it("passes over what the host has itself", function()
    local p <close> = project {
      ["main.lua"] = [[
        local rille, json = require "rille", require "rille.json"
        print(require "string" == string, json.encode { 1 }, type(require "cjson".null), type(rille.now()))
      ]],
      ["string.lua"] = "error 'not this one'",
    }
    has(assert_built(p), "0 modules")
    assert_prints(p, "true\t[1]\tuserdata\tnumber\n")
  end)

  it("looks beside the script first, then in LUA_PATH; the program looks in itself first", function()
    local p <close> = project {
      ["main.lua"] = "print((require 'm'), (require 'n'))", ["m.lua"] = "return 'beside'",
      ["path/m.lua"] = "return 'path'", ["path/n.lua"] = "return 'path'",
    }
    local built = shell(("LUA_PATH='%s/path/?.lua;;' exec %s build src/main.lua -o program"):format(p.src,
      process.rille), p.root)
    assert.same({ status = 0, stdout = "program: 2 modules, 0 assets\n", stderr = "" }, built)
    write(p.elsewhere .. "/m.lua", "return 'other'")
    assert_prints(p, "beside\tpath\n")
  end)

  it("the main job is a program", function()
    local p <close> = project {}
    local script = process.root .. "/scripts/pokemon.lua"
    local built = process.run({ process.rille, "build", script, "-o", p.program })
    assert.equal("", built.stderr)
    local result = run(p, "--count", "3")
    assert.equal("", result.stderr)
    assert.is_truthy(result.stdout:find("^[%w-]+\n[%w-]+\n[%w-]+\ncollected: [%w-]+, [%w-]+, [%w-]+\n$"))
    assert.equal(2, run(p, "--nonsense").status)
  end)
end)

describe("what rille build reads in a source", function()
  local function uses(text)
    local list = {}
    for i, use in ipairs(scan(text)) do
      local optional = use.is_optional and " optional" or ""
      list[i] = ("%d %s %s%s"):format(use.line, use.kind, use.name or "?", optional)
    end
    return list
  end

  for text, expected in pairs {
    ['require "a" require \'b\' require("c") require [[d]] require [==[\ne]==]'] =
      { "1 require a", "1 require b", "1 require c", "1 require d", "1 require e" },
    ['x = require\n  (\n "a"\n)'] = { "1 require a" },
    ['require "a\\z\n  b\\x41\\u{42}\\67\\"" f()'] = { '1 require abABC"' },
    ['require("a", 1) require "a" .. "b"'] = { "1 require a", "1 require a" },
    ['require(name) require("a" .. b) require(("a"))'] = { "1 require ?", "1 require ?", "1 require ?" },
    ['-- require "a"\n--[[ require "b" ]] --[==[\nrequire "c" ]] ]==]\nrequire "d" -- require "e"'] =
      { "4 require d" },
    ['local s = "require \\"a\\" \\\\" local t = \'require "b"\' .. [[\nrequire "c"]]\nrequire "d"'] =
      { "3 require d" },
    ['local s = "x\\\n" require "a"'] = { "2 require a" },
    ['x.require "a" x:require "b" function require(x) end _G.require "c" _ENV.require "d"'] =
      { "1 require c", "1 require d" },
    ['local prequire = 1 required "a" t = { require = require }'] = {},
    ['pcall(require, "a") _G.pcall(_G.require, "b") xpcall(require, f(1, 2), "c") pcall(require, x)'] = {
      "1 require a optional", "1 require b optional", "1 require c optional", "1 require ? optional",
    },
    ['if not pcall(function() x(require "a") end) then require "b" end'] =
      { "1 require a optional", "1 require b" },
    ['rille.asset "a" rille.asset("b/c") rille.asset(x)'] = { "1 asset a", "1 asset b/c", "1 asset ?" },
    ['require("rille").asset "d" require "rille".asset "e"'] = {
      "1 require rille", "1 asset d", "1 require rille", "1 asset e",
    },
    ['x.asset "a" asset "b" function rille.asset(x) end pcall(rille.asset, "c")'] = { "1 asset c optional" },
    ['x = 1.5e-3 y = 0x1p4 z = a..b ... require "a"'] = { "1 require a" },
    ['x = 3 --'] = {},
    [''] = {},
  } do
    it("is told in " .. ("%q"):format(text):gsub("\n", "n"), function() assert.same(expected, uses(text)) end)
  end

  it("is on the lines that are told, in sources as people write them", function()
    local found, paths = 0, { "scripts/pokemon.lua", "lualib/rille.lua", "/usr/share/lua/5.4/socket.lua" }
    for _, path in ipairs(paths) do
      local text, lines = contents(path), {}
      for line in text:gmatch("([^\n]*)\n?") do lines[#lines + 1] = line end
      for _, use in ipairs(scan(text)) do
        found = found + 1
        assert.is_truthy(lines[use.line]:find(use.kind, 1, true), path .. ":" .. use.line)
      end
    end
    assert.is_true(found > 20)
  end)
end)

describe("rille build, where something is wrong,", function()
  -- Nothing is written, and each line is one of these.
  local function assert_refused(p, lines, ...)
    local result = build(p, ...)
    assert.same({ status = 1, stdout = "", stderr = table.concat(lines, "\n") .. "\n" }, result)
    assert.equal("elsewhere src ", listing(p.root))
  end

  it("names each module that is not found, where, and what to do", function()
    local p <close> = project {
      ["main.lua"] = "require 'a'\nrequire 'absent'\nrequire 'rille.htpp'",
      ["a.lua"] = "\nrequire 'absent.too'",
    }
    local advice = "; set these, or write pcall(require, '%s') if the program can do without it"
    assert_refused(p, {
      "rille: --include absent3: module 'absent3'" .. NOT_FOUND,
      "rille: main.lua:2: module 'absent'" .. NOT_FOUND .. advice:format("absent"),
      "rille: main.lua:3: module 'rille.htpp'" .. NOT_FOUND .. "; did you mean 'rille.http'?",
      "rille: ./a.lua:2: module 'absent.too'" .. NOT_FOUND .. advice:format("absent.too"),
    }, "--include", "absent3")
  end)

  it("leaves out what is asked for under a pcall, and what only that asks for", function()
    local p <close> = project {
      ["main.lua"] = "print(pcall(require, 'absent'))\nlocal ok = pcall(require, 'half')\nprint(ok)",
      ["half.lua"] = "\nrequire 'absent2'",
    }
    local result = build(p)
    assert.equal("rille: warning: main.lua:1: left out: module 'absent'" .. NOT_FOUND
      .. "\nrille: warning: ./half.lua:2: left out: module 'absent2'" .. NOT_FOUND .. "\n", result.stderr)
    assert.equal(0, result.status)
    result = run(p)
    has(result.stdout, "false\tmodule 'absent' not found:\n\tno field package.preload['absent']\n\t"
      .. "not in this program (rille build --include absent puts it in)\n\tno file '")
    assert.is_truthy(result.stdout:find("\nfalse\n$"))
  end)

  it("needs what is asked for under a pcall and without", function()
    local p <close> = project {
      ["main.lua"] = "pcall(require, 'half')\nrequire 'other'", ["half.lua"] = "require 'absent'",
      ["other.lua"] = "require 'half'",
    }
    local result = build(p)
    assert.equal(1, result.status)
    has(result.stderr, "rille: ./half.lua:1: module 'absent' not found")
  end)

  it("warns of names that are computed; --include names them", function()
    local p <close> = project {
      ["main.lua"] = "local name = ...\n\nprint((require('plug.' .. name)))\nprint(pcall(require, name))",
      ["plug/a.lua"] = "return require 'plug.b'", ["plug/b.lua"] = "return 'b'",
    }
    local result = build(p, "--include", "plug.a")
    local text = ": the name of the module is computed: name what it may be with --include\n"
    assert.equal("rille: warning: main.lua:3" .. text .. "rille: warning: main.lua:4" .. text, result.stderr)
    has(result.stdout, "program: 2 modules, 0 assets\n")
    has(run(p, "a").stdout, "b\nfalse\tmodule 'a' not found:")
  end)

  it("tells syntax errors of the script and of modules, with hints", function()
    local p <close> = project {
      ["main.lua"] = "x = 1\nx = = 1", ["other.lua"] = "require 'm'", ["m.lua"] = "\nawait f()",
    }
    assert_refused(p, { "rille: main.lua:2: unexpected symbol near '='" })
    local result = process.run({ process.rille, "build", "other.lua", "-o", "x" }, { cwd = p.src })
    assert.equal("rille: other.lua:1: error loading module 'm': ./m.lua:2: syntax error near 'f'\n"
      .. "hint: a call that waits just waits: leave out 'await'\n", result.stderr)
  end)

  it("tells of scripts that cannot be read", function()
    local p <close> = project {}
    assert_refused(p, { "rille: cannot open main.lua: No such file or directory" })
    os.execute("mkdir " .. p.src .. "/main.lua")
    assert_refused(p, { "rille: cannot read main.lua: Is a directory" })
  end)

  it("tells of assets that are not there, or cannot be named", function()
    local p <close> = project {
      ["main.lua"] = "local rille = require 'rille'\nrille.asset 'absent'\nrille.asset '../x'\n",
    }
    assert_refused(p, {
      "rille: main.lua:2: asset 'absent' not found: no such file: absent; "
        .. "write pcall(rille.asset, 'absent') if the program can do without it",
      "rille: main.lua:3: asset '../x': its name must be a path below the script's directory",
      "rille: --asset none: no such file: " .. p.src .. "/none",
      "rille: --asset ..: rille.asset cannot name what is not below the directory of the script, '" .. p.src
        .. "/'",
    }, "--asset", "none", "--asset", "..")
  end)

  it("warns of names of assets that are computed", function()
    local p <close> = project {
      ["main.lua"] = "local rille = require 'rille'\nprint(rille.asset(...))", a = "A",
    }
    local result = build(p, "--asset", "a")
    assert.equal("rille: warning: main.lua:2: the name of the asset is computed: "
      .. "name what it may be with --asset\n", result.stderr)
    assert_prints(p, "A\n", "a")
  end)

  local function assert_not_written(p, output, why)
    local words = { process.rille, "build", "main.lua", "--asset", "a", "-o", output }
    local message = ("rille: cannot write '%s': %s\n"):format(output, why)
    assert.same({ status = 1, stdout = "", stderr = message }, process.run(words, { cwd = p.src }))
  end

  it("does not replace a directory, a device, its own parts or itself", function()
    local p <close> = project { ["main.lua"] = "require 'm'", ["m.lua"] = "return 5", a = "A" }
    assert(os.execute(("cd %s && ln -s main.lua link"):format(p.src)))
    local part = "it is a part of the program"
    for output, why in pairs {
      [p.elsewhere] = "it is a directory", ["x/"] = "it is a directory", ["/dev/null"] = "it is no file",
      ["main.lua"] = part, ["../src/m.lua"] = part, link = part, a = part,
      [process.rille] = "it is this rille",
    } do assert_not_written(p, output, why) end
    assert.equal("a link m.lua main.lua ", listing(p.src))
    assert.equal("return 5", contents(p.src .. "/m.lua"))
  end)

  it("does not write where nothing can be written", function()
    local p <close> = project { ["main.lua"] = "", a = "A" }
    assert_not_written(p, "none/program", "No such file or directory")
    assert_not_written(p, "main.lua/program", "Not a directory")
    assert_not_written(p, "/proc/program", "No such file or directory")
    if shell("id -u").stdout ~= "0\n" then -- root writes everywhere
      assert(os.execute("chmod 555 " .. p.elsewhere))
      assert_not_written(p, p.elsewhere .. "/program", "Permission denied")
    end
  end)

  it("leaves the old program, and nothing else, when the disk is full", function()
    local p <close> = project { ["main.lua"] = "print 'new'" }
    write(p.program, "old")
    local command = "trap '' XFSZ; ulimit -f 500; exec %s build main.lua -o '%s'"
    local result = shell(command:format(process.rille, p.program), p.src)
    local message = ("rille: cannot write '%s': File too large\n"):format(p.program)
    assert.same({ status = 1, stdout = "", stderr = message }, result)
    assert.equal("elsewhere program src ", listing(p.root))
    assert.equal("old", contents(p.program))
  end)

  it("has a usage", function()
    for _, words in ipairs {
      {}, { "main.lua" }, { "-o", "x" }, { "main.lua", "-o" }, { "main.lua", "-o", "x", "other.lua" },
      { "main.lua", "-o", "x", "--nonsense" }, { "main.lua", "-o", "x", "-x" }, { "main.lua", "-o", "" },
      { "main.lua", "-o", "x", "--include" }, { "main.lua", "-o", "x", "--asset=" },
      { "main.lua", "-o", "x", "-ox" }, { "-", "-o", "x" },
    } do
      local result = process.run({ process.rille, "build", table.unpack(words) })
      assert.equal(2, result.status, table.concat(words, " "))
      assert.equal("", result.stdout)
      has(result.stderr:match("^rille build: [^\n]+\n(.*)"), "usage: rille build script -o program")
    end
    local help = process.run({ process.rille, "build", "--help" })
    assert.equal(0, help.status)
    has(help.stdout, "usage: rille build script -o program")
  end)
end)

describe("the file that rille build writes", function()
  it("is executable as far as the umask allows, and replaces the old one", function()
    local p <close> = project { ["main.lua"] = "print(1)" }
    for mask, mode in pairs { ["022"] = "755", ["077"] = "700" } do
      shell(("umask %s; exec %s build main.lua -o '%s'"):format(mask, process.rille, p.program), p.src)
      assert.equal(mode .. "\n", shell(("stat -c %%a '%s'"):format(p.program)).stdout)
    end
    assert.equal("elsewhere program src ", listing(p.root))
  end)

  it("replaces a program that runs", function()
    local p <close> = project { ["main.lua"] = "print 'up' io.stdout:flush() require 'rille'.sleep(3600)" }
    assert_built(p)
    local running <close> = process.start({ p.program })
    running:expect("up")
    write(p.src .. "/main.lua", "print 'new'")
    assert_built(p)
    assert_prints(p, "new\n")
    assert.is_false(running:has_ended())
  end)

  it("takes its options in any order and form", function()
    local p <close> = project { ["-main.lua"] = "print(1)", m = "x" }
    for _, words in ipairs {
      { "-o" .. p.program, "--", "-main.lua" }, { "--output", p.program, "--asset", "m", "./-main.lua" },
      { "--output=" .. p.program, "--asset=m", "--", "-main.lua" },
    } do
      os.remove(p.program)
      local result = process.run({ process.rille, "build", table.unpack(words) }, { cwd = p.src })
      assert.equal("", result.stderr)
      assert.is_true(shell(p.program).stdout == "1\n")
    end
  end)

  it("is no script: a script named build is ./build", function()
    local p <close> = project { build = "print('ran', ...)" }
    assert.equal("ran\tx\n", process.run({ process.rille, "./build", "x" }, { cwd = p.src }).stdout)
  end)
end)

describe("a program that was built", function()
  it("has every argument to itself", function()
    local p <close> = project { ["main.lua"] = "print(#arg, arg[-1], ...)" }
    assert_built(p)
    assert_prints(p, "0\tnil\n")
    assert_prints(p, "6\tnil\t-e\t--help\t-\t-E\t\ttest\n", "-e", "--help", "-", "-E", "", "test")
  end)

  it("takes no option for its own: -E does not make it ignore LUA_PATH", function()
    local p <close> = project { ["main.lua"] = "print(package.path, ...)" }
    assert_built(p)
    assert.equal("here/?.lua\t-E\n", shell(("LUA_PATH='here/?.lua' exec '%s' -E"):format(p.program)).stdout)
  end)

  it("has its path in arg[0]: as given, found in PATH, or that of a link", function()
    local p <close> = project { ["main.lua"] = "print(arg[0])" }
    assert_built(p)
    assert(os.execute(("ln -s ../program '%s/link'"):format(p.elsewhere)))
    assert.equal(p.program .. "\n", run(p).stdout)
    assert.equal("../program\n", shell("../program", p.elsewhere).stdout)
    assert.equal("./link\n", shell("./link", p.elsewhere).stdout)
    assert.equal(p.program .. "\n", shell(("PATH=%s:$PATH program"):format(p.root)).stdout)
  end)

  it("ignores LUA_INIT", function()
    local p <close> = project { ["main.lua"] = "print(x)" }
    assert_built(p)
    local result = shell(("LUA_INIT='x = 1' LUA_INIT_5_4='error(1)' '%s'"):format(p.program))
    assert.same({ status = 0, stdout = "nil\n", stderr = "" }, result)
  end)

  it("has the exit statuses of a script", function()
    local p <close> = project {
      ["main.lua"] = [[
        local how = ...
        if how == "exit" then os.exit(7) end
        if how == "deadlock" then require("rille").channel():recv() end
        if how == "fail" then error("boom") end
      ]],
    }
    assert_built(p)
    for how, status in pairs { exit = 7, deadlock = 1, fail = 1, well = 0 } do
      assert.equal(status, run(p, how).status, how)
    end
  end)

  it("has the traces of the script", function()
    local p <close> = project {
      ["main.lua"] = "#!/usr/bin/env rille\nlocal m = require 'm'\nlocal function f() m() end\nf()\n",
      ["m.lua"] = "\xef\xbb\xbf#!first\nreturn function()\n  error('boom')\nend",
    }
    local script = process.run({ process.rille, "main.lua" }, { cwd = p.src })
    assert_built(p)
    assert.same(script, run(p))
    has(script.stderr, "rille: ./m.lua:3: boom\n")
    has(script.stderr, "\n\tmain.lua:4: in main chunk\n")
  end)

  it("has the sources that its script has", function()
    local p <close> = project {
      ["main.lua"] = "local i = debug.getinfo(1, 'S') print(i.source, i.short_src, i.what)",
    }
    local built = process.run({ process.rille, "build", "src/main.lua", "-o", p.program }, { cwd = p.root })
    assert.equal("", built.stderr)
    assert_prints(p, "@src/main.lua\tsrc/main.lua\tmain\n")
  end)

  it("reads standard input", function()
    local p <close> = project { ["main.lua"] = "print(io.read('a'):upper())" }
    assert_built(p)
    assert.equal("X Y\n", shell(("printf 'x y' | '%s'"):format(p.program)).stdout)
  end)

  it("has the host's HTTP, generators and cleanup in it", function()
    local p <close> = project {
      ["main.lua"] = [[
        local http, rille = require "rille.http", require "rille"
        local server <close> = http.serve({}, function(req) return { body = req.path } end)
        for text in rille.generator(function()
          for i = 1, 3 do coroutine.yield(http.get(server.url .. "/" .. i):text()) end
        end)() do print(text) end
      ]],
    }
    assert_built(p)
    assert_prints(p, "/1\n/2\n/3\n")
  end)

  it("may wait while a module is loaded, and loads that once for two tasks", function()
    local p <close> = project {
      ["main.lua"] = [[
        local rille = require "rille"
        local function load() return (require "slow") end
        print(table.unpack(rille.all { load, load }))
      ]],
      ["slow.lua"] = "require 'rille'.sleep(0) print('loaded') return 'slow'",
    }
    assert_built(p)
    assert_prints(p, "loaded\nslow\tslow\n")
  end)

  it("is cancelled by SIGINT, cleanup included, and tells its tasks on SIGUSR1", function()
    local p <close> = project {
      ["main.lua"] = [[
        local rille = require "rille"
        local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) print("cleanup") end })
        print("up")
        io.stdout:flush()
        rille.sleep(3600)
      ]],
    }
    assert_built(p)
    local running <close> = process.start({ p.program })
    running:expect("up")
    running:signal("USR1")
    while not running:stderr():find("main.lua:5", 1, true) do rille.sleep(0.01) end
    running:signal("INT")
    local result = running:wait()
    assert.equal(130, result.status)
    assert.equal("up\ncleanup\n", result.stdout)
  end)

  it("takes a compiled script, and says what it cannot see", function()
    local p <close> = project { ["source.lua"] = "print((require 'm'))", ["m.lua"] = "return 'm'" }
    local compile = "io.open('main.lua', 'wb'):write('#!x\\n', string.dump(loadfile('source.lua')))"
    assert.equal(0, process.run({ process.rille, "-e", compile }, { cwd = p.src }).status)
    local result = build(p, "--include", "m")
    assert.equal("rille: warning: main.lua: what a compiled chunk requires is not seen: "
      .. "name it with --include\n", result.stderr)
    assert_prints(p, "m\n")
  end)
end)

describe("rille.asset", function()
  local BYTES = "a\0b\r\n\xff\x1a\27" .. ("x"):rep(100000)
  local SCRIPT = [[
    local rille = require "rille"
    local function show(ok, text)
      print(ok, ok and #text or text, ok or rille.is_error(text, "ENOENT"), ok or text.path)
    end
    local bytes = rille.asset("data/bytes")
    print(#bytes, bytes:byte(1, 8))
    print(#rille.asset "empty")
    show(pcall(rille.asset, (...)))
  ]]

  local function texts()
    return {
      ["main.lua"] = SCRIPT, ["data/bytes"] = BYTES, empty = "", ["data/deep/er/x"] = "xx", ["data/.y"] = "y",
    }
  end

  it("gives the bytes of a file beside the script, and of the same file in the program", function()
    local p <close> = project(texts())
    has(build(p, "--asset", "data").stdout, "program: 0 modules, 4 assets\n")
    local expected = "100008\t97\t0\t98\t13\t10\t255\t26\t27\n0\n"
    for name, more in pairs {
      ["data/deep/er/x"] = "true\t2\ttrue\ttrue\n", ["data/.y"] = "true\t1\ttrue\ttrue\n",
    } do
      local script = process.run({ process.rille, "../src/main.lua", name }, { cwd = p.elsewhere })
      assert.same({ status = 0, stdout = expected .. more, stderr = "" }, script)
      assert.same(script, process.run({ p.program, name }, { cwd = p.elsewhere }))
    end
    for _, name in ipairs { "nothing", "data", "data/deep", "main.lua/x" } do
      local script = process.run({ process.rille, "../src/main.lua", name }, { cwd = p.elsewhere }).stdout
      local failed = expected .. "false\tasset '%s': %s (rille build --asset puts it in)\ttrue\t%s\n"
      assert.equal(failed:format(name, "no such file: ../src/" .. name, name), script)
      assert.equal(failed:format(name, "this program was built without it", name),
        process.run({ p.program, name }).stdout)
    end
  end)

  it("takes a path below the script's directory, in one way", function()
    for _, name in ipairs { "", "/etc/passwd", "../x", "a/../b", "./a", "a/", "a//b", "a\0b", "..", "." } do
      has(expect.caught(rille.asset, name), "bad argument #1 to 'asset' (a path below the script's directory")
    end
    has(expect.caught(rille.asset), "string expected, got nil")
    assert.is_string(rille.asset("README.md")) -- specs have no script: from where they are run
  end)

  it("leaves the program itself out of a directory", function()
    local p <close> = project { ["main.lua"] = "print(#require 'rille'.asset 'x')", x = "x" }
    for _ = 1, 2 do
      local words = { process.rille, "build", "main.lua", "-o", "prog", "--asset", "." }
      local result = process.run(words, { cwd = p.src })
      assert.equal("prog: 0 modules, 2 assets\n", result.stdout) -- x and main.lua
    end
  end)
end)

describe("a program that was damaged", function()
  local function built()
    local p = project {
      ["main.lua"] = "print(require 'mod' .. require 'rille'.asset 'a')", ["mod.lua"] = "return 'm'",
      a = "asset text",
    }
    assert_built(p)
    return p
  end

  local CUT = "rille: this program was cut, or stripped, after it had been built: build it again"

  local function assert_line(p, line)
    local result = run(p)
    assert.equal(1, result.status)
    assert.equal("", result.stdout)
    assert.equal(line, result.stderr:match("^[^\n]*"))
    return result
  end

  it("is told to be stripped", function()
    local p <close> = built()
    assert.equal("", shell(("strip '%s'"):format(p.program)).stderr)
    local result = assert_line(p, CUT)
    assert.equal(1, select(2, result.stderr:gsub("\n", "")))
  end)

  it("is told to be cut, wherever", function()
    local p <close> = built()
    local text = contents(p.program)
    local main = text:find("print(require 'mod' .. ", 1, true)
    for _, n in ipairs { #text - 1, #text - 100, main + 5, main - 1 } do
      write(p.program, text:sub(1, n))
      assert_line(p, CUT)
    end
  end)

  it("is told by the byte that is wrong, in the index or in what is asked for", function()
    local p <close> = built()
    local text = contents(p.program)
    local function flip(at)
      write(p.program, text:sub(1, at - 1) .. string.char(text:byte(at) ~ 1) .. text:sub(at + 1))
    end
    for what, line in pairs {
      ["print(require 'mod' .. "] = "rille: this program is damaged: build it again (main)",
      ["return 'm'"] = "rille: this program is damaged: build it again (lua:mod)",
      ["asset text"] = "rille: this program is damaged: build it again (asset:a)",
      ["asset:a"] = "rille: this program is damaged: build it again",
      ["lua:mod"] = "rille: this program is damaged: build it again",
    } do
      local at = text:find(what, 1, true)
      while text:find(what, at + 1, true) do at = text:find(what, at + 1, true) end
      flip(at)
      assert_line(p, line)
    end
    for at = #text - 200, #text, 40 do
      flip(at)
      assert_line(p, "rille: this program is damaged: build it again")
    end
  end)

  it("may have something behind it", function()
    local p <close> = built()
    write(p.program, contents(p.program) .. "a signature, say")
    assert_prints(p, "masset text\n")
  end)
end)
