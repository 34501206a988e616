-- Request bodies of the HTTP client that are sent as they come: what arrives, how far the source is advanced,
-- and that the source is closed whatever becomes of the request.
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local httpbin = require "spec.helper.httpbin"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"
local proxy = require "spec.helper.proxy"
local resident = require "spec.helper.resident"
local rille = require "rille"
local stream = require "rille.stream"

local caught, eventually, has = expect.caught, expect.eventually, expect.has
local patiently, same_object = expect.patiently, expect.same_object

local BLOCK <const> = ("0123456789abcde\n"):rep(1024) -- 16 KiB
local HELD <const> = 8 * 1024 * 1024 -- more than a peer that reads nothing can make us send

describe("a request body that comes bit by bit", function()
  local server, base, log

  setup(function()
    server, base = perl_server "upload_server"
  end)

  teardown(function() server:close() end)

  before_each(function() log = { taken = 0, closed = 0 } end)

  --- A generator of n items; notes how many were taken, and its end. `wait` is called before each.
  local function items(n, item, wait)
    return (rille.generator(function()
      local _ <close> = expect.closer(function() log.closed = log.closed + 1 end)
      for i = 1, n do
        if wait then wait(i) end
        log.taken = i
        coroutine.yield(item or ("item %d;"):format(i))
      end
    end)())
  end

  --- Waits for an item that does not come.
  local function stuck_after(n)
    return function(i) if i > n then rille.sleep(60) end end
  end

  local function post(path, options) return http.post(base .. path, options) end

  local function text(body) return post("/text", { body = body }):text() end

  describe("is made of", function()
    it("a generator, a generator function, a stream and an iterator function", function()
      local count = 0
      local function iterate()
        count = count + 1
        return count <= 3 and tostring(count) or nil
      end
      assert.equal("item 1;item 2;", text(items(2)))
      assert.equal("xy", text(rille.generator(function()
        coroutine.yield("x")
        coroutine.yield("y")
      end)))
      assert.equal("1,2,3,", text(stream.range(1, 3):map(function(i) return i .. "," end)))
      assert.equal("123", text(iterate))
      assert.equal("ab", text(coroutine.wrap(function()
        coroutine.yield("a")
        coroutine.yield("b")
      end)))
      assert.equal(1, log.closed)
    end)

    it("a streamed response: its pieces", function()
      local res = http.stream(base .. "/text", { method = "POST", body = "abc" })
      assert.equal("abc", text(res))
      has(caught(post, "/text", { body = res }), "is read by 'chunks' already")
    end)

    it("a list of strings, whose length is known", function()
      local list = { "a", "", "bc" }
      has(post("/body", { body = list }):text(), "POST length 3 3 900150983cd24fb0d6963f7d28e17f72")
      assert.equal("", text({}))
    end)

    it("a file, from where it is to its end; it is closed", function()
      local path = os.tmpname()
      local file <close> = assert(io.open(path, "w+"))
      file:write("abcdef")
      file:seek("set", 3)
      assert.equal("def", text(file))
      assert.equal("closed file", io.type(file))
      has(post("/body", { body = io.open(path) }):text(), "POST length 6 6 e80b5017098950fc58aad83c8c14978e")
      os.remove(path)
    end)

    it("a pipe, of which no length is known", function()
      local pipe = io.popen("printf abc")
      has(post("/body", { body = pipe }):text(), "POST chunked 3 ")
    end)

    it("strings of any size: empty ones are skipped, large ones sent in parts", function()
      local large = BLOCK:rep(100)
      assert.is_true(text({ "", "a", "", large, "b" }) == "a" .. large .. "b")
      assert.is_true(text(stream.from { "", "a", "", large, "b" }) == "a" .. large .. "b")
      assert.equal("", text(stream.from { "" }))
      assert.equal("a\0b\r\n0\r\n\r\n", text(stream.from { "a\0b", "\r\n0\r\n\r\n" }))
    end)

    it("strings only: another item ends the request", function()
      has(caught(text, stream.from { "a", 5 }),
        "bad item in the body of a request (string expected, got number)")
      has(caught(text, stream.from { "a", false }), "string expected, got boolean")
    end)

    it("nothing else, which is misuse", function()
      local where = expect.here():gsub(":.*", "")
      for _, body in ipairs { 5, true, { "a", 5 }, { a = "b" } } do
        local err = caught(text, body)
        has(err, "bad option 'body'")
        has(err, where)
      end
      local file = assert(io.open("/dev/null"))
      file:close()
      has(caught(text, file), "got closed file")
      has(caught(http.head, base, { body = items(1) }), "a HEAD request cannot have a body")
      has(caught(post, "/text", { body = {}, json = 1 }), "bad options (more than one of")
    end)
  end)

  describe("is sent", function()
    it("in chunks, or with the length that was said", function()
      has(post("/body", { body = items(100, BLOCK) }):text(), ("POST chunked %d "):format(100 * #BLOCK))
      has(post("/body", { body = items(10, BLOCK), length = 10 * #BLOCK }):text(),
        ("POST length %d %d "):format(10 * #BLOCK, 10 * #BLOCK))
      has(http.put(base .. "/body", { body = items(2, "x") }):text(), "PUT chunked 2 ")
      has(http.delete(base .. "/body", { body = items(2, "x") }):text(), "DELETE chunked 2 ")
    end)

    it("with the headers of the request, and no type of its own", function()
      local bin <close>, url = httpbin.start()
      assert.is_truthy(bin)
      local seen = http.put(url .. "/put", { body = items(2), headers = { a = "b" } }):json()
      assert.equal("item 1;item 2;", seen.data)
      assert.same({ "b", nil, "chunked" }, {
        seen.headers.A, seen.headers["Content-Type"], seen.headers["Transfer-Encoding"],
      })
    end)

    it("as the peer takes it: the source is not advanced for one that reads nothing", function()
      local done
      local body = items(2 * HELD // #BLOCK, BLOCK)
      local task = rille.spawn(function() done = post("/hold", { body = body }) end)
      local before, calm = -1, 0
      assert.is_true(eventually(function()
        calm = log.taken == before and log.taken > 0 and calm + 1 or 0
        before = log.taken
        return calm > 20
      end))
      assert.is_true(log.taken < HELD // #BLOCK, log.taken)
      assert.is_nil(done)
      http.get(base .. "/go")
      task:await()
      has(done:text(), ("POST chunked %d "):format(2 * HELD))
      assert.same({ taken = 2 * HELD // #BLOCK, closed = 1 }, log)
    end)

    it("as it comes: nothing waits for more", function()
      local gate = expect.new_gate()
      local res <close> = http.stream(base .. "/echo", {
        method = "POST", body = items(2, "abc", function(i) if i == 2 then gate.wait() end end),
      })
      local chunks = res:chunks()
      assert.equal("abc", chunks())
      assert.equal(1, log.taken)
      gate.open()
      assert.equal("abc", chunks())
      assert.is_nil(chunks())
    end)

    it("with flat memory", function()
      local n = os.getenv("RILLE_SPEC_GC") == "stress" and 200 or 4000
      collectgarbage()
      local before, most = resident(), 0
      local body = items(n, BLOCK, function() most = math.max(most, resident()) end)
      has(post("/body", { body = body }):text(), ("POST chunked %d "):format(n * #BLOCK))
      assert.is_true(most - before < 16 * 1024 * 1024, most - before)
    end)

    it("not at all if there is no connection", function()
      local err = caught(http.post, "http://127.0.0.1:1/", { body = items(1) })
      assert.is_true(rille.is_error(err, "ECONNREFUSED"))
      assert.same({ taken = 0, closed = 0 }, log)
    end)

    it("after a permission if Expect asks for one", function()
      local headers = { Expect = "100-continue" }
      has(post("/permit", { body = items(3), headers = headers }):text(), "POST chunked 21 ")
      has(post("/permit", { body = "abc", headers = headers }):text(), "POST length 3 3 ")
      assert.equal(403, post("/forbid", { body = items(3), headers = headers }).status)
      assert.equal(3, log.taken)
    end)

    it("without Expect if that was refused with 417", function()
      local headers = { Expect = "100-continue" }
      has(post("/fail-417", { body = items(3), headers = headers }):text(), "POST chunked 21 ")
      has(post("/fail-417", { body = "abc", headers = headers }):text(), "POST length 3 3 ")
      local res = post("/fail-417-close", { body = items(3), headers = headers })
      assert.same({ 417, "no" }, { res.status, res:text() })
      assert.equal(1, log.closed)
    end)
  end)

  describe("with a length", function()
    local function failure(n, length)
      local err = caught(post, "/body", { body = items(n, "abc"), length = length })
      assert.is_true(rille.is_error(err, "ELENGTH"), tostring(err))
      assert.same({ "POST", base .. "/body" }, { err.method, err.url })
      assert.equal(1, log.closed)
      return err
    end

    it("must not be shorter", function()
      has(failure(2, 7), "the request's body is shorter than its length")
    end)

    it("must not be longer", function()
      has(failure(3, 8), "the request's body is longer than its length")
    end)

    it("takes one that is an integer, of a body that comes bit by bit", function()
      has(caught(post, "/text", { body = items(1), length = "7" }),
        "bad option 'length' (integer expected, got string)")
      has(caught(post, "/text", { body = items(1), length = -1 }), "bad option 'length' (out of range)")
      has(caught(post, "/text", { body = "abc", length = 3 }),
        "bad option 'length' (that of the body is known)")
      has(caught(post, "/text", { json = 1, length = 3 }), "bad option 'length'")
    end)
  end)

  describe("whose source fails", function()
    local function failing(err)
      return rille.generator(function()
        local _ <close> = expect.closer(function() log.closed = log.closed + 1 end)
        coroutine.yield("abc")
        error(err, 0)
      end)
    end

    it("ends the request with the same error, and its story", function()
      local left = tonumber(http.get(base .. "/left"):text())
      local err = {}
      same_object(err, caught(post, "/body", { body = failing(err) }))
      assert.equal(1, log.closed)
      local story = rille.traceback(caught(post, "/body", { body = failing("broken") }))
      has(story, "broken")
      has(story, "advanced by task 'the body of a request'")
      assert.is_true(eventually(function() return tonumber(http.get(base .. "/left"):text()) == left + 2 end))
    end)

    it("raises it at the next read of a response that has begun, after what came", function()
      local gate = expect.new_gate()
      local err = {}
      local res <close> = http.stream(base .. "/echo", { method = "POST", body = rille.generator(function()
        coroutine.yield("abc")
        gate.wait()
        error(err)
      end) })
      local chunks = res:chunks()
      assert.equal("abc", chunks())
      gate.open()
      same_object(err, caught(chunks))
      has(caught(res.text, res), "the response is closed")
    end)

    it("raises it from http.stream if no response has begun", function()
      local err = {}
      same_object(err, caught(http.stream, base .. "/body", { method = "POST", body = failing(err) }))
    end)

    it("in its cleanup fails the request, too", function()
      local err = caught(post, "/refuse", { body = rille.generator(function()
        local _ <close> = expect.closer(function() error("broken cleanup", 0) end)
        coroutine.yield("abc")
        rille.sleep(60)
      end) })
      assert.equal("broken cleanup", err)
    end)
  end)

  describe("that the server does not want to its end", function()
    it("ends with the response: the source is closed while it waits", function()
      for _, path in ipairs { "/refuse", "/refuse-keep", "/early", "/early-chunks" } do
        log = { taken = 0, closed = 0 }
        local res = post(path, { body = items(10, "abc", stuck_after(2)) })
        assert.equal(path:find("refuse") and "too large" or "enough", res:text())
        assert.equal(path:find("refuse") and 413 or 200, res.status)
        assert.is_true(log.taken <= 2)
        assert.equal(log.taken > 0 and 1 or 0, log.closed)
      end
    end)

    it("ends with the response: the source is closed while the peer takes nothing", function()
      for _, path in ipairs { "/refuse-keep", "/early", "/early-chunks" } do
        log = { taken = 0, closed = 0 }
        local res = post(path, { body = items(math.huge, BLOCK) })
        assert.equal(path == "/refuse-keep" and 413 or 200, res.status)
        assert.equal(log.taken > 0 and 1 or 0, log.closed)
      end
    end)

    it("ends with a streamed response, when that is read", function()
      local body = items(10, "abc", stuck_after(2))
      local res <close> = http.stream(base .. "/early", { method = "POST", body = body })
      assert.equal("enough", res:text())
      assert.equal(log.taken > 0 and 1 or 0, log.closed)
    end)

    it("fails if the connection is reset", function()
      local err = caught(post, "/cut-100000", { body = items(math.huge, BLOCK) })
      assert.is_true(rille.is_error(err, "ECONNRESET"), tostring(err))
      assert.equal(1, log.closed)
    end)
  end)

  describe("is sent once", function()
    it("so a redirect that asks for it again is an error", function()
      for _, status in ipairs { 307, 308 } do
        local err = caught(post, "/moved-" .. status, { body = items(3) })
        assert.is_true(rille.is_error(err, "EREDIRECT"), tostring(err))
        has(err, "the redirect asks for the request's body again, and a stream is sent once")
      end
      assert.equal(2, log.closed)
      local err = caught(http.put, base .. "/moved-302", { body = items(3) })
      assert.is_true(rille.is_error(err, "EREDIRECT"), tostring(err))
    end)

    it("so a connection that fails with a part of it is an error", function()
      local client <close> = http.client { max_connections = 1 }
      local options = { body = { "abc" } }
      assert.equal(200, client:post(base .. "/once", options).status)
      local err = caught(client.post, client, base .. "/once", { body = items(3) })
      assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
      has(err, "a stream is sent once")
      assert.equal(1, log.closed)
    end)

    it("but follows a redirect that does not ask for it", function()
      for _, path in ipairs { "/moved-303", "/moved-302", "/moved-301" } do
        has(post(path, { body = items(3) }):text(), "GET length 0 0 ")
      end
      assert.equal(3, log.closed)
    end)

    it("but a list and a string are sent again", function()
      local client <close> = http.client { max_connections = 1 }
      local list = { BLOCK, BLOCK }
      local once = (" length %d %d "):format(#BLOCK, #BLOCK)
      local twice = (" length %d %d "):format(2 * #BLOCK, 2 * #BLOCK)
      for _ = 1, 2 do has(client:put(base .. "/once", { body = list }):text(), "PUT" .. twice) end
      for _, path in ipairs { "/moved-307", "/moved-307-early" } do
        local url = base .. path
        has(client:post(url, { body = list }):text(), "POST" .. twice)
        has(client:put(url, { body = list }):text(), "PUT" .. twice)
        has(client:post(url, { body = BLOCK, progress = function() end }):text(), "POST" .. once)
      end
    end)
  end)

  describe("of a request that is tried again", function()
    local busy, tries

    setup(function()
      busy = http.serve({}, function(req)
        tries = tries + 1
        return { status = tries < 3 and 503 or 200, body = req:text() }
      end)
    end)

    teardown(function() busy:close() end)

    before_each(function() tries = 0 end)

    local function put(body)
      local res = http.put(busy.url, { body = body, retry = { times = 3, backoff = 0 } })
      return res
    end

    it("is sent again if it is a list or a string", function()
      assert.equal("abc", put({ "a", "bc" }):text())
      assert.equal(3, tries)
      assert.equal("abc", http.put(busy.url, { body = "abc", progress = function() end, retry = 3 }):text())
    end)

    it("is not sent again if it is a stream", function()
      assert.equal(503, put(items(3)).status)
      assert.equal(1, tries)
      assert.equal(1, log.closed)
    end)

    it("is closed if no try was made", function()
      local client <close> = http.client { rate = 0.001 }
      assert.equal(503, client:get(busy.url).status)
      local body = items(3)
      body:next()
      local err = caught(client.post, client, busy.url, { body = body, timeout = 0.01 })
      assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      assert.same({ taken = 1, closed = 1 }, log)
    end)
  end)

  describe("that is cancelled", function()
    --- Cancels a request in a task once `ready` says so; its cleanup is waited for.
    local function cancel(path, body, ready, streamed)
      local task = rille.spawn(pcall, function()
        if not streamed then return post(path, { body = body }) end
        local res <close> = http.stream(base .. path, { method = "POST", body = body })
        return res:text()
      end)
      assert.is_true(eventually(ready))
      task:cancel()
      local ok, done = pcall(task.await, task)
      assert.is_true(not ok or done == false)
    end

    local function slow_cleanup(n, item)
      return rille.generator(function()
        local _ <close> = expect.closer(function()
          rille.sleep(0.002)
          log.closed = log.closed + 1
        end)
        for i = 1, n do
          log.taken = i
          coroutine.yield(item or "abc")
        end
        rille.sleep(60)
      end)
    end

    for _, streamed in ipairs { false, true } do
      local how = streamed and " (http.stream)" or ""

      it("while the source waits, runs the source's cleanup first" .. how, function()
        cancel("/body", slow_cleanup(2), function() return log.taken == 2 end, streamed)
        assert.equal(1, log.closed)
      end)

      it("while the peer takes nothing, does so, too" .. how, function()
        local before, calm = 0, 0
        cancel("/hold", slow_cleanup(math.huge, BLOCK), function()
          calm = log.taken > 0 and log.taken == before and calm + 1 or 0
          before = log.taken
          return calm > 5
        end, streamed)
        assert.equal(1, log.closed)
      end)
    end

    it("while a response is read, does so, too", function()
      cancel("/echo", slow_cleanup(2), function() return log.taken == 2 end, true)
      assert.equal(1, log.closed)
    end)

    it("before it has begun, begins nothing", function()
      local task = rille.spawn(pcall, post, "/body", { body = items(1) })
      task:cancel()
      pcall(task.await, task)
      assert.same({ taken = 0, closed = 0 }, log)
    end)

    --- Calls f with a patience that grows until the source has begun.
    local function time_out(f)
      local patience = 0.02
      repeat
        patience = 2 * patience
        local err = caught(f, patience)
        assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      until log.taken > 0
      assert.equal(1, log.closed)
    end

    it("by a time-out of the request closes the source", function()
      time_out(function(patience) post("/body", { body = slow_cleanup(2), timeout = patience }) end)
    end)

    it("by a time-out around it closes the source", function()
      time_out(function(patience) rille.timeout(patience, post, "/body", { body = slow_cleanup(2) }) end)
    end)

    it("by closing the client closes the source", function()
      local client <close> = http.client()
      local task = rille.spawn(pcall, client.post, client, base .. "/body", { body = slow_cleanup(2) })
      assert.is_true(eventually(function() return log.taken == 2 end))
      client:close()
      local ok, err = task:await()
      assert.is_false(ok)
      assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
      assert.equal(1, log.closed)
    end)

    it("though its source waits for the connection that it holds", function()
      local client <close> = http.client { max_connections = 1 }
      local body = rille.generator(function()
        log.taken = 1
        coroutine.yield(client:get(base .. "/seen"):text())
      end)
      local task = rille.spawn(pcall, client.post, client, base .. "/body", { body = body })
      assert.is_true(eventually(function() return log.taken == 1 end))
      expect.turns(5)
      assert.equal("waiting", task:status())
      task:cancel()
      caught(task.await, task)
    end)
  end)

  it("may be made of other requests of the client", function()
    local body = rille.generator(function()
      for i = 1, 3 do coroutine.yield(text({ i .. ";" })) end
    end)
    assert.equal("1;2;3;", text(body))
  end)

  it("does not count as idle while its source is waited for", function()
    local got = patiently(function(idle)
      local body = items(2, "abc", function()
        for _ = 1, 3 do rille.sleep(idle / 2) end
      end)
      return post("/text", { body = body, timeout = { idle = idle } }):text()
    end)
    assert.equal("abcabc", got)
  end)

  it("does not count as idle while nobody reads the response", function()
    local size = patiently(function(idle)
      local res <close> = http.stream(base .. "/echo", {
        method = "POST", timeout = { idle = idle }, body = items(400, BLOCK, function() rille.sleep(0) end),
      })
      local size, before = 0, -1
      for piece in res:chunks() do
        size = size + #piece
        while size == #piece and before ~= log.taken do -- until all is full
          before = log.taken
          for _ = 1, 3 do rille.sleep(idle / 2) end
        end
      end
      return size
    end)
    assert.equal(400 * #BLOCK, size)
  end)

  it("is idle if the peer takes nothing", function()
    patiently(function(idle)
      log.taken, log.closed = 0, 0
      local err = caught(post, "/hold", { body = items(math.huge, BLOCK), timeout = { idle = idle } })
      assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      assert.equal("idle", err.phase)
      return log.taken > 0 -- else it was over before the source had begun
    end)
    assert.equal(1, log.closed)
  end)

  describe("progress", function()
    it("is told of what was sent, and of all in all", function()
      local seen = {}
      local function progress(sent, total) seen[#seen + 1] = { sent, total } end
      local size = 100 * #BLOCK
      post("/body", { body = BLOCK:rep(100), progress = progress })
      local before = 0
      for _, now in ipairs(seen) do
        assert.is_true(now[1] > before)
        assert.equal(size, now[2])
        before = now[1]
      end
      assert.equal(size, before)
      assert.is_true(#seen > 3)
      seen = {}
      post("/body", { body = items(3), progress = progress })
      assert.same({ 21 }, seen[#seen])
      seen = {}
      post("/body", { json = {}, progress = progress })
      assert.same({ 2, 2 }, seen[#seen])
    end)

    it("begins again with a body that is sent again", function()
      local last = {}
      post("/moved-307", { body = { BLOCK, BLOCK }, progress = function(sent) last[#last + 1] = sent end })
      local ends = 0
      for _, sent in ipairs(last) do ends = ends + (sent == 2 * #BLOCK and 1 or 0) end
      assert.equal(2, ends)
    end)

    it("may end the request with an error", function()
      local err = {}
      local function progress() error(err) end
      same_object(err, caught(post, "/body", { body = items(math.huge, BLOCK), progress = progress }))
      assert.equal(1, log.closed)
    end)

    it("is a function", function()
      has(caught(post, "/body", { body = "a", progress = 1 }),
        "bad option 'progress' (function expected, got number)")
      has(caught(post, "/body", { progress = print }), "bad option 'progress' (it is that of")
    end)
  end)

  describe("of a streamed response", function()
    it("goes on while that is read", function()
      local res <close> = http.stream(base .. "/echo", { method = "POST", body = items(200, BLOCK) })
      assert.equal(200 * #BLOCK, #res:text())
      assert.equal(1, log.closed)
    end)

    it("may be made of what that answers", function()
      local answers = rille.channel()
      local res <close> = http.stream(base .. "/echo", { method = "POST", body = rille.generator(function()
        local said = "a"
        for _ = 1, 5 do
          coroutine.yield(said)
          said = answers:recv() .. "b"
        end
      end) })
      local heard = {}
      for chunk in res:chunks() do
        heard[#heard + 1] = chunk
        answers:send(chunk)
      end
      assert.same({ "a", "ab", "abb", "abbb", "abbbb" }, heard)
    end)

    it("ends when that is closed, left or dropped", function()
      local function open()
        return http.stream(base .. "/echo", { method = "POST", body = items(10, "abc", stuck_after(2)) })
      end
      open():close()
      assert.equal(1, log.closed)
      for _ in open():chunks() do break end -- luacheck: ignore 512
      assert.equal(2, log.closed)
      do local _ <close> = open() end
      assert.equal(3, log.closed)
      rille.test.may_leak()
      open()
      assert.is_true(eventually(function()
        collectgarbage()
        return log.closed == 4
      end))
    end)

    it("may be closed from within its source", function()
      local res
      res = http.stream(base .. "/echo", { method = "POST", body = items(10, "abc", function(i)
        if i < 3 then return end
        assert.is_true(eventually(function() return res end))
        res:close()
        rille.sleep(60)
      end) })
      has(caught(function() for _ in res:chunks() do rille.sleep(0) end end), "closed")
      res:close()
      assert.equal(1, log.closed)
    end)
  end)

  describe("over TLS, and through proxies", function()
    local ca, front, secure

    setup(function()
      ca = authority.new()
      local directives = ("location / { proxy_pass %s; proxy_http_version 1.1; proxy_request_buffering off; "
        .. "client_max_body_size 0; }"):format(base)
      front = nginx.start(function() end, { servers = {
        { tls = ca.localhost, text = directives },
        { tls = ca.localhost, http2 = true, text = "location /text { return 200 enough; } "
          .. "location /none { return 204; } location /echo { client_max_body_size 0; } " },
      } })
      secure = front.urls[1]
    end)

    teardown(function()
      front:close()
      ca:close()
    end)

    local function post_secure(path, body, more)
      local options = { body = body, tls = { ca = ca.ca } }
      for name, value in pairs(more or {}) do options[name] = value end
      return http.post(secure .. path, options)
    end

    it("arrives as it was sent", function()
      has(post_secure("/body", items(100, BLOCK)):text(), (" %d "):format(100 * #BLOCK))
      has(post_secure("/body", { BLOCK, BLOCK }):text(), (" %d "):format(2 * #BLOCK))
      local res <close> = http.stream(secure .. "/body", {
        method = "POST", body = items(100, BLOCK), tls = { ca = ca.ca },
      })
      has(res:text(), (" %d "):format(100 * #BLOCK))
    end)

    it("ends with an early response", function()
      assert.equal(413, post_secure("/refuse", items(10, "abc", stuck_after(2))).status)
      assert.equal(log.taken > 0 and 1 or 0, log.closed)
    end)

    it("ends with an early response over HTTP/2", function()
      local function posted(n)
        return { http_version = "auto", tls = { ca = ca.ca }, body = items(n, BLOCK, stuck_after(5)) }
      end
      for _, n in ipairs { 5, 10 } do -- the body ends, but there is no room for all of it; or waits
        local url = front.urls[2]
        assert.equal("enough", http.post(url .. "/text", posted(n)):text())
        assert.equal(204, http.post(url .. "/none", posted(n)).status)
        local streamed = posted(n)
        streamed.method = "POST"
        local res <close> = http.stream(url .. "/text", streamed)
        assert.equal("2", res.http_version)
        assert.equal("enough", res:text())
      end
    end)

    it("fails and is cancelled as without", function()
      local err = {}
      same_object(err, caught(post_secure, "/body", rille.generator(function()
        coroutine.yield("abc")
        error(err)
      end)))
      caught(rille.timeout, 0.05, post_secure, "/body", items(10, "abc", stuck_after(2)))
      assert.equal(log.taken > 0 and 1 or 0, log.closed)
    end)

    it("passes a proxy and its tunnel", function()
      local running <close>, url = proxy.http()
      assert.is_truthy(running)
      local plain = post("/body", { body = items(100, BLOCK), proxy = url })
      has(plain:text(), (" %d "):format(100 * #BLOCK))
      has(post_secure("/body", items(100, BLOCK), { proxy = url }):text(), (" %d "):format(100 * #BLOCK))
      local other <close>, address = proxy.socks()
      assert.is_truthy(other)
      local socks = post("/body", { body = items(9, BLOCK), proxy = "socks5://" .. address })
      has(socks:text(), (" %d "):format(9 * #BLOCK))
    end)
  end)
end)
