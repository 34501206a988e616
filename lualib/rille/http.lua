--- rille.http: HTTP requests in direct style. A request waits for the whole response; `stream` for its
--- headers, and gives the body as it comes (rille.http_stream).
-- Errors: what the world does raises an error object with a code: ECONNREFUSED, ECONNRESET, ENOTFOUND,
-- ETIMEDOUT (with `phase`), EPROTO, ETLS, ETOOBIG, EREDIRECT, EURL ..., and with `url` (its password
-- hidden), `method`, and `status` if a response had begun. Misuse raises a string.

local fault = require "rille.host.fault"
local host = require "rille.host.http"
local find_otherwise = require "rille.json_pointer"
local http_fault = require "rille.http_fault"
local json = require "rille.json"

---@class rille.http a function for each method; see also `request` and `client`
---@field get fun(url: string, options?: rille.http.Options): rille.http.Response
---@field head fun(url: string, options?: rille.http.Options): rille.http.Response
---@field post fun(url: string, options?: rille.http.Options): rille.http.Response
---@field put fun(url: string, options?: rille.http.Options): rille.http.Response
---@field patch fun(url: string, options?: rille.http.Options): rille.http.Response
---@field delete fun(url: string, options?: rille.http.Options): rille.http.Response
---@field options fun(url: string, options?: rille.http.Options): rille.http.Response
local http = {}

---@class rille.http.Timeout limits in seconds; 0: none
---@field connect? number for each connection, name look-up and TLS included; by default 10
---@field total? number for all of it, waiting for a free connection and redirects included
---@field idle? number with nothing sent or received, once connected

---@class rille.http.Options
---@field headers? table by name, of strings, numbers or lists of them; or a list of {name, value} in order;
---  false for a value: not even the client's default
---@field query? table<string, any>|any[][] by name (sent in the order of names), or a list of {name, value}
---@field json? any the body, encoded
---@field form? table<string, any>|any[][] the body, as an HTML form sends it
---@field body? string the body as it is
---@field timeout? number|rille.http.Timeout a number is the total
---@field follow? boolean follow redirects; by default true
---@field max_redirects? integer by default 20
---@field max_body? integer bytes, after decoding; more raises ETOOBIG; by default 64 MiB; of a streamed body
---  those that text, a line or an event may gather
---@field decompress? boolean ask for gzip and deflate, and decode them; by default true
---@field auth? { user: string, password?: string } Basic
---@field bearer? string a token
---@field user_agent? string
---@field proxy? string its URL; "": none, whatever the environment says
---@field unix_socket? string connect to this path instead of the URL's host
---@field tls? { insecure?: boolean, ca?: string } no verification; a file of CA certificates

---@class rille.http.StreamOptions: rille.http.Options
---@field method? string "GET" by default
---@field url? string if it is not an argument of its own

---@class rille.http.ClientOptions: rille.http.Options
---@field base_url? string what relative URLs are appended to
---@field max_connections? integer in all; further requests wait
---@field max_per_host? integer for each host

---@class rille.http.Headers case-blind: headers["content-type"]; several values are joined with ", "
---@field all fun(self: rille.http.Headers, name: string): string[] each value by itself

---@class rille.http.Response
---@field status integer
---@field reason string
---@field headers rille.http.Headers
---@field url string of the last request: redirects followed
---@field method string of the first
---@field http_version string "1.1", "2"
---@field timings table<string, number> seconds since the start:
---  name_lookup connect tls first_byte redirect total
---@field redirects string[] the URLs that led to another
---@field text fun(self: rille.http.Response): string the body
---@field bytes fun(self: rille.http.Response): string the body
local Response = host.response

---@class rille.http.Client the same methods, with connections and defaults of its own
---@field get fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field head fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field post fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field put fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field patch fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field delete fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field options fun(self: rille.http.Client, url: string, options?: rille.http.Options): rille.http.Response
---@field private pool userdata
---@field private base string|nil
---@field private headers string[]|nil name, value, name, value ...
---@field private query table|nil
---@field private defaults table|nil what the host reads
local Client = {}

local function set(names)
  local t = {}
  for name in names:gmatch("%S+") do t[name] = true end
  return t
end

