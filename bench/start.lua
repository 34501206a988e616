-- bench/start.lua -- a script that requires a module of rille and one of a file, for the row "build" of bench/rows.lua.
require "rille.http"
require "rivals"
