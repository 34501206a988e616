-- Credentials: Basic, Digest, bearer, netrc; and that they go nowhere but to the origin that they are for.
local expect = require "spec.helper.expect"
local files = require "spec.helper.files"
local http = require "rille.http"
local httpbin = require "spec.helper.httpbin"
local process = require "spec.helper.process"
local rille = require "rille"
local scripted = require "spec.helper.scripted"

--- A temporary file with this text; removed when it is closed.
local function temporary(text)
  local path = os.tmpname()
  files.write(path, text)
  return setmetatable({ path = path }, { __close = function() os.remove(path) end })
end

describe("credentials of rille.http", function()
  local server, base

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      local to = req.query.to
      if to then return { status = tonumber(req.query.code or "302"), headers = { location = to } } end
      return { json = { authorization = req.headers.authorization, cookie = req.headers.cookie,
        proxy = req.headers["proxy-authorization"], method = req.method, body = req:text() } }
    end)
    base = server.url
  end)

  teardown(function() server:close() end)

  local function sent(url, options) return http.get(url, options):json() end

  it("sends Basic by default and when asked", function()
    assert.equal("Basic dTpwOnc=", sent(base, { auth = { user = "u", password = "p:w" } }).authorization)
    assert.equal("Basic dTo=", sent(base, { auth = { user = "u", scheme = "basic" } }).authorization)
    assert.equal("Bearer abc", sent(base, { bearer = "abc" }).authorization)
    assert.is_nil(sent(base).authorization)
  end)

  it("refuses schemes and headers that it does not know how to keep safe", function()
    local function misuse(part, options)
      local err = expect.caught(function() http.get(base, options) end)
      assert.equal("string", type(err))
      expect.has(err, "http_auth_spec.lua:")
      expect.has(err, part)
    end
    misuse("bad option 'auth.scheme' ('basic' or 'digest' expected)",
      { auth = { user = "u", scheme = "ntlm" } })
    misuse("bad option 'auth.scheme' (string expected", { auth = { user = "u", scheme = 1 } })
    misuse("header 'Proxy-Authorization' is set by the client itself",
      { headers = { ["Proxy-Authorization"] = "Basic eDp5" } })
    misuse("bad option 'netrc' (boolean or string expected", { netrc = 1 })
    misuse("bad option 'netrc' (empty)", { netrc = "" })
    local err = expect.caught(function() http.client { auth = { user = "u", scheme = "ntlm" } } end)
    expect.has(err, "http_auth_spec.lua:")
  end)

  -- Each server is another port of one host: another origin.
  it("keeps them on a redirect within the origin, and drops them on one to another", function()
    local other <close> = http.serve({ port = 0 }, function(req)
      return { json = { authorization = req.headers.authorization, cookie = req.headers.cookie } }
    end)
    local ways = {
      { auth = { user = "u", password = "p" } },
      { bearer = "abc" },
      { headers = { authorization = "Token abc", cookie = "a=b" } },
      { headers = { { "COOKIE", "a=b" }, { "AUTHORIZATION", "Token abc" } } },
    }
    for _, code in ipairs { 301, 302, 303, 307, 308 } do
      for _, options in ipairs(ways) do
        options.query = { to = "/here", code = code }
        local got = sent(base, options)
        assert.is_truthy(got.authorization)
        assert.equal(options.headers and "a=b" or nil, got.cookie)
        options.query = { to = other.url .. "/there", code = code }
        assert.same({}, sent(base, options))
      end
    end
    local with_user = base:gsub("//", "//u:p@")
    assert.equal("Basic dTpw", sent(with_user, { query = { to = "/here" } }).authorization)
    assert.same({}, sent(with_user, { query = { to = other.url } }))
  end)

  it("drops them on a redirect to another host with the same port", function()
    local port = server.port
    local options = {
      resolve = { ["a.invalid:" .. port] = "127.0.0.1", ["b.invalid:" .. port] = "127.0.0.1" },
      query = { to = ("http://b.invalid:%d/"):format(port) },
    }
    for _, way in ipairs {
      { auth = { user = "u", password = "p" } }, { bearer = "abc" },
      { headers = { authorization = "Token abc", cookie = "a=b" } },
    } do
      for name, value in pairs(way) do options[name] = value end
      local got = sent(("http://a.invalid:%d/"):format(port), options)
      assert.same({ nil, nil }, { got.authorization, got.cookie })
      options.auth, options.bearer, options.headers = nil, nil, nil
    end
  end)

  it("forgets them with the request", function()
    local client <close> = http.client()
    assert.is_truthy(client:get(base, { auth = { user = "u", scheme = "digest" } }))
    assert.is_truthy(client:get(base, { bearer = "abc" }):json().authorization)
    assert.is_nil(client:get(base):json().authorization)
  end)

  it("shows none of them to a proxy that only connects", function()
    local proxy <close>, address = scripted.start("HTTP/1.1 403 Forbidden\\r\\n\\r\\n")
    local err = expect.caught(http.get, "https://u:p@localhost:1/", {
      proxy = "http://" .. address,
      headers = { authorization = "Token abc", cookie = "a=b" },
    })
    assert.equal("EPROXY", err.code)
    local got = scripted.got(proxy)[1]
    expect.has(got, "CONNECT localhost:1 HTTP/1.1")
    assert.is_nil(got:lower():find("authorization") or got:lower():find("cookie"))
  end)

  describe("by Digest", function()
    local CHALLENGE = 'Digest realm="r", nonce="n", qop="auth", algorithm=%s'

    --- Serves one challenge; what then comes is kept.
    local function challenger(algorithm, got, body)
      return http.serve({ port = 0 }, function(req)
        got[#got + 1] = { req.method, req.headers.authorization or "", req:text() }
        if req.headers.authorization then return { body = "in" } end
        return { status = 401, body = body or "who is it?",
          headers = { ["WWW-Authenticate"] = CHALLENGE:format(algorithm) } }
      end)
    end

    it("answers a challenge with MD5 and SHA-256", function()
      for _, algorithm in ipairs { "MD5", "SHA-256" } do
        local got = {}
        local digest <close> = challenger(algorithm, got)
        local res = http.get(digest.url .. "/a", { auth = { user = "u", password = "p", scheme = "digest" } })
        assert.same({ 200, "in", 2 }, { res.status, res:text(), #got })
        assert.equal("", got[1][2])
        expect.has(got[2][2], "Digest username=\"u\"")
        expect.has(got[2][2], "algorithm=" .. algorithm)
        expect.has(got[2][2], "qop=auth")
        assert.is_nil(got[2][2]:find("\"p\"", 1, true))
      end
    end)

    it("sends the body once it is let in", function()
      for _, method in ipairs { "POST", "PUT", "PATCH" } do
        local got = {}
        local digest <close> = challenger("MD5", got)
        local res = http.request { method = method, url = digest.url, body = "content",
          auth = { user = "u", password = "p", scheme = "digest" } }
        assert.equal("in", res:text())
        assert.same({ method, "" }, { got[1][1], got[1][3] })
        assert.same({ method, "content" }, { got[2][1], got[2][3] })
      end
    end)

    it("streams the answer to the second request, and a refusal as it is", function()
      local got = {}
      local digest <close> = challenger("MD5", got, ("no"):rep(1000))
      local auth = { user = "u", password = "p", scheme = "digest" }
      do
        local res <close> = http.stream(digest.url, { auth = auth })
        assert.same({ 200, "in" }, { res.status, res:text() })
      end
      local refusing <close> = http.serve({ port = 0 }, function()
        return { status = 401, body = ("no"):rep(1000),
          headers = { ["WWW-Authenticate"] = CHALLENGE:format("MD5") } }
      end)
      for _ = 1, 2 do
        local res <close> = http.stream(refusing.url, { auth = auth })
        assert.same({ 401, ("no"):rep(1000) }, { res.status, res:text() })
      end
      local silent <close> = http.serve({ port = 0 }, function() return { status = 401 } end)
      local res <close> = http.stream(silent.url, { auth = auth })
      assert.same({ 401, "" }, { res.status, res:text() })
    end)

    it("does not follow to another origin", function()
      local got, seen = {}, {}
      local other <close> = challenger("MD5", seen)
      local first <close> = http.serve({ port = 0 }, function(req)
        got[#got + 1] = req.headers.authorization or ""
        if req.headers.authorization then return { status = 302, headers = { location = other.url } } end
        return { status = 401, headers = { ["WWW-Authenticate"] = CHALLENGE:format("MD5") } }
      end)
      local res = http.get(first.url, { auth = { user = "u", password = "p", scheme = "digest" } })
      assert.same({ 401, 2 }, { res.status, #got })
      assert.same({ { "GET", "", "" } }, seen)
    end)

    it("is understood by httpbin", function()
      local bin <close>, url = httpbin.start()
      for _, algorithm in ipairs { "MD5", "SHA-256" } do
        local path = ("%s/digest-auth/auth/u/p/%s"):format(url, algorithm)
        local auth = { user = "u", password = "p", scheme = "digest" }
        assert.same({ authenticated = true, user = "u" }, http.get(path, { auth = auth }):json())
        auth.password = "q"
        assert.equal(401, http.get(path, { auth = auth }).status)
      end
      assert.equal(200, http.get(url .. "/basic-auth/u/p", { auth = { user = "u", password = "p" } }).status)
      assert.is_nil(bin:log():find("Traceback"))
    end)
  end)

  describe("by netrc", function()
    it("reads the file that is named, only for its hosts, and only when asked", function()
      local file <close> = temporary("machine 127.0.0.1 login me password secret\n")
      assert.equal("Basic bWU6c2VjcmV0", sent(base, { netrc = file.path }).authorization)
      assert.is_nil(sent(base).authorization)
      assert.is_nil(sent(base, { netrc = false }).authorization)
      local port = server.port
      assert.is_nil(sent(("http://a.invalid:%d/"):format(port), {
        netrc = file.path, resolve = { ["a.invalid:" .. port] = "127.0.0.1" },
      }).authorization)
    end)

    it("goes behind other credentials", function()
      local file <close> = temporary("machine 127.0.0.1 login me password secret\n")
      assert.equal("Bearer abc", sent(base, { netrc = file.path, bearer = "abc" }).authorization)
      assert.equal("Basic dTo=", sent(base, { netrc = file.path, auth = { user = "u" } }).authorization)
      assert.equal("Token abc",
        sent(base, { netrc = file.path, headers = { authorization = "Token abc" } }).authorization)
    end)

    it("goes before those of the client if the request asks for it", function()
      local file <close> = temporary("machine 127.0.0.1 login me password secret\n")
      for _, defaults in ipairs { { bearer = "abc" }, { auth = { user = "u" } } } do
        local client <close> = http.client(defaults)
        assert.equal("Basic bWU6c2VjcmV0", client:get(base, { netrc = file.path }):json().authorization)
      end
    end)

    it("raises an error object for a file that cannot be read", function()
      local err = expect.caught(http.get, base, { netrc = "/nonexistent/netrc" })
      assert.is_true(rille.is_error(err))
      assert.equal("ENOENT", err.code)
    end)

    it("reads the user's own file with true", function()
      local home <close> = temporary("")
      os.remove(home.path)
      assert(os.execute("mkdir " .. home.path))
      files.write(home.path .. "/.netrc", "machine 127.0.0.1 login me password secret\n")
      local script <close> = temporary([[
        local http = require "rille.http"
        for _, netrc in ipairs { true, false } do
          print(http.get(..., { netrc = netrc, proxy = "" }):json().authorization)
        end
        print(http.get(..., { proxy = "" }):json().authorization)
      ]])
      local done = process.run { "env", "HOME=" .. home.path, process.rille, script.path, base }
      os.execute("rm -rf " .. home.path)
      assert.same({ "Basic bWU6c2VjcmV0\nnil\nnil\n", "" }, { done.stdout, done.stderr })
    end)

    -- CVE-2024-11053: an entry without a password got that of the host before.
    it("gives one host's password to no other on a redirect", function()
      local port = server.port
      for _, entry in ipairs { "machine b.invalid", "machine b.invalid login me", "default",
        "default login x" } do
        local file <close> = temporary("machine a.invalid login me password secret\n" .. entry .. "\n")
        local got = sent(("http://a.invalid:%d/"):format(port), {
          netrc = file.path, query = { to = ("http://b.invalid:%d/"):format(port) },
          resolve = { ["a.invalid:" .. port] = "127.0.0.1", ["b.invalid:" .. port] = "127.0.0.1" },
        })
        assert.is_nil((got.authorization or ""):find("c2VjcmV0", 1, true), entry)
        assert.is_true(got.authorization == nil or not got.authorization:find("bWU6c2Vj"),
          entry .. ": " .. tostring(got.authorization))
      end
    end)
  end)
end)