-- Options that the host reads by itself, and their types.
local HOST = {
  timeout = { "number", "table" }, follow = { "boolean" }, max_redirects = { "integer" },
  max_body = { "integer" }, decompress = { "boolean" }, auth = { "table" }, bearer = { "string" },
  user_agent = { "string" }, proxy = { "string" }, unix_socket = { "string" }, tls = { "table" },
}
local REQUEST = set "headers query json form body"
local CLIENT = set "headers query base_url max_connections max_per_host"
local NESTED = {
  timeout = { connect = { "number" }, total = { "number" }, idle = { "number" } },
  auth = { user = { "string" }, password = { "string" } },
  tls = { insecure = { "boolean" }, ca = { "string" } },
}
local LIMIT = 1e6 -- of seconds

--- Refuses a value of another type, and a negative number. `level` is that of the script to blame, as
--- the caller counts: so everywhere in this file.
local function check_type(name, value, types, level)
  local kind = math.type(value) == "integer" and "integer" or type(value)
  for _, expected in ipairs(types) do
    if kind == expected or (kind == "integer" and expected == "number") then
      local bound = expected == "number" and LIMIT or math.maxinteger // 4
      if type(value) == "number" and not (value >= 0 and value <= bound) then
        error(("bad option '%s' (out of range)"):format(name), level + 1)
      end
      return
    end
  end
  error(("bad option '%s' (%s expected, got %s)"):format(name, table.concat(types, " or "), type(value)),
    level + 1)
end

--- Refuses names that mean nothing.
local function check_names(options, known, level)
  if type(options) ~= "table" then
    error(("bad options (table expected, got %s)"):format(type(options)), level + 1)
  end
  for name, value in pairs(options) do
    if HOST[name] then
      check_type(name, value, HOST[name], level + 1)
    elseif not known[name] then
      error(("unknown option '%s'"):format(tostring(name)), level + 1)
    end
    local nested = type(value) == "table" and NESTED[name]
    for field, item in pairs(nested and value or {}) do
      local path = ("%s.%s"):format(name, tostring(field))
      if not nested[field] then error(("unknown option '%s'"):format(path), level + 1) end
      check_type(path, item, nested[field], level + 1)
    end
  end
end

-- Headers -------------------------------------------------------------------------------------

local function check_header(name, value, level)
  if type(name) ~= "string" or (type(value) ~= "string" and type(value) ~= "number") then
    error(("bad option 'headers' (%s: string expected, got %s)")
      :format(tostring(name), type(value)), level + 1)
  end
  return tostring(value)
end

