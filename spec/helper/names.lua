-- names.lua -- the names that modules and classes have, for specs that compare documents with them.
local names = {}

--- The keys of a set, in order.
---@return string[]
function names.sorted(set)
  local list = {}
  for name in pairs(set) do list[#list + 1] = name end
  table.sort(list)
  return list
end

--- The upvalue of a function: the tables that an __index of C looks in have no other way out.
function names.upvalue(fn, n)
  local _, value = debug.getupvalue(fn, n)
  return assert(value)
end

return names
