-- scripted.lua -- a server that says what it is told to (scripted_server.pl), for specs.
-- Owner:  closing what `start` gives ends it.
-- Errors: a server that does not come up raises.
local perl_server = require "spec.helper.perl_server"

local scripted = {}

--- Starts one; each argument is a connection, as told in scripted_server.pl.
---@return process server for a <close> variable
---@return string address "127.0.0.1:PORT"
function scripted.start(...)
  local server, url = perl_server("scripted_server", ...)
  return server, url:match("//(.*)")
end

--- Waits for the end of its last connection; what it was sent, a text for each read.
---@return string[]
function scripted.got(server)
  server:expect("done\n")
  local texts = {}
  for text in server:stdout():gmatch("got ([^\n]*)") do texts[#texts + 1] = text end
  return texts
end

return scripted
