--- rille.sse: the events of a stream of strings in the format of Server-Sent Events (WHATWG HTML, 9.2.6).
-- Model:  a root over a parser (rille.sse_parser).
-- Owner:  a stream owns its source.
-- Errors: nothing is malformed: what is no field is ignored. An event that is too large raises ETOOBIG.

local check = require "rille.stream.check"
local decode = require "rille.stream.decode"
local new_parser = require "rille.sse_parser"
local source = require "rille.stream.source"
require "rille.stream" -- gives streams their operators

---@class rille.sse
local sse = {}

---@class rille.ServerSentEvent
---@field event string its type, "message" by default
---@field data string its lines, joined with "\n"
---@field id string the last id that the stream has given, "" by default
---@field retry number|nil seconds to wait before connecting again, as the stream has said last

--- The events of a stream of strings.
---@param src rille.Source<string>
---@param limit? integer of bytes in the data of an event, 64 MiB by default; more raises ETOOBIG
---@return rille.Stream<rille.ServerSentEvent>
function sse.events(src, limit)
  local strings = source.check(src, 1, "events")
  limit = check.optional(src, limit)
  if limit ~= nil then check.count(limit, 2, "events", 1) end
  return decode("events", strings, new_parser(limit))
end

return sse
