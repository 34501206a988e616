-- nginx.lua -- an nginx of its own for a spec, on loopback, serving files.
-- Owner:  closing what `start` gives ends nginx and removes its files.
-- Errors: those of the system, raised.
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"

local CONFIG = [[
daemon off;
worker_processes 1;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 64; }
http {
  access_log off;
  default_type application/json;
  client_body_temp_path DIR/body; proxy_temp_path DIR/proxy; fastcgi_temp_path DIR/fastcgi;
  uwsgi_temp_path DIR/uwsgi; scgi_temp_path DIR/scgi;
  MORE
  server { listen 127.0.0.1:PORT; root DIR/root; }
}
]]

local nginx = {}

function nginx.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function free_port()
  local server = http.serve({ port = 0 }, function() return {} end)
  local port = server.port
  server:close()
  return port
end

--- Starts nginx.
---@param fill fun(root: string) writes the files below a directory
---@param more? string directives of the http block
---@return table server for a <close> variable
---@return string url without a slash at its end
function nginx.start(fill, more)
  local dir = os.tmpname()
  os.remove(dir)
  assert(os.execute(("mkdir -p %s/root"):format(dir)))
  fill(dir .. "/root")
  assert(os.execute(("chmod -R a+rX %s"):format(dir)))
  local port = free_port()
  local config = CONFIG:gsub("MORE", { MORE = more or "" }):gsub("DIR", dir):gsub("PORT", port)
  nginx.write(dir .. "/nginx.conf", config)
  local running = process.start { "nginx", "-e", dir .. "/error.log", "-c", dir .. "/nginx.conf" }
  local url = ("http://127.0.0.1:%d"):format(port)
  for _ = 1, 200 do
    if pcall(http.head, url) then break end
    rille.sleep(0.02)
  end
  return setmetatable({}, { __close = function()
    running:signal("TERM")
    running:wait()
    running:close()
    assert(os.execute("rm -rf " .. dir))
  end }), url
end

return nginx
