-- The option tls: whom a request trusts, what it shows of itself, and what it says when that fails.
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"
local process = require "spec.helper.process"
local rille = require "rille"

local function fill(root) nginx.write(root .. "/index.html", "hello") end

describe("the option tls", function()
  local keys, server, locked
  local url = {} -- of each kind of server

  setup(function()
    keys = authority.new()
    locked = os.tmpname()
    assert.equal(0, process.run({ "openssl", "pkey", "-in", keys.client.key, "-out", locked,
      "-aes256", "-passout", "pass:sesame" }).status)
    server = nginx.start(fill, { servers = {
      { tls = keys.localhost, text = "ssl_protocols TLSv1.2 TLSv1.3;" },
      { tls = keys.expired },
      { tls = keys.other },
      { tls = keys.unknown },
      { tls = keys.localhost,
        text = ("ssl_verify_client on; ssl_client_certificate %s;"):format(keys.ca) },
      { tls = keys.localhost, text = "ssl_protocols TLSv1.2;" },
      { tls = keys.localhost, text = "ssl_protocols TLSv1 TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;" },
    } })
    for i, name in ipairs { "plain", "expired", "other", "unknown", "client", "tls12", "old" } do
      url[name] = server.urls[i]
    end
  end)

  teardown(function()
    server:close()
    keys:close()
    os.remove(locked)
  end)

  -- By a client of its own: a connection to which a certificate was shown is used again for requests that
  -- name this certificate, whatever their key.
  local function get(name, tls)
    local client <close> = http.client()
    return client:get(url[name], { tls = tls })
  end

  local function status(name, tls) return get(name, tls).status end

  local function refused(name, tls, reason)
    local err = expect.caught(get, name, tls)
    assert.is_true(rille.is_error(err), tostring(err))
    assert.equal("ETLS", err.code, tostring(err))
    expect.has(err, reason)
    assert.is_nil(tostring(err):find("\n", 1, true))
    return err
  end

  it("verifies by default, and trusts the CAs of `ca`", function()
    refused("plain", nil, "unable to get local issuer certificate")
    assert.equal(200, status("plain", { ca = keys.ca }))
    refused("unknown", { ca = keys.ca }, "unable to get local issuer certificate")
    refused("expired", { ca = keys.ca }, "certificate has expired")
    refused("other", { ca = keys.ca }, "no alternative certificate subject name matches target host name")
    refused("plain", { ca = "/nonexistent.pem" }, "the file of CA certificates cannot be read")
  end)

  it("verifies nothing with `insecure`, and again without it on the same client", function()
    local client <close> = http.client()
    for _, name in ipairs { "plain", "expired", "other", "unknown" } do
      assert.equal(200, client:get(url[name], { tls = { insecure = true } }).status)
      local err = expect.caught(client.get, client, url[name])
      assert.equal("ETLS", err.code)
    end
  end)

  it("shows a client certificate, with its key and the key's password", function()
    local cert, key = keys.client.certificate, keys.client.key
    assert.equal(400, status("client", { ca = keys.ca }))
    assert.equal(200, status("client", { ca = keys.ca, cert = cert, key = key }))
    assert.equal(200, status("client", { ca = keys.ca, cert = cert, key = locked, key_password = "sesame" }))
    refused("client", { ca = keys.ca, cert = cert, key = locked, key_password = "wrong" }, "private key")
    refused("client", { ca = keys.ca, cert = cert, key = locked }, "private key") -- asks nobody
    refused("client", { ca = keys.ca, cert = cert, key = keys.other.key }, "")
    refused("client", { ca = keys.ca, cert = "/nonexistent.pem" }, "the client certificate cannot be used")
    refused("client", { ca = keys.ca, cert = cert, key = "/nonexistent.pem" }, "private key")
  end)

  it("shows a client certificate to nobody who was not to see it, on one client", function()
    local client <close> = http.client { tls = { ca = keys.ca } }
    local shown = { ca = keys.ca, cert = keys.client.certificate, key = keys.client.key }
    for _ = 1, 2 do
      assert.equal(200, client:get(url.client, { tls = shown }).status)
      assert.equal(400, client:get(url.client).status)
    end
  end)

  it("takes only the key that is pinned, also when it verifies nothing", function()
    local pin, wrong = keys.localhost.pin, keys.other.pin
    assert.equal(200, status("plain", { ca = keys.ca, pin = pin }))
    assert.equal(200, status("plain", { ca = keys.ca, pin = wrong .. ";" .. pin }))
    assert.equal(200, status("plain", { insecure = true, pin = pin }))
    local reason = "the server's key is not the pinned one"
    refused("plain", { ca = keys.ca, pin = wrong }, reason)
    refused("plain", { insecure = true, pin = wrong }, reason)
    refused("unknown", { ca = keys.ca, pin = keys.unknown.pin }, "certificate") -- a pin alone is no trust
    local client <close> = http.client { tls = { ca = keys.ca } }
    assert.equal(200, client:get(url.plain).status) -- the connection is not used again for a pinned request
    local err = expect.caught(client.get, client, url.plain, { tls = { ca = keys.ca, pin = wrong } })
    expect.has(err, reason)
  end)

  it("speaks TLS 1.2 at least, or 1.3", function()
    assert.equal(200, status("plain", { ca = keys.ca, min_version = "1.3" }))
    assert.equal(200, status("tls12", { ca = keys.ca, min_version = "1.2" }))
    assert.equal(200, status("tls12", { ca = keys.ca }))
    refused("tls12", { ca = keys.ca, min_version = "1.3" }, "TLS handshake failed")
    refused("old", { ca = keys.ca }, "TLS handshake failed")
    local client <close> = http.client { tls = { ca = keys.ca } }
    assert.equal(200, client:get(url.tls12).status)
    local err = expect.caught(client.get, client, url.tls12, { tls = { ca = keys.ca, min_version = "1.3" } })
    assert.equal("ETLS", err.code)
  end)

  it("tells a server that does not speak TLS", function()
    local plain = server.port
    local err = expect.caught(http.get, ("https://127.0.0.1:%d"):format(plain))
    assert.equal("ETLS", err.code)
    expect.has(err, "TLS handshake failed")
  end)

  it("refuses what means nothing", function()
    local function misuse(part, tls)
      local err = expect.caught(function() http.get(url.plain, { tls = tls }) end)
      expect.has(err, "http_tls_spec.lua:")
      expect.has(err, part)
    end
    misuse("unknown option 'tls.verify'", { verify = false })
    misuse("bad option 'tls.cert' (string expected, got number)", { cert = 1 })
    misuse("bad option 'tls.min_version' ('1.2' or '1.3' expected)", { min_version = "1.1" })
    misuse("bad option 'tls.min_version' (string expected, got number)", { min_version = 1.2 })
    misuse("bad option 'tls' ('key' without 'cert')", { key = "x" })
    misuse("bad option 'tls' ('key_password' without 'cert')", { key_password = "x" })
    local pin = keys.localhost.pin
    for _, bad in ipairs { "", "x", "/etc/passwd", "sha256//", "sha256//abc", pin .. ";", pin .. "x",
      pin .. ";x", pin:gsub("//", "/") } do
      misuse("bad option 'tls.pin'", { pin = bad })
    end
    misuse("(it has a control character)", { ca = "a\0b" })
  end)
end)
