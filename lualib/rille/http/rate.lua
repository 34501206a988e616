--- rille.http.rate: the rate of a client: so many requests a second (internal).
-- Model:  a request may begin when `due` has come, which then moves on by the time between two. One task
--         waits for that; the others wait in a row for their turn at it, first come first served.
-- Owner:  the client. Whoever has the turn hands it on when it leaves, cancelled or not, and only who begins
--         moves `due`: a wait that was given up costs nothing.
-- Errors: a wait is told to be over by its limit, or by the end of the client; a cancelled one raises.

local misuse = require "rille.host.misuse"
local new_waiters = require "rille.waiters"
local timer = require "rille.host.timer"
local waitlist = require "rille.host.waitlist"

local NAME <const> = "the rate of the client"
local LIMIT <const> = 1e6
-- Seconds that may be caught up with after a late wake-up, so that the rate is kept under load.
local LATE <const> = 0.005

---@class rille.http.Rate
---@field private interval number seconds between two requests
---@field private due number when the next one may begin
---@field private taken boolean somebody has the turn
---@field private row rille.Waiters who wait for the turn
---@field private gate rille.Waitlist where the task with the turn waits
---@field private closed boolean
local Rate = {}
Rate.__index = Rate

-- Hands the turn on: a to-be-closed value.
local Turn = {}

function Turn.__close(turn)
  local self = turn.rate
  if not self.row:wake() then self.taken = false end
end

local function left_until(deadline) return deadline and math.max(deadline - timer.now(), 0) end

-- Takes the turn; false if the time is over first.
local function take_turn(self, deadline)
  if not self.taken then
    self.taken = true
    return true
  end
  local _, woken = self.row:wait(nil, left_until(deadline))
  return woken
end

-- Waits until `due`, with the turn; false if the time is over first.
local function await_due(self, deadline)
  while not self.closed do
    local now = timer.now()
    if self.due <= now then return true end
    if deadline and deadline <= now then return false end
    self.gate:wait(math.min(self.due, deadline or math.huge) - now)
  end
  return false
end

--- Waits until a request may begin.
---@param deadline number|nil
---@return boolean begun false if the deadline came first, or the client was closed meanwhile
function Rate:wait(deadline)
  if self.closed then return true end -- the host refuses what begins now
  local now = timer.now()
  if not self.taken and self.due <= now then
    self.due = now + self.interval
    return true
  end
  if not take_turn(self, deadline) then return false end
  local _ <close> = setmetatable({ rate = self }, Turn)
  if not await_due(self, deadline) then return false end
  self.due = math.max(self.due, timer.now() - LATE) + self.interval
  return true
end

--- The client is closed: every wait is over.
function Rate:close()
  self.closed = true
  self.gate:wake_all()
end

--- The client was closed.
---@return boolean
function Rate:is_closed() return self.closed end

--- Makes the rate of an option; nil for none.
---@param n number|nil requests a second
---@return rille.http.Rate|nil
return function(n)
  if n == nil then return nil end
  if type(n) ~= "number" then misuse("bad option 'rate' (number expected, got %s)", type(n)) end
  if not (n >= 1 / LIMIT and n <= LIMIT) then misuse("bad option 'rate' (out of range)") end
  return setmetatable({
    interval = 1 / n, due = -math.huge, taken = false, closed = false,
    row = new_waiters(NAME), gate = waitlist.new(NAME),
  }, Rate)
end
