--- rille.http.multipart: bodies of multipart/form-data (RFC 7578, and the HTML standard; internal).
-- Model:  a list of parts, each with a head that is made at once, and with a text, the path of a file or a
--         source. Files are opened and read when the body is sent; their sizes are taken when it is made, so
--         that its length is known unless a source has none. Without a source it can be sent again.
-- Owner:  the body owns the sources of its parts; a file is open while its part is sent.
-- Errors: a part that is not well formed is misuse. A file that cannot be read raises an error object with
--         `path` when the body is made; one whose size has changed raises ELENGTH when it is sent.

local fault = require "rille.host.fault"
local files = require "rille.host.file"
local generator = require("rille.host.generator").generator
local host = require "rille.host.http"
local misuse = require "rille.host.misuse"
local source = require "rille.stream.source"
local stage = require "rille.stream.stage"
local text_of = require("rille.http.request").text_of
local upload = require "rille.http.upload"

local yield = coroutine.yield

---@class rille.http.Part
---@field name string
---@field value? string|number|boolean|rille.Source|file* the content; of a stream the pieces
---@field path? string a file that is the content, in place of `value`
---@field filename? string by default the last part of the path
---@field type? string Content-Type; of a file by default by the end of its name
---@field length? integer bytes of a stream
---@field headers? table<string, string> more headers of the part

local FIELDS <const> = {
  name = "string", value = "any", path = "string", filename = "string", type = "string", length = "integer",
  headers = "table",
}

local TYPES <const> = {
  css = "text/css", csv = "text/csv", gif = "image/gif", gz = "application/gzip", htm = "text/html",
  html = "text/html", jpeg = "image/jpeg", jpg = "image/jpeg", js = "text/javascript",
  json = "application/json",
  md = "text/markdown", mp3 = "audio/mpeg", mp4 = "video/mp4", pdf = "application/pdf", png = "image/png",
  svg = "image/svg+xml", txt = "text/plain", webp = "image/webp", xml = "application/xml",
  zip = "application/zip",
}

local function type_of(filename)
  local suffix = filename:match("%.(%w+)$")
  return suffix and TYPES[suffix:lower()] or "application/octet-stream"
end

-- Checks -------------------------------------------------------------------------------------------

local function refuse(i, format, ...)
  misuse("bad option 'multipart' (part %d: %s)", i, format:format(...))
end

local function check_fields(part, i)
  if type(part) ~= "table" then refuse(i, "table expected, got %s", type(part)) end
  for field, value in pairs(part) do
    local expected = FIELDS[field]
    if not expected then
      local meant = require("rille.http.hint").meant("part", field, FIELDS)
      local hint = meant and (", did you mean '%s'?"):format(meant) or ""
      refuse(i, "unknown field '%s'%s", tostring(field), hint)
    end
    local whole = expected == "integer" and math.type(value) and math.tointeger(value)
    local kind = whole and "integer" or type(value)
    if expected ~= "any" and kind ~= expected then
      refuse(i, "'%s': %s expected, got %s", field, expected, type(value))
    end
  end
  if part.name == nil then refuse(i, "no 'name'") end
  if (part.value == nil) == (part.path == nil) then refuse(i, "one of 'value' and 'path' expected") end
  if part.length and part.length < 0 then refuse(i, "'length' is out of range") end
end

local function check_header(i, name, value)
  if type(name) ~= "string" or not name:find("^[%w!#$%%&'*+.^_`|~-]+$") then
    refuse(i, "'%s' is no name of a header", tostring(name))
  elseif type(value) ~= "string" or value:find("[^\t\x20-\x7e\x80-\xff]") then
    refuse(i, "bad value of header '%s'", name)
  elseif name:lower() == "content-disposition" or name:lower() == "content-type" then
    refuse(i, "header '%s' is set by the part itself", name)
  end
end

-- The head of a part ---------------------------------------------------------------------------------

local ESCAPES <const> = { ['"'] = "%22", ["\r"] = "%0D", ["\n"] = "%0A" }

local function quoted(text) return '"' .. text:gsub('["\r\n]', ESCAPES) .. '"' end

