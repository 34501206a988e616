-- proxy.lua -- proxies for a spec, on loopback: tinyproxy for HTTP (CONNECT too), microsocks for SOCKS5.
-- Model:  with a user and a password, who does not give them is refused. The log of a proxy names the
--         servers that it connected to.
-- Owner:  closing what `http` and `socks` give ends the proxy and removes its files.
-- Errors: a proxy that does not come up raises its output.
local daemon = require "spec.helper.daemon"

local CONFIG = [[
Port %d
Listen 127.0.0.1
Allow 127.0.0.1
LogLevel Info
MaxClients 200
%s
%s
]]

local proxy = {}

--- Starts an HTTP proxy.
---@param options? { user: string?, password: string?, text: string? } directives of tinyproxy as text
---@return daemon server for a <close> variable
---@return string url "http://127.0.0.1:PORT"
function proxy.http(options)
  options = options or {}
  local directory = daemon.directory()
  local auth = options.user and ("BasicAuth %s %s"):format(options.user, options.password) or ""
  local server = daemon.start(function(ports)
    daemon.write(directory .. "/conf", CONFIG:format(ports[1], auth, options.text or ""))
    return { "tinyproxy", "-d", "-c", directory .. "/conf" }
  end, { directory = directory })
  return server, ("http://127.0.0.1:%d"):format(server.port)
end

--- Starts a SOCKS5 proxy.
---@param options? { user: string?, password: string? }
---@return daemon server for a <close> variable
---@return string address "127.0.0.1:PORT", to be put after socks5:// or socks5h://
function proxy.socks(options)
  local server = daemon.start(function(ports)
    local words = { "microsocks", "-i", "127.0.0.1", "-p", ports[1] }
    if options and options.user then
      table.move({ "-u", options.user, "-P", options.password }, 1, 4, #words + 1, words)
    end
    return words
  end)
  return server, ("127.0.0.1:%d"):format(server.port)
end

return proxy
