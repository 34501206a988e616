--- rille.stream.range: the numbers of a numeric `for` as a stream.
-- Model:  a root that counts. How many numbers there are is known from the start, so that an integer never
--         wraps around and a float does not drift.
-- Owner:  nothing is held.
-- Errors: a bad argument blames the line that makes the stream.

local check = require "rille.stream.check"
local close_root = require("rille.stream.ending").close_root
local spaceout = require("rille.stream.time").spaceout
local stage = require "rille.stream.stage"
local turn = require("rille.host.timer").turn

local TURN = stage.TURN

-- n // d, of n as an unsigned number, for d > 0.
local function udiv(n, d)
  if n >= 0 then return n // d end
  local q = ((n >> 1) // d) << 1
  if not math.ult(n - q * d, d) then q = q + 1 end
  return q
end

-- How many integers there are from a to b, modulo 2^64; all 2^64 of them are without end.
local function integer_count(a, b, pace)
  local limit = math.tointeger(pace > 0 and math.floor(b) or math.ceil(b))
  if not limit then -- beyond the integers
    if (b > 0) ~= (pace > 0) then return 0 end
    limit = b > 0 and math.maxinteger or math.mininteger
  end
  if pace > 0 and limit < a or pace < 0 and limit > a then return 0 end
  local steps
  if pace > 0 then
    steps = udiv(limit - a, pace)
  elseif pace == math.mininteger then -- which has no positive
    steps = math.ult(a - limit, pace) and 0 or 1
  else
    steps = udiv(a - limit, -pace)
  end
  return steps == -1 and -1 or steps + 1
end

-- How many numbers there are from a to b; -1 is without end.
local function count(a, b, pace)
  if b == nil then return -1 end
  if math.type(a) == "integer" and math.type(pace) == "integer" then return integer_count(a, b, pace) end
  local n = (b - a) / pace
  return n >= 0 and (n < 0x1p62 and math.floor(n) + 1 or -1) or 0
end

--- The numbers a, a + step, ... up to b, as in a numeric `for`; without b, without end.
---@param a number
---@param b? number
---@param pace? number the step, 1 by default; not 0
---@param seconds? number at least so long between two of them
---@return rille.Stream<number>
return function(a, b, pace, seconds)
  check.number(a, 1, "range")
  if b ~= nil then check.number(b, 2, "range") end
  if pace == nil then pace = 1 end
  check.number(pace, 3, "range")
  if pace == 0 then error("bad argument #3 to 'range' (step is zero)", 2) end
  if seconds ~= nil then check.seconds(seconds, 4, "range") end
  local self = stage.root("range")
  self.single = true
  local n, k = count(a, b, pace), 0
  local stop = 0 -- of the numbers up to the loop's next turn, or to the end
  function self.closer() n, stop = k, k end
  function self.produce(emit, finish, apply)
    local function pull()
      local i = k
      if i < stop then
        k = i + 1
        if apply then return emit(apply(a + i * pace)) end
        return emit(a + i * pace)
      end
      if i == n then
        close_root(self)
        return finish()
      end
      if i > 0 then turn() end
      stop = math.ult(n - k, TURN) and n or k + TURN
      return pull()
    end
    return pull
  end
  if seconds then return spaceout(self, seconds) end
  return stage.each(self)
end
