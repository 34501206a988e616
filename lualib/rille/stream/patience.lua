--- rille.stream.patience: steps that may outlive the call that asked for them (internal; R67).
-- Model:  such a step is taken by a task of its own. Until somebody has its outcome it is pending: who asks
--         joins it for so long as it likes, and an outcome that comes meanwhile is kept (R69). The stream
--         keeps its functions here for that time, so that every call finds the pending step.
-- Owner:  the stream owns its pending step, the task of the step keeps the stream. It is a daemon: alone, it
--         does not keep the program alive. Closing the stream cancels it.
-- Errors: the outcome of a step is raised in the call that gets it. One that nobody asks for any more is
--         raised by close, or attached to the error in flight; of a dropped stream it is a warning.

local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local lock_of = require("rille.stream.lock").of
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

---@class rille.PendingStep
---@field private task rille.Task
---@field private pull nil|fun(): ... the step of its stream, put together
---@field private lock rille.StreamLock|nil under which that was done
---@field private joined boolean somebody waits for it
---@field private settled boolean somebody has its outcome, or nobody is to have it
local Pending = {}
Pending.__index = Pending

local patience = {}

-- Nothing waits here: it tells whether a call could.
local gate = waitlist.new("an item of a stream")

local function keep(self, pending, ...)
  pending.pull, pending.lock, self.pull = self.pull, self.lock, nil
  return ...
end

-- The step's own task.
local function take(self, pending, step)
  self.pull = pending.pull
  return keep(self, pending, step(self))
end

--- Starts a step of a stream that can take one. Raises if the caller could not wait for it.
---@param self rille.Stream
---@param step fun(self: rille.Stream): ...
function patience.start(self, step)
  gate:check()
  local pending = setmetatable({ joined = false, settled = false, pull = self.pull }, Pending)
  pending.task = task.spawn_daemon(take, self, pending, step)
  pending.task.name = ("step of a stream (%s)"):format(self.name)
  self.pending, self.pull = pending, nil
end

--- True once the step has an outcome.
---@return boolean
function Pending:is_over()
  local status = self.task:status()
  return status == "done" or status == "failed" or status == "cancelled"
end

--- True in the step itself.
---@return boolean
function Pending:is_current()
  return self.task == task.current()
end

--- Waits for the step, or for so long. Raises if somebody else does, or the caller is a part of it.
---@param seconds number|nil
---@param level integer whom an error blames, as for `error`
---@return boolean over
function Pending:join(seconds, level)
  if self.joined or self:is_current() then error("stream already running", level + 1) end
  local _ <close> = setmetatable({}, { __close = function() self.joined = false end })
  self.joined = true
  return self.task:join(seconds)
end

--- Nobody is to have its outcome; if it is under way it is cancelled. Not by itself.
---@return boolean abandoned
function Pending:abandon()
  if self:is_current() then return false end
  self.settled = true
  self.task:cancel("its stream was closed")
  return true
end

--- Waits for the steps that are under way in a stream and below it, but for the caller's own.
---@param self rille.Stream
---@param level integer whom an error blames
function patience.wait(self, level)
  local stage = self
  repeat
    local pending = stage.pending
    if pending and not pending:is_over() and not pending:is_current() then pending:join(nil, level + 1) end
    stage = stage.source
  until not stage
end

--- The outcome of a step that is over: returns its item, or raises its error. Whoever comes first has it.
---@param self rille.Stream
---@param pending rille.PendingStep
---@return any ...
function patience.deliver(self, pending)
  if self.pending == pending then
    self.pending = nil
    if pending.lock == lock_of(self) and ending.OPEN[self.state] then self.pull = pending.pull end
  end
  if pending.settled and pending.task:status() == "cancelled" then error(ending.CLOSED, 0) end
  pending.settled = true
  return pending.task:await()
end

--- The stream has ended: an error that nobody has had yet is raised, or attached to the one in flight.
---@param self rille.Stream
---@param err any in flight; nil for none
function patience.settle(self, err)
  local pending = self.pending
  if not pending or pending.joined then return end
  self.pending, pending.settled = nil, true
  if pending.task:status() ~= "failed" then return end
  if err == nil then return pending.task:await() end
  local _, failure = pcall(pending.task.await, pending.task)
  fault.suppress(err, failure)
end

function Pending:__gc()
  if self.settled or self.task:status() ~= "failed" then return end
  local _, err = pcall(self.task.await, self.task)
  warn("rille: error in a step of a stream that nobody waited for: ", fault.traceback(err))
end

return patience
