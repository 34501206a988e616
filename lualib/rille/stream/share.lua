--- rille.stream.share: one source for several consumers that compete for its items (R81 to R83).
-- Model:  requests queue up, first come first served; a feed takes steps of the source while there are some.
--         An item that arrives when its request was cancelled is kept for the next one. A consumer is what
--         a loop or an operator gets: it leaves the others alone when it is closed.
-- Owner:  the consumers own the nursery together: the last to leave closes it, and the source with it.
-- Errors: a bad argument blames the line that shares the stream. An error of the source reaches each request
--         after the items before it.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local ending = require "rille.stream.ending"
local new_feed = require("rille.stream.feed").new
local new_waiters = require "rille.waiters"
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"

local check_self = check.self

---@class rille.Shared what is shared; it does not lead to the rille.Share, which may be dropped
---@field nursery rille.Nursery
---@field source rille.Stream
---@field feed rille.Feed|nil from the first request on
---@field requests rille.Waiters the reply is a packed item, nil when there will be none
---@field consumers integer those that have not left
---@field loop table|nil where the last consumer has left early: short_src and currentline

---@class rille.Share: rille.StreamOperators
---@field private shared rille.Shared
---@field private guard any closes the nursery if it is dropped
---@overload fun(): ...
local methods = {}

-- The metatable; it is apart from the methods, so that a script does not reach its entries.
local Share = { __name = "rille.Share", __index = methods }

-- Hands an item to the request that has waited longest.
local function accept(self, feed, ...)
  if self.requests:wake(table.pack(...)) then
    feed:pass()
  else
    feed:put(...)
  end
  if not self.requests:is_empty() then feed:want(1) end
end

local function refuse_requests(self)
  while self.requests:wake(nil) do end
end

local function begin(self)
  self.nursery:check_wait()
  self.feed = new_feed(self.nursery, self.source, 0, function(feed, ...) accept(self, feed, ...) end,
    function() refuse_requests(self) end)
end

-- The source has ended, and all that came of it was taken.
local function is_over(self)
  return self.feed ~= nil and self.feed.ended and self.feed:count() == 0
end

-- One step.
local function take(self)
  if self.nursery.closed and not self.nursery.cause then return nil end
  if not self.feed then begin(self) end
  local feed = self.feed
  if feed:count() > 0 then return feed:take() end
  local failure = self.nursery:told()
  if failure then error(ending.loss(nil, failure), 0) end
  self.nursery:check()
  if feed.ended then return nil end
  feed:want(1)
  local values = self.requests:wait()
  if values then return table.unpack(values, 1, values.n) end
  self.nursery:check()
  return nil
end

function Share.__call(self)
  return take(self.shared)
end

-- Consumers -----------------------------------------------------------------------------------

---@class rille.ShareConsumer
---@field share rille.Share
---@field left boolean it takes no more items
local Consumer = { __name = "rille.ShareConsumer" }

function Consumer.__call(self)
  if not self.left then return take(self.share.shared) end
end

-- The end of a loop, or of a stream that took items. Level 2 is the function of the loop, if it is still on
-- the stack.
function Consumer.__close(self, err)
  if self.left then return end
  self.left = true
  local shared = self.share.shared
  shared.consumers = shared.consumers - 1
  if shared.consumers > 0 then return end
  if not shared.nursery.closed and not is_over(shared) then shared.loop = debug.getinfo(2, "Sl") end
  shared.nursery:close(err)
end

local function join(self)
  self.shared.consumers = self.shared.consumers + 1
  return setmetatable({ share = self, left = false }, Consumer)
end

-- What an operator takes items from (rille.stream.source).
Share.__stream = join

-- Methods -------------------------------------------------------------------------------------

--- One step: the next item, which nobody else gets. Requests are served first come first served.
---@return any ... the values of the item; nil at the end
function methods:next()
  check_self(self, Share, "next")
  return take(self.shared)
end

--- The four values of a loop of one consumer: when it is left, that consumer leaves. The source is closed
--- when the last one has left.
function methods:each()
  check_self(self, Share, "each")
  local loop = self.shared.loop
  if loop then error(ending.loss(loop), 2) end
  local consumer = join(self)
  return consumer, nil, nil, consumer
end

--- An iterator for a loop that is no consumer: when it is left, nothing is closed.
---@return fun(): ...
function methods:keep()
  check_self(self, Share, "keep")
  return function() return take(self.shared) end
end

--- Closes the source for all consumers; requests that wait raise. Returns when its cleanup is done.
--- Idempotent.
function methods:close()
  check_self(self, Share, "close")
  self.shared.nursery:close()
end

function Share.__close(self, err)
  self.shared.nursery:close(err)
end

---@return "created"|"suspended"|"waiting"|"exhausted"|"closed"|"failed"
function methods:status()
  check_self(self, Share, "status")
  local shared = self.shared
  local feed = shared.feed
  if shared.nursery.cause then return "failed" end
  if is_over(shared) then return "exhausted" end
  if shared.nursery.closed then return "closed" end
  if not feed then return "created" end
  return shared.requests:is_empty() and "suspended" or "waiting"
end

function Share.__tostring(self)
  return ("shared stream (%s, consumers: %d)"):format(methods.status(self), self.shared.consumers)
end

local lib = { methods = methods }

--- A stream for several consumers: each item goes to one of them. `for v in s:each() do` in several tasks; a
--- loop over the result itself, and `close`, end it for all.
---@param src rille.Source<any>
---@return rille.Share
function lib.share(src)
  local source = check_source(src, 1, "share")
  local shared = {
    nursery = nursery.new("share", { source }), source = source, consumers = 0,
    requests = new_waiters("an item of a shared stream"),
  }
  shared.nursery.on_stop = function() refuse_requests(shared) end
  local self = setmetatable({ shared = shared, guard = nursery.guard(shared.nursery) }, Share)
  return stage.each(self)
end

return lib
