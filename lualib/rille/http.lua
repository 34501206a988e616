--- rille.http: HTTP requests in direct style. A request waits for the whole response; `stream` for its
--- headers, and gives the body as it comes (rille.http.streamed).
-- Errors: what the world does raises an error object with a code: ECONNREFUSED, ECONNRESET, ENOTFOUND,
-- ETIMEDOUT (with `phase`), EPROTO, ETLS, ETOOBIG, EREDIRECT, EURL, EPROXY, EPRIVATE ..., and with `url` (its
-- password hidden), `method`, and what was received if a response had begun. Misuse raises a string.

local fault = require "rille.host.fault"
local host = require "rille.host.http"
local find_otherwise = require "rille.json_pointer"
local http_charset = require "rille.http.charset"
local http_fault = require "rille.http.fault"
local http_options = require "rille.http.options"
local http_pools = require "rille.http.pools"
local http_request = require "rille.http.request"
local http_retry = require "rille.http.retry"
local misuse = require "rille.host.misuse"
local new_rate = require "rille.http.rate"
local read_by_cjson = require "rille.json_cjson"
local waitlist = require "rille.host.waitlist"

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
---@field body? string|rille.Source|file* the body as it is: a string, or what gives strings, sent as it comes
---@field multipart? rille.http.Part[] the body, of the parts of a form: values and files
---@field length? integer bytes of a body that comes as it is made; without it the body is sent in chunks
---@field progress? fun(sent: integer, total: integer|nil) called as the body is sent; total is nil if that is
---  not known
---@field timeout? number|rille.http.Timeout a number is the total
---@field follow? boolean follow redirects; by default true
---@field max_redirects? integer by default 20
---@field max_body? integer bytes, after decoding; more raises ETOOBIG; by default 64 MiB; of a streamed body
---  those that text, a line or an event may gather
---@field decompress? boolean ask for gzip, deflate, br and zstd, and decode them; by default true
---@field auth? false|{ user: string, password?: string, scheme?: "basic"|"digest" } Basic by default; false:
---  not even the client's default
---@field bearer? false|string a token; false: not even the client's default
---@field netrc? boolean|string credentials from the user's .netrc, or from this file; by default false
---@field user_agent? string
---@field http_version? "1.1"|"auto"|"2" HTTP/1.1 (the default); HTTP/2 where a server offers it over TLS; or
---  that, and HTTP/2 at once without TLS
---@field proxy? string its URL; "": none, whatever the environment says
---@field unix_socket? string connect to this path instead of the URL's host
---@field resolve? table<string, string> addresses by "host:port", instead of a look-up
---@field block_private? boolean refuse addresses that are not of the public internet
---@field tls? rille.http.Tls
---@field retry? integer|false|rille.http.Retry tries in all; by default one

---@class rille.http.Tls files are in PEM
---@field ca? string a file of CA certificates, instead of the system's
---@field cert? string the file of a client certificate
---@field key? string that of its key, if it is in a file of its own
---@field key_password? string of the key
---@field pin? string the server's key: "sha256//" and the hash in base64; several with ";"
---@field min_version? "1.2"|"1.3" by default "1.2"
---@field insecure? boolean no verification

---@class rille.http.Retry
---@field times? integer tries in all; by default 3
---@field backoff? number|fun(tried: integer): number seconds after the first try, doubled after each further
---  one; by default 0.5; or a function of how many tries there were
---@field jitter? boolean wait anything between 0 and that; by default true
---@field max? number seconds; no such wait is longer, and no longer Retry-After is waited for; by default 30
---@field on? (integer|string)[] statuses and codes of errors that another try follows
---@field methods? string[] methods besides the idempotent ones

---@class rille.http.Error: rille.Error of a request
---@field url string its password hidden
---@field method string
---@field phase? "connect"|"total"|"idle" of ETIMEDOUT
---@field status? integer this and the next: what was received of a response that had begun
---@field headers? rille.http.Headers
---@field received? integer bytes of the body, as they were sent
---@field body? string its first 80 bytes, decoded, if it is not streamed
---@field response? rille.http.Response|rille.http.StreamedResponse of ESTATUS
---@field proxy? string the URL of the proxy that is to blame, its password hidden
---@field proxy_status? integer of its answer to CONNECT

---@class rille.http.StreamOptions: rille.http.Options
---@field method? string "GET" by default
---@field url? string if it is not an argument of its own

---@class rille.http.ClientOptions: rille.http.Options
---@field base_url? string what relative URLs are appended to
---@field max_connections? integer in all; further requests wait
---@field max_per_host? integer for each host
---@field cookies? boolean|string keep cookies, in memory or in this file; by default false
---@field rate? number requests a second, tries of requests too; those that come too soon wait

---@class rille.http.Holder a request that has a connection
---@field method string
---@field url string its password hidden
---@field where string "file:line" that made it
---@field since number seconds since then
---@field state "connecting"|"sending"|"waiting"|"receiving"|"paused"

