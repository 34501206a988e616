--- rille.stream.until: take_until, which ends a stream when something else happens.
-- Model:  a root over a nursery with a feed for the source and a task that watches the event. The consumer
--         waits for whichever comes first.
-- Owner:  the nursery owns the source, and cancels the step under way when the event fires.
-- Errors: a bad argument blames the line that makes the stream. An error of the event's function is the
--         stream's.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"

-- The function that returns when the event fires, or nil.
local function watcher(event)
  local name = check.type_name(event)
  if name == "rille.Event" then return function() event:wait() end end
  if name == "rille.Task" then return function() event:join() end end
  return check.is_callable(event) and event or nil
end

local function watch(self)
  self.watch()
  self.fired = true
  self.nursery:wake()
end

local function begin(self)
  self.nursery:spawn(watch, self)
  self.feed = new_feed(self.nursery, self.source, 0)
end

local function take(self)
  local feed = self.feed
  feed:want(1)
  while not self.fired and feed:count() == 0 do
    if feed.ended then return nil end
    self.nursery:wait()
  end
  if self.fired then return nil end
  return feed:take()
end

--- The items until the event fires: a rille.event is set, a Task ends, a function, which a task of the stream
--- calls, returns. A step that waits then is cancelled, and the source closed; that is no error.
---@generic T
---@param src rille.Source<T>
---@param event rille.Event|rille.Task|fun()
---@return rille.Stream<T>
return function(src, event)
  local source = check_source(src, 1, "take_until")
  local self = {
    nursery = nursery.new("take_until", { source }), source = source, fired = false,
    watch = check.expect(watcher(event), 2, "take_until", "rille.Event, rille.Task or function", event),
  }
  return stage.each(nursery.root(self.nursery, begin, take, self))
end
