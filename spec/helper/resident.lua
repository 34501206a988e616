-- resident.lua -- bytes of memory that this process has now.
-- Errors: those of the system, raised.
local PAGE <const> = 4096

---@return integer
return function()
  local file <close> = assert(io.open("/proc/self/statm"))
  return assert(tonumber(file:read("a"):match("^%d+ (%d+)"))) * PAGE
end
