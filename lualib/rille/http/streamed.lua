--- rille.http.streamed: the response of http.stream, whose body is read as it comes.
-- Model:  the head is a response without a body; the body gives pieces (host/http_stream.c), which are read
--         by one reader: a stream of pieces, lines, values or events, or a function that reads what is left.
-- Owner:  whoever opened it closes it: a <close> variable, the end of a reader's loop, the end of the body.
-- Errors: those of the body at the read that meets them. A second reader is misuse.

local fault = require "rille.host.fault"
local http_charset = require "rille.http.charset"
local http_fault = require "rille.http.fault"
local json = require "rille.json"
local lines = require "rille.lines"
local misuse = require "rille.host.misuse"
local source = require "rille.stream.source"
local sse = require "rille.sse"
local stage = require "rille.stream.stage"
local task = require "rille.host.task"
require "rille.stream" -- gives streams their operators

local MAX_BODY <const> = 64 * 1024 * 1024

--- The response of http.stream. Has the fields of a response. Close it, or read all of it.
---@class rille.http.StreamedResponse: rille.http.Response
---@field private head rille.http.Response without a body
---@field private body userdata
---@field private max_body integer of what is gathered
---@field private reader string|nil the method that reads the body
---@field private content string|nil what text has read
local Streamed = {}

local meta = { __name = "rille.http.StreamedResponse" }

function meta.__index(self, name)
  local method = Streamed[name]
  if method ~= nil then return method end
  return rawget(self, "head")[name]
end

-- Makes `name` the reader of the body, which at most `before` has read.
local function claim(self, name, before)
  if self.reader and self.reader ~= before then
    misuse("the body of this response is read by '%s' already", self.reader)
  end
  self.body:check()
  self.reader = name
end

-- The pieces of the body, as a stream that closes it.
local function pieces(self)
  local body = self.body
  local stream = source.open(body.read, body, nil, body)
  stream.name = "chunks"
  return stream
end

-- The bytes that a line may have.
local function limit_of(self) return math.max(self.max_body, 1) end

--- The body in pieces, as they come, decoded.
---@return rille.Stream<string>
function Streamed:chunks()
  claim(self, "chunks")
  return stage.each(pieces(self))
end

-- A response that is used as a stream, such as for the body of another request, is one of its pieces.
function meta.__stream(self)
  claim(self, "chunks")
  return pieces(self)
end

--- The lines of the body's text, without their ends: LF, CRLF or CR. The last one may lack its end.
---@return rille.Stream<string>
function Streamed:lines()
  local text = http_charset.reader(self)
  claim(self, "lines")
  return lines.split(text(pieces(self)), limit_of(self))
end

--- The events of a body in the format of Server-Sent Events.
---@return rille.Stream<rille.ServerSentEvent>
function Streamed:events()
  claim(self, "events")
  return sse.events(pieces(self), limit_of(self))
end

--- The values of a body with one JSON text a line; blank lines are skipped.
---@return rille.Stream<any>
--- Raises EJSON, with `line` and `position`, at a line that is not JSON.
function Streamed:ndjson()
  claim(self, "ndjson")
  return json.lines(pieces(self), { max_line = limit_of(self) })
end

-- What is left of the body; the same again when it is called again.
local function gather(self, name)
  if self.content then return self.content end
  claim(self, name, "chunks") -- which takes whole pieces: nothing is lost
  local body <close> = self.body
  local parts, size = {}, 0
  for piece in body.read, body do
    size = size + #piece
    if size > self.max_body then error(http_fault.too_big(self), 0) end
    parts[#parts + 1] = piece
  end
  self.content = table.concat(parts)
  return self.content
end

--- What is left of the body as text, in UTF-8; the same again when it is called again.
---@return string
--- Raises ETOOBIG if that is more than max_body, ECHARSET if the charset is unknown.
function Streamed:text() return http_charset.text(self, gather(self, "text")) end

--- The bytes of what is left of the body; the same again when it is called again.
---@return string
--- Raises ETOOBIG if that is more than max_body.
function Streamed:bytes() return gather(self, "bytes") end

--- The value of a JSON body, or what a JSON pointer (RFC 6901) leads to in it; nil if that is nothing.
---@param pointer? string
---@return any
--- Raises EJSON, with the beginning of the body, if it is not JSON.
function Streamed:json(pointer)
  if pointer ~= nil and type(pointer) ~= "string" then
    error(("bad argument #1 to 'json' (string expected, got %s)"):format(type(pointer)), 2)
  elseif pointer and (pointer:find("^[^/]") or pointer:gsub("~[01]", ""):find("~", 1, true)) then
    error("bad argument #1 to 'json' (not a JSON pointer such as '/name')", 2)
  end
  local text = gather(self, "json")
  local ok, value = pcall(pointer and json.at or json.decode, text, pointer)
  if ok then return value end
  if not fault.is(value, "EJSON") then error(value, 0) end
  error(http_fault.not_json(self, value, text), 0)
end

-- The first bytes of the body.
local function beginning(body)
  local text = ""
  while #text < http_fault.EXCERPT do
    local piece = body:read()
    if not piece then break end
    text = text .. piece
  end
  return text
end

--- Returns itself, or reads the beginning of the body, closes it and raises ESTATUS if the status is 400 or
--- more.
---@return rille.http.StreamedResponse
function Streamed:raise_for_status()
  if self.status < 400 then return self end
  if self.content or self.reader then error(http_fault.status(self, self.content or ""), 0) end
  local ok, text
  do
    local body <close> = self.body
    body:check()
    ok, text = pcall(beginning, body)
  end
  if not ok and task.signalled(text) then error(text, 0) end
  local err = http_fault.status(self, ok and text or "")
  if not ok then fault.suppress(err, text) end
  error(err, 0)
end

--- Closes the response: what was not read is given up, and its connection with it if that is more than a
--- little. A reader in another task gets an error. Idempotent. It waits for nothing but the cleanup of the
--- source of a request's body that is still being sent.
function Streamed:close() self.body:close() end
function meta.__close(self, err) self.body:close(err) end

function meta.__tostring(self)
  return ("rille.StreamedResponse: %d (%s %s)"):format(self.status, self.method, self.url)
end

--- Wraps what the host has opened.
---@param head rille.http.Response
---@param body userdata
---@param max_body integer|nil
---@return rille.http.StreamedResponse
return function(head, body, max_body)
  return setmetatable({ head = head, body = body, max_body = max_body or MAX_BODY }, meta)
end
