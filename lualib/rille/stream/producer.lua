--- rille.stream.producer: a stream whose items are pushed by a function in a task of its own (R77).
-- Model:  the items that were emitted and not taken are at most `buffer`; further emitters wait, first
--         come first served.
-- Owner:  the nursery owns the task, which is cancelled and joined when the stream is closed.
-- Errors: a bad argument blames the line that makes the stream. An error of the function reaches the
--         consumer after the items that were emitted before it.

local check = require "rille.stream.check"
local new_waiters = require "rille.waiters"
local nursery = require "rille.stream.nursery"
local stage = require "rille.stream.stage"

---@class rille.Producer
---@field private nursery rille.Nursery
---@field private fn fun(emit: fun(...): boolean)
---@field private buffer integer
---@field private items table<integer, table> packed items, head + 1 to tail
---@field private head integer
---@field private tail integer
---@field private emitters rille.Waiters each offers its item; the reply is whether it was taken
---@field private returned boolean the function has

local function put(self, item)
  self.tail = self.tail + 1
  self.items[self.tail] = item
end

-- What the function calls with each item.
local function emit(self, ...)
  if not self.nursery:is_open() then
    if self.nursery:is_inside() then self.emitters:check() end -- raises its signal
    return false
  end
  local item = table.pack(...)
  self.nursery:wake()
  if self.tail - self.head < self.buffer then
    put(self, item)
    return true
  end
  return self.emitters:wait(item) or false
end

local function work(self)
  self.fn(function(...)
    if (...) == nil then
      error("a producer emitted nil; an item must not be nil (emit false or a table)", 2)
    end
    return emit(self, ...)
  end)
  self.returned = true
  self.nursery:wake()
end

local function begin(self)
  self.nursery:spawn(work, self)
end

-- The oldest item, or nil. Its place goes to the emitter that has waited longest.
local function take_ready(self)
  local waited, offer = self.emitters:wake(true)
  if self.head == self.tail then return waited and offer or nil end
  if waited then put(self, offer) end
  self.head = self.head + 1
  local item = self.items[self.head]
  self.items[self.head] = nil
  return item
end

local function take(self)
  local item = take_ready(self)
  while not item do
    if self.returned then return nil end
    self.nursery:wait()
    item = take_ready(self)
  end
  return table.unpack(item, 1, item.n)
end

--- A stream of what fn emits: `emit(v, ...)` waits until the item has room, without a buffer until the
--- consumer has taken it, and returns true; false once the stream is closed (R79). Any task may emit. fn runs
--- in a task of the stream, from the first step on; the stream ends when it returns.
---@param fn fun(emit: fun(...): boolean)
---@param options? { buffer: integer? } items that were emitted and not taken, at most; 0 by default
---@return rille.Stream<any>
return function(fn, options)
  check.callable(fn, 1, "producer")
  options = check.options(options, 2, "producer", { buffer = 0 })
  local self = {
    nursery = nursery.new("producer", {}), fn = fn, buffer = options.buffer or 0,
    items = {}, head = 0, tail = 0, emitters = new_waiters("the consumer of a producer"), returned = false,
  }
  self.nursery.on_stop = function()
    while self.emitters:wake(false) do end
  end
  return stage.each(nursery.root(self.nursery, begin, take, self))
end
