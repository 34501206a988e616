--- rille.stream.tee: several streams that each have all items of one source.
-- Model:  the items that arrived are a linked list, and each branch is at a place in it: what all have taken
--         is collected. A feed takes a step when a branch is at the end; the branches wait together.
-- Owner:  the branches own the nursery together; the last of them to end closes it, and with it the source.
-- Errors: a bad argument blames the line that makes the streams. An error of the source reaches every
--         branch, after the items before it.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local ending = require "rille.stream.ending"
local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"

local MOST = 200 -- they are results of one call, and have names in the script

---@class rille.Tee
---@field nursery rille.Nursery
---@field source rille.Stream
---@field feed rille.Feed|nil from the first step on
---@field last rille.TeeItem where the next item is put
---@field open integer branches that have not ended

---@class rille.TeeItem
---@field values table|nil packed; nil while it has not arrived
---@field following rille.TeeItem|nil

-- A link is filled, and an empty one put behind it.
local function accept(self, feed, ...)
  local link, following = self.last, {}
  link.values, link.following = table.pack(...), following
  self.last = following
  feed:pass()
end

local function want(self)
  if not self.feed then
    self.nursery:check_wait()
    self.feed = new_feed(self.nursery, self.source, 0, function(feed, ...) accept(self, feed, ...) end)
  end
  self.feed:want(1)
end

-- One of the streams.
local function branch(self, guard)
  local root = stage.root("tee")
  root.guard = guard
  local at, interrupted = self.last, false
  function root.closer(err, loop)
    at = nil
    self.open = self.open - 1
    if self.open == 0 then return self.nursery:close(err, loop) end
  end
  function root.interrupt()
    interrupted = true
    self.nursery:wake()
  end
  function root.produce(emit, finish)
    return function()
      if not root.closer then return finish() end
      while not at.values do
        if self.feed and self.feed.ended then
          ending.close_root(root)
          return finish()
        end
        want(self)
        self.nursery:wait()
        if interrupted then error(ending.CLOSED, 0) end
      end
      local values = at.values
      at = at.following
      return emit(table.unpack(values, 1, values.n))
    end
  end
  return root
end

--- n streams with all items each. What one has taken and another has not is kept. The source is closed when
--- the last of them is. Not four values each, but the streams: `local a, b = s:tee(2)`.
---@generic T
---@param src rille.Source<T>
---@param n? integer >= 1; 2 by default
---@return rille.Stream<T> ...
return function(src, n)
  local source = check_source(src, 1, "tee")
  n = check.optional(src, n)
  n = n == nil and 2 or check.count(n, 2, "tee", 1)
  check.expect(n <= MOST, 2, "tee", ("at most %d"):format(MOST), n)
  local self = { nursery = nursery.new("tee", { source }), source = source, last = {}, open = n }
  local branches, guard = {}, nursery.guard(self.nursery)
  for i = 1, n do branches[i] = branch(self, guard) end
  return table.unpack(branches)
end
