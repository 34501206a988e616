--- rille.build.find: the file of a module, as require would find it (internal; a part of `rille build`).
-- Model:  the directory of the script, then package.path; then the same for C libraries and package.cpath,
--         and the library of the module's first name that has its function. What the host has itself is
--         built in.
-- Owner:  libraries that were looked into stay loaded; none of their functions is called.
-- Errors: a library that cannot be loaded is told in words.

local BUILT_IN = {}
for name in pairs(package.preload) do BUILT_IN[name] = true end
for _, name in ipairs {
  "_G", "coroutine", "debug", "io", "math", "os", "package", "string", "table", "utf8",
} do BUILT_IN[name] = true end

local separator = package.config:match("^[^\n]*\n([^\n]*)")

---@class rille.build.Place
---@field path string
---@field symbol string|nil of a C module: its function
---@field is_built_in boolean|nil then it has no path

-- The functions that a library may have for a module, as in the manual: what is before a hyphen, or after it.
local function symbols(name)
  local plain = name:gsub("%.", "_")
  local before, after = plain:match("^([^-]*)%-(.*)$")
  return before and { "luaopen_" .. before, "luaopen_" .. after } or { "luaopen_" .. plain }
end

-- The symbol of a module in a library. Or nil, and what is wrong with the library unless it just lacks it.
local function look_into(path, name)
  for _, symbol in ipairs(symbols(name)) do
    local loader, message, where = package.loadlib(path, symbol)
    if loader then return symbol end
    if where ~= "init" then return nil, message end
  end
end

local function find_library(name, paths)
  local path = package.searchpath(name, paths)
  if path then
    local symbol, message = look_into(path, name)
    if symbol then return { path = path, symbol = symbol } end
    return nil, ("'%s' cannot be loaded: %s"):format(path, message or "it has no function for the module")
  end
  local root = name:match("^(.-)%.")
  path = root and package.searchpath(root, paths)
  if not path then return nil end
  local symbol, message = look_into(path, name)
  if symbol then return { path = path, symbol = symbol } end
  return nil, message and ("'%s' cannot be loaded: %s"):format(path, message)
end

---@param name string of a module
---@param directory string of the script: "" or ended by a slash
---@return rille.build.Place|nil
---@return string|nil message why there is none, if it is not just that no file has the name
return function(name, directory)
  if BUILT_IN[name] then return { is_built_in = true } end
  if directory == "" then directory = "./" end
  local beside = { directory .. "?.lua", directory .. "?/init.lua", package.path }
  local path = package.searchpath(name, table.concat(beside, separator))
  if path then return { path = path } end
  return find_library(name, table.concat({ directory .. "?.so", package.cpath }, separator))
end
