-- expect.lua -- what many specs need: errors that are expected, places, guards, and tasks that wait.
-- Model:  plain functions; who uses them takes those that it needs into locals.
-- Owner:  none.
-- Errors: an expectation that is not met fails the spec, as an assertion of it would.
local assert = require "luassert"
local rille = require "rille"

local PATIENCE <const> = 60 -- seconds
local MOST_SECONDS <const> = 6 -- of a time-out that is doubled

local expect = {}

--- Calls a function that must raise.
---@return any err  what it raised
function expect.caught(f, ...)
  local r = table.pack(pcall(f, ...))
  assert.is_false(r[1], "expected an error, got " .. tostring(r[2]))
  return r[2]
end

--- The text of a value must contain a part, to be read as it is.
function expect.has(text, part)
  text = tostring(text)
  assert.is_truthy(text:find(part, 1, true), ("%q is not in %q"):format(part, text))
end

--- Two values must be the same one.
function expect.same_object(a, b)
  assert.is_true(rawequal(a, b), ("%s is not %s"):format(tostring(b), tostring(a)))
end

--- A value for `local x <close> =` that calls f with the error of the exit.
function expect.closer(f)
  return setmetatable({}, { __close = function(_, err) f(err) end })
end

--- Where the caller is.
---@return string place   "file:line"
---@return integer line
function expect.here()
  local info = debug.getinfo(2, "Sl")
  return info.short_src .. ":" .. info.currentline, info.currentline
end

--- Lets other tasks run for some turns of the loop.
---@param n? integer
function expect.turns(n)
  for _ = 1, n or 5 do rille.sleep(0) end
end

--- Lets a task that was spawned just now run until it waits.
function expect.until_waiting(task)
  while task:status() ~= "waiting" do
    assert.is_truthy(task:status() == "ready" or task:status() == "running", task:status())
    rille.sleep(0)
  end
end

--- Waits until a condition holds.
---@return boolean held  false if it does not within a minute, by which the slowest machine is there
function expect.eventually(condition)
  local deadline = rille.now() + PATIENCE
  repeat
    if condition() then return true end
    rille.sleep(0.005)
  until rille.now() > deadline
  return false
end

--- Calls f with the seconds of a time-out that must not strike before f has come to its point; where the
--- machine is too slow for that, again with twice as many.
---@generic T
---@param f fun(seconds: number): T  raises ETIMEDOUT, or gives nil or false, if it has not come there
---@return T result
function expect.patiently(f)
  local seconds = 0.05
  while true do
    local ok, result = pcall(f, seconds)
    if ok and result then return result end
    if not ok and not rille.is_error(result, "ETIMEDOUT") then error(result, 0) end
    assert.is_true(seconds < MOST_SECONDS, ok and "it does not come to its point" or tostring(result))
    seconds = 2 * seconds
  end
end

--- A place where one task waits until it is opened.
function expect.new_gate()
  local resume
  return {
    wait = function() rille.callback(function(r) resume = r end) end,
    open = function() resume() end,
    has_waiter = function() return resume ~= nil end,
  }
end

return expect
