--- rille.http.request: a request in the form that the host takes (internal).
-- Model:  `make` puts together what a client has and what a call gives: the URL, a list of headers, the body
--         and the host's options.
-- Owner:  nobody; nothing is kept.
-- Errors: what cannot be sent is misuse.

local has_to_be_encoded = require("rille.host.http").has_to_be_encoded
local json = require "rille.json"
local misuse = require "rille.host.misuse"
local http_options = require "rille.http.options"

-- Values

-- A value as text. A number that is whole has no fraction, as in JSON, whose numbers are floats when decoded.
local function text_of(value)
  local whole = type(value) == "number" and math.tointeger(value)
  return whole and ("%d"):format(whole) or tostring(value)
end

-- The values of a field: those of a list, or the one.
local function values_of(value, name, option)
  if type(value) ~= "table" then return { value } end
  for key in pairs(value) do
    if math.type(key) ~= "integer" or key < 1 or key > #value then
      misuse("bad option '%s' (%s: a list of values expected, it has a field '%s')", option, tostring(name),
        tostring(key))
    end
  end
  return value
end

-- Headers

local function check_header(name, value)
  if type(name) ~= "string" or (type(value) ~= "string" and type(value) ~= "number") then
    misuse("bad option 'headers' (%s: string expected, got %s)", tostring(name), type(value))
  end
  return text_of(value)
end

