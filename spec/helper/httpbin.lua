-- httpbin.lua -- httpbin (python3-httpbin) under gunicorn, for a spec, on loopback.
-- Model:  one worker with threads, so that connections are kept and a slow answer holds up no other.
-- Owner:  closing what `start` gives ends it and removes its files.
-- Errors: a server that does not come up raises its output.
local daemon = require "spec.helper.daemon"
local http = require "rille.http"

local httpbin = {}

--- Starts httpbin, and waits until it answers.
---@return daemon server for a <close> variable
---@return string url without a slash at its end
function httpbin.start()
  local directory = daemon.directory()
  local server = daemon.start(function(ports)
    return {
      "env", "PYTHONDONTWRITEBYTECODE=1", "gunicorn", "--worker-class", "gthread", "--threads", "32",
      "--keep-alive", "60", "--graceful-timeout", "0", "--worker-tmp-dir", directory,
      "--bind", ("127.0.0.1:%d"):format(ports[1]), "httpbin:app",
    }
  end, { directory = directory })
  local url = ("http://127.0.0.1:%d"):format(server.port)
  local ok, err = pcall(http.get, url .. "/get", { timeout = 60, proxy = "" })
  if not ok then
    local log = server:log()
    server:close()
    error(("httpbin does not answer: %s\n%s"):format(tostring(err), log), 0)
  end
  return server, url
end

return httpbin
