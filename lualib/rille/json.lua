--- rille.json: JSON text to Lua values and back, on lua-cjson.
-- An instance of its own: settings of `require "cjson"` do not change it.
-- Errors: text that is not JSON raises an error object with code EJSON.

local cjson = require("cjson").new()
local fault = require "rille.host.fault"

cjson.decode_invalid_numbers(false) -- NaN, 0x10 and 01 are not JSON

---@class rille.json
---@field null userdata the value of JSON's null (RFC 8259 section 3)
local json = { null = cjson.null }

local NO_MEMORY = "not enough memory" -- Lua's own error: nothing is wrong with the text
local MESSAGE = "^(.-) at character (%d+)$"

--- The value of a JSON text. null becomes `json.null`.
---@param text string
---@return any
--- Raises EJSON, with `position` (in bytes, from 1) where lua-cjson tells it.
function json.decode(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'decode' (string expected, got %s)"):format(type(text)), 2)
  end
  local ok, value = pcall(cjson.decode, text)
  if ok then return value end
  if value == NO_MEMORY then error(value, 0) end
  local what, position = tostring(value):match(MESSAGE)
  error(fault.new("EJSON", ("invalid JSON: %s"):format(value),
    { position = tonumber(position), reason = what or value }), 0)
end

--- The JSON text of a value: a table with keys 1..n is an array (small gaps become null), any other an
--- object. Numbers have 14 significant digits.
---@param value any
---@return string
--- Raises EJSON for what JSON cannot say: functions, NaN, infinity, lists with large gaps.
function json.encode(value)
  local ok, text = pcall(cjson.encode, value)
  if ok then return text end
  if text == NO_MEMORY then error(text, 0) end
  error(fault.new("EJSON", ("cannot encode as JSON: %s"):format(text), { reason = text }), 0)
end

return json
