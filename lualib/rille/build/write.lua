--- rille.build.write: the program as a file (internal; a part of `rille build`).
-- Model:  a copy of the program that runs, the texts, the index, and the mark filled in (host/archive.h). It
--         is written under another name beside the goal, and renamed when it is complete.
-- Owner:  the file is closed here, and removed if something went wrong.
-- Errors: one line, a string without position.

local host = require "rille.host.build"

local PIECE <const> = 1 << 20 -- bytes

local function fail(message, ...) error(message:format(...), 0) end

local Output = {}
Output.__index = Output

Output.__close = function(self)
  if not self.handle then return end
  if io.type(self.handle) == "file" then self.handle:close() end -- nothing of it is kept
  if not self.is_complete then os.remove(self.path) end
end

-- The file has its owner before it is there: nothing can fail in between.
local function create(goal)
  local output = setmetatable({ handle = false, path = "", goal = goal, at = 0, is_complete = false }, Output)
  local directory = goal:match("^.*/") or ""
  for _ = 1, 100 do
    output.path = ("%s.rille-%08x"):format(directory, math.random(0, 0xffffffff))
    local message
    output.handle, message = host.create(output.path)
    if output.handle then return output end
    if message ~= "File exists" then fail("cannot write '%s': %s", goal, message) end
  end
  fail("cannot write '%s': no name is free beside it", goal)
end

function Output:check(ok, message)
  if not ok then fail("cannot write '%s': %s", self.goal, message) end
end

function Output:write(text)
  self:check(self.handle:write(text))
  self.at = self.at + #text
end

-- Copies a file, as it is; gives its sum.
function Output:copy(path)
  local input <close>, message = io.open(path, "rb")
  if not input then fail("cannot open %s", message) end
  local sum = 0
  while true do
    local piece, wrong = input:read(PIECE)
    if wrong then fail("cannot read %s: %s", path, wrong) end
    if not piece then return sum end
    sum = host.sum(sum, piece)
    self:write(piece)
  end
end

-- Writes the texts; gives their places. A file that several have is written once.
local function write_texts(output, texts)
  local places, copied = {}, {}
  for i, text in ipairs(texts) do
    local place = not text.text and copied[text.path] or { at = output.at }
    places[i] = place
    if text.text then
      output:write(text.text)
      place.sum = host.sum(0, text.text)
    elseif not place.sum then
      place.sum = output:copy(text.path)
      copied[text.path] = place
    end
    place.size = place.size or output.at - place.at
  end
  return places
end

local RECORD <const> = "=I8I8I8I8I8I8I8"

-- The index: records in the order of names, then names and notes.
local function index_of(texts, places)
  local order = {}
  for i = 1, #texts do order[i] = i end
  table.sort(order, function(a, b) return texts[a].name < texts[b].name end)
  local records, strings, at = {}, {}, #texts * RECORD:packsize()
  for n, i in ipairs(order) do
    local text, place = texts[i], places[i]
    records[n] = RECORD:pack(at, #text.name, at + #text.name, #text.note, place.at, place.size, place.sum)
    strings[n] = text.name .. text.note
    at = at + #strings[n]
  end
  return table.concat(records) .. table.concat(strings)
end

-- Where the mark is in the program.
local function place_of_mark(program)
  local at = program:find(host.mark, 1, true)
  if not at or program:find(host.mark, at + 1, true) then
    fail("this rille cannot be copied: '/proc/self/exe' is not its program")
  end
  return at - 1
end

---@param goal string the path of the program
---@param texts rille.build.Text[]
return function(goal, texts)
  local program <close>, message = io.open("/proc/self/exe", "rb")
  if not program then fail("cannot read this program: %s", message) end
  local image = program:read("a")
  local mark = place_of_mark(image)
  local output <close> = create(goal)
  output:write(image)
  local index_at, index
  local places = write_texts(output, texts)
  index, index_at = index_of(texts, places), output.at
  output:write(index)
  output:check(output.handle:seek("set", mark + host.MAGIC))
  output:write(("=I8I8I8I8"):pack(index_at, #index, #texts, host.sum(0, index)))
  output:check(output.handle:close())
  local ok, wrong = os.rename(output.path, goal)
  if not ok then fail("cannot write %s", wrong) end
  output.is_complete = true
end
