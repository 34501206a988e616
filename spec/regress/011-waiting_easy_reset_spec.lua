-- An easy handle whose request was given up while it waited for a connection kept libcurl's buffer; set back
-- for the next request, it refused CURLOPT_BUFFERSIZE, and that request ended with ENOMEM.
local http = require("rille.http")
local rille = require("rille")

describe("a request that is cancelled while it waits for a connection", function()
  it("leaves nothing to the next request of its client", function()
    local gate = rille.event()
    local server <close> = http.serve({ port = 0 }, function(req)
      if req.path == "/held" then gate:wait() end
      return { body = "fine" }
    end)
    local client <close> = http.client {
      base_url = ("http://127.0.0.1:%d"):format(server.port), max_connections = 1,
    }
    local holder = rille.spawn(client.get, client, "/held")
    local waiting = rille.spawn(client.get, client, "/", { user_agent = "x" })
    for _ = 1, 20 do rille.sleep(0) end
    waiting:cancel()
    waiting:join()
    gate:set()
    assert.equal("fine", holder:await():text())
    local function again() return client:get("/", { user_agent = "y" }):text() end
    assert.same({ "fine", "fine" }, rille.all { again, again }) -- with both easy handles
  end)
end)