---@class rille.http.Stats
---@field open integer connections
---@field in_use integer those that requests have
---@field idle integer those that are kept for the next
---@field waiting integer requests that have none yet
---@field holders rille.http.Holder[] those that have one

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
---@field private pools table
---@field private base string|nil
---@field private headers string[]|nil name, value, name, value ...
---@field private query table|nil
---@field private defaults table|nil what the host reads
---@field private retry rille.http.Policy|nil
---@field private rate rille.http.Rate|nil
---@field private is_plain boolean a request without options is sent as it is
---@field package held { n: integer } requests that wait for the rate, or before another try
---@field package pauses rille.Waitlist between two tries; woken when the client is closed
local Client = {}

local client_meta = { __index = Client, __name = "rille.http.Client" }

-- Refuses what is no client: what client.get(url) has for one.
local function check_client(client)
  if getmetatable(client) == client_meta then return end
  misuse("client expected, got %s (is its method called with ':'?)", type(client))
end

-- Requests ------------------------------------------------------------------------------------

-- Sends a request, which the host takes in this form, and waits for the response.
local function perform(client, method, url, headers, body, options, streamed)
  local pool = http_pools.of(client.pools, options and options.http_version)
  local via = type(body) == "table" and require "rille.http.upload" or pool
  if not streamed then return via.request(pool, method, url, headers, body, options) end
  local head, content = via.stream(pool, method, url, headers, body, options)
  return require("rille.http.streamed")(head, content, options and options.max_body)
end

local NO_OPTIONS = {}

-- With `streamed`, returns when the headers are in.
local function send(client, method, url, options, streamed)
  check_client(client)
  url = http_request.url(client, url)
  if options ~= nil then
    http_options.check_request(options)
  elseif client.is_plain and not streamed then -- most requests
    return client.pools.own:request(method, url, client.headers, nil, client.defaults)
  end
  options = options or NO_OPTIONS
  local request = http_request.make(client, method, url, options)
  local policy = client.retry
  if options.retry ~= nil then policy = http_retry.policy(options.retry) end
  local function try(host_options)
    return perform(client, method, request.url, request.headers, request.body, host_options, streamed)
  end
  if not policy and not client.rate then return try(request.options) end
  local _ <close> = type(request.body) == "table" and request.body or nil
  return http_retry.run(client, request, policy, try, streamed)
end

-- A request whose method is among its options, and its URL unless that is given.
local function send_request(client, request, url, streamed)
  check_client(client)
  if type(request) ~= "table" then
    misuse("bad argument #1 to 'request' (table expected, got %s)", type(request))
  end
  local options = http_options.copy(request)
  local method = options.method or "GET"
  options.method = nil
  if url == nil then url, options.url = options.url, nil end
  if type(method) ~= "string" then misuse("bad option 'method' (string expected, got %s)", type(method)) end
  return send(client, method:upper(), url, options, streamed)
end

-- `url, options`, or options with the URL among them.
local function send_streamed(client, url, options)
  if type(url) == "table" and options == nil then return send_request(client, url, nil, true) end
  if type(url) == "string" and type(options) == "table" then
    return send_request(client, options, url, true)
  end
  return send(client, "GET", url, options, true)
end

-- Clients -------------------------------------------------------------------------------------

