-- The HTTP client against nginx: connections kept and closed, codings, ranges, uploads, TLS, many at once.
local rille = require "rille"
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"

local failure, has, eventually = expect.caught, expect.has, expect.eventually

local LINE = "the quick brown fox jumps over the lazy dog\n"
local TEXT = LINE:rep(3000)
local LARGE = 24 << 20

-- $connection counts connections, $connection_requests the requests of one.
local COMMON = [[
  add_header X-Connection $connection always;
  add_header X-Requests $connection_requests always;
]]

local PLAIN = COMMON .. [[
  client_max_body_size 64m;
  location /status { stub_status; }
  location /three { keepalive_requests 3; try_files /small =404; }
  location /brief { keepalive_timeout 20ms; try_files /small =404; }
  location /alone { keepalive_timeout 0; try_files /small =404; }
  location /gzip/ { alias DIR/root/; gzip on; gzip_types *; gzip_min_length 1; gzip_vary on; }
  location /dav/ { alias DIR/root/dav/; dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
  location /tight/ { alias DIR/root/dav/; dav_methods PUT; client_max_body_size 1k; }
  location /drop { return 444; }
  location /gone { return 410 "gone for good\n"; }
  location /slow { limit_rate 1k; try_files /large =404; }
  location /dead { proxy_pass http://127.0.0.1:1; }
]]

local function fill(root)
  nginx.write(root .. "/small", "small")
  nginx.write(root .. "/text", TEXT)
  nginx.write(root .. "/empty", "")
  assert(os.execute(("mkdir %s/dav %s/directory && head -c %d /dev/zero >%s/large")
    :format(root, root, LARGE, root)))
  nginx.write(root .. "/directory/index.html", "index")
end

describe("rille.http against nginx", function()
  local server, base

  setup(function() server, base = nginx.start(fill, { server = PLAIN }) end)
  teardown(function() server:close() end)

  --- A client whose connections are its own.
  local function new_client(options)
    options = options or {}
    options.base_url, options.proxy = base, ""
    return http.client(options)
  end

  --- Number of the connection that a response came by, and of the request on it.
  local function connection_of(res)
    return math.tointeger(res.headers["x-connection"]), math.tointeger(res.headers["x-requests"])
  end

  --- How many connections nginx has open, that of the question not counted.
  local function open_connections()
    local asking <close> = new_client()
    return math.tointeger(asking:get("/status"):text():match("Active connections: (%d+)")) - 1
  end

  -- Connections ---------------------------------------------------------------------------------

  it("keeps a connection for the next request", function()
    local client <close> = new_client()
    local first = connection_of(client:get("/small"))
    for i = 2, 50 do
      local connection, requests = connection_of(client:get(i % 2 == 0 and "/small" or "/nothing-there"))
      assert.same({ first, i }, { connection, requests })
    end
  end)

  it("opens another connection when the server's limit of requests is reached", function()
    local client <close> = new_client()
    local last, seen = nil, {}
    for i = 0, 29 do
      local res = client:get("/three")
      local connection, requests = connection_of(res)
      assert.same({ "small", i % 3 + 1 }, { res:text(), requests })
      if requests == 1 then assert.is_nil(seen[connection]) else assert.equal(last, connection) end
      seen[connection], last = true, connection
    end
  end)

  it("opens a connection for each request if the server wants it", function()
    local client <close> = new_client()
    for _ = 1, 5 do
      local res = client:get("/alone")
      local _, requests = connection_of(res)
      assert.same({ "small", "close", 1 }, { res:text(), res.headers.connection, requests })
    end
  end)

  it("does not fail because the server has closed an idle connection", function()
    local client <close> = new_client()
    local before = open_connections()
    local last
    for i = 1, 4 do
      if i % 2 == 0 then client:put("/dav/x", { body = "x" }):raise_for_status() end
      local connection = connection_of(client:get("/brief"))
      assert.not_equal(last, connection)
      last = connection
      assert.is_true(eventually(function() return open_connections() <= before end))
    end
  end)

  it("does not fail while the server reloads again and again", function()
    local client <close> = new_client()
    for _ = 1, 10 do
      local last = connection_of(client:get("/small"))
      server.process:signal("HUP")
      assert.is_true(eventually(function()
        local now
        for _ = 1, 20 do
          local res = client:get("/small")
          assert.equal("small", res:text())
          now = connection_of(res)
        end
        return now ~= last
      end))
    end
  end)

  it("reports a server that hangs up without an answer, and goes on", function()
    local client <close> = new_client()
    for _ = 1, 3 do
      assert.equal("small", client:get("/small"):text())
      local err = failure(client.get, client, "/drop")
      assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
      assert.equal(("GET %s/drop: the connection was closed before the response"):format(base), tostring(err))
    end
  end)

  it("asks a hundred at once, with a limit of connections and without", function()
    for _, options in ipairs { {}, { max_connections = 7 }, { max_per_host = 5 } } do
      local limit = options.max_connections or options.max_per_host or 100
      local client <close> = new_client(options)
      local tasks, connections, count = {}, {}, 0
      for i = 1, 100 do tasks[i] = rille.spawn(client.get, client, i % 10 == 0 and "/text" or "/small") end
      for i = 1, 100 do
        local res = tasks[i]:await()
        assert.equal(i % 10 == 0 and #TEXT or 5, #res:text())
        local connection = connection_of(res)
        if not connections[connection] then count = count + 1 end
        connections[connection] = true
      end
      assert.is_true(count <= limit, count)
    end
  end)

  -- Files ------------------------------------------------------------------------------------------

  it("gets files and their headers", function()
    local client <close> = new_client()
    local res = client:get("/text")
    assert.is_true(res:text() == TEXT)
    assert.same({ tostring(#TEXT), "bytes" }, { res.headers["content-length"], res.headers["accept-ranges"] })
    local head = client:head("/text")
    assert.same({ 200, "", tostring(#TEXT) }, { head.status, head:text(), head.headers["content-length"] })
    assert.equal("", client:get("/empty"):text())
    assert.equal("", client:get("/text", { headers = { ["If-None-Match"] = res.headers.etag } }):text())
    res = client:get("/text", { headers = { ["If-Modified-Since"] = res.headers["last-modified"] } })
    assert.same({ 304, "" }, { res.status, res:text() })
  end)

  it("gets compressed files", function()
    local client <close> = new_client()
    local res = client:get("/gzip/text")
    assert.same({ "gzip", "Accept-Encoding" }, { res.headers["content-encoding"], res.headers.vary })
    assert.is_true(res:text() == TEXT)
    local raw = client:get("/gzip/text", { decompress = false, headers = { ["Accept-Encoding"] = "gzip" } })
    assert.equal("\31\139", raw:bytes():sub(1, 2))
    assert.is_true(#raw:bytes() < #TEXT / 10)
    assert.is_true(client:get("/gzip/text", { decompress = false }):text() == TEXT)
    assert.same({ "gzip", "" }, (function()
      local head = client:head("/gzip/text")
      return { head.headers["content-encoding"], head:text() }
    end)())
    local err = failure(client.get, client, "/gzip/large", { max_body = 1 << 20 })
    assert.is_true(rille.is_error(err, "ETOOBIG"), tostring(err))
    local streamed <close> = client:stream("/gzip/text")
    local count = 0
    for line in streamed:lines() do
      count = count + 1
      assert.equal(LINE, line .. "\n")
    end
    assert.equal(3000, count)
  end)

  it("gets ranges of files", function()
    local client <close> = new_client()
    local function range(value, more)
      return client:get("/text", { headers = { Range = value, ["If-Range"] = more } })
    end
    local res = range("bytes=4-8")
    assert.same({ 206, "quick" }, { res.status, res:text() })
    assert.equal(("bytes 4-8/%d"):format(#TEXT), res.headers["content-range"])
    assert.equal("dog\n", range("bytes=-4"):text())
    res = range(("bytes=%d-"):format(#TEXT))
    assert.same({ 416, ("bytes */%d"):format(#TEXT) }, { res.status, res.headers["content-range"] })
    res = range("bytes=0-2,4-8")
    assert.equal(206, res.status)
    has(res.headers["content-type"], "multipart/byteranges; boundary=")
    has(res:text(), "\r\n\r\nquick\r\n")
    assert.equal(206, range("bytes=0-2", res.headers.etag).status)
    assert.equal(200, range("bytes=0-2", '"another"').status)
  end)

  it("follows nginx's own redirects", function()
    local client <close> = new_client()
    local res = client:get("/directory")
    assert.same({ base .. "/directory/", "index" }, { res.url, res:text() })
    assert.same({ base .. "/directory" }, res.redirects)
  end)

  it("has answers of every status for what they are", function()
    local client <close> = new_client()
    local res = client:get("/gone")
    assert.same({ 410, "Gone", "gone for good\n" }, { res.status, res.reason, res:text() })
    local err = failure(function() client:get("/missing"):raise_for_status() end)
    assert.is_true(rille.is_error(err, "ESTATUS"))
    has(err, "404 Not Found")
    assert.equal(405, client:post("/small", { body = "x" }).status)
    assert.equal(502, client:get("/dead").status)
    assert.equal(414, client:get("/" .. ("x"):rep(20000)).status)
    assert.equal(400, client:get("/small", { headers = { ["X-Long"] = ("x"):rep(40000) } }).status)
    assert.equal("small", client:get("/small"):text())
  end)

  it("takes large bodies, and bounds them", function()
    local client <close> = new_client()
    assert.equal(LARGE, #client:get("/large"):bytes())
    for _ = 1, 5 do -- on a kept connection, which may bring more than there is room for at once
      local streamed <close> = client:stream("/large")
      local size = 0
      for chunk in streamed:chunks() do size = size + #chunk end
      assert.equal(LARGE, size)
    end
    local err = failure(client.get, client, "/large", { max_body = LARGE - 1 })
    assert.is_true(rille.is_error(err, "ETOOBIG"), tostring(err))
    err = expect.patiently(function(timeout)
      local got = failure(client.get, client, "/slow", { timeout = timeout })
      return got.status and got -- else its head came too late
    end)
    assert.same({ true, "total", 200 }, { rille.is_error(err, "ETIMEDOUT"), err.phase, err.status })
  end)

  -- Uploads ----------------------------------------------------------------------------------------

  it("puts files, and does with them what WebDAV can", function()
    local client <close> = new_client()
    local function status(method, path, options)
      options = options or {}
      options.method, options.url = method, path
      return client:request(options).status
    end
    local first = client:put("/dav/a", { body = TEXT })
    assert.same({ 201, "Created", "" }, { first.status, first.reason, first:text() })
    assert.is_true(client:get("/dav/a"):text() == TEXT)
    assert.equal(204, status("PUT", "/dav/a", { body = "b" }))
    assert.equal(201, status("MKCOL", "/dav/collection/"))
    assert.equal(204, status("COPY", "/dav/a", { headers = { Destination = base .. "/dav/collection/b" } }))
    assert.equal("b", client:get("/dav/collection/b"):text())
    assert.equal(204, status("DELETE", "/dav/a"))
    assert.equal(404, client:get("/dav/a").status)
    assert.equal(201, client:put("/dav/none", { body = "" }).status)
    assert.equal("", client:get("/dav/none"):text())
  end)

  it("puts a large body, and many at once", function()
    local client <close> = new_client()
    local body = TEXT:rep(LARGE // #TEXT)
    assert.equal(201, client:put("/dav/large", { body = body }).status)
    assert.is_true(client:get("/dav/large"):bytes() == body)
    local tasks = {}
    for i = 1, 30 do
      tasks[i] = rille.spawn(function()
        client:put("/dav/many-" .. i, { body = TEXT .. i }):raise_for_status()
        return client:get("/dav/many-" .. i):text() == TEXT .. i
      end)
    end
    for i = 1, 30 do assert.is_true(tasks[i]:await()) end
  end)

  it("gives the answer of a server that does not want the rest of a body", function()
    local client <close> = new_client()
    local body = ("x"):rep(LARGE)
    for _ = 1, 10 do
      local res = client:put("/tight/a", { body = body })
      assert.same({ 413, "Request Entity Too Large" }, { res.status, res.reason })
      assert.equal("small", client:get("/small"):text())
    end
  end)
end)

describe("rille.http against nginx with TLS", function()
  local certificates, server, plain, url

  setup(function()
    certificates = authority.new()
    server, plain = nginx.start(fill, {
      servers = {
        { tls = certificates.localhost, text = COMMON .. "location /plain { return 302 $arg_to; }" },
        { tls = certificates.localhost, http2 = true, text = COMMON },
        { tls = certificates.expired },
        { tls = certificates.other },
        { tls = certificates.unknown },
        { tls = certificates.localhost, text = "ssl_protocols TLSv1.2;" },
        { tls = certificates.localhost, text = "ssl_verify_client on; ssl_client_certificate " ..
          certificates.ca .. ";" },
      },
    })
    url = server.urls
  end)

  teardown(function()
    server:close()
    certificates:close()
  end)

  local function trusting(more)
    local tls = { ca = certificates.ca }
    for name, value in pairs(more or {}) do tls[name] = value end
    return { tls = tls, proxy = "" }
  end

  --- Must fail as TLS does, for this reason.
  local function refused(address, reason, options)
    local err = failure(http.get, address .. "/small", options or trusting())
    assert.is_true(rille.is_error(err, "ETLS"), tostring(err))
    assert.same({ address .. "/small", "GET" }, { err.url, err.method })
    assert.is_nil(err.status)
    has(err, reason)
    assert.is_nil(tostring(err):find("\n", 1, true))
  end

  it("trusts its own CA, by name and by address", function()
    for _, address in ipairs { url[1], (url[1]:gsub("127.0.0.1", "localhost")), url[2], url[6] } do
      local res = http.get(address .. "/small", trusting())
      assert.same({ 200, "small" }, { res.status, res:text() })
      assert.is_true(res.timings.tls > 0)
    end
  end)

  it("keeps connections under TLS", function()
    local client <close> = http.client(trusting())
    for i = 1, 10 do
      assert.equal(i, math.tointeger(client:get(url[1] .. "/small").headers["x-requests"]))
    end
  end)

  it("refuses certificates that do not fit, and says why", function()
    refused(url[1], "unable to get local issuer certificate", { proxy = "" })
    refused(url[3], "certificate has expired")
    refused(url[4], "no alternative certificate subject name matches target host name '127.0.0.1'")
    refused(url[5], "unable to get local issuer certificate")
    assert.equal("small", http.get(url[1] .. "/small", trusting()):text())
  end)

  it("takes any certificate only when it is told that this is insecure", function()
    for i = 1, 6 do
      assert.equal("small", http.get(url[i] .. "/small", { tls = { insecure = true }, proxy = "" }):text())
    end
    -- A connection that was not verified is not used for a request that asks for it.
    local client <close> = http.client { proxy = "" }
    assert.equal("small", client:get(url[5] .. "/small", { tls = { insecure = true } }):text())
    local err = failure(client.get, client, url[5] .. "/small")
    assert.is_true(rille.is_error(err, "ETLS"), tostring(err))
    err = failure(client.get, client, url[5] .. "/small", trusting())
    assert.is_true(rille.is_error(err, "ETLS"), tostring(err))
  end)

  it("says that its own files are the trouble", function()
    refused(url[1], "CA certificates", { tls = { ca = "/nonexistent" }, proxy = "" })
    refused(url[1], "CA certificates", { tls = { ca = certificates.localhost.key }, proxy = "" })
  end)

  it("reports plain text where TLS is spoken, and TLS where plain text is", function()
    assert.equal(400, http.get((url[1]:gsub("^https", "http")) .. "/small", { proxy = "" }).status)
    refused((plain:gsub("^http", "https")), "wrong version number")
  end)

  it("reports a server that asks for a certificate, and has none", function()
    local res = http.get(url[7] .. "/small", trusting())
    assert.equal(400, res.status)
    has(res:text(), "No required SSL certificate was sent")
  end)

  it("follows redirects to TLS and back, and takes no credentials along", function()
    local seen
    local other <close> = http.serve({ port = 0 }, function(req)
      seen = req.headers.authorization or "none"
      return { body = "in plain text" }
    end)
    local options = trusting()
    options.auth = { user = "u", password = "p" }
    local function to(address) return http.get(("%s/plain?to=%s"):format(url[1], address), options) end
    local res = to(other.url .. "/")
    assert.same({ "in plain text", "none", other.url .. "/" }, { res:text(), seen, res.url })
    assert.equal("small", to(url[1] .. "/small"):text())
    local err = failure(to, url[3] .. "/small")
    assert.same({ true, url[3] .. "/small" }, { rille.is_error(err, "ETLS"), err.url })
  end)

  it("asks a hundred at once, and takes large bodies", function()
    local client <close> = http.client(trusting())
    local tasks = {}
    for i = 1, 100 do
      tasks[i] = rille.spawn(client.get, client, url[i % 2 + 1] .. (i % 10 == 0 and "/text" or "/small"))
    end
    for i = 1, 100 do assert.equal(i % 10 == 0 and #TEXT or 5, #tasks[i]:await():text()) end
    for i = 1, 2 do
      local streamed <close> = client:stream(url[i] .. "/large")
      local size = 0
      for chunk in streamed:chunks() do size = size + #chunk end
      assert.equal(LARGE, size)
    end
  end)
end)