-- Appends a header, of several values if it is a list. False gives nothing.
local function add_header(list, name, value)
  if value == false then return end
  for _, one in ipairs(values_of(value, name, "headers")) do
    list[#list + 1], list[#list + 2] = name, check_header(name, one)
  end
end

-- The fields of a table in an order of their own: as listed, or by name.
local function ordered(fields, option)
  if type(fields) ~= "table" then
    misuse("bad option '%s' (table expected, got %s)", option, type(fields))
  end
  local list = {}
  if #fields > 0 then
    for i, pair in ipairs(fields) do
      if type(pair) ~= "table" or pair[2] == nil then
        misuse("bad option '%s' (item %d is not {name, value})", option, i)
      end
      list[i] = pair
    end
    return list
  end
  for name, value in pairs(fields) do
    if type(name) ~= "string" then
      misuse("bad option '%s' (a name is a %s)", option, type(name))
    end
    list[#list + 1] = { name, value }
  end
  table.sort(list, function(a, b) return a[1] < b[1] end)
  return list
end

-- The headers of a request: the given ones, and the defaults that they do not replace.
local function merge_headers(defaults, given)
  local list, named = {}, {}
  for _, pair in ipairs(given and ordered(given, "headers") or {}) do
    add_header(list, pair[1], pair[2])
    named[tostring(pair[1]):lower()] = true
  end
  for i = 1, defaults and #defaults or 0, 2 do
    if not named[defaults[i]:lower()] then
      list[#list + 1], list[#list + 2] = defaults[i], defaults[i + 1]
    end
  end
  return list, named
end

-- Query and form

local function escape_byte(byte) return ("%%%02X"):format(byte:byte()) end

local function escape(value) return (text_of(value):gsub("[^A-Za-z0-9%-._~]", escape_byte)) end

local function encode(value, option)
  local kind = type(value)
  if kind ~= "string" and kind ~= "number" and kind ~= "boolean" then
    misuse("bad option '%s' (cannot encode a %s)", option, kind)
  end
  return escape(value)
end

-- "a=1&b=x%20y"
local function encode_fields(fields, option)
  local parts = {}
  for _, pair in ipairs(ordered(fields, option)) do
    local name, value = encode(pair[1], option), pair[2]
    for _, one in ipairs(values_of(value, pair[1], option)) do
      parts[#parts + 1] = name .. "=" .. encode(one, option)
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

-- Body and URL

local BODIES <const> = { "json", "form", "body", "multipart" }

local function check_body(options)
  local given
  for _, name in ipairs(BODIES) do
    if options[name] ~= nil then
      if given then misuse("bad options (more than one of 'json', 'form', 'body' and 'multipart')") end
      given = name
    end
  end
  local length, progress = options.length, options.progress
  if length ~= nil and not (math.type(length) and math.tointeger(length)) then
    misuse("bad option 'length' (integer expected, got %s)", type(length))
  elseif length and length < 0 then
    misuse("bad option 'length' (out of range)")
  elseif length and given ~= "body" then
    misuse("bad option 'length' (it is that of 'body', which is not there)")
  elseif progress ~= nil and type(progress) ~= "function" then
    misuse("bad option 'progress' (function expected, got %s)", type(progress))
  elseif progress and not given then
    misuse("bad option 'progress' (it is that of a request's body, which is not there)")
  end
end

-- The body, and the content type that goes with it.
local function make_body(options)
  check_body(options)
  if options.json ~= nil then return json.encode(options.json), "application/json" end
  if options.form then
    local form = encode_fields(options.form, "form"):gsub("%%20", "+")
    return form, "application/x-www-form-urlencoded"
  end
  if options.multipart ~= nil then
    return require("rille.http.multipart").make(options.multipart, options.progress)
  end
  return options.body
end

local function has_expect(headers)
  for i = 1, #headers, 2 do
    if headers[i]:lower() == "expect" then return true end
  end
  return false
end

-- A body that is not simply a string in memory is an upload; so is one that waits for a permission.
local function make_upload(body, options, headers)
  local simple = type(body) == "string" and not (options.length or options.progress or has_expect(headers))
  if body == nil or options.multipart or simple then return body end
  return require("rille.http.upload").make(body, options.length, options.progress)
end

local function join_url(base, url)
  if url:find("^%a[%w+.-]*://") then return url end
  if url == "" then return base end
  if url:find("^[?#]") then return base .. url end
  return (base:gsub("/$", "")) .. "/" .. (url:gsub("^/", ""))
end

-- A URL as it is sent: what a person may write in a path or query beyond ASCII, and spaces, percent-encoded
-- (RFC 3987, 3.1). What is encoded already stays as it is; a host is not touched.
local function encode_url(url)
  local origin, rest = url:match("^(%a[%w+.-]*://[^/?#]*)(.*)$")
  if not origin then return url end
  return origin .. rest:gsub("[ \x80-\xff]", escape_byte)
end

local http_request = {
  text_of = text_of, -- a number as it is sent
  escape = escape, -- a value as it is written in a URL
}

--- The headers that a client gives its requests.
---@param given table
---@return string[]
function http_request.headers(given) return (merge_headers(nil, given)) end

--- The option `headers` as a list of {name, value}, in order.
---@param given table
---@return any[][]
function http_request.listed(given) return ordered(given, "headers") end

--- "a=1&b=x%20y" of the option `query`.
---@param query table
---@return string
function http_request.query(query) return encode_fields(query, "query") end

local function refuse_url(url)
  local is_module = url == package.loaded["rille.http"]
  misuse("bad URL (string expected, got %s%s)", type(url),
    is_module and "; the functions of rille.http are called with '.'" or "")
end

--- An absolute URL of one that may be relative to the client's.
---@param client rille.http.Client
---@param url string
---@return string
function http_request.url(client, url)
  if client.base and type(url) == "string" then url = join_url(client.base, url) end
  local must = has_to_be_encoded(url)
  if must == nil then refuse_url(url) end
  return must and encode_url(url) or url
end

--- The request of one call.
---@param client rille.http.Client
---@param method string
---@param url string absolute
---@param options rille.http.Options which have been checked
---@return { method: string, url: string, headers: string[], body: string|rille.http.Upload|nil,
---  options: table|nil, replayable: boolean|nil }
function http_request.make(client, method, url, options)
  local headers, named = merge_headers(client.headers, options.headers)
  local body, kind = make_body(options)
  if kind and not named["content-type"] then
    headers[#headers + 1], headers[#headers + 2] = "Content-Type", kind
  end
  for _, query in ipairs { client.query or false, options.query or false } do
    if query then url = add_query(url, encode_fields(query, "query")) end
  end
  local upload = make_upload(body, options, headers)
  return {
    method = method, url = url, headers = headers, body = upload,
    replayable = type(upload) == "table" and upload.replayable or nil,
    options = http_options.merge(client.defaults, options),
  }
end

return http_request
