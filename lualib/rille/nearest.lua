--- rille.nearest: what a mistyped name was meant to be (internal).
-- Model:  names are compared without case and punctuation. One is near to another if a few letters were
--         left out, added, changed or swapped, or if it is cut or goes on.
-- Owner:  nobody; nothing is kept.
-- Errors: none.

local distance = require "rille.edit_distance"

local function plain(name) return (tostring(name):lower():gsub("[^a-z0-9]", "")) end

local function begins(a, b) return #b > 2 and a:sub(1, #b) == b end

--- The known name that is nearest; nil if none is near.
---@param name any
---@param known table<string, any> whose keys are the names
---@return string|nil
return function(name, known)
  local wrong = plain(name)
  local best, least = nil, math.huge
  for candidate in pairs(known) do
    local right = plain(candidate)
    local n = distance(wrong, right)
    if begins(right, wrong) or begins(wrong, right) then n = math.min(n, 1) end
    local is_near = n <= #right // 3 and (n < least or (n == least and candidate < best))
    if is_near then best, least = candidate, n end
  end
  return best
end