--- Appends a header, of several values if it is a list. False gives nothing.
local function add_header(list, name, value, level)
  if value == false then return end
  for _, one in ipairs(type(value) == "table" and value or { value }) do
    list[#list + 1], list[#list + 2] = name, check_header(name, one, level + 1)
  end
end

--- The fields of a table in an order of their own: as listed, or by name.
local function ordered(fields, option, level)
  if type(fields) ~= "table" then
    error(("bad option '%s' (table expected, got %s)"):format(option, type(fields)), level + 1)
  end
  local list = {}
  if #fields > 0 then
    for i, pair in ipairs(fields) do
      if type(pair) ~= "table" or pair[2] == nil then
        error(("bad option '%s' (item %d is not {name, value})"):format(option, i), level + 1)
      end
      list[i] = pair
    end
    return list
  end
  for name, value in pairs(fields) do
    if type(name) ~= "string" then
      error(("bad option '%s' (a name is a %s)"):format(option, type(name)), level + 1)
    end
    list[#list + 1] = { name, value }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

--- The headers of a request: the given ones, and the defaults that they do not replace.
local function merge_headers(defaults, given, level)
  local list, named = {}, {}
  for _, pair in ipairs(given and ordered(given, "headers", level + 1) or {}) do
    add_header(list, pair[1], pair[2], level + 1)
    named[tostring(pair[1]):lower()] = true
  end
  for i = 1, defaults and #defaults or 0, 2 do
    if not named[defaults[i]:lower()] then
      list[#list + 1], list[#list + 2] = defaults[i], defaults[i + 1]
    end
  end
  return list, named
end

-- Query and form ------------------------------------------------------------------------------

local function escape(byte) return ("%%%02X"):format(byte:byte()) end

local function encode(value, option, level)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    error(("bad option '%s' (cannot encode a %s)"):format(option, kind), level + 1)
  end
  return (tostring(value):gsub("[^A-Za-z0-9%-._~]", escape))
end

--- "a=1&b=x%20y"
local function encode_fields(fields, option, level)
  local parts = {}
  for _, pair in ipairs(ordered(fields, option, level + 1)) do
    local name, value = encode(pair[1], option, level + 1), pair[2]
    for _, one in ipairs(type(value) == "table" and value or { value }) do
      parts[#parts + 1] = name .. "=" .. encode(one, option, level + 1)
    end
  end
  return table.concat(parts, "&")
end

local function add_query(url, query)
  if query == "" then return url end
  local main, fragment = url:match("^([^#]*)(.*)$")
  local joint = not main:find("?", 1, true) and "?" or main:find("[?&]$") and "" or "&"
  return main .. joint .. query .. fragment
end

-- Requests ------------------------------------------------------------------------------------

--- The body, and the content type that goes with it.
local function make_body(options, level)
  local given = (options.json ~= nil and 1 or 0) + (options.form and 1 or 0) + (options.body and 1 or 0)
  if given > 1 then error("bad options (more than one of 'json', 'form' and 'body')", level + 1) end
  if options.json ~= nil then return json.encode(options.json), "application/json" end
  if options.form then
    local form = encode_fields(options.form, "form", level + 1):gsub("%%20", "+")
    return form, "application/x-www-form-urlencoded"
  end
  if options.body ~= nil and type(options.body) ~= "string" then
    error(("bad option 'body' (string expected, got %s)"):format(type(options.body)), level + 1)
  end
  return options.body
end

local function join_url(base, url)
  if not base or url:find("^%a[%w+.-]*://") then return url end
  if url == "" then return base end
  if url:find("^[?#]") then return base .. url end
  return (base:gsub("/$", "")) .. "/" .. (url:gsub("^/", ""))
end

--- The host's options of one request: the client's, and the request's own before them.
local function merge_options(defaults, given)
  if not defaults then return given end
  local merged = {}
  for name, value in pairs(defaults) do merged[name] = value end
  for name in pairs(HOST) do
    if given[name] ~= nil then merged[name] = given[name] end
  end
  if given.auth then merged.bearer = nil elseif given.bearer then merged.auth = nil end
  return merged
end

--- Sends what was put together, and wraps the response that it opens.
local function open(client, method, url, headers, body, options)
  local head, content = client.pool:stream(method, url, headers, body, options)
  return require("rille.http_stream")(head, content, options and options.max_body)
end

--- Sends a request with options. `level` is that of the script, which the host blames by itself. With
--- `streamed` it returns when the headers are in.
local function send_with(client, method, url, options, level, streamed)
  local headers, named = merge_headers(client.headers, options.headers, level)
  local body, kind = make_body(options, level)
  if kind and not named["content-type"] then
    headers[#headers + 1], headers[#headers + 2] = "Content-Type", kind
  end
  for _, query in ipairs { client.query or false, options.query or false } do
    if query then url = add_query(url, encode_fields(query, "query", level)) end
  end
  options = merge_options(client.defaults, options)
  if streamed then return open(client, method, url, headers, body, options) end
  return client.pool:request(method, url, headers, body, options)
end

local NO_OPTIONS = {}

--- Called as a tail call, so that the script is one level up, here and for the host.
local function send(client, method, url, options, streamed)
  if type(url) ~= "string" then
    error(("bad URL (string expected, got %s)"):format(type(url)), 2)
  end
  url = join_url(client.base, url)
  if options == nil then
    if not client.query then
      if streamed then return open(client, method, url, client.headers, nil, client.defaults) end
      return client.pool:request(method, url, client.headers, nil, client.defaults)
    end
    return send_with(client, method, url, NO_OPTIONS, 2, streamed)
  end
  check_names(options, REQUEST, 2)
  return send_with(client, method, url, options, 2, streamed)
end

--- A request whose method is among its options, and its URL unless that is given. Called as a tail call too.
local function send_request(client, request, url, streamed)
  if type(request) ~= "table" then
    error(("bad argument #1 to 'request' (table expected, got %s)"):format(type(request)), 2)
  end
  local options = {}
  for name, value in pairs(request) do options[name] = value end
  local method = options.method or "GET"
  options.method = nil
  if url == nil then url, options.url = options.url, nil end
  if type(method) ~= "string" then
    error(("bad option 'method' (string expected, got %s)"):format(type(method)), 2)
  end
  return send(client, method:upper(), url, options, streamed)
end

--- `url, options`, or options with the URL among them. Called as a tail call too.
local function send_streamed(client, url, options)
  if type(url) == "table" and options == nil then return send_request(client, url, nil, true) end
  if type(url) == "string" and type(options) == "table" then
    return send_request(client, options, url, true)
  end
  return send(client, "GET", url, options, true)
end

-- Clients -------------------------------------------------------------------------------------

local client_meta = { __index = Client, __name = "rille.http.Client" }

local function pick(options, names)
  local picked
  for name in pairs(names) do
    if options[name] ~= nil then
      picked = picked or {}
      picked[name] = options[name]
    end
  end
  return picked
end

-- A limit on connections: an integer of at least 0, which is none, or nil.
local function check_limit(options, name)
  local n = options[name]
  if n == nil then return nil end
  if math.type(n) ~= "integer" then
    error(("bad option '%s' (integer expected, got %s)"):format(name, type(n)), 3)
  end
  if n < 0 or n > 0x7fffffff then error(("bad option '%s' (out of range)"):format(name), 3) end
  return n
end

--- A client with connections and defaults of its own. Close it, or let it be collected.
---@param options? rille.http.ClientOptions
---@return rille.http.Client
function http.client(options)
  options = options or {}
  check_names(options, CLIENT, 2)
  local base = options.base_url
  if base ~= nil and type(base) ~= "string" then
    error(("bad option 'base_url' (string expected, got %s)"):format(type(base)), 2)
  end
  local headers = options.headers and merge_headers(nil, options.headers, 2)
  if options.query then encode_fields(options.query, "query", 2) end -- raises here, not later
  return setmetatable({
    pool = host.pool(check_limit(options, "max_connections"), check_limit(options, "max_per_host")),
    base = base,
    headers = headers,
    query = options.query,
    defaults = pick(options, HOST),
  }, client_meta)
end

--- Sends a request: `method`, `url`, and options.
---@param request rille.http.Options|{ method?: string, url: string }
---@return rille.http.Response
function Client:request(request) return send_request(self, request) end

--- Sends a request and returns when the headers are in: the body is read as it comes.
---@param url string|rille.http.StreamOptions
---@param options? rille.http.StreamOptions
---@return rille.http.StreamedResponse
function Client:stream(url, options) return send_streamed(self, url, options) end

--- Ends the requests in flight (they raise ECANCELED) and closes the connections. Idempotent.
function Client:close() self.pool:close() end

client_meta.__close = Client.close

-- The client of http.get and the others, made by the first of them: libcurl takes a while to set up.
local shared

local function shared_client()
  shared = shared or http.client()
  return shared
end

for _, name in ipairs { "get", "head", "post", "put", "patch", "delete", "options" } do
  local method = name:upper()
  Client[name] = function(self, url, options) return send(self, method, url, options) end
  http[name] = function(url, options) return send(shared or shared_client(), method, url, options) end
end

--- Sends a request of any method: `method`, `url`, and options.
---@param request rille.http.Options|{ method?: string, url: string }
---@return rille.http.Response
function http.request(request) return send_request(shared or shared_client(), request) end

--- Sends a request and returns when the headers are in: the body is read as it comes.
---@param url string|rille.http.StreamOptions
---@param options? rille.http.StreamOptions
---@return rille.http.StreamedResponse
function http.stream(url, options) return send_streamed(shared or shared_client(), url, options) end

--- Starts a server: see rille.server.
---@param ... any
---@return rille.http.Server
function http.serve(...) return require("rille.server").serve(...) end

-- Responses -----------------------------------------------------------------------------------

-- What a pointer leads to, straight from where the body lies.
local json_at = Response.json_at
Response.json_at = nil

--- The value of a JSON body; or the value that a JSON pointer (RFC 6901) leads to in it, nil if it leads to
--- nothing, and nothing else is built. Raises EJSON, with the beginning of the body, if it is not JSON.
---@param pointer? string "/name", "/a/0/b" ...
---@return any
function Response:json(pointer)
  local find, trouble, reason = json.decode, nil, nil
  if pointer ~= nil then
    if type(pointer) ~= "string" then
      error(("bad argument #1 to 'json' (string expected, got %s)"):format(type(pointer)), 2)
    end
    local found
    found, trouble, reason = json_at(self, pointer)
    if not trouble then return found end
    if trouble == "pointer" then error("bad argument #1 to 'json' (not a JSON pointer)", 2) end
    find = find_otherwise
  end
  local text = self:text()
  local ok, value = pcall(find, text, pointer, trouble, reason)
  if ok then return value end
  if not fault.is(value, "EJSON") then error(value, 0) end
  error(http_fault.not_json(self, value, text), 0)
end

--- Returns itself, or raises ESTATUS if the status is 400 or more.
---@return rille.http.Response
function Response:raise_for_status()
  if self.status < 400 then return self end
  error(http_fault.status(self, self:text()), 0)
end

return http
