--- rille.http.options: the names and types of the options of requests and clients (internal).
-- Model:  options are of three kinds: those that the host reads by itself, those of which a request is made
--         (rille.http.request), and those of a client alone. Options of the first two kinds that a client was
--         made with are the defaults of its requests.
-- Owner:  nobody; nothing is kept.
-- Errors: a name that means nothing, a value of another type and a number out of range are misuse.

local misuse = require "rille.host.misuse"

local VERSIONS <const> = { ["1.1"] = true, auto = true, ["2"] = true } -- of HTTP
local LIMIT <const> = 1e6 -- of seconds

local function set(names)
  local t = {}
  for name in names:gmatch("%S+") do t[name] = true end
  return t
end

-- Options that the host reads by itself, and their types.
local HOST = {
  timeout = { "number", "table" }, follow = { "boolean" }, max_redirects = { "integer" },
  max_body = { "integer" }, decompress = { "boolean" }, auth = { "table", "false" },
  bearer = { "string", "false" },
  user_agent = { "string" }, proxy = { "string" }, unix_socket = { "string" }, tls = { "table" },
  netrc = { "boolean", "string" }, resolve = { "table" }, block_private = { "boolean" },
  http_version = { "string" },
}
local REQUEST = set "headers query json form body multipart length progress retry"
local CLIENT = set "headers query base_url max_connections max_per_host cookies retry rate"
local NESTED = {
  timeout = { connect = { "number" }, total = { "number" }, idle = { "number" } },
  auth = { user = { "string" }, password = { "string" }, scheme = { "string" } },
  tls = {
    insecure = { "boolean" }, ca = { "string" }, cert = { "string" }, key = { "string" },
    key_password = { "string" }, pin = { "string" }, min_version = { "string" },
  },
  retry = {
    times = { "integer" }, backoff = { "number", "function" }, max = { "number" }, jitter = { "boolean" },
    on = { "table" }, methods = { "table" },
  },
}

local function check_type(name, value, types)
  local kind = value == false and types[#types] == "false" and "false"
    or math.type(value) and math.tointeger(value) and "integer" or type(value)
  for _, expected in ipairs(types) do
    if kind == expected or (kind == "integer" and expected == "number") then
      local bound = expected == "number" and LIMIT or math.maxinteger // 4
      if type(value) == "number" and not (value >= 0 and value <= bound) then
        misuse("bad option '%s' (out of range)", name)
      end
      return
    end
  end
  misuse("bad option '%s' (%s expected, got %s)", name, table.concat(types, " or "), type(value))
end

-- Names of options, as a set.
local function names_of(known, more)
  local names = {}
  for _, from in ipairs { HOST, known, more or {} } do
    for name in pairs(from) do names[name] = true end
  end
  return names
end

-- What may be meant instead of an option that is none of `known`.
local function hint(name, known, more)
  if CLIENT[name] then return " (it is an option of http.client)" end
  if REQUEST[name] then return " (it is an option of a request)" end
  return require("rille.http.hint").option(name, names_of(known, more), NESTED)
end

local function check(options, known, more)
  if type(options) ~= "table" then misuse("bad options (table expected, got %s)", type(options)) end
  local version = options.http_version
  if type(version) == "string" and not VERSIONS[version] then
    misuse("bad option 'http_version' ('1.1', 'auto' or '2' expected, got '%s')", version)
  end
  for name, value in pairs(options) do
    if HOST[name] then
      check_type(name, value, HOST[name])
    elseif not known[name] then
      misuse("unknown option '%s'%s", tostring(name), hint(name, known, more))
    end
    local nested = type(value) == "table" and NESTED[name]
    for field, item in pairs(nested or {}) do
      if value[field] ~= nil then check_type(("%s.%s"):format(name, field), value[field], item) end
    end
    for field in pairs(nested and value or {}) do
      if not nested[field] then
        local meant = require("rille.http.hint").field(name, field, nested)
        misuse("unknown option '%s.%s'%s", name, tostring(field), meant)
      end
    end
  end
end

-- A limit on connections: an integer of at least 0, which is none, or nil.
local function check_limit(options, name)
  local n = options[name]
  if n == nil then return end
  if not (math.type(n) and math.tointeger(n)) then
    misuse("bad option '%s' (integer expected, got %s)", name, type(n))
  end
  if n < 0 or n > 0x7fffffff then misuse("bad option '%s' (out of range)", name) end
end

local http_options = {}

--- A table of options of its own, which may be changed; empty for nil.
---@param options table|nil
---@return table
function http_options.copy(options)
  if options ~= nil and type(options) ~= "table" then
    misuse("bad options (table expected, got %s)", type(options))
  end
  local copy = {}
  for name, value in pairs(options or {}) do copy[name] = value end
  return copy
end

--- Refuses what is not among the options of a request.
---@param options rille.http.Options
---@param more? table<string, any> options that the caller has besides, by name
function http_options.check_request(options, more) check(options, REQUEST, more) end

--- Refuses what is not among the options of a client.
---@param options rille.http.ClientOptions
function http_options.check_client(options)
  check(options, CLIENT)
  local base = options.base_url
  if base ~= nil and type(base) ~= "string" then
    misuse("bad option 'base_url' (string expected, got %s)", type(base))
  elseif base and base:find("[?#]") then
    misuse("bad option 'base_url' (it has a query or a fragment)")
  end
  local cookies = options.cookies
  if cookies ~= nil then check_type("cookies", cookies, { "boolean", "string" }) end
  check_limit(options, "max_connections")
  check_limit(options, "max_per_host")
end

--- Those that the host reads; nil if there are none.
---@return table|nil
function http_options.for_host(options)
  local picked
  for name, types in pairs(HOST) do
    local is_none = options[name] == false and types[#types] == "false"
    if options[name] ~= nil and not is_none then
      picked = picked or {}
      picked[name] = options[name]
    end
  end
  return picked
end

--- The host's options of one request: the client's, and the request's own before them.
---@param defaults table|nil
---@param given table
---@return table
function http_options.merge(defaults, given)
  if not defaults and given.auth ~= false and given.bearer ~= false then return given end
  local merged = http_options.copy(defaults)
  for name in pairs(HOST) do
    if given[name] ~= nil then merged[name] = given[name] end
  end
  if given.auth or given.bearer or given.netrc then
    merged.auth, merged.bearer = given.auth, given.bearer
  end
  merged.auth, merged.bearer = merged.auth or nil, merged.bearer or nil
  return merged
end

return http_options
