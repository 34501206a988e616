--- rille.lines: the lines of a stream of strings, however they were cut into pieces.
-- Model:  a root over a decoder (rille.stream.splitter).
-- Owner:  a stream owns its source.
-- Errors: a bad argument blames the line that makes the stream. A line that is too long raises ETOOBIG.

local check = require "rille.stream.check"
local decode = require "rille.stream.decode"
local source = require "rille.stream.source"
local splitter = require "rille.stream.splitter"
require "rille.stream" -- gives streams their operators

---@class rille.lines
local lines = {}

--- The lines of a stream of strings, without their ends. An unfinished last line is one.
---@param src rille.Source<string>
---@param limit? integer of bytes in a line, 64 MiB by default; a longer one raises ETOOBIG
---@return rille.Stream<string>
function lines.split(src, limit)
  local strings = source.check(src, 1, "split")
  limit = check.optional(src, limit)
  if limit ~= nil then check.count(limit, 2, "split", 1) end
  return decode("lines", strings, splitter.new(limit))
end

return lines
