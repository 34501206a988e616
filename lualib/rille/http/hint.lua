--- rille.http.hint: what an unknown option of the client was meant to be (internal).
-- Model:  names that other clients (Python's requests and httpx, fetch, curl) have for the same thing, and
--         else the name that is nearest.
-- Owner:  nobody; nothing is kept.
-- Errors: none.

local nearest = require "rille.nearest"

local HEADER <const> = "a header belongs in 'headers'"

local ELSEWHERE <const> = {
  params = "did you mean 'query'?", qs = "did you mean 'query'?", search_params = "did you mean 'query'?",
  data = "did you mean 'form' or 'body'?", content = "did you mean 'body'?", payload = "did you mean 'body'?",
  file = "did you mean 'multipart'?", files = "did you mean 'multipart'?",
  follow_redirects = "did you mean 'follow'?", allow_redirects = "did you mean 'follow'?",
  redirect = "did you mean 'follow'?", redirects = "did you mean 'follow' or 'max_redirects'?",
  verify = "did you mean 'tls.insecure' or 'tls.ca'?", ssl = "did you mean 'tls'?",
  rejectUnauthorized = "did you mean 'tls.insecure'?", cacert = "did you mean 'tls.ca'?",
  token = "did you mean 'bearer'?", proxies = "did you mean 'proxy'?", no_proxy = "proxy = \"\" uses none",
  http2 = "did you mean 'http_version'?", agent = "did you mean 'user_agent'?",
  unix = "did you mean 'unix_socket'?", uds = "did you mean 'unix_socket'?",
  socket = "did you mean 'unix_socket'?", retries = "did you mean 'retry'?",
  max_size = "did you mean 'max_body'?", on_progress = "did you mean 'progress'?",
  signal = "rille.timeout and task:cancel end a request", stream = "did you mean http.stream?",
  method = "it is an option of http.request and http.stream",
  url = "it is an option of http.request and http.stream",
  cookie_jar = "did you mean 'cookies'?", jar = "did you mean 'cookies'?",
  base = "did you mean 'base_url'?", base_uri = "did you mean 'base_url'?",
  prefix_url = "did you mean 'base_url'?", max_conns = "did you mean 'max_connections'?",
  limits = "did you mean 'max_connections' or 'max_per_host'?",
  rate_limit = "did you mean 'rate'?", accept = HEADER, authorization = HEADER, content_type = HEADER,
  ["content-type"] = HEADER, cookie = HEADER, referer = HEADER,
}

local FIELDS <const> = {
  auth = {
    [1] = "user", [2] = "password", username = "user", login = "user", pass = "password", type = "scheme",
  },
  timeout = { read = "idle", write = "idle", socket = "idle", request = "total", overall = "total" },
  tls = {
    verify = "insecure", cafile = "ca", cacert = "ca", certificate = "cert", passphrase = "key_password",
  },
  retry = {
    count = "times", attempts = "times", tries = "times", limit = "times", retries = "times", statuses = "on",
    status = "on", codes = "on", delay = "backoff", wait = "backoff",
  },
  part = {
    [1] = "name", [2] = "value", file = "path", content = "value", data = "value", body = "value",
    content_type = "type", mime = "type",
  },
  reconnect = { tries = "times", attempts = "times", retries = "times", delay = "backoff" },
}

local http_hint = {}

--- What goes behind "unknown option 'name'": " (did you mean 'timeout'?)", or nothing.
---@param name any
---@param known table<string, any> by name, the options that there are
---@param nested table<string, table<string, any>> the fields of those that are tables
---@return string
function http_hint.option(name, known, nested)
  if ELSEWHERE[name] then return (" (%s)"):format(ELSEWHERE[name]) end
  for _, option in ipairs { "tls", "timeout", "auth", "retry" } do
    if nested[option][name] then return (" (did you mean '%s.%s'?)"):format(option, name) end
  end
  local near = nearest(name, known)
  return near and (" (did you mean '%s'?)"):format(near) or ""
end

--- The field of a table that was meant; nil if nobody knows.
---@param option string what the table is
---@param field any
---@param known table<string, any>
---@return string|nil
function http_hint.meant(option, field, known) return FIELDS[option][field] or nearest(field, known) end

--- What goes behind "unknown option 'option.field'".
---@param option string
---@param field any
---@param known table<string, any>
---@return string
function http_hint.field(option, field, known)
  local meant = http_hint.meant(option, field, known)
  return meant and (" (did you mean '%s.%s'?)"):format(option, meant) or ""
end

return http_hint
