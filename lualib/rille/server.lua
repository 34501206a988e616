--- rille.server: an HTTP/1 server in direct style; `serve` is also http.serve.
-- Model: one task accepts requests, each request is handled in a task of its own. Sockets, limits, time
--        and the order of responses are the host's: a handler sees complete, valid requests only.
-- Errors: serve raises error objects for what the system refuses (EADDRINUSE, EACCES ..., with `host` and
--        `port`, or `path`). A handler that raises is answered 500, its trace goes to stderr, and the
--        connection stays usable.

local core = require "rille.host.server"
local fault = require "rille.host.fault"
local json = require "rille.json"
local task = require "rille.host.task"
local timer = require "rille.host.timer"

---@class rille.server
local server = {}

local GRACE = 5 -- seconds
local NAME_LENGTH = 80

local OPTIONS = {
  host = true, port = true, unix = true, backlog = true, max_header_size = true, max_headers = true,
  max_body = true, max_connections = true, header_timeout = true, body_timeout = true,
  keep_alive = true, write_timeout = true,
}

local RESPONSE = { status = true, headers = true, body = true, json = true }

-- Headers -------------------------------------------------------------------------------------

---@class rille.http.RequestHeaders case-blind: headers["content-type"]; several values are joined with
---  ", " (those of Cookie with "; "). pairs() gives each name, in lower case, and its value.
---@field all fun(self: rille.http.RequestHeaders, name: string): string[] each value by itself

local headers_meta = { __name = "rille.http.RequestHeaders" }

-- Of an object only t[1] is used, the values by lower-case name: every string may be a header's name.

--- Each value of a header, in the order received; an empty list if there is none.
local function all_values(headers, name)
  return { table.unpack(headers[1][name:lower()] or {}) }
end

function headers_meta.__index(headers, name)
  if name == "all" then return all_values end
  local values = type(name) == "string" and rawget(headers, 1)[name:lower()]
  return values and table.concat(values, name:lower() == "cookie" and "; " or ", ") or nil
end

function headers_meta.__newindex() error("the headers of a request are read-only", 2) end

function headers_meta.__pairs(headers)
  local values = headers[1]
  return function(_, name)
    local following = next(values, name)
    return following, following and headers[following]
  end, headers, nil
end

