--- rille.stream.lock: one step at a time over a root (internal; R80).
-- Model:  a root and the streams over it share a lock; when another root takes it in, its lock is merged
--         into that one's. A lock is the to-be-closed value of a step: whoever makes an item, or the end,
--         takes the holder out, so a step that is left with a holder is left by an error.
-- Owner:  the root; the task that takes the step, while it is under way.
-- Errors: a step that is left by an error fails its stream. One that another task wants to end closes it
--         (R47), which that task waits for.

local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local interrupt = require "rille.stream.interrupt"
local task = require "rille.host.task"
local turn = require("rille.host.timer").turn
local waitlist = require "rille.host.waitlist"

---@class rille.StreamLock
---@field holder rille.Stream|boolean the stream whose step is under way; true for a lock that was merged
---@field merged nil|rille.StreamLock the lock that took its place
---@field leaving false|rille.StreamLeave another task closes the stream and waits for its step
local Lock = {}

---@class rille.StreamLeave
---@field stream rille.Stream whose step is to end
---@field task rille.Task|nil that has left the step and is closing the stream
---@field loop table|nil the loop that closes it
---@field waitlist rille.Waitlist who waits for that
---@field scope rille.Scope|nil whose signal ends the wait in the step
---@field failure table|nil { error } of the cleanup

local lock = {}

---@return rille.StreamLock
function lock.new()
  return setmetatable({ holder = false, leaving = false }, Lock)
end

--- The lock of a stream, which may have been merged into another.
---@param self rille.Stream
---@return rille.StreamLock
function lock.of(self)
  local own = self.lock
  if own.merged then
    repeat own = own.merged until not own.merged
    self.lock, self.pull = own, nil -- the step was put together for the old one
  end
  return own
end

--- Brings a root under the lock of another. Raises if a step over the root is under way.
---@param root rille.Stream
---@param other rille.StreamLock
function lock.merge(root, other)
  local own = lock.of(root)
  if own == other then return end
  if own.holder then error("stream already running", 0) end
  own.holder, own.merged = true, other
  root.lock, root.pull = other, nil
end

-- Makes the step under way end, so far as it can be done from outside: what the root waits for is aborted,
-- and a step that has a task of its own is cancelled.
local function abort(self, own, err, loop)
  local stream = own.holder
  local pending = stream ~= true and stream.pending
  ending.interrupt(self, err, loop)
  if pending and pending:abandon() then stream.pending = nil end
end

local RETRY = 0.01 -- seconds until a step that cannot be cut short is looked at again

-- Ends a wait in the step that the root does not know of. What it has aborted leaves the step within a turn.
local function strike(own, leaving)
  local function is_mine(stream) return lock.of(stream) == own end
  turn()
  while own.leaving == leaving and not leaving.task and not leaving.scope do
    leaving.scope = interrupt.strike(is_mine)
    if not leaving.scope then leaving.waitlist:wait(RETRY) end
  end
end

-- Waits until the step has been left and the stream is closed; raises an error of the cleanup.
local function join(own, leaving, err)
  while own.leaving == leaving do leaving.waitlist:wait() end
  if not leaving.failure then return end
  if err == nil then error(leaving.failure[1], 0) end
  fault.suppress(err, leaving.failure[1])
end

--- If another task closes the stream because its step was ended, waits for that. Raises an error of the
--- cleanup, or attaches it to the one in flight.
---@param self rille.Stream
---@param err any in flight; nil for none
function lock.join(self, err)
  local own = lock.of(self)
  local leaving = own.leaving
  if leaving and (not leaving.task or leaving.task ~= task.current()) then join(own, leaving, err) end
end

--- If a step is under way in another task, ends it and its stream; returns when it has been left. Raises an
--- error of the cleanup, or attaches it to the one in flight.
---@param self rille.Stream
---@param err any in flight; nil for none
---@param loop table|nil the loop that closes the stream
function lock.interrupt(self, err, loop)
  local own = lock.of(self)
  if not own.holder then return lock.join(self, err) end
  local leaving = own.leaving
    or { stream = own.holder, loop = loop, waitlist = waitlist.new("the end of a stream's step") }
  own.leaving = leaving
  local ok, failure = pcall(abort, self, own, err, loop)
  if not ok and task.signalled(failure) then error(failure, 0) end
  leaving.failure = leaving.failure or not ok and { failure } or nil
  strike(own, leaving)
  join(own, leaving, err)
end

-- The wait in the step was ended by a signal, which ends here: what err is else went wrong on the way out.
local function take_back(leaving, err)
  local clean = err == nil or task.signalled(err) -- nil: the task was killed
  if not clean then leaving.failure = leaving.failure or { err } end
  leaving.scope:leave()
end

-- A step is left by an error, or while another task closes the stream.
local function leave(own, err)
  local failed, leaving = own.holder, own.leaving
  own.holder = false
  if not leaving then return ending.fail(failed, err) end
  local self = leaving.stream
  leaving.task = task.current()
  if leaving.scope then take_back(leaving, err) end
  local _ <close> = setmetatable({}, { __close = function()
    own.leaving = false
    leaving.waitlist:wake_all()
  end })
  if not ending.OPEN[self.state] then return end
  local ok, failure = pcall(ending.release, self, err, leaving.loop)
  if not ok then leaving.failure = { failure } end -- whoever closes the stream raises it
  if not failed or leaving.scope then error(ending.CLOSED, 0) end
end

function Lock.__close(own, err)
  if own.holder or own.leaving then leave(own, err) end
end

return lock
