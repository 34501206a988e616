--- rille.complete: what a line of Lua may go on with, for the REPL (internal).
-- Model:  names are looked up in tables and in the tables that are their __index, raw: nothing of the program
--         is run. In the string of a `require` the names are those of modules: loaded, preloaded, or in the
--         folders of package.path and package.cpath.
-- Owner:  nothing is kept.
-- Errors: none.

local repl = require "rille.host.repl"

local KEYWORDS = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then
  true until while]]):gmatch("%a+") do KEYWORDS[word] = true end

local CHAIN = 20 -- tables that are each other's __index

--- The table whose fields a value has: itself, or its metatable's __index.
local function next_fields(value)
  local meta = debug.getmetatable(value)
  local index = type(meta) == "table" and rawget(meta, "__index")
  return type(index) == "table" and index or nil
end

--- The tables that a field of the value is looked up in, in order.
local function fields_of(value)
  local tables = {}
  local t = type(value) == "table" and value or next_fields(value)
  while t and #tables < CHAIN do
    tables[#tables + 1] = t
    t = next_fields(t)
  end
  return tables
end

local function field(value, name)
  for _, t in ipairs(fields_of(value)) do
    local v = rawget(t, name)
    if v ~= nil then return v end
  end
end

local function begins_with(text, prefix)
  return text:sub(1, #prefix) == prefix
end

--- Adds to the set the names of the value's fields; after a colon, of functions only.
local function add_fields(set, value, prefix, methods_only)
  for _, t in ipairs(fields_of(value)) do
    for key, v in next, t do
      if type(key) == "string" and key:find("^[%a_][%w_]*$") and begins_with(key, prefix)
        and not KEYWORDS[key] and (not methods_only or type(v) == "function") then
        set[key] = true
      end
    end
  end
end

--- Names: "prefix", "a.b.prefix", "a.b:prefix".
local function names(text)
  local path, prefix = text:match("([%a_][%w_%.:]*[%.:])([%w_]*)$")
  if not path then
    prefix = text:match("([%a_][%w_]*)$")
    if not prefix then return "", {} end
    local before = text:sub(1, #text - #prefix)
    if before:find("[%.:%w]$") and not before:find("%.%.$") then return prefix, {} end
    local set = {}
    add_fields(set, _G, prefix, false)
    for word in pairs(KEYWORDS) do
      if begins_with(word, prefix) then set[word] = true end
    end
    return prefix, set
  end
  local start = #text - #path - #prefix
  if text:sub(start, start):find("[%]%)\"'%.:]") then return prefix, {} end -- of a value not known yet
  local value, set = _G, {}
  for name in path:gmatch("[^%.:]+") do
    value = field(value, name)
    if value == nil then return prefix, {} end
  end
  add_fields(set, value, prefix, path:sub(-1) == ":")
  return prefix, set
end

--- Modules in the folder that a template such as "./?.lua" leads to, for a prefix such as "pl.pre".
local function add_files(set, template, prefix)
  local root, tail = template:match("^([^?]*)%?([^?]*)$")
  if not root then return end
  local package_name = prefix:match("^(.*)%.") or ""
  local within = package_name ~= "" and package_name .. "." or ""
  local folder = root .. within:gsub("%.", "/")
  for _, entry in ipairs(repl.names(folder == "" and "." or folder)) do
    local name
    if tail:sub(1, 1) == "/" then -- ?/init.lua
      local file = entry:sub(-1) == "/" and io.open(folder .. entry .. tail:sub(2), "rb")
      if file then
        file:close()
        name = entry:sub(1, -2)
      end
    elseif entry:sub(-1) == "/" then
      name = entry:sub(1, -2) .. "."
    elseif #tail > 0 and entry:sub(-#tail) == tail then
      name = entry:sub(1, -#tail - 1)
    end
    if name and name:find("^[%w_%-]+%.?$") and begins_with(within .. name, prefix) then
      set[within .. name] = true
    end
  end
end

--- Names of modules; the host's own inner ones are not for scripts.
local function modules(prefix)
  local set = {}
  for _, known in ipairs({ package.loaded, package.preload }) do
    for name in next, known do
      if type(name) == "string" and begins_with(name, prefix) and not begins_with(name, "rille.") then
        set[name] = true
      end
    end
  end
  for _, name in ipairs({ "stream", "http", "server", "json", "lines", "sse", "test" }) do
    if begins_with("rille." .. name, prefix) then set["rille." .. name] = true end
  end
  for template in (package.path .. ";" .. package.cpath):gmatch("[^;]+") do
    add_files(set, template, prefix)
  end
  return set
end

---@param text string the line up to the cursor
---@return string prefix the part of it that the candidates go on from
---@return string[] candidates in order, each beginning with the prefix
return function(text)
  local set
  local prefix = text:match("require%s*%(?%s*[\"']([%w_%.%-]*)$")
  if not prefix then
    prefix, set = names(text)
  else
    set = modules(prefix)
  end
  local candidates = {}
  for name in pairs(set) do candidates[#candidates + 1] = name end
  table.sort(candidates)
  return prefix, candidates
end
