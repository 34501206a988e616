-- Proxies, the addresses of `resolve`, and who is blamed when the way to a server is barred.
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"
local process = require "spec.helper.process"
local proxies = require "spec.helper.proxy"
local rille = require "rille"
local scripted = require "spec.helper.scripted"

local function fill(root) nginx.write(root .. "/index.html", "hello") end

--- A port of loopback that nobody listens on.
local function free_port()
  local server <close> = http.serve({ port = 0 }, function() return {} end)
  return server.port
end

describe("proxies of rille.http", function()
  local server, base, keys, tls

  setup(function()
    keys = authority.new()
    server, base = nginx.start(fill, { servers = { { tls = keys.localhost } } })
    tls = { ca = keys.ca }
  end)

  teardown(function()
    server:close()
    keys:close()
  end)

  local function fails(code, url, proxy, text)
    local err = expect.caught(http.get, url, { proxy = proxy, tls = tls, timeout = { connect = 60 } })
    assert.is_true(rille.is_error(err), tostring(err))
    assert.equal(code, err.code, tostring(err))
    expect.has(err, text)
    assert.is_nil(tostring(err):find("secret", 1, true), tostring(err))
    assert.is_nil((err.proxy or ""):find("secret", 1, true))
    assert.is_nil(tostring(err):find("\n", 1, true))
    assert.equal(url, err.url)
    return err
  end

  it("lead http and https, with a user and a password or none", function()
    for _, account in ipairs { false, { user = "me", password = "secret" } } do
      local who = account and "me:secret@" or ""
      local tiny <close>, url = proxies.http(account or nil)
      local socks <close>, address = proxies.socks(account or nil)
      for _, proxy in ipairs { (url:gsub("//", "//" .. who)), "socks5://" .. who .. address,
        "socks5h://" .. who .. address } do
        for _, target in ipairs { base, server.urls[1] } do
          local client <close> = http.client { proxy = proxy, tls = tls }
          assert.equal("hello", client:get(target .. "/index.html"):text())
          assert.equal("hello", client:get(target .. "/index.html"):text())
        end
      end
      expect.has(tiny:log(), "127.0.0.1")
      assert.is_nil(socks:log():find("failed"))
    end
  end)

  it("that refuse the user are told as such, with their status", function()
    local _ <close>, url = proxies.http { user = "me", password = "secret" }
    local named = url:gsub("//", "//me:not-secret@")
    local err = fails("EPROXY", server.urls[1], named, "the proxy refused (401)")
    assert.same({ 401, nil, (url:gsub("//", "//me:***@")) }, { err.proxy_status, err.status, err.proxy })
    expect.has(err, "GET " .. server.urls[1] .. ": proxy http://me:***@127.0.0.1:")
    assert.equal(407, fails("EPROXY", server.urls[1], url, "the proxy refused (407)").proxy_status)
    -- Without CONNECT its answer is a response.
    assert.equal(407, http.get(base, { proxy = url }).status)
    local _ <close>, address = proxies.socks { user = "me", password = "secret" }
    fails("EPROXY", base, "socks5h://" .. address, "user and a password")
    fails("EPROXY", base, "socks5h://me:not-secret@" .. address, "the proxy refused the user or the password")
  end)

  it("that answer CONNECT with another status are told with it", function()
    for _, status in ipairs { 403, 407, 500, 502, 503, 302 } do
      local answer = ("HTTP/1.1 %d No\\r\\nContent-Length: 0\\r\\n\\r\\n"):format(status)
      local _ <close>, address = scripted.start(answer)
      local text = ("the proxy refused (%d)"):format(status)
      local err = fails("EPROXY", server.urls[1], "http://" .. address, text)
      assert.equal(status, err.proxy_status)
    end
  end)

  it("that fail in the middle of CONNECT or SOCKS are told as such", function()
    local nowhere = ("\\x00"):rep(6)
    local ways = {
      { "http://", "", "the proxy closed the connection" },
      { "http://", "HTTP/1.1 2", "the proxy closed the connection" },
      { "socks5h://", "hello", "the proxy does not speak SOCKS" },
      { "socks5h://", "", "the proxy closed the connection" },
      { "socks5h://", "\\x05\\xff", "user and a password" },
      { "socks5h://", "\\x05\\x00|\\x05\\x01\\x00\\x01" .. nowhere, "the proxy refused" },
      { "socks5h://", "\\x05\\x00|\\x05\\x02\\x00\\x01" .. nowhere, "does not allow this" },
      { "socks5h://", "\\x05\\x00|\\x05\\x03\\x00\\x01" .. nowhere, "cannot reach the network" },
      { "socks5h://", "\\x05\\x00|\\x05\\x04\\x00\\x01" .. nowhere, "cannot reach the host" },
      { "socks5h://", "\\x05\\x00|\\x05\\x05\\x00\\x01" .. nowhere, "the server refused" },
      { "socks5h://", "\\x05\\x00|\\x05\\x06\\x00\\x01" .. nowhere, "timed out" },
      { "socks4://", "\\x00\\x5b\\x00\\x00\\x00\\x00\\x00\\x00", "the proxy refused" },
      { "socks4a://", "\\x00\\x5b\\x00\\x00\\x00\\x00\\x00\\x00", "the proxy refused" },
    }
    for _, way in ipairs(ways) do -- it reads, answers and closes
      local _ <close>, address = scripted.start(way[2])
      local err = fails("EPROXY", server.urls[1], way[1] .. address, way[3])
      assert.equal(way[1] .. address, err.proxy)
    end
  end)

  it("that cannot be reached are blamed with the code of what happened", function()
    local port = free_port()
    for _, scheme in ipairs { "http", "https", "socks4", "socks5", "socks5h" } do
      local proxy = ("%s://me:secret@127.0.0.1:%d"):format(scheme, port)
      for _, url in ipairs { base, server.urls[1] } do
        local err = fails("ECONNREFUSED", url, proxy, ("proxy %s://me:***@127.0.0.1:%d"):format(scheme, port))
        assert.equal(("%s://me:***@127.0.0.1:%d"):format(scheme, port), err.proxy)
      end
    end
    local err = fails("ENOTFOUND", base, "http://me:secret@a.invalid:1", "cannot resolve the proxy's name")
    assert.equal("http://me:***@a.invalid:1", err.proxy)
    err = fails("ECONNREFUSED", ("http://127.0.0.1:%d"):format(port), "", "connection refused")
    assert.is_nil(err.proxy) -- there is none
  end)

  it("that do not answer are told with the time-out", function()
    for _, scheme in ipairs { "http", "https", "socks4", "socks5h" } do
      local _ <close>, address = scripted.start("|") -- it reads, says nothing, and reads on
      local err = expect.caught(http.get, "https://127.0.0.1:1/",
        { proxy = scheme .. "://me:secret@" .. address, timeout = { connect = 0.05, total = 5 } })
      assert.same({ "ETIMEDOUT", "connect" }, { err.code, err.phase })
      assert.equal(scheme .. "://me:***@" .. address, err.proxy)
    end
  end)

  it("whose URL is no URL are told without their password", function()
    for _, rest in ipairs { "127.0.0.1:99999", "[::1", "a b:1", "" } do
      local err = expect.caught(http.get, base, { proxy = "http://me:secret@" .. rest })
      assert.equal("EPROXY", err.code)
      expect.has(err, "the proxy's URL cannot be used")
      assert.is_nil(tostring(err):find("secret", 1, true))
    end
  end)

  it("that cannot reach the server are told apart from it", function()
    local closed = free_port()
    local _ <close>, address = proxies.socks()
    local err = fails("EPROXY", ("http://127.0.0.1:%d"):format(closed), "socks5h://" .. address,
      "the server refused the proxy's connection")
    assert.equal("socks5h://" .. address, err.proxy)
    local _ <close>, url = proxies.http()
    err = fails("EPROXY", ("https://127.0.0.1:%d"):format(closed), url, "the proxy refused (5")
    assert.equal(5, err.proxy_status // 100)
  end)

  it("that are reached by TLS are verified, whatever is said of the server", function()
    local proxy = server.urls[1] -- it is none, but it does TLS
    local err = expect.caught(http.get, base, { proxy = proxy, tls = { insecure = true } })
    assert.same({ "ETLS", proxy }, { err.code, err.proxy })
    expect.has(err, "certificate")
    for _, url in ipairs { base, server.urls[1] } do -- a proxy that does no TLS
      local _ <close>, address = scripted.start("HTTP/1.1 400 No\\r\\n\\r\\n")
      local plain = "https://" .. address
      assert.equal(plain, fails("ETLS", url, plain, "TLS handshake failed").proxy)
    end
    assert.equal(200, http.get(base .. "/index.html", { proxy = proxy, tls = { ca = keys.ca } }).status)
  end)

  it("of the environment are used and blamed, but for the hosts of no_proxy", function()
    local port = free_port()
    local script = [[
      local http = require "rille.http"
      local ok, r = pcall(http.get, arg[1], { tls = { insecure = true } })
      print(ok and r.status or r.code, not ok and r.proxy or "", not ok and tostring(r) or "")
    ]]
    local path = os.tmpname()
    nginx.write(path, script)
    local function run(url, proxy, no_proxy)
      local done = process.run { "env", "-i", proxy, no_proxy or "A=b", process.rille, path, url }
      assert.equal("", done.stderr)
      assert.is_nil(done.stdout:find("secret", 1, true))
      return done.stdout:match("^(%S+)\t(%S*)")
    end
    local proxy = ("http://me:secret@127.0.0.1:%d"):format(port)
    local hidden = proxy:gsub("secret", "***")
    local plain, safe = base .. "/index.html", server.urls[1] .. "/index.html"
    local ok, err = pcall(function()
      assert.same({ "ECONNREFUSED", hidden }, { run(plain, "http_proxy=" .. proxy) })
      assert.same({ "200", "" }, { run(plain, "HTTP_PROXY=" .. proxy) }) -- a client of CGI sets this
      assert.same({ "ECONNREFUSED", hidden }, { run(safe, "https_proxy=" .. proxy) })
      assert.same({ "ECONNREFUSED", hidden }, { run(safe, "HTTPS_PROXY=" .. proxy) })
      assert.same({ "ECONNREFUSED", hidden }, { run(plain, "ALL_PROXY=" .. proxy) })
      assert.same({ "200", "" }, { run(plain, "ALL_PROXY=" .. proxy, "NO_PROXY=127.0.0.1") })
      assert.same({ "200", "" }, { run(plain, "all_proxy=" .. proxy, "no_proxy=*") })
      assert.equal("EPROXY", (run(plain, "http_proxy=ftp://me:secret@127.0.0.1:1")))
      assert.same({ "200", "" }, { run(safe, "http_proxy=" .. proxy) })
    end)
    os.remove(path)
    if not ok then error(err, 0) end
  end)

  it("are refused if their scheme is unknown", function()
    for _, bad in ipairs { "ftp://a", "socks://a", "socks6://a", "://a", "file:///a" } do
      local err = expect.caught(function() http.get(base, { proxy = bad }) end)
      expect.has(err, "http_route_spec.lua:")
      expect.has(err, "bad option 'proxy'")
    end
    assert.equal("hello", http.get(base .. "/index.html", { proxy = "" }):text())
  end)
end)

describe("the option resolve", function()
  local server, port

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      if req.query.to then return { status = 302, headers = { location = req.query.to } } end
      return { body = req.headers.host }
    end)
    port = server.port
  end)

  teardown(function() server:close() end)

  local function url(host, to) return ("http://%s:%d/%s"):format(host, to or port, "") end

  it("gives an address to a host and port, redirects included, and leaves the Host as it is", function()
    local resolve = { ["a.invalid:" .. port] = "127.0.0.1", ["b.invalid:" .. port] = "127.0.0.1" }
    assert.equal("a.invalid:" .. port, http.get(url "a.invalid", { resolve = resolve }):text())
    assert.equal("b.invalid:" .. port,
      http.get(url "a.invalid", { resolve = resolve, query = { to = url "b.invalid" } }):text())
    assert.equal("a.invalid:" .. port, http.get(url "A.invalid",
      { resolve = resolve, headers = { host = "a.invalid:" .. port } }):text())
  end)

  it("concerns that request alone, on a client with others", function()
    local client <close> = http.client()
    local resolve = { ["a.invalid:" .. port] = "127.0.0.1" }
    for _ = 1, 2 do
      assert.equal(200, client:get(url "a.invalid", { resolve = resolve }).status)
      assert.equal("ENOTFOUND", expect.caught(client.get, client, url "a.invalid").code)
      local err = expect.caught(client.get, client, url "b.invalid", { resolve = resolve })
      assert.equal("ENOTFOUND", err.code)
      -- Another address is another connection.
      err = expect.caught(client.get, client, url "a.invalid",
        { resolve = { ["a.invalid:" .. port] = "127.0.0.2" } })
      assert.equal("ECONNREFUSED", err.code)
    end
  end)

  it("takes addresses of IPv6", function()
    local six <close> = http.serve({ host = "::1", port = 0 }, function() return { body = "six" } end)
    local resolve = { ["a.invalid:" .. six.port] = "::1" }
    assert.equal("six", http.get(url("a.invalid", six.port), { resolve = resolve }):text())
    resolve = { ["[::2]:" .. six.port] = "::1" }
    assert.equal("six", http.get(url("[::2]", six.port), { resolve = resolve }):text())
    resolve = { ["127.0.0.1:" .. six.port] = "::1" }
    assert.equal("six", http.get(url("127.0.0.1", six.port), { resolve = resolve }):text())
  end)

  it("refuses what is not a host, a port and an address", function()
    local function misuse(part, resolve)
      local err = expect.caught(function() http.get(server.url, { resolve = resolve }) end)
      expect.has(err, "http_route_spec.lua:")
      expect.has(err, part)
    end
    for _, name in ipairs { "a", "a:", ":80", "a:0", "a:65536", "a:123456", "a:x", "a:80:", "a b:80",
      "http://a:80", "a\0:80", 1, "a:80 ", "a/b:80", "u@a:80", "a,b:80" } do
      misuse("bad option 'resolve' (a name is not 'host:port')", { [name] = "127.0.0.1" })
    end
    for _, address in ipairs { "", "localhost", "127.0.0.1:80", "[::1]", "127.1", 1, false, "::1%lo" } do
      misuse("bad option 'resolve' (a:80: not an IP address)", { ["a:80"] = address })
    end
    misuse("bad option 'resolve' (table expected, got string)", "a:80:127.0.0.1")
  end)
end)

describe("the sockets of rille.http", function()
  it("are not inherited by child processes", function()
    local done = process.script([[
      local http = require "rille.http"
      local server <close> = http.serve({ port = 0 }, function() return {} end)
      local one <close> = http.client()
      local two <close> = http.client()
      one:get(server.url)
      two:get(server.url)
      local pipe <close> = io.popen("readlink /proc/self/fd/*")
      for link in pipe:lines() do
        if link:find("^socket:") then print(link) end
      end
    ]])
    assert.same({ "", "" }, { done.stdout, done.stderr })
  end)
end)
