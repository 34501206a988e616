--- rille.stream.switch: the operators that turn items into streams and take those at the same time:
--- switch_map, and flat_map with n > 1.
-- Model:  a root over a nursery with one feed for the items and one for each inner stream; each feed runs one
--         item ahead. flat_map takes the inner ones in turn as they become ready, or one after the other;
--         switch_map has one, which the next item closes.
-- Owner:  the nursery owns the source and the inner streams.
-- Errors: the first error of a stream or of the function cancels all the others; what was ready before it is
--         delivered first.

local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local open_inner = require("rille.stream.source").open_inner

local switch = {}

---@class rille.Switch
---@field nursery rille.Nursery
---@field name string the operator
---@field source rille.Stream
---@field f fun(...): rille.Source<any>
---@field n integer inner streams at the same time, at most
---@field outer rille.Feed of the source, from the first step on
---@field inners rille.Feed[] in the order of their items
---@field turn integer whose turn is next, in `inners`

local function new(name, source, f, n)
  return {
    nursery = nursery.new(name, { source }), name = name, source = source, f = f, n = n,
    inners = {}, turn = 1,
  }
end

-- An item of the source has arrived: turns it into a stream, and starts that.
local function begin_inner(self, ...)
  local inner = open_inner(self.name, self.f(...))
  self.nursery:adopt(inner)
  self.inners[#self.inners + 1] = new_feed(self.nursery, inner, 1)
  self.outer:pass()
end

-- Lets the source run, while there is room for another inner stream.
local function want_outer(self)
  if #self.inners < self.n then self.outer:want(1) end
end

-- Takes out the inner streams that have ended and been emptied, up to the one whose turn it is.
local function drop_ended(self)
  for i = #self.inners, 1, -1 do
    local feed = self.inners[i]
    if feed.ended and feed:count() == 0 then
      table.remove(self.inners, i)
      self.nursery:forget(feed.source)
      if self.turn > i then self.turn = self.turn - 1 end
    end
  end
end

-- The feed to take the next item from; nil if none is ready.
local function next_feed(self)
  drop_ended(self)
  local n = #self.inners
  if self.ordered then return n > 0 and self.inners[1]:count() > 0 and self.inners[1] or nil end
  for i = 0, n - 1 do
    local at = (self.turn - 1 + i) % n + 1
    if self.inners[at]:count() > 0 then
      self.turn = at + 1
      return self.inners[at]
    end
  end
end

local function take(self)
  local feed = next_feed(self)
  while not feed do
    if self.outer.ended and #self.inners == 0 then return nil end
    want_outer(self)
    self.nursery:wait()
    feed = next_feed(self)
  end
  feed:want(2) -- this one, and one ahead
  return feed:take()
end

--- A root: the items of up to n streams at the same time that f makes of the items.
---@param name string the operator
---@param source rille.Stream
---@param f fun(...): rille.Source<any>
---@param n integer
---@param ordered boolean|nil one stream after the other, the next ones running ahead
---@return rille.Stream<any>
function switch.flat(name, source, f, n, ordered)
  local self = new(name, source, f, n)
  self.ordered = ordered
  return nursery.root(self.nursery, function()
    self.outer = new_feed(self.nursery, source, 1, function(_, ...)
      begin_inner(self, ...)
      want_outer(self)
    end)
  end, take, self)
end

--- A root: the items of the stream that f has made of the latest item; an item that comes closes the stream
--- of the one before, and waits for its cleanup.
---@param name string the operator
---@param source rille.Stream
---@param f fun(...): rille.Source<any>
---@return rille.Stream<any>
function switch.latest(name, source, f)
  local self = new(name, source, f, math.huge)
  return nursery.root(self.nursery, function()
    self.outer = new_feed(self.nursery, source, 1, function(_, ...)
      local inner = table.remove(self.inners)
      if inner then inner:dismiss() end
      begin_inner(self, ...)
    end)
  end, take, self)
end

return switch
