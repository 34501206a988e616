-- The HTTP client against httpbin: each endpoint that concerns a client, from its user's point of view.
local rille = require "rille"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local httpbin = require "spec.helper.httpbin"
local json = require "rille.json"

local failure, has = expect.caught, expect.has

describe("rille.http against httpbin", function()
  local server, base, client

  setup(function()
    server, base = httpbin.start()
    client = http.client { base_url = base, proxy = "" }
  end)

  teardown(function()
    client:close()
    server:close()
  end)

  --- What the server says of a request.
  local function told(method, path, options)
    local res = client[method](client, path, options):raise_for_status()
    assert.equal("application/json", res.headers["content-type"])
    return res:json()
  end

  --- A request that ends in an error object.
  local function fails(code, method, path, options)
    local err = failure(client[method], client, path, options)
    assert.is_true(rille.is_error(err, code), tostring(err))
    return err
  end

  -- Methods and what they send ----------------------------------------------------------------

  it("sends each method to what takes it", function()
    for _, method in ipairs { "get", "post", "put", "patch", "delete" } do
      local got = told(method, "/" .. method)
      assert.same({ base .. "/" .. method, {} }, { got.url, got.args })
      assert.equal(method:upper(), told(method, "/anything/a/b").method)
    end
    local res = client:head("/get")
    assert.same({ 200, "" }, { res.status, res:text() })
    assert.is_true(tonumber(res.headers["content-length"]) > 0)
    res = client:options("/get")
    assert.equal(200, res.status)
    assert.truthy(res.headers.allow:find("HEAD", 1, true))
    assert.equal("TRACE", client:request { method = "TRACE", url = "/anything" }:json().method)
    res = client:post("/get", { body = "x" })
    assert.same({ 405, "METHOD NOT ALLOWED" }, { res.status, res.reason })
  end)

  it("sends a query", function()
    local got = told("get", "/get?z=0", { query = { a = { 1, 2 }, b = "\u{e9} &=+/?#", c = "" } })
    assert.same({ z = "0", a = { "1", "2" }, b = "\u{e9} &=+/?#", c = "" }, got.args)
  end)

  it("sends headers, and no other than it must", function()
    local headers = { { "X-One", "1" }, { "x-two", "a" }, { "X-Two", "b" } }
    local got = told("get", "/headers", { headers = headers })
    assert.same({
      Accept = "*/*", ["Accept-Encoding"] = got.headers["Accept-Encoding"], Host = base:match("//(.*)"),
      ["User-Agent"] = got.headers["User-Agent"], ["X-One"] = "1", ["X-Two"] = "a,b",
    }, got.headers)
    assert.equal("me/1", told("get", "/user-agent", { user_agent = "me/1" })["user-agent"])
    assert.equal("127.0.0.1", told("get", "/ip").origin)
    local res = client:get("/image", { headers = { Accept = "image/webp" } })
    assert.same({ "image/webp", "RIFF" }, { res.headers["content-type"], res:bytes():sub(1, 4) })
    assert.equal(406, client:get("/image", { headers = { Accept = "text/x" } }).status)
  end)

  it("sends a body: text, bytes, JSON, a form", function()
    for _, method in ipairs { "post", "put", "patch", "delete" } do
      local got = told(method, "/" .. method, { body = "h\u{e9}llo" })
      assert.equal("h\u{e9}llo", got.data)
      assert.is_nil(got.headers["Content-Type"])
      got = told(method, "/" .. method, { json = { a = { 1, json.null, "\u{20ac}" } } })
      assert.same({ a = { 1, json.null, "\u{20ac}" } }, got.json)
      assert.equal("application/json", got.headers["Content-Type"])
      got = told(method, "/" .. method, { form = { a = "1 & 2", b = { "x", "\u{e9}=" } } })
      assert.same({ a = "1 & 2", b = { "x", "\u{e9}=" } }, got.form)
      assert.equal("", got.data)
    end
    local bytes = {}
    for i = 0, 255 do bytes[i + 1] = string.char(i) end
    bytes = table.concat(bytes):rep(1000)
    local headers = { ["Content-Type"] = "application/octet-stream" }
    local sent = told("post", "/post", { body = bytes, headers = headers })
    assert.equal("256000", sent.headers["Content-Length"])
    assert.equal("data:application/octet-stream;base64,AAECAwQF", sent.data:sub(1, 45))
    assert.equal("0", told("post", "/post").headers["Content-Length"])
  end)

  -- Responses -----------------------------------------------------------------------------------

  it("takes every status for a response, and raises for it when asked", function()
    for _, status in ipairs { 200, 201, 202, 203, 205, 206, 226, 300, 304, 400, 402, 403, 404, 409, 410, 418,
      422, 425, 428, 429, 451, 500, 501, 502, 503, 504, 599 } do
      local res = client:get("/status/" .. status)
      assert.equal(status, res.status)
      if status < 400 then
        assert.equal(res, res:raise_for_status())
      else
        local err = failure(res.raise_for_status, res)
        assert.is_true(rille.is_error(err, "ESTATUS"))
        assert.same({ status, "GET", base .. "/status/" .. status }, { err.status, err.method, err.url })
      end
    end
    local teapot = failure(function() client:get("/status/418"):raise_for_status() end)
    assert.truthy(tostring(teapot):find(": 418 I'M A TEAPOT", 1, true))
    assert.truthy(teapot.body:find("teapot", 1, true))
  end)

  it("knows responses without a body, and keeps their connection", function()
    local before = client:get("/uuid").timings
    assert.is_number(before.total)
    for _, path in ipairs { "/status/204", "/status/304", "/status/404", "/bytes/0", "/stream/0" } do
      assert.equal("", client:get(path):text())
      assert.equal("", client:head(path):text())
      assert.equal(36, #told("get", "/uuid").uuid)
    end
  end)

  it("gives repeated headers apart and together", function()
    local res = client:get("/response-headers", {
      query = { { "X-Many", "one" }, { "X-Many", "two" }, { "Set-Cookie", "a=1" }, { "Set-Cookie", "b=2" } },
    })
    assert.same({ "one", "two" }, res.headers:all("x-many"))
    assert.equal("one, two", res.headers["X-Many"])
    assert.same({ "a=1", "b=2" }, res.headers:all("set-cookie"))
  end)

  it("decodes what it has asked for", function()
    assert.is_true(told("get", "/gzip").gzipped)
    assert.is_true(told("get", "/deflate").deflated)
    assert.is_true(told("get", "/brotli").brotli)
    for path, coding in pairs { ["/gzip"] = "gzip", ["/deflate"] = "deflate", ["/brotli"] = "br" } do
      local res = client:get(path)
      assert.equal(coding, res.headers["content-encoding"])
      assert.not_equal(tonumber(res.headers["content-length"]), #res:text())
      res = client:get(path, { decompress = false })
      assert.equal(tonumber(res.headers["content-length"]), #res:text())
      assert.is_true(rille.is_error(failure(res.json, res), "EJSON"))
    end
  end)

  it("gives texts and bytes as they are", function()
    assert.equal("h\u{e9}llo w\u{f6}rld", client:get("/base64/aMOpbGxvIHfDtnJsZA=="):text())
    assert.truthy(client:get("/encoding/utf8"):text():find("README.source", 1, true))
    assert.truthy(client:get("/html"):text():find("<h1>Herman Melville - Moby-Dick</h1>", 1, true))
    assert.equal("<?xml", client:get("/xml"):text():sub(1, 5))
    local png = client:get("/image/png")
    assert.equal("\137PNG\r\n\26\n", png:bytes():sub(1, 8))
    assert.equal(tonumber(png.headers["content-length"]), #png:bytes())
    local whole = client:get("/bytes/102400", { query = { seed = 7 } })
    assert.equal(102400, #whole:bytes())
    local pieces = client:get("/stream-bytes/102400", { query = { seed = 7, chunk_size = 999 } })
    assert.equal("chunked", pieces.headers["transfer-encoding"])
    assert.is_true(whole:bytes() == pieces:bytes())
    assert.is_true(rille.is_error(failure(function() client:get("/html"):json() end), "EJSON"))
  end)

  it("bounds a body of known length and one without", function()
    assert.equal(1000, #client:get("/bytes/1000", { max_body = 1000 }):text())
    fails("ETOOBIG", "get", "/bytes/1001", { max_body = 1000 })
    assert.equal(1000, #client:get("/stream-bytes/1000", { max_body = 1000 }):text())
    fails("ETOOBIG", "get", "/stream-bytes/1001", { max_body = 1000 })
    fails("ETOOBIG", "get", "/gzip", { max_body = 100 })
  end)

  -- Ranges and conditions -------------------------------------------------------------------------

  it("asks for ranges", function()
    local function range(value) return client:get("/range/100", { headers = { Range = value } }) end
    local whole = client:get("/range/100"):text()
    for value, expected in pairs {
      ["bytes=0-9"] = { 1, 10 }, ["bytes=26-"] = { 27, 100 }, ["bytes=-10"] = { 91, 100 },
      ["bytes=5-5"] = { 6, 6 },
    } do
      local res = range(value)
      assert.same({ 206, whole:sub(expected[1], expected[2]) }, { res.status, res:text() })
      assert.equal(("bytes %d-%d/100"):format(expected[1] - 1, expected[2] - 1), res.headers["content-range"])
    end
    local res = range("bytes=100-")
    assert.same({ 416, "bytes */100", "" }, { res.status, res.headers["content-range"], res:text() })
  end)

  it("asks on conditions", function()
    local first = client:get("/cache")
    assert.equal(200, first.status)
    for name, value in pairs {
      ["If-None-Match"] = first.headers.etag, ["If-Modified-Since"] = first.headers["last-modified"],
    } do
      local res = client:get("/cache", { headers = { [name] = value } })
      assert.same({ 304, "" }, { res.status, res:text() })
    end
    local function etag(headers) return client:get("/etag/v1", { headers = headers }).status end
    assert.equal("v1", client:get("/etag/v1").headers.etag)
    assert.same({ 304, 200, 304 }, {
      etag { ["If-None-Match"] = '"v1"' }, etag { ["If-None-Match"] = '"v2"' },
      etag { ["If-None-Match"] = "*" },
    })
    assert.same({ 200, 412 }, { etag { ["If-Match"] = '"v1"' }, etag { ["If-Match"] = '"v2"' } })
    assert.equal("public, max-age=60", client:get("/cache/60").headers["cache-control"])
  end)

  -- Redirects -------------------------------------------------------------------------------------

  it("follows redirects: relative and absolute ones, as many as it may", function()
    for kind, path in pairs {
      ["redirect"] = "/relative-redirect/", ["relative-redirect"] = "/relative-redirect/",
      ["absolute-redirect"] = "/absolute-redirect/",
    } do
      local res = client:get(("/%s/4"):format(kind))
      assert.equal(base .. "/get", res.url)
      assert.same({ ("%s/%s/4"):format(base, kind), base .. path .. 3, base .. path .. 2, base .. path .. 1 },
        res.redirects)
      assert.equal(base .. "/get", res:json().url)
    end
    assert.equal(20, #client:get("/redirect/20").redirects)
    local err = fails("EREDIRECT", "get", "/redirect/21")
    assert.same({ base .. "/relative-redirect/1", 302 }, { err.url, err.status })
    has(err, ("GET %s/redirect/21: redirected to %s: too many redirects"):format(base, err.url))
    assert.equal(3, #client:get("/redirect/3", { max_redirects = 3 }).redirects)
    fails("EREDIRECT", "get", "/absolute-redirect/4", { max_redirects = 3 })
    local res = client:get("/redirect/2", { follow = false })
    assert.same({ 302, "/relative-redirect/1" }, { res.status, res.headers.location })
    assert.equal(base .. "/links/3/0", client:get("/links/3").url)
  end)

  it("changes the method on redirects as RFC 9110 has it", function()
    local function through(method, status)
      local got = client:request {
        method = method, url = "/redirect-to", query = { url = "/anything", status_code = status },
        body = method ~= "GET" and "data" or nil,
      }:json()
      return got.method .. " " .. got.data
    end
    for _, status in ipairs { 301, 302 } do
      assert.equal("GET ", through("GET", status))
      assert.equal("GET ", through("POST", status))
      for _, method in ipairs { "PUT", "PATCH", "DELETE" } do
        assert.equal(method .. " data", through(method, status))
      end
    end
    for _, method in ipairs { "GET", "POST", "PUT", "PATCH", "DELETE" } do
      assert.equal("GET ", through(method, 303))
      for _, status in ipairs { 307, 308 } do
        assert.equal(method .. (method == "GET" and " " or " data"), through(method, status))
      end
    end
    assert.equal(base .. "/get", client:head("/redirect/1").url)
  end)

  it("sends JSON and forms again where the method is kept", function()
    local query = { url = "/anything", status_code = 307 }
    local got = told("post", "/redirect-to", { query = query, json = { a = 1 } })
    assert.same({ "POST", { a = 1 } }, { got.method, got.json })
    got = told("put", "/redirect-to", { query = query, form = { a = "1" } })
    assert.same({ "PUT", { a = "1" } }, { got.method, got.form })
    query.status_code = 303
    got = told("post", "/redirect-to", { query = query, form = { a = "1" } })
    assert.same({ "GET", {} }, { got.method, got.form })
    assert.is_nil(got.headers["Content-Type"])
    assert.is_nil(got.headers["Content-Length"])
  end)

  it("follows redirects with a query, a fragment, and characters to be encoded", function()
    local function to(url) return client:get("/redirect-to", { query = { url = url } }) end
    assert.same({ q = "1" }, to("/anything?q=1"):json().args)
    assert.same({ q = "1" }, to("anything?q=1#part"):json().args)
    assert.equal(base .. "/anything/b", to("/anything/a/../b"):json().url)
    assert.equal(base .. "/get", to(base:match("^http:(.*)") .. "/get"):json().url)
    assert.equal("a b", to("/anything?q=a b"):json().args.q)
  end)

  it("keeps its credentials on the way to the same origin only", function()
    local other <close> = http.serve({ port = 0 }, function(req)
      return { json = { auth = req.headers.authorization or false } }
    end)
    local options = { query = { url = "/basic-auth/u/p" }, auth = { user = "u", password = "p" } }
    assert.is_true(told("get", "/redirect-to", options).authenticated)
    options.query.url = other.url .. "/"
    assert.is_false(client:get("/redirect-to", options):json().auth)
  end)

  -- Credentials -----------------------------------------------------------------------------------

  it("gives its name: Basic", function()
    local path = "/basic-auth/us%20er/p%C3%A4ss%20word"
    assert.same({ authenticated = true, user = "us er" },
      told("get", path, { auth = { user = "us er", password = "p\u{e4}ss word" } }))
    local res = client:get(path, { auth = { user = "us er", password = "wrong" } })
    assert.same({ 401, 'Basic realm="Fake Realm"' }, { res.status, res.headers["www-authenticate"] })
    assert.equal(401, client:get(path).status)
    local hidden = { auth = { user = "u", password = "p" } }
    assert.is_true(told("get", "/hidden-basic-auth/u/p", hidden).authenticated)
    assert.equal(404, client:get("/hidden-basic-auth/u/p").status)
    res = client:get((base:gsub("//", "//u:p%%40ss@")) .. "/basic-auth/u/p@ss")
    assert.is_true(res:json().authenticated)
    assert.equal(base:gsub("//", "//u:***@") .. "/basic-auth/u/p@ss", res.url)
  end)

  it("gives its name: Digest", function()
    local auth = { user = "u", password = "p", scheme = "digest" }
    for _, qop in ipairs { "auth", "auth-int", "none" } do
      for _, rest in ipairs { "", "/MD5", "/SHA-256", "/MD5/0", "/SHA-256/1" } do
        local got = told("get", ("/digest-auth/%s/u/p%s"):format(qop, rest), { auth = auth })
        assert.same({ authenticated = true, user = "u" }, got)
      end
    end
    local res = client:get("/digest-auth/auth/u/other", { auth = auth })
    assert.equal(401, res.status)
    has(res.headers["www-authenticate"], "Digest realm=")
    assert.equal(401, client:get("/digest-auth/auth/u/p", { auth = { user = "u", password = "p" } }).status)
    assert.equal(401, client:get("/digest-auth/auth/u/p").status)
    -- Whose password is not to be sent does not get it.
    local sent = told("get", "/anything", { auth = auth })
    assert.is_nil(sent.headers.Authorization)
  end)

  it("gives its name: Bearer", function()
    assert.same({ authenticated = true, token = "t0ken" }, told("get", "/bearer", { bearer = "t0ken" }))
    local res = client:get("/bearer")
    assert.same({ 401, "Bearer" }, { res.status, res.headers["www-authenticate"] })
    local err = failure(res.raise_for_status, client:get("/status/401", { bearer = "t0ken" }))
    assert.is_nil(tostring(err):find("t0ken", 1, true))
  end)

  -- Slow answers, and what comes bit by bit -------------------------------------------------------

  it("waits for a slow answer, and not for ever", function()
    assert.equal(base .. "/delay/0.01", told("get", "/delay/0.01", { timeout = 60 }).url)
    local err = fails("ETIMEDOUT", "get", "/delay/10", { timeout = 0.03 })
    assert.same({ "total", base .. "/delay/10" }, { err.phase, err.url })
    assert.equal("idle", fails("ETIMEDOUT", "get", "/delay/10", { timeout = { idle = 0.03 } }).phase)
    err = expect.patiently(function(idle)
      local options = { timeout = { idle = idle } }
      local got = fails("ETIMEDOUT", "get", "/drip?numbytes=10&duration=100&code=201", options)
      return got.status and got -- else its head came too late
    end)
    assert.same({ "idle", 201 }, { err.phase, err.status })
    -- What drips in time is not idle.
    assert.equal("*****", client:get("/drip?numbytes=5&duration=0.1", { timeout = { idle = 60 } }):text())
  end)

  it("takes what drips as it comes", function()
    local drip <close> = client:stream("/drip?numbytes=5&duration=0.2&delay=0.01")
    assert.same({ 200, "5" }, { drip.status, drip.headers["content-length"] })
    local got = ""
    for chunk in drip:chunks() do got = got .. chunk end
    assert.equal("*****", got)
    assert.equal(503, client:get("/drip?numbytes=2&duration=0.02&code=503").status)
  end)

  it("streams JSON lines", function()
    local res <close> = client:stream("/stream/20")
    assert.equal("chunked", res.headers["transfer-encoding"])
    local ids = {}
    for item in res:ndjson() do
      assert.equal(base .. "/stream/20", item.url)
      ids[#ids + 1] = item.id
    end
    assert.equal(20, #ids)
    for i = 1, 20 do assert.equal(i - 1, ids[i]) end
    local count = 0
    for line in client:stream("/stream/7"):lines() do
      assert.equal(count, json.decode(line).id)
      count = count + 1
    end
    assert.equal(7, count)
  end)

  it("leaves a stream before its end, and goes on with other requests", function()
    for _ = 1, 5 do
      for item in client:stream("/stream/100"):ndjson() do
        if item.id == 3 then break end
      end
      local drip <close> = client:stream("/drip?numbytes=10&duration=10")
      assert.equal("*", drip:chunks():next())
      drip:close()
      assert.equal(36, #told("get", "/uuid").uuid)
    end
  end)

  it("asks many things at once, each with its own answer", function()
    local tasks = {}
    for i = 1, 60 do
      tasks[i] = rille.spawn(function()
        if i % 3 == 0 then return told("post", "/anything/" .. i, { json = { i = i } }).json.i end
        if i % 3 == 1 then return tonumber(told("get", "/anything", { query = { i = i } }).args.i) end
        return tonumber(told("get", "/redirect-to", { query = { url = "/anything?i=" .. i } }).args.i)
      end)
    end
    for i = 1, 60 do assert.equal(i, tasks[i]:await()) end
  end)

  -- Cookies -----------------------------------------------------------------------------------------

  it("keeps no cookie unless it is asked to, and sends those that it is given", function()
    local res = client:get("/cookies/set", { query = { a = "1" }, follow = false })
    assert.truthy(res.headers["set-cookie"]:find("^a=1;"))
    assert.same({}, told("get", "/cookies/set/b/2").cookies)
    assert.same({}, told("get", "/cookies").cookies)
    assert.same({ a = "1", b = "2" }, told("get", "/cookies", { headers = { Cookie = "a=1; b=2" } }).cookies)
    assert.same({ a = "1" }, told("get", "/redirect-to",
      { query = { url = "/cookies" }, headers = { Cookie = "a=1" } }).cookies)
  end)

  it("keeps cookies when it is asked to", function()
    local keeping <close> = http.client { base_url = base, proxy = "", cookies = true }
    local function cookies(path, options) return keeping:get(path, options):json().cookies end
    assert.same({}, cookies("/cookies"))
    assert.same({ a = "1", b = "2" }, cookies("/cookies/set?a=1&b=2"))
    assert.same({ a = "1", b = "2", c = "3" }, cookies("/cookies/set/c/3"))
    assert.same({ a = "x", b = "2", c = "3" }, cookies("/cookies/set/a/x"))
    assert.same({ b = "2" }, cookies("/cookies/delete?a=&c="))
    assert.same({ b = "2" }, cookies("/cookies"))
    assert.same({ b = "2", d = "4" }, cookies("/cookies", { headers = { Cookie = "d=4" } }))
    assert.same({ b = "2" }, cookies("/cookies"))
    assert.same({}, told("get", "/cookies").cookies)
    -- A server that counts the uses of a nonce by cookies.
    local auth = { user = "u", password = "p", scheme = "digest" }
    for _ = 1, 4 do
      assert.is_true(keeping:get("/digest-auth/auth/u/p/MD5/1", { auth = auth }):json().authenticated)
    end
  end)
end)
