-- bench/rivals.lua -- the programs that rille is measured against: how each is run, and whether it is here.
-- Model:  a program is a table {words, name, check}: the words that run it, what to call it where it is not
--         installed, and a command of the shell that succeeds if it is. Python is Debian's, whose modules
--         `make bench-deps` installs; undici and Node 22, newer than Debian's, are of npm, in build/bench.
-- Errors: none; what is not here is named by who runs it.
local rivals = {}

local PYTHON <const> = "/usr/bin/python3"
local UNDICI <const> = "build/bench/node_modules/undici/package.json"

local NODES <const> = { "build/bench/node_modules/.bin/node", "node", "nodejs" }

local function find_node()
  for _, name in ipairs(NODES) do
    if os.execute(("command -v %s >/dev/null"):format(name)) then return name end
  end
  return "node"
end

local NODE <const> = find_node()

local function program(name, check, words) return { name = name, check = check, words = words } end

--- A script in Python that imports these modules.
function rivals.python(modules, ...)
  local import = modules == "" and "pass" or "import " .. modules
  local name = modules == "" and "python3" or "python3 with " .. modules:gsub(",", " and")
  return program(name, ("%s -c '%s'"):format(PYTHON, import), { PYTHON, ... })
end

--- A script in Node.
function rivals.node(...) return program("nodejs", NODE .. " --version", { NODE, ... }) end

--- One that uses undici.
function rivals.undici(...)
  return program("undici", ("%s --version && test -f %s"):format(NODE, UNDICI), { NODE, ... })
end

--- One that uses the helpers of iterators.
function rivals.iterators(...)
  local check = NODE .. " -e 'process.exit(typeof Iterator === \"function\" ? 0 : 1)'"
  return program("Node 22 or later", check, { NODE, ... })
end

--- A command of the system.
function rivals.command(name, ...) return program(name, "command -v " .. name, { name, ... }) end

--- Stock Lua.
function rivals.lua(...) return rivals.command("lua5.4", ...) end

-- What tells the versions of what is measured.
local VERSIONS <const> = {
  "bin/rille --version", "lua5.4 -v | cut -d' ' -f1,2", "nginx -v 2>&1 | sed 's/.*: //'",
  PYTHON .. " --version",
  NODE .. " --version | sed 's/^/Node /'",
  "sed -n 's/^ *\"version\": \"\\(.*\\)\",*$/undici \\1/p' " .. UNDICI,
  "dpkg-query -W -f='${Package} ${Version}\\n' " .. table.concat({
    "python3-aiohttp", "python3-uvloop", "python3-httpx", "python3-aiostream", "wrk", "nghttp2-client",
  }, " "),
}

--- One line for each thing that is installed.
---@return string[]
function rivals.versions()
  local lines = {}
  for _, command in ipairs(VERSIONS) do
    local pipe <close> = assert(io.popen(("PATH=$PATH:/usr/sbin; (%s) 2>/dev/null"):format(command)))
    for line in pipe:lines() do lines[#lines + 1] = line end
  end
  return lines
end

return rivals
