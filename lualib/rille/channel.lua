--- rille.channel: hands values from task to task, first come first served.
-- Model:  a queue of at most `capacity` values, the senders that wait for room and the receivers that wait
--         for a value. Senders wait only while the queue is full, receivers only while it is empty and no
--         sender waits: whoever comes hands its value to the other side, or takes it there, at once.
-- Owner:  nobody: any task may send, receive and close. A value is the channel's once send has returned
--         true; a sender that was cancelled, or woken by close, keeps its own.
-- Errors: misuse blames the caller. A receiver that was cancelled took no value.

local Stream = require "rille.stream.protocol"
local check = require "rille.stream.check"
local new_waiters = require "rille.waiters"
local stream = require "rille.stream"

local check_self = check.self

--- Has the operators of streams as methods; they close the channel when they need no more of it. A call of
--- the channel is `recv`: `for v in ch do` leaves it open, `for v in ch:each() do` closes it.
---@class rille.Channel: rille.StreamOperators
---@field private capacity integer
---@field private queue table<integer, any> the values at head + 1 to tail
---@field private head integer
---@field private tail integer
---@field private closed boolean
---@field private senders rille.Waiters each offers its value; the reply is whether it was taken
---@field private receivers rille.Waiters the reply is the value, nil once there will be none
---@overload fun(): any
local methods = {}

-- The metatable of channels; it is apart from the methods, so that a script does not reach its entries.
local Channel = { __name = "rille.Channel", __index = methods }

local function put(self, v)
  self.tail = self.tail + 1
  self.queue[self.tail] = v
end

-- The first value of the queue. Its place goes to the sender that has waited longest.
local function take(self)
  self.head = self.head + 1
  local v = self.queue[self.head]
  self.queue[self.head] = nil
  local waited, offer = self.senders:wake(true)
  if waited then put(self, offer) end
  return v
end

-- A value that is there; nil, and whether one may come, if there is none.
local function receive_now(self)
  if self.head < self.tail then return take(self) end
  local waited, offer = self.senders:wake(true)
  if waited then return offer end
  return nil, not self.closed
end

local function receive(self)
  local v, open = receive_now(self)
  if not open then return v end
  return (self.receivers:wait())
end

local function close(self)
  if self.closed then return end
  self.closed = true
  while self.receivers:wake(nil) do end
  while self.senders:wake(false) do end
end

--- Sends a value. Waits while the channel is full; without capacity, until a receiver takes it.
---@param v any not nil
---@return boolean sent false if the channel is closed, or was while it waited: nobody gets the value then
function methods:send(v)
  check_self(self, Channel, "send")
  if v == nil then error("bad argument #1 to 'send' (a value expected: nil is the end of a channel)", 2) end
  if self.closed then return false end
  if self.receivers:wake(v) then return true end
  if self.tail - self.head < self.capacity then
    put(self, v)
    return true
  end
  return (self.senders:wait(v))
end

--- Receives the oldest value. Waits for one.
---@return any v nil once the channel is closed and everything that was sent has been received
function methods:recv()
  check_self(self, Channel, "recv")
  return receive(self)
end

--- The same as recv, as of a stream. Arguments are ignored.
---@return any v
function methods:next()
  check_self(self, Channel, "next")
  return receive(self)
end

--- The same as recv, with patience: if there is no value in time it is nil and "timeout". Nothing is left in
--- flight then: a value that comes later is for whoever receives next.
---@param seconds number 0 <= seconds < 1e9
---@return any v
---@return "timeout"|nil
function methods:next_within(seconds)
  check_self(self, Channel, "next_within")
  check.seconds(seconds, 2, "next_within")
  local v, open = receive_now(self)
  if not open then return v end
  local reply, woken = self.receivers:wait(nil, seconds)
  if woken then return reply end
  return nil, "timeout"
end

-- What a loop calls.
Channel.__call = receive

--- Closes the channel for all tasks and wakes those that wait: senders with false, receivers with nil. What
--- was sent before can still be received. Idempotent; does not wait.
function methods:close()
  check_self(self, Channel, "close")
  close(self)
end
Channel.__close = close
Channel.__interrupt = close -- for a stream that owns it (rille.stream.source)

--- The four values of a loop that closes the channel: `for v in ch:each() do`.
function methods:each()
  check_self(self, Channel, "each")
  return self, self, nil, self
end

--- An iterator for a loop, or a stream, that leaves the channel open.
---@return fun(): any
function methods:keep()
  check_self(self, Channel, "keep")
  return function() return receive(self) end
end

--- "suspended"; "waiting", a task waits in recv; "closing", closed, with values to be received; "closed".
---@return "suspended"|"waiting"|"closing"|"closed"
function methods:status()
  check_self(self, Channel, "status")
  if self.closed then return self.head < self.tail and "closing" or "closed" end
  return self.receivers:is_empty() and "suspended" or "waiting"
end

function Channel.__tostring(self)
  return ("channel (%s, %d of %d)"):format(methods.status(self), self.tail - self.head, self.capacity)
end

for name, operator in pairs(stream) do
  if Stream.__index[name] == operator then methods[name] = operator end
end

--- Makes a channel. Without capacity, `send` waits until a receiver takes the value.
---@param capacity? integer >= 0: values that are sent and not received, at most; 0 by default
---@return rille.Channel
return function(capacity)
  capacity = capacity == nil and 0 or check.count(capacity, 1, "channel", 0)
  return setmetatable({
    capacity = capacity, queue = {}, head = 0, tail = 0, closed = false,
    senders = new_waiters("room in a channel"), receivers = new_waiters("a value of a channel"),
  }, Channel)
end
