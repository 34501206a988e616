-- The HTTP client over HTTP/2, against nginx and nghttpd: which version is spoken, connections that are
-- shared, streams that are aborted, paused, reset and lost.
local rille = require "rille"
local authority = require "spec.helper.authority"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nghttpd = require "spec.helper.nghttpd"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"

local failure, has = expect.caught, expect.has

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"
local MANY <const> = STRESSED and 30 or 400
local MIDDLE = ("0123456789abcdef"):rep(4096)
local LARGE <const> = 4 << 20
local FAT = ("x"):rep(3500)

-- $connection counts connections. Heads of /fat are larger than a frame; /cut leads to a server that
-- misbehaves.
local COMMON = [[
  add_header X-Connection $connection always;
  client_max_body_size 16m;
  location /slow { limit_rate 40k; try_files /large =404; }
  location /held { limit_rate 1; try_files /middle =404; }
  location /cut { proxy_buffering off; proxy_pass FAULTS/cut-body; }
  location /lost { proxy_pass FAULTS/stall; }
  location /fat { FAT try_files /small =404; }
]]

local function fill(root)
  nginx.write(root .. "/small", "small")
  nginx.write(root .. "/middle", MIDDLE)
  nginx.write(root .. "/large", MIDDLE:rep(LARGE // #MIDDLE))
  assert(os.execute(("truncate -s 1G %s/giga"):format(root)))
end

local function text_of(faults)
  local fat = {}
  for i = 1, 8 do fat[i] = ("add_header X-Fat-%d %s;"):format(i, FAT) end
  return (COMMON:gsub("%u%u%u+", { FAULTS = faults, FAT = table.concat(fat, " ") }))
end

describe("rille.http over HTTP/2", function()
  local certificates, server, plain, url, old, hasty, faulty

  setup(function()
    certificates = authority.new()
    local faulty_url
    faulty, faulty_url = perl_server "fault_server"
    local text = text_of(faulty_url)
    server, plain = nginx.start(fill, {
      servers = {
        { tls = certificates.localhost, http2 = true, text = text },
        { tls = certificates.localhost, text = text },
        { tls = certificates.localhost, http2 = true, text = text .. "keepalive_requests 20;" },
      },
    })
    url, old, hasty = table.unpack(server.urls)
  end)

  teardown(function()
    server:close()
    faulty:close()
    certificates:close()
  end)

  --- A client that trusts the server, and asks for HTTP/2.
  local function new_client(options)
    options = options or {}
    options.http_version = options.http_version or "auto"
    options.base_url = options.base_url or url
    options.proxy = ""
    options.tls = { ca = certificates.ca }
    return http.client(options)
  end

  local function connection_of(res) return math.tointeger(res.headers["x-connection"]) end

  --- How many connections n requests at a time for a path take.
  local function spread(client, path, n)
    local gets, seen, count = {}, {}, 0
    for i = 1, n do gets[i] = function() return connection_of(client:get(path)) end end
    for _, connection in ipairs(rille.all(gets)) do
      if not seen[connection] then seen[connection], count = true, count + 1 end
    end
    return count
  end

  it("is asked for by http_version, of a client or of a request", function()
    local function version(options, address)
      local client <close> = new_client(options)
      return client:get(address .. "/small").http_version
    end
    assert.same({ "2", "1.1", "1.1" },
      { version({}, url), version({}, old), version({}, plain) })
    assert.same({ "2", "1.1" },
      { version({ http_version = "2" }, url), version({ http_version = "2" }, old) })
    assert.equal("1.1", version({ http_version = "1.1" }, url))
    local options = { tls = { ca = certificates.ca }, proxy = "" }
    assert.equal("1.1", http.get(url .. "/small", options).http_version)
    options.http_version = "auto"
    assert.equal("2", http.get(url .. "/small", options).http_version)
    local client <close> = new_client()
    assert.equal("1.1", client:get("/small", { http_version = "1.1" }).http_version)
    assert.equal("2", client:get("/small").http_version)
    local res <close> = client:stream("/small", { http_version = "1.1" })
    assert.equal("1.1", res.http_version)
  end)

  it("refuses other versions, and all of them once its client is closed", function()
    has(failure(http.client, { http_version = "3" }),
      "bad option 'http_version' ('1.1', 'auto' or '2' expected, got '3')")
    has(failure(http.get, url, { http_version = 2 }),
      "bad option 'http_version' (string expected, got number)")
    local client = new_client()
    assert.equal("1.1", client:get("/small", { http_version = "1.1" }).http_version)
    client:close()
    for _, version in ipairs { "1.1", "auto", "2" } do
      has(failure(client.get, client, "/small", { http_version = version }), "the client is closed")
    end
  end)

  it("shares the cookies of a client with its other versions", function()
    local peer <close> = http.serve({ port = 0 }, function(req)
      return { headers = { ["set-cookie"] = "a=" .. req.path:sub(2) }, body = req.headers.cookie or "none" }
    end)
    local path = os.tmpname()
    local client = http.client { base_url = peer.url, cookies = path, proxy = "" }
    assert.equal("none", client:get("/1"):text())
    assert.equal("a=1", client:get("/2", { http_version = "auto" }):text())
    assert.equal("a=2", client:get("/3", { http_version = "auto" }):text())
    assert.equal("a=3", client:get("/4", { http_version = "auto" }):text())
    assert.equal("a=4", client:get("/5"):text())
    client:close()
    client:close()
    local file <close> = assert(io.open(path))
    os.remove(path)
    has(file:read("a"), "\ta\t5\n")
  end)

  it("has no reason phrase, and headers in lower case that are read as ever", function()
    local client <close> = new_client()
    local res = client:head("/middle")
    assert.same({ 200, "", "HEAD", tostring(#MIDDLE) },
      { res.status, res.reason, res.method, res.headers["Content-Length"] })
    res = client:get("/nothing")
    local err = expect.caught(res.raise_for_status, res)
    assert.same({ "ESTATUS", 404, "", url .. "/nothing" }, { err.code, err.status, err.reason, err.url })
    assert.matches(": status 404$", err.message)
    assert.equal("Not Found", http.get(plain .. "/nothing", { proxy = "" }).reason)
  end)

  it("sends bodies", function()
    local client <close> = new_client()
    assert.equal(405, client:post("/small", { body = MIDDLE }).status) -- nginx reads no upload for a file
    assert.equal("small", client:get("/small"):text())
  end)

  it("sends a body as it comes, and hurts no other", function()
    local _ <close>, there = nghttpd.start(function() end, { tls = certificates.localhost })
    local client <close> = new_client { base_url = there }
    local made, count = 0, LARGE // #MIDDLE
    local source = rille.generator(function()
      for _ = 1, count do
        made = made + 1
        coroutine.yield(MIDDLE)
      end
    end)
    local res <close> = client:stream("/", { method = "POST", body = source() })
    local others = rille.all { function() return client:post("/", { body = "a" }):text() end,
      function() return client:post("/", { body = "b" }):text() end }
    assert.same({ "a", "b" }, others)
    assert.equal("2", res.http_version)
    assert.is_true(res:text() == MIDDLE:rep(count))
    assert.equal(count, made)
  end)

  it("reads heads that are larger than a frame", function()
    local client <close> = new_client()
    for _, res in ipairs(rille.all { function() return client:get("/fat") end,
      function() return client:get("/fat") end }) do
      assert.same({ "small", FAT, FAT }, { res:text(), res.headers["x-fat-1"], res.headers["x-fat-8"] })
    end
    local res <close> = client:stream("/fat")
    assert.same({ FAT, "small" }, { res.headers["x-fat-8"], res:text() })
  end)

  it("shares a connection from the first requests on", function()
    local client <close> = new_client()
    assert.equal(1, spread(client, "/middle", 50))
    local serial <close> = new_client { http_version = "1.1" }
    assert.is_true(spread(serial, "/middle", 8) > 1)
  end)

  it("goes beyond the streams of a connection with another, or waits if it may not", function()
    local client <close> = new_client()
    local limited <close> = new_client { max_connections = 1 }
    local first = { connection_of(client:get("/small")), connection_of(limited:get("/small")) }
    local holders = {}
    for i = 1, 100 do
      holders[i] = rille.spawn(pcall, client.get, client, "/held")
      holders[100 + i] = rille.spawn(pcall, limited.get, limited, "/held")
    end
    expect.turns(3)
    local second = client:get("/small")
    assert.same({ "2", "small" }, { second.http_version, second:text() })
    assert.is_true(connection_of(second) ~= first[1])
    local waiting = rille.spawn(limited.get, limited, "/small")
    expect.turns(20)
    assert.equal("waiting", waiting:status())
    holders[150]:cancel()
    assert.equal(first[2], connection_of(waiting:await()))
    for _, task in ipairs(holders) do task:cancel() end
  end)

  describe("without TLS", function()
    it("is spoken at once", function()
      local peer <close>, address = nghttpd.start(fill)
      local client <close> = new_client { http_version = "2", base_url = address }
      for _ = 1, 3 do
        local res = client:get("/small")
        assert.same({ "2", "small" }, { res.http_version, res:text() })
      end
      assert.equal(MIDDLE, client:post("/echo", { body = MIDDLE }):text())
      local gets = {}
      for i = 1, 20 do gets[i] = function() return client:get("/middle"):text() == MIDDLE end end
      for _, same in ipairs(rille.all(gets)) do assert.is_true(same) end
      local res <close> = client:stream("/middle")
      assert.same({ "2", MIDDLE }, { res.http_version, res:text() })
      assert.is_truthy(peer)
    end)

    it("fails where it is not understood", function()
      local client <close> = new_client { http_version = "2", base_url = plain }
      local err = failure(client.get, client, "/small")
      assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
    end)
  end)

  describe("with a stream that ends early", function()
    --- Requests that are in flight together: f(i) of each of n, and a whole one between each two.
    local function between(client, n, f)
      rille.group(function(group)
        for i = 1, n do
          group:spawn(f, i)
          group:spawn(function()
            for _ = 1, 3 do assert.equal(MIDDLE, client:get("/middle"):text()) end
          end)
        end
      end)
      assert.equal("small", client:get("/small"):text())
    end

    it("leaves the others alone when it is cancelled", function()
      local client <close> = new_client { max_connections = 1 }
      between(client, 20, function(i)
        local err = failure(rille.timeout, 0.001 * i, client.get, client, i % 3 == 0 and "/held" or "/slow")
        assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      end)
    end)

    it("leaves the others alone when its time is over", function()
      local client <close> = new_client { max_connections = 1 }
      between(client, 20, function(i)
        local err = failure(client.get, client, "/slow", { timeout = 0.001 * i })
        assert.same({ "ETIMEDOUT", "total" }, { err.code, err.phase })
      end)
    end)

    it("leaves the others alone when its body is too large", function()
      local client <close> = new_client { max_connections = 1 }
      between(client, 10, function(i)
        local err = failure(client.get, client, "/large", { max_body = 100000 * i })
        assert.equal("ETOOBIG", err.code)
      end)
    end)

    it("leaves the others alone when its upload is cancelled", function()
      local client <close> = new_client { max_connections = 1 }
      local body = ("x"):rep(8 << 20)
      between(client, 10, function(i)
        local err = failure(rille.timeout, 0.001 * i, client.post, client, "/lost", { body = body })
        assert.is_true(rille.is_error(err, "ETIMEDOUT"), tostring(err))
      end)
    end)

    it("raises EPROTO when the server resets it, and leaves the others alone", function()
      local client <close> = new_client { max_connections = 1 }
      between(client, 5, function()
        local err = failure(client.get, client, "/cut")
        assert.same({ "EPROTO", "GET", url .. "/cut" }, { err.code, err.method, err.url })
        has(err, "the server broke off the response (HTTP/2 stream ")
      end)
    end)
  end)

  it("sends a request again that the server refused when it took leave", function()
    local client <close> = new_client { base_url = hasty }
    local seen, count, cancelled = {}, 0, {}
    rille.group(function(group)
      for i = 1, 20 do
        group:spawn(function()
          for _ = 1, 5 do
            local res = client:get("/middle")
            assert.equal(MIDDLE, res:text())
            local connection = connection_of(res)
            if not seen[connection] then seen[connection], count = true, count + 1 end
          end
        end)
        if i % 4 == 0 then cancelled[#cancelled + 1] = rille.spawn(pcall, client.get, client, "/held") end
      end
      expect.turns(20)
      for _, task in ipairs(cancelled) do task:cancel() end
    end)
    assert.is_true(count >= 5, count .. " connections")
  end)

  it("ends each of the requests on a connection that is lost", function()
    local child <close> = nginx.start(fill, {
      servers = { { tls = certificates.localhost, http2 = true, text = text_of("http://127.0.0.1:1") } },
    })
    local client <close> = new_client { base_url = child.urls[1] }
    local results, tasks = {}, {}
    for i = 1, 50 do
      tasks[i] = rille.spawn(function()
        local _, err = pcall(client.get, client, i % 2 == 0 and "/held" or "/slow")
        results[#results + 1] = err
      end)
    end
    assert.equal(1, spread(client, "/small", 1)) -- the others are on their way
    assert(os.execute(("kill -9 $(cat /proc/%d/task/*/children)"):format(child.process:pid())))
    for _, task in ipairs(tasks) do task:await() end
    assert.equal(50, #results)
    for _, err in ipairs(results) do
      assert.is_true(rille.is_error(err, "EPROTO") or rille.is_error(err, "ECONNRESET"), tostring(err))
    end
  end)

  describe("streams a body", function()
    it("on a connection that no other request uses", function()
      local client <close> = new_client()
      assert.equal(1, spread(client, "/middle", 5))
      local res = client:stream("/giga")
      assert.equal("2", res.http_version)
      local seen = { [connection_of(res)] = true }
      for _ = 1, 3 do
        local other = client:get("/middle")
        assert.same({ "2", MIDDLE }, { other.http_version, other:text() })
        assert.is_nil(seen[connection_of(other)])
      end
      res:close()
      assert.equal(1, spread(client, "/middle", 20))
    end)

    it("and gives the connection back, whenever it is left", function()
      local client <close> = new_client { max_connections = 1, timeout = 60 }
      local connection = connection_of(client:get("/small"))
      for i = 0, 12 do
        local res <close> = client:stream("/large")
        for _ in res:chunks() do
          i = i - 1
          if i <= 0 then break end
          rille.sleep(0)
        end
        res:close()
        local next_one = client:get("/middle")
        assert.same({ connection, MIDDLE }, { connection_of(next_one), next_one:text() })
      end
    end)

    it("and pauses as often as its reader does, while others come and go", function()
      local client <close> = new_client { timeout = 60 }
      local want, pauses = 48 << 20, 0
      rille.group(function(group)
        local running = 3
        for _ = 1, 3 do
          group:spawn(function()
            local got, res <close> = 0, client:stream("/giga")
            for chunk in res:chunks() do
              got = got + #chunk
              if #chunk >= 256 * 1024 then pauses = pauses + 1 end
              if got >= want or STRESSED and got >= 4 << 20 then break end
              rille.sleep(0.0005)
            end
            running = running - 1
          end)
        end
        for _ = 1, 3 do
          group:spawn(function()
            while running > 0 do assert.equal(MIDDLE, client:get("/middle"):text()) end
          end)
        end
      end)
      assert.is_true(STRESSED or pauses > 400, pauses .. " pauses")
    end)

    it("in little memory, however large it is", function()
      local code = [[
        local http = require "rille.http"
        local rille = require "rille"
        local client <close> = http.client { http_version = "auto", proxy = "", tls = { ca = arg[2] } }
        local got, res <close> = 0, client:stream(arg[1] .. "/giga")
        for chunk in res:chunks() do
          got = got + #chunk
          if got >= tonumber(arg[3]) then break end
          if got % 7 == 0 then rille.sleep(0.001) end
        end
        for line in io.lines("/proc/self/status") do
          local peak = line:match("^VmHWM:%s+(%d+) kB")
          if peak then print(res.http_version, peak) end
        end
      ]]
      local script = os.tmpname()
      nginx.write(script, code)
      local size = STRESSED and 8 << 20 or 192 << 20
      local result = process.run(process.host(script, url, certificates.ca, size))
      os.remove(script)
      local version, peak = result.stdout:match("^(%S+)\t(%d+)\n$")
      assert.equal("2", version, result.stderr)
      assert.is_true(STRESSED or tonumber(peak) < 32 * 1024, peak .. " kB")
    end)
  end)

  it("ends each of many requests in one way, and no other is hurt", function()
    local client <close> = new_client { timeout = 60 }
    local counts = { response = 0, ETIMEDOUT = 0, ETOOBIG = 0, left = 0 }
    local function note(what) counts[what] = counts[what] + 1 end
    local function outcome(...)
      local ok, value = pcall(...)
      if ok then
        assert.equal(MIDDLE, value:text())
        return note("response")
      end
      note(rille.is_error(value) and counts[value.code] and value.code or error(value, 0))
    end
    local acts = {
      function() outcome(client.get, client, "/middle") end,
      function() outcome(client.get, client, "/slow", { timeout = math.random() / 20 }) end,
      function() outcome(client.get, client, "/middle", { max_body = math.random(1, 2 * #MIDDLE) }) end,
      function() outcome(rille.timeout, math.random() / 50, client.get, client, "/middle") end,
      function() outcome(rille.timeout, math.random() / 50, client.get, client, "/held") end,
      function()
        local res <close> = client:stream("/middle")
        outcome(function() return { text = function() return res:text() end } end)
      end,
      function()
        local stop, res <close> = math.random(1, 20), client:stream("/large")
        for _ in res:chunks() do
          stop = stop - 1
          if stop == 0 then break end
          if stop % 3 == 0 then rille.sleep(0.001) end
        end
        note("left")
      end,
    }
    local left = MANY
    rille.group(function(group)
      for _ = 1, 30 do
        group:spawn(function()
          while left > 0 do
            left = left - 1
            acts[math.random(#acts)]()
          end
        end)
      end
    end)
    local sum = 0
    for _, n in pairs(counts) do sum = sum + n end
    assert.equal(MANY, sum)
    assert.equal(1, spread(client, "/middle", 20))
  end)
end)
