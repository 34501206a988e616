--- require, as in the manual, for modules that wait while they are loaded.
-- Lua's own is a C function that a wait cannot cross. A module that two tasks require at once is loaded
-- once: the second waits for the first.

local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

local loaded = package.loaded
local loading = {} -- name -> { task = who loads it, list = who waits for that }

--- The loader for a module and the value it is called with, from the first searcher that knows it.
local function find(name)
  local searchers = package.searchers
  if type(searchers) ~= "table" then error("'package.searchers' must be a table", 3) end
  local tried = {}
  for _, searcher in ipairs(searchers) do
    local loader, data = searcher(name)
    if type(loader) == "function" then return loader, data end
    if type(loader) == "string" then tried[#tried + 1] = loader end
  end
  local near = require "rille.near"(name)
  if near then tried[#tried + 1] = ("did you mean '%s'?"):format(near) end
  local reasons = table.concat(tried, "\n\t")
  error(("module '%s' not found:%s"):format(name, reasons ~= "" and "\n\t" .. reasons or ""), 3)
end

--- Lets go those who wait for a module, loaded or not: they look again.
local Entry = {
  __close = function(entry)
    loading[entry.name] = entry.outer
    entry.list:wake_all()
  end,
}

---@param ... string the module's name
---@return any module
---@return any data what the searcher found it by, if this call loaded it
return function(...)
  local name = ...
  if type(name) == "number" then name = tostring(name) end
  if type(name) ~= "string" then
    error(("bad argument #1 to 'require' (string expected, got %s)"):format(
      select("#", ...) == 0 and "no value" or type(name)), 2)
  end
  local me = task.current()
  while not loaded[name] and loading[name] and loading[name].task ~= me do
    loading[name].list:wait()
  end
  if loaded[name] then return loaded[name] end
  local entry <close> = setmetatable({
    name = name, task = me, list = waitlist.new(("require '%s'"):format(name)), outer = loading[name],
  }, Entry)
  loading[name] = entry
  local loader, data = find(name)
  local value = loader(name, data)
  if value ~= nil then
    loaded[name] = value
  elseif loaded[name] == nil then
    loaded[name] = true
  end
  return loaded[name], data
end
