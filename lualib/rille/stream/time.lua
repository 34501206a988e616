--- rille.stream.time: the operators that look at the clock: interval, spaceout, debounce, timeout, batch.
-- Model:  interval is a root that sleeps, spaceout a stage that does. The others are roots over a nursery
--         with one feed, whose consumer waits for an item or for its time, whichever comes first.
-- Owner:  the nursery owns the source.
-- Errors: a bad argument blames the line that makes the stream. An error of the source comes after the items
--         before it, which debounce and batch do not hold back then.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"
local task = require "rille.host.task"
local timer = require "rille.host.timer"
local waitlist = require "rille.host.waitlist"

local time = {}

-- Interval ------------------------------------------------------------------------------------

-- When tick k + 1 is due, if tick k has come at `now` and was due at `due`.
local schedules = {
  delay = function(due, now, pace) return math.max(due, now) + pace end,
  burst = function(due, _, pace) return due + pace end,
  skip = function(due, now, pace)
    return now < due + pace and due + pace or due + math.ceil((now - due) / pace) * pace
  end,
}

--- The numbers 1, 2, ..., one every `seconds`, the first after so many; without end. The schedule does not
--- drift. What a consumer that is late finds: "delay", the next tick `seconds` after this one; "skip", the
--- next one of the schedule; "burst", all that it has missed, at once.
---@param seconds number > 0
---@param options? { missed: "delay"|"skip"|"burst" } "delay" by default
---@return rille.Stream<integer>
function time.interval(seconds, options)
  check.seconds(seconds, 1, "interval")
  if seconds == 0 then error("bad argument #1 to 'interval' (seconds out of range)", 2) end
  options = check.options(options, 2, "interval", { missed = schedules })
  local schedule = schedules[options.missed or "delay"]
  local self = stage.root("interval")
  local gate, interrupted = waitlist.new("the next tick of an interval"), false
  local k, due = 0, nil
  function self.closer() end
  function self.interrupt()
    interrupted = true
    gate:wake()
  end
  function self.produce(emit, finish)
    return function()
      if not self.closer then return finish() end
      local now = timer.now()
      due = due or now + seconds
      if now < due then
        gate:wait(due - now)
        if interrupted then error(ending.CLOSED, 0) end
        now = timer.now()
      end
      due = schedule(due, now, seconds)
      k = k + 1
      return emit(k)
    end
  end
  return stage.each(self)
end

-- Spaceout ------------------------------------------------------------------------------------

--- All items, at least `seconds` after the one before; the first at once.
---@generic T
---@param src rille.Source<T>
---@param seconds number
---@return rille.Stream<T>
function time.spaceout(src, seconds)
  local source = check_source(src, 1, "spaceout")
  check.seconds(seconds, 2, "spaceout")
  local due = -math.huge
  return stage.new("spaceout", source, function(_, emit)
    return function(v, ...)
      if not v then check.item(source, v) end
      local left = due - timer.now()
      if left > 0 then timer.sleep(left) end
      due = timer.now() + seconds
      return emit(v, ...)
    end
  end)
end

-- Roots over one feed -------------------------------------------------------------------------

---@class rille.Timed
---@field nursery rille.Nursery
---@field source rille.Stream
---@field seconds number
---@field feed rille.Feed from the first step on

local function new(name, source, seconds)
  return { nursery = nursery.new(name, { source }), source = source, seconds = seconds }
end

-- Waits until the feed has an item or has ended, for so long. Returns false if the time is over.
local function wait_for(self, feed, deadline)
  while not feed.ended and feed:count() == 0 do
    local left = deadline - timer.now()
    if left <= 0 then return false end
    self.nursery:wait(left)
  end
  return true
end

-- Debounce ------------------------------------------------------------------------------------

local function begin_debounce(self)
  self.feed = new_feed(self.nursery, self.source, math.huge, function(feed, ...)
    if feed:count() > 0 then feed:take() end
    feed:put(...)
    self.arrived = timer.now()
  end)
