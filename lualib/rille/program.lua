--- rille.program: the main task of a program that `rille build` has made (internal; host/main.c's).
-- Model:  the command line is the script's, and LUA_INIT nobody's. A searcher finds the modules that are in
--         the program before those of the file system.
-- Owner:  a C library is loaded once for all of its modules, and stays.
-- Errors: a text that is damaged is one line, status 1. A library that cannot be loaded fails its require.

local program = require "rille.host.program"

local loadlib = package.loadlib

local libraries = {} -- by their paths where the program was built

--- The function of a C module. Its note is "symbol path".
local function open(name, note)
  local symbol, path = note:match("^(%S+) (.*)$")
  libraries[path] = libraries[path] or program.library("c:" .. name)
  local loader, message = loadlib(libraries[path], symbol)
  if loader then return loader, path end
  error(("error loading module '%s', which was built in from '%s':\n\t%s"):format(name, path, message), 0)
end

local function search(name)
  local chunk, path = program.load("lua:" .. name)
  if chunk then return chunk, path end
  local note = program.note("c:" .. name)
  if note then return open(name, note) end
  return ("not in this program (rille build --include %s puts it in)"):format(name)
end

--- What the main task runs: a function and its arguments.
---@param argv string[] the program at 0
return function(argv)
  warn("@on") -- as in the command
  _G.require = require "rille.require"
  table.insert(package.searchers, 2, search) -- behind that of what the host has
  _G.arg = { [0] = program.path(), table.unpack(argv) }
  local chunk = program.load("main") or error("this program is damaged: build it again", 0)
  return chunk, table.unpack(argv)
end
