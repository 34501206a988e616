--- rille.stream.buffer: runs a source ahead of its consumer.
-- Model:  a root over a nursery with one feed, which holds the items that have not been delivered. If it must
--         not wait when it is full, it runs on and drops an item.
-- Owner:  the nursery owns the source.
-- Errors: a bad argument blames the line that makes the stream. An error of the source comes after the items
--         before it.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"

-- What a full buffer does with an item that arrives; the feed runs on.
local overflow = {
  wait = false,
  drop_newest = function() end,
  drop_oldest = function(feed, ...)
    feed:take()
    feed:put(...)
  end,
}
overflow.latest = overflow.drop_oldest

local function begin(self)
  if not self.overflow then
    self.feed = new_feed(self.nursery, self.source, self.n)
    return
  end
  self.feed = new_feed(self.nursery, self.source, math.huge, function(feed, ...)
    if feed:count() < self.n then return feed:put(...) end
    return self.overflow(feed, ...)
  end)
end

local function take(self)
  local feed = self.feed
  if not feed:await() then return nil end
  if not self.overflow then feed:want(self.n + 1) end -- this one, and n ahead
  return feed:take()
end

--- The items, while the source runs ahead: up to n have arrived and are not delivered. `overflow` says what
--- happens with more: "wait", the source does; "drop_oldest", "drop_newest"; "latest" keeps only the newest.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 1
---@param options? { overflow: "wait"|"drop_oldest"|"drop_newest"|"latest" }
---@return rille.Stream<T>
return function(src, n, options)
  local source = check_source(src, 1, "buffer")
  n = check.count(n, 2, "buffer", 1)
  options = check.options(options, 3, "buffer", { overflow = overflow })
  if options.overflow == "latest" then n = 1 end
  local self = {
    nursery = nursery.new("buffer", { source }), source = source, n = n,
    overflow = overflow[options.overflow or "wait"],
  }
  return stage.each(nursery.root(self.nursery, begin, take, self))
end
