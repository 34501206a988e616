--- rille.stream.feed: takes the items of a source in a task of a nursery (internal).
-- Model:  a queue of items that have arrived and not been delivered, and how many more are wanted: the
--         feeder takes steps of the source while some are. An item is kept as its first value, or as a
--         packed table if it has several.
-- Owner:  the nursery owns the feeder's task and the source.
-- Errors: those of the source are the nursery's.

local TURN = require("rille.stream.stage").TURN
local step = require("rille.stream.pipeline").step
local turn = require("rille.host.timer").turn
local waitlist = require "rille.host.waitlist"

---@class rille.Feed
---@field source rille.Stream
---@field ended boolean the source has ended
---@field private nursery rille.Nursery
---@field private worker rille.Worker
---@field private accept fun(feed: rille.Feed, v: any, ...) what the feeder does with an item
---@field private at_end nil|fun(feed: rille.Feed)
---@field private wanted integer how many items may arrive in all
---@field private head integer items delivered
---@field private tail integer items arrived
---@field private items table<integer, any>
---@field private more table<integer, table> all values of an item that has several
---@field private room rille.Waitlist the feeder waits here until more are wanted
local Feed = {}
Feed.__index = Feed

-- Takes in an item, or the end. Returns false when it was the last.
local function arrive(feed, v, ...)
  if not feed.nursery:is_open() then return false end
  if v == nil then
    feed.ended = true
    if feed.at_end then feed:at_end() end
    feed.nursery:wake()
    return false
  end
  feed:accept(v, ...)
  return true
end

local function run(feed)
  local taken = 0
  repeat
    while feed.tail >= feed.wanted do feed.room:wait() end
    taken = taken + 1
    if taken % TURN == 0 then turn() end
  until not arrive(feed, step(feed.source))
end

--- Keeps an item, and wakes the consumer.
function Feed:put(v, ...)
  local tail = self.tail + 1
  self.tail = tail
  self.items[tail] = v
  if select("#", ...) > 0 then self.more[tail] = table.pack(v, ...) end
  self.nursery:wake()
end

--- Takes out the oldest item, which is there.
---@return any ... its values
function Feed:take()
  local head = self.head + 1
  self.head = head
  local v, values = self.items[head], self.more[head]
  self.items[head] = nil
  if not values then return v end
  self.more[head] = nil
  return table.unpack(values, 1, values.n)
end

--- Waits until an item is there.
---@return boolean false at the end of the source
function Feed:await()
  while self.head == self.tail do
    if self.ended then return false end
    self.nursery:wait()
  end
  return true
end

--- Counts an item as delivered that was dealt with when it arrived, and wakes the consumer.
function Feed:pass()
  self.tail, self.head = self.tail + 1, self.head + 1
  self.nursery:wake()
end

--- How many items are there.
---@return integer
function Feed:count()
  return self.tail - self.head
end

--- Lets the feeder run so far ahead of the consumer.
---@param n number items that have arrived and were not delivered, at most
function Feed:want(n)
  local wanted = self.head + n
  if wanted > self.wanted then
    self.wanted = wanted
    self.room:wake()
  end
end

--- Ends the feed before its source: cancels the step under way, closes the source.
function Feed:dismiss()
  self.nursery:dismiss(self.worker, self.source)
end

local feed = {}

--- A feed that runs so far ahead from now on; with 0 until it is told to by `want`.
---@param nursery rille.Nursery the source is one of its sources
---@param source rille.Stream
---@param ahead number
---@param accept? fun(feed: rille.Feed, v: any, ...) instead of `put`; it may wait
---@param at_end? fun(feed: rille.Feed) called when the source has ended
---@return rille.Feed
function feed.new(nursery, source, ahead, accept, at_end)
  local self = setmetatable({
    source = source, ended = false, nursery = nursery, accept = accept or Feed.put, at_end = at_end,
    wanted = ahead, head = 0, tail = 0, items = {}, more = {},
    room = waitlist.new("its stream's consumer"),
  }, Feed)
  self.worker = nursery:spawn(run, self)
  return self
end

return feed
