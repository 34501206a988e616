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

--- The methods of an object whose metatable has a table of them.
---@return table<string, function>
function names.methods(object)
  local set = {}
  for name, method in pairs(getmetatable(object).__index) do
    if not name:find("^__") then set[name] = method end
  end
  return set
end

--- The options of which a text of --help tells, one or more a line: "  -h, --help  print this".
---@param usage string
---@return table<string, true>
function names.options(usage)
  local set = {}
  for line in usage:gmatch("\n  (%-[^\n]*)") do
    local rest = line
    repeat
      local option, after = rest:match("^(%-[%w%-]*)(.*)$")
      set[option] = true
      rest = after:match("^, (%-.*)$")
    until not rest
  end
  return set
end

return names
