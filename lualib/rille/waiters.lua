--- rille.waiters: the tasks that wait for something to be handed to them, first come first served
--- (internal; channels, semaphores, mutexes).
-- Model:  a ring of entries, one for each task that waits, the longest waiting first. Each parks at a
--         waitlist of its own, whose `wake` tells whether its task still waits: one that was cancelled has
--         left it at once, though its entry stays until the task runs. A task that was woken is never
--         cancelled instead (host/fiber.h), so what is handed over arrives, and goes to nobody else.
-- Owner:  the waiting task owns its entry, which leaves the ring when the wait is left.
-- Errors: a wait that is impossible, or cancelled, raises and leaves nothing behind.

local waitlist = require "rille.host.waitlist"

---@class rille.Waitlist of host/waitlist.c
---@field wait fun(self: rille.Waitlist, seconds?: number): boolean parks; false if the time was over
---@field wake fun(self: rille.Waitlist, n?: integer): integer lets n waiters go on, 1 by default; how many
---@field wake_all fun(self: rille.Waitlist): integer
---@field check fun(self: rille.Waitlist) raises if the caller could not wait

---@class rille.Waiters the ring's head
---@field private name string what a wait is called in reports
---@field private following rille.Waiter|rille.Waiters
---@field private previous rille.Waiter|rille.Waiters
local Waiters = {}
Waiters.__index = Waiters

---@class rille.Waiter
---@field gate rille.Waitlist where the task parks
---@field offer any what the task brings along
---@field reply any what it is woken with
---@field following nil|rille.Waiter|rille.Waiters nil once it has left the ring
---@field previous rille.Waiter|rille.Waiters
local Waiter = {}

local function leave(entry)
  entry.previous.following, entry.following.previous = entry.following, entry.previous
  entry.following = nil
end

function Waiter.__close(entry)
  if entry.following then leave(entry) end
end

--- Parks the caller at the end, until it is woken or for so long.
---@param offer any for whoever wakes it
---@param seconds? number without limit by default
---@return any reply what it was woken with
---@return boolean woken false if the time was over
function Waiters:wait(offer, seconds)
  local last = self.previous
  local entry <close> = setmetatable({
    gate = waitlist.new(self.name), offer = offer, following = self, previous = last,
  }, Waiter)
  last.following, self.previous = entry, entry
  local woken = entry.gate:wait(seconds)
  return entry.reply, woken
end

--- Raises if the caller could not wait now.
function Waiters:check()
  waitlist.new(self.name):check()
end

--- Hands `reply` to the task that has waited longest, which then goes on.
---@param reply any
---@return boolean woken false if nobody waits
---@return any offer what that task has brought along
function Waiters:wake(reply)
  local entry = self.following
  while entry ~= self do
    leave(entry)
    if entry.gate:wake() > 0 then
      entry.reply = reply
      return true, entry.offer
    end
    entry = self.following
  end
  return false
end

--- Nobody waits. A task that was cancelled, or whose time is over, counts until it has run.
---@return boolean
function Waiters:is_empty()
  return self.following == self
end

---@param name string what a wait is called in reports
---@return rille.Waiters
return function(name)
  local self = setmetatable({ name = name }, Waiters)
  self.following, self.previous = self, self
  return self
end
