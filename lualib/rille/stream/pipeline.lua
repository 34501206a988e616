--- rille.stream.pipeline: a stream put together, and its steps (internal).
-- Model:  a root makes items and the stages on it pass them on: each stage is a function that is called
--         with an item and calls the next one, or asks the root for another item. The functions are put
--         together when the stream is first advanced, so an item costs one call a stage.
-- Owner:  the stream keeps its step while it is suspended; a step under way holds the lock.
-- Errors: an error of a stage or of a source leaves the step, and the lock then fails the stream. Misuse
--         of a stream raises at a level that the caller gives.

local check = require "rille.stream.check"
local ending = require "rille.stream.ending"
local interrupt = require "rille.stream.interrupt"
local lock = require "rille.stream.lock"
local patience = require "rille.stream.patience"
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

local OPEN, exhaust, lock_of = ending.OPEN, ending.exhaust, lock.of

local pipeline = {}

-- The outcome of a pending step of `stage` goes before what `pull` asks for.
local function after_pending(stage, emit, finish, pull)
  local function relay(v, ...)
    if v == nil then return finish() end
    return emit(v, ...)
  end
  return function()
    local pending = stage.pending
    if pending then return relay(patience.deliver(stage, pending)) end
    return pull()
  end
end

--- Puts together the functions from the root of a stream to `emit`. The result makes one item: it calls
--- emit with it, or `finish` at the end, and returns what that returns.
---@param self rille.Stream
---@param emit fun(...): ...
---@param finish fun(): ...
---@param taker rille.Stream whose step it is a part of, and whose lock it is under
---@return fun(): ...
function pipeline.compile(self, emit, finish, taker)
  local root = self.base
  patience.wait(self, 1)
  lock.merge(root, lock_of(taker))
  local upstream, stage, waiting = {}, self, {}
  local function note()
    if stage.pending and not stage.pending:is_current() then
      waiting[#waiting + 1] = { stage, emit, finish }
    end
  end
  while stage.source do
    local make_finish
    note()
    emit, make_finish = stage.make(upstream, emit, finish, stage)
    finish = make_finish or finish
    if stage.state == "created" then stage.state = "suspended" end
    stage = stage.source
  end
  note()
  if root.state == "created" then root.state = "suspended" end
  local pull = root.produce(emit, function()
    local loss = ending.loss(root.loop, root.failure)
    if loss then error(loss, 0) end
    return finish()
  end, upstream.apply)
  for i = #waiting, 1, -1 do
    pull = after_pending(waiting[i][1], waiting[i][2], waiting[i][3], pull)
  end
  upstream.pull = pull
  return pull
end
local compile = pipeline.compile

-- True if the stream is open. Raises if it is being closed, or has ended too early (R33, R59).
local function check_open(self, level)
  if self.state == "closing" then error("stream is being closed", level + 1) end
  if OPEN[self.state] then return true end
  local loss = ending.loss(self.loop, self.state == "failed" and self.base.failure)
  if loss then error(loss, level + 1) end
  return false
end

--- True if the stream can take a step, false if it has ended. Raises if it must not take one, or has ended
--- too early for one. Waits for steps that are in flight.
---@param self rille.Stream
---@param level integer whom an error blames, as for `error`
---@return boolean
function pipeline.check_step(self, level)
  patience.wait(self, level + 1)
  if not check_open(self, level + 1) then return false end
  if lock_of(self).holder then error("stream already running", level + 1) end
  return true
end
local check_step = pipeline.check_step

local step

-- A step of a stream that is not ready for one.
local function first_or_last_step(self)
  local pending = self.pending
  if pending and not pending:is_current() then
    pending:join(nil, 2)
    return patience.deliver(self, pending)
  end
  if not check_step(self, 2) then return nil end
  local own = lock_of(self)
  self.pull = compile(self, function(v, ...)
    if not v then check.item(self, v) end
    own.holder = false
    return v, ...
  end, function()
    own.holder = false
    exhaust(self)
    return nil
  end, self)
  return step(self)
end

--- One item, or nil at the end.
---@param self rille.Stream
---@return any ...
function step(self)
  local own, pull = self.lock, self.pull
  if own.holder or not pull then return first_or_last_step(self) end
  own.holder = self
  local _ <close> = own
  return pull()
end
pipeline.step = step

--- One step with patience: its item, or nil at the end; nil and "timeout" if it takes longer, and the step
--- stays in flight.
---@param self rille.Stream
---@param seconds number
---@param level integer whom an error blames, as for `error`
---@return any ...
function pipeline.step_within(self, seconds, level)
  local pending = self.pending
  if not pending then
    if self.state == "closed" or not check_open(self, level + 1) then return nil end
    local holder = lock_of(self).holder
    if holder and not (holder ~= true and holder.pending) then error("stream already running", level + 1) end
    patience.start(self, step)
    pending = self.pending
  end
  if not pending:join(seconds, level + 1) then return nil, "timeout" end
  return patience.deliver(self, pending)
end

--- Calls sink with every item until it returns false; returns true if it did. One guard for all items.
---@param self rille.Stream one that can take a step
---@param sink fun(...): boolean
---@return boolean
function pipeline.drain(self, sink)
  local own = lock_of(self)
  own.holder = self
  local _ <close> = own
  local early = true
  local pull = compile(self, sink, function()
    early = false
    exhaust(self)
    return false
  end, self)
  while pull() do end
  own.holder = false
  return early
end

interrupt.note_step(step)
interrupt.note_step(pipeline.drain)

--- True for a caller that the stream's step, or a task of the stream, has called.
---@param self rille.Stream
---@return boolean
function pipeline.is_inside(self)
  local base, own = self.base, lock_of(self)
  if base.is_inside ~= nil and base.is_inside() then return true end
  return own.holder ~= false and interrupt.is_inside(function(stream) return lock_of(stream) == own end)
end

--- Closes a stream and what it was made from; returns when their cleanup is done. Idempotent.
---@param self rille.Stream
---@param err any in flight, which an error of the cleanup does not replace; nil for none
---@param loop table|nil the loop that closes it early
function pipeline.close(self, err, loop)
  if self.state == "closing" then -- by another task: R48
    self.closers = self.closers or waitlist.new("the close of a stream")
    self.closers:wait()
    if self.cleanup and err == nil then error(self.cleanup[1], 0) end
    return
  end
  if not OPEN[self.state] then
    lock.join(self, err)
    return patience.settle(self, err)
  end
  if pipeline.is_inside(self) then -- its own step would have to return first
    if err ~= nil then return end
    error("cannot close a running stream from inside it; use return", 2)
  end
  lock.interrupt(self, err, loop)
  if not OPEN[self.state] then return end
  self.state, self.pull, self.loop = "closing", nil, loop
  local _ <close> = setmetatable({}, { __close = function(_, failure)
    self.state = "closed"
    if failure ~= nil and not task.signalled(failure) then self.cleanup = { failure } end
    if self.closers then self.closers:wake_all() end
  end })
  ending.release(self, err, loop)
end

return pipeline
