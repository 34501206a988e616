--- rille.stream.splitter: cuts strings that arrive in any pieces into lines (internal).
-- Model:  a line ends with LF, CRLF or CR, which are no part of it; the last one may lack its end. A CR ends
--         its line at once; an LF that comes next, in a later piece too, belongs to it.
-- Owner:  who made the splitter.
-- Errors: a line that is too long raises ETOOBIG before it is gathered.

local fault = require "rille.host.fault"

local LIMIT <const> = 64 * 1024 * 1024
local LF <const> = 10

--- Cuts pieces into lines: a decoder (rille.stream.decode).
---@class rille.LineSplitter: rille.Decoder
---@field private limit integer
---@field private parts string[] of a line that has not ended
---@field private size integer of them
---@field private text string|nil the piece that is being cut
---@field private at integer where its next line begins
---@field private lf integer where its next LF is, past all bytes if there is none
---@field private cr integer the same of CR
---@field private after_cr boolean an LF at the beginning of the next piece is no line break
local Splitter = {}
Splitter.__index = Splitter

--- Takes a piece; only when `next` has returned nil.
---@param text string
function Splitter:feed(text)
  if text == "" then return end
  self.at = self.after_cr and text:byte() == LF and 2 or 1
  self.after_cr = false
  self.text, self.lf, self.cr = text, 0, 0
end

-- Adds to the line that has not ended.
local function gather(self, part)
  local size = self.size + #part
  if size > self.limit then
    local message = ("a line is larger than %d bytes"):format(self.limit)
    error(fault.new("ETOOBIG", message, { max = self.limit }), 0)
  end
  self.parts[#self.parts + 1], self.size = part, size
end

local function take(self)
  local parts = self.parts
  self.parts, self.size = {}, 0
  return #parts == 1 and parts[1] or table.concat(parts)
end

--- The next line; nil if no more has ended.
---@return string|nil
function Splitter:next()
  local text, at = self.text, self.at
  if not text then return nil end
  local lf, cr = self.lf, self.cr
  if lf < at then
    lf = text:find("\n", at, true) or math.maxinteger
    self.lf = lf
  end
  if cr < at then
    cr = text:find("\r", at, true) or math.maxinteger
    self.cr = cr
  end
  local stop = lf < cr and lf or cr
  if stop == math.maxinteger then
    self.text = nil
    if at <= #text then gather(self, text:sub(at)) end
    return nil
  end
  gather(self, text:sub(at, stop - 1))
  at = stop + 1
  if stop == cr then
    if at > #text then self.after_cr = true elseif text:byte(at) == LF then at = at + 1 end
  end
  self.at = at
  return take(self)
end

--- There is no more: `next` gives a last line that was not ended.
function Splitter:finish()
  if self.size > 0 then
    self.text, self.at, self.lf, self.cr = "\n", 1, 0, math.maxinteger
  end
end

local splitter = {
  LIMIT = LIMIT, -- of a line, in bytes, if nobody says otherwise
}

--- A splitter.
---@param limit? integer of bytes in a line; 64 MiB by default
---@return rille.LineSplitter
function splitter.new(limit)
  return setmetatable({
    limit = limit or LIMIT, parts = {}, size = 0, at = 1, after_cr = false,
  }, Splitter)
end

return splitter
