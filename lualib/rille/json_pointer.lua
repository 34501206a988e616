--- rille.json_pointer: JSON pointers into texts that simdjson refuses (internal).
-- Model:  lua-cjson reads the text too: it knows where a fault is, and it holds numbers and depths that
--         simdjson does not. What simdjson alone refuses (invalid UTF-8, control characters in strings, NUL
--         behind the value) is refused.
-- Owner:  nobody; nothing is kept.
-- Errors: text that is not JSON raises EJSON.

local fault = require "rille.host.fault"
local read_by_cjson = require "rille.json_cjson"

local ESCAPES = { ["~0"] = "~", ["~1"] = "/" }

-- What the pointer leads to in a decoded value: an object has strings as keys, an array has integers.
local function walk(value, pointer)
  for token in pointer:gmatch("/([^/]*)") do
    if type(value) ~= "table" then return nil end
    token = token:gsub("~[01]", ESCAPES)
    local v = value[token]
    if v == nil and (token == "0" or token:find("^[1-9]%d*$")) then v = value[tonumber(token) + 1] end
    value = v
  end
  return value
end

--- What the pointer leads to in a text that rille.host.json.at has not read, or an error.
---@param text string
---@param pointer string
---@param trouble "text"|"beyond" why not
---@param reason string|nil why simdjson has refused it
---@return any
return function(text, pointer, trouble, reason)
  local value = read_by_cjson(text)
  if trouble == "beyond" then return walk(value, pointer) end
  local _, position = utf8.len(text)
  error(fault.new("EJSON", ("invalid JSON: %s"):format(reason), { position = position, reason = reason }), 0)
end
