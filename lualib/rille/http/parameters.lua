--- rille.http.parameters: the parameters of a header's value, such as "; charset=utf-8" (RFC 9110, 5.6.6;
--- internal).
-- Model:  read from a place in the text on, as far as they go.
-- Owner:  nobody; nothing is kept.
-- Errors: none; what is malformed ends them.

-- A quoted string that begins at the quote at `at`: its value, and the place behind it.
local function quoted(text, at)
  local value = {}
  at = at + 1
  while true do
    local plain, stop = text:match('^([^"\\]*)()', at)
    value[#value + 1] = plain
    if text:sub(stop, stop) ~= "\\" then return table.concat(value), math.min(stop, #text) + 1 end
    value[#value + 1] = text:sub(stop + 1, stop + 1)
    at = math.min(stop + 1, #text) + 1
  end
end

--- The parameters that begin at `at`.
---@param text string
---@param at integer
---@return table<string, string> values the first of each name, by name in lower case; "" without a value
---@return integer at the place behind them
return function(text, at)
  local found = {}
  while true do
    local name, stop = text:match("^[ \t]*;[ \t]*([^ \t=;,]*)[ \t]*()", at)
    if not name then return found, at end
    local value = ""
    at = text:match("^=[ \t]*()", stop)
    if not at then
      at = stop
    elseif text:sub(at, at) == '"' then
      value, at = quoted(text, at)
    else
      value, at = text:match("^([^;,]*)()", at)
      value = value:match("^.*[^ \t]") or ""
    end
    name = name:lower()
    if name ~= "" and not found[name] then found[name] = value end
  end
end
