--- rille.http.buffered: the body of a whole response as streams, as those of a streamed one (internal).
-- Model:  the body is a source of one piece; each call reads it from the beginning.
-- Owner:  nobody; the stream keeps the text alive.
-- Errors: those of what is read: EJSON with `line`, ECHARSET.

local json = require "rille.json"
local lines = require "rille.lines"
local source = require "rille.stream.source"
local sse = require "rille.sse"
local stage = require "rille.stream.stage"
require "rille.stream" -- gives streams their operators

-- A stream of a text; without a piece if it is empty.
local function piece(text) return (source.open(text ~= "" and { text } or {})) end

-- What is in memory already needs no other bound.
local function limit_of(text) return math.max(#text, 1) end

local buffered = {}

--- The bytes, in one piece.
---@param res rille.http.Response
---@return rille.Stream
function buffered.chunks(res) return stage.each(piece(res:bytes())) end

--- The lines of the text.
---@param res rille.http.Response
---@return rille.Stream
function buffered.lines(res)
  local text = res:text()
  return lines.split(piece(text), limit_of(text))
end

--- The Server-Sent Events.
---@param res rille.http.Response
---@return rille.Stream
function buffered.events(res)
  local text = res:bytes()
  return sse.events(piece(text), limit_of(text))
end

--- The values of JSON lines.
---@param res rille.http.Response
---@return rille.Stream
function buffered.ndjson(res)
  local text = res:bytes()
  return json.lines(piece(text), { max_line = limit_of(text) })
end

return buffered
