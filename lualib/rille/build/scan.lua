--- rille.build.scan: what a source requires, and which assets it reads (internal; a part of `rille build`).
-- Model:  tokens, as Lua reads them: what is in comments and strings is none. A call of `require`, or of
--         `rille.asset`, has a literal name or a computed one; `pcall(require, "x")` is a call too. What is
--         within the parentheses of a pcall may fail. Nothing is evaluated: `require` under another name is
--         not seen.
-- Owner:  nothing is kept.
-- Errors: none; the source is one that Lua has compiled.

---@class rille.build.Use
---@field kind "require"|"asset"
---@field name string|nil nil: it is computed
---@field line integer
---@field is_optional boolean|nil it is within a pcall

---@class rille.build.Token
---@field kind "name"|"string"|"other"
---@field text string of a string the literal as it is written
---@field line integer

-- The end of what a long bracket opens at a position; nil if there is none.
local function long_bracket(text, at)
  local level = text:match("^%[(=*)%[", at)
  if not level then return nil end
  local _, stop = text:find("]" .. level .. "]", at + #level + 2, true)
  return stop or #text
end

local function quoted(text, at)
  local quote, i = text:sub(at, at), at + 1
  while true do
    i = text:find("[\\" .. quote .. "]", i)
    if not i then return #text end
    if text:sub(i, i) == quote then return i end
    i = i + 2
  end
end

local function comment(text, at)
  return long_bracket(text, at + 2) or (text:find("\n", at, true) or #text + 1) - 1
end

-- The kind of the token at a position, and its end. Blanks and comments have no kind.
local function token_at(text, at)
  local _, stop = text:find("^%s+", at)
  if stop then return nil, stop end
  _, stop = text:find("^[%a_][%w_]*", at)
  if stop then return "name", stop end
  if text:find("^%-%-", at) then return nil, comment(text, at) end
  if text:find("^[\"']", at) then return "string", quoted(text, at) end
  stop = long_bracket(text, at)
  if stop then return "string", stop end
  _, stop = text:find("^%.?%d[%w_.]*", at) -- a number
  if not stop then _, stop = text:find("^%.+", at) end
  return "other", stop or at
end

---@return rille.build.Token[]
local function tokens_of(text)
  local list, at, line = {}, 1, 1
  while at <= #text do
    local kind, stop = token_at(text, at)
    local token = text:sub(at, stop)
    if kind then list[#list + 1] = { kind = kind, text = token, line = line } end
    if kind ~= "name" then line = line + select(2, token:gsub("\n", "")) end
    at = stop + 1
  end
  return list
end

local NONE = { kind = "other", text = "", line = 0 }
local Tokens = { __index = function() return NONE end } -- before the first, behind the last

local function is(token, kind, text) return token.kind == kind and token.text == text end

local function value_of(token) return load("return " .. token.text, "=literal", "t", {})() end

local PCALL = { pcall = true, xpcall = true }

-- Is the name at i a field of another name, such as of _G?
local function is_field_of(tokens, i, owners)
  return is(tokens[i - 1], "other", ".") and tokens[i - 2].kind == "name" and owners[tokens[i - 2].text]
end

local GLOBALS, RILLE = { _G = true, _ENV = true }, { rille = true }

-- `require "rille".asset` and `require("rille").asset`
local function is_field_of_call(tokens, i)
  if not is(tokens[i - 1], "other", ".") then return false end
  local name, before = i - 2, i - 3
  if is(tokens[name], "other", ")") then name, before = i - 3, i - 5 end
  local is_rille = tokens[name].kind == "string" and value_of(tokens[name]) == "rille"
  return is_rille and is(tokens[before], "name", "require")
end

-- What the name at i says that is called: nil for nothing of interest.
local function kind_at(tokens, i)
  local token, before = tokens[i], tokens[i - 1]
  if is(token, "name", "asset") and (is_field_of(tokens, i, RILLE) or is_field_of_call(tokens, i)) then
    return not is(tokens[i - 3], "name", "function") and "asset" or nil
  end
  if not is(token, "name", "require") or is(before, "other", ":") or is(before, "name", "function") then
    return nil
  end
  return (not is(before, "other", ".") or is_field_of(tokens, i, GLOBALS)) and "require" or nil
end

-- The name that is the whole argument at i; nil: it is computed.
local function argument_at(tokens, i)
  local after = tokens[i + 1]
  local is_whole = tokens[i].kind == "string" and (is(after, "other", ")") or is(after, "other", ","))
  return is_whole and value_of(tokens[i]) or nil
end

-- The place behind the comma that ends the argument at i.
local function next_argument(tokens, i)
  local depth = 0
  while tokens[i] ~= NONE do
    local text = tokens[i].kind == "other" and tokens[i].text
    if text == "," and depth == 0 then return i + 1 end
    if text == "(" or text == "{" then depth = depth + 1 end
    if text == ")" or text == "}" then depth = depth - 1 end
    i = i + 1
  end
  return i
end

-- The call, if there is one, of what the name at i is.
local function call_at(tokens, i, kind, protector)
  local use = { kind = kind, line = tokens[i].line, is_optional = protector ~= nil }
  if tokens[i + 1].kind == "string" then
    use.name = value_of(tokens[i + 1])
  elseif is(tokens[i + 1], "other", "(") then
    use.name = argument_at(tokens, i + 2)
  elseif protector and is(tokens[i + 1], "other", ",") then -- pcall(require, "x"), xpcall(require, f, "x")
    local argument = i + 2
    if protector == "xpcall" then argument = next_argument(tokens, argument) end
    use.name = argument_at(tokens, argument)
  else
    return nil
  end
  return use
end

---@param text string
---@return rille.build.Use[]
return function(text)
  local tokens, uses = setmetatable(tokens_of(text), Tokens), {}
  local protectors, depth = {}, 0 -- of each open parenthesis: the pcall before it, or that around it
  for i = 1, #tokens do
    if is(tokens[i], "other", "(") then
      depth = depth + 1
      local before = tokens[i - 1]
      local is_pcall = before.kind == "name" and PCALL[before.text]
      protectors[depth] = is_pcall and before.text or protectors[depth - 1]
    elseif is(tokens[i], "other", ")") then
      depth = depth - 1
    end
    local kind = kind_at(tokens, i)
    if kind then uses[#uses + 1] = call_at(tokens, i, kind, protectors[depth]) end
  end
  return uses
end
