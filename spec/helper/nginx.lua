-- nginx.lua -- an nginx of its own for a spec, on loopback, serving files.
-- Model:  one server in plain HTTP, and any number of others, each on a port of its own.
-- Owner:  closing what `start` gives ends nginx and removes its files.
-- Errors: those of the system, raised; an nginx that does not come up, with its output.
local daemon = require "spec.helper.daemon"

local CONFIG = [[
daemon off;
user root;
worker_processes 1;
pid DIR/pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/json;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  MORE
  SERVERS
}
]]

---@class nginx.server one more server
---@field tls? authority.certificate
---@field http2? boolean
---@field text? string its directives

---@class nginx.options
---@field http? string directives of the http block
---@field server? string directives of the first server
---@field servers? nginx.server[] more of them

local nginx = { write = daemon.write }

--- The text of a server, and the scheme of its URLs.
local function block(server, port)
  local listen = ("127.0.0.1:%d"):format(port)
  local lines = { "root DIR/root;" }
  if server.tls then
    listen = listen .. " ssl"
    lines[#lines + 1] = ("ssl_certificate %s; ssl_certificate_key %s;")
      :format(server.tls.certificate, server.tls.key)
  end
  if server.http2 then listen = listen .. " http2" end
  return ("server { listen %s; %s %s }"):format(listen, table.concat(lines, " "), server.text or "")
end

local function configure(options, directory, ports)
  local blocks = {}
  for i, server in ipairs(options.servers) do blocks[i] = block(server, ports[i]) end
  local text = { MORE = options.http or "", SERVERS = table.concat(blocks, "\n  ") }
  return (CONFIG:gsub("%u+", text):gsub("%f[%w]DIR/", directory .. "/"))
end

--- Starts nginx.
---@param fill fun(root: string) writes the files below a directory
---@param options? nginx.options|string a text: directives of the http block
---@return daemon server for a <close> variable; `urls` has the others', `root` the directory of the files
---@return string url of the first server, without a slash at its end
function nginx.start(fill, options)
  if type(options) ~= "table" then options = { http = options } end
  local directory = daemon.directory()
  local servers = { { text = options.server }, table.unpack(options.servers or {}) }
  assert(os.execute(("mkdir %s/root"):format(directory)))
  fill(directory .. "/root")
  assert(os.execute(("chmod -R a+rX %s"):format(directory)))
  local server = daemon.start(function(ports)
    local config = directory .. "/nginx.conf"
    nginx.write(config, configure({ http = options.http, servers = servers }, directory, ports))
    return { "nginx", "-e", "stderr", "-c", config }
  end, { ports = #servers, directory = directory })
  server.root = directory .. "/root"
  server.urls = {}
  for i = 2, #servers do
    server.urls[i - 1] = ("%s://127.0.0.1:%d"):format(servers[i].tls and "https" or "http", server.ports[i])
  end
  return server, ("http://127.0.0.1:%d"):format(server.port)
end

return nginx
