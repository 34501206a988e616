--- rille.json_lines: rille.json.lines, the values of JSON lines (internal).
-- Model:  a root over a stream of strings. A chunk is cut at its line feeds while its lines are asked for;
--         what has no line feed yet is kept in pieces, each longer than the next, so that a line which comes
--         byte by byte is not copied again for each.
-- Owner:  the stream owns its source.
-- Errors: a bad argument blames the line that makes the stream. A line that is not JSON, or too long, fails
--         the step, and the stream with it.

local check = require "rille.stream.check"
local compile = require("rille.stream.pipeline").compile
local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local json = require "rille.json"
local source_of = require "rille.stream.source"
local stage = require "rille.stream.stage"
local turn = require("rille.host.timer").turn
require "rille.stream" -- what the stream has as methods

local BAD_ITEM = "bad item of the source of 'lines' (string expected, got %s)"
local MAX_LINE = 64 * 1024 * 1024
local BOM = "^\xEF\xBB\xBF"
local TURN = stage.TURN

-- The pieces of a line that is not complete.
local Pieces = {}
Pieces.__index = Pieces

function Pieces:add(piece)
  if piece == "" then return end
  local n = self.n + 1
  self[n], self.length = piece, self.length + #piece
  while n > 1 and #self[n - 1] <= #self[n] do
    self[n - 1] = self[n - 1] .. self[n]
    self[n] = nil
    n = n - 1
  end
  self.n = n
end

function Pieces:take()
  local text = table.concat(self, "", 1, self.n)
  for i = 1, self.n do self[i] = nil end
  self.n, self.length = 0, 0
  return text
end

local function new_pieces() return setmetatable({ n = 0, length = 0 }, Pieces) end

-- The value of a line; nil if it has none.
local function decode(text, number)
  if number == 1 then text = text:gsub(BOM, "") end
  if not text:find("[^ \t\r]") then return nil end
  local ok, value = pcall(json.decode, text)
  if ok then return value end
  if not fault.is(value, "EJSON") then error(value, 0) end
  error(fault.new("EJSON", ("line %d: %s"):format(number, value.message),
    { line = number, position = value.position, reason = value.reason }), 0)
end

-- A function for each chunk, one for the end, and one that gives the value of the next line, or nil.
local function new_splitter(max_line)
  local rest, chunk, at, number = new_pieces(), "", 1, 0
  local function check_length(length)
    if length <= max_line then return end
    error(fault.new("ETOOBIG", ("line %d is longer than %d bytes"):format(number + 1, max_line),
      { line = number + 1, max_line = max_line }), 0)
  end
  local function next_value()
    while true do
      local feed = chunk:find("\n", at, true)
      check_length(rest.length + (feed or #chunk + 1) - at)
      if not feed then
        rest:add(chunk:sub(at))
        chunk, at = "", 1
        return nil
      end
      local line = chunk:sub(at, feed - 1)
      if rest.n > 0 then
        rest:add(line)
        line = rest:take()
      end
      at, number = feed + 1, number + 1
      if number % TURN == 0 then turn() end
      local value = decode(line, number)
      if value ~= nil then return value end
    end
  end
  local function take_chunk(text)
    chunk, at = text, 1
  end
  local function last_value()
    local line = rest:take()
    number = number + 1
    return decode(line, number)
  end
  return take_chunk, next_value, last_value
end

---@param src rille.Source<string>
---@param options? { max_line: integer? }
---@return rille.Stream<any>
return function(src, options)
  local outer = source_of.check(src, 1, "lines")
  options = check.options(check.optional(src, options), 2, "lines", { max_line = 1 })
  local take_chunk, next_value, last_value = new_splitter(options.max_line or MAX_LINE)
  local self = stage.root("lines")
  local ended = false
  function self.closer(err, loop)
    ended = true -- what is left of a chunk is dropped
    ending.release(outer, err, loop)
  end
  function self.interrupt(err, loop) ending.interrupt(outer, err, loop) end
  function self.produce(emit, finish)
    local pull
    local function advance()
      local value = next_value()
      if value == nil then return pull() end
      return emit(value)
    end
    local function last()
      ending.close_root(self)
      return finish()
    end
    pull = compile(outer, function(text)
      if type(text) ~= "string" then
        error(BAD_ITEM:format(check.type_name(text)), 0)
      end
      take_chunk(text)
      return advance()
    end, function()
      ending.exhaust(outer)
      ended = true
      local value = last_value()
      if value == nil then return last() end
      return emit(value)
    end, self)
    return function()
      if ended then return last() end
      return advance()
    end
  end
  return stage.each(self)
end
