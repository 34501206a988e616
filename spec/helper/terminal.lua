-- terminal.lua -- a program on a terminal of its own, which tmux emulates: keys go in, the screen comes out.
-- Owner:  what `start` gives is closed by its holder, which ends the program.
-- Errors: a screen that does not come in time raises, with what there is instead.
local rille = require "rille"
local process = require "spec.helper.process"

local PATIENCE = 100 -- seconds; under sanitizers a program may be slow

---@class terminal
---@field private directory string
local terminal = {}
terminal.__index = terminal

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read("a")
end

---@private
function terminal:tmux(...)
  local words = { "tmux", "-f", "/dev/null", "-S", self.directory .. "/socket", ... }
  for i, word in ipairs(words) do words[i] = process.quote(word) end
  return table.concat(words, " ")
end

--- Starts a program; when it has ended, the screen says "[status n]".
---@param words string[]  the program and its arguments
---@param environment? table<string, string>
---@return terminal
local function start(words, environment)
  local directory = output_of("mktemp -d"):gsub("\n$", "")
  local self = setmetatable({ directory = directory }, terminal)
  local quoted = {}
  for name, value in pairs(environment or {}) do quoted[#quoted + 1] = name .. "=" .. process.quote(value) end
  for _, word in ipairs(words) do quoted[#quoted + 1] = process.quote(word) end
  local command = ("cd %s; env LC_ALL=C.UTF-8 %s; echo \"[status $?]\"; exec cat"):format(
    process.quote(process.root), table.concat(quoted, " "))
  assert(os.execute(self:tmux("new-session", "-d", "-x", "80", "-y", "60", command)))
  return self
end

--- Types a text, then presses Enter.
function terminal:enter(text)
  assert(os.execute(self:tmux("send-keys", "-l", "--", text, ";", "send-keys", "Enter")))
end

function terminal:type(text)
  assert(os.execute(self:tmux("send-keys", "-l", "--", text)))
end

--- Presses keys by their names: "Tab", "C-c", "Up".
function terminal:press(...)
  assert(os.execute(self:tmux("send-keys", ...)))
end

--- Gives the terminal another width, and waits until its device has it.
function terminal:resize(columns)
  assert(os.execute(self:tmux("resize-window", "-x", columns)))
  local device = output_of(self:tmux("display-message", "-p", "#{pane_tty}")):gsub("\n", "")
  self:poll(function() return output_of("stty size -F " .. device):match("%d+\n") == columns .. "\n" end,
    "is not as wide as " .. columns)
end

--- What is on the screen, without blanks and empty lines at the ends.
function terminal:screen()
  return (output_of(self:tmux("capture-pane", "-p", "-J")):gsub(" +\n", "\n"):gsub("\n+$", ""))
end

---@private
function terminal:poll(done, what)
  local deadline = rille.now() + PATIENCE
  while true do
    local screen = self:screen()
    if done(screen) then return screen end
    if rille.now() > deadline then error(("the screen %s but is:\n%s"):format(what, screen), 3) end
    rille.sleep(0.01)
  end
end

--- Waits until the screen ends with this text.
---@return string screen
function terminal:expect(ending)
  return self:poll(function(screen) return screen:sub(-#ending) == ending end,
    ("does not end with %q"):format(ending))
end

--- Waits until something on the screen matches the pattern.
---@return string ... captures
function terminal:find(pattern)
  local found = self:poll(function(screen) return screen:find(pattern) end,
    ("has nothing like %q"):format(pattern))
  return found:match(pattern)
end

-- How often a text is in another one.
local function count(text, part)
  local n, at = 0, 1
  while true do
    local _, last = text:find(part, at, true)
    if not last then return n end
    n, at = n + 1, last + 1
  end
end

--- Enters a line, and waits until it is there once more and a prompt is at the end.
---@return string screen
function terminal:say(text)
  local before = count(self:screen(), text)
  self:enter(text)
  return self:poll(function(screen) return count(screen, text) > before and screen:find("\n>+$") end,
    ("has no prompt after %q"):format(text))
end

--- Ends the program and removes its terminal. Idempotent.
function terminal:close()
  if self.closed then return end
  self.closed = true
  os.execute(self:tmux("kill-server") .. " 2>/dev/null")
  os.execute("rm -rf " .. self.directory)
end

terminal.__close = terminal.close

return { start = start }
