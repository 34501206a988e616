--- rille.show: a value in words that can be read, for the REPL (internal).
-- Model:  a table is shown by its structure, the list first, then the other keys in order; on one line if
--         it fits, else one line an entry, but short entries of the list share lines. What has a __tostring
--         or a __name, and all else, is what tostring says. No other metamethod is run. What is too long or
--         too deep ends in "...".
-- Owner:  nothing is kept.
-- Errors: none; a __tostring that fails is told of in the text.

local DEPTH = 6 -- tables in tables
local ENTRIES = 100 -- of one table
local TOTAL = 1000 -- entries of all tables
local LENGTH = 2000 -- bytes of a string inside a table
local ALONE = 20000 -- bytes of a string that is in no table
local SHORT = 20 -- bytes of an entry that shares its line
local WIDTH = 78 -- columns

local ESCAPES = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"',
  ["\a"] = "\\a", ["\b"] = "\\b", ["\f"] = "\\f", ["\v"] = "\\v" }

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then
  true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

local function escape(c)
  return ESCAPES[c] or ("\\x%02x"):format(c:byte())
end

--- A string as Lua reads it; what is UTF-8 stays as it is.
local function quote(text, limit)
  local rest = ""
  if #text > limit then
    rest = ("... (%d bytes)"):format(#text)
    text = text:sub(1, (utf8.offset(text, 0, limit + 1) or limit + 1) - 1)
  end
  text = text:gsub('[%c"\\]', escape)
  if not utf8.len(text) then text = text:gsub("[\x80-\xff]", escape) end
  return '"' .. text .. '"' .. rest
end

--- What tostring says, whatever happens in it.
local function described(value)
  local ok, text = pcall(tostring, value)
  if ok then return text end
  return ("<%s, whose __tostring fails: %s>"):format(type(value), described(text))
end

local function is_named(value)
  local meta = debug.getmetatable(value)
  if type(meta) ~= "table" then return false end
  return rawget(meta, "__tostring") ~= nil or type(rawget(meta, "__name")) == "string"
end

--- Numbers before strings before all else; what has no order is as described.
local RANKS = { number = 1, string = 2, boolean = 3 }

local function precedes(a, b)
  local rank_a, rank_b = RANKS[type(a)] or 4, RANKS[type(b)] or 4
  if rank_a ~= rank_b then return rank_a < rank_b end
  if rank_a <= 2 then return a < b end
  return described(a) < described(b)
end

local function keys_after(list_length, t)
  local keys = {}
  for key in next, t do
    if not (math.type(key) == "integer" and key >= 1 and key <= list_length) then keys[#keys + 1] = key end
  end
  table.sort(keys, precedes)
  return keys
end

local show_value

local function show_key(key, state)
  if type(key) == "string" then
    if key:find("^[%a_][%w_]*$") and not KEYWORDS[key] then return key end
    return "[" .. quote(key, LENGTH) .. "]"
  end
  return "[" .. (type(key) == "table" and described(key) or show_value(key, state, "")) .. "]"
end

--- The entries of a table as texts, and how many of them are the list's.
local function entries_of(t, state, indent)
  local entries, left = {}, 0
  local function add(prefix, value)
    if #entries >= ENTRIES or state.total >= TOTAL then
      left = left + 1
      return
    end
    state.total = state.total + 1
    entries[#entries + 1] = prefix .. show_value(value, state, indent)
  end
  local length = 0
  while rawget(t, length + 1) ~= nil do
    length = length + 1
    add("", rawget(t, length))
  end
  local listed = #entries
  for _, key in ipairs(keys_after(length, t)) do add(show_key(key, state) .. " = ", rawget(t, key)) end
  if left > 0 then entries[#entries + 1] = ("... %d more"):format(left) end
  return entries, listed
end

--- Entries in lines: those that are short and of the list share one as long as there is room.
local function lines_of(entries, listed, room)
  local lines, shared = {}, false
  for i, entry in ipairs(entries) do
    local is_short = i <= listed and #entry <= SHORT
    local last = lines[#lines]
    if shared and is_short and #last + #entry + 3 <= room then
      lines[#lines] = last .. ", " .. entry
    else
      lines[#lines + 1] = entry
    end
    shared = is_short
  end
  return lines
end

local function show_table(t, state, indent)
  if state.open[t] then return "<cycle>" end
  if next(t) == nil then return "{}" end
  if state.depth >= DEPTH then return "{...}" end
  state.open[t], state.depth = true, state.depth + 1
  local inner = indent .. "  "
  local entries, listed = entries_of(t, state, inner)
  state.open[t], state.depth = nil, state.depth - 1
  local line = "{ " .. table.concat(entries, ", ") .. " }"
  if #indent + #line <= state.width and not line:find("\n", 1, true) then return line end
  local lines = lines_of(entries, listed, state.width - #inner)
  return "{\n" .. inner .. table.concat(lines, ",\n" .. inner) .. "\n" .. indent .. "}"
end

function show_value(value, state, indent)
  if type(value) == "string" then return quote(value, state.depth > 0 and LENGTH or ALONE) end
  if type(value) == "table" and not is_named(value) then return show_table(value, state, indent) end
  return described(value)
end

---@param value any
---@param width? integer columns of a line, by default 78
---@return string
return function(value, width)
  return show_value(value, { open = {}, depth = 0, total = 0, width = width or WIDTH }, "")
end
