-- nghttpd.lua -- nghttp2's server for a spec, on loopback: HTTP/2 over TLS, or in clear text.
-- Model:  it serves files, and gives back what POST and PUT send. In clear text it takes prior knowledge
--         and the upgrade.
-- Owner:  closing what `start` gives ends it and removes its files.
-- Errors: a server that does not come up raises its output.
local daemon = require "spec.helper.daemon"

local nghttpd = {}

--- Starts nghttpd.
---@param fill fun(root: string) writes the files below a directory
---@param options? { tls: authority.certificate?, arguments: string[]? } such as {"--trailer", "x-sum: 1"}
---@return daemon server for a <close> variable; `root` is the directory of the files; its log has the frames
---  when "-v" is among the arguments
---@return string url without a slash at its end
function nghttpd.start(fill, options)
  options = options or {}
  local directory = daemon.directory()
  fill(directory)
  local server = daemon.start(function(ports)
    local words = { "nghttpd", "-a", "127.0.0.1", "-d", directory, "--echo-upload" }
    table.move(options.arguments or {}, 1, #(options.arguments or {}), #words + 1, words)
    if not options.tls then words[#words + 1] = "--no-tls" end
    words[#words + 1] = ports[1]
    if options.tls then table.move({ options.tls.key, options.tls.certificate }, 1, 2, #words + 1, words) end
    return words
  end, { directory = directory })
  server.root = directory
  return server, ("%s://127.0.0.1:%d"):format(options.tls and "https" or "http", server.port)
end

return nghttpd
