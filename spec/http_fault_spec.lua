-- The HTTP client against spec/helper/fault_server.pl: cut, reset and stalled at each byte, framing that is
-- wrong or unusual, what never ends, answers that nobody asked for, kept connections that are gone.
local rille = require "rille"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local perl_server = require "spec.helper.perl_server"
local script_server = require "spec.helper.script_server"

local failure, has, eventually = expect.caught, expect.has, expect.eventually

describe("rille.http against a server at fault", function()
  local faulty, base

  setup(function()
    faulty, base = perl_server "fault_server"
  end)

  teardown(function() faulty:close() end)

  --- An error object with one of these codes, in one line.
  local function is_fault(codes, err, path, method)
    assert.is_true(rille.is_error(err), tostring(err))
    assert.truthy((" " .. codes .. " "):find(" " .. err.code .. " ", 1, true), tostring(err))
    has(err, ("%s %s%s"):format(method or "GET", base, path))
    assert.is_nil(tostring(err):find("\n", 1, true))
    return err
  end

  local function fails(codes, path, options)
    return is_fault(codes, failure(http.get, base .. path, options), path)
  end

  local function streamed(path)
    local res <close> = http.stream(base .. path)
    return res:text()
  end

  -- Whole answers whose end can be known, and their bodies.
  local WHOLE = {
    ["/fine"] = "fine", ["/chunks"] = "abcde", ["/interim"] = "abc", ["/folded"] = "", ["/no-content"] = "",
    ["/moved"] = "fine", ["/trailers"] = "abc", ["/coded-deflate"] = '{"name":"pikachu"}',
    ["/length-and-chunks"] = "a",
  }

  --- Calls f(n) with n from 0 on, until it returns true: the whole answer has that many bytes.
  local function each_byte(f)
    for n = 0, 1000 do
      if f(n) then return n end
    end
    error("no end")
  end

  it("takes nothing that is cut for a success, wherever it is cut", function()
    for name, body in pairs(WHOLE) do
      for _, get in ipairs { function(path) return http.get(base .. path):text() end, streamed } do
        local size = each_byte(function(n)
          local path = ("/cut-%d%s"):format(n, name)
          local ok, result = pcall(get, path)
          if not ok then is_fault("EPROTO", result, path) else assert.equal(body, result) end
          return ok
        end)
        assert.is_true(size > 20)
      end
    end
  end)

  it("takes nothing that is reset for a success", function()
    for _, name in ipairs { "/fine", "/chunks", "/interim" } do
      local size = each_byte(function(n) return pcall(http.get, ("%s/cut-%d%s"):format(base, n, name)) end)
      for n = 0, size - 1 do fails("ECONNRESET", ("/reset-%d%s"):format(n, name)) end
    end
  end)

  it("waits no longer than it may, wherever the answer stands still", function()
    local client <close> = http.client()
    for _, name in ipairs { "/chunks", "/interim" } do
      local tasks = {}
      local size = each_byte(function(n) return pcall(http.get, ("%s/cut-%d%s"):format(base, n, name)) end)
      for n = 0, size - 1 do
        local path, timeout = ("/stall-%d%s"):format(n, name), n % 2 == 0 and 0.2 or { idle = 0.2 }
        tasks[n] = rille.spawn(function()
          return is_fault("ETIMEDOUT", failure(client.get, client, base .. path, { timeout = timeout }), path)
        end)
      end
      for n = 0, size - 1 do assert.equal(n % 2 == 0 and "total" or "idle", tasks[n]:await().phase) end
    end
  end)

  it("takes what trickles, as long as it may", function()
    for name, body in pairs(WHOLE) do
      local patient = { timeout = { idle = 60, total = 100 } }
      assert.equal(body, http.get(base .. "/trickle" .. name, patient):text())
    end
    local timeout = { idle = 60, total = 0.05 }
    assert.equal("total", fails("ETIMEDOUT", "/trickle/blocks-1", { timeout = timeout }).phase)
    local res <close> = http.stream(base .. "/trickle/lines")
    local lines = {}
    for line in res:lines() do lines[#lines + 1] = line end
    assert.same({ "one", "two", "three", "", "five", "", "last" }, lines)
  end)

  it("takes no bad framing for a success", function()
    for _, name in ipairs { "chunk-size", "chunk-minus", "chunk-long", "chunk-0x", "chunks-twice",
      "lengths-in-one", "length-plus", "length-hex", "length-empty", "nul-in-header", "status-99",
      "status-1000" } do
      fails("EPROTO", "/" .. name, { timeout = 60 })
    end
    for _, name in ipairs { "bare-lf", "no-reason", "old" } do
      assert.equal("abc", http.get(base .. "/" .. name):text())
    end
    assert.equal("", http.get(base .. "/no-reason").reason)
    assert.equal("1.0", http.get(base .. "/old").http_version)
  end)

  it("bounds what never ends", function()
    for _, name in ipairs { "status", "line", "head", "interim", "body", "chunks", "trailers", "trailer" } do
      fails("ETOOBIG", "/forever-" .. name, { timeout = 60, max_body = 100000 })
    end
    fails("EPROTO", "/forever-size", { timeout = 60 })
    fails("ETIMEDOUT", "/forever-extension", { timeout = 0.1 })
    for _, name in ipairs { "body", "chunks" } do
      local res <close> = http.stream(base .. "/forever-" .. name, { timeout = 60 })
      local size = 0
      for chunk in res:chunks() do
        size = size + #chunk
        if size > 100000 then break end
      end
      assert.is_true(size > 100000)
    end
    for _, name in ipairs { "trailers", "trailer" } do
      local res <close> = http.stream(base .. "/forever-" .. name, { timeout = 60 })
      is_fault("ETOOBIG", failure(res.text, res), "/forever-" .. name)
    end
  end)

  it("follows as many redirects as it may", function()
    has(fails("EREDIRECT", "/redirects-100000"), "too many redirects")
    local res = http.get(base .. "/redirects-1000", { max_redirects = 1000 })
    assert.same({ "fine", 1000 }, { res:text(), #res.redirects })
    assert.equal(base .. "/redirects-1000", res.redirects[1])
    assert.equal(base .. "/redirects-1", res.redirects[1000])
    fails("EREDIRECT", "/redirects-1001", { max_redirects = 1000 })
    has(fails("ETOOBIG", "/redirects-100000", { max_redirects = 100000 }), "headers of all redirects")
  end)

  it("takes nothing for an answer that it has not asked for", function()
    for _, name in ipairs { "/extra", "/extra-chunks", "/extra-nothing", "/extra-late", "/gone-late" } do
      local client <close> = http.client()
      for _ = 1, 5 do
        assert.not_equal("evil", client:get(base .. name):text())
        http.get(base .. "/go")
        rille.sleep(0)
        assert.equal("fine", client:get(base .. "/fine"):text())
        assert.equal("abcde", client:get(base .. "/chunks"):text())
      end
    end
  end)

  it("asks again when a kept connection ends without an answer", function()
    for _, method in ipairs { "GET", "HEAD", "PUT", "DELETE", "OPTIONS" } do
      local client <close> = http.client()
      local before = tonumber(http.get(base .. "/hits/fine"):text())
      for _ = 1, 3 do
        assert.equal(200, client:request { method = method, url = base .. "/once/fine" }.status)
      end
      assert.equal(before + 5, tonumber(http.get(base .. "/hits/fine"):text()))
    end
    for _, method in ipairs { "POST", "PATCH", "LOCK" } do -- which may have been carried out
      local client <close> = http.client()
      local before = tonumber(http.get(base .. "/hits/fine"):text())
      assert.equal(200, client:request { method = method, url = base .. "/once/fine" }.status)
      local err = failure(client.request, client, { method = method, url = base .. "/once/fine" })
      is_fault("EPROTO", err, "/once/fine", method)
      has(err, "the request may have arrived")
      assert.equal(before + 2, tonumber(http.get(base .. "/hits/fine"):text()))
    end
    -- A new connection that ends without an answer is a failure.
    local before = tonumber(http.get(base .. "/hits/nothing"):text())
    local client <close> = http.client()
    is_fault("EPROTO", failure(client.get, client, base .. "/once/nothing"), "/once/nothing")
    assert.equal(before + 1, tonumber(http.get(base .. "/hits/nothing"):text()))
  end)

  it("gives up an upload that nobody takes", function()
    local body = ("x"):rep(24 << 20)
    local client <close> = http.client()
    for phase, timeout in pairs { total = 0.05, idle = { idle = 0.05 } } do
      local err = failure(client.put, client, base .. "/deaf", { body = body, timeout = timeout })
      assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      assert.same({ phase, "PUT" }, { err.phase, err.method })
    end
    local task = rille.spawn(client.put, client, base .. "/deaf", { body = body })
    expect.until_waiting(task)
    task:cancel()
    assert.is_true(rille.is_error(failure(task.await, task), "ECANCELED"))
    local err = failure(client.put, client, base .. "/reset", { body = body })
    assert.is_true(rille.is_error(err, "ECONNRESET"), tostring(err))
    assert.equal("fine", client:get(base .. "/fine"):text())
  end)

  it("reads headers in pieces without end, in the room that they need", function()
    local server = script_server.start()
    local tail = "Content-Length: 0\r\n\r\n"
    local folded = server:script("folded",
      "HTTP/1.1 200 OK\r\nX:  a \r\n" .. (" b\r\n\t \r\n\tc:d \r\n"):rep(3000) .. tail)
    local repeated = server:script("repeated", "HTTP/1.1 200 OK\r\n" .. ("X: ab\r\n"):rep(9000) .. tail)
    for url, value in pairs {
      [folded] = "a" .. (" b c:d"):rep(3000), [repeated] = ("ab, "):rep(8999) .. "ab",
    } do
      local res = http.get(url)
      collectgarbage()
      collectgarbage("stop")
      local before = collectgarbage("count")
      local got = res.headers.X
      local grown = collectgarbage("count") - before
      collectgarbage("restart")
      assert.equal(value, got)
      assert.is_true(grown < 4096, "it took " .. grown .. " KiB")
    end
    server:close()
  end)

  -- libcurl 7.88 writes such a line behind the last header of its handle, which it has freed.
  it("refuses a head that begins with a folded line", function()
    local server = script_server.start()
    local fine = server:script("fine", script_server.response("", "X: " .. ("y"):rep(100) .. "\r\n"))
    local folded = server:script("folded",
      "HTTP/1.1 200 OK\r\n  x: y\r\nX: y\r\nContent-Length: 0\r\n\r\n")
    local client <close> = http.client()
    for _ = 1, 50 do
      assert.equal(200, client:get(fine).status)
      local err = failure(client.get, client, folded)
      assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
      has(err, "a header is not valid")
      client:stream(fine):close()
    end
    server:close()
  end)

  it("leaves no connection behind, whatever the fault was", function()
    local function open()
      local client <close> = http.client()
      return tonumber(client:get(base .. "/count"):text():match("open=(%d+)"))
    end
    local before = open()
    do
      local client <close> = http.client { max_connections = 3 }
      local tasks = {}
      for i = 1, 60 do
        local path = ({ "/cut-60/chunks", "/reset-30/fine", "/stall-50/chunks", "/extra", "/forever-head",
          "/trickle/fine", "/once/fine", "/chunk-size" })[i % 8 + 1]
        tasks[i] = rille.spawn(pcall, client.get, client, base .. path, { timeout = 0.3 })
      end
      for i = 1, 60 do tasks[i]:await() end
      assert.equal("fine", client:get(base .. "/fine", { timeout = 60 }):text())
    end
    assert.is_true(eventually(function() return open() <= before end))
  end)
end)
