--- rille.http.link: the links of a response (RFC 8288; internal).
-- Model:  header fields are read as its appendix B.2 does: what is malformed ends the field, and the links
--         before it stay. Of several `rel` of a link the first counts.
-- Owner:  nobody; nothing is kept.
-- Errors: misuse; a header is never an error.

local misuse = require "rille.host.misuse"
local parameters = require "rille.http.parameters"
local uri = require "rille.uri"

---@class rille.http.Link
---@field target string a reference, as it came
---@field parameters table<string, string> the first of each name, by name in lower case

local http_link = {}

-- Without the blanks around it. In two steps: one pattern would try every way to share blanks out.
local function trim(text) return text:match("^[ \t]*(.*)$"):match("^.*[^ \t]") or "" end

--- The links of one header field.
---@param text string
---@return rille.http.Link[]
function http_link.parse(text)
  local links, at = {}, 1
  while true do
    local target, stop = text:match("^[ \t,]*<([^>]*)>()", at)
    if not target then return links end
    local link = { target = trim(target) }
    link.parameters, at = parameters(text, stop)
    links[#links + 1] = link
    at = text:find(",", at, true)
    if not at then return links end
  end
end

-- True if `rel` is among the relation types, which blanks separate.
local function has_type(types, rel)
  for one in (types or ""):gmatch("%S+") do
    if one:lower() == rel then return true end
  end
  return false
end

-- True for a link of the response's own resource, and not of another one that the anchor names.
local function is_own(link, base)
  local anchor = link.parameters.anchor
  return not anchor or uri.resolve(base, anchor):gsub("#.*$", "") == base:gsub("#.*$", "")
end

--- The URL that the response gives for a relation type, absolute; nil if it has no such link. Reads the
--- header Link (RFC 8288).
---@param res rille.http.Response|rille.http.StreamedResponse
---@param rel string "next", "prev" ... or a URI; case-blind
---@return string|nil
function http_link.find(res, rel)
  if type(rel) ~= "string" then
    misuse("bad argument #1 to 'link' (string expected, got %s)", type(rel))
  elseif not rel:find("^%S+$") then
    misuse("bad argument #1 to 'link' (one relation type expected)")
  end
  rel = rel:lower()
  local base = uri.with_user(res.url, nil) -- the password in it is hidden
  for _, text in ipairs(res.headers:all("link")) do
    for _, link in ipairs(http_link.parse(text)) do
      if has_type(link.parameters.rel, rel) and is_own(link, base) then
        return uri.resolve(base, link.target)
      end
    end
  end
  return nil
end

return http_link
