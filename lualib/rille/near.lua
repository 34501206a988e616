--- rille.near: the module that a name was probably meant to be (internal; for the message of require).
-- Model:  the names are those that are loaded or preloaded, but for the host's inner ones. One is near if it
--         takes at most two changes of a character (a swap of two neighbours is one), and fewer than half of
--         the name.
-- Owner:  nothing is kept.
-- Errors: none.

local distance = require "rille.edit_distance"

local LIMIT = 2

--- The modules of lualib that scripts use; the others of rille are its own.
local PUBLIC = { rille = true, cjson = true }
for _, name in ipairs({ "stream", "http", "server", "json", "lines", "sse", "test" }) do
  PUBLIC["rille." .. name] = true
end

---@param name string of a module that was not found
---@return string|nil
return function(name)
  local best, nearest = math.min(LIMIT, (#name - 1) // 2) + 1, nil
  local function try(known)
    if type(known) ~= "string" or math.abs(#known - #name) >= best then return end
    if known:find("^rille%.") and not PUBLIC[known] then return end
    local d = distance(name, known)
    if d < best or d == best and nearest and known < nearest then best, nearest = d, known end
  end
  for known in next, package.loaded do try(known) end
  for known in next, package.preload do try(known) end
  return nearest
end
