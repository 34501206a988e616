--- rille.http.upload: request bodies that are not a string in memory (internal).
-- Model:  a body has pieces, which a task of the request takes from its source and writes to the host
--         (host/http_upload.c), which sends them; the source is advanced as the peer takes what is there. A
--         body that is replayable opens a source for every time that it is sent, and may be sent again by a
--         redirect or a new try; any other has one source and is sent once.
-- Owner:  the request owns the source; of http.stream the response does. Whichever ends closes it, and waits
--         for its cleanup.
-- Errors: an error of the source ends the request, which raises it, as the same object. A response that
--         comes before the end of the body ends the body, and is no error.

local ending = require "rille.stream.ending"
local files = require "rille.host.file"
local host = require "rille.host.http"
local misuse = require "rille.host.misuse"
local nursery = require "rille.stream.nursery"
local source = require "rille.stream.source"
local stage = require "rille.stream.stage"
require "rille.stream" -- gives streams their operators

local FILE_PIECE <const> = 64 * 1024

---@class rille.http.Upload
---@field length integer|nil bytes; nil: not known
---@field replayable boolean
---@field progress nil|fun(sent: integer, total: integer|nil)
---@field open fun(): rille.Stream the pieces, from the beginning; of one that is not replayable, once
---@field sources rille.Stream[] of one that is not replayable
---@field started boolean|nil a request has taken it
local Upload = { __name = "rille.http.Upload" }

