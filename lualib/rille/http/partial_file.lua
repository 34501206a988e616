--- rille.http.partial_file: a file that is being downloaded (internal).
-- Model:  PATH.part grows; PATH.part.json says what it is a part of: a strong validator, the size of the
--         whole, and a sum of the URL, which may be secret itself. It is written before the first byte, so
--         that a part without it, or with another URL's, is worth nothing. Complete and synced, the part
--         becomes PATH.
-- Owner:  the download closes it. One that nobody can go on with is removed then, if it was begun here. While
--         it is open it is locked: EBUSY for other programs, and for other names of the path.
-- Errors: those of the disk are error objects with `path`. A second download of a path is misuse.

local file = require "rille.host.file"
local json = require "rille.json"
local misuse = require "rille.host.misuse"

local seconds_of = require("rille.host.http").date

local NOTE_SIZE <const> = 4096
local EINVAL <const>, EISDIR <const> = 22, 21

---@class rille.http.PartialFile
---@field target string
---@field size integer bytes that are there
---@field validator string|nil what the whole is told from others by: an entity tag or a date
---@field total integer|nil bytes of the whole
---@field private key string
---@field private handle file*|nil
---@field private begun boolean its bytes are of this download alone
local PartialFile = {}
PartialFile.__index = PartialFile

local active = {} -- by path

local function fail(number, what, path) error(file.fault(number, what, path), 0) end

local function open(path, mode)
  local handle, _, number = io.open(path, mode)
  if not handle then fail(number, "cannot write", path) end
  return handle
end

-- FNV-1a of 64 bits: tells URLs apart, and does not tell them.
local function sum_of(url)
  local sum = 0xcbf29ce484222325
  for i = 1, #url do sum = (sum ~ url:byte(i)) * 0x100000001b3 end
  return ("%016x"):format(sum)
end

-- What a later request can tell by that the body is the same, byte for byte; nil if nothing (RFC 9110, 8.8).
local function validator_of(res)
  local tag, date = res.headers.etag, res.headers["last-modified"]
  if tag then return tag:find('^"[^"%c]*"$') and tag or nil end
  local changed, sent = seconds_of(date or ""), seconds_of(res.headers.date or "")
  return changed and sent and sent - changed >= 60 and date or nil
end

-- What the note beside a part says, if that is of use.
local function read_note(path, key)
  local handle <close> = file.kind(path) == "file" and io.open(path, "rb") or nil
  local ok, note = pcall(json.decode, handle and handle:read(NOTE_SIZE) or "")
  if not ok or type(note) ~= "table" or note.key ~= key then return nil end
  if type(note.validator) ~= "string" or note.validator:find("%c") then return nil end
  return note.validator, math.tointeger(note.total)
end

local function remove(path) os.remove(path) end -- what is not there need not go

function PartialFile:part_path() return self.target .. ".part" end

function PartialFile:note_path() return self.target .. ".part.json" end

-- Takes over what an earlier download has left.
local function resume(self)
  local number
  self.handle, number = file.open(self:part_path())
  if not self.handle then fail(number, "cannot write", self:part_path()) end
  self.size = self.handle:seek("end")
  if self.size > 0 then self.validator, self.total = read_note(self:note_path(), self.key) end
  self.begun = self.size == 0
end

--- What is there is of no use.
function PartialFile:forget() self.validator, self.total = nil, nil end

--- Begins with nothing: all of the file follows.
---@param res rille.http.StreamedResponse
---@param total integer|nil
function PartialFile:begin(res, total)
  remove(self:note_path())
  local failed = file.empty(self.handle)
  if failed then fail(failed, "cannot write", self:part_path()) end
  self.size, self.begun, self.total, self.validator = 0, true, total, validator_of(res)
  if not self.validator then return end
  local note <close> = open(self:note_path(), "wb")
  local text = json.encode { key = self.key, validator = self.validator, total = total }
  local ok, _, number = note:write(text)
  if ok then ok, _, number = note:flush() end
  if not ok then fail(number, "cannot write", self:note_path()) end
end

---@param piece string
function PartialFile:write(piece)
  local ok, _, number = self.handle:write(piece)
  if not ok then fail(number, "cannot write", self:part_path()) end
  self.size = self.size + #piece
end

--- The part is the file: it is on the disk under its name when this returns.
function PartialFile:complete()
  local ok, _, number = self.handle:flush()
  if ok then number = file.sync(self.handle) end
  if number then fail(number, "cannot write", self:part_path()) end
  number = file.move(self.handle, self:part_path(), self.target)
  if number then fail(number, "cannot rename a part to", self.target) end
  remove(self:note_path()) -- while nobody else can have it
  self.handle:close()
  self.handle = nil
  local directory <close> = io.open(self.target:match("^(.*/)[^/]*$") or ".", "rb")
  if directory then file.sync(directory) end -- that the disk has the file is known already
end

--- Gives up what is missing; what is there stays for the next download, if that can use it. Idempotent.
function PartialFile:close()
  if active[self.target] == self then active[self.target] = nil end
  local handle <close> = self.handle
  if not handle then return end
  self.handle = nil
  if self.begun and not (self.validator and self.size > 0) then
    remove(self:part_path()) -- while nobody else can have it
    remove(self:note_path())
  end
end
PartialFile.__close = PartialFile.close

--- The part of a file. Close it.
---@param path string of the file
---@param url string
---@return rille.http.PartialFile
return function(path, url)
  if type(path) ~= "string" then
    misuse("bad argument #2 to 'download' (string expected, got %s)", type(path))
  elseif path == "" or path:find("/$") or path:find("\0", 1, true) then
    misuse("bad argument #2 to 'download' (the path of a file expected)")
  elseif active[path] then
    misuse("'%s' is being downloaded already", path)
  end
  local kind = file.kind(path)
  if kind == "directory" then fail(EISDIR, "cannot write", path) end
  if kind == "other" then fail(EINVAL, "cannot write", path) end -- a device, which a file would replace
  local self = setmetatable({ target = path, key = sum_of(url), size = 0, begun = false }, PartialFile)
  resume(self)
  active[path] = self
  return self
end
