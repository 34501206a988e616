--- rille.http.download: a URL as a file, in as many tries as it takes (internal).
-- Model:  what comes is appended to a part beside the file (rille.http.partial_file), which becomes the file
--         when it is complete and on the disk. A part of an earlier try is gone on with, if the server says
--         that it is of the same thing: Range with If-Range.
-- Owner:  the download has the response and the part; both are closed when it ends, however it ends.
-- Errors: misuse; those of the transfer; a response that is no such file; those of the disk, with `path`.

local http_fault = require "rille.http.fault"
local http_options = require "rille.http.options"
local http_request = require "rille.http.request"
local misuse = require "rille.host.misuse"
local new_part = require "rille.http.partial_file"
local progress_bar = require "rille.progress_bar"

---@class rille.http.DownloadOptions: rille.http.Options
---@field progress? boolean|fun(received: integer, total: integer|nil) called with the bytes that are there;
---  by default a bar, if standard error is a terminal

---@class rille.http.Download
---@field path string
---@field size integer
---@field resumed integer bytes that an earlier try has left
---@field response rille.http.StreamedResponse which is closed

-- The request ----------------------------------------------------------------------------------

local RESERVED = { range = true, ["if-range"] = true }

-- The headers as a list, with one that keeps codings away: a part of a coded body is no part of the file.
local function plain_headers(headers)
  local list, named = http_request.listed(headers or {}), false
  for _, pair in ipairs(list) do
    local name = tostring(pair[1]):lower()
    if RESERVED[name] then misuse("bad option 'headers' (a download has its own %s)", name) end
    named = named or name == "accept-encoding"
  end
  if not named then list[#list + 1] = { "Accept-Encoding", "identity" } end
  return list
end

-- The options of a request for what the part lacks.
local function options_for(options, part)
  if not part.validator then return options end
  local asked = http_options.copy(options)
  asked.headers = table.move(options.headers, 1, #options.headers, 1, {})
  table.insert(asked.headers, { "Range", ("bytes=%d-"):format(part.size) })
  table.insert(asked.headers, { "If-Range", part.validator })
  return asked
end

-- The response ---------------------------------------------------------------------------------

-- "bytes 5-9/10" -> 5, 9, 10; the last is nil for "*".
local function content_range(res)
  local text = res.headers["content-range"] or ""
  local first, last, total = text:match("^%s*[bB][yY][tT][eE][sS]%s+(%d+)%-(%d+)/([%d*]+)%s*$")
  return math.tointeger(first), math.tointeger(last), math.tointeger(total)
end

-- True if the rest of the part is what the response has.
local function fits(res, part)
  local first, last, total = content_range(res)
  if first ~= part.size or last < first or (total and last >= total) then return false end
  if part.total and total and total ~= part.total then return false end
  local tag = res.headers.etag
  return not tag or part.validator:sub(1, 1) ~= '"' or tag == part.validator
end

-- True if the part lacks nothing: the server has as many bytes, and none behind them.
local function is_whole(res, part)
  local total = (res.headers["content-range"] or ""):match("^%s*[bB][yY][tT][eE][sS]%s+%*/(%d+)%s*$")
  return part.total == part.size and math.tointeger(total) == part.size
end

-- What a response is for the part: "all" of the file, its "rest", "nothing" that it would lack, or a reason
-- to ask "again", for all of it. Raises for one that is none of these.
local function judge(res, part)
  local status, ranged = res.status, part.validator ~= nil
  if status == 200 or status == 203 then return "all" end
  if ranged and status == 206 then return fits(res, part) and "rest" or "again" end
  if ranged and status == 416 then return is_whole(res, part) and "nothing" or "again" end
  res:raise_for_status()
  error(http_fault.status(res, ""), 0)
end

-- The bytes that the file will have; nil if nobody says.
local function total_of(res, part, what)
  if what == "rest" then
    local _, last, total = content_range(res)
    return total or last + 1
  elseif what == "nothing" then
    return part.size
  end
  return not res.headers["transfer-encoding"] and math.tointeger(res.headers["content-length"]) or nil
end

-- The download ---------------------------------------------------------------------------------

local function receive(self, res, what)
  local part, total = self.part, total_of(res, self.part, what)
  local resumed = part.size
  if what == "all" then
    resumed = 0
    part:begin(res, total)
  end
  self.progress(part.size, total)
  if what ~= "nothing" then
    for piece in res:chunks() do
      part:write(piece)
      if total and part.size > total then break end
      self.progress(part.size, total)
    end
  end
  if total and part.size ~= total then
    if part.size > total then part:forget() end
    error(http_fault.wrong_size(res, part.size, total), 0)
  end
  part:complete()
  self.done(part.size)
  return { path = part.target, size = part.size, resumed = resumed, response = res }
end

local function fetch(self)
  while true do
    local res <close> = self.client:stream(self.url, options_for(self.options, self.part))
    local what = judge(res, self.part)
    if what ~= "again" then return receive(self, res, what) end
    self.part:forget()
  end
end

local function nothing() end

-- What to call with the progress, and at the end; and what to close.
local function progress_of(progress, path)
  if type(progress) == "function" then return progress, nothing, nil end
  local bar = progress ~= false and progress_bar.open(path:match("[^/]*$")) or nil
  if not bar then return nothing, nothing, nil end
  return function(...) bar:update(...) end, function(...) bar:finish(...) end, bar
end

local function check_progress(progress)
  local kind = type(progress)
  if kind ~= "nil" and kind ~= "boolean" and kind ~= "function" then
    misuse("bad option 'progress' (boolean or function expected, got %s)", kind)
  end
end

--- Saves what a URL has as a file.
---@param client rille.http.Client
---@param url string
---@param path string
---@param given rille.http.DownloadOptions|nil
---@return rille.http.Download
return function(client, url, path, given)
  local options = http_options.copy(given)
  local progress = options.progress
  options.progress = nil
  check_progress(progress)
  url = http_request.url(client, url)
  http_options.check_request(options)
  if options.decompress then misuse("bad option 'decompress' (a download is saved as it comes)") end
  options.headers, options.decompress = plain_headers(options.headers), false
  http_request.make(client, "GET", url, options) -- raises here, before there is a part
  local part <close> = new_part(path, url)
  local show, done, bar = progress_of(progress, path)
  local _ <close> = bar
  return fetch({ client = client, url = url, options = options, part = part, progress = show, done = done })
end
