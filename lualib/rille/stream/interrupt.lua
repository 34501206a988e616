--- rille.stream.interrupt: finds who is in a step, and ends a wait in it from another task (internal; R46).
-- Model:  a step is found where it is, on the stacks of tasks. The task that is in it gets the signal of a
--         scope that is opened in it for this; the lock leaves that scope when the step is left.
-- Owner:  nobody; nothing is kept.
-- Errors: none.

local cancel_scope = require "rille.host.cancel_scope"
local task = require "rille.host.task"

---@class rille.Scope of host/cancel_scope.c
---@field run fun(self: rille.Scope, fn: fun(...): ..., ...: any): string, ... how fn ended, and with what
---@field cancel fun(self: rille.Scope) sends its signal to what runs inside; idempotent
---@field strike fun(self: rille.Scope, task: rille.Task): boolean sends its signal to a task that waits
---@field leave fun(self: rille.Scope) idempotent

local interrupt = {}

-- The functions that take steps. The first argument of each is the stream.
local steps = {}

--- Tells that fn takes steps of its first argument, a stream.
---@param fn function
function interrupt.note_step(fn)
  steps[fn] = true
end

-- True if a coroutine is in a step for which `is_mine` is true of the stream.
local function is_in_step(co, is_mine)
  local level = 0
  local info = debug.getinfo(co, level, "f")
  while info do
    if steps[info.func] then
      local _, stream = debug.getlocal(co, level, 1)
      if is_mine(stream) then return true end
    end
    level = level + 1
    info = debug.getinfo(co, level, "f")
  end
  return false
end

local function any_in_step(chain, is_mine)
  for _, co in ipairs(chain) do
    if is_in_step(co, is_mine) then return true end
  end
  return false
end

--- True if the caller was called, directly or through coroutines, by a step that is_mine knows.
---@param is_mine fun(stream: rille.Stream): boolean
---@return boolean
function interrupt.is_inside(is_mine)
  return any_in_step(task.chain(), is_mine)
end

--- Aborts the wait of the task that is in such a step.
---@param is_mine fun(stream: rille.Stream): boolean
---@return rille.Scope|nil scope to be left by whoever leaves the step; nil if nobody waits in one now
function interrupt.strike(is_mine)
  for _, each in ipairs(task.waiting()) do
    if any_in_step(task.chain(each), is_mine) then
      local scope = cancel_scope.new("the close of its stream at")
      return scope:strike(each) and scope or nil
    end
  end
end

return interrupt
