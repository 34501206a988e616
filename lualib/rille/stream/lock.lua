--- rille.stream.lock: one step at a time over a root (internal; R80).
-- Model:  a root and the streams over it share a lock; when another root takes it in, its lock is merged
--         into that one's. A lock is the to-be-closed value of a step: whoever makes an item, or the end,
--         takes the holder out, so a step that is left with a holder is left by an error.
-- Owner:  the root; the task that takes the step, while it is under way.
-- Errors: a step that is left by an error fails its stream. One that another task wants to end closes it
--         (R47), which that task waits for.

local ending = require "rille.stream.ending"
local waitlist = require "rille.host.waitlist"

---@class rille.StreamLock
---@field holder rille.Stream|boolean the stream whose step is under way; true for a lock that was merged
---@field merged nil|rille.StreamLock the lock that took its place
---@field leaving nil|table { stream, loop, waitlist }: another task closes the stream and waits for its step
local Lock = {}

local lock = {}

---@return rille.StreamLock
function lock.new()
  return setmetatable({ holder = false }, Lock)
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

--- If a step is under way in another task, ends it and its stream; returns when it has been left.
---@param self rille.Stream
---@param loop table|nil the loop that closes the stream
function lock.interrupt(self, loop)
  local own = lock.of(self)
  if not own.holder then return end
  if self.base.interrupt then self.base.interrupt() end
  while own.holder do
    if not own.leaving then
      local list = waitlist.new("the end of a stream's step")
      own.leaving = { stream = own.holder, loop = loop, waitlist = list }
    end
    own.leaving.waitlist:wait()
  end
end

-- A step is left by an error, or while another task closes the stream.
local function leave(own, err)
  local failed, leaving = own.holder, own.leaving
  own.holder, own.leaving = false, nil
  if not leaving then return ending.fail(failed, err) end
  local self = leaving.stream
  local _ <close> = setmetatable({}, { __close = function() leaving.waitlist:wake_all() end })
  if not ending.OPEN[self.state] then return end
  ending.release(self, err, leaving.loop)
  if not failed then error("stream closed by another task", 0) end
end

function Lock.__close(own, err)
  if own.holder or own.leaving then leave(own, err) end
end

return lock
