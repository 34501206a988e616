-- bench/site.lua -- what the benchmarks ask: an nginx on loopback, in plain HTTP/1.1 and in HTTP/2 over TLS,
-- with a small document at /25 and large ones at /pokemon/1 ...; its certificate is of a throw-away CA.
-- Owner:  closing it ends nginx and removes the files.
-- Errors: those of nginx, openssl and the system, raised.
local authority = require "spec.helper.authority"
local nginx = require "spec.helper.nginx"

local SMALL <const> = '{"id":25,"name":"pikachu","height":4,"weight":60,"types":["electric"],"species":'
  .. '{"name":"pikachu","url":"http://127.0.0.1:8080/api/v2/pokemon-species/25"}}'
assert(#SMALL == 155)

local Site = {}
Site.__index = Site

function Site:close()
  self.server:close()
  self.certificates:close()
end

Site.__close = Site.close

--- Starts it.
---@param documents integer how many large ones
---@param pin string words of the shell that keep a process on the core of servers, given its id
---@return table site `url`, `tls_url`, `ca`; for a <close> variable
return function(documents, pin)
  local certificates = authority.new()
  local ok, server, url = pcall(nginx.start, function(root)
    nginx.write(root .. "/25", SMALL)
    assert(os.execute(("mkdir %s/pokemon && bin/rille bench/documents.lua %s/pokemon %d"):format(root, root,
      documents)))
  end, {
    http = "keepalive_requests 1000000000; keepalive_timeout 3600; http2_max_concurrent_streams 200;",
    servers = { { tls = certificates.localhost, http2 = true } },
  })
  if not ok then
    certificates:close()
    error(server, 0)
  end
  local site = setmetatable({
    server = server, certificates = certificates, url = url, tls_url = server.urls[1], ca = certificates.ca,
  }, Site)
  local pid = server.process:pid()
  local command = ("for p in %s $(pgrep -P %s); do %s $p; done >/dev/null"):format(pid, pid, pin)
  assert(pin == "" or os.execute(command))
  return site
end