-- The sources of a body that no request has taken are closed here.
function Upload.__close(body, err)
  if not body.started then ending.release_all(body.sources, 1, #body.sources, err) end
end

-- The task of the body ---------------------------------------------------------------------------

local function check_piece(piece)
  if type(piece) == "string" then return end
  error(("bad item in the body of a request (string expected, got %s)"):format(type(piece)), 0)
end

-- Writes the pieces of one round. False if no more of them is wanted.
local function write_all(handle, body, round, report)
  for piece in stage.each(body.open()) do
    check_piece(piece)
    local at = 1
    while at <= #piece do
      local following, sent = handle:write(round, piece, at)
      if not following then return false end
      report(sent)
      at = following
    end
  end
  return true
end

-- Makes the function that tells of what was sent, of one round.
local function reporter(body)
  local seen = 0
  return function(sent)
    if sent ~= seen and body.progress then body.progress(sent, body.length) end
    seen = sent
    return seen
  end, function() return seen end
end

local function feed(handle, body)
  local round = handle:await(0)
  while round do
    local report, seen = reporter(body)
    if write_all(handle, body, round, report) then handle:finish(round) end
    local sent = body.progress and handle:sent(round, seen())
    while sent do sent = handle:sent(round, report(sent)) end
    if not body.replayable then return end
    round = handle:await(round)
  end
end

-- The body on its way ------------------------------------------------------------------------------

---@class rille.http.Sender the task that sends a body, and what it needs
---@field handle userdata
---@field nursery rille.Nursery
local Sender = {}
Sender.__index = Sender

local function start(body)
  body.started = true
  local handle = host.upload(body.length or -1, body.replayable)
  local tasks = nursery.new("the body of a request", table.move(body.sources, 1, #body.sources, 1, {}))
  tasks.task_name = tasks.name
  function tasks.on_stop()
    if tasks.cause then handle:fail(tasks.cause.failure[1]) end
  end
  local sender = setmetatable({ handle = handle, nursery = tasks }, Sender)
  tasks:spawn_for(coroutine.running(), feed, handle, body)
  return sender
end

--- Ends the sending: the source is closed, and its cleanup waited for, except from within the source.
---@param err any in flight; nil for none
function Sender:close(err)
  local tasks = self.nursery
  if self.handle:told() then tasks:tell() end
  if tasks:is_inside() then return tasks:interrupt() end
  tasks:close(err)
end
Sender.__close = Sender.close

-- The body of a response whose request may still be sent. Has the methods of the host's.
local Content = { __name = "rille.http.Content" }
Content.__index = Content

--- Reads a piece. The end of the response, or its failure, is that of the request's body.
function Content:read()
  local piece = self.body:read()
  if piece == nil then self.sender:close() end
  return piece
end

function Content:check() return self.body:check() end

function Content:close(err)
  self.body:close()
  self.sender:close(err)
end
Content.__close = Content.close

function Content:__interrupt()
  self.body:close()
  self.sender.nursery:interrupt()
end

-- What is called ---------------------------------------------------------------------------------

local http_upload = {}

--- Sends a request with this body and waits for the response.
---@param pool userdata
---@param body rille.http.Upload
---@return rille.http.Response
function http_upload.request(pool, method, url, headers, body, options)
  local sender <close> = start(body)
  return (pool:request(method, url, headers, sender.handle, options))
end

--- Sends a request with this body; returns when the headers of the response are in.
---@param pool userdata
---@param body rille.http.Upload
---@return rille.http.Response head
---@return table content what host/http_stream.c gives, or the like
function http_upload.stream(pool, method, url, headers, body, options)
  local keep = false
  local sender = start(body)
  local _ <close> = setmetatable({}, { __close = function(_, err)
    if not keep then sender:close(err) end
  end })
  local head, content = pool:stream(method, url, headers, sender.handle, options)
  keep = true
  return head, setmetatable({
    body = content, sender = sender, guard = nursery.guard(sender.nursery, true),
  }, Content)
end

-- Bodies -----------------------------------------------------------------------------------------

--- A body. One that is not replayable has sources, which are closed whether it was sent or not.
---@param length integer|nil
---@param replayable boolean
---@param open fun(): rille.Stream
---@param sources rille.Stream[]
---@param progress nil|fun(sent: integer, total: integer|nil)
---@return rille.http.Upload
function http_upload.new(length, replayable, open, sources, progress)
  return setmetatable({
    length = length, replayable = replayable, open = open, sources = sources, progress = progress,
  }, Upload)
end

-- A list of strings. Its length is known, and it can be sent again.
local function from_list(list, progress)
  local total = 0
  for i, piece in ipairs(list) do
    if type(piece) ~= "string" then
      misuse("bad option 'body' (item %d: string expected, got %s)", i, type(piece))
    end
    total = total + #piece
  end
  for key in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      misuse("bad option 'body' (a list of strings expected, it has a field '%s')", tostring(key))
    end
  end
  local copy = table.move(list, 1, #list, 1, {})
  return http_upload.new(total, true, function() return (source.open(copy)) end, {}, progress)
end

--- The bytes from here to the end of a file, nil if that is not known: of a pipe, of a device.
---@param file file*
---@return integer|nil
function http_upload.rest_of(file)
  local at = file:seek("cur")
  local size = at and file:seek("end")
  if not size then return nil end
  file:seek("set", at)
  return size > at and size - at or nil
end

--- The rest of a file in pieces. The stream closes the file.
---@param file file*
---@param path? string
---@return rille.Stream
function http_upload.pieces_of(file, path)
  return (source.open(function()
    local piece, message, number = file:read(FILE_PIECE)
    if message and path then error(files.fault(number, "read", path), 0) end
    if message then error("the file of a request's body: " .. message, 0) end
    return piece
  end, nil, nil, file))
end

--- The stream over a value that gives strings, or a file, and its length; nil if it is something else.
---@param v any
---@param length integer|nil as the script says
---@return rille.Stream|nil
---@return integer|nil length nil: not known
function http_upload.source_of(v, length)
  local kind = io.type(v)
  if kind == "closed file" then return nil end
  if kind then return http_upload.pieces_of(v), length or http_upload.rest_of(v) end
  return (source.open(v)), length
end

-- A plain table, which is a list if anything.
local function is_list(v)
  return type(v) == "table" and getmetatable(v) == nil
end

local EXPECTED <const> = "string, stream, generator function, iterator function, file or list expected"

--- Makes a body of the option `body`.
---@param body any
---@param length integer|nil the option `length`
---@param progress nil|fun(sent: integer, total: integer|nil)
---@return rille.http.Upload
function http_upload.make(body, length, progress)
  if type(body) == "string" then body = { body } end
  if is_list(body) then
    if length then misuse("bad option 'length' (that of the body is known)") end
    return from_list(body, progress)
  end
  local items, size = http_upload.source_of(body, length)
  if not items then misuse("bad option 'body' (%s, got %s)", EXPECTED, io.type(body) or type(body)) end
  return http_upload.new(size, false, function() return items end, { items }, progress)
end

return http_upload