--- A client with connections and defaults of its own. Close it, or let it be collected.
---@param options? rille.http.ClientOptions
---@return rille.http.Client
function http.client(options)
  options = options or {}
  http_options.check_client(options)
  local defaults = http_options.for_host(options)
  if options.query then http_request.query(options.query) end -- these raise here, not later
  if defaults then host.check(defaults) end
  return setmetatable({
    pools = http_pools.new(options),
    base = options.base_url,
    headers = options.headers and http_request.headers(options.headers),
    query = options.query,
    defaults = defaults,
    retry = http_retry.policy(options.retry),
    rate = new_rate(options.rate),
    held = { n = 0 },
    pauses = waitlist.new("the next try of a request"),
    is_plain = not (options.query or options.retry or options.rate),
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

--- The pages of a list that begins at a URL, each of which leads to the next.
---@param url string
---@param next? string|fun(res: rille.http.Response): string|nil|rille.http.PagesOptions as of http.pages
---@return rille.Stream<rille.http.Response>
function Client:pages(url, next) return require("rille.http.pages")(self, url, next) end

--- The Server-Sent Events of a URL; connects again when the connection ends.
---@param url string
---@param options? rille.http.EventsOptions
---@return rille.Stream<rille.ServerSentEvent>
function Client:events(url, options) return require("rille.http.events")(self, url, options) end

--- Saves what a URL has as a file. What an earlier try has left beside it is gone on with, if it can be.
---@param url string
---@param path string
---@param options? rille.http.DownloadOptions
---@return rille.http.Download
function Client:download(url, path, options)
  return require("rille.http.download")(self, url, path, options)
end

--- Its connections now, and who has them.
---@return rille.http.Stats
function Client:stats()
  local stats = http_pools.stats(self.pools)
  stats.waiting = stats.waiting + self.held.n
  return stats
end

--- Ends the requests in flight (they raise ECANCELED), closes the connections, and saves the cookies in their
--- file; an error object if that fails. Idempotent.
function Client:close()
  if self.rate then self.rate:close() end
  self.pauses:wake_all()
  http_pools.close(self.pools)
end

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

--- The pages of a list that begins at a URL, each of which leads to the next.
---@param url string
---@param next? string|fun(res: rille.http.Response): string|nil|rille.http.PagesOptions what gives the URL of
---  the next page; by default the header Link
---@return rille.Stream<rille.http.Response>
function http.pages(url, next) return require("rille.http.pages")(shared or shared_client(), url, next) end

--- The Server-Sent Events of a URL; connects again when the connection ends.
---@param url string
---@param options? rille.http.EventsOptions
---@return rille.Stream<rille.ServerSentEvent>
function http.events(url, options)
  return require("rille.http.events")(shared or shared_client(), url, options)
end

--- Saves what a URL has as a file. What an earlier try has left beside it is gone on with, if it can be.
---@param url string
---@param path string
---@param options? rille.http.DownloadOptions
---@return rille.http.Download
function http.download(url, path, options)
  return require("rille.http.download")(shared or shared_client(), url, path, options)
end

--- Percent-encodes a text, so that it is one part of a URL's path, whatever it has: all but letters, digits
--- and "-._~" (RFC 3986, 2.3).
---@param text string|number
---@return string
function http.escape(text)
  if type(text) ~= "string" and type(text) ~= "number" then
    misuse("bad argument #1 to 'escape' (string expected, got %s)", type(text))
  end
  return http_request.escape(text)
end

--- The URL that a reference in a document means, such as the href of a link: "../moon" of
--- "http://host/planets/mars" is "http://host/moon" (RFC 3986, 5.2).
---@param base string the URL of the document
---@param reference string
---@return string
function http.join(base, reference)
  for i, text in ipairs { base or false, reference or false } do
    if type(text) ~= "string" then
      misuse("bad argument #%d to 'join' (string expected, got %s)", i, text and type(text) or "nil")
    end
  end
  return require("rille.uri").resolve(base, reference)
end

--- Starts a server: see rille.server.
---@param ... any
---@return rille.http.Server
function http.serve(...) return require("rille.server").serve(...) end

-- Responses -----------------------------------------------------------------------------------

-- Refuses what is no response: what res.text() has for one.
local function check_response(res, name)
  local meta = debug.getmetatable(res)
  if meta and meta.__name == "rille.response" then return end
  misuse("bad argument #1 to '%s' (response expected, got %s; is it called with ':'?)", name, type(res))
end

--- The body as text, in UTF-8. Raises ECHARSET if its charset is unknown.
---@return string
function Response:text()
  check_response(self, "text")
  return http_charset.text(self, self:bytes())
end

-- The value, or what a pointer leads to in it, straight from where the body lies.
local json_at = Response.json_at
Response.json_at = nil

--- The value of a JSON body; or the value that a JSON pointer (RFC 6901) leads to in it, nil if it leads to
--- nothing, and nothing else is built. Raises EJSON, with the beginning of the body, if it is not JSON.
---@param pointer? string "/name", "/a/0/b" ...
---@return any
function Response:json(pointer)
  if pointer ~= nil and type(pointer) ~= "string" then
    misuse("bad argument #1 to 'json' (string expected, got %s)", type(pointer))
  end
  local found, trouble, reason = json_at(self, pointer)
  if not trouble then return found end
  check_response(self, "json")
  if trouble == "pointer" then misuse("bad argument #1 to 'json' (not a JSON pointer such as '/name')") end
  local find = pointer and find_otherwise or read_by_cjson
  local text = self:bytes()
  local ok, value = pcall(find, text, pointer, trouble, reason)
  if ok then return value end
  if not fault.is(value, "EJSON") then error(value, 0) end
  error(http_fault.not_json(self, value, text), 0)
end

-- The body as streams, as of a streamed response; of a whole one they may be read again.

--- The bytes of the body, in one piece.
---@return rille.Stream<string>
function Response:chunks() return require("rille.http.buffered").chunks(self) end

--- The lines of the body's text, without their ends: LF, CRLF or CR. The last one may lack its end.
---@return rille.Stream<string>
function Response:lines() return require("rille.http.buffered").lines(self) end

--- The values of a body with one JSON text a line; blank lines are skipped.
---@return rille.Stream<any>
--- Raises EJSON, with `line` and `position`, at a line that is not JSON.
function Response:ndjson() return require("rille.http.buffered").ndjson(self) end

--- The events of a body in the format of Server-Sent Events.
---@return rille.Stream<rille.ServerSentEvent>
function Response:events() return require("rille.http.buffered").events(self) end

--- The URL that the header Link (RFC 8288) gives for a relation type, absolute; nil if there is none.
---@param rel string "next", "prev" ... or a URI; case-blind
---@return string|nil
function Response:link(rel) return require("rille.http.link").find(self, rel) end

--- Returns itself, or raises ESTATUS if the status is 400 or more.
---@return rille.http.Response
function Response:raise_for_status()
  check_response(self, "raise_for_status")
  if self.status < 400 then return self end
  error(http_fault.status(self, self:bytes()), 0)
end

return http
