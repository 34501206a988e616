-- The HTTP client through proxies: tinyproxy (CONNECT, too), microsocks, nginx over TLS, and some at fault.
local rille = require "rille"
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local proxy = require "spec.helper.proxy"
local scripted = require "spec.helper.scripted"

local failure, has = expect.caught, expect.has

local PLAIN = [[
  location /dav/ { dav_methods PUT; client_max_body_size 8m; }
  location /to { return 302 $arg_url; }
]]
-- A forward proxy for plain HTTP, to be spoken to over TLS.
local FORWARD = "location / { proxy_pass http://$http_host$request_uri; }"

local certificates, server, plain, secure, origin

--- Must fail with one of these codes: gives the error.
local function fails(codes, url, via, options)
  options = options or {}
  options.proxy, options.tls = via, { ca = certificates.ca }
  local err = failure(http.get, url, options)
  assert.is_true(rille.is_error(err), tostring(err))
  assert.truthy((" " .. codes .. " "):find(" " .. err.code .. " ", 1, true), tostring(err))
  assert.same({ url, "GET" }, { err.url, err.method })
  assert.equal(1, (tostring(err):find("GET " .. url, 1, true)))
  assert.is_nil(tostring(err):find("\n", 1, true))
  assert.is_nil(tostring(err):find("secret", 1, true))
  return err
end

--- The same, and the error must name the proxy and its answer to CONNECT, if there is one.
local function blames(codes, url, via, status, options)
  local err = fails(codes, url, via, options)
  assert.same({ via:gsub(":secret%d?@", ":***@"), status }, { err.proxy, err.proxy_status })
  has(err, ("GET %s: proxy %s: "):format(url, err.proxy))
  return err
end

local function get(url, via, options)
  options = options or {}
  options.proxy, options.tls = via, { ca = certificates.ca }
  return http.get(url, options)
end

--- How often a text is in the log of a proxy.
local function count(log, text)
  local _, n = log:gsub(text:gsub("%p", "%%%0"), "")
  return n
end

setup(function()
  certificates = authority.new()
  server, plain = nginx.start(function(root)
    nginx.write(root .. "/small", "small")
    nginx.write(root .. "/large", ("x"):rep(3000000))
  end, {
    server = PLAIN,
    servers = { { tls = certificates.localhost }, { tls = certificates.unknown },
      { tls = certificates.localhost, text = FORWARD } },
  })
  assert(os.execute(("mkdir %s/dav"):format(server.root)))
  secure = server.urls[1]
  origin = http.serve({ port = 0 }, function(req)
    local fields = {}
    for name, value in pairs(req.headers) do fields[name] = value end
    return { json = fields }
  end)
end)

teardown(function()
  origin:close()
  server:close()
  certificates:close()
end)

