--- rille.stream.check: the checks of what an operator is given (internal).
-- Model:  an operator calls a check directly, with the position of the argument in its function form; of a
--         method call the position is told without the stream, as Lua's library does.
-- Owner:  nobody; a check keeps nothing.
-- Errors: a bad argument raises on the line that called the operator, before anything is started.

local check = {}

--- The type for a message: the metatable's __name, as luaL_typeerror tells it.
---@return string
function check.type_name(v)
  local meta = getmetatable(v)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or type(v)
end
local type_name = check.type_name

--- Checks what a method is called on. Called by the method itself, whose caller is blamed.
---@param self any
---@param class table its metatable is to be this
---@param name string the method
function check.self(self, class, name)
  if getmetatable(self) == class then return end
  error(("bad argument #1 to '%s' (%s expected, got %s; is it called with ':'?)"):format(name, class.__name,
    type_name(self)), 3)
end

-- A number for a message: itself, else the type.
local function describe(v)
  if v ~= v then return "nan" end
  return type(v) == "number" and tostring(v) or type_name(v)
end

--- Raises as Lua's library does. Called by a check that was called by the operator: level 4 is its caller.
---@param position integer
---@param name string the operator
---@param message string
function check.refuse(position, name, message)
  local info = debug.getinfo(3, "n")
  if info and info.namewhat == "method" then position = position - 1 end
  if position == 0 then
    error(("calling '%s' on bad self (%s)"):format(name, message), 4)
  end
  error(("bad argument #%d to '%s' (%s)"):format(position, name, message), 4)
end
local refuse = check.refuse

--- True for a function and for a value with __call.
---@return boolean
function check.is_callable(v)
  if type(v) == "function" then return true end
  local meta = debug.getmetatable(v)
  return meta ~= nil and meta.__call ~= nil
end

--- Refuses an argument that is not as it should be.
---@generic T
---@param ok T
---@param expected string what it should be: "a list"
---@param v any the argument
---@return T ok
function check.expect(ok, position, name, expected, v)
  if not ok then refuse(position, name, ("%s expected, got %s"):format(expected, type_name(v))) end
  return ok
end

function check.callable(f, position, name)
  if not check.is_callable(f) then
    refuse(position, name, "function expected, got " .. type_name(f))
  end
  return f
end

-- v as an integer >= least, or nil.
local function to_integer(v, least)
  local n = type(v) == "number" and math.tointeger(v)
  return n and n >= least and n or nil
end

---@param least? integer nil: any integer
---@return integer
function check.count(n, position, name, least)
  local integer = to_integer(n, least or math.mininteger)
  if not integer then
    local wanted = least and ("an integer >= %d"):format(least) or "an integer"
    refuse(position, name, ("%s expected, got %s"):format(wanted, describe(n)))
  end
  return integer
end

--- What is wrong with a number of seconds; nil if nothing is: 0 <= seconds < 1e9.
---@return string|nil
function check.seconds_complaint(seconds)
  if type(seconds) ~= "number" then
    return "number expected, got " .. (seconds == nil and "no value" or type_name(seconds))
  end
  return not (seconds >= 0 and seconds < 1e9) and "seconds out of range" or nil
end

function check.seconds(seconds, position, name)
  local complaint = check.seconds_complaint(seconds)
  if complaint then refuse(position, name, complaint) end
  return seconds
end

function check.number(n, position, name)
  if type(n) ~= "number" then
    refuse(position, name, "number expected, got " .. type_name(n))
  elseif n ~= n then
    refuse(position, name, "not a number")
  end
end

function check.string(s, position, name)
  if type(s) ~= "string" then
    refuse(position, name, "string expected, got " .. type_name(s))
  end
end

-- What is wrong with the value of an option; nil if nothing is.
local function mismatch(value, expected)
  if type(expected) == "function" then
    return expected(value)
  elseif type(expected) == "number" then
    if to_integer(value, expected) then return nil end
    return ("an integer >= %d expected, got %s"):format(expected, describe(value))
  elseif type(expected) == "table" then
    if expected[value] ~= nil then return nil end
    local names = {}
    for word in pairs(expected) do names[#names + 1] = ("'%s'"):format(word) end
    table.sort(names)
    return ("%s expected, got %s"):format(table.concat(names, " or "),
      type(value) == "string" and ("'%s'"):format(value) or describe(value))
  elseif type(value) ~= expected then
    return ("%s expected, got %s"):format(expected, type_name(value))
  end
end

--- The options of an operator, an empty table for none.
---@param known table<string, any> of each option, its type; or for an integer the least that it may be; or
--- a table whose keys are the values that it may have; or a function that says what is wrong with a value
---@return table
function check.options(options, position, name, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    refuse(position, name, "table expected, got " .. type_name(options))
  end
  for key, value in pairs(options) do
    local expected = known[key]
    if not expected then
      local near = require("rille.nearest")(key, known)
      local hint = near and (", did you mean '%s'?"):format(near) or ""
      refuse(position, name, ("unknown option '%s'%s"):format(tostring(key), hint))
    end
    local complaint = mismatch(value, expected)
    if complaint then refuse(position, name, ("bad option '%s' (%s)"):format(key, complaint)) end
  end
  return options
end

--- The last of an operator's arguments, if it is a table of options and not a list of items.
---@return table|nil
function check.trailing_options(...)
  local last = select("#", ...) > 0 and select(-1, ...)
  local is_table = type(last) == "table" and getmetatable(last) == nil
  return is_table and #last == 0 and next(last) ~= nil and last or nil
end

--- An optional argument. f(gen()) passes four values: the last three are no arguments (R6).
function check.optional(src, v)
  if v ~= nil and rawequal(v, src) then return nil end
  return v
end

--- Raises for an item that is nil, which would look like the end (R15). Asked of what is not true: it may be
--- false, which is an item.
---@param maker rille.Stream
---@param v any the first value
function check.item(maker, v)
  if v ~= nil then return end
  local who = (maker.name == "map" or maker.name == "scan") and ("the function of '%s'"):format(maker.name)
    or "a function of the stream"
  error(who .. " returned nil; an item must not be nil (return false or a table)", 0)
end

return check
