--- rille.http.charset: the text of a response, as UTF-8 (internal).
-- Model:  the parameter charset of Content-Type names the charset (host/charset.c); a byte order mark goes
--         before it. Without the parameter a mark counts in text and XML alone, and else bytes are text as
--         they are.
-- Owner:  a decoder belongs to who asked for it.
-- Errors: a charset that is not known raises ECHARSET.

local decode = require "rille.stream.decode"
local http_fault = require "rille.http.fault"
local host = require "rille.host.charset"
local parameters = require "rille.http.parameters"

local http_charset = {}

---@class rille.CharsetDecoder of host/charset.c
---@field decode fun(self: rille.CharsetDecoder, text: string, over?: boolean): string

-- True for a media type whose bytes are text.
local function is_text(kind)
  kind = kind:match("^[ \t]*([^; \t,]*)"):lower()
  return kind:find("^text/") ~= nil or kind == "application/xml" or kind:find("%+xml$") ~= nil
end

local last_kind, last_label -- responses that follow each other are often of one type

-- What a content type says of the charset: a label; true if a byte order mark alone counts; nil: nothing.
local function label_of(kind)
  if kind == last_kind then return last_label end
  local at = kind:find(";", 1, true)
  local label = at and parameters(kind, at).charset or is_text(kind) or nil
  last_kind, last_label = kind, label
  return label
end

-- The decoder of a response; nil if its bytes are text as they are.
local function decoder_of(res, label)
  if not label then return nil end
  if label == true then return host.open() end
  return host.open(label) or error(http_fault.unknown_charset(res, label), 0)
end

-- True for a text that most labels leave as it is.
local function is_itself(bytes, label)
  if label == true then return not bytes:find("^[\xEF\xFE\xFF]") end
  return label and label:lower() == "utf-8" and host.is_utf8(bytes)
end

--- The text that bytes of a response are, in UTF-8.
---@param res rille.http.Response|rille.http.StreamedResponse
---@param bytes string all of the body
---@return string
function http_charset.text(res, bytes)
  local label = label_of(res.headers["content-type"] or "")
  if is_itself(bytes, label) then return bytes end
  local decoder = decoder_of(res, label)
  return decoder and decoder:decode(bytes, true) or bytes
end

-- Makes pieces of text of pieces of bytes: a decoder of streams (rille.stream.decode).
---@class rille.CharsetPieces: rille.Decoder
local Pieces = {}
Pieces.__index = Pieces

function Pieces:feed(bytes) self.text = self.decoder:decode(bytes) end

function Pieces:finish() self.text = self.decoder:decode("", true) end

function Pieces:next()
  local text = self.text
  self.text = nil
  if text ~= "" then return text end
end

--- A function that makes a stream of text, in UTF-8, of the stream of a response's pieces.
---@param res rille.http.StreamedResponse
---@return fun(pieces: rille.Stream<any>): rille.Stream<any>
function http_charset.reader(res)
  local decoder = decoder_of(res, label_of(res.headers["content-type"] or ""))
  if not decoder then return function(pieces) return pieces end end
  return function(pieces)
    return (decode("text", pieces, setmetatable({ decoder = decoder }, Pieces)))
  end
end

return http_charset
