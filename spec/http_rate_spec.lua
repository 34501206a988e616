-- The rate of a client: when requests begin, in which order, and what a wait that is given up leaves behind.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local rille = require "rille"

local caught, has = expect.caught, expect.has

describe("the option rate of an http client", function()
  local server, base, seen, clock, status

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      seen[#seen + 1] = { path = req.path, at = clock and clock:now() or 0 }
      return { status = status, body = "fine" }
    end)
    base = server.url
  end)

  teardown(function() server:close() end)

  before_each(function() seen, clock, status = {}, nil, 200 end)

  local function paths()
    local list = {}
    for i, request in ipairs(seen) do list[i] = request.path end
    return table.concat(list, " ")
  end

  --- What came, in virtual seconds, which a slow program makes a few more.
  local function came_at(...)
    for i, expected in ipairs { ... } do
      local late = seen[i].at - expected
      assert.is_true(late > -0.01 and late < 5, ("%d: %g"):format(i, seen[i].at))
    end
    assert.equal(select("#", ...), #seen)
  end

  --- Spawns a request, and lets it begin to wait.
  local function spawn(client, path, options)
    local task = rille.spawn(client.get, client, path, options)
    expect.turns(2)
    return task
  end

  it("begins that many requests a second, first come first served", function()
    local client <close> = http.client { base_url = base, rate = 0.01 }
    local open <close> = rille.test.clock()
    clock = open
    local fns = {}
    for i = 1, 5 do fns[i] = function() return client:get("/" .. i) end end
    rille.all(fns)
    assert.equal("/1 /2 /3 /4 /5", paths())
    came_at(0, 100, 200, 300, 400)
  end)

  it("saves nothing up while nobody asks", function()
    local client <close> = http.client { base_url = base, rate = 0.01 }
    local open <close> = rille.test.clock()
    clock = open
    client:get("/")
    rille.sleep(1000)
    client:get("/")
    client:get("/")
    rille.sleep(150)
    client:get("/")
    came_at(0, 1000, 1100, 1250)
  end)

  it("holds for each client by itself", function()
    local one <close> = http.client { base_url = base, rate = 0.01 }
    local two <close> = http.client { base_url = base, rate = 0.02 }
    local open <close> = rille.test.clock()
    clock = open
    rille.all {
      function() for _ = 1, 2 do one:get("/one") end end,
      function() for _ = 1, 3 do two:get("/two") end end,
      function() http.get(base .. "/three") end,
    }
    came_at(0, 0, 0, 50, 100, 100)
  end)

  it("counts streamed requests and the tries of a request", function()
    local client <close> = http.client { base_url = base, rate = 0.01, retry = { times = 3, backoff = 0 } }
    local open <close> = rille.test.clock()
    clock = open
    client:stream("/"):close()
    status = 503
    assert.equal(503, client:get("/").status)
    came_at(0, 100, 200, 300)
  end)

  it("gives the place of a wait that was given up to the next one", function()
    local client <close> = http.client { base_url = base, rate = 0.01 }
    local open <close> = rille.test.clock()
    clock = open
    client:get("/0")
    local tasks = {}
    for i = 1, 4 do tasks[i] = spawn(client, "/" .. i) end
    has(tostring(tasks[1]), "the rate of the client")
    has(tostring(tasks[2]), "the rate of the client")
    tasks[1]:cancel()
    tasks[3]:cancel()
    tasks[2]:await()
    tasks[4]:await()
    assert.equal("/0 /2 /4", paths())
    came_at(0, 100, 200)
    local last = spawn(client, "/5")
    last:cancel()
    assert.is_false(pcall(last.await, last))
    rille.sleep(0)
    client:get("/6")
    came_at(0, 100, 200, 300)
  end)

  it("lets timeout.total end a wait", function()
    local client <close> = http.client { base_url = base:gsub("//", "//ash:secret@"), rate = 0.001 }
    local open <close> = rille.test.clock()
    clock = open
    client:get("/0")
    local row = spawn(client, "/1")
    local behind = spawn(client, "/2", { timeout = 10 })
    local err = caught(behind.await, behind)
    assert.same({ "ETIMEDOUT", "total", "GET" }, { err.code, err.phase, err.method })
    has(err, "//ash:***@")
    assert.is_nil((tostring(err) .. err.url):find("secret", 1, true))
    row:cancel()
    err = caught(client.get, client, "/3", { timeout = { total = 20 }, retry = 3 })
    assert.same({ "ETIMEDOUT", "total", 0 }, { err.code, err.phase, err.tries })
    assert.equal("/0", paths())
    assert.equal(200, client:get("/4", { timeout = 2000 }).status)
    came_at(0, 1000)
  end)

  it("ends every wait when the client is closed", function()
    local client <close> = http.client { base_url = base, rate = 0.001 }
    client:get("/0")
    local tasks = {}
    for i = 1, 3 do tasks[i] = rille.spawn(function() return caught(client.get, client, "/" .. i) end) end
    expect.turns(2)
    client:close()
    for i = 1, 3 do
      local err = tasks[i]:await()
      assert.same({ "ECANCELED", base .. "/" .. i }, { err.code, err.url })
    end
    has(caught(client.get, client, "/4"), "the client is closed")
    assert.equal("/0", paths())
  end)

  it("may be large", function()
    local client <close> = http.client { base_url = base, rate = 100000 }
    local fns = {}
    for i = 1, 200 do fns[i] = function() return client:get("/").status end end
    assert.equal(200, #rille.all(fns, { n = 20 }))
    assert.equal(200, #seen)
  end)

  it("refuses misuse at the caller's line", function()
    for _, case in ipairs {
      { "5", "bad option 'rate' (number expected, got string)" },
      { 0, "bad option 'rate' (out of range)" },
      { -1, "bad option 'rate' (out of range)" },
      { 0 / 0, "bad option 'rate' (out of range)" },
      { math.huge, "bad option 'rate' (out of range)" },
    } do
      local err = caught(function() http.client { rate = case[1] } end)
      has(err, case[2])
      has(err, "http_rate_spec.lua")
    end
    has(caught(function() http.get(base, { rate = 1 }) end),
      "unknown option 'rate' (it is an option of http.client)")
  end)
end)
