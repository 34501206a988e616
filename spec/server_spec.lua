-- http.serve: requests, responses, connections, limits, closing. Malformed input is in request_spec.lua.
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"
local task = require "rille.host.task"
local expect = require("spec.helper.expect")

local caught, has, patiently = expect.caught, expect.has, expect.patiently

local process = dofile("spec/helper/process.lua")
local raw_client = dofile("spec/helper/raw_client.lua")

local GET = "GET %s HTTP/1.1\r\nHost: x\r\n\r\n"
local LAST = "GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

local function serve(handler, options)
  options = options or {}
  return http.serve(options, handler)
end

local function echo_path(req) return { body = req.path } end

local function lacks(text, part)
  assert.is_nil(tostring(text):find(part, 1, true), ("%q is in %q"):format(part, tostring(text)))
end

-- Runs fn with io.stderr replaced; gives what was written to it.
local function stderr_of(fn, ...)
  local real, written = io.stderr, {}
  local _ <close> = setmetatable({}, { __close = function() io.stderr = real end }) -- luacheck: ignore
  io.stderr = { write = function(_, text) written[#written + 1] = text end } -- luacheck: ignore
  fn(...)
  return table.concat(written)
end

local function wait_for(condition)
  if not expect.eventually(condition) then error("it did not come", 2) end
end

-- The bodies of the responses in what a raw client received; every one has a Content-Length.
local function bodies(text)
  local list, at = {}, 1
  while true do
    local _, line, length = text:find("Content%-Length: (%d+)\r\n", at)
    if not line then return list end
    local _, stop = text:find("\r\n\r\n", line - 1, true)
    list[#list + 1] = text:sub(stop + 1, stop + tonumber(length))
    at = stop + 1 + tonumber(length)
  end
end

describe("a request", function()
  local seen

  local function keep(req)
    seen = req
    return {}
  end

  it("has a method, a decoded path and a decoded query", function()
    local server <close> = serve(keep)
    http.put(server.url .. "/a%20b/%C3%A9?x=1&y=%41+b&x=2&&z&%3D=%26", { body = "text" })
    assert.equal("PUT", seen.method)
    assert.equal("/a b/é", seen.path)
    assert.equal("/a%20b/%C3%A9?x=1&y=%41+b&x=2&&z&%3D=%26", seen.target)
    assert.same({ x = "2", y = "A b", z = "", ["="] = "&" }, seen.query)
    assert.same({ "1", "2" }, seen:query_all("x"))
    assert.same({}, seen:query_all("none"))
    assert.equal("text", seen:text())
    assert.equal("1.1", seen.version)
    assert.equal("127.0.0.1", seen.peer.host)
    assert.equal("integer", math.type(seen.peer.port))
  end)

  it("has headers that are case-blind, each and joined, and cannot be changed", function()
    local server <close> = serve(keep)
    raw_client.exchange(server.port, "GET / HTTP/1.1\r\nhost: x\r\nX-A:  1 \r\nx-a: 2\r\nX-Empty:\r\n" ..
      "Cookie: a=1\r\nCookie: b=2\r\nConnection: close\r\n\r\n")
    assert.equal("x", seen.headers["HOST"])
    assert.equal("1, 2", seen.headers["x-A"])
    assert.equal("a=1; b=2", seen.headers.cookie)
    assert.same({ "1", "2" }, seen.headers:all("X-a"))
    assert.same({ "" }, seen.headers:all("x-empty"))
    assert.same({}, seen.headers:all("none"))
    assert.is_nil(seen.headers.none)
    assert.is_nil(seen.headers[1.5])
    local names = {}
    for name, value in pairs(seen.headers) do names[name] = value end
    assert.same({ host = "x", ["x-a"] = "1, 2", ["x-empty"] = "", cookie = "a=1; b=2",
      connection = "close" }, names)
    has(caught(function() seen.headers.host = "y" end), "read-only")
  end)

  it("has its body decoded when it came in chunks", function()
    local server <close> = serve(keep)
    raw_client.exchange(server.port, "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" ..
      "Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n6;name=value\r\n world\r\n0\r\nTrailer: x\r\n\r\n")
    assert.equal("hello world", seen:text())
    assert.is_nil(seen.headers.trailer)
  end)

  it("is the same when it arrives byte by byte", function()
    local server <close> = serve(keep)
    local text = "POST /x?y HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" ..
      "3\r\nabc\r\n0\r\n\r\n"
    local steps = {}
    for byte in text:gmatch(".") do steps[#steps + 1] = "send:" .. byte end
    steps[#steps + 1] = "eof"
    has(raw_client.talk(server.port, table.unpack(steps)), "HTTP/1.1 200 OK")
    assert.equal("/x", seen.path)
    assert.equal("abc", seen:text())
  end)

  it("may name its target with a whole URL, or as *", function()
    local server <close> = serve(keep)
    raw_client.exchange(server.port, LAST:format("http://other:1/p?q=1"))
    assert.equal("/p", seen.path)
    assert.same({ q = "1" }, seen.query)
    raw_client.exchange(server.port, LAST:format("http://other"))
    assert.equal("/", seen.path)
    raw_client.exchange(server.port, (LAST:gsub("GET", "OPTIONS"):format("*")))
    assert.equal("*", seen.path)
  end)

  it("gives the value of a JSON body", function()
    local value
    local server <close> = serve(function(req)
      value = req:json()
      return { status = 201 }
    end)
    assert.equal(201, http.post(server.url, { json = { a = { 1, 2 } } }).status)
    assert.same({ a = { 1, 2 } }, value)
  end)

  it("is answered 400 when its body is not JSON and the handler lets that pass", function()
    local server <close> = serve(function(req) return { json = req:json() } end)
    local written = stderr_of(function()
      local res = http.post(server.url, { body = "{" })
      assert.equal(400, res.status)
      assert.equal("the body is not JSON\n", res:text())
    end)
    assert.equal("", written)
  end)

  it("is answered 500 when other JSON is bad", function()
    local server <close> = serve(function() return { json = json.decode("{") } end)
    local written = stderr_of(function() assert.equal(500, http.get(server.url).status) end)
    has(written, "invalid JSON")
  end)

  it("is answered 400 when its path is malformed", function()
    local server <close> = serve(echo_path)
    for _, path in ipairs { "/%", "/%4", "/%zz", "/a%00b" } do
      has(raw_client.exchange(server.port, LAST:format(path)), "HTTP/1.1 400 ")
    end
    assert.equal("/ok", http.get(server.url .. "/ok"):text())
  end)
end)

describe("a response", function()
  it("has what the handler returned, a length and a date", function()
    local server <close> = serve(function()
      return { status = 418, headers = { ["X-One"] = 1, ["x-two"] = { "a", "b" } }, body = "tea" }
    end)
    local res = http.get(server.url)
    assert.equal(418, res.status)
    assert.equal("1", res.headers["x-one"])
    assert.same({ "a", "b" }, res.headers:all("X-Two"))
    assert.equal("text/plain; charset=utf-8", res.headers["content-type"])
    assert.equal("3", res.headers["content-length"])
    assert.is_truthy(res.headers.date:find("^%a%a%a, %d%d %a%a%a %d%d%d%d %d%d:%d%d:%d%d GMT$"))
    assert.equal("tea", res:text())
  end)

  it("of json is encoded; its type may be another", function()
    local server <close> = serve(function(req)
      return { json = { ok = json.null }, headers = { ["content-TYPE"] = req.query.type } }
    end)
    local res = http.get(server.url)
    assert.equal("application/json", res.headers["content-type"])
    assert.equal('{"ok":null}', res:text())
    assert.equal("text/x", http.get(server.url .. "/?type=text/x").headers["content-type"])
  end)

  it("may carry any byte, and nothing at all", function()
    local every = {}
    for i = 0, 255 do every[i + 1] = string.char(i) end
    local all = table.concat(every)
    local server <close> = serve(function(req) return { body = req:text() ~= "" and req:text() or nil } end)
    assert.equal(all, http.post(server.url, { body = all }):bytes())
    local res = http.get(server.url)
    assert.equal("", res:text())
    assert.equal("0", res.headers["content-length"])
    assert.is_nil(res.headers["content-type"])
  end)

  it("has no body for HEAD, but its length", function()
    local server <close> = serve(function(req)
      return { body = "12345", headers = { ["Content-Length"] = req.query.length } }
    end)
    local text = raw_client.talk(server.port, "send:HEAD / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" ..
      "HEAD /?length=99 HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n", "eof")
    has(text, "Content-Length: 5\r\n")
    has(text, "Content-Length: 99\r\n")
    lacks(text, "12345")
    assert.equal("\r\n\r\n[eof]", text:sub(-9))
  end)

  it("has no body for 204 and 304, whatever the handler gives", function()
    local server <close> = serve(function(req) return { status = tonumber(req.query.s), body = "body" } end)
    local text = raw_client.talk(server.port, "send:" .. GET:format("/?s=204") .. GET:format("/?s=304") ..
      LAST:format("/?s=200"), "eof")
    has(text, "HTTP/1.1 204 No Content\r\n")
    has(text, "HTTP/1.1 304 Not Modified\r\n")
    assert.same({ "body" }, bodies(text))
    local _, count = text:gsub("Content%-Length", "")
    assert.equal(1, count)
  end)

  it("may have a date and a length of its own", function()
    local server <close> = serve(function()
      return { headers = { Date = "now", ["content-length"] = "2" }, body = "ok" }
    end)
    local text = raw_client.exchange(server.port, LAST:format("/"))
    local _, dates = text:gsub("Date:", "")
    local _, lengths = text:lower():gsub("content%-length:", "")
    assert.same({ 1, 1 }, { dates, lengths })
    has(text, "Date: now\r\n")
  end)

  it("that HTTP cannot carry is answered 500, told on stderr, and sends nothing of it", function()
    local bad = {
      { "a line break", { headers = { ["x-a"] = "1\r\nX-Evil: 1" } } },
      { "a line break", { headers = { ["x-a"] = "1\nX-Evil: 1" } } },
      { "a NUL", { headers = { ["x-a"] = "1\0" } } },
      { "bad header name", { headers = { ["x a"] = "1" } } },
      { "bad header name", { headers = { ["x\r\nX-Evil: 1\r\n"] = "1" } } },
      { "bad header name", { headers = { [""] = "1" } } },
      { "name is a number", { headers = { "1" } } },
      { "has a boolean as its value", { headers = { a = true } } },
      { "has a table as its value", { headers = { a = { {} } } } },
      { "table expected", { headers = "a: b" } },
      { "Content-Length", { headers = { ["content-length"] = "3" }, body = "four" } },
      { "Content-Length", { headers = { ["content-length"] = "-1" } } },
      { "Content-Length", { headers = { ["content-length"] = "4, 4" }, body = "four" } },
      { "frames", { headers = { ["transfer-encoding"] = "chunked" } } },
      { "Connection", { headers = { connection = "upgrade" } } },
      { "out of range", { status = 99 } },
      { "out of range", { status = 101 } },
      { "out of range", { status = 600 } },
      { "number expected", { status = "OK" } },
      { "not a string", { body = 1 } },
      { "a body and json", { body = "1", json = 1 } },
      { "cannot encode as JSON", { json = print } },
      { "unknown field 'code'", { code = 404 } },
      { "returned a number", 404 },
      { "returned a nil", nil },
    }
    local case
    local server <close> = serve(function() return bad[case][2] end)
    for i, expected in ipairs(bad) do
      case = i
      local written = stderr_of(function()
        local res = http.get(server.url)
        assert.equal(500, res.status, expected[1])
        assert.equal("Internal Server Error\n", res:text())
        assert.is_nil(res.headers["x-evil"])
      end)
      has(written, expected[1])
    end
  end)

  it("of many megabytes arrives whole at a client that reads late", function()
    local server <close> = serve(function() return { body = ("0123456789abcdef"):rep(1 << 20) } end)
    local text = raw_client.talk(server.port, "send:" .. LAST:format("/"), "pause:0.05", "eof")
    assert.equal((1 << 24) + #"[eof]", #text - text:find("\r\n\r\n", 1, true) - 3)
  end)
end)

describe("a handler", function()
  it("may wait; others run meanwhile", function()
    local order, done = {}, { rille.event(), rille.event(), rille.event() }
    local server <close> = serve(function(req)
      local i = tonumber(req.path:sub(2))
      if i < 3 then done[i + 1]:wait() end
      order[#order + 1] = req.path
      done[i]:set()
      return {}
    end)
    local tasks = {}
    for i = 1, 3 do tasks[i] = rille.spawn(http.get, server.url .. "/" .. i) end
    for _, t in ipairs(tasks) do t:await() end
    assert.same({ "/3", "/2", "/1" }, order)
  end)

  it("that raises is answered 500 with its trace on stderr, and the connection stays usable", function()
    local server <close> = serve(function(req)
      if req.path == "/fail" then error("boom") end
      if req.path == "/object" then error({}) end
      if req.path == "/nil" then error() end
      return echo_path(req)
    end)
    local text
    local written = stderr_of(function()
      text = raw_client.talk(server.port, "send:" .. GET:format("/fail") .. GET:format("/object") ..
        GET:format("/nil") .. LAST:format("/fine"), "eof")
    end)
    local fault = "Internal Server Error\n"
    assert.same({ fault, fault, fault, "/fine" }, bodies(text))
    has(written, "rille: GET /fail: ")
    has(written, "server_spec.lua")
    has(written, "boom")
    has(written, "stack traceback:")
  end)

  it("may raise what it caught from a generator, or in one", function()
    local numbers = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0)
      error("inside")
    end)
    local server <close> = serve(function()
      for _ in numbers() do rille.sleep(0) end
    end)
    local written = stderr_of(function() assert.equal(500, http.get(server.url).status) end)
    has(written, "inside")
  end)

  it("whose client goes away runs to its end, and nothing is said", function()
    local begun, ended, gate = 0, 0, rille.event()
    local server <close> = serve(function(req)
      if req.path == "/wait" then
        begun = begun + 1
        gate:wait()
        ended = ended + 1
      end
      return { body = ("x"):rep(1 << 20) }
    end)
    -- A client that goes away, a little after it was heard.
    local function leave(...)
      local before, steps = begun, table.pack(...)
      patiently(function(seconds)
        raw_client.talk(server.port, "send:" .. GET:format("/wait"), "pause:" .. seconds, table.unpack(steps))
        return begun > before
      end)
    end
    local written = stderr_of(function()
      leave("reset")
      leave()
      gate:set()
      wait_for(function() return ended == begun end)
      assert.equal(200, http.get(server.url).status)
    end)
    assert.equal("", written)
  end)

  it("answers a client that has shut its side", function()
    local server <close> = serve(function(req)
      rille.sleep(0.02)
      return echo_path(req)
    end)
    local text = raw_client.talk(server.port, "send:" .. GET:format("/1") .. GET:format("/2"), "shut", "eof")
    assert.same({ "/1", "/2" }, bodies(text))
  end)

  it("may collect garbage at any point", function()
    local server <close> = serve(function(req)
      collectgarbage()
      rille.sleep(0)
      collectgarbage()
      return echo_path(req)
    end)
    for i = 1, 5 do
      assert.equal("/" .. i, http.get(server.url .. "/" .. i):text())
      collectgarbage()
    end
  end)

  it("may ask its own server", function()
    local server
    server = serve(function(req)
      if req.path == "/inner" then return { body = "inner" } end
      return { body = "outer " .. http.get(server.url .. "/inner"):text() }
    end)
    local _ <close> = server
    assert.equal("outer inner", http.get(server.url):text())
  end)
end)

describe("a connection", function()
  it("answers pipelined requests in their order, one at a time", function()
    local running, most = 0, 0
    local server <close> = serve(function(req)
      running = running + 1
      most = math.max(most, running)
      rille.sleep(req.path == "/1" and 0.03 or 0)
      running = running - 1
      return echo_path(req)
    end)
    local text = raw_client.talk(server.port, "send:" .. GET:format("/1") .. GET:format("/2") ..
      GET:format("/3") .. LAST:format("/4"), "eof")
    assert.same({ "/1", "/2", "/3", "/4" }, bodies(text))
    assert.equal(1, most)
  end)

  it("takes many pipelined requests, more than it buffers", function()
    local count, long = 0, "/" .. ("a"):rep(400)
    local server <close> = serve(function(req)
      count = count + 1
      return { body = #req.path .. req.path:sub(1, 5) }
    end)
    local text = raw_client.talk(server.port, "repeat:400:" .. GET:format(long),
      "send:" .. LAST:format("/last"), "eof")
    assert.equal(401, count)
    local list = bodies(text)
    assert.equal(401, #list)
    for i = 1, 400 do assert.equal("401/aaaa", list[i]) end
    assert.equal("5/last", list[401])
  end)

  it("is kept or closed as HTTP/1.1 and HTTP/1.0 have it", function()
    local server <close> = serve(echo_path)
    local text = raw_client.talk(server.port, "send:" .. GET:format("/1"), "read:/1$",
      "send:GET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "read:/2$",
      "send:GET /3 HTTP/1.0\r\n\r\n", "eof")
    local first, second, third = text:match("^(.*/1)(HTTP.*/2)(HTTP.*/3)%[eof%]$")
    lacks(first, "Connection:")
    has(second, "Connection: keep-alive\r\n")
    has(third, "Connection: close\r\n")
  end)

  it("is closed when the handler asks for it", function()
    local server <close> = serve(function() return { headers = { Connection = "close" }, body = "bye" } end)
    local text = raw_client.exchange(server.port, GET:format("/"))
    has(text, "Connection: close\r\n")
    assert.equal("bye[eof]", text:sub(-8))
  end)

  it("tells a client that waits for leave to send its body to continue", function()
    local server <close> = serve(function(req) return { body = req:text() } end)
    local head = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n" ..
      "Expect: 100-continue\r\n\r\n"
    local text = raw_client.talk(server.port, "send:" .. head, "read:\r\n\r\n", "send:body", "eof")
    assert.equal("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", text:sub(1, 42))
    assert.same({ "body" }, bodies(text))
    text = raw_client.talk(server.port, "send:" .. head .. "body", "eof")
    lacks(text, "100 Continue")
    text = raw_client.exchange(server.port, (head:gsub("4", "9999999")))
    has(text, "HTTP/1.1 413 ")
    lacks(text, "100 Continue")
    has(raw_client.exchange(server.port, (head:gsub("100%-continue", "miracle"))), "HTTP/1.1 417 ")
  end)

  it("ignores an offer to change the protocol", function()
    local server <close> = serve(echo_path)
    local text = raw_client.talk(server.port, "send:GET /1 HTTP/1.1\r\nHost: x\r\n" ..
      "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n" ..
      LAST:format("/2"), "eof")
    assert.same({ "/1", "/2" }, bodies(text))
  end)

  it("accepts empty lines before a request", function()
    local server <close> = serve(echo_path)
    local text = raw_client.talk(server.port, "send:\r\n" .. GET:format("/1") .. "\r\n\r\n" ..
      LAST:format("/2"), "eof")
    assert.same({ "/1", "/2" }, bodies(text))
  end)
end)

describe("a limit", function()
  -- What a client is told that sends a text; no handler is called.
  local function answer_of(options, text)
    local called = false
    local server <close> = serve(function()
      called = true
      return {}
    end, options)
    local answer = raw_client.exchange(server.port, text)
    assert.is_false(called)
    return answer
  end

  local function status_of(answer)
    has(answer, "Connection: close\r\n")
    assert.is_truthy(answer:find("%[eof%]$"), answer)
    return tonumber(answer:match("^HTTP/1.1 (%d+) "))
  end

  local function refused(options, text) return status_of(answer_of(options, text)) end

  it("bounds the body, by its stated length and as it comes", function()
    local head = "POST / HTTP/1.1\r\nHost: x\r\n"
    assert.equal(413, refused({ max_body = 10 }, head .. "Content-Length: 11\r\n\r\n"))
    assert.equal(413, refused({ max_body = 10 }, head .. "Content-Length: 11\r\n\r\n" .. ("x"):rep(11)))
    local chunked = head .. "Transfer-Encoding: chunked\r\n\r\n"
    assert.equal(413, refused({ max_body = 10 }, chunked .. "b\r\n"))
    assert.equal(413, refused({ max_body = 10 }, chunked .. "6\r\nabcdef\r\n5\r\nabcde\r\n0\r\n\r\n"))
    assert.equal(413, refused({ max_body = 0 }, chunked .. "1\r\nx\r\n"))
    local server <close> = serve(function(req) return { body = req:text() } end, { max_body = 10 })
    assert.equal("0123456789", http.post(server.url, { body = "0123456789" }):text())
  end)

  it("answers a large refused body rather than resetting the connection", function()
    local server <close> = serve(echo_path, { max_body = 10 })
    local text = raw_client.talk(server.port, "send:POST / HTTP/1.1\r\nHost: x\r\n" ..
      "Content-Length: 8000000\r\n\r\n", "repeat:8000000:x", "shut", "eof")
    has(text, "HTTP/1.1 413 Content Too Large\r\n")
    assert.is_truthy(text:find("%[eof%]$"))
  end)

  it("bounds what frames a chunked body", function()
    local head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    local options = { max_header_size = 200 }
    assert.equal(413, refused(options, head .. "1;" .. ("x"):rep(300)))
    assert.equal(413, refused(options, head .. ("0"):rep(300)))
    assert.equal(413, refused(options, head .. "0\r\n" .. ("A: b\r\n"):rep(60)))
  end)

  it("bounds the head", function()
    local options = { max_header_size = 200 }
    assert.equal(414, refused(options, "GET /" .. ("a"):rep(300)))
    assert.equal(431, refused(options, "GET / HTTP/1.1\r\nHost: x\r\nA: " .. ("a"):rep(300)))
    assert.equal(431, refused(options, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("A: b\r\n"):rep(60)))
    assert.equal(431, refused({ max_headers = 3 }, "GET / HTTP/1.1\r\nHost: x\r\n" .. ("A: b\r\n"):rep(3)))
  end)

  it("on time ends slow heads and slow bodies with 408", function()
    for _, text in ipairs {
      "GET / HT", "GET / HTTP/1.1\r\nHost: x\r\n",
      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
    } do
      local status = patiently(function(seconds)
        local answer = answer_of({ header_timeout = seconds, body_timeout = seconds }, text)
        return answer ~= "[eof]" and status_of(answer) -- else nothing had come when the time was over
      end)
      assert.equal(408, status)
    end
  end)

  it("on a head's time is for all of it: a drop now and then does not help", function()
    local answer = patiently(function(seconds)
      local server <close> = serve(echo_path, { header_timeout = seconds })
      local steps = { "send:GET / HTTP/1.1\r\n" }
      for i = 1, 20 do
        steps[2 * i], steps[2 * i + 1] = "pause:" .. seconds / 5, "send:A: b\r\n"
      end
      steps[#steps + 1] = "eof"
      local answer = raw_client.talk(server.port, table.unpack(steps))
      return answer ~= "[eof]" and answer -- else nothing had come when the time was over
    end)
    has(answer, "HTTP/1.1 408 ")
  end)

  it("on a body's time is for each part of it", function()
    local answer = patiently(function(seconds)
      local options = { body_timeout = seconds }
      local server <close> = serve(function(req) return { body = req:text() } end, options)
      local steps = { "send:POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 12\r\n\r\n" }
      for i = 1, 12 do
        steps[2 * i], steps[2 * i + 1] = "pause:" .. seconds / 8, "send:x"
      end
      steps[#steps + 1] = "eof"
      local answer = raw_client.talk(server.port, table.unpack(steps))
      return not answer:find("^HTTP/1.1 408 ") and answer -- else the machine was too slow
    end)
    assert.same({ ("x"):rep(12) }, bodies(answer))
  end)

  it("on idleness closes without a word, at the start and between requests", function()
    local hasty <close> = serve(echo_path, { header_timeout = 0.03, keep_alive = 60 })
    assert.equal("[eof]", raw_client.talk(hasty.port, "eof"))
    local server <close> = serve(echo_path, { header_timeout = 60, keep_alive = 0.03 })
    local text = raw_client.talk(server.port, "send:" .. GET:format("/1"), "eof")
    assert.equal("/1[eof]", text:sub(-7))
  end)

  it("on connections makes further clients wait, or takes the place of an idle one", function()
    local entered, gate = {}, false
    local server <close> = serve(function(req)
      entered[#entered + 1] = req.path
      while req.path ~= "/free" and not gate do rille.sleep(0.005) end
      return echo_path(req)
    end, { max_connections = 2 })
    local idle <close> = raw_client.start(server.port, "send:" .. GET:format("/free"), "eof")
    idle:expect("/free")
    local busy <close> = raw_client.start(server.port, "send:" .. GET:format("/1"), "eof")
    wait_for(function() return #entered == 2 end)
    local busier <close> = raw_client.start(server.port, "send:" .. GET:format("/2"), "eof")
    wait_for(function() return #entered == 3 end)
    assert.equal("/free[eof]", idle:wait().stdout:sub(-10))
    local late <close> = raw_client.start(server.port, "send:" .. LAST:format("/3"), "eof")
    rille.sleep(0.05)
    assert.same({ "/free", "/1", "/2" }, entered)
    gate = true
    has(late:wait().stdout, "/3[eof]")
    assert.same({ "/free", "/1", "/2", "/3" }, entered)
    busy:close()
    busier:close()
  end)

  it("on descriptors leaves some to the rest of the program", function()
    -- without the sockets of libcurl that it would inherit from this program
    local limited = [[POSIX::close($_) for 3 .. 1023; exec "sh", "-c", 'ulimit -n 40; exec "$0" "$@"', @ARGV]]
    local program <close> = process.start({ "perl", "-MPOSIX", "-e", limited, process.rille, "-e", [[
      io.stdout:setvbuf("line")
      local server
      server = require "rille.http".serve({ max_connections = 1000 }, function(req)
        do local _ <close> = assert(io.open("/dev/null")) end
        require "rille".sleep(0.01)
        if req.path == "/stop" then server:close(0) end
        return { body = "ok" }
      end)
      print(server.port)
    ]] })
    local url = "http://127.0.0.1:" .. program:expect("^(%d+)\n")
    local client <close> = http.client()
    local gets = {}
    for i = 1, 100 do gets[i] = function() return client:get(url):text() end end
    for _, text in ipairs(rille.all(gets)) do assert.equal("ok", text) end
    pcall(http.get, url .. "/stop")
    assert.equal("", program:wait().stderr)
  end)
end)

describe("http.serve", function()
  it("tells where it listens, and chooses a port", function()
    local server <close> = serve(echo_path)
    assert.equal("127.0.0.1", server.host)
    assert.is_true(server.port > 0)
    assert.equal(("http://127.0.0.1:%d"):format(server.port), server.url)
    has(tostring(server), server.url)
  end)

  it("raises an error object that names host and port when they are taken", function()
    local server <close> = serve(echo_path)
    local err = caught(http.serve, { port = server.port }, echo_path)
    assert.is_true(rille.is_error(err, "EADDRINUSE"))
    assert.equal("127.0.0.1", err.host)
    assert.equal(server.port, err.port)
    has(err, "127.0.0.1:" .. server.port)
    err = caught(http.serve, { host = "192.0.2.1" }, echo_path)
    assert.is_true(rille.is_error(err, "EADDRNOTAVAIL"))
  end)

  it("blames the script for misuse", function()
    local function message(...)
      local text = caught(http.serve, ...)
      assert.equal("string", type(text))
      return text
    end
    has(message(), "bad argument #1 to 'serve' (table expected, got nil)")
    has(message({}), "bad argument #2 to 'serve' (function expected, got nil)")
    has(message({ prot = 1 }, print), "unknown option 'prot' (did you mean 'port'?)")
    has(message({ port = "80" }, print), "bad option 'port' (integer expected, got string)")
    has(message({ port = 65536 }, print), "bad option 'port' (out of range)")
    has(message({ host = 1 }, print), "bad option 'host' (string expected, got number)")
    has(message({ unix = 1 }, print), "bad option 'unix' (string expected, got number)")
    has(message({ unix = "x", port = 1 }, print), "'unix' beside")
    has(message({ header_timeout = 0 }, print), "bad option 'header_timeout' (out of range)")
    has(message({ keep_alive = 0 / 0 }, print), "bad option 'keep_alive' (out of range)")
    has(message({ max_body = -1 }, print), "bad option 'max_body' (out of range)")
    local ok, text = pcall(function()
      local server = http.serve({ port = -1 }, print)
      return server
    end)
    assert.is_false(ok)
    assert.is_truthy(text:find("^%S*server_spec.lua:%d+: "), text)
  end)

  it("resolves a host's name, IPv4 first", function()
    local server <close> = serve(echo_path, { host = "localhost" })
    assert.equal("127.0.0.1", server.host)
    assert.equal("/", http.get(server.url):text())
    local err = caught(http.serve, { host = "no-such-host.invalid" }, echo_path)
    assert.is_true(rille.is_error(err))
    has(err, "no-such-host.invalid")
  end)

  it("listens on IPv6, where there is any", function()
    local ok, server = pcall(serve, echo_path, { host = "::1" })
    if not ok then
      assert.is_true(rille.is_error(server, "EADDRNOTAVAIL") or rille.is_error(server, "EAFNOSUPPORT"))
      return
    end
    local _ <close> = server
    assert.equal(("http://[::1]:%d"):format(server.port), server.url)
    assert.equal("/", http.get(server.url):text())
  end)

  it("listens on a Unix socket, and removes it", function()
    local path = os.tmpname()
    os.remove(path)
    do
      local peer
      local server <close> = serve(function(req)
        peer = req.peer
        return echo_path(req)
      end, { unix = path })
      assert.equal("/x", http.get(server.url .. "/x", { unix_socket = path }):text())
      assert.same({ unix = path }, peer)
      assert.is_nil(server.port)
      local err = caught(http.serve, { unix = path }, echo_path)
      assert.is_true(rille.is_error(err, "EADDRINUSE"))
      assert.equal(path, err.path)
    end
    assert.is_nil(io.open(path))
    local err = caught(http.serve, { unix = "/tmp/" .. ("x"):rep(200) }, echo_path)
    assert.is_true(rille.is_error(err, "ENAMETOOLONG"))
  end)

  it("keeps the program alive until it is closed, and prints a handler's trace", function()
    local program <close> = process.start({ process.rille, "-e", [[
      io.stdout:setvbuf("line")
      local server
      server = require "rille.http".serve({}, function(req)
        if req.path == "/stop" then server:close() return { body = "bye" } end
        error("boom")
      end)
      print(server.port)
    ]] })
    local url = "http://127.0.0.1:" .. program:expect("^(%d+)\n")
    assert.equal(500, http.get(url).status)
    assert.equal("bye", http.get(url .. "/stop"):text())
    local result = program:wait()
    assert.equal(0, result.status)
    has(result.stderr, "boom")
    has(result.stderr, "stack traceback:")
  end)

  it("is taken down with the program: on SIGINT, with requests in all states", function()
    local program <close> = process.start({ process.rille, "-e", [[
      io.stdout:setvbuf("line")
      local rille = require "rille"
      local server = require "rille.http".serve({}, function()
        local _ <close> = setmetatable({}, { __close = function() print("cleanup") end })
        print("handling")
        rille.sleep(60)
      end)
      print(server.port)
    ]] })
    local port = program:expect("^(%d+)\n")
    local one <close> = raw_client.start(port, "send:" .. GET:format("/"):rep(3), "say:sent", "eof")
    local two <close> = raw_client.start(port, "send:GET / HT", "say:sent", "eof")
    local three <close> = raw_client.start(port, "say:sent", "eof")
    for _, client in ipairs { one, two, three } do client:expect("sent") end
    program:expect("handling")
    program:signal("INT")
    local result = program:wait()
    assert.equal(130, result.status)
    assert.equal("", result.stderr)
    has(result.stdout, "cleanup")
    for _, client in ipairs { one, two, three } do
      assert.equal(0, client:wait().status)
    end
  end)
end)

describe("server:close", function()
  it("lets running handlers finish, refuses new clients, and is idempotent", function()
    local entered = rille.event()
    local server = serve(function(req)
      if req.path == "/last" then
        entered:set()
        rille.sleep(0.05)
      end
      return echo_path(req)
    end)
    local client = rille.spawn(function() return http.get(server.url .. "/last"):text() end)
    local idle <close> = raw_client.start(server.port, "send:" .. GET:format("/1"), "eof")
    idle:expect("/1")
    entered:wait()
    server:close()
    assert.equal("/last", client:await())
    assert.equal("/1[eof]", idle:wait().stdout:sub(-7))
    assert.is_true(rille.is_error(caught(http.get, server.url), "ECONNREFUSED"))
    server:close()
    server:close(0)
  end)

  it("cancels handlers that outlast the grace, and waits for their cleanup", function()
    for _, grace in ipairs { 0, 0.02 } do
      local cleaned, entered = false, rille.event()
      local server = serve(function()
        local _ <close> = setmetatable({}, {
          __close = function()
            rille.sleep(0.01)
            cleaned = true
          end,
        })
        entered:set()
        rille.sleep(60)
      end)
      local client = rille.spawn(pcall, http.get, server.url)
      entered:wait()
      local written = stderr_of(function() server:close(grace) end)
      assert.is_true(cleaned)
      assert.equal("", written)
      local ok, err = client:await()
      assert.is_false(ok)
      assert.is_true(rille.is_error(err))
    end
  end)

  it("lets a request that has begun to arrive be answered", function()
    local server = serve(function(req) return { body = req:text() } end)
    local client <close> = raw_client.start(server.port,
      "send:POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n", "read:\r\n\r\n",
      "pause:0.05", "send:body", "eof")
    client:expect("100 Continue")
    server:close()
    local text = client:wait().stdout
    assert.same({ "body" }, bodies(text))
    has(text, "Connection: close\r\n")
  end)

  it("does not wait longer than the grace for a request that does not come", function()
    local server = serve(echo_path)
    local client <close> = raw_client.start(server.port, "send:GET / HT", "say:sent", "eof")
    client:expect("sent")
    rille.sleep(0.01)
    server:close(0.02)
    assert.equal("sent[eof]", client:wait().stdout)
  end)

  it("may be called by several at once, and the shortest grace counts", function()
    local server = serve(function() rille.sleep(60) end)
    local client = rille.spawn(pcall, http.get, server.url)
    rille.sleep(0.02)
    local long = rille.spawn(server.close, server, 60)
    local short = rille.spawn(server.close, server, 0.01)
    short:await()
    long:await()
    assert.is_false((client:await()))
  end)

  it("called by a handler does not wait for it", function()
    local server
    server = serve(function()
      server:close()
      return { body = "closing" }
    end)
    assert.equal("closing", http.get(server.url):text())
    server:close()
  end)

  it("ends at once when who waits for it is cancelled", function()
    local cleaned, entered = false, rille.event()
    local server = serve(function()
      local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
      entered:set()
      rille.sleep(60)
    end)
    local client = rille.spawn(pcall, http.get, server.url)
    entered:wait()
    local closer = rille.spawn(server.close, server, 60)
    expect.until_waiting(closer)
    closer:cancel()
    closer:join()
    assert.is_true(cleaned)
    assert.is_false((client:await()))
  end)

  it("takes seconds", function()
    local server <close> = serve(echo_path)
    has(caught(server.close, server, -1), "seconds expected")
    has(caught(server.close, server, "1"), "seconds expected")
  end)
end)

describe("rille.host.server", function()
  local core = require "rille.host.server"

  it("gives requests to those who wait, first come first served", function()
    local listener <close> = core.listen {}
    local order, tasks = {}, {}
    for i = 1, 3 do
      tasks[i] = task.spawn(function()
        local exchange, request = listener:accept()
        order[#order + 1] = i .. request.target
        assert.is_true(exchange:respond(200, nil, request.target))
      end)
    end
    local text = raw_client.talk(listener:port(), "send:" .. GET:format("/a") .. GET:format("/b") ..
      LAST:format("/c"), "eof")
    for _, t in ipairs(tasks) do t:await() end
    assert.same({ "1/a", "2/b", "3/c" }, order)
    assert.same({ "/a", "/b", "/c" }, bodies(text))
  end)

  it("gives nothing to those who wait when it is closed, and to those who come later", function()
    local listener = core.listen {}
    local tasks = {}
    for i = 1, 3 do tasks[i] = task.spawn(function() return select("#", listener:accept()) end) end
    rille.sleep(0)
    listener:close()
    for _, t in ipairs(tasks) do assert.equal(0, t:await()) end
    assert.equal(0, select("#", listener:accept()))
    assert.equal(0, select("#", listener:port()))
    listener:close()
    listener:drain()
  end)

  it("loses no request when who waits for it is cancelled", function()
    local listener <close> = core.listen {}
    local first = task.spawn(function() return listener:accept() end)
    rille.sleep(0)
    first:cancel()
    first:join()
    local client <close> = raw_client.start(listener:port(), "send:" .. LAST:format("/"), "eof")
    local exchange = listener:accept()
    assert.is_true(exchange:respond(204))
    has(client:wait().stdout, "204 No Content")
  end)

  it("answers a request once", function()
    local listener <close> = core.listen {}
    local client <close> = raw_client.start(listener:port(), "send:" .. LAST:format("/"), "eof")
    local exchange = listener:accept()
    assert.is_true(exchange:is_open())
    has(caught(exchange.respond, exchange, 200, { ["a b"] = "c" }), "bad header name 'a b'")
    assert.is_true(exchange:is_open())
    assert.is_true(exchange:respond(200, nil, "once"))
    assert.is_false(exchange:is_open())
    has(caught(exchange.respond, exchange, 200), "answered before")
    assert.same({ "once" }, bodies(client:wait().stdout))
    exchange:close()
  end)

  it("closes the connection of an exchange that is closed or collected unanswered", function()
    local listener <close> = core.listen {}
    local client <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "eof")
    do
      local exchange <close> = listener:accept() -- luacheck: ignore
    end
    assert.equal("[eof]", client:wait().stdout)
    local other <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "eof")
    listener:accept()
    collectgarbage()
    collectgarbage()
    assert.equal("[eof]", other:wait().stdout)
  end)

  it("closes everything when the listener is collected", function()
    local exchange, client
    do
      local listener = core.listen {}
      client = raw_client.start(listener:port(), "send:" .. GET:format("/"), "eof")
      exchange = listener:accept()
    end
    local _ <close> = client
    collectgarbage()
    collectgarbage()
    assert.equal("[eof]", client:wait().stdout)
    assert.is_false(exchange:respond(200))
  end)

  it("gives false to who responds to a client that is gone", function()
    local listener <close> = core.listen {}
    local client <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "reset")
    local exchange, request = listener:accept()
    client:wait()
    rille.sleep(0.02)
    assert.is_false(exchange:respond(200, nil, "late"))
    assert.equal("/", request.target)
  end)

  it("gives false when the client takes nothing for the write timeout, or goes away meanwhile", function()
    local listener <close> = core.listen { write_timeout = 0.05 }
    local body = ("x"):rep(1 << 25)
    local stuck <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "pause:60")
    assert.is_false((listener:accept()):respond(200, nil, body))
    local gone <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "pause:0.02", "reset")
    assert.is_false((listener:accept()):respond(200, nil, body))
    stuck:close()
    gone:wait()
  end)

  it("goes on writing a response when who waits for that is cancelled", function()
    local listener <close> = core.listen {}
    local client <close> = raw_client.start(listener:port(), "send:" .. LAST:format("/"), "eof")
    local exchange = listener:accept()
    client:signal("STOP") -- until the writer was cancelled
    local writer = task.spawn_owned(exchange.respond, exchange, 200, nil, ("x"):rep(1 << 24))
    rille.sleep(0.01)
    assert.equal("waiting", writer:status())
    exchange:close() -- it is being answered: nothing to close
    writer:cancel()
    writer:join()
    client:signal("CONT")
    writer, exchange = nil, nil -- luacheck: ignore
    collectgarbage()
    local text = client:wait().stdout
    assert.equal((1 << 24) + #"[eof]", #text - text:find("\r\n\r\n", 1, true) - 3)
  end)

  it("wakes who responds when the listener is closed", function()
    local listener <close> = core.listen {}
    local client <close> = raw_client.start(listener:port(), "send:" .. GET:format("/"), "pause:60")
    local exchange = listener:accept()
    local writer = task.spawn(exchange.respond, exchange, 200, nil, ("x"):rep(1 << 25))
    rille.sleep(0.01)
    assert.equal("waiting", writer:status())
    listener:close()
    assert.is_false(writer:await())
    client:close()
  end)

  it("refuses to wait where nobody can resume it", function()
    local listener <close> = core.listen {}
    local text = caught(function()
      table.sort({ 1, 2 }, function() return listener:accept() end)
    end)
    has(text, "cannot wait for a request")
  end)

  it("is taken down with the state, whatever is open", function()
    local result = process.run({ process.rille, "-e", ([[
      local core = require "rille.host.server"
      local http = require "rille.http"
      local rille = require "rille"
      KEEP = { core.listen {}, core.listen {} }
      local listener = KEEP[1]
      for i = 1, 4 do
        local url = "http://127.0.0.1:" .. listener:port()
        rille.spawn(function() pcall(http.post, url, { body = ("x"):rep(i * 100) }) end)
      end
      KEEP[3], KEEP[4] = listener:accept()
      KEEP[5] = listener:accept()
      KEEP[5]:respond(200, nil, "one")
      print("end")
      os.exit(0)
    ]]) })
    assert.same({ status = 0, stdout = "end\n", stderr = "" }, result)
  end)
end)
