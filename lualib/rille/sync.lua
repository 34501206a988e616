--- rille.sync: semaphores, mutexes and events; rille.semaphore, rille.mutex, rille.event.
-- Model:  a permit, or the mutex, that is given back goes at once to the task that has waited longest:
--         nobody who comes later gets ahead of it. A wait that was woken is never cancelled instead
--         (host/fiber.h), so what is handed over is not lost.
-- Owner:  who acquired; the guard, a to-be-closed value, gives back what it stands for, once, in whatever
--         task it is closed.
-- Errors: misuse blames the caller. To acquire, and to wait, where nobody could resume the caller raises
--         if it would have to wait. A wait that was cancelled has acquired nothing.

local check = require "rille.stream.check"
local fault = require "rille.host.fault"
local note = require("rille.host.leak").note -- nil unless RILLE_DEBUG asks for it
local new_waiters = require "rille.waiters"
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

local check_self = check.self

local sync = {}

-- Semaphores ----------------------------------------------------------------------------------

---@class rille.Semaphore
---@field private count integer
---@field private free integer permits that nobody has; while there are some, nobody waits
---@field private waiters rille.Waiters
local semaphore_methods = {}
local Semaphore = { __name = "rille.Semaphore", __index = semaphore_methods }

--- What `acquire` of a semaphore gives: one permit.
---@class rille.Permit
---@field private semaphore rille.Semaphore|nil nil once it is given back
local permit_methods = {}
local Permit = { __name = "rille.Permit", __index = permit_methods }

-- Gives one permit back; false if nobody has one.
local function put_back(semaphore)
  if semaphore.free == semaphore.count then return false end
  if not semaphore.waiters:wake() then semaphore.free = semaphore.free + 1 end
  return true
end

local SURPLUS = "semaphore released more often than acquired"

--- Takes a permit. Waits until there is one.
---@return rille.Permit guard `local guard <close> = semaphore:acquire()` gives it back
function semaphore_methods:acquire()
  check_self(self, Semaphore, "acquire")
  local permit = setmetatable({ semaphore = self }, Permit)
  if self.free > 0 then
    self.free = self.free - 1
  else
    self.waiters:wait()
  end
  if note then note(self) end
  return permit
end

--- Gives a permit back without its guard, in any task; the guard of that permit must not be closed then.
--- Raises if nobody has a permit.
function semaphore_methods:release()
  check_self(self, Semaphore, "release")
  if not put_back(self) then error(SURPLUS, 2) end
end

--- Gives the permit back. Idempotent. Raises if `release` was called for it, as far as that shows: when
--- nobody has a permit.
function permit_methods:close()
  check_self(self, Permit, "close")
  local semaphore = self.semaphore
  self.semaphore = nil
  if semaphore and not put_back(semaphore) then error(SURPLUS, 2) end
end

function Permit.__close(self, err)
  local semaphore = self.semaphore
  self.semaphore = nil
  if not semaphore or put_back(semaphore) then return end
  if err == nil then error(SURPLUS, 2) end
  fault.suppress(err, SURPLUS)
end

-- Who gives permits back with `release` keeps no guard: what counts is what the semaphore lacks.
function Semaphore.__leak(self, acquired)
  local taken = self.count - self.free
  if taken == 0 then return nil end
  return ("%d of %d permits of a semaphore, the last acquired at %s, %s not given back"):format(taken,
    self.count, acquired, taken == 1 and "is" or "are")
end

function Semaphore.__tostring(self)
  return ("semaphore (%d of %d free)"):format(self.free, self.count)
end

--- Makes a semaphore: at most n tasks have a permit at the same time.
---@param n integer >= 1
---@return rille.Semaphore
function sync.semaphore(n)
  n = check.count(n, 1, "semaphore", 1)
  return setmetatable({ count = n, free = n, waiters = new_waiters("a semaphore") }, Semaphore)
end

-- Mutexes -------------------------------------------------------------------------------------

---@class rille.Mutex
---@field private hold rille.Hold|nil of the task that has the mutex; nil while it is free
---@field private waiters rille.Waiters each offers its hold
local mutex_methods = {}
local Mutex = { __name = "rille.Mutex", __index = mutex_methods }

--- What `acquire` of a mutex gives.
---@class rille.Hold
---@field private mutex rille.Mutex
---@field private task rille.Task|false false outside of tasks
local hold_methods = {}
local Hold = { __name = "rille.Hold", __index = hold_methods }

local function hand_on(mutex)
  local _, hold = mutex.waiters:wake()
  mutex.hold = hold
end

--- Takes the mutex. Waits until it is free. Raises if the task has it already.
---@return rille.Hold guard `local guard <close> = mutex:acquire()` gives it back
function mutex_methods:acquire()
  check_self(self, Mutex, "acquire")
  local hold = setmetatable({ mutex = self, task = task.current() or false }, Hold)
  if not self.hold then
    self.hold = hold
  elseif self.hold.task == hold.task then
    error("the task has the mutex already", 2)
  else
    self.waiters:wait(hold)
  end
  if note then note(self) end
  return hold
end

--- Gives the mutex back; its guard does nothing then. Raises unless the task has it.
function mutex_methods:release()
  check_self(self, Mutex, "release")
  if not self.hold then error("the mutex is free", 2) end
  if self.hold.task ~= (task.current() or false) then error("another task has the mutex", 2) end
  hand_on(self)
end

--- Gives the mutex back, in any task. Idempotent.
function hold_methods:close()
  check_self(self, Hold, "close")
  if self.mutex.hold == self then hand_on(self.mutex) end
end
Hold.__close = hold_methods.close

function Mutex.__leak(self, acquired)
  return self.hold and ("the mutex acquired at %s is held"):format(acquired) or nil
end

function Mutex.__tostring(self)
  return ("mutex (%s)"):format(self.hold and "held" or "free")
end

--- Makes a mutex: one task has it at a time.
---@return rille.Mutex
function sync.mutex()
  return setmetatable({ waiters = new_waiters("a mutex") }, Mutex)
end

-- Events --------------------------------------------------------------------------------------

---@class rille.Event
---@field private happened boolean
---@field private waiters rille.Waitlist
local event_methods = {}
local Event = { __name = "rille.Event", __index = event_methods }

--- Sets the event: all tasks that wait for it go on, also if it is cleared before they run. Idempotent.
function event_methods:set()
  check_self(self, Event, "set")
  self.happened = true
  self.waiters:wake_all()
end

--- From here on `wait` waits again. Idempotent.
function event_methods:clear()
  check_self(self, Event, "clear")
  self.happened = false
end

--- Waits until the event is set. Returns at once if it is.
function event_methods:wait()
  check_self(self, Event, "wait")
  if not self.happened then self.waiters:wait() end
end

---@return boolean
function event_methods:is_set()
  check_self(self, Event, "is_set")
  return self.happened
end

function Event.__tostring(self)
  return ("event (%s)"):format(self.happened and "set" or "not set")
end

--- Makes an event, which is not set.
---@return rille.Event
function sync.event()
  return setmetatable({ happened = false, waiters = waitlist.new("an event") }, Event)
end

return sync