local function head_of(part, i, boundary)
  local filename = part.filename or part.path and part.path:match("[^/]*$")
  local kind = part.type or filename and type_of(filename)
  local lines = { "--" .. boundary, "Content-Disposition: form-data; name=" .. quoted(part.name) }
  if filename then lines[2] = lines[2] .. "; filename=" .. quoted(filename) end
  if lines[2]:find("\0", 1, true) then refuse(i, "a name with a NUL") end
  if kind then
    check_header(i, "type", kind)
    lines[#lines + 1] = "Content-Type: " .. kind
  end
  local names = {}
  for name, value in pairs(part.headers or {}) do
    check_header(i, name, value)
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do lines[#lines + 1] = name .. ": " .. part.headers[name] end
  return table.concat(lines, "\r\n") .. "\r\n\r\n"
end

-- The content of a part ------------------------------------------------------------------------------

local function open_file(path)
  local file, _, number = io.open(path, "rb")
  if not file then error(files.fault(number, "open", path), 0) end
  return file
end

-- The size of a file. A directory is opened without an error, but cannot be read.
local function size_of(path)
  local file <close> = open_file(path)
  local _, message, number = file:read(0)
  if message then error(files.fault(number, "read", path), 0) end
  return upload.rest_of(file) or 0
end

local function wrong_length(what, how, size, fields)
  local message = ("%s: %s than the %d bytes that it was said to have"):format(what, how, size)
  error(fault.new("ELENGTH", message, fields), 0)
end

-- Yields the pieces of a part, and sees to it that they are as many bytes as was said.
local function pass_pieces(items, size, what, fields)
  local left = size
  for piece in stage.each(items) do
    if left and type(piece) == "string" then
      left = left - #piece
      if left < 0 then wrong_length(what, "longer", size, fields) end
    end
    yield(piece)
  end
  if left and left > 0 then wrong_length(what, "shorter", size, fields) end
end

local content = {}

function content.text(part) yield(part.text) end

function content.path(part)
  pass_pieces(upload.pieces_of(open_file(part.path), part.path), part.size, part.path, { path = part.path })
end

function content.items(part)
  pass_pieces(part.items, part.size, ("part '%s'"):format(part.name), { name = part.name })
end

-- What a part is when it is sent.
local function prepare(part, i, boundary)
  check_fields(part, i)
  local made = { name = part.name, head = head_of(part, i, boundary) }
  local value, kind = part.value, type(part.value)
  if part.path then
    made.kind, made.path, made.size = "path", part.path, size_of(part.path)
  elseif kind == "string" or kind == "number" or kind == "boolean" then
    made.kind, made.text = "text", text_of(value)
    made.size = #made.text
  else
    made.kind, made.items, made.size = "items", upload.source_of(value, part.length)
    if not made.items then refuse(i, "'value': string or stream expected, got %s", kind) end
  end
  if part.length and part.length ~= made.size then refuse(i, "'length' is not that of its content") end
  return made
end

local body = generator(function(parts, last)
  for _, part in ipairs(parts) do
    yield(part.head)
    content[part.kind](part)
    yield("\r\n")
  end
  yield(last)
end)

local multipart = {}

--- Makes a body of the option `multipart`.
---@param parts rille.http.Part[]
---@param progress nil|fun(sent: integer, total: integer|nil)
---@return rille.http.Upload
---@return string content_type
function multipart.make(parts, progress)
  if type(parts) ~= "table" then misuse("bad option 'multipart' (table expected, got %s)", type(parts)) end
  local boundary = host.boundary()
  local last = "--" .. boundary .. "--\r\n"
  local made, sources, length = {}, {}, #last
  for key in pairs(parts) do
    if math.type(key) ~= "integer" or key < 1 or key > #parts then
      misuse("bad option 'multipart' (a list of parts expected, it has a field '%s')", tostring(key))
    end
  end
  for i, part in ipairs(parts) do
    made[i] = prepare(part, i, boundary)
    sources[#sources + 1] = made[i].items
    length = length and made[i].size and length + #made[i].head + made[i].size + 2
  end
  local function open() return (source.open((body(made, last)))) end
  return upload.new(length or nil, #sources == 0, open, sources, progress),
    "multipart/form-data; boundary=" .. boundary
end

return multipart
