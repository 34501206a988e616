-- Streamed responses of the HTTP client: what arrives, in which order, and that nothing is left behind.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require "rille"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local json = require "rille.json"
local lines = require "rille.lines"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local resident = require "spec.helper.resident"
local sse = require "rille.sse"
local stream = require "rille.stream"
local task = require "rille.host.task"

local failure, eventually, patiently = expect.caught, expect.eventually, expect.patiently

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

--- Calls fn; returns what it has warned of.
local function warnings_of(fn)
  local script = ([[
    local http, rille = require "rille.http", require "rille"
    local base = %q
    %s
    collectgarbage() collectgarbage()
    io.stdout:write("fine")
  ]]):format(fn.base, fn.body)
  local done = process.script(script)
  assert.equal("fine", done.stdout, done.stderr)
  return done.stderr
end

local BLOCK = {}
for i = 0, 9999 do BLOCK[i + 1] = ("%06d\n"):format(i) end
BLOCK = table.concat(BLOCK)

--- Checks that pieces make up the block, again and again; gives how many bytes there were.
local function checker()
  local size = 0
  local twice = BLOCK:rep(6)
  return function(piece)
    local at = size % #BLOCK
    assert(piece == twice:sub(at + 1, at + #piece), "damaged")
    size = size + #piece
    return size
  end
end

describe("http.stream against the host's server", function()
  local server, base, seen

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      seen = req
      if req.path == "/redirect" then
        return { status = 302, headers = { location = "/there" }, body = "moved" }
      end
      if req.path == "/status" then return { status = 404, body = ("no such thing "):rep(10) } end
      if req.path == "/large" then return { body = BLOCK } end
      if req.path == "/values" then return { body = '{"a":1}\n\n[2]\r\nnull\n"x"' } end
      if req.path == "/event" then return { body = ("data:%049d\n"):rep(2):format(1, 2) .. "\n" } end
      if req.path == "/bad" then return { body = '1\n2\nnope\n4\n' } end
      return { json = { method = req.method, target = req.target, body = req:text() } }
    end)
    base = server.url
  end)

  teardown(function() server:close() end)

  it("has the fields of a response", function()
    local res <close> = http.stream(base .. "/a?b=c")
    assert.same({ 200, "OK", "GET", base .. "/a?b=c", "1.1" },
      { res.status, res.reason, res.method, res.url, res.http_version })
    assert.same({}, res.redirects)
    assert.equal("application/json", res.headers["Content-Type"]:match("^[^;]+"))
    assert.equal(("rille.StreamedResponse: 200 (GET %s/a?b=c)"):format(base), tostring(res))
    assert.is_true(res.timings.first_byte > 0)
    assert.is_nil(res.anything)
    assert.equal("/a?b=c", res:json().target)
  end)

  it("follows redirects first", function()
    local res <close> = http.stream(base .. "/redirect")
    assert.same({ 200, base .. "/there", { base .. "/redirect" } }, { res.status, res.url, res.redirects })
    assert.equal("/there", res:json().target)
    local stay <close> = http.stream(base .. "/redirect", { follow = false })
    assert.same({ 302, "moved" }, { stay.status, stay:text() })
  end)

  it("takes the options of a request, and the method among them", function()
    local client <close> = http.client { base_url = base .. "/v1", query = { k = "v" } }
    assert.equal("/v1/x?k=v&q=1", client:stream("x", { query = { q = 1 } }):json().target)
    assert.equal("/v1/x?k=v", client:stream("x"):json().target)
    for _, res in ipairs {
      http.stream(base, { method = "post", json = { 1 } }),
      http.stream { url = base, method = "POST", json = { 1 } },
    } do
      local got = res:json()
      assert.same({ "POST", "[1]" }, { got.method, got.body })
      assert.equal("application/json", seen.headers["content-type"])
    end
    assert.equal("GET", http.stream({ url = base }):json().method)
  end)

  it("refuses misuse at the caller's line, and sends nothing", function()
    seen = nil
    for _, case in ipairs {
      { "bad URL %(string expected, got nil%)", function() http.stream() end },
      { "bad URL %(string expected, got nil%)", function() http.stream {} end },
      { "unknown option 'nonsense'", function() http.stream(base, { nonsense = 1 }) end },
      { "unknown option 'url'", function() http.stream(base, { url = base }) end },
      { "bad options %(table expected, got number%)", function() http.stream(base, 7) end },
      { "bad method %(not a token%)", function() http.stream(base, { method = "a b" }) end },
      { "bad value of header 'X'", function() http.stream(base, { headers = { X = "a\nb" } }) end },
    } do
      local err = failure(case[2])
      assert.matches("^spec/http_stream_spec.lua:%d+: " .. case[1], err)
    end
    assert.is_nil(seen)
    assert.is_true(rille.is_error(failure(http.stream, "ftp://x"), "EURL"))
  end)

  it("refuses to wait where nobody can resume it", function()
    assert.error_matches(function()
      table.sort({ 1, 2 }, function() return http.stream(base).status == 200 end)
    end, "cannot wait")
  end)

  it("gives values of JSON lines", function()
    local res <close> = http.stream(base .. "/values")
    assert.same({ { a = 1 }, { 2 }, json.null, "x" }, res:ndjson():collect())
  end)

  it("raises EJSON with the line, after the values before it", function()
    local values = http.stream(base .. "/bad"):ndjson()
    assert.same({ 1, 2 }, { values:next(), values:next() })
    local err = failure(values.next, values)
    assert.is_true(rille.is_error(err, "EJSON"))
    assert.equal(3, err.line)
    assert.same({ 1 }, http.stream(base .. "/bad"):ndjson():take(1):collect())
  end)

  it("gives what a JSON pointer leads to", function()
    assert.equal("GET", http.stream(base):json("/method"))
    assert.is_nil(http.stream(base):json("/nothing/here"))
    local res <close> = http.stream(base)
    for _, bad in ipairs { "method", "/a~2b", "/~" } do
      assert.matches("^spec/http_stream_spec.lua:%d+: bad argument #1 to 'json' %(not a JSON pointer",
        failure(function() res:json(bad) end))
    end
    assert.matches("string expected, got number", failure(function() res:json(7) end))
    assert.equal("/", res:json("/target"))
    local bad <close> = http.stream(base .. "/bad")
    assert.is_true(rille.is_error(failure(bad.json, bad, "/a"), "EJSON"))
  end)

  it("raises for a status with the beginning of the body", function()
    assert.equal("GET", http.stream(base):raise_for_status():json().method)
    local res = http.stream(base .. "/status")
    local err = failure(res.raise_for_status, res)
    assert.is_true(rille.is_error(err, "ESTATUS"))
    assert.same({ 404, ("no such thing "):rep(10):sub(1, 80) }, { err.status, err.body })
    assert.error_matches(function() res:text() end, "the response is closed")
  end)

  it("reads the rest as text, once and for all", function()
    local res <close> = http.stream(base .. "/values")
    assert.equal('{"a":1}', res:text():sub(1, 7))
    assert.equal(res:text(), res:bytes())
    assert.error_matches(function() res:chunks() end, "is read by 'text' already")
    local err = failure(res.json, res)
    assert.is_true(rille.is_error(err, "EJSON"))
  end)

  it("bounds text by max_body, and chunks by nothing", function()
    local res <close> = http.stream(base .. "/large", { max_body = 1000 })
    local err = failure(res.text, res)
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal(("GET %s/large: the body is larger than max_body"):format(base), tostring(err))
    assert.error_matches(function() res:text() end, "is read by 'text' already")
    local client <close> = http.client { max_body = 1000 }
    assert.equal(BLOCK, client:stream(base .. "/large"):chunks():join())
    assert.is_true(rille.is_error(failure(function() client:stream(base .. "/large"):text() end), "ETOOBIG"))
  end)

  it("bounds a line, a value and an event by max_body", function()
    local function first(path, read, max_body)
      local res <close> = http.stream(base .. path, { max_body = max_body })
      return res[read](res):first()
    end
    local cases = { { "/large", "lines", 6 }, { "/values", "ndjson", 7 }, { "/event", "events", 100 } }
    for _, case in ipairs(cases) do
      local path, read, least = table.unpack(case)
      assert.is_truthy(first(path, read, least))
      local err = failure(first, path, read, least - 1)
      assert.is_true(rille.is_error(err, "ETOOBIG"), read)
    end
  end)

  it("has operators", function()
    local res <close> = http.stream(base .. "/large")
    local list = res:lines():map(tonumber):filter(function(n) return n % 1000 == 0 end):take(4):collect()
    assert.same({ 0, 1000, 2000, 3000 }, list)
  end)

  it("names what it waits for", function()
    assert.equal("http.stream", (function()
      local slow <close> = http.serve({ port = 0 }, function() rille.sleep(0.03) return {} end)
      local waiting = rille.spawn(function() http.stream(slow.url):close() end)
      rille.sleep(0)
      local what
      for _, entry in ipairs(rille.tasks()) do
        if entry.task == waiting then what = entry.waits_for end
      end
      waiting:await()
      return what
    end)())
  end)
end)

