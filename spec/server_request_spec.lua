-- Malformed and malicious requests: each is refused, with the status that says why, and the connection is
-- closed; a handler sees none of them; the server goes on.
local http = require "rille.http"
local rille = require "rille"
local raw_client = dofile("spec/helper/raw_client.lua")

local AT_ONCE = 8

-- What follows each request: were it taken for a request of its own, its handler would tell.
local SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

local function get(lines) return "GET / HTTP/1.1\r\nHost: x\r\n" .. lines .. "\r\n\r\n" end

local function post(lines, body)
  return "POST / HTTP/1.1\r\nHost: x\r\n" .. lines .. "\r\n\r\n" .. body
end

local function chunked(body) return post("Transfer-Encoding: chunked", body) end

-- Each { status, what it is, text }.
local REFUSED = {
  -- the request line
  { 400, "two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a blank at the end", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n" },
  { 400, "a blank at the start", " GET / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a tab", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "no version", "GET /\r\n\r\n" },
  { 400, "no target", "GET HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "one word", "GET\r\n\r\n" },
  { 400, "more words", "GET / x HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a version in lower case", "GET / http/1.1\r\nHost: x\r\n\r\n" },
  { 400, "another protocol", "GET / RTSP/1.0\r\nHost: x\r\n\r\n" },
  { 400, "a version of two digits", "GET / HTTP/1.10\r\nHost: x\r\n\r\n" },
  { 400, "a version without a point", "GET / HTTP/11\r\nHost: x\r\n\r\n" },
  { 505, "HTTP/2.0", "GET / HTTP/2.0\r\nHost: x\r\n\r\n" },
  { 505, "HTTP/1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n" },
  { 505, "HTTP/0.9 with its version", "GET / HTTP/0.9\r\nHost: x\r\n\r\n" },
  { 505, "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" },
  { 501, "an unknown method", "BREW / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 501, "a method in lower case", "get / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 501, "another protocol's method", "DESCRIBE / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 501, "CONNECT", "CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n" },
  { 400, "a method that is no token", "G(T / HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a TLS hello", "\x16\x03\x01\x02" },
  { 400, "NULs", "\0\0\0\0" },
  { 400, "too many empty lines", ("\r\n"):rep(5) .. get("A: b") },
  -- the target
  { 400, "a target without a slash", "GET index.html HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "* for GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a byte above ASCII in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a NUL in the target", "GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a DEL in the target", "GET /a\x7fb HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "another scheme", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a URL with a user", "GET http://u:p@x/ HTTP/1.1\r\nHost: x\r\n\r\n" },
  { 400, "a URL without a host", "GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n" },
  -- lines
  { 400, "lines that end in LF", "GET / HTTP/1.1\nHost: x\n\n" },
  { 400, "a header that ends in LF", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n" },
  { 400, "an empty line that is LF", "GET / HTTP/1.1\r\nHost: x\r\n\n" },
  { 400, "a header that ends in CR", "GET / HTTP/1.1\r\nHost: x\rA: b\r\n\r\n" },
  { 400, "CR CR LF", "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n" },
  { 400, "a CR in a value", get("A: b\rc") },
  { 400, "an empty header that hides another", get("X:\rTransfer-Encoding: chunked") },
  { 400, "a folded header", get("A: b\r\n c") },
  { 400, "a header folded by a tab", get("A: b\r\n\tc") },
  { 400, "a folded first header", "GET / HTTP/1.1\r\n Host: x\r\n\r\n" },
  { 400, "a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked", "0\r\n\r\n") },
  { 400, "a header without a colon", get("A") },
  { 400, "a header without a name", get(": b") },
  { 400, "a blank before the colon", get("A : b") },
  { 400, "a blank in the name", get("A b: c") },
  { 400, "a name that is no token", get("A(b): c") },
  { 400, "a name above ASCII", get("\xc3\xa9: c") },
  { 400, "a NUL in a name", get("A\0: b") },
  { 400, "a NUL in a value", get("A: b\0c") },
  { 400, "a control character in a value", get("A: b\x01c") },
  { 400, "a backspace in a value", get("A: b\x08c") },
  -- the host
  { 400, "no Host", "GET / HTTP/1.1\r\n\r\n" },
  { 400, "two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n" },
  { 400, "a Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n" },
  { 400, "a Host with a user", "GET / HTTP/1.1\r\nHost: u@x\r\n\r\n" },
  { 400, "a Host with a blank", "GET / HTTP/1.1\r\nHost: x y\r\n\r\n" },
  -- how the body is framed
  { 400, "two equal lengths", post("Content-Length: 5\r\nContent-Length: 5", "hello") },
  { 400, "two lengths", post("Content-Length: 5\r\nContent-Length: 6", "hello!") },
  { 400, "a list of lengths", post("Content-Length: 5, 5", "hello") },
  { 400, "a length with a sign", post("Content-Length: +5", "hello") },
  { 400, "a negative length", post("Content-Length: -5", "hello") },
  { 400, "a hexadecimal length", post("Content-Length: 0x5", "hello") },
  { 400, "a length with a blank in it", post("Content-Length: 5 0", "hello") },
  { 400, "an empty length", post("Content-Length:", "hello") },
  { 400, "a length beyond 64 bits", post("Content-Length: 18446744073709551621", "hello") },
  { 400, "a length and chunks", post("Content-Length: 5\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { 400, "chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 5", "0\r\n\r\n") },
  { 400, "chunks in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
  { 400, "chunked twice", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "0\r\n\r\n") },
  { 400, "chunked before another coding", post("Transfer-Encoding: chunked, gzip", "0\r\n\r\n") },
  { 501, "another coding before chunked", post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n") },
  { 400, "chunked in a list with itself", post("Transfer-Encoding: chunked, chunked", "0\r\n\r\n") },
  { 501, "another coding", post("Transfer-Encoding: gzip", "0\r\n\r\n") },
  { 501, "identity", post("Transfer-Encoding: identity", "0\r\n\r\n") },
  { 501, "xchunked", post("Transfer-Encoding: xchunked", "0\r\n\r\n") },
  { 417, "another expectation", post("Expect: 200-ok\r\nContent-Length: 5", "hello") },
  -- chunks
  { 400, "a chunk's size that is no number", chunked("x\r\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n") },
  { 400, "a negative chunk's size", chunked("-5\r\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n") },
  { 400, "an empty chunk's size", chunked("\r\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size after a blank", chunked(" 5\r\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size beyond 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n") },
  { 413, "a chunk's size of 2^63", chunked("8000000000000000\r\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size that ends in LF", chunked("5\nhello\r\n0\r\n\r\n") },
  { 400, "a chunk's size that ends in CR", chunked("5\rXhello\r\n0\r\n\r\n") },
  { 400, "a chunk that is too long", chunked("5\r\nhello!\r\n0\r\n\r\n") },
  { 400, "a chunk that is too short", chunked("5\r\nhell\r\n0\r\n\r\n") },
  { 400, "a chunk that ends in LF", chunked("5\r\nhello\n0\r\n\r\n") },
  { 400, "a chunk that ends in other bytes", chunked("5\r\nhelloXX0\r\n\r\n") },
  { 400, "an extension that ends in LF", chunked("5;a\nhello\r\n0\r\n\r\n") },
  { 400, "an extension with a CR", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n") },
  { 400, "a body that ends in LF", chunked("0\r\n\n") },
  { 400, "a body that ends in CR X", chunked("0\r\n\rX") },
  { 400, "a trailer that ends in LF", chunked("0\r\nA: b\n\r\n") },
  { 400, "a trailer that hides a CR", chunked("0\r\nA: b\rC: d\r\n\r\n") },
  { 400, "a folded trailer", chunked("0\r\nA: b\r\n c\r\n\r\n") },
  { 400, "a trailer without a colon", chunked("0\r\nA\r\n\r\n") },
}

-- Runs fn(i) for 1 .. n in some tasks at once.
local function each(n, fn)
  local at = 0
  local function work()
    while at < n do
      at = at + 1
      fn(at)
    end
  end
  local workers = {}
  for i = 1, AT_ONCE do workers[i] = work end
  rille.all(workers)
end

describe("a malformed request", function()
  it("is refused with the status that says why, and no handler sees it or what follows", function()
    local seen = {}
    local server <close> = http.serve({}, function(req)
      seen[#seen + 1] = req.target
      return {}
    end)
    local answers = {}
    each(#REFUSED, function(i)
      answers[i] = raw_client.exchange(server.port, REFUSED[i][3] .. SMUGGLED)
    end)
    assert.same({}, seen)
    for i, case in ipairs(REFUSED) do
      local text, what = answers[i], case[2]
      assert.equal(case[1], tonumber(text:match("^HTTP/1%.1 (%d+) ")), what .. ": " .. text)
      assert.is_truthy(text:find("\r\nConnection: close\r\n", 1, true), what)
      assert.is_truthy(text:find("%[eof%]$"), what)
      local _, count = text:gsub("HTTP/1%.1 %d%d%d ", "")
      assert.equal(1, count, what)
    end
    assert.equal(200, http.get(server.url).status)
  end)

  it("after a good one leaves that its answer", function()
    local server <close> = http.serve({}, function(req)
      rille.sleep(0.01)
      return { body = req.path }
    end)
    local text = raw_client.exchange(server.port, get("A: b") .. "bad\r\n\r\n" .. SMUGGLED)
    assert.is_truthy(text:find("^HTTP/1%.1 200 .*\r\n\r\n/HTTP/1%.1 400 .*%[eof%]$"), text)
  end)

  it("that ends too early is not handled", function()
    local called = false
    local server <close> = http.serve({}, function()
      called = true
      return {}
    end)
    for _, text in ipairs { "G", "GET / HTTP/1.1\r\nHost: x\r\n", post("Content-Length: 5", "hell"),
      chunked("5\r\nhello\r\n"), chunked("5\r\nhello\r\n0\r\n") } do
      assert.equal("[eof]", raw_client.talk(server.port, raw_client.send(text), "shut", "eof"))
    end
    assert.is_false(called)
  end)

  it("of random bytes, or a damaged good one, does not harm the server", function()
    local server <close> = http.serve({}, function(req) return { body = req:text() } end)
    local random = 1
    local function draw(n)
      random = random * 6364136223846793005 + 1442695040888963407
      return (random >> 33) % n
    end
    local good = chunked("5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nA: b\r\n\r\n") .. get("A: b")
    local texts = {}
    for i = 1, 60 do
      local bytes = { good:byte(1, -1) }
      for _ = 1, 1 + draw(4) do bytes[1 + draw(#bytes)] = draw(256) end
      if i % 4 == 0 then
        for at = 1, #bytes do bytes[at] = draw(256) end
      end
      texts[i] = string.char(table.unpack(bytes))
    end
    each(#texts, function(i)
      local text = raw_client.talk(server.port, raw_client.send(texts[i]), "shut", "eof")
      assert.is_truthy(text == "[eof]" or text:find("^HTTP/1%.1 %d%d%d "), text)
    end)
    assert.equal("still here", http.post(server.url, { body = "still here" }):text())
  end)
end)
