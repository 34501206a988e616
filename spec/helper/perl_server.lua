-- perl_server.lua -- servers in Perl that specs need since no good server does what they do: fault_server.pl,
-- upload_server.pl, script_server.pl, scripted_server.pl.
-- Owner:  who starts one closes it.
-- Errors: a server that does not come up raises.
local process = require "spec.helper.process"

--- Starts spec/helper/NAME.pl.
---@param name string
---@param ... string  its arguments
---@return process server
---@return string url  without a slash at its end
return function(name, ...)
  local server = process.start { "perl", "spec/helper/" .. name .. ".pl", ... }
  return server, "http://127.0.0.1:" .. server:expect("port (%d+)\n")
end
