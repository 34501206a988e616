--- rille.backoff: how long to wait before another try (internal; retries of streams and of requests).
-- Model:  a back-off is a number of seconds, the same after each try, or a function of the number of tries.
-- Owner:  nobody; nothing is kept.
-- Errors: what is wrong with a back-off is told as a text; a function that gives no number of seconds raises.

local check = require "rille.stream.check"

local backoff = {}

---@alias rille.Backoff number|fun(tried: integer): number

--- What is wrong with a back-off; nil if nothing is.
---@return string|nil
function backoff.complaint(v)
  if type(v) ~= "function" then return check.seconds_complaint(v) end
end

--- The seconds to wait after try `tried`.
---@param v rille.Backoff
---@param tried integer
---@param who string the option's owner, for messages
---@return number
function backoff.after(v, tried, who)
  if type(v) ~= "function" then return v end
  local seconds = v(tried)
  local complaint = check.seconds_complaint(seconds)
  if complaint then error(("bad result of the function 'backoff' of '%s' (%s)"):format(who, complaint), 0) end
  return seconds
end

--- A back-off that doubles from try to try, up to a limit. With jitter it is anything between 0 and that:
--- clients that failed together do not come back together.
---@param first number seconds after the first try
---@param max number seconds
---@param jitter boolean
---@return rille.Backoff
function backoff.doubling(first, max, jitter)
  return function(tried)
    local seconds = math.min(first * 2.0 ^ math.min(tried - 1, 1000), max)
    return jitter and seconds * math.random() or seconds
  end
end

return backoff
