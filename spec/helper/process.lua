-- process.lua -- child processes for specs, without blocking the loop: the shell runs the program in
-- the background, its output in files, and who waits for it polls with rille.sleep.
-- Owner:  `run` cleans up behind itself; what `start` gives is closed by its holder.
-- Errors: a program that is not done in time is killed, and the wait for it raises.
local rille = require "rille"

local PATIENCE = 100 -- seconds; under sanitizers a program may be slow

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return (assert(pipe:read("a")):gsub("\n$", ""))
end

local function quote(word) return "'" .. tostring(word):gsub("'", "'\\''") .. "'" end

local function contents(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a") or ""
end

---@class process
---@field private directory string
local process = {}
process.__index = process

local lib = {
  root = output_of("pwd"), -- of the project, where specs are run
  rille = output_of("readlink /proc/$PPID/exe"), -- the program that runs this spec
  quote = quote,
}

-- The shell ignores SIGINT in what it runs in the background; env undoes that.
local SHELL = [[
D=%s; cd %s && (
  sh -c 'echo $$ >"$0/pid"; exec env --default-signal=INT "$@"' "$D" %s \
    >"$D/out" 2>"$D/err" </dev/null
  echo $? >"$D/part" && mv "$D/part" "$D/status"
) >/dev/null 2>&1 &
]]

--- The words that run this program; its collector is stressed if that of the specs is.
---@return string[]
function lib.host(...)
  if os.getenv("RILLE_SPEC_GC") == "stress" then
    return { lib.rille, "-e", "collectgarbage('incremental', 1, 1000, 1)", ... }
  end
  return { lib.rille, ... }
end

--- Starts a program.
---@param words string[]  the program and its arguments
---@param options? { cwd: string? }
---@return process
function lib.start(words, options)
  local self = setmetatable({ directory = output_of("mktemp -d") }, process)
  local quoted = {}
  for i, word in ipairs(words) do quoted[i] = quote(word) end
  local cwd = quote(options and options.cwd or lib.root)
  assert(os.execute(SHELL:format(self.directory, cwd, table.concat(quoted, " "))))
  return self
end

--- Runs a program to its end.
---@param words string[]
---@param options? { cwd: string? }
---@return { status: integer, stdout: string, stderr: string }
function lib.run(words, options)
  local self <close> = lib.start(words, options)
  return self:wait()
end

--- Runs a text as a script of the host.
---@param text string
---@return { status: integer, stdout: string, stderr: string }
---@return string path  of the script, which is gone
function lib.script(text, ...)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  assert(file:close())
  local ok, done = pcall(lib.run, lib.host(path, ...))
  os.remove(path)
  if not ok then error(done, 0) end
  return done, path
end

---@private
function process:poll(done, what, patience)
  patience = patience or PATIENCE
  local deadline = rille.now() + patience
  while true do
    local value = done()
    if value then return value end
    if rille.now() > deadline then
      error(("%s did not come in %d s; stdout: %s; stderr: %s"):format(what, patience,
        self:stdout(), self:stderr()), 0)
    end
    rille.sleep(0.01)
  end
end

--- What it has written so far.
function process:stdout() return contents(self.directory .. "/out") end
function process:stderr() return contents(self.directory .. "/err") end

--- Waits until its standard output matches.
---@return string capture
function process:expect(pattern)
  return self:poll(function() return self:stdout():match(pattern) end, "output like " .. pattern)
end

--- Its process id, as text. Waits until it has one.
function process:pid()
  return self:poll(function()
    return contents(self.directory .. "/pid"):match("^(%d+)\n")
  end, "the start")
end

--- Has it ended?
---@return boolean
function process:has_ended() return contents(self.directory .. "/status") ~= "" end

--- Sends it a signal, such as "INT".
function process:signal(name)
  os.execute(("kill -%s %s 2>/dev/null"):format(name, self:pid()))
end

--- Waits for its end. The status is that of the shell: 128 + n after signal n.
---@param patience? number seconds
---@return { status: integer, stdout: string, stderr: string }
function process:wait(patience)
  local status = self:poll(function()
    return contents(self.directory .. "/status"):match("^(%d+)\n")
  end, "the end", patience)
  return { status = tonumber(status), stdout = self:stdout(), stderr = self:stderr() }
end

--- Kills it if it has not ended, and removes its files. Idempotent.
function process:close()
  if self.closed then return end
  self.closed = true
  if not self:has_ended() then
    self:signal("KILL")
    self:wait()
  end
  os.execute("rm -rf " .. self.directory)
end

process.__close = process.close

return lib
