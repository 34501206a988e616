-- expect.lua -- what many specs need: errors that are expected, places, guards, and tasks that wait.
-- Model:  plain functions; who uses them takes those that it needs into locals.
-- Owner:  none.
-- Errors: an expectation that is not met fails the spec, as an assertion of it would.
local assert = require "luassert"
local rille = require "rille"

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
---@return boolean held  false if it does not within two seconds
function expect.eventually(condition)
  for _ = 1, 400 do
    if condition() then return true end
    rille.sleep(0.005)
  end
  return false
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
