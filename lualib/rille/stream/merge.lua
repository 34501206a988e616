--- rille.stream.merge: the operators that take the items of several streams at the same time: merge, zip,
--- latest, race.
-- Model:  a root over a nursery with a feed for each source (rille.stream.feed). A feed holds one item at
--         the most; the ready ones take turns in the order in which they became ready, so that a fast
--         source does not starve the others.
-- Owner:  the nursery owns the sources, and closes them in reverse order.
-- Errors: a bad argument blames the line that makes the stream. The first error of a source cancels the
--         others; items that were ready before it are delivered first. Look-ahead that nobody asked for any
--         more is dropped when the stream is closed.

local check = require "rille.stream.check"
local fault = require "rille.host.fault"
local new_feed = require("rille.stream.feed").new
local nursery = require "rille.stream.nursery"
local source = require "rille.stream.source"
local stage = require "rille.stream.stage"

local merge = {}

---@class rille.Merge
---@field nursery rille.Nursery
---@field sources rille.Stream[]
---@field feeds rille.Feed[] one a source, from the first step on
---@field ready integer[] the numbers of the feeds that hold an item, the longest ready first
---@field first integer where in `ready` the next one is
---@field running integer feeds that have not ended

local function new(name, sources)
  return {
    nursery = nursery.new(name, { table.unpack(sources) }), sources = sources,
    feeds = {}, ready = {}, first = 1, running = #sources,
  }
end

-- Starts the feeds, each one item ahead. Those that hold an item queue up.
local function begin(self)
  for i, each in ipairs(self.sources) do
    self.feeds[i] = new_feed(self.nursery, each, 1, function(feed, ...)
      self.ready[#self.ready + 1] = i
      feed:put(...)
    end, function() self.running = self.running - 1 end)
  end
end

-- The number of the feed whose turn it is, or nil when all have ended. Waits for one.
local function next_ready(self)
  while not self.ready[self.first] do
    if self.running == 0 then return nil end
    self.nursery:wait()
  end
  local i = self.ready[self.first]
  if self.first == #self.ready then
    self.ready, self.first = {}, 1
  else
    self.ready[self.first], self.first = false, self.first + 1
  end
  return i
end

-- Takes the item of a feed, which may then run ahead again.
local function take(self, i)
  local feed = self.feeds[i]
  feed:want(2) -- this one, and one ahead
  return feed:take()
end

local function take_next(self)
  local i = next_ready(self)
  if i then return take(self, i) end
end

--- The items of all sources, as they come; the ready ones take turns. Each source runs one item ahead.
---@generic T
---@param ... rille.Source<T>
---@return rille.Stream<T>
function merge.merge(...)
  local self = new("merge", (source.check_all("merge", select("#", ...), ...)))
  return stage.each(nursery.root(self.nursery, begin, take_next, self))
end

-- Latest --------------------------------------------------------------------------------------

local function take_latest(self)
  repeat
    local i = next_ready(self)
    if not i then return nil end
    if self.values[i] == nil then self.missing = self.missing - 1 end
    self.values[i] = (take(self, i))
  until self.missing == 0 or self.partial
  if not self.partial then return table.unpack(self.values, 1, #self.sources) end
  local values = {}
  for i = 1, #self.sources do
    values[i] = self.values[i]
    if values[i] == nil then values[i] = false end
  end
  return table.unpack(values)
end

--- The most recent item of each source (its first value), in the order of the sources, whenever one
--- arrives; from when each has one. Ends when all have ended.
---@param ... rille.Source<any>|{ partial: boolean? } partial: from the first on, false for what is missing
---@return rille.Stream<any>
function merge.latest(...)
  local options, n = check.trailing_options(...), select("#", ...)
  local partial = check.options(options, n, "latest", { partial = "boolean" }).partial
  local self = new("latest", (source.check_all("latest", options and n - 1 or n, ...)))
  self.values, self.missing, self.partial = {}, #self.sources, partial
  return stage.each(nursery.root(self.nursery, begin, take_latest, self))
end

-- Race ----------------------------------------------------------------------------------------

-- The source whose item came first goes on alone: the others are closed, the last one first.
local function declare(self, winner)
  for i = #self.feeds, 1, -1 do
    if i ~= winner then self.feeds[i]:dismiss() end
  end
  self.winner, self.ready, self.first, self.running = self.feeds[winner], {}, 1, 1
end

local function take_winner(self)
  if not self.winner then
    local i = next_ready(self)
    if not i then return nil end
    declare(self, i)
  end
  local feed = self.winner
  feed:want(1)
  if not feed:await() then return nil end
  return feed:take()
end

--- The items of the source whose first item comes first; the others are closed before it is passed on. An
--- error before that is raised; a source that ends before that has lost.
---@generic T
---@param ... rille.Source<T>
---@return rille.Stream<T>
function merge.race(...)
  local self = new("race", (source.check_all("race", select("#", ...), ...)))
  return stage.each(nursery.root(self.nursery, begin, take_winner, self))
end

-- Zip -----------------------------------------------------------------------------------------

local function begin_zip(self)
  for i, each in ipairs(self.sources) do self.feeds[i] = new_feed(self.nursery, each, 0) end
end

-- How many sources have an item, and how many have ended without one.
local function answers(feeds)
  local items, ends = 0, 0
  for _, feed in ipairs(feeds) do
    if feed:count() > 0 then
      items = items + 1
    elseif feed.ended then
      ends = ends + 1
    end
  end
  return items, ends
end

local function take_zipped(self)
  local feeds = self.feeds
  for _, feed in ipairs(feeds) do feed:want(1) end
  local items, ends = answers(feeds)
  while items + ends < #feeds and (self.strict or ends == 0) do
    self.nursery:wait()
    items, ends = answers(feeds)
  end
  if ends > 0 or #feeds == 0 then
    if self.strict and items > 0 then
      error(fault.new("EMISMATCH", ("zip: %d of %d sources ended before the others"):format(ends, #feeds)), 0)
    end
    return nil
  end
  local values = {}
  for i, feed in ipairs(feeds) do values[i] = (feed:take()) end
  return table.unpack(values)
end

--- The first items of all sources (their first values) as one item, then the second ones, and so on; all
--- sources are asked at the same time. Ends with the first that ends; the others are closed.
---@param ... rille.Source<any>|{ strict: boolean? } strict: if they do not end together, EMISMATCH
---@return rille.Stream<any>
function merge.zip(...)
  local options, n = check.trailing_options(...), select("#", ...)
  local strict = check.options(options, n, "zip", { strict = "boolean" }).strict
  local self = new("zip", (source.check_all("zip", options and n - 1 or n, ...)))
  self.strict = strict
  return stage.each(nursery.root(self.nursery, begin_zip, take_zipped, self))
end

return merge
