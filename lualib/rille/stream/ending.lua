--- rille.stream.ending: how a stream ends (internal).
-- Model:  a stream is open until it is exhausted, closed or failed; with it end the stages under it, down
--         to the root, whose closer closes what the root holds, once.
-- Owner:  the caller holds the stream's lock, or has found it free.
-- Errors: an error of the cleanup is raised; with one in flight it is attached to that (R37).

local fault = require "rille.host.fault"

local ending = {}

--- The states of a stream that has not ended.
ending.OPEN = { created = true, suspended = true }
local OPEN = ending.OPEN

--- What a step raises that another task has ended.
ending.CLOSED = "stream closed by another task"

--- Closes what a root holds, if that was not done yet.
---@param root rille.Stream
---@param err any in flight; nil for none
---@param loop table|nil the loop that closes the stream early
function ending.close_root(root, err, loop)
  local closer = root.closer
  if closer then
    root.closer = nil
    closer(err, loop)
  end
end

--- Ends a wait of another task in what a stream's root holds, if that can be done from outside. Unlike a
--- signal (rille.stream.interrupt), that works in a shield too, and a generator's body sees its own signal.
---@param self rille.Stream
---@param err any in flight; nil for none
---@param loop table|nil the loop that closes the stream
function ending.interrupt(self, err, loop)
  local interrupt = self.base.interrupt
  if interrupt then interrupt(err, loop) end
end

--- Ends a stream and all that it was made from, before its last item.
---@param self rille.Stream
---@param err any in flight; nil for none
---@param loop table|nil the loop that closes it early
function ending.release(self, err, loop)
  local stage, deferred = self, nil
  repeat
    if OPEN[stage.state] then stage.state, stage.pull, stage.loop = "closed", nil, loop end
    if stage.pending and stage.pending:abandon() then stage.pending = nil end
    deferred = deferred or stage.deferred
    stage.partial, stage.deferred = nil, nil
    stage = stage.source
  until not stage
  ending.close_root(self.base, err, loop)
  if deferred then
    if err == nil then error(deferred[1], 0) end
    fault.suppress(err, deferred[1])
  end
end

--- Releases sources[first .. last], the last first, all of them whatever fails: an error of one is in flight
--- for the next, which attaches its own to it. The first needs no protected call, of which Lua allows 200
--- within each other: chains that start with a chain may be deep.
---@param sources rille.Stream[]
---@param first integer
---@param last integer
---@param err any in flight; nil for none
---@param loop table|nil the loop that closes them early
function ending.release_all(sources, first, last, err, loop)
  local failure
  for i = last, first + 1, -1 do
    local ok, e = pcall(ending.release, sources[i], err, loop)
    if not ok then failure, err = { e }, e end
  end
  if first <= last then ending.release(sources[first], err, loop) end
  if failure then error(failure[1], 0) end
end

--- The last item has been passed on: the stream and what it was made from have ended.
---@param self rille.Stream
function ending.exhaust(self)
  local stage = self
  repeat
    if OPEN[stage.state] then stage.state, stage.pull = "exhausted", nil end
    stage = stage.source
  until not stage
end

--- An error is on its way to the consumer.
---@param self rille.Stream
---@param err any
function ending.fail(self, err)
  if OPEN[self.state] then self.state, self.pull = "failed", nil end
  self.base.failure = self.base.failure or { err }
  if fault.is(err) then
    local stage = self
    repeat
      if stage.partial then err.partial = stage.partial end
      stage = stage.source
    until not stage
  end
  ending.release(self, err)
end

local function message_of(err)
  if type(err) == "string" then return err end
  local meta = debug.getmetatable(err)
  if meta and meta.__tostring then return tostring(err) end
  return ("(error object is a %s value)"):format(type(err))
end

--- Why items were lost at the end of a stream; nil if none were. Such an end must not be silent (R33, R59).
---@param loop table|nil of the stream
---@param failure table|nil of its root
---@return string|nil
function ending.loss(loop, failure)
  if loop then -- what failed after it found nothing more
    return ("stream was closed by the loop at %s:%d; use s:keep() for a loop that leaves it open")
      :format(loop.short_src, loop.currentline)
  end
  return failure and "stream already failed: " .. message_of(failure[1]) or nil
end

return ending
