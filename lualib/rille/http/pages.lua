--- rille.http.pages: the pages of a list, each of which leads to the next (internal).
-- Model:  a generator of responses. The first request has all that the caller and the client give; what leads
--         to a later page says its whole query. The user's secrets stay with the origin of the first URL.
-- Owner:  the generator; between two pages it holds a response, and no connection.
-- Errors: bad arguments are misuse, when the generator is made. A status of 400 or more raises ESTATUS, a
--         page that was there before ELOOP, after the pages before it.

local generator = require("rille.host.generator").generator
local http_fault = require "rille.http.fault"
local http_options = require "rille.http.options"
local http_request = require "rille.http.request"
local json = require "rille.json"
local misuse = require "rille.host.misuse"
local uri = require "rille.uri"
require "rille.stream" -- gives generators the operators

local copy = http_options.copy

---@class rille.http.PagesOptions: rille.http.Options
---@field next? string|fun(res: rille.http.Response): string|nil what gives the URL of the next page: the
---  field of a JSON body that has it, a JSON pointer (RFC 6901) to it, or a function; by default the header
---  Link

-- Headers that are for one origin alone.
local BOUND = { authorization = true, cookie = true, host = true }

-- How a page leads to the next: a function of the response.
local function finder(how)
  if how == nil then return function(res) return res:link("next") end end
  if type(how) == "function" then
    return function(res)
      local url = how(res) or nil
      if url == nil or type(url) == "string" then return url end
      error(("bad result of the function 'next' of 'pages' (string expected, got %s)"):format(type(url)), 0)
    end
  end
  local pointer = how
  if how:sub(1, 1) ~= "/" then pointer = "/" .. how:gsub("[~/]", { ["~"] = "~0", ["/"] = "~1" }) end
  return function(res)
    local url = res:json(pointer)
    if url == nil or url == json.null or url == false or url == "" then return nil end
    if type(url) == "string" then return url end
    error(http_fault.bad_next(res, how, type(url)), 0)
  end
end

-- What tells whether two URLs are of one page.
local function identity(url)
  local parts = uri.split(url)
  return uri.origin(url) .. (parts.path == "" and "/" or parts.path) .. "?" .. (parts.query or "")
end

-- Those of the headers, in any of the forms of the option, that may go to another origin.
local function unbound_fields(headers)
  local kept = {}
  for name, value in pairs(headers) do
    local listed = type(value) == "table" and #headers > 0
    local key = tostring(listed and value[1] or name):lower()
    if not BOUND[key] then
      if listed then kept[#kept + 1] = value else kept[name] = value end
    end
  end
  return kept
end

-- The same of a client's headers: name, value, name, value ...
local function unbound_list(headers)
  local kept = {}
  for i = 1, #headers, 2 do
    if not BOUND[headers[i]:lower()] then kept[#kept + 1], kept[#kept + 2] = headers[i], headers[i + 1] end
  end
  return kept
end

-- The client for URLs that are whole: it adds nothing to them.
local function client_of_later_pages(client)
  local later = copy(client)
  later.base, later.query = nil, nil
  return setmetatable(later, getmetatable(client))
end

-- Takes away what another origin must not see.
local function forget_secrets(client, options)
  client.headers = client.headers and unbound_list(client.headers)
  client.defaults = client.defaults and copy(client.defaults)
  for _, from in ipairs { options, client.defaults } do from.auth, from.bearer = nil, nil end
  options.headers = options.headers and unbound_fields(options.headers)
end

-- The URL of the page after `res`; nil if there is none.
local function following(res, find, seen)
  local reference = find(res)
  if not reference then return nil end
  local url = uri.resolve(uri.with_user(res.url, nil), reference)
  if url:find("%c") then error(http_fault.wild_next(res, url), 0) end
  local key = identity(url)
  if seen[key] then error(http_fault.circle(res, uri.with_user(url, nil)), 0) end
  seen[key] = true
  return url
end

local walk = generator(function(client, url, options, find)
  local home, user, seen = uri.origin(url), uri.user(url), { [identity(url)] = true }
  local later, there = client_of_later_pages(client), true
  local res = client:get(url, options)
  options = copy(options)
  options.query = nil
  while true do
    coroutine.yield(res:raise_for_status())
    url = following(res, find, seen)
    if not url then return end
    if there and uri.origin(url) ~= home then
      there = false
      forget_secrets(later, options)
    elseif there and not uri.user(url) then
      url = uri.with_user(url, user)
    end
    res = later:get(url, options)
  end
end)

--- The pages that begin at a URL.
---@param client rille.http.Client
---@param url string
---@param how string|fun(res: rille.http.Response): string|nil|rille.http.PagesOptions|nil
---@return rille.Stream<any> of responses
return function(client, url, how)
  local options = {}
  if type(how) == "table" then
    options = copy(how)
    how, options.next = options.next, nil
  end
  if how ~= nil and type(how) ~= "string" and type(how) ~= "function" then
    misuse("bad option 'next' (string or function expected, got %s)", type(how))
  end
  url = http_request.url(client, url)
  http_options.check_request(options, { next = true })
  http_request.make(client, "GET", url, options) -- raises here, not at the first page
  return walk(client, url, options, finder(how))
end
