-- The error objects of failed requests: codes, what was received so far, and what is never in them.
local expect = require "spec.helper.expect"
local files = require "spec.helper.files"
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"
local scripted = require "spec.helper.scripted"

local OK = "HTTP/1.1 200 OK\\r\\n"

--- The error of a request to a server that answers so.
local function failed(answer, options)
  local server <close>, address = scripted.start(answer)
  local err = expect.caught(http.get, "http://" .. address .. "/", options)
  assert.is_true(rille.is_error(err), tostring(err))
  assert.is_nil(tostring(err):find("\n", 1, true))
  assert.equal("http://" .. address .. "/", err.url)
  assert.equal("GET", err.method)
  scripted.got(server)
  return err
end

describe("errors of rille.http", function()
  it("have what was received so far", function()
    local err = failed(OK .. "X-A: 1\\r\\nX-A: 2\\r\\nContent-Length: 500\\r\\n\\r\\n" .. ("ab"):rep(100))
    assert.equal("EPROTO", err.code)
    assert.same({ 200, 200, ("ab"):rep(40) }, { err.status, err.received, err.body })
    assert.equal("1, 2", err.headers["x-a"])
    assert.same({ "1", "2" }, err.headers:all("X-A"))
    assert.equal("500", err.headers["content-length"])
  end)

  it("have a head that is not complete", function()
    local err = failed(OK .. "X-A: 1\\r\\nX-B: ")
    assert.same({ "EPROTO", 200, 0, "" }, { err.code, err.status, err.received, err.body })
    assert.equal("1", err.headers["x-a"])
  end)

  it("have nothing of a response that has not begun", function()
    local err = failed("")
    assert.same({ "EPROTO" }, { err.code, err.status, err.received, err.body, err.headers })
    for _, field in ipairs { "status", "received", "body", "headers", "proxy", "proxy_status", "phase" } do
      assert.is_nil(err[field])
    end
  end)

  it("have that of a body that is too large", function()
    local err = failed(OK .. "\\r\\n" .. ("x"):rep(1000), { max_body = 100 })
    assert.equal("ETOOBIG", err.code)
    assert.same({ 200, "", 1000 }, { err.status, err.body, err.received })
    err = failed(OK .. "Content-Length: 1000\\r\\n\\r\\nabc", { max_body = 100 })
    assert.same({ "ETOOBIG", 200, "" }, { err.code, err.status, err.body })
    local limit = 64 * 1024 * 1024 -- by default; one that is as large is cut here
    assert.equal("ETOOBIG", failed(OK .. ("Content-Length: %d\\r\\n\\r\\n"):format(limit + 1)).code)
    assert.equal("EPROTO", failed(OK .. ("Content-Length: %d\\r\\n\\r\\n"):format(limit)).code)
  end)

  it("count the bytes of a body as they were sent, and show it decoded", function()
    local command = [[printf '%s' "$0" | gzip -nc | od -An -v -tx1 | tr -d ' \n']]
    local zipped = process.run({ "sh", "-c", command, ("y"):rep(1000) }).stdout
    local bytes = #zipped // 2
    local cut = zipped:sub(1, -17):gsub("%x%x", "\\x%0") -- without the trailer
    local err = failed(OK .. "Content-Encoding: gzip\\r\\n\\r\\n" .. cut)
    assert.equal("EPROTO", err.code)
    assert.same({ bytes - 8, ("y"):rep(80) }, { err.received, err.body })
  end)

  it("have the bytes that came of a streamed body, which was read", function()
    local server <close>, address = scripted.start(OK .. "X-A: 1\\r\\nContent-Length: 500\\r\\n\\r\\nabc")
    local res <close> = http.stream("http://" .. address)
    local err = expect.caught(res.text, res)
    assert.same({ "EPROTO", 200, 3, "1" }, { err.code, err.status, err.received, err.headers["x-a"] })
    assert.is_nil(err.body)
    scripted.got(server)
  end)

  it("have a reason on one line, which cannot write to a terminal", function()
    local server <close>, address = scripted.start(
      "HTTP/1.1 404 \\x1b[31mno\\x07 " .. ("z"):rep(500) .. "\r\nContent-Length: 0\r\n\r\n")
    local res = http.get("http://" .. address)
    local err = expect.caught(res.raise_for_status, res)
    assert.equal(("GET http://%s: 404 .[31mno. %s..."):format(address, ("z"):rep(71)), err.message)
    scripted.got(server)
  end)

  it("are those of the last response of a redirect", function()
    local server <close>, address = scripted.start(
      "HTTP/1.1 302 Found\\r\\nLocation: /next\\r\\nX-A: 1\\r\\nConnection: close\\r\\n" ..
        "Content-Length: 5\\r\\n\\r\\nmoved",
      OK .. "X-B: 2\\r\\nContent-Length: 10\\r\\n\\r\\nabc")
    local err = expect.caught(http.get, "http://" .. address)
    assert.same({ "EPROTO", 200, 3, "abc" }, { err.code, err.status, err.received, err.body })
    assert.same({ nil, "2" }, { err.headers["x-a"], err.headers["x-b"] })
    assert.equal("http://" .. address .. "/next", err.url)
    scripted.got(server)
  end)

  it("never show a secret", function()
    local port = 1
    local url = ("http://me:secret@127.0.0.1:%d/"):format(port)
    for _, options in ipairs {
      {}, { headers = { authorization = "secret", cookie = "secret" } }, { bearer = "secret" },
      { auth = { user = "u", password = "secret" } }, { proxy = "http://me:secret@127.0.0.1:1" },
      { proxy = "socks5://me:secret@127.0.0.1:1" }, { tls = { cert = "/x", key_password = "secret" } },
    } do
      local err = expect.caught(http.get, url, options)
      for name, value in pairs(err) do
        assert.is_nil(tostring(value):find("secret", 1, true), ("%s: %s"):format(name, value))
      end
    end
  end)

  it("never show a password, however the URL is written", function()
    for given, shown in pairs {
      ["http:///me:secret@h:1/"] = "http:///me:***@h:1/",
      ["http:/me:secret@h:1/"] = "http:/me:***@h:1/",
      ["//me:secret@h:1/"] = "//me:***@h:1/",
      ["http://me:sec/ret@h:1/"] = "http://me:***@h:1/",
      ["http://me:sec?ret@h:1/"] = "http://me:***@h:1/",
      ["http://me:sec#r@et@h:1/"] = "http://me:***@h:1/",
      ["me:sec/ret@h"] = "me:***@h",
      ["ftp://h:1/a:b@c"] = "ftp://h:1/a:b@c",
      ["ftp://h:/a:b@c"] = "ftp://h:/a:b@c",
      ["ftp://[::1]/a:b@c"] = "ftp://[::1]/a:b@c",
      ["ftp://[::1]:1/a:b@c"] = "ftp://[::1]:1/a:b@c",
      ["ftp://h/a:b@c"] = "ftp://h/a:b@c",
    } do
      local err = expect.caught(http.get, given)
      assert.same({ "EURL", shown }, { err.code, err.url })
      assert.is_nil(err.message:find("sec"), err.message)
    end
  end)

  it("tell a URL without a host, whose path libcurl would take for one", function()
    for _, url in ipairs { "http:///a/b", "https:////a", "http://" } do
      local err = expect.caught(http.get, url)
      assert.same({ "EURL", url }, { err.code, err.url })
    end
    expect.has(expect.caught(http.get, "http:///127.0.0.1:1/"), "the URL has no host")
  end)

  it("tell a malformed netrc file", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write('machine 127.0.0.1 login "unterminated\n')
    file:close()
    local err = expect.caught(http.get, "http://127.0.0.1:1/", { netrc = path })
    os.remove(path)
    assert.equal("EINVAL", err.code)
    expect.has(err, "the netrc file is malformed")
  end)

  it("follow only the redirects of RFC 9110", function()
    for _, status in ipairs { 300, 304, 305, 306, 399 } do
      local server <close>, address = scripted.start(
        ("HTTP/1.1 %d Look\\r\\nLocation: /next\\r\\nContent-Length: %d\\r\\n\\r\\n"):format(status,
          status == 304 and 5 or 0))
      local res = http.get("http://" .. address .. "/")
      assert.same({ status, "/next", {} }, { res.status, res.headers.location, res.redirects })
      scripted.got(server)
    end
    -- A client follows again after one.
    local server <close> = http.serve({ port = 0 }, function(req)
      local code = tonumber(req.query.code)
      return code and { status = code, headers = { location = "/" } } or {}
    end)
    local client <close> = http.client()
    for _, code in ipairs { 304, 301, 300, 302, 304, 307 } do
      local res = client:get(server.url, { query = { code = code } })
      assert.equal((code == 304 or code == 300) and code or 200, res.status)
      local streamed <close> = client:stream(server.url, { query = { code = code } })
      assert.equal(res.status, streamed.status)
    end
  end)

  -- libcurl's own list: each of its results has a code here, or cannot occur.
  it("have a code for each result of libcurl", function()
    local header = process.run({ "sh", "-c", "echo '#include <curl/curl.h>' | gcc -E -P -" }).stdout
    local known = files.contents("host/http_error.c") .. files.contents("host/transfer_proxy.c")
    local count = 0
    for name in header:match("typedef enum {([^}]*)} CURLcode;"):gmatch("CURLE_[%w_]+") do
      if not name:find("OBSOLETE") then
        count = count + 1
        assert.is_truthy(name == "CURLE_OK" or known:find(name .. "%f[^%w_]"), name)
      end
    end
    assert.is_true(count > 80)
  end)
end)