local function new_headers(list)
  local values = {}
  for i = 1, #list, 2 do
    local name = list[i]:lower()
    local known = values[name]
    if known then known[#known + 1] = list[i + 1] else values[name] = { list[i + 1] } end
  end
  return setmetatable({ values }, headers_meta)
end

-- Requests ------------------------------------------------------------------------------------

---@class rille.http.Request
---@field method string "GET"
---@field target string as received: "/a%20b?c=d"
---@field path string without the query, percent-decoded: "/a b". Dots are as sent: a handler that makes
---  a file's name of it refuses ".." itself.
---@field query table<string, string> decoded; of a repeated name, the last value (see query_all)
---@field headers rille.http.RequestHeaders
---@field version string "1.1" or "1.0"
---@field peer { host: string?, port: integer?, unix: string? } the client's address; of a Unix socket,
---  the server's path
---@field private content string
---@field private raw_query string
---@field private refusal rille.Error|nil what json() raised
local Request = {}

local request_meta = { __index = Request, __name = "rille.http.Request" }

local function char_of(hex) return string.char(tonumber(hex, 16)) end

local function unescape(text) return (text:gsub("%%(%x%x)", char_of)) end

--- The decoded path; nil if it is malformed, or names a NUL.
local function decode_path(path)
  if path == "" then return "/" end
  if not path:find("%", 1, true) then return path end
  if path:gsub("%%%x%x", ""):find("%", 1, true) or path:find("%00", 1, true) then return nil end
  return unescape(path)
end

--- Calls fn(name, value) for each decoded field of a query. What is no escape stays as it is.
local function each_field(query, fn)
  for field in query:gmatch("[^&]+") do
    local name, value = field:match("^([^=]*)=?(.*)$")
    fn(unescape((name:gsub("+", " "))), unescape((value:gsub("+", " "))))
  end
end

local function new_request(raw, unix)
  local path = decode_path(raw.path)
  if not path then return nil end
  local query = {}
  each_field(raw.query, function(name, value) query[name] = value end)
  return setmetatable({
    method = raw.method,
    target = raw.target,
    path = path,
    query = query,
    headers = new_headers(raw.headers),
    version = raw.version,
    peer = unix and { unix = unix } or { host = raw.host, port = raw.port },
    content = raw.body,
    raw_query = raw.query,
  }, request_meta)
end

--- Every value of a query's field, in the order received.
---@param name string
---@return string[]
function Request:query_all(name)
  local values = {}
  each_field(self.raw_query, function(field, value)
    if field == name then values[#values + 1] = value end
  end)
  return values
end

--- The body, decoded if it was chunked; "" if there is none.
---@return string
function Request:text() return self.content end

--- The value of a JSON body. A handler may let the error pass: it is answered 400.
---@return any
--- Raises EJSON if the body is not JSON.
function Request:json()
  local ok, value = pcall(json.decode, self.content)
  if ok then return value end
  self.refusal = fault.new("EJSON", ("%s %s: the body is not JSON: %s"):format(
    self.method, self.target, value.reason or value), { position = value.position })
  error(self.refusal, 0)
end

-- Responses -----------------------------------------------------------------------------------

---@class rille.http.HandlerResponse
---@field status integer|nil 200 to 599; by default 200
---@field headers table<string, string|number|(string|number)[]>|nil a list: one header line each
---@field body string|nil sent as text/plain unless the headers have a Content-Type
---@field json any instead of a body: encoded, as application/json

local TEXT = "text/plain; charset=utf-8"

--- Checks what a handler returned. Gives the arguments of exchange:respond.
local function encode(response)
  if type(response) ~= "table" then
    error(("the handler returned a %s, not a response table"):format(type(response)), 0)
  end
  for name in pairs(response) do
    if not RESPONSE[name] then error(("unknown field '%s' in a response"):format(tostring(name)), 0) end
  end
  local body, kind = response.body, TEXT
  if response.json ~= nil then
    if body ~= nil then error("a response has a body and json", 0) end
    body, kind = json.encode(response.json), "application/json"
  elseif body ~= nil and type(body) ~= "string" then
    error(("the body of a response is a %s, not a string"):format(type(body)), 0)
  end
  return response.status or 200, response.headers, body or "", body and kind or nil
end

local function answer(handler, exchange, request)
  return exchange:respond(encode(handler(request)))
end

-- Handling ------------------------------------------------------------------------------------

--- The message handler of a handler's call: keeps the error and where it was raised.
local function tell(err)
  return { err = err, text = debug.traceback(fault.traceback(err), 2) }
end

--- Answers for a handler that raised. In a cancelled task respond raises the signal: nothing is told.
local function answer_failure(exchange, request, failure)
  if failure.err ~= nil and rawequal(failure.err, request.refusal) then
    exchange:respond(400, nil, "the body is not JSON\n", TEXT)
    return
  end
  exchange:respond(500, nil, "Internal Server Error\n", TEXT)
  io.stderr:write(("rille: %s %s: %s\n"):format(request.method, request.target, failure.text))
end

local function handle(self, exchange, raw)
  local _ <close> = exchange -- without a response, for want of memory, say, the client is not left waiting
  local request = new_request(raw, self.unix)
  if request then
    local ok, failure = xpcall(answer, tell, self.handler, exchange, request)
    if not ok and exchange:is_open() then answer_failure(exchange, request, failure) end
  else
    exchange:respond(400, nil, "malformed path\n", TEXT)
  end
  self.running[task.current()] = nil
end

--- The body of a server's task. Ends when the listener is drained and every handler has ended.
local function accept_all(self)
  local listener <close> = self.listener
  for exchange, raw in listener.accept, listener do
    -- What a handler raises is answered. Should `handle` itself fail, the program stops with its trace.
    local handling = task.spawn(handle, self, exchange, raw)
    handling.name = ("%s %s"):format(raw.method, raw.target:sub(1, NAME_LENGTH))
    self.running[handling] = true
  end
  for handling in function() return (next(self.running)) end do
    handling:join()
    self.running[handling] = nil
  end
end

-- Servers -------------------------------------------------------------------------------------

---@class rille.http.Server closes itself as a <close> variable
---@field host string|nil the numeric address that it listens on
---@field port integer|nil
---@field unix string|nil the path of its Unix socket
---@field url string "http://127.0.0.1:8080", without a slash at its end
---@field private listener userdata
---@field private handler fun(request: rille.http.Request): rille.http.HandlerResponse
---@field private running table<rille.Task, true> the handlers
---@field private task rille.Task
local Server = {}

local server_meta = { __index = Server, __name = "rille.http.Server" }

function server_meta.__tostring(self) return "rille.http.Server (" .. self.url .. ")" end

local function stop_now(self)
  self.listener:close()
  for handling in pairs(self.running) do handling:cancel("the server was closed") end
end

--- Waits until every handler has ended, at most `grace` seconds before they are cancelled.
local function finish(self, grace)
  local reaper = task.spawn_owned(function()
    if grace > 0 then timer.sleep(grace) end
    stop_now(self)
  end)
  local _ <close> = setmetatable({}, {
    __close = function(_, err)
      if err ~= nil then
        stop_now(self)
        self.task:join()
      end
      reaper:cancel()
      reaper:join()
    end,
  })
  self.task:join()
end

--- Stops listening, lets requests that have begun be answered, and waits for that; after `grace` seconds
--- their handlers are cancelled, and it waits for their cleanup. Idempotent. Called by one of the
--- server's own handlers it does not wait: the handler has the grace, too, to return its response.
---@param grace? number seconds; by default 5
function Server:close(grace)
  if grace ~= nil and (math.type(grace) == nil or not (grace >= 0 and grace < 1e9)) then
    error("bad argument #1 to 'close' (seconds expected)", 2)
  end
  grace = grace or GRACE
  self.listener:drain()
  if self.running[task.current()] then
    task.spawn_owned(finish, self, grace)
  else
    finish(self, grace)
  end
end

function server_meta.__close(self) self:close() end

--- For a URL: what one connects to when it listens on every address is this machine.
local function url_of(host, port)
  local reach = host == "0.0.0.0" and "127.0.0.1" or host == "::" and "::1" or host
  return (reach:find(":", 1, true) and "http://[%s]:%d" or "http://%s:%d"):format(reach, port)
end

---@class rille.http.ServeOptions
---@field host? string an address, or a name (its first IPv4 address if it has one); by default 127.0.0.1
---@field port? integer by default 0: any that is free
---@field unix? string a path: a Unix socket instead of host and port; removed when the server closes
---@field max_body? integer bytes of a body; more is answered 413; by default 1 MiB
---@field max_header_size? integer bytes of the request line and the headers; more is answered 431 (or 414);
---  by default 32 KiB
---@field max_headers? integer header lines; by default 100
---@field max_connections? integer further clients wait; by default 1024, or half of the descriptors
---@field header_timeout? number seconds for a head to arrive (408); by default 10
---@field body_timeout? number seconds without progress in a body (408); by default 30
---@field keep_alive? number seconds that an idle connection stays open; by default 60
---@field write_timeout? number seconds without progress in a response; by default 30
---@field backlog? integer connections that the kernel keeps; by default 511

--- Starts an HTTP server and returns: it listens, and keeps the program alive until it is closed.
--- Each request is handled by `handler(request)` in a task of its own, which may wait, and returns the
--- response: {status=, headers=, body=} or {status=, headers=, json=}.
---@param options rille.http.ServeOptions
---@param handler fun(request: rille.http.Request): rille.http.HandlerResponse
---@return rille.http.Server
--- Raises EADDRINUSE, EADDRNOTAVAIL, EACCES ...
function server.serve(options, handler)
  if type(options) ~= "table" then
    error(("bad argument #1 to 'serve' (table expected, got %s)"):format(type(options)), 2)
  elseif type(handler) ~= "function" then
    error(("bad argument #2 to 'serve' (function expected, got %s)"):format(type(handler)), 2)
  end
  local given = {}
  for name, value in pairs(options) do
    if not OPTIONS[name] then
      local near = require("rille.nearest")(name, OPTIONS)
      local hint = near and (" (did you mean '%s'?)"):format(near) or ""
      error(("unknown option '%s'%s"):format(tostring(name), hint), 2)
    end
    given[name] = value
  end
  if given.unix ~= nil and (given.host ~= nil or given.port ~= nil) then
    error("bad options ('unix' beside 'host' or 'port')", 2)
  end
  local host = given.host or "127.0.0.1"
  if type(host) ~= "string" then
    error(("bad option 'host' (string expected, got %s)"):format(type(host)), 2)
  end
  given.host = not given.unix and core.resolve(host) or nil
  local ok, listener = pcall(core.listen, given)
  if not ok then error(listener, type(listener) == "string" and 2 or 0) end
  local self = setmetatable({
    host = given.host, port = listener:port(), unix = given.unix,
    listener = listener, handler = handler, running = {},
  }, server_meta)
  self.url = self.unix and "http://localhost" or url_of(self.host, self.port)
  self.task = task.spawn(accept_all, self)
  self.task.name = "http.serve " .. (self.unix or self.url)
  return self
end

return server
