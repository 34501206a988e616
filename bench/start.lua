-- bench/start.lua -- a script that requires a module of rille and one of a file, for the row "build".
require "rille.http"
require "document"
