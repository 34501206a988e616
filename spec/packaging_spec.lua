-- What `make install` puts where, the manual page, and the completion of bash.
local process = dofile("spec/helper/process.lua")

local function run(...) return process.run({ "sh", "-c", ... }) end

local function output_of(...)
  local result = run(...)
  assert.equal(0, result.status, result.stderr)
  return result.stdout
end

-- A directory that is removed when its variable is closed.
local function directory()
  local path = output_of("mktemp -d"):match("[^\n]+")
  return setmetatable({ path = path }, { __close = function() os.execute("rm -rf " .. path) end })
end

-- The program is this one, and is not built again.
local function make(target, destination)
  return output_of(("exec make -o '%s' PROGRAM='%s' PREFIX=/usr DESTDIR='%s' %s"):format(process.rille,
    process.rille, destination, target))
end

describe("make install", function()
  it("installs a program, its types, its documents, and make uninstall takes all of it away", function()
    local root <close> = directory()
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

describe("rille.1", function()
  it("has the options of the command", function()
    local file <close> = assert(io.open("docs/rille.1"))
    local page = file:read("a"):gsub("\\%-", "-"):gsub("\\fR", "")
    for option in process.run({ process.rille, "--help" }).stdout:gmatch("%f[-]%-%-?%a[%w-]*") do
      assert.is_truthy(page:find("%f[-]" .. option:gsub("%-", "%%-") .. "%f[^%w-]"), option)
    end
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

  it("offers options, scripts and the options of rille test", function()
    assert.is_true(complete("--v")["--version"])
    assert.is_true(complete("t")["test"])
    assert.is_true(complete("scripts/pokem")["scripts/pokemon.lua"])
    assert.is_nil(complete("READ")["README.md"])
    assert.is_true(complete("scripts/pokemon.lua", "READ")["README.md"])
    local options = complete("test", "--")
    assert.is_true(options["--timeout="])
    assert.is_true(options["--shuffle"])
    assert.is_true(options["--no-shuffle"])
    assert.is_true(complete("-e", "code", "test", "spec/packaging_s")["spec/packaging_spec.lua"])
    assert.same({}, complete("-l", "x"))
  end)
end)
