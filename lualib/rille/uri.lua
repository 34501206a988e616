--- rille.uri: references to resources, resolved and compared (RFC 3986; internal).
-- Model:  a URI is split at its delimiters and put together again; nothing is decoded or checked.
-- Owner:  nobody; nothing is kept.
-- Errors: none: every string is a reference of some form.

---@class rille.Uri the parts of a reference; nil where its delimiter is not there
---@field scheme string|nil
---@field authority string|nil
---@field path string may be empty
---@field query string|nil
---@field fragment string|nil

local uri = {}

-- What is before the first `mark`, and what is behind it; nil if it is not there.
local function cut(text, mark)
  local at = text:find(mark, 1, true)
  if not at then return text, nil end
  return text:sub(1, at - 1), text:sub(at + 1)
end

--- The parts of a reference.
---@param text string
---@return rille.Uri
function uri.split(text)
  local parts = {}
  text, parts.fragment = cut(text, "#")
  text, parts.query = cut(text, "?")
  local scheme, rest = text:match("^(%a[%w+.-]*):(.*)$")
  if scheme then parts.scheme, text = scheme, rest end
  local authority, path = text:match("^//([^/]*)(.*)$")
  parts.authority, parts.path = authority, path or text
  return parts
end
local split = uri.split

--- The reference that has these parts.
---@param parts rille.Uri
---@return string
function uri.join(parts)
  local text = parts.path
  if parts.authority then text = "//" .. parts.authority .. text end
  if parts.scheme then text = parts.scheme .. ":" .. text end
  if parts.query then text = text .. "?" .. parts.query end
  if parts.fragment then text = text .. "#" .. parts.fragment end
  return text
end

-- Takes out the segments "." and "..", these with the one before (5.2.4).
local function remove_dots(path)
  local at, past = 1, path:match("^%.%.?/()")
  while past do at, past = past, path:match("^%.%.?/()", past) end
  if path:find("^%.%.?$", at) then return "" end
  local kept, n, ends_open = {}, 0, false
  for segment in path:gmatch("/?[^/]*", at) do
    ends_open = segment == "/." or segment == "/.."
    if segment == "/.." then
      kept[n] = nil
      n = math.max(n - 1, 0)
    elseif segment ~= "/." then
      n = n + 1
      kept[n] = segment
    end
  end
  return table.concat(kept, "", 1, n) .. (ends_open and "/" or "")
end

-- The path of a reference that begins in the directory of the base (5.2.3).
local function merge(base, path)
  if base.authority and base.path == "" then return "/" .. path end
  return (base.path:match("^.*/") or "") .. path
end

--- What a reference means in a document whose URI is `base`: strictly as RFC 3986, 5.2.2.
---@param base string absolute
---@param reference string
---@return string absolute
function uri.resolve(base, reference)
  local from, to = split(base), split(reference)
  if to.scheme then
    to.path = remove_dots(to.path)
    return uri.join(to)
  end
  to.scheme = from.scheme
  if to.authority then
    to.path = remove_dots(to.path)
    return uri.join(to)
  end
  to.authority = from.authority
  if to.path == "" then
    to.path, to.query = from.path, to.query or from.query
  elseif to.path:sub(1, 1) == "/" then
    to.path = remove_dots(to.path)
  else
    to.path = remove_dots(merge(from, to.path))
  end
  return uri.join(to)
end

local PORTS = { http = "80", https = "443" }

--- Scheme, host and port, in one form: equal strings for one origin (RFC 6454).
---@param url string absolute
---@return string
function uri.origin(url)
  local parts = split(url)
  local scheme = (parts.scheme or ""):lower()
  local place = (parts.authority or ""):gsub("^.*@", ""):lower()
  local host, port = place:match("^(.*):(%d*)$")
  if not host or host:find("^%[[^]]*$") then host, port = place, "" end
  port = port:match("^0*(%d*)$")
  return ("%s://%s:%s"):format(scheme, host, port ~= "" and port or PORTS[scheme] or "")
end

--- The user information of a URL: "user:password"; nil if it has none.
---@param url string
---@return string|nil
function uri.user(url)
  local authority = split(url).authority
  return authority and authority:match("^(.*)@")
end

--- The same URL with other user information, or none.
---@param url string
---@param user string|nil
---@return string
function uri.with_user(url, user)
  local parts = split(url)
  if not parts.authority then return url end
  parts.authority = (user and user .. "@" or "") .. parts.authority:gsub("^.*@", "")
  return uri.join(parts)
end

return uri