end

local function take_debounced(self)
  local feed = self.feed
  if not feed:await() then return nil end
  while not feed.ended and self.nursery:is_open() do
    local left = self.arrived + self.seconds - timer.now()
    if left <= 0 then break end
    self.nursery:wait(left)
  end
  return feed:take()
end

--- An item once `seconds` have gone by without another one; those in between are dropped. The last one of
--- all comes at the end of the source. Goes on while the consumer is busy.
---@generic T
---@param src rille.Source<T>
---@param seconds number
---@return rille.Stream<T>
function time.debounce(src, seconds)
  local source = check_source(src, 1, "debounce")
  check.seconds(seconds, 2, "debounce")
  local self = new("debounce", source, seconds)
  return stage.each(nursery.root(self.nursery, begin_debounce, take_debounced, self))
end

-- Timeout -------------------------------------------------------------------------------------

local function begin_timeout(self)
  self.feed = new_feed(self.nursery, self.source, 0)
end

local function check_fallback(v, ...)
  if v == nil then
    error("the fallback of 'timeout' returned nil; an item must not be nil (return false or a table)", 0)
  end
  return v, ...
end

-- Raises the time-out, whose story begins with what the source waits for.
local function raise_timeout(self)
  local err = fault.new("ETIMEDOUT", ("no item within %g s"):format(self.seconds))
  local wait = task.waits_for(self.feed.worker.task)
  if wait then fault.note(err, "while waiting for " .. wait) end
  error(err, 0)
end

local function take_in_time(self)
  local feed = self.feed
  feed:want(1)
  if not wait_for(self, feed, timer.now() + self.seconds) then
    local fallback = self.fallback
    if check.is_callable(fallback) then return check_fallback(fallback()) end
    if fallback ~= nil then return fallback end
    raise_timeout(self)
  end
  if feed:count() > 0 then return feed:take() end
  self.nursery:check()
  return nil
end

--- The items; ETIMEDOUT if one takes longer than `seconds`, counted while the consumer waits for it (R68).
--- With a fallback, that is the item instead, and the source goes on with its step (R67).
---@generic T
---@param src rille.Source<T>
---@param seconds number
---@param fallback? any an item, or a function that returns one
---@return rille.Stream<T>
function time.timeout(src, seconds, fallback)
  local source = check_source(src, 1, "timeout")
  check.seconds(seconds, 2, "timeout")
  local self = new("timeout", source, seconds)
  self.fallback = check.optional(src, fallback)
  return stage.each(nursery.root(self.nursery, begin_timeout, take_in_time, self))
end

-- Batch ---------------------------------------------------------------------------------------

local function begin_batch(self)
  self.times = {}
  self.feed = new_feed(self.nursery, self.source, self.n, function(feed, v, ...)
    self.times[#self.times + 1] = timer.now()
    feed:put(select("#", ...) > 0 and { v, ... } or v)
  end)
end

local function take_batch(self)
  local feed = self.feed
  if not feed:await() then return nil end
  while feed:count() < self.n and not feed.ended and self.nursery:is_open() do
    local left = self.times[1] + self.seconds - timer.now()
    if left <= 0 then break end
    self.nursery:wait(left)
  end
  local list = {}
  for i = 1, math.min(feed:count(), self.n) do list[i] = feed:take() end
  self.times = table.move(self.times, #list + 1, #self.times, 1, {})
  feed:want(self.n)
  return list
end

--- Lists of n items, or of fewer, if `seconds` have gone by since the first of them arrived. An item of
--- several values is a list of them.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 1
---@param seconds number
---@return rille.Stream<T[]>
function time.batch(src, n, seconds)
  local source = check_source(src, 1, "batch")
  n = check.count(n, 2, "batch", 1)
  check.seconds(seconds, 3, "batch")
  local self = new("batch", source, seconds)
  self.n = n
  return stage.each(nursery.root(self.nursery, begin_batch, take_batch, self))
end

return time
