-- The connections of a client: client:stats(), and slots that are given back however a request ends.
local rille = require "rille"
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"

local eventually, failure, has, here = expect.eventually, expect.caught, expect.has, expect.here

describe("client:stats", function()
  local faulty, base

  setup(function()
    faulty, base = perl_server "fault_server"
  end)

  teardown(function() faulty:close() end)

  local function new_client(options)
    options = options or {}
    options.proxy, options.base_url = "", options.base_url or base
    return http.client(options)
  end

  --- The numbers: open, in use, idle, waiting, and of holders.
  local function numbers(client)
    local stats = client:stats()
    assert.equal(stats.open, stats.in_use + stats.idle)
    return { stats.open, stats.in_use, stats.idle, stats.waiting, #stats.holders }
  end

  --- Waits until the only holder does this.
  local function until_it_is(client, state)
    assert.is_true(eventually(function()
      local holder = client:stats().holders[1]
      return holder ~= nil and holder.state == state
    end), state)
  end

  it("counts connections from the first to the last", function()
    local client = new_client()
    assert.same({ 0, 0, 0, 0, 0 }, numbers(client))
    client:get("/fine")
    assert.same({ 1, 0, 1, 0, 0 }, numbers(client))
    local res = client:stream("/gate")
    assert.same({ 1, 1, 0, 0, 1 }, numbers(client))
    client:get("/fine")
    assert.same({ 2, 1, 1, 0, 1 }, numbers(client))
    res:close()
    assert.same({ 1, 0, 1, 0, 0 }, numbers(client))
    client:close()
    assert.same({ 0, 0, 0, 0, 0 }, numbers(client))
    has(failure(client.get, client, "/fine"), "the client is closed")
  end)

  it("tells who waits for a connection, and who has it, of each version of HTTP", function()
    for _, version in ipairs { "1.1", "auto" } do
      local client <close> = new_client { max_connections = 2, http_version = version }
      local tasks = {}
      local options = { http_version = "1.1" }
      for i = 1, 5 do tasks[i] = rille.spawn(pcall, client.get, client, "/stall", options) end
      assert.is_true(eventually(function() return client:stats().waiting == 3 end))
      assert.same({ 2, 2, 0, 3, 2 }, numbers(client))
      tasks[3]:cancel()
      assert.same({ 2, 2, 0, 2, 2 }, numbers(client))
      for i = 1, 5 do tasks[i]:cancel() end
      assert.same({ 0, 0, 0, 0, 0 }, numbers(client))
    end
  end)

  it("shows a forgotten response, and where it was opened", function()
    local client <close> = new_client { max_connections = 1 }
    local address = base:gsub("//", "//user:secret@") .. "/blocks-100"
    local res, place = client:stream(address), here()
    local waiting = rille.spawn(client.get, client, "/fine")
    until_it_is(client, "paused")
    assert.is_true(eventually(function() return client:stats().waiting == 1 end))
    assert.same({ 1, 1, 0, 1, 1 }, numbers(client))
    local holder = client:stats().holders[1]
    assert.same({ "GET", (address:gsub("secret", "***")), place, "paused" },
      { holder.method, holder.url, holder.where, holder.state })
    assert.is_true(holder.since > 0 and holder.since < 60)
    res:close()
    assert.equal("fine", waiting:await():text())
    assert.same({ 1, 0, 1, 0, 0 }, numbers(client))
  end)

  it("shows where a request was made, also inside of a generator", function()
    local client <close> = new_client()
    local place
    local bodies = rille.generator(function()
      place = here():gsub("%d+$", function(line) return math.tointeger(line) + 1 end)
      coroutine.yield(client:get("/stall"))
    end)
    local task = rille.spawn(function() for _ in bodies() do error("not reached") end end)
    until_it_is(client, "waiting")
    local holder = client:stats().holders[1]
    assert.same({ "GET", base .. "/stall", place }, { holder.method, holder.url, holder.where })
    task:cancel()
    assert.same({ 0, 0, 0, 0, 0 }, numbers(client))
  end)

  it("says what each holder is doing", function()
    local client <close> = new_client()
    local function doing(state, f, ...)
      local task = rille.spawn(pcall, f, ...)
      until_it_is(client, state)
      task:cancel()
    end
    doing("connecting", client.get, client, (base:gsub("^http", "https")) .. "/stall")
    doing("sending", client.post, client, "/stall", { body = ("x"):rep(32 << 20) })
    doing("waiting", client.put, client, "/stall", { body = "x" })
    doing("receiving", client.get, client, "/stall-body")
    doing("receiving", client.stream, client, "/stall-head")
  end)

  it("follows redirects to another connection", function()
    local server <close> = http.serve({ port = 0 }, function() rille.sleep(60) end)
    local first <close> = http.serve({ port = 0 }, function()
      return { status = 302, headers = { location = server.url .. "/held" } }
    end)
    local client <close> = new_client { base_url = first.url, max_per_host = 1 }
    local task = rille.spawn(pcall, client.get, client, "/moved")
    assert.is_true(eventually(function()
      local holder = client:stats().holders[1]
      return holder ~= nil and holder.url == server.url .. "/held"
    end))
    assert.same({ 2, 1, 1, 0, 1 }, numbers(client))
    task:cancel()
  end)

  it("counts those that wait for the rate, or before another try, until they are given up", function()
    for _, options in ipairs {
      { rate = 0.001 }, { retry = { on = { 200 }, backoff = 1000, jitter = false, max = 1000 } },
    } do
      local client <close> = new_client(options)
      local tasks = {}
      if options.rate then client:get("/fine") end
      for i = 1, 3 do tasks[i] = rille.spawn(pcall, client.get, client, "/fine") end
      assert.is_true(eventually(function() return client:stats().waiting == 3 end))
      assert.equal(0, client:stats().in_use)
      tasks[2]:cancel()
      assert.is_true(eventually(function() return client:stats().waiting == 2 end))
      client:close()
      assert.is_true(eventually(function() return client:stats().waiting == 0 end))
    end
  end)

  it("adds up the connections of all versions of HTTP, and knows those that are shared", function()
    local certificates <close> = authority.new()
    local server <close> = nginx.start(function(root)
      nginx.write(root .. "/small", "small")
      assert(os.execute(("truncate -s 10M %s/large"):format(root)))
    end, {
      servers = { { tls = certificates.localhost, http2 = true, text = "limit_rate 20k;" } },
    })
    local client <close> = new_client {
      base_url = server.urls[1], tls = { ca = certificates.ca }, http_version = "auto",
    }
    client:get("/small")
    client:get("/small", { http_version = "1.1" })
    assert.same({ 2, 0, 2, 0, 0 }, numbers(client))
    local tasks = {}
    for i = 1, 20 do tasks[i] = rille.spawn(pcall, client.get, client, "/large") end
    assert.is_true(eventually(function() return #client:stats().holders == 20 end))
    assert.same({ 2, 1, 1, 0, 20 }, numbers(client))
    local res <close> = client:stream("/large")
    assert.is_true(eventually(function() return #client:stats().holders == 21 end))
    assert.same({ 3, 2, 1, 0, 21 }, numbers(client))
    assert.equal("2", res.http_version)
    for _, task in ipairs(tasks) do task:cancel() end
    assert.same({ 3, 1, 2, 0, 1 }, numbers(client))
  end)

  describe("shows that a slot is given back at once", function()
    --- Ends a request with f, and makes another one on the only connection that there may be.
    local function ends(f)
      local client <close> = new_client { max_connections = 1, timeout = { total = 60 } }
      for _ = 1, 2 do
        f(client)
        local stats = client:stats()
        assert.same({ 0, 0, 0 }, { stats.in_use, stats.waiting, #stats.holders })
        assert.equal("fine", client:get("/fine"):text())
      end
    end

    for _, path in ipairs { "/blocks-100", "/gate" } do
      it("by a break, of " .. path, function()
        ends(function(client)
          for chunk in client:stream(path):chunks() do if #chunk > 0 then break end end
        end)
      end)

      it("by an error in a loop, of " .. path, function()
        ends(function(client)
          assert.equal("stop", failure(function()
            for _ in client:stream(path):chunks() do error("stop", 0) end
          end))
        end)
      end)

      it("by the end of a block, of " .. path, function()
        ends(function(client)
          local res <close> = client:stream(path)
          assert.equal(200, res.status)
          res:close()
        end)
      end)

      it("by collection, of " .. path, function()
        warn("@off")
        rille.test.may_leak()
        ends(function(client)
          do
            local res = client:stream(path)
            assert.equal(200, res.status)
          end
          collectgarbage()
          collectgarbage()
        end)
        warn("@on")
      end)
    end

    it("by a time-out, total or idle, before the head or after it", function()
      ends(function(client)
        for _, path in ipairs { "/stall", "/stall-head", "/stall-body" } do
          for _, phase in ipairs { "total", "idle" } do
            local err = failure(client.get, client, path, { timeout = { [phase] = 0.02 } })
            assert.same({ "ETIMEDOUT", phase }, { err.code, err.phase })
            local stats = client:stats()
            assert.same({ 0, 0 }, { stats.open, #stats.holders })
          end
        end
        expect.patiently(function(idle)
          local res <close> = client:stream("/gate", { timeout = { idle = idle } })
          assert.equal("idle", failure(res.text, res).phase)
          return true
        end)
      end)
    end)

    it("by a cancelled task, a lost race and a time limit", function()
      for _, path in ipairs { "/stall", "/stall-head", "/stall-body" } do
        ends(function(client)
          local task = rille.spawn(pcall, client.get, client, path)
          assert.is_true(eventually(function() return #client:stats().holders == 1 end))
          task:cancel()
          assert.equal(0, #client:stats().holders) -- without a turn of the loop
          assert.equal("b", (rille.race {
            a = function() client:get(path) end,
            b = function() rille.sleep(0.01) end,
          }))
          local err = failure(rille.timeout, 0.01, client.get, client, path)
          assert.equal("ETIMEDOUT", err.code)
        end)
      end
    end)

    it("by what the world does", function()
      for _, path in ipairs { "/reset", "/cut-head", "/cut-body", "/garbage", "/gzip-bad", "/two-lengths" } do
        ends(function(client) assert.is_true(rille.is_error(failure(client.get, client, path)), path) end)
      end
      ends(function(client)
        assert.equal("ETOOBIG", failure(client.get, client, "/endless-body", { max_body = 1000 }).code)
      end)
    end)

    it("to one that waits, when the holder and the first that waits are cancelled together", function()
      local client <close> = new_client { max_connections = 1 }
      local tasks = {}
      for i = 1, 3 do tasks[i] = rille.spawn(pcall, client.get, client, "/stall") end
      local last = rille.spawn(client.get, client, "/fine")
      assert.is_true(eventually(function() return client:stats().waiting == 3 end))
      for i = 1, 3 do tasks[i]:cancel() end
      assert.equal("fine", last:await():text())
    end)
  end)
end)
