--- rille.sse_parser: makes Server-Sent Events of strings that arrive in any pieces (internal).
-- Model:  lines make fields, a blank line dispatches what they have gathered; an event without data is
--         none, and one that the end of the stream cuts short is dropped. The id and the retry time stay
--         until they are set again; an id counts from the blank line on.
-- Owner:  who made the parser.
-- Errors: nothing is malformed: what is no field is ignored. An event that is too large raises ETOOBIG.

local fault = require "rille.host.fault"
local splitter = require "rille.stream.splitter"

local BOM <const> = "\xEF\xBB\xBF"
local MANY <const> = 1024 -- lines that are made one: short ones take more room than their bytes

--- Makes events of pieces: a decoder (rille.stream.decode).
---@class rille.EventParser: rille.Decoder
---@field private splitter rille.LineSplitter
---@field private limit integer
---@field private begun boolean the first line was read
---@field private kind string
---@field private data string[] lines
---@field private blocks string[] of MANY lines before them
---@field private size integer
---@field private pending string the id that the next blank line sets
---@field id string the last one that was set
---@field retry number|nil seconds
local Parser = {}
Parser.__index = Parser

function Parser:feed(text) self.splitter:feed(text) end

function Parser:finish() end -- luacheck: ignore 212 (what was not dispatched is dropped)

local fields = {}

function fields.event(self, value) self.kind = value end

function fields.data(self, value)
  self.size = self.size + #value + 1
  if self.size > self.limit then
    local message = ("an event is larger than %d bytes"):format(self.limit)
    error(fault.new("ETOOBIG", message, { max = self.limit }), 0)
  end
  self.data[#self.data + 1] = value
  if #self.data == MANY then
    self.blocks[#self.blocks + 1], self.data = table.concat(self.data, "\n"), {}
  end
end

function fields.id(self, value)
  if not value:find("\0", 1, true) then self.pending = value end
end

function fields.retry(self, value)
  if value:find("^%d+$") then self.retry = tonumber(value) / 1000 end
end

local function take_line(self, line)
  local name, value = line:match("^([^:]*):? ?(.*)$")
  local field = fields[name] -- a comment's name is ""
  if field then field(self, value) end
end

-- The event that a blank line dispatches; nil if there is none.
local function dispatch(self)
  local data, blocks, kind = self.data, self.blocks, self.kind
  self.data, self.size, self.kind, self.id = {}, 0, "", self.pending
  if #blocks > 0 then
    self.blocks = {}
    data = table.move(data, 1, #data, #blocks + 1, blocks)
  end
  if #data == 0 then return nil end
  return {
    event = kind == "" and "message" or kind, data = table.concat(data, "\n"),
    id = self.id, retry = self.retry,
  }
end

---@return rille.ServerSentEvent|nil
function Parser:next()
  while true do
    local line = self.splitter:next()
    if not line then return nil end
    if not self.begun then
      self.begun = true
      if line:sub(1, 3) == BOM then line = line:sub(4) end
    end
    if line ~= "" then
      take_line(self, line)
    else
      local event = dispatch(self)
      if event then return event end
    end
  end
end

--- A parser.
---@param limit? integer of bytes in the data of an event; 64 MiB by default
---@param id? string the last id so far
---@return rille.EventParser
return function(limit, id)
  return setmetatable({
    splitter = splitter.new(limit), limit = limit or splitter.LIMIT, begun = false,
    kind = "", data = {}, blocks = {}, size = 0, id = id or "", pending = id or "",
  }, Parser)
end
