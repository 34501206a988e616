--- rille.json: JSON text to Lua values, on simdjson, and back, on lua-cjson; JSON pointers; JSON lines.
-- Model:  what is JSON, and what it means, is as lua-cjson has it, which gets what simdjson refuses. An
--         instance of its own: settings of `require "cjson"` do not change it.
-- Owner:  nobody; the host keeps simdjson's memory between two texts.
-- Errors: text that is not JSON raises an error object with code EJSON.

local cjson = require("cjson").new()
local fault = require "rille.host.fault"
local find_otherwise = require "rille.json_pointer"
local host = require "rille.host.json"
local read_by_cjson = require "rille.json_cjson"

---@class rille.json
---@field null userdata the value of JSON's null (RFC 8259 section 3)
local json = { null = cjson.null }

local SHORT = 12 -- bytes: there lua-cjson is faster
local NO_MEMORY = "not enough memory" -- Lua's own error: nothing is wrong with the value

--- The value of a JSON text. null becomes `json.null`.
---@param text string
---@return any
--- Raises EJSON, with `position` (in bytes, from 1) where lua-cjson tells it.
function json.decode(text)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'decode' (string expected, got %s)"):format(type(text)), 2)
  end
  if #text >= SHORT then
    local value = host.at(text)
    if value ~= nil then return value end
  end
  return read_by_cjson(text)
end

--- The value that a JSON pointer (RFC 6901) leads to in a JSON text, as `decode` gives it; nil if it leads
--- to nothing. All of the text is checked, and nothing else of it is built. Of equal keys the last counts.
---@param text string
---@param pointer string "" for all of it, "/a/0" ...
---@return any
--- Raises EJSON, with `position` where it is known.
function json.at(text, pointer)
  if type(text) ~= "string" then
    error(("bad argument #1 to 'at' (string expected, got %s)"):format(type(text)), 2)
  elseif type(pointer) ~= "string" then
    error(("bad argument #2 to 'at' (string expected, got %s)"):format(type(pointer)), 2)
  end
  local value, trouble, reason = host.at(text, pointer)
  if not trouble then return value end
  if trouble == "pointer" then error("bad argument #2 to 'at' (not a JSON pointer such as '/name')", 2) end
  return find_otherwise(text, pointer, trouble, reason)
end

--- The values of JSON lines (NDJSON): a stream of the values of a stream of strings, however they are cut.
--- Lines end with LF or CRLF; lines of blanks, and a BOM at the start, are skipped.
---@param source rille.Source<string>
---@param options? { max_line: integer? } max_line: bytes, 64 MiB by default
---@return rille.Stream<any>
--- A line that is not JSON raises EJSON with `line`, its number; a longer one ETOOBIG.
function json.lines(source, options) return require "rille.json_lines"(source, options) end

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
