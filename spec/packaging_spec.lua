-- What `make install` puts where, the manual page, and the completion of bash.
local files = require "spec.helper.files"
local naming = require "spec.helper.names"
local process = require "spec.helper.process"

local sorted = naming.sorted

local function run(...) return process.run({ "sh", "-c", ... }) end

local function output_of(...)
  local result = run(...)
  assert.equal(0, result.status, result.stderr)
  return result.stdout
end

-- The program is this one, and is not built again.
local function make(target, destination)
  return output_of(("exec make -o '%s' PROGRAM='%s' PREFIX=/usr DESTDIR='%s' %s"):format(process.rille,
    process.rille, destination, target))
end

describe("make install", function()
  it("installs a program, its types, its documents, and make uninstall takes all of it away", function()
    local root <close> = files.directory()
    make("install", root.path)
    assert.equal("1\n", output_of(root.path .. "/usr/bin/rille -e 'print(1)'"))
    local types = root.path .. "/usr/share/rille/types/"
    assert.is_function(loadfile(types .. "rille.lua"))
    assert.is_function(loadfile(types .. "rille/http.lua"))
    for _, path in ipairs {
      "share/man/man1/rille.1", "share/bash-completion/completions/rille", "share/doc/rille/reference.md",
      "share/doc/rille/examples/pokemon.lua", "share/doc/rille/LICENSE",
    } do
      local file <close> = assert(io.open(root.path .. "/usr/" .. path))
      assert.is_nil(file:read("a"):find("@[A-Z]+@"), path)
    end
    make("uninstall", root.path)
    assert.equal("", output_of(("find %s -type f"):format(root.path)))
  end)
end)

-- What the program says of itself: its usage, the options in it, and its commands, such as "test".
local usage = process.run({ process.rille, "--help" }).stdout
local options = naming.options(usage)

local function commands()
  local set = {}
  for name in usage:gmatch("\n       rille (%a+) ") do set[name] = true end
  assert(set.test)
  return set
end

describe("rille.1", function()
  local file <close> = assert(io.open("docs/rille.1"))
  local page = file:read("a"):gsub("\\%-", "-"):gsub("\\f.", "")

  -- The options that stand at the left of a section: in the line below each ".TP".
  local function tagged(title)
    local set = {}
    local section = page:match("\n%.SH " .. title .. "\n(.-)\n%.SH ")
    for tag in section:gmatch("\n%.TP\n([^\n]*)") do
      for word in tag:gmatch("%S+") do
        local option = word:match("^%-[%w-]*")
        if option then set[option] = true end
      end
    end
    return set
  end

  it("has the options of the command, and no others", function()
    assert.same(sorted(options), sorted(tagged "OPTIONS"))
  end)

  it("has the commands", function()
    local synopsis = page:match("\n%.SH SYNOPSIS\n(.-)\n%.SH ")
    for name in pairs(commands()) do
      assert.is_truthy(synopsis:find("\n.B rille " .. name .. "\n", 1, true), name)
      assert.is_truthy(page:find("\n.SH RILLE " .. name:upper() .. "\n", 1, true), name)
    end
  end)

  it("has the options that rille test has besides those of busted", function()
    local of_busted = run("busted --help 2>&1").stdout
    local own = {}
    for option in output_of(process.quote(process.rille) .. " test --help"):gmatch("%f[-]%-%-[%w-]+") do
      own[option] = not of_busted:find(option, 1, true) or nil
    end
    assert.same(sorted(own), sorted(tagged "RILLE TEST"))
  end)

  it("has the options of rille build, and no others", function()
    local of_build = naming.options(process.run({ process.rille, "build", "--help" }).stdout)
    assert.same(sorted(of_build), sorted(tagged "RILLE BUILD"))
  end)

  it("has no warnings of groff, if that is there", function()
    assert.equal("", output_of("! command -v groff >/dev/null || groff -man -ww -z docs/rille.1 2>&1"))
  end)
end)

describe("the completion of bash", function()
  -- What it offers for the last of these words.
  local function complete(...)
    local words = { process.rille, ... }
    local quoted = {}
    for i, word in ipairs(words) do quoted[i] = process.quote(word) end
    local script = ([[source packaging/rille.bash
      COMP_WORDS=(%s) COMP_CWORD=%d
      _rille "${COMP_WORDS[0]}" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}" 2>/dev/null
      printf '%%s\n' "${COMPREPLY[@]}"]]):format(table.concat(quoted, " "), #words - 1)
    local set = {}
    for word in process.run({ "bash", "-c", script }).stdout:gmatch("[^\n]+") do set[word] = true end
    return set
  end

  it("offers the options and the commands, and no others", function()
    options["-"], options["--"] = nil, nil -- nothing to complete
    assert.same(sorted(options), sorted(complete("-")))
    for name in pairs(commands()) do assert.is_true(complete(name:sub(1, 1))[name], name) end
  end)

  it("offers scripts, files and the options of rille test and rille build", function()
    assert.is_true(complete("--v")["--version"])
    assert.is_true(complete("scripts/pokem")["scripts/pokemon.lua"])
    assert.is_nil(complete("READ")["README.md"])
    assert.is_true(complete("scripts/pokemon.lua", "READ")["README.md"])
    local of_test = complete("test", "--")
    assert.is_true(of_test["--timeout="])
    assert.is_true(of_test["--shuffle"])
    assert.is_true(of_test["--no-shuffle"])
    assert.is_true(complete("build", "--a")["--asset="])
    assert.is_true(complete("build", "scripts/pokem")["scripts/pokemon.lua"])
    assert.is_true(complete("-e", "code", "test", "spec/packaging_s")["spec/packaging_spec.lua"])
    assert.same({}, complete("-l", "x"))
  end)
end)
