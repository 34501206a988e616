--- rille.json_cjson: the values of texts that simdjson refuses, or that are too short for it (internal).
-- Model:  lua-cjson has the last word: what it takes is JSON, and what it says is the error. It holds numbers
--         that simdjson does not, and it tells where a fault is. An instance of its own: settings of
--         `require "cjson"` do not change it.
-- Owner:  nobody; nothing is kept.
-- Errors: text that is not JSON raises EJSON.

local cjson = require("cjson").new()
local fault = require "rille.host.fault"

cjson.decode_invalid_numbers(false) -- NaN, 0x10 and 01 are not JSON

local NO_MEMORY = "not enough memory" -- Lua's own error: nothing is wrong with the text
local MESSAGE = "^(.-) at character (%d+)$"

--- The value of a JSON text, or an error.
---@param text string
---@return any
return function(text)
  local ok, value = pcall(cjson.decode, text)
  if ok then return value end
  if value == NO_MEMORY then error(value, 0) end
  local what, position = tostring(value):match(MESSAGE)
  error(fault.new("EJSON", ("invalid JSON: %s"):format(value),
    { position = tonumber(position), reason = what or value }), 0)
end