describe("http.stream against a server that misbehaves", function()
  local faults, base

  --- accepted, open and left connections, as the server counts them (its own for this question too)
  local function count(what)
    local client <close> = http.client()
    return tonumber(client:get(base .. "/count"):text():match(what .. "=(%d+)"))
  end

  setup(function()
    faults, base = perl_server "fault_server"
  end)

  teardown(function() faults:close() end)

  local function tell(path) http.get(base .. path) end

  it("returns with the headers, and gives chunks as they arrive", function()
    local res <close> = http.stream(base .. "/gate")
    local chunks = res:chunks()
    assert.equal("one", chunks:next())
    tell("/pass-two")
    assert.equal("two", chunks:next())
    tell("/pass-three")
    assert.equal("three", chunks:next())
    tell("/shut")
    assert.is_nil(chunks:next())
    assert.equal("exhausted", chunks:status())
  end)

  it("cuts lines and events out of chunks as they arrive", function()
    local res <close> = http.stream(base .. "/gate")
    local list = res:lines()
    tell("/pass-%0A") -- is sent as it is: no line break
    local waiting = rille.spawn(function() return list:next() end)
    rille.sleep(0.01)
    assert.equal("waiting", waiting:status())
    tell("/shut")
    assert.equal("one%0A", waiting:await())
    assert.is_nil(list:next())
    local other <close> = http.stream(base .. "/lines")
    assert.same({ "one", "two", "three", "", "five", "", "last" }, other:lines():collect())
  end)

  it("has no body where there is none", function()
    for path, status in pairs { ["/no-content"] = 204, ["/not-modified"] = 304 } do
      local res <close> = http.stream(base .. path)
      assert.equal(status, res.status)
      assert.same({}, res:chunks():collect())
    end
    local res <close> = http.stream(base .. "/fine", { method = "HEAD" })
    assert.same({ "4", "" }, { res.headers["content-length"], res:text() })
    assert.equal("fine", http.stream(base .. "/interim"):text():gsub("abc", "fine"))
    assert.equal("abc", http.stream(base .. "/trailers"):text())
    assert.equal("abc", http.stream(base .. "/until-close"):text())
    assert.equal("fine", http.stream(base .. "/moved"):text())
  end)

  it("raises what fails before the headers", function()
    for path, code in pairs {
      ["/nothing"] = "EPROTO", ["/reset"] = "ECONNRESET", ["/cut-head"] = "EPROTO",
      ["/cut-redirect"] = "EPROTO", ["/garbage"] = "EPROTO", ["/two-lengths"] = "EPROTO",
      ["/endless-head"] = "ETOOBIG",
      ["/to-refused"] = "ECONNREFUSED", ["/elsewhere"] = "EREDIRECT",
    } do
      local err = failure(http.stream, base .. path)
      assert.is_true(rille.is_error(err, code), path .. ": " .. tostring(err))
    end
    local err = failure(http.stream, base .. "/stall", { timeout = 0.02 })
    assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
  end)

  it("raises what fails in the body at the read that meets it, after what came before", function()
    for path, expected in pairs {
      ["/cut-body"] = { "abc", "EPROTO" }, ["/cut-chunk"] = { "abc", "EPROTO" },
      ["/cut-last-chunk"] = { "abc", "EPROTO" }, ["/bad-late-chunk"] = { "abc", "EPROTO" },
      ["/cut-late"] = { ("x"):rep(600000), "EPROTO" },
      ["/cut-late-chunk"] = { ("x"):rep(600000) .. "abc", "EPROTO" },
      ["/gzip-25"] = { nil, "EPROTO" }, ["/gzip-rest"] = { '{"name":"pikachu"}', "EPROTO" },
      ["/gzip-bad"] = { "", "EPROTO" }, ["/deflate-cut"] = { nil, "EPROTO" },
    } do
      local res <close> = http.stream(base .. path)
      local got, chunks = {}, res:chunks()
      local err = failure(function()
        for chunk in chunks:keep() do
          got[#got + 1] = chunk
          if path:find("late") then rille.sleep(0) end
        end
      end)
      assert.is_true(rille.is_error(err, expected[2]), path .. ": " .. tostring(err))
      assert.same({ 200, base .. path }, { err.status, err.url })
      if expected[1] then assert.equal(expected[1], table.concat(got), path) end
      assert.equal("failed", chunks:status() == "closed" and "failed" or chunks:status())
    end
  end)

  it("decodes compressed bodies", function()
    assert.equal("pikachu", http.stream(base .. "/gzip-all"):json().name)
    assert.equal("pikachu", http.stream(base .. "/coded-raw"):json().name)
    assert.equal('{"name":"pikachu"}{"name":"pikachu"}', http.stream(base .. "/coded-twice"):text())
    assert.equal("left as it is", http.stream(base .. "/coded-own"):text())
    assert.equal("", http.stream(base .. "/gzip-0"):text())
    local check, size = checker(), 0
    for chunk in http.stream(base .. "/gzip-blocks-40"):chunks() do size = check(chunk) end
    assert.equal(40 * #BLOCK, size)
  end)

  it("decodes a response with a redirecting status and no place to go", function()
    assert.equal('{"name":"pikachu"}', http.stream(base .. "/choices"):text())
    local res = http.get(base .. "/choices")
    assert.same({ 300, '{"name":"pikachu"}' }, { res.status, res:text() })
  end)

  it("tells of a truncated compressed body after all that could be decoded", function()
    local check, size = checker(), 0
    local err = failure(function()
      for chunk in http.stream(base .. "/gzip-cut-blocks-40"):chunks() do size = check(chunk) end
    end)
    assert.is_true(rille.is_error(err, "EPROTO"))
    assert.matches("truncated", tostring(err), 1, true)
    assert.equal(40 * #BLOCK, size)
  end)

  it("holds a bounded part of a body that nobody reads, compressed or not", function()
    local stress = os.getenv("RILLE_SPEC_GC") == "stress"
    local before = resident()
    for path, bytes in pairs { ["/blocks-750"] = 750 * #BLOCK, ["/gzip-blocks-750"] = 750 * #BLOCK } do
      if stress then path, bytes = path:gsub("750", "30"), 30 * #BLOCK end
      local check, size, pieces, peak, largest = checker(), 0, 0, 0, 0
      local res <close> = http.stream(base .. path)
      rille.sleep(0.02)
      for chunk in res:chunks() do
        size, pieces, largest = check(chunk), pieces + 1, math.max(largest, #chunk)
        if pieces % 40 == 0 then
          rille.sleep(0.001)
          peak = math.max(peak, resident())
        end
      end
      assert.equal(bytes, size)
      assert.is_true(largest <= 320 * 1024, largest)
      assert.is_true(stress or peak - before < 32 * 1024 * 1024, peak - before)
    end
  end)

  it("decodes a bomb only as far as it is read", function()
    local before = resident()
    local res <close> = http.stream(base .. "/coded-bomb")
    assert.equal(256 * 1024, #res:chunks():next())
    rille.sleep(0.01)
    assert.is_true(os.getenv("RILLE_SPEC_GC") == "stress" or resident() - before < 4 * 1024 * 1024)
    local bounded <close> = http.stream(base .. "/coded-bomb", { max_body = 1000000 })
    assert.is_true(rille.is_error(failure(bounded.text, bounded), "ETOOBIG"))
    local whole, size = http.stream(base .. "/coded-bomb"), 0
    for chunk in whole:chunks() do size = size + #chunk end
    assert.equal(20000000, size)
  end)

  it("counts the total time-out over the body, read or not", function()
    local err = patiently(function(timeout)
      local res <close> = http.stream(base .. "/stall-body", { timeout = timeout })
      local chunks = res:chunks()
      assert.equal("ab", chunks:next())
      return failure(chunks.next, chunks)
    end)
    assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
    err = patiently(function(timeout)
      local paused <close> = http.stream(base .. "/blocks-100", { timeout = timeout })
      return failure(function() for _ in paused:chunks() do rille.sleep(timeout / 4) end end)
    end)
    assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
  end)

  it("counts the idle time-out only while it does not pause the transfer itself", function()
    local size = patiently(function(idle)
      local res <close> = http.stream(base .. "/blocks-100", { timeout = { idle = idle } })
      local check, size, pieces = checker(), 0, 0
      for chunk in res:chunks() do
        size, pieces = check(chunk), pieces + 1
        if pieces == 2 then
          for _ = 1, 6 do rille.sleep(idle / 2) end
        end
      end
      return size
    end)
    assert.equal(100 * #BLOCK, size)
    local err = patiently(function(idle)
      local stalled <close> = http.stream(base .. "/stall-body", { timeout = { idle = idle } })
      local chunks = stalled:chunks()
      assert.equal("ab", chunks:next())
      return failure(chunks.next, chunks)
    end)
    assert.same({ "ETIMEDOUT", "idle" }, { err.code, err.phase })
  end)

  it("takes what came while the program computed before an idle time-out strikes", function()
    local code = "require('rille.http').get((...))"
    -- Has the server send what the path says, and computes for so long, without a look at the sockets.
    local function send_and_compute(path, seconds)
      local words = { "echo", process.quote(code), "|", process.quote(process.rille), "-", base .. path }
      local pipe <close> = assert(io.popen(table.concat(words, " ")))
      assert.equal("", pipe:read("a"))
      local start = os.clock()
      while os.clock() - start < seconds do end
    end

    local open = patiently(function(idle)
      local timeout = { connect = 0, idle = idle } -- no timer but ours
      local chunks = http.stream(base .. "/gate", { timeout = timeout }):chunks()
      assert(chunks:next() == "one")
      return { idle = idle, chunks = chunks }
    end)
    for _, text in ipairs { "two", "three", "four" } do
      send_and_compute("/pass-" .. text, 2 * open.idle)
      assert.equal(text, open.chunks:next())
    end
    send_and_compute("/shut", 2 * open.idle)
    assert.is_nil(open.chunks:next())
  end)

  it("has an idle time-out strike though the program computed meanwhile", function()
    local err = patiently(function(idle)
      local stalled <close> = http.stream(base .. "/stall-body", { timeout = { idle = idle } })
      local chunks = stalled:chunks()
      assert.equal("ab", chunks:next())
      local start = os.clock()
      while os.clock() - start < 2 * idle do end
      return failure(chunks.next, chunks)
    end)
    assert.same({ "ETIMEDOUT", "idle" }, { err.code, err.phase })
  end)

  it("gives the slot back at once, however it is left", function()
    local client <close> = http.client { max_connections = 1 }
    local function is_free() return client:get(base .. "/fine", { timeout = 60 }):text() == "fine" end
    local ways = {
      close = function() client:stream(base .. "/stall-body"):close() end,
      variable = function() local _ <close> = client:stream(base .. "/blocks-100") end,
      paused = function()
        local res <close> = client:stream(base .. "/blocks-100")
        rille.sleep(0.01)
        assert.equal(200, res.status)
      end,
      loop = function() for _ in client:stream(base .. "/blocks-100"):chunks() do break end end,
      lines = function() for _ in client:stream(base .. "/blocks-100"):lines() do break end end,
      raised = function()
        failure(function() for _ in client:stream(base .. "/gate"):chunks() do error("x") end end)
      end,
      take = function() assert.same({ "one" }, client:stream(base .. "/gate"):chunks():take(1):collect()) end,
      timeout = function()
        local err = failure(rille.timeout, 0.01, function() return client:stream(base .. "/gate"):text() end)
        assert.is_true(rille.is_error(err, "ETIMEDOUT"))
      end,
      before_the_head = function()
        failure(rille.timeout, 0.01, function() return client:stream(base .. "/stall") end)
      end,
      cancel = function()
        local waiting = task.spawn_owned(function()
          for _ in client:stream(base .. "/stall-body"):chunks() do end
        end)
        rille.sleep(0.01)
        waiting:cancel()
        waiting:join()
      end,
      failed = function() failure(function() client:stream(base .. "/cut-body"):text() end) end,
      read = function() client:stream(base .. "/blocks-20"):text() end,
    }
    for name, way in pairs(ways) do
      way()
      assert.is_true(is_free(), name)
    end
  end)

  it("keeps the connection after a small rest that is here, and closes it after a large one", function()
    local client <close> = http.client()
    local function accepted() return tonumber(client:get(base .. "/count"):text():match("accepted=(%d+)")) end
    local before = accepted()
    for _ = 1, 3 do
      client:stream(base .. "/fine"):close()
      client:stream(base .. "/trailers"):close()
      client:stream(base .. "/gzip-all"):close()
    end
    assert.equal(before, accepted())
    for _ = 1, 3 do -- 280,000 bytes: it is paused, and after a while the rest is in the socket
      patiently(function(seconds)
        local res = client:stream(base .. "/blocks-4")
        rille.sleep(seconds)
        res:close()
        local last = before
        before = accepted()
        return before == last
      end)
    end
    client:stream(base .. "/blocks-100"):close()
    assert.equal(before + 1, accepted())
    client:stream(base .. "/gate"):close()
    assert.equal(before + 2, accepted())
  end)

  it("closes in each state, twice", function()
    local res = http.stream(base .. "/gate")
    res:close()
    res:close()
    for _, name in ipairs { "chunks", "lines", "text", "json" } do
      assert.matches("^spec/http_stream_spec.lua:%d+: the response is closed",
        failure(function() res[name](res) end))
    end
    res = http.stream(base .. "/fine")
    assert.equal("fine", res:text())
    res:close()
    assert.equal("fine", res:text())
    res = http.stream(base .. "/cut-body")
    failure(res.text, res)
    res:close()
    res = http.stream(base .. "/gate")
    local chunks = res:chunks()
    assert.equal("one", chunks:next())
    res:close()
    assert.error_matches(function() chunks:next() end, "the response is closed")
    chunks:close()
  end)

  it("ends a read that waits in another task when it is closed", function()
    local res = http.stream(base .. "/stall-body")
    local chunks = res:chunks()
    assert.equal("ab", chunks:next())
    local waiting = rille.spawn(function() return failure(chunks.next, chunks) end)
    rille.sleep(0)
    res:close()
    assert.equal("response closed by another task", waiting:await())
    res = http.stream(base .. "/stall-body")
    waiting = rille.spawn(function() return failure(res.text, res) end)
    rille.sleep(0.01)
    res:close()
    assert.equal("response closed by another task", waiting:await())
    res = http.stream(base .. "/stall-body")
    local list = res:lines()
    waiting = rille.spawn(function() return failure(list.next, list) end)
    rille.sleep(0.01)
    list:close()
    assert.matches("closed by another task", waiting:await())
  end)

  it("has one reader", function()
    local res <close> = http.stream(base .. "/gate")
    local chunks = res:chunks()
    for _, name in ipairs { "chunks", "lines", "ndjson", "events" } do
      local err = failure(function() res[name](res) end)
      assert.matches("^spec/http_stream_spec.lua:%d+: the body of this response is read by 'chunks'", err)
    end
    assert.equal("one", chunks:next())
    local waiting = rille.spawn(function() return chunks:next() end)
    rille.sleep(0)
    assert.error_matches(function() res:text() end, "another task is reading this response")
    assert.error_matches(function() res:chunks() end, "is read by 'chunks' already")
    tell("/pass-two")
    assert.equal("two", waiting:await())
    tell("/pass-rest")
    tell("/shut")
    assert.equal("rest", res:text())
    local other <close> = http.stream(base .. "/lines")
    other:lines():next()
    assert.error_matches(function() other:text() end, "is read by 'lines' already")
  end)

  it("loses nothing when a wait for a chunk is given up", function()
    local res <close> = http.stream(base .. "/gate")
    local chunks = res:chunks()
    assert.equal("one", chunks:next())
    assert.same({ nil, "timeout" }, { chunks:next_within(0.005) })
    tell("/pass-two")
    tell("/shut")
    assert.equal("two", chunks:next())
    assert.is_nil(chunks:next())
  end)

  it("raises ECANCELED when its client is closed", function()
    local client = http.client()
    local waiting, paused = client:stream(base .. "/gate"), client:stream(base .. "/blocks-100")
    local read = client:stream(base .. "/fine")
    rille.sleep(0.02)
    local begun = rille.event()
    local reader = rille.spawn(function()
      local chunks = waiting:chunks()
      chunks:next()
      begun:set()
      return failure(chunks.next, chunks)
    end)
    local opening = rille.spawn(function() return failure(client.stream, client, base .. "/stall") end)
    begun:wait()
    expect.until_waiting(opening)
    client:close()
    assert.is_true(rille.is_error(reader:await(), "ECANCELED"))
    assert.is_true(rille.is_error(opening:await(), "ECANCELED"))
    assert.is_true(rille.is_error(failure(paused.text, paused), "ECANCELED"))
    assert.equal("fine", read:text())
    assert.error_matches(function() client:stream(base) end, "the client is closed")
  end)

  it("outlives its client's variable", function()
    local res
    do
      local client = http.client()
      res = client:stream(base .. "/gate")
    end
    collectgarbage()
    collectgarbage()
    tell("/shut")
    assert.equal("one", res:text())
  end)

  it("does not keep the program alive, nor is it reported at its end", function()
    local done = process.script(([[
      local http = require "rille.http"
      res = http.stream(%q)
      print(res.status)
    ]]):format(base .. "/gate"))
    assert.same({ 0, "200\n", "" }, { done.status, done.stdout, done.stderr })
    done = process.script(([[
      local http, rille = require "rille.http", require "rille"
      local chunks = http.stream(%q):chunks()
      rille.spawn(function() rille.sleep(0.01) os.exit(3) end)
      for chunk in chunks do print(chunk) end
    ]]):format(base .. "/gate"))
    assert.same({ 3, "one\n", "" }, { done.status, done.stdout, done.stderr })
  end)

  it("is reported, and gives its connection back, when it is dropped unread", function()
    local before = count("open")
    local stderr = warnings_of { base = base, body = [[
      do local res = http.stream(base .. "/gate") end
      do local chunks = http.stream(base .. "/blocks-100"):chunks() chunks:next() end
      do local res = http.stream(base .. "/fine") res:text() end
      do local res = http.stream(base .. "/no-content") rille.sleep(0.01) end
      do local res = http.stream(base .. "/gate") res:close() end
      do local res = pcall(function() return http.stream(base .. "/cut-head") end) end
    ]] }
    local _, reports = stderr:gsub("was dropped before its end", "")
    assert.equal(2, reports, stderr)
    assert.matches("the response of GET " .. base .. "/gate opened at %S+:3 was dropped", stderr)
    assert.matches("the response of GET " .. base .. "/blocks%-100 opened at %S+:4 was dropped", stderr)
    assert.is_true(eventually(function() return count("open") <= before end))
  end)

  it("gives the slot back when it is collected", function()
    rille.test.may_leak()
    local client <close> = http.client { max_connections = 1 }
    warn("@off")
    local _ <close> = setmetatable({}, { __close = function() warn("@on") end })
    client:stream(base .. "/gate")
    collectgarbage()
    collectgarbage()
    assert.equal("fine", client:get(base .. "/fine", { timeout = 60 }):text())
  end)

  it("survives cancels, time-outs and closes at random, and leaves no connection in use", function()
    local before = count("open")
    local client = http.client { max_connections = 8 }
    local paths = {
      "/fine", "/stall", "/close", "/cut-body", "/stall-body", "/gzip-all", "/reset", "/blocks-20",
      "/gzip-blocks-30", "/coded-bomb", "/cut-late", "/no-content", "/moved",
    }
    math.randomseed(11)
    local tasks, attempts = {}, STRESSED and 100 or 300
    for i = 1, attempts do
      local path, limit = paths[math.random(#paths)], math.random() < 0.5 and 0.005 or 0.05
      local how, stop = math.random(5), math.random(6)
      tasks[i] = task.spawn_owned(function()
        pcall(function()
          local res <close> = client:stream(base .. path, { timeout = limit })
          if how == 1 then return end
          if how == 2 then return res:text() end
          local n = 0
          for _ in (how == 3 and res:lines() or res:chunks()) do
            n = n + 1
            if how == 4 then rille.sleep(0.001) end
            if n == stop then break end
          end
        end)
      end)
      if math.random() < 0.3 then rille.sleep(math.random() * 0.002) end
      if math.random() < 0.3 then tasks[math.random(i)]:cancel() end
    end
    for i = 1, attempts do tasks[i]:join() end
    assert.equal("fine", client:get(base .. "/fine", { timeout = 60 }):text())
    client:close()
    assert.is_true(eventually(function() return count("open") <= before end))
  end)
end)

describe("http.stream against nginx", function()
  it("gives a large file, compressed on the way or not, to a slow consumer in bounded memory", function()
    local count = os.getenv("RILLE_SPEC_GC") == "stress" and 10 or 750
    local server <close>, base = nginx.start(function(root)
      nginx.write(root .. "/large", BLOCK:rep(count))
    end, "gzip on; gzip_comp_level 1; gzip_types *;")
    assert.is_table(server)
    local client <close> = http.client { base_url = base, max_connections = 1 }
    collectgarbage()
    local before, peak = resident(), 0
    for _, decompress in ipairs { true, false } do
      local res <close> = client:stream("/large", { decompress = decompress })
      assert.equal(decompress and "gzip" or nil, res.headers["content-encoding"])
      local check, size, pieces = checker(), 0, 0
      for piece in res:chunks() do
        size, pieces = check(piece), pieces + 1
        if pieces % 20 == 0 then
          rille.sleep(0.001)
          peak = math.max(peak, resident())
        end
      end
      assert.equal(count * #BLOCK, size)
    end
    assert.is_true(count == 10 or peak - before < 32 * 1024 * 1024, peak - before)
    local many = STRESSED and 1000 or 20000
    assert.equal(many, client:stream("/large"):lines():take(many):count())
    local last = many // 2 - 1
    assert.equal(last, client:stream("/large"):lines():drop(last):map(tonumber):first())
    assert.equal(200, client:head("/large", { timeout = 60 }).status)
  end)
end)

--- Every way to cut a text into pieces of a length.
local function cuts(text)
  local list = { { text } }
  for size = 1, math.min(5, #text) do
    local pieces = {}
    for i = 1, #text, size do pieces[#pieces + 1] = text:sub(i, i + size - 1) end
    list[#list + 1] = pieces
    list[#list + 1] = { "", table.unpack(pieces) }
  end
  return list
end

describe("rille.lines", function()
  it("cuts lines at LF, CRLF and CR, wherever the pieces end", function()
    for _, case in ipairs {
      { "" }, { "a", "a" }, { "a\n", "a" }, { "a\r", "a" }, { "a\r\n", "a" }, { "\n", "" }, { "\r\n", "" },
      { "\n\n", "", "" }, { "\r\r", "", "" }, { "\r\n\r\n", "", "" }, { "\n\r", "", "" },
      { "\n\r\n", "", "" },
      { "a\nb", "a", "b" }, { "a\rb\n", "a", "b" }, { "a\r\n\nb\r\r\nc", "a", "", "b", "", "c" },
      { "long line\r\nand more\n\n", "long line", "and more", "" }, { "\0\n\xff", "\0", "\xff" },
    } do
      for _, pieces in ipairs(cuts(case[1])) do
        assert.same({ table.unpack(case, 2) }, lines.split(pieces):collect(), ("%q"):format(case[1]))
      end
    end
  end)

  it("bounds a line, and closes its source", function()
    local closed = false
    local endless = rille.generator(function()
      local _ <close> = setmetatable({}, { __close = function() closed = true end })
      while true do coroutine.yield(("x"):rep(100)) end
    end)
    local list = lines.split(endless(), 1000)
    local err = failure(list.next, list)
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal(1000, err.max)
    assert.is_true(closed)
    assert.same({ ("x"):rep(1000) }, lines.split({ ("x"):rep(500), ("x"):rep(500) .. "\n" }, 1000):collect())
    closed = false
    for _ in lines.split(stream.map(endless(), function(s) return s .. "\n" end)) do break end
    assert.is_true(closed)
  end)

  it("refuses what is no stream of strings", function()
    assert.error_matches(function() lines.split(7) end, "bad argument #1 to 'split'")
    assert.error_matches(function() lines.split({}, 0) end, "bad argument #2 to 'split'")
    local list = lines.split { "a\n", 7 }
    assert.equal("a", list:next())
    assert.error_matches(function() list:next() end, "no string but a number")
  end)
end)

describe("rille.sse", function()
  local function event(data, kind, id, retry)
    return { event = kind or "message", data = data, id = id or "", retry = retry }
  end

  -- WHATWG HTML 9.2.5 and 9.2.6.
  local cases = {
    ["one event"] = { "data: hello\n\n", event "hello" },
    ["lines of data"] = { "data: YHOO\ndata: +2\ndata: 10\n\n", event "YHOO\n+2\n10" },
    ["comment, id, empty id"] = {
      ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
      event("first event", nil, "1"), event "second event", event " third event",
    },
    ["data without a colon, and an event that is cut short"] = {
      "data\n\ndata\ndata\n\ndata:", event "", event "\n",
    },
    ["a space or none after the colon"] = { "data:test\n\ndata: test\n\n", event "test", event "test" },
    ["named events"] = {
      "event: add\ndata: 73857293\n\nevent:remove\ndata: 2153\n\nevent\ndata: x\n\n",
      event("73857293", "add"), event("2153", "remove"), event "x",
    },
    ["an event without data is none, and its name is gone"] = { "event: a\n\ndata: b\n\n", event "b" },
    ["an id that stays"] = {
      "id: 7\n\ndata: a\n\ndata: b\nid: 8\n\n",
      event("a", nil, "7"), event("b", nil, "8"),
    },
    ["an id with a NUL is ignored"] = { "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
      event("a", nil, "1"), event("b", nil, "1") },
    ["retry is digits, in milliseconds"] = {
      "retry: 1500\n\ndata: a\n\nretry: 2x\nretry:\nretry: -1\ndata: b\n\nretry: 0\ndata: c\n\n",
      event("a", nil, nil, 1.5), event("b", nil, nil, 1.5), event("c", nil, nil, 0.0),
    },
    ["CR"] = { "data: a\rdata: b\r\rdata: c\r\r", event "a\nb", event "c" },
    ["CRLF"] = { "data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", event "a\nb", event "c" },
    ["mixed line ends"] = { "data: a\r\ndata: b\n\rdata: c\r\r\n", event "a\nb", event "c" },
    ["a byte order mark"] = {
      "\xEF\xBB\xBFdata: a\n\ndata: \xEF\xBB\xBFb\n\n", event "a", event "\xEF\xBB\xBFb",
    },
    ["only the first byte order mark"] = { "\xEF\xBB\xBF\xEF\xBB\xBFdata: a\n\ndata: b\n\n", event "b" },
    ["unknown fields, cases and spaces"] = {
      "foo: 1\nData: x\n data: y\ndata : z\n:data: w\ndata: v\n\n", event "v",
    },
    ["colons in values"] = { "data: a: b\ndata::\n\n", event "a: b\n:" },
    ["nothing at all"] = { "\n\n\n" },
    ["the last event without a blank line"] = { "data: a\n\ndata: b\n", event "a" },
    ["the last line without an end"] = { "data: a\n\ndata: b\n\ndata: c", event "a", event "b" },
  }
  for name, case in pairs(cases) do
    it("reads " .. name .. ", wherever the pieces end", function()
      for _, pieces in ipairs(cuts(case[1])) do
        assert.same({ table.unpack(case, 2) }, sse.events(pieces):collect())
      end
    end)
  end

  it("makes an event of many short lines, in the room that they need", function()
    for _, n in ipairs(STRESSED and { 1, 2, 1023, 1025 } or { 1, 2, 1023, 1024, 1025, 2048, 5000 }) do
      local data = {}
      for i = 1, n do data[i] = i % 3 == 0 and "" or tostring(i) end
      local text = "data:" .. table.concat(data, "\ndata:") .. "\n\ndata:next\n\n"
      local events = sse.events({ text }):collect()
      assert.same({ table.concat(data, "\n"), "next" }, { events[1].data, events[2].data })
    end
    local left, piece = STRESSED and 4 or 200, ("data\n"):rep(STRESSED and 1000 or 10000)
    collectgarbage()
    local before, grown = collectgarbage("count"), 0
    local events = sse.events(function()
      left = left - 1
      if left == 0 then
        collectgarbage()
        grown = collectgarbage("count") - before
      end
      return left >= 0 and piece or nil
    end)
    assert.equal(0, events:count())
    assert.is_true(grown < 8 * 1024, "data that ends lines alone takes " .. grown .. " KiB")
  end)

  it("bounds an event", function()
    local list = sse.events(stream.repeating(function() return "data: x\n" end), 1000)
    assert.is_true(rille.is_error(failure(list.next, list), "ETOOBIG"))
  end)

  it("dispatches an event as soon as its blank line is there", function()
    local ch = rille.channel(4)
    local list = sse.events(ch)
    ch:send("data: a\r\n\r")
    assert.equal("a", list:next().data)
    ch:send("\ndata: b\n")
    assert.same({ nil, "timeout" }, { list:next_within(0.001) })
    ch:send("\n")
    assert.equal("b", list:next().data)
    list:close()
  end)

  it("are the events of a response", function()
    local server <close> = http.serve({ port = 0 }, function()
      return { headers = { ["Content-Type"] = "text/event-stream" }, body = "id: 1\ndata: a\n\ndata: b\n\n" }
    end)
    assert.same({ event("a", nil, "1"), event("b", nil, "1") }, http.stream(server.url):events():collect())
  end)
end)