describe("rille.http through an HTTP proxy", function()
  local open, address, closed, guarded

  setup(function()
    open, address = proxy.http()
    closed, guarded = proxy.http { user = "user", password = "secret" }
  end)

  teardown(function()
    open:close()
    closed:close()
  end)

  it("gets what is in plain text, and what is under TLS by a tunnel", function()
    local before = open:log()
    assert.equal("small", get(plain .. "/small", address):text())
    assert.equal("small", get(secure .. "/small", address):text())
    local log = open:log():sub(#before + 1)
    has(log, ("GET %s/small HTTP/1.1"):format(plain))
    has(log, ("CONNECT %s HTTP/1.1"):format(secure:match("//(.*)")))
    assert.equal("small", get(plain .. "/small", (address:gsub("^http://", ""))):text())
  end)

  it("keeps the connection of a tunnel", function()
    local client <close> = http.client { proxy = address, tls = { ca = certificates.ca } }
    local before = open:log()
    for _ = 1, 10 do assert.equal("small", client:get(secure .. "/small"):text()) end
    assert.equal(1, count(open:log():sub(#before + 1), "CONNECT " .. secure:match("//(.*)")))
  end)

  it("sends and takes bodies, large ones and many at once", function()
    local client <close> = http.client { proxy = address, tls = { ca = certificates.ca } }
    local body = ("0123456789"):rep(200000)
    assert.equal(201, client:put(plain .. "/dav/a", { body = body }).status)
    assert.is_true(client:get(plain .. "/dav/a"):text() == body)
    for _, base in ipairs { plain, secure } do
      assert.equal(3000000, #client:get(base .. "/large"):text())
      assert.same({ 200, "" }, { client:head(base .. "/large").status, client:head(base .. "/large"):text() })
      local streamed <close> = client:stream(base .. "/large")
      local size = 0
      for chunk in streamed:chunks() do size = size + #chunk end
      assert.equal(3000000, size)
      local tasks = {}
      for i = 1, 40 do tasks[i] = rille.spawn(client.get, client, base .. "/small") end
      for i = 1, 40 do assert.equal("small", tasks[i]:await():text()) end
    end
  end)

  it("verifies the server behind a tunnel, and tells the proxy's refusal from the server's", function()
    has(fails("ETLS", server.urls[2] .. "/small", address), "unable to get local issuer certificate")
    blames("EPROXY", "https://127.0.0.1:1/x", address, 500)
    local res = get("http://127.0.0.1:1/x", address)
    assert.same({ 500, "Unable to connect" }, { res.status, res.reason })
  end)

  it("follows redirects through the proxy", function()
    local before = open:log()
    local client <close> = http.client { proxy = address, tls = { ca = certificates.ca } }
    local res = client:get(("%s/to?url=%s/small"):format(plain, secure))
    assert.same({ "small", secure .. "/small" }, { res:text(), res.url })
    local log = open:log():sub(#before + 1)
    assert.same({ 1, 1 }, { count(log, "GET " .. plain), count(log, ": CONNECT ") })
  end)

  it("gives its name to the proxy, and to nobody else", function()
    local url = guarded:gsub("//", "//us%%65r:s%%65cret@")
    assert.equal("small", get(plain .. "/small", url):text())
    assert.equal("small", get(secure .. "/small", url):text())
    local seen = get(origin.url .. "/", url):json()
    assert.is_nil(seen["proxy-authorization"])
    assert.is_nil(seen.authorization)
    seen = get(origin.url .. "/", url, { auth = { user = "me", password = "p" } }):json()
    assert.equal("Basic bWU6cA==", seen.authorization)
  end)

  it("is refused by a proxy that does not know it", function()
    assert.equal(407, get(plain .. "/small", guarded).status)
    assert.equal(401, get(plain .. "/small", (guarded:gsub("//", "//u:secret2@"))).status)
    blames("EPROXY", secure .. "/small", guarded, 407)
    blames("EPROXY", secure .. "/small", (guarded:gsub("//", "//u:secret2@")), 401)
    -- What is meant for the server does not open the proxy.
    local options = { auth = { user = "user", password = "secret" } }
    blames("EPROXY", secure .. "/small", guarded, 407, options)
  end)

  it("is not to blame for a proxy that is not there", function()
    for _, url in ipairs { plain .. "/small", secure .. "/small" } do
      blames("ECONNREFUSED", url, "http://u:secret@127.0.0.1:1")
      blames("ENOTFOUND", url, "http://u:secret@nosuch.invalid:3128")
    end
  end)

  it("speaks TLS with a proxy, and trusts none that it cannot verify", function()
    local url = server.urls[3]
    assert.equal(origin.url:match("//(.*)"), get(origin.url .. "/", url):json().host)
    local err = failure(http.get, origin.url .. "/", { proxy = url })
    assert.is_true(rille.is_error(err, "ETLS"), tostring(err))
    assert.equal(url, err.proxy)
  end)
end)

describe("rille.http through a SOCKS proxy", function()
  local open, address, closed, guarded

  setup(function()
    open, address = proxy.socks()
    closed, guarded = proxy.socks { user = "us:er", password = "secret" }
  end)

  teardown(function()
    open:close()
    closed:close()
  end)

  it("gets what is in plain text and what is under TLS", function()
    for _, scheme in ipairs { "socks5", "socks5h" } do
      local before = open:log()
      assert.equal("small", get(plain .. "/small", scheme .. "://" .. address):text())
      assert.equal("small", get(secure .. "/small", scheme .. "://" .. address):text())
      local log = open:log():sub(#before + 1)
      has(log, "connected to " .. plain:match("//(.*)"))
      has(log, "connected to " .. secure:match("//(.*)"))
    end
  end)

  it("says that a name is not known, by itself or by the proxy", function()
    for _, url in ipairs { "http://nosuch.invalid/", "https://nosuch.invalid/" } do
      local err = fails("ENOTFOUND", url, "socks5://" .. address)
      assert.same({ ("GET %s: cannot resolve the host name"):format(url) }, { tostring(err), err.proxy })
      blames("EPROXY", url, "socks5h://" .. address)
    end
  end)

  it("keeps connections, and runs many at once", function()
    local client <close> = http.client { proxy = "socks5h://" .. address, tls = { ca = certificates.ca } }
    local before = open:log()
    for _ = 1, 10 do assert.equal("small", client:get(plain .. "/small"):text()) end
    assert.equal(1, count(open:log():sub(#before + 1), "connected to "))
    local tasks = {}
    for i = 1, 40 do
      tasks[i] = rille.spawn(client.get, client, (i % 2 == 0 and plain or secure) .. "/small")
    end
    for i = 1, 40 do assert.equal("small", tasks[i]:await():text()) end
    assert.equal(3000000, #client:get(secure .. "/large"):text())
  end)

  it("gives its name, and is refused without", function()
    for _, scheme in ipairs { "socks5", "socks5h" } do
      local url = ("%s://us%%3Aer:secret@%s"):format(scheme, guarded)
      assert.equal("small", get(plain .. "/small", url):text())
      blames("EPROXY", plain .. "/small", ("%s://us%%3Aer:secret2@%s"):format(scheme, guarded))
      blames("EPROXY", secure .. "/small", ("%s://%s"):format(scheme, guarded))
    end
  end)

  it("reports what the proxy could not reach, and what is no proxy", function()
    for _, scheme in ipairs { "socks5", "socks5h" } do
      has(blames("EPROXY", "http://127.0.0.1:1/", scheme .. "://" .. address), "refused")
      has(blames("EPROXY", plain .. "/small", scheme .. "://u:secret@" .. plain:match("//(.*)")),
        "does not speak SOCKS")
      blames("ECONNREFUSED", plain .. "/small", scheme .. "://u:secret@127.0.0.1:1")
      blames("ENOTFOUND", plain .. "/small", scheme .. "://u:secret@nosuch.invalid")
    end
  end)
end)

describe("rille.http and proxies of the environment", function()
  local open, address

  setup(function() open, address = proxy.http() end)
  teardown(function() open:close() end)

  --- Runs requests in a program with these variables; "proxy" for each that went by the proxy.
  local function ways(variables, urls, options)
    local words = { "env", "-u", "NO_PROXY" }
    for _, variable in ipairs(variables) do words[#words + 1] = variable end
    local script = ([[
      local http = require "rille.http"
      for url in (%q):gmatch("%%S+") do
        io.write(http.get(url, { tls = { ca = %q }, %s }):text(), " ")
      end]]):format(table.concat(urls, " "), certificates.ca, options or "")
    for _, word in ipairs { process.rille, "-e", script } do words[#words + 1] = word end
    local before = open:log()
    local done = process.run(words)
    assert.equal(("small "):rep(#urls), done.stdout, done.stderr)
    local log, ways_of = open:log():sub(#before + 1), {}
    for i, url in ipairs(urls) do
      local line = url:find("^https") and "CONNECT " .. url:match("//([^/]*)") or "GET " .. url
      ways_of[i] = count(log, line) > 0 and "proxy" or "direct"
    end
    return table.concat(ways_of, " ")
  end

  it("uses what is for a scheme, and what is for all", function()
    local urls = { plain .. "/small", secure .. "/small" }
    assert.equal("direct direct", ways({}, urls))
    assert.equal("proxy direct", ways({ "http_proxy=" .. address }, urls))
    assert.equal("direct proxy", ways({ "https_proxy=" .. address }, urls))
    assert.equal("direct proxy", ways({ "HTTPS_PROXY=" .. address }, urls))
    assert.equal("proxy proxy", ways({ "all_proxy=" .. address }, urls))
    assert.equal("proxy proxy", ways({ "ALL_PROXY=" .. address:gsub("^http://", "") }, urls))
    -- A CGI program gets HTTP_PROXY from its client.
    assert.equal("direct direct", ways({ "HTTP_PROXY=" .. address }, urls))
  end)

  it("leaves out the hosts that are not for proxies", function()
    local urls = { plain .. "/small", secure .. "/small" }
    local all = "all_proxy=" .. address
    for _, list in ipairs { "127.0.0.1", "*", "example.com, 127.0.0.1", "127.0.0.0/8" } do
      assert.equal("direct direct", ways({ all, "no_proxy=" .. list }, urls))
      assert.equal("direct direct", ways({ all, "NO_PROXY=" .. list }, urls))
    end
    assert.equal("proxy proxy", ways({ all, "no_proxy=example.com,10.0.0.0/8" }, urls))
  end)

  it("prefers the option, and takes an empty one for none", function()
    local urls = { plain .. "/small", secure .. "/small" }
    assert.equal("direct direct", ways({ "all_proxy=" .. address }, urls, "proxy = ''"))
    assert.equal("proxy proxy",
      ways({ "all_proxy=http://127.0.0.1:1" }, urls, ("proxy = %q"):format(address)))
  end)
end)

describe("rille.http through a proxy at fault", function()
  local running, via

  setup(function()
    running, via = perl_server "fault_server"
    via = via:gsub("//", "//u:secret@")
  end)

  teardown(function() running:close() end)

  it("takes no broken tunnel for a connection", function()
    for name, codes in pairs {
      nothing = "EPROXY", reset = "ECONNRESET", ["cut-line"] = "EPROXY",
      ["cut-head"] = "EPROXY", ["cut-interim"] = "EPROXY", garbage = "EPROXY",
      ["bad-status"] = "EPROXY", ["long-line"] = "EPROXY", moved = "EPROXY",
      ["endless-head"] = "EPROXY ETOOBIG", ["endless-interim"] = "EPROXY",
      ["cut-body"] = "ETLS ECONNRESET EPROTO", close = "ETLS ECONNRESET EPROTO",
    } do
      local err = fails(codes, ("https://%s.invalid/"):format(name), via)
      if err.code == "EPROXY" then assert.equal((via:gsub("secret", "***")), err.proxy) end
    end
  end)

  it("does not wait for ever", function()
    local function phase(url, timeout) return fails("ETIMEDOUT", url, via, { timeout = timeout }).phase end
    for _, name in ipairs { "stall", "stall-head", "no-content" } do
      local url = ("https://%s.invalid/"):format(name)
      assert.equal("total", phase(url, 0.05))
      assert.equal("connect", phase(url, { connect = 0.05, total = 5 }))
    end
    assert.equal("idle", phase("http://x.invalid/stall", { idle = 0.05 }))
  end)

  it("says who asks for a tunnel", function()
    for agent, options in pairs { ["rille/"] = {}, ["me/1"] = { user_agent = "me/1" } } do
      local refusing <close>, address = scripted.start("HTTP/1.1 403 Forbidden\\r\\n\\r\\n")
      options.proxy = "http://" .. address
      failure(http.get, "https://x.invalid/", options)
      local head = scripted.got(refusing)[1]
      has(head, "CONNECT x.invalid:443")
      has(head, "User-Agent: " .. agent)
    end
  end)

  it("says who asks for a tunnel that a redirect leads to", function()
    local moved = "HTTP/1.1 302 Found\\r\\nLocation: https://y.invalid/\\r\\n" ..
      "Content-Length: 0\\r\\nConnection: close\\r\\n\\r\\n"
    local refused = "HTTP/1.1 403 Forbidden\\r\\n\\r\\n"
    for agent, options in pairs { ["rille/"] = {}, ["me/1"] = { user_agent = "me/1" } } do
      local refusing <close>, address = scripted.start(moved, refused)
      options.proxy = "http://" .. address
      failure(http.get, "http://x.invalid/", options)
      local first, second = table.unpack(scripted.got(refusing))
      has(first, "GET http://x.invalid/")
      has(first, "User-Agent: " .. agent)
      has(second, "CONNECT y.invalid:443")
      has(second, "User-Agent: " .. agent)
    end
  end)

  it("gives up a tunnel that is being made when its task is cancelled", function()
    local client <close> = http.client { proxy = via }
    local task = rille.spawn(client.get, client, "https://stall.invalid/")
    expect.until_waiting(task)
    task:cancel()
    assert.is_true(rille.is_error(failure(task.await, task), "ECANCELED"))
  end)
end)
