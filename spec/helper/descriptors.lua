-- descriptors.lua -- the file descriptors of this process, to find those that are left open.
-- Model:  the links of /proc/self/fd, read in this process: a program that looks from outside may see the
--         other end of the pipe that it is read through, too.
-- Owner:  nothing is kept open.
-- Errors: a snapshot that cannot be taken raises.
local lfs = require "lfs"

local DIRECTORY <const> = "/proc/self/fd"

local descriptors = {}

---@return table<string, string> open  what is open, by its number
function descriptors.open()
  local open = {}
  for name in lfs.dir(DIRECTORY) do
    local target = lfs.symlinkattributes(DIRECTORY .. "/" .. name, "target")
    if target and not target:find("^/proc/%d+/fd$") then open[name] = target end -- not this look itself
  end
  return open
end

--- What is open now and was not then.
---@param before table<string, string>  what `open` gave
---@return string[]  such as "7 -> socket:[4711]"
function descriptors.since(before)
  local new = {}
  for number, target in pairs(descriptors.open()) do
    if before[number] ~= target then new[#new + 1] = number .. " -> " .. target end
  end
  table.sort(new)
  return new
end

return descriptors
