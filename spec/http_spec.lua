local expect = require "spec.helper.expect"
local http = require "rille.http"
local json = require "rille.json"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local rille = require "rille"
local task = require "rille.host.task"

--- A server whose handler describes the request that it got.
local function echo(req)
  local headers = {}
  for name, value in pairs(req.headers) do headers[name] = value end
  return { status = 200, json = {
    method = req.method, path = req.path, target = req.target, headers = headers, body = req:text(),
  } }
end

local function serve(handler) return http.serve({ host = "127.0.0.1", port = 0 }, handler or echo) end

local failure, eventually = expect.caught, expect.eventually

describe("rille.http against the host's server", function()
  local server, base

  setup(function()
    server = serve(function(req)
      if req.path == "/status" then return { status = tonumber(req.query.code), body = "told so" } end
      if req.path == "/redirect" then
        return { status = tonumber(req.query.code), headers = { location = req.query.to }, body = "moved" }
      end
      if req.path == "/loop" then return { status = 302, headers = { location = "/loop" } } end
      if req.path == "/html" then return { status = 200, body = "<p>no\nJSON</p>" } end
      if req.path == "/large" then return { status = 200, body = ("x"):rep(300000) } end
      return echo(req)
    end)
    base = ("http://127.0.0.1:%d"):format(server.port)
  end)

  teardown(function() server:close() end)

  local function get(path, options) return http.get(base .. path, options):json() end

  it("gives the whole response", function()
    local res = http.get(base .. "/a?b=c")
    assert.equal(200, res.status)
    assert.equal("OK", res.reason)
    assert.equal("GET", res.method)
    assert.equal(base .. "/a?b=c", res.url)
    assert.equal("1.1", res.http_version)
    assert.same({}, res.redirects)
    assert.equal("/a?b=c", res:json().target)
    assert.equal(res:text(), res:bytes())
    assert.is_true(res.timings.total >= res.timings.first_byte)
    assert.equal(("rille.Response: 200, %d bytes (GET %s/a?b=c)"):format(#res:text(), base), tostring(res))
    assert.is_nil(res.anything)
  end)

  it("tells what took how long", function()
    local client <close> = http.client { base_url = base }
    local first, again = client:get("/").timings, client:get("/").timings
    assert.is_true(first.name_lookup > 0 and first.connect >= first.name_lookup)
    assert.is_true(first.first_byte >= first.connect and first.total >= first.first_byte)
    assert.same({ 0, 0, 0 }, { first.tls, first.redirect, again.connect })
    local moved = client:get("/redirect?code=302&to=/").timings
    assert.is_true(moved.redirect > 0 and moved.total > moved.redirect)
  end)

  it("reads headers whatever their case", function()
    local res = http.get(base .. "/")
    assert.equal("application/json", res.headers["Content-Type"]:match("^[^;]+"))
    assert.equal(res.headers["CONTENT-TYPE"], res.headers["content-type"])
    assert.same({ res.headers["content-type"] }, res.headers:all("Content-TYPE"))
    assert.same({}, res.headers:all("x-none"))
    local lines = {}
    for name, value in pairs(res.headers) do lines[#lines + 1] = name .. ": " .. value end
    assert.equal(table.concat(lines, "\n"), tostring(res.headers))
    assert.is_nil(res.headers["x-none"])
    assert.is_nil(res.headers[1 / 2])
    local seen = {}
    for name, value in pairs(res.headers) do seen[name] = value end
    assert.equal(res.headers["content-length"], seen["content-length"])
  end)

  it("sends each method, with a body or without", function()
    for _, name in ipairs { "get", "post", "put", "patch", "delete", "options" } do
      assert.same({ name:upper(), "" }, (function()
        local got = http[name](base .. "/"):json()
        return { got.method, got.body }
      end)())
    end
    for _, name in ipairs { "post", "put", "patch", "delete", "options", "get" } do
      local got = http[name](base .. "/", { body = "a\0b" }):json()
      assert.same({ name:upper(), "a\0b" }, { got.method, got.body })
    end
    local res = http.head(base .. "/")
    assert.same({ 200, "" }, { res.status, res:text() })
    assert.is_true(tonumber(res.headers["content-length"]) > 0)
    assert.equal("PUT", http.request { method = "put", url = base }:json().method)
    assert.equal("GET", http.request { url = base }:json().method)
  end)

  it("says that there is no body where one is expected", function()
    assert.equal("0", http.post(base .. "/"):json().headers["content-length"])
    assert.is_nil(http.delete(base .. "/"):json().headers["content-length"])
    assert.is_nil(http.post(base .. "/"):json().headers["content-type"])
  end)

  it("leaves out a client's credentials where a request says so", function()
    local client <close> = http.client { base_url = base, bearer = "t" }
    assert.equal("Bearer t", client:get("/"):json().headers.authorization)
    assert.is_nil(client:get("/", { bearer = false }):json().headers.authorization)
    local other <close> = http.client { base_url = base, auth = { user = "u" }, bearer = false }
    assert.is_nil(other:get("/", { auth = false }):json().headers.authorization)
    assert.equal("Bearer t", other:get("/", { auth = false, bearer = "t" }):json().headers.authorization)
    assert.is_nil(get("/", { auth = false, bearer = false }).headers.authorization)
  end)

  it("forgets one request's method, body and headers before the next", function()
    local client <close> = http.client()
    for _ = 1, 3 do
      assert.equal("POST", client:post(base, { body = "x", headers = { ["X-A"] = "1" } }):json().method)
      local got = client:get(base):json()
      assert.same({ "GET", "" }, { got.method, got.body })
      assert.is_nil(got.headers["x-a"])
      assert.equal("PATCH", client:patch(base):json().method)
      assert.equal("", client:head(base):text())
      assert.equal("DELETE", client:delete(base):json().method)
      assert.equal("Basic dTpw", client:get(base, { auth = { user = "u", password = "p" } }):json()
        .headers.authorization)
      assert.is_nil(client:get(base):json().headers.authorization)
    end
  end)

  it("sends JSON and forms", function()
    local got = http.post(base, { json = { a = { 1, 2 } } }):json()
    assert.same({ a = { 1, 2 } }, json.decode(got.body))
    assert.equal("application/json", got.headers["content-type"])
    assert.equal("false", http.post(base, { json = false }):json().body)
    got = http.post(base, { form = { b = "x y&z", a = { 1, true } } }):json()
    assert.equal("a=1&a=true&b=x+y%26z", got.body)
    assert.equal("application/x-www-form-urlencoded", got.headers["content-type"])
    got = http.post(base, { json = 1, headers = { ["content-TYPE"] = "application/ld+json" } }):json()
    assert.equal("application/ld+json", got.headers["content-type"])
  end)

  it("appends the query", function()
    assert.equal("/?a=1&b=%C3%A9%20%2F&b=2", get("/", { query = { b = { "\xc3\xa9 /", 2 }, a = 1 } }).target)
    assert.equal("/?z=1&a=2", get("/", { query = { { "z", 1 }, { "a", 2 } } }).target)
    assert.equal("/?x=0&a=1", get("/?x=0", { query = { a = 1 } }).target)
    assert.equal("/?a=1", get("/?", { query = { a = 1 } }).target)
    assert.equal("/?a=1", get("/#part", { query = { a = 1 } }).target)
    assert.equal("/", get("/", { query = {} }).target)
  end)

  it("encodes what a URL cannot have as it is, and nothing twice", function()
    assert.equal("/a%20b/%C3%BC%25?q=%C3%A9%20%2F", get("/a b/ü%25?q=é %2F").target)
    assert.equal("/%FF?k=%20", get("/\xFF", { query = { k = " " } }).target)
    local client <close> = http.client { base_url = base .. "/ä" }
    assert.equal("/%C3%A4/b%20c", client:get("b c"):json().target)
    local res <close> = http.stream(base .. "/é")
    assert.equal(base .. "/%C3%A9", res.url)
    local err = failure(http.get, "http://a b/")
    assert.is_true(rille.is_error(err, "EURL"))
  end)

  it("sends whole numbers as JSON does: those that were decoded are floats", function()
    local id = json.decode('{"id":25}').id
    assert.equal("/?id=25&l=25&x=0.5", get("/", { query = { id = id, l = { id }, x = 0.5 } }).target)
    assert.equal("id=25&n=1e%2B300", http.post(base, { form = { id = id, n = 1e300 } }):json("/body"))
    assert.equal("25", get("/", { headers = { ["x-id"] = id } }).headers["x-id"])
    local form = http.post(base, { multipart = { { name = "id", value = id } } }):json("/body")
    assert.is_truthy(form:find("\r\n\r\n25\r\n", 1, true))
  end)

  it("refuses a table of fields where a list of values is expected", function()
    for option, name in pairs { query = "a", form = "a", headers = "a" } do
      local _, err = pcall(http.post, base, { [option] = { [name] = { b = 1 } } })
      local hint = ("bad option '%s' (a: a list of values expected, it has a field 'b')"):format(option)
      assert.is_truthy(err:find(hint, 1, true), err)
    end
  end)

  it("sends headers: by name, repeated, in order, empty", function()
    local got = get("/", { headers = { ["X-One"] = "1", ["X-Two"] = { "a", "b" }, ["X-Number"] = 7 } })
    assert.same({ "1", "a, b", "7" }, { got.headers["x-one"], got.headers["x-two"], got.headers["x-number"] })
    got = get("/", { headers = { { "X-B", "1" }, { "X-A", "2" }, { "X-B", "3" } } })
    assert.same({ "1, 3", "2" }, { got.headers["x-b"], got.headers["x-a"] })
    assert.equal("", get("/", { headers = { ["X-Empty"] = "" } }).headers["x-empty"])
    assert.equal("gzip, deflate, br, zstd", get("/").headers["accept-encoding"])
    assert.is_nil(get("/", { decompress = false }).headers["accept-encoding"])
    assert.equal("br", get("/", { headers = { ["Accept-Encoding"] = "br" } }).headers["accept-encoding"])
  end)

  it("says who asks, once", function()
    local function agent(options) return get("/", options).headers["user-agent"] end
    assert.is_truthy(agent():find("^rille/%d[%d.]*$"))
    assert.equal("me/1", agent { user_agent = "me/1" })
    assert.equal("you/2", agent { headers = { ["User-Agent"] = "you/2" } })
    assert.equal("you/2", agent { headers = { ["user-agent"] = "you/2" }, user_agent = "me/1" })
    assert.is_nil(agent { user_agent = "" })
  end)

  it("sends credentials", function()
    assert.equal("Basic dXNlcjpwYTpzcw==", get("/", { auth = { user = "user", password = "pa:ss" } })
      .headers.authorization)
    assert.equal("Basic dXNlcjo=", get("/", { auth = { user = "user" } }).headers.authorization)
    assert.equal("Bearer abc", get("/", { bearer = "abc" }).headers.authorization)
    local res = http.get((base:gsub("//", "//me:top%%20secret@")) .. "/")
    assert.equal("Basic bWU6dG9wIHNlY3JldA==", res:json().headers.authorization)
    assert.is_nil(res.url:find("secret", 1, true))
    assert.is_nil(tostring(res):find("secret", 1, true))
  end)

  it("raises EJSON for a body that is not JSON", function()
    local err = failure(function() return http.get(base .. "/html"):json() end)
    assert.is_true(rille.is_error(err, "EJSON"))
    assert.equal(base .. "/html", err.url)
    assert.equal(200, err.status)
    assert.equal("<p>no\nJSON</p>", err.body)
    assert.is_nil(tostring(err):find("\n", 1, true))
    assert.truthy(tostring(err):find('"<p>no.JSON</p>" (status 200)', 1, true))
    err = failure(function() return http.get(base .. "/status?code=204"):json() end)
    assert.truthy(tostring(err):find("the body is empty (status 204)", 1, true))
  end)

  it("gives the body as streams, as often as wanted", function()
    local bodies = {
      ["/text"] = { "text/plain; charset=iso-8859-1", "\xE9t\xE9\r\nb\rc" },
      ["/values"] = { "application/x-ndjson", '{"a":1}\n\n[2]\r\nnull' },
      ["/bad"] = { "application/x-ndjson", "1\nnope\n" },
      ["/events"] = { "text/event-stream", "id: 7\ndata: a\n\ndata: cut" },
      ["/empty"] = { "text/plain", "" },
    }
    local server_of_bodies <close> = http.serve({ port = 0 }, function(req)
      local kind, body = table.unpack(bodies[req.path])
      return { headers = { ["Content-Type"] = kind }, body = body }
    end)
    local function fetch(path) return http.get(server_of_bodies.url .. path) end
    local res = fetch("/text")
    for _ = 1, 2 do
      assert.same({ "été", "b", "c" }, res:lines():collect())
      assert.same({ bodies["/text"][2] }, res:chunks():collect())
    end
    assert.same({ { a = 1 }, { 2 }, json.null }, fetch("/values"):ndjson():collect())
    assert.same({ { event = "message", data = "a", id = "7" } }, fetch("/events"):events():collect())
    local values = fetch("/bad"):ndjson()
    assert.equal(1, values:next())
    assert.equal(2, failure(values.next, values).line)
    res = fetch("/empty")
    for _, read in ipairs { "chunks", "lines", "ndjson", "events" } do
      assert.same({}, res[read](res):collect())
    end
    assert.same({ "été" }, fetch("/text"):lines():take(1):collect())
  end)

  it("encodes what a URL cannot have, and nothing else of it", function()
    local kept = "/~!$&'()*+,;=:@%20%2f?[]|^`\"<>{}"
    assert.equal(kept, get(kept).target)
    assert.equal("/a%20b?c%20%80", get("/a b?c \x80").target)
    assert.equal("/%FF%C3%A9", get("/\xff\xc3\xa9").target)
  end)

  it("escapes a part of a path", function()
    assert.equal("/mr.%20mime%2F%C3%A9%3F", get("/" .. http.escape("mr. mime/\xc3\xa9?")).target)
    assert.equal("25", http.escape(25.0))
    assert.equal("A-z0._~", http.escape("A-z0._~"))
    assert.error_matches(function() http.escape(nil) end, "bad argument #1 to 'escape'")
  end)

  it("says which URL a link means", function()
    local page = "http://host:8080/planets/mars?moons=2#top"
    for reference, url in pairs {
      ["phobos"] = "http://host:8080/planets/phobos", ["../sun"] = "http://host:8080/sun",
      ["/"] = "http://host:8080/", ["//other/x"] = "http://other/x",
      ["?moons=1"] = "http://host:8080/planets/mars?moons=1", [""] = "http://host:8080/planets/mars?moons=2",
      ["https://other/"] = "https://other/", ["mailto:a@b"] = "mailto:a@b",
      ["#end"] = "http://host:8080/planets/mars?moons=2#end",
    } do
      assert.equal(url, http.join(page, reference))
    end
    local function misuse(number, kind)
      return ("bad argument #%d to 'join' %%(string expected, got %s%%)$"):format(number, kind)
    end
    assert.error_matches(function() http.join(page) end, misuse(2, "nil"))
    assert.error_matches(function() http.join({}, "x") end, misuse(1, "table"))
    assert.error_matches(function() http.join() end, misuse(1, "nil"))
  end)

  it("says how a function of the module is called", function()
    assert.error_matches(function() http:get(base) end, "called with '.'", 1, true)
  end)

  it("refuses methods that are called without a colon", function()
    local client <close> = http.client()
    local res = client:get(base)
    for _, call in ipairs {
      function() return client.get(base) end, function() return client.stream(base) end,
      function() return client.request({ url = base }) end, function() return res.text() end,
      function() return res.json() end, function() return res.json("/a") end,
      function() return res.raise_for_status() end,
    } do
      local _, err = pcall(call)
      assert.matches("^spec/http_spec.lua:%d+: .*called with ':'%?%)$", err)
    end
  end)

  it("tells how a JSON pointer looks, and which time-out is over", function()
    local _, err = pcall(function() return http.get(base):json("name") end)
    assert.is_truthy(err:find("(not a JSON pointer such as '/name')", 1, true), err)
    local slow <close> = serve(function() rille.sleep(60) end)
    err = failure(http.get, slow.url, { timeout = 0.01 })
    assert.is_truthy(err.message:find("timed out (timeout.total)", 1, true))
    err = failure(http.get, slow.url, { timeout = { idle = 0.01 } })
    assert.is_truthy(err.message:find("for too long (timeout.idle)", 1, true))
    slow:close(0)
  end)

  it("raises ESTATUS with the response", function()
    local res = http.get(base .. "/status?code=503")
    local err = failure(res.raise_for_status, res)
    assert.equal(res, err.response)
    assert.equal("told so", err.response:text())
    assert.equal("7", err.headers["content-length"])
    res = http.stream(base .. "/status?code=503")
    err = failure(res.raise_for_status, res)
    assert.equal("7", err.response.headers["content-length"])
    assert.matches("closed", failure(res.text, res))
  end)

  it("raises ESTATUS only when asked", function()
    local res = http.get(base .. "/status?code=404")
    assert.equal("told so", res:text())
    local err = failure(res.raise_for_status, res)
    assert.is_true(rille.is_error(err, "ESTATUS"))
    assert.same({ 404, "GET", "Not Found", "told so" }, { err.status, err.method, err.reason, err.body })
    assert.equal("7", err.headers["Content-Length"])
    assert.equal(("GET %s/status?code=404: 404 Not Found"):format(base), tostring(err))
    res = http.get(base)
    assert.equal(res, res:raise_for_status())
  end)

  it("follows redirects and lists them", function()
    local res = http.get(base .. "/redirect?code=302&to=/redirect%3Fcode%3D307%26to%3D/end")
    assert.equal(base .. "/end", res.url)
    assert.same({ base .. "/redirect?code=302&to=/redirect%3Fcode%3D307%26to%3D/end",
      base .. "/redirect?code=307&to=/end" }, res.redirects)
    assert.equal("/end", res:json().path)
    res = http.get(base .. "/redirect?code=302&to=/end", { follow = false })
    assert.same({ 302, "/end", "moved" }, { res.status, res.headers.location, res:text() })
  end)

  it("changes the method on a redirect as RFC 9110 has it", function()
    local function through(method, code)
      local got = http.request {
        method = method, url = ("%s/redirect?code=%d&to=/end"):format(base, code),
        body = method ~= "HEAD" and "data" or nil, headers = { ["Content-Type"] = "text/x" },
      }
      if method == "HEAD" then return tostring(got.status) end
      got = got:json()
      return ("%s %s %s"):format(got.method, got.body, tostring(got.headers["content-type"]))
    end
    for _, code in ipairs { 301, 302 } do
      assert.equal("GET  nil", through("POST", code))
      assert.equal("PUT data text/x", through("PUT", code))
      assert.equal("DELETE data text/x", through("DELETE", code))
    end
    for _, method in ipairs { "POST", "PUT", "PATCH", "DELETE", "GET" } do
      assert.equal("GET  nil", through(method, 303))
      assert.equal(method .. " data text/x", through(method, 307))
      assert.equal(method .. " data text/x", through(method, 308))
    end
    assert.equal("200", through("HEAD", 303))
    assert.equal("GET", http.delete(base .. "/redirect?code=303&to=/end"):json().method)
    assert.equal("DELETE", http.delete(base .. "/redirect?code=302&to=/end"):json().method)
    assert.equal("DELETE", http.delete(base .. "/"):json().method)
  end)

  it("stops at too many redirects", function()
    local err = failure(http.get, base .. "/loop")
    assert.is_true(rille.is_error(err, "EREDIRECT"))
    assert.equal(302, err.status)
    assert.equal(base .. "/loop", err.url)
    local hits = 0
    local circle <close> = serve(function()
      hits = hits + 1
      return { status = 302, headers = { location = "/" } }
    end)
    assert.is_true(rille.is_error(failure(http.get, circle.url), "EREDIRECT"))
    assert.equal(1 + 20, hits)
    err = failure(http.get, base .. "/redirect?code=302&to=/end", { max_redirects = 0 })
    assert.is_true(rille.is_error(err, "EREDIRECT"))
    assert.equal("/end", get("/redirect?code=302&to=/end", { max_redirects = 1 }).path)
  end)

  it("follows a redirect to HTTP alone", function()
    for _, scheme in ipairs { "ftp", "ftps", "file", "gopher", "dict", "telnet", "smtp", "ws", "data" } do
      local to = base:gsub("^http", scheme) .. "/x"
      local err = failure(http.get, base .. "/redirect", { query = { code = 302, to = to }, timeout = 60 })
      assert.same({ scheme, "EREDIRECT", 302 }, { scheme, err.code, err.status })
    end
  end)

  it("does not take credentials to another origin", function()
    local other <close> = serve()
    local url = ("%s/redirect?code=307&to=http://127.0.0.1:%d/"):format(base, other.port)
    local headers = { Authorization = "Bearer x", Cookie = "a=b", ["X-Kept"] = "1" }
    local got = http.get(url, { headers = headers }):json().headers
    assert.same({ nil, nil, "1" }, { got.authorization, got.cookie, got["x-kept"] })
    assert.is_nil(http.get(url, { auth = { user = "u", password = "p" } }):json().headers.authorization)
    assert.is_nil(http.get(url, { bearer = "t" }):json().headers.authorization)
    got = get("/redirect?code=307&to=/", { bearer = "t" })
    assert.equal("Bearer t", got.headers.authorization)
  end)

  it("bounds the body", function()
    assert.equal(300000, #http.get(base .. "/large", { max_body = 300000 }):text())
    local err = failure(http.get, base .. "/large", { max_body = 299999 })
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal(200, err.status)
  end)

  it("refuses what could become another request", function()
    local client <close> = http.client()
    for _, bad in ipairs { "\r\nX: y", "\n", "\0", "\127" } do
      assert.error_matches(function() client:get(base .. "/" .. bad) end, "bad URL")
      assert.error_matches(function() client:get(base, { headers = { a = bad } }) end,
        "bad value of header 'a'")
      assert.error_matches(function() client:get(base, { headers = { ["a" .. bad] = "1" } }) end,
        "bad header name")
      assert.error_matches(function() client:request { method = "GET" .. bad, url = base } end, "bad method")
      assert.error_matches(function() client:get(base, { user_agent = bad }) end, "bad option 'user_agent'")
      assert.error_matches(function() client:get(base, { bearer = bad }) end, "bad option 'bearer'")
    end
    assert.error_matches(function() client:get(base, { headers = { ["a b"] = "1" } }) end, "bad header name")
    assert.error_matches(function() client:get(base, { headers = { [""] = "1" } }) end, "bad header name")
    assert.error_matches(function() client:post(base, { headers = { ["Content-Length"] = "1" } }) end,
      "is set by the client itself")
    assert.error_matches(function()
      client:post(base, { headers = { ["transfer-encoding"] = "chunked" } })
    end, "is set by the client itself")
    assert.error_matches(function() client:request { method = "CONNECT", url = base } end, "bad method")
    assert.equal(200, client:get(base).status)
  end)

  it("refuses unknown options by name, and values of another type", function()
    local function refused(options, pattern)
      assert.error_matches(function() http.get(base, options) end, pattern)
    end
    refused({ timout = 1 }, "unknown option 'timout'")
    refused({ timeout = { totl = 1 } }, "unknown option 'timeout.totl'")
    refused({ base_url = "x" }, "unknown option 'base_url' %(it is an option of http.client%)")
    refused({ bearer = true }, "bad option 'bearer' %(string or false expected, got boolean%)")
    refused({ auth = true }, "bad option 'auth' %(table or false expected, got boolean%)")
    refused({ timeout = "1" }, "bad option 'timeout' %(number or table expected, got string%)")
    refused({ timeout = -1 }, "bad option 'timeout' %(out of range%)")
    refused({ timeout = 0 / 0 }, "bad option 'timeout' %(out of range%)")
    refused({ timeout = { idle = false } }, "bad option 'timeout.idle'")
    refused({ follow = 1 }, "bad option 'follow' %(boolean expected, got number%)")
    refused({ max_body = 1.5 }, "bad option 'max_body'")
    refused({ max_body = -1 }, "bad option 'max_body'")
    refused({ auth = { password = "x" } }, "bad option 'auth' %(no 'user'%)")
    refused({ auth = { user = "a:b" } }, "bad option 'auth'")
    refused({ auth = { user = "a" }, bearer = "b" }, "bad options")
    refused({ headers = "x" }, "bad option 'headers'")
    refused({ headers = { a = {}, b = { {} } } }, "bad option 'headers'")
    refused({ headers = { { "a" } } }, "bad option 'headers'")
    refused({ query = "x" }, "bad option 'query'")
    refused({ query = { a = function() end } }, "bad option 'query'")
    refused({ body = 1 }, "bad option 'body'")
    refused({ body = "", json = 1 }, "bad options %(more than one of")
    refused(1, "bad options")
    assert.error_matches(function() http.head(base, { body = "x" }) end, "cannot have a body")
    assert.error_matches(function() http.get() end, "bad URL")
    assert.error_matches(function() http.request(base) end, "bad argument #1 to 'request'")
    assert.error_matches(function() http.request { url = base, method = 1 } end, "bad option 'method'")
    assert.error_matches(function() http.client { base = base } end, "unknown option 'base'")
    assert.error_matches(function() http.client { json = 1 } end, "'json' %(it is an option of a request%)")
    assert.error_matches(function() http.client { base_url = base .. "/?a=1" } end, "bad option 'base_url'")
    assert.error_matches(function() http.client { max_connections = -1 } end, "out of range")
    assert.error_matches(function() http.client { max_connections = "x" } end, "integer expected, got string")
  end)

  it("takes a float with the value of an integer for one, as Lua's library does", function()
    local client <close> = http.client { max_connections = 2.0, max_per_host = 1e1, retry = 2.0 }
    assert.equal(200, client:get(base, { max_body = 2 ^ 20, max_redirects = 1e1 }).status)
    assert.error_matches(function() client:get(base, { max_body = 1.5 }) end, "integer expected, got number")
    assert.error_matches(function() client:get(base, { max_body = "1" }) end, "integer expected, got string")
  end)

  it("tells what an unknown option was meant to be", function()
    local function refused(hint, fn, ...)
      local _, err = pcall(fn, ...)
      assert.is_truthy(err:find(hint, 1, true), err)
    end
    for name, hint in pairs {
      timout = "'timout' (did you mean 'timeout'?)", max_redirect = "(did you mean 'max_redirects'?)",
      Headers = "(did you mean 'headers'?)", time_out = "(did you mean 'timeout'?)",
      useragent = "(did you mean 'user_agent'?)", params = "(did you mean 'query'?)",
      follow_redirects = "(did you mean 'follow'?)", insecure = "(did you mean 'tls.insecure'?)",
      user = "(did you mean 'auth.user'?)",
      verify = "(did you mean 'tls.insecure' or 'tls.ca'?)", cookies = "(it is an option of http.client)",
      url = "(it is an option of http.request and http.stream)",
      ["content-type"] = "(a header belongs in 'headers')",
    } do refused(hint, http.get, base, { [name] = 1 }) end
    for option, fields in pairs {
      timeout = { conect = "(did you mean 'timeout.connect'?)", read = "(did you mean 'timeout.idle'?)" },
      auth = { username = "(did you mean 'auth.user'?)", [1] = "(did you mean 'auth.user'?)" },
      retry = { attempts = "(did you mean 'retry.times'?)", backof = "(did you mean 'retry.backoff'?)" },
    } do
      for field, hint in pairs(fields) do refused(hint, http.get, base, { [option] = { [field] = 1 } }) end
    end
    refused("'body' (it is an option of a request)", http.client, { body = "x" })
    refused("(did you mean 'base_url'?)", http.client, { baseurl = "x" })
    refused("(did you mean 'last_event_id'?)", http.events, base, { last_event = "1" })
    refused("'file', did you mean 'path'?)", http.post, base, { multipart = { { name = "a", file = "x" } } })
    refused("'1', did you mean 'name'?)", http.post, base, { multipart = { { "a", "b" } } })
    refused("(did you mean 'reconnect.times'?)", http.events, base, { reconnect = { tries = 1 } })
    refused("(did you mean 'next'?)", http.pages, base, { nxt = "/next" })
    local _, err = pcall(http.get, base, { zebra = 1 })
    assert.is_truthy(err:find("unknown option 'zebra'$"), err)
  end)

  it("hides the user of a URL that has no password: it is a token", function()
    local res = http.get((base:gsub("//", "//secret@")) .. "/headers")
    assert.is_nil(res.url:find("secret", 1, true))
    local err = failure(http.get, "http://secret@127.0.0.1:1/")
    assert.truthy(err.message:find("http://***@127.0.0.1:1/", 1, true))
    assert.equal("http://***@127.0.0.1:1/", err.url)
  end)

  it("blames the script's line for misuse", function()
    local line = debug.getinfo(1, "l").currentline
    local calls = {
      function() http.get() end,
      function() http.get(base, { timout = 1 }) end,
      function() http.get(base .. "\n") end,
      function() http.get(base, { headers = { a = { {} } } }) end,
      function() http.get(base, { headers = { a = "\n" } }) end,
      function() http.post(base, { json = 1, body = "" }) end,
      function() http.request { url = base, query = { a = {}, b = { {} } } } end,
      function() http.client { bse_url = base } end,
      function() http.client():get(base, { auth = {} }) end,
      function() http.client { max_connections = "x" } end,
    }
    for i, call in ipairs(calls) do
      assert.equal(("spec/http_spec.lua:%d:"):format(line + 1 + i), failure(call):match("^%S+"))
    end
  end)

  it("refuses to wait where nobody can resume it, and starts nothing", function()
    local hits = 0
    local counting <close> = serve(function() hits = hits + 1 return { status = 200 } end)
    local url = ("http://127.0.0.1:%d/"):format(counting.port)
    assert.error_matches(function()
      table.sort({ 1, 2 }, function() return http.get(url).status == 200 end)
    end, "cannot wait")
    assert.equal(200, http.get(url).status)
    assert.equal(1, hits)
  end)

  it("keeps a client's defaults, and lets a request replace them", function()
    local client <close> = http.client {
      base_url = base .. "/v1/", headers = { ["X-A"] = "1", ["X-B"] = "2" }, query = { k = "v" },
      bearer = "t", timeout = { total = 5 },
    }
    local got = client:get("/things", { headers = { ["x-b"] = "3" }, query = { p = 2 } }):json()
    assert.equal("/v1/things?k=v&p=2", got.target)
    local h = got.headers
    assert.same({ "1", "3", "Bearer t" }, { h["x-a"], h["x-b"], h.authorization })
    h = client:get("things", { headers = { ["X-A"] = false }, auth = { user = "u" } }):json().headers
    assert.same({ nil, "2", "Basic dTo=" }, { h["x-a"], h["x-b"], h.authorization })
    assert.equal("/other?k=v", client:get(base .. "/other"):json().target)
    assert.equal("/v1/?k=v", client:get(""):json().target)
  end)

  it("connects to a Unix socket", function()
    local path = os.tmpname()
    os.remove(path)
    local local_server <close> = http.serve({ unix = path }, echo)
    assert.equal("/x", http.get("http://anything/x", { unix_socket = path }):json().path)
    local_server:close()
    assert.is_true(rille.is_error(failure(http.get, "http://anything/x", { unix_socket = path }), "ENOENT"))
  end)

  it("raises ETLS where the peer does not speak TLS", function()
    local err = failure(http.get, (base:gsub("^http", "https")))
    assert.is_true(rille.is_error(err, "ETLS"))
  end)

  it("uses the proxy that it is given", function()
    local got = http.get("http://example.invalid/x?y", { proxy = base }):json()
    assert.equal("example.invalid", got.headers.host)
  end)

  it("runs many requests at once, each with its own response", function()
    local tasks = {}
    for i = 1, 300 do
      tasks[i] = rille.spawn(function() return get("/" .. i).path end)
    end
    for i = 1, 300 do assert.equal("/" .. i, tasks[i]:await()) end
  end)

  it("survives a collection at any point", function()
    local tasks = {}
    for i = 1, 20 do
      tasks[i] = rille.spawn(function()
        local res = http.post(base .. "/" .. i, { body = ("b"):rep(i), headers = { ["X-I"] = i } })
        collectgarbage()
        local got = res:json()
        return got.path .. got.body .. got.headers["x-i"]
      end)
      collectgarbage()
    end
    for _ = 1, 20 do
      rille.sleep(0)
      collectgarbage()
    end
    for i = 1, 20 do assert.equal("/" .. i .. ("b"):rep(i) .. i, tasks[i]:await()) end
  end)

  it("keeps a response valid after its client is gone", function()
    local client = http.client()
    local res = client:get(base .. "/large")
    client:close()
    client = nil -- luacheck: ignore 311
    collectgarbage()
    collectgarbage()
    assert.equal(300000, #res:text())
    assert.equal("300000", res.headers["content-length"])
  end)

  it("holds its limit of connections, and serves those who wait", function()
    local now, most = 0, 0
    local slow <close> = serve(function()
      now = now + 1
      most = math.max(most, now)
      while most < 3 do rille.sleep(0.002) end
      rille.sleep(0.002)
      now = now - 1
      return { status = 200 }
    end)
    local url = ("http://127.0.0.1:%d/"):format(slow.port)
    for _, limit in ipairs { "max_connections", "max_per_host" } do
      most = 0
      local client <close> = http.client { [limit] = 3 }
      local tasks = {}
      for i = 1, 20 do tasks[i] = rille.spawn(function() return client:get(url).status end) end
      for i = 1, 20 do assert.equal(200, tasks[i]:await()) end
      assert.equal(3, most)
    end
  end)
end)

describe("rille.http against a server at fault", function()
  local faulty, base

  setup(function()
    faulty, base = perl_server "fault_server"
  end)

  teardown(function() faulty:close() end)

  --- accepted, open and left connections, as the server counts them (its own for this question too)
  local function count(what)
    local client <close> = http.client()
    return tonumber(client:get(base .. "/count"):text():match(what .. "=(%d+)"))
  end

  local function fails(path, code, options)
    local err = failure(http.get, base .. path, options)
    assert.is_true(rille.is_error(err), tostring(err))
    assert.equal(code, err.code, tostring(err))
    assert.equal("GET", err.method)
    assert.truthy(tostring(err):find("GET " .. base .. path, 1, true) == 1)
    assert.is_nil(tostring(err):find("\n", 1, true))
    return err
  end

  it("takes no cut response for a success", function()
    for _, path in ipairs { "nothing", "cut-status", "cut-line", "cut-head", "cut-interim", "cut-redirect",
      "cut-body", "cut-chunk", "cut-last-chunk" } do
      fails("/" .. path, "EPROTO")
    end
    assert.equal(200, fails("/cut-body", "EPROTO").status)
    assert.is_nil(fails("/nothing", "EPROTO").status)
  end)

  it("takes no bad framing for a success", function()
    for _, path in ipairs { "bad-chunk", "garbage", "bad-status", "bad-version", "no-colon", "two-lengths",
      "bad-length", "huge-length", "unknown-coding", "upgrade" } do
      fails("/" .. path, "EPROTO")
    end
  end)

  it("tells a reset from a cut", function()
    fails("/reset", "ECONNRESET")
    assert.equal(200, fails("/reset-body", "ECONNRESET").status)
  end)

  it("takes no cut or corrupt compressed body for a success", function()
    local whole = '{"name":"pikachu"}'
    assert.equal(whole, http.get(base .. "/gzip-all"):text())
    assert.equal(whole, http.get(base .. "/coded-deflate"):text())
    assert.equal(whole, http.get(base .. "/coded-raw"):text())
    assert.equal(whole .. whole, http.get(base .. "/coded-twice"):text())
    assert.equal("", http.get(base .. "/gzip-0"):text())
    assert.equal("left as it is", http.get(base .. "/coded-own"):text())
    local coded = http.get(base .. "/gzip-all", { decompress = false }):text()
    assert.equal("\x1f\x8b", coded:sub(1, 2))
    for cut = 1, #coded - 1 do fails("/gzip-" .. cut, "EPROTO") end
    for _, path in ipairs { "/deflate-cut", "/gzip-bad", "/gzip-rest" } do fails(path, "EPROTO") end
    assert.equal(whole, http.get(base .. "/gzip-all"):text())
  end)

  it("bounds headers and bodies, decoded ones too", function()
    fails("/long-line", "ETOOBIG")
    fails("/endless-head", "ETOOBIG")
    fails("/endless-interim", "ETOOBIG")
    fails("/large-length", "ETOOBIG")
    fails("/endless-body", "ETOOBIG", { max_body = 1000000 })
    fails("/coded-bomb", "ETOOBIG", { max_body = 1000000 })
  end)

  it("accepts what is unusual but right", function()
    for _, path in ipairs { "same-lengths", "until-close", "interim", "trailers" } do
      assert.equal("abc", http.get(base .. "/" .. path):text())
    end
    assert.equal("one two", http.get(base .. "/folded").headers["X-Folded"])
    local headers = http.get(base .. "/repeated").headers
    assert.same({ "a=1", "b=2, c" }, headers:all("set-cookie"))
    assert.equal("a=1, b=2, c", headers["Set-Cookie"])
    local names = {}
    for name in pairs(headers) do names[#names + 1] = name end
    assert.same({ "set-cookie", "x", "set-cookie", "content-length" }, names)
  end)

  it("says where a redirect went wrong", function()
    fails("/elsewhere", "EREDIRECT")
    fails("/nowhere", "EREDIRECT")
    local err = fails("/to-refused", "ECONNREFUSED")
    assert.equal("http://127.0.0.1:1/x", err.url)
  end)

  it("sends the request again if a kept connection was closed meanwhile", function()
    local client <close> = http.client()
    for _ = 1, 5 do
      assert.equal("fine", client:get(base .. "/close"):text())
      assert.equal("fine", client:get(base .. "/fine"):text())
    end
  end)

  it("names what cannot be reached", function()
    local err = failure(http.get, "http://me:secret@127.0.0.1:1/x")
    assert.is_true(rille.is_error(err, "ECONNREFUSED"))
    assert.equal("GET http://me:***@127.0.0.1:1/x: connection refused", tostring(err))
    assert.equal("http://me:***@127.0.0.1:1/x", err.url)
    assert.is_true(rille.is_error(failure(http.get, "http://a..b/"), "ENOTFOUND"))
    assert.is_true(rille.is_error(failure(http.get, "ftp://127.0.0.1/"), "EURL"))
    assert.is_true(rille.is_error(failure(http.get, "127.0.0.1"), "EURL"))
    assert.is_true(rille.is_error(failure(http.get, "http://[::1/"), "EURL"))
    assert.equal(404, http.get(base .. "/none").status)
  end)

  it("times out as asked, and says in which phase", function()
    for path, phases in pairs { ["/stall"] = { "total", "idle" }, ["/stall-head"] = { "total" },
      ["/stall-body"] = { "idle" } } do
      for _, phase in ipairs(phases) do
        expect.patiently(function(seconds)
          local before, timeout = count("left"), { total = 60, [phase] = seconds }
          if phase == "total" and path == "/stall" then timeout = seconds end
          assert.equal(phase, fails(path, "ETIMEDOUT", { timeout = timeout }).phase)
          return count("left") == before + 1 -- else it was over before the server had the request
        end)
      end
    end
    local timeout = { idle = 60, connect = 60, total = 60 }
    assert.equal("fine", http.get(base .. "/fine", { timeout = timeout }):text())
  end)

  it("counts the wait for a free connection as part of the total", function()
    local client <close> = http.client { max_connections = 1 }
    local stalled = rille.spawn(function() return pcall(client.get, client, base .. "/stall") end)
    rille.sleep(0)
    local err = failure(client.get, client, base .. "/fine", { timeout = 0.02 })
    assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    client:close()
    stalled:await()
  end)

  it("gives up a cancelled request at once", function()
    local before = count("left")
    local ended = {}
    local client <close> = http.client()
    for i, path in ipairs { "/stall", "/stall-head", "/stall-body", "/endless-body" } do
      local waiting = task.spawn_owned(function()
        local _ <close> = setmetatable({}, { __close = function() ended[i] = true end })
        client:get(base .. path)
      end)
      assert.is_true(eventually(function() -- the request is sent
        local holder = client:stats().holders[1]
        return holder and (holder.state == "waiting" or holder.state == "receiving")
      end))
      assert.equal("waiting", waiting:status())
      waiting:cancel()
      waiting:join()
      assert.equal("cancelled", waiting:status())
      assert.is_true(ended[i])
    end
    assert.is_true(eventually(function() return count("left") >= before + 3 end))
    assert.equal("fine", http.get(base .. "/fine"):text())
  end)

  it("gives up requests cancelled before they have begun, and a slot at once", function()
    local client <close> = http.client { max_connections = 1 }
    for _ = 1, 20 do
      local first = task.spawn_owned(function() client:get(base .. "/stall") end)
      local second = task.spawn_owned(function() client:get(base .. "/stall") end)
      rille.sleep(0)
      second:cancel()
      first:cancel()
      assert.equal("fine", client:get(base .. "/fine", { timeout = 60 }):text())
      first:join()
      second:join()
    end
  end)

  it("wakes what is in flight when its client is closed", function()
    local client = http.client()
    local waiting = rille.spawn(function() return failure(client.get, client, base .. "/stall") end)
    rille.sleep(0.01)
    client:close()
    client:close()
    assert.is_true(rille.is_error(waiting:await(), "ECANCELED"))
    assert.error_matches(function() client:get(base) end, "the client is closed")
  end)

  it("closes a client that is dropped with requests in flight, once nobody can wait for them", function()
    local before = count("open")
    do
      local client = http.client()
      local waiting = task.spawn_owned(function() client:get(base .. "/stall") end)
      assert.is_true(eventually(function() return count("open") == before + 1 end))
      client = nil -- luacheck: ignore 311
      collectgarbage()
      assert.equal("waiting", waiting:status())
      waiting:cancel()
      waiting:join()
    end
    collectgarbage()
    collectgarbage()
    assert.is_true(eventually(function() return count("open") <= before end))
  end)

  it("lets go of a body for which there is no memory", function()
    if os.getenv("RILLE_SPEC_GC") == "stress" then return end -- sanitizers need all addresses
    local large = ("x"):rep(48000000)
    local there <close> = serve(function(req) return { body = req.path == "/large" and large or "small" } end)
    local script = [[
      local http = require "rille.http"
      local client <close> = http.client { base_url = "URL" }
      local function resident()
        local file <close> = assert(io.open("/proc/self/statm"))
        return 4096 * file:read("a"):match("^%d+ (%d+)")
      end
      client:get("/small")
      local before = resident()
      for _ = 1, 3 do
        print(pcall(client.get, client, "/large"))
        print(resident() - before < 20000000, client:get("/small"):text())
      end]]
    local limited = { "sh", "-c", 'ulimit -v 110000; exec "$@"', "sh", process.rille, "-e" }
    limited[#limited + 1] = script:gsub("URL", there.url)
    local done = process.run(limited)
    local each = ("false\tGET %s/large: not enough memory\ntrue\tsmall\n"):format(there.url)
    assert.same({ each:rep(3), "" }, { done.stdout, done.stderr })
  end)

  it("survives cancels and time-outs at random, and leaves no connection in use", function()
    local before = count("open")
    local client = http.client { max_connections = 8 }
    local paths = {
      "/fine", "/stall", "/close", "/cut-body", "/stall-body", "/gzip-all", "/reset", "/endless-body",
    }
    local outcomes, tasks = { response = 0, error = 0, cancelled = 0 }, {}
    math.randomseed(7)
    local attempts = os.getenv("RILLE_SPEC_GC") == "stress" and 100 or 300
    for i = 1, attempts do
      local path, limit = paths[math.random(#paths)], math.random() < 0.5 and 0.005 or 0.05
      if path == "/fine" and limit > 0.01 then limit = 60 end
      tasks[i] = task.spawn_owned(function()
        local ok = pcall(client.get, client, base .. path, { timeout = limit, max_body = 100000 })
        outcomes[ok and "response" or "error"] = outcomes[ok and "response" or "error"] + 1
      end)
      if math.random() < 0.3 then rille.sleep(math.random() * 0.002) end
      if math.random() < 0.3 then tasks[math.random(i)]:cancel() end
    end
    for i = 1, attempts do
      tasks[i]:join()
      assert.is_true(tasks[i]:status() == "done" or tasks[i]:status() == "cancelled")
    end
    assert.is_true(outcomes.response > 0 and outcomes.error > 0)
    assert.equal("fine", client:get(base .. "/fine", { timeout = 60 }):text())
    client:close()
    assert.is_true(eventually(function() return count("open") <= before end))
  end)
end)
