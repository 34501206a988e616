-- Another try of a request: after what, when, how often, and that nothing is left behind.
local backoff = require "rille.backoff"
local expect = require "spec.helper.expect"
local http = require "rille.http"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local rille = require "rille"

local caught, has = expect.caught, expect.has

describe("the option retry of http", function()
  local server, base, answers, seen, faulty, faulty_url

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      seen[#seen + 1] = req.method .. " " .. req.path .. " " .. req:text()
      local answer = answers[#seen] or answers[#answers]
      return type(answer) == "table" and answer or { status = answer, body = "try " .. #seen }
    end)
    base = server.url
    faulty, faulty_url = perl_server "fault_server"
  end)

  teardown(function()
    server:close()
    faulty:close()
  end)

  before_each(function() answers, seen = { 200 }, {} end)

  --- A URL where nobody listens.
  local function refused()
    local gone = http.serve({ port = 0 }, function() return {} end)
    local url = gone.url
    gone:close()
    return url
  end

  --- Calls f, which must take so many seconds of virtual time: those that it waits while nothing is in
  --- flight, and at most the real ones that go by.
  local function takes(seconds, f, ...)
    local clock <close>, began = rille.test.clock(), os.time()
    local result = f(...)
    local past = clock:now() - seconds
    assert.is_true(past > -0.01 and past < os.time() - began + 5, past)
    return result
  end

  it("sends a request again until there is a response worth having", function()
    answers = { 503, 429, 200 }
    local res = http.get(base .. "/a", { retry = { backoff = 0 } })
    assert.same({ 200, "try 3" }, { res.status, res:text() })
    assert.same({ "GET /a ", "GET /a ", "GET /a " }, seen)
    answers, seen = { 502, 504, 200 }, {}
    assert.equal("try 3", http.put(base .. "/b", { body = "text", retry = { backoff = 0 } }):text())
    assert.same({ "PUT /b text", "PUT /b text", "PUT /b text" }, seen)
  end)

  it("gives the last response as it is", function()
    answers = { 503 }
    local res = http.get(base, { retry = { times = 2, backoff = 0 } })
    assert.same({ 503, "try 2" }, { res.status, res:text() })
    assert.equal("ESTATUS", caught(res.raise_for_status, res).code)
    assert.equal(2, #seen)
  end)

  it("sends what it does not name once", function()
    for _, case in ipairs {
      { 500, nil }, { 404, nil }, { 503, { retry = false } }, { 503, { retry = 1 } }, { 503, {} },
      { 503, { retry = { on = { 500 } } } }, { 503, { retry = { on = {} } } },
    } do
      answers, seen = { case[1] }, {}
      assert.equal(case[1], http.get(base, case[2] or { retry = 3 }).status)
      assert.equal(1, #seen)
    end
    answers, seen = { 500, 200 }, {}
    assert.equal(200, http.get(base, { retry = { on = { 500, "ECONNRESET" }, backoff = 0 } }).status)
  end)

  it("sends again only what may be done twice, unless told", function()
    answers = { 503 }
    for _, method in ipairs { "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE" } do
      seen = {}
      http.request { url = base, method = method, retry = { times = 2, backoff = 0 } }
      assert.equal(2, #seen, method)
    end
    for _, method in ipairs { "POST", "PATCH", "REPORT" } do
      seen = {}
      http.request { url = base, method = method, body = "x", retry = { times = 2, backoff = 0 } }
      assert.equal(1, #seen, method)
    end
    seen = {}
    http.post(base, { body = "x", retry = { times = 2, backoff = 0, methods = { "post" } } })
    assert.same({ "POST / x", "POST / x" }, seen)
  end)

  it("raises the last error, with the number of tries and the errors before", function()
    local url = refused()
    local err = caught(http.get, url, { retry = { times = 3, backoff = 0 } })
    assert.same({ "ECONNREFUSED", 3, "GET", 2 }, { err.code, err.tries, err.method, #err.suppressed })
    has(err, "connection refused (3 tries)")
    for _, before in ipairs(err.suppressed) do
      assert.equal("ECONNREFUSED", before.code)
      assert.is_nil(before.tries)
    end
    err = caught(http.get, url, { retry = { times = 2, on = { 503 } } })
    assert.same({ 1 }, { err.tries, err.suppressed })
    assert.is_nil(tostring(err):find("tries", 1, true))
    assert.equal(8, #caught(http.get, url, { retry = { times = 20, backoff = 0 } }).suppressed)
  end)

  it("tries again after a cut before a response, not after one within", function()
    local retry = { times = 2, backoff = 0 }
    local expected = { ["cut-status"] = 2, reset = 2, garbage = 2, ["cut-body"] = 1, ["gzip-25"] = 1 }
    for path, tries in pairs(expected) do
      assert.equal(tries, caught(http.get, faulty_url .. "/" .. path, { retry = retry }).tries, path)
    end
    retry.on = { "EPROTO" }
    assert.equal(2, caught(http.get, faulty_url .. "/cut-body", { retry = retry }).tries)
  end)

  it("tries again after a time-out of one try, not of all", function()
    local options = { timeout = { idle = 0.03 }, retry = { times = 2, backoff = 0 } }
    local err = caught(http.get, faulty_url .. "/stall", options)
    assert.same({ "ETIMEDOUT", "idle", 2 }, { err.code, err.phase, err.tries })
    options = { timeout = 0.03, retry = { times = 2, backoff = 0, on = { "ETIMEDOUT" } } }
    err = caught(http.get, faulty_url .. "/stall", options)
    assert.same({ "ETIMEDOUT", "total", 1 }, { err.code, err.phase, err.tries })
  end)

  it("waits twice as long after each try, up to a maximum", function()
    answers = { 503 }
    local function get(retry) return http.get(base, { retry = retry }).status end
    assert.equal(503, takes(1.5, get, { jitter = false })) -- 0.5 and 1
    assert.equal(503, takes(700, get, { times = 4, backoff = 100, max = 400, jitter = false }))
    assert.equal(503, takes(500, get, { times = 4, backoff = 100, max = 200, jitter = false }))
    assert.equal(503, takes(30, get, { times = 2, backoff = 100, jitter = false }))
    assert.equal(503, takes(0, get, { times = 9, backoff = 0, jitter = false }))
    local after = backoff.doubling(0.5, 30, false)
    assert.same({ 0.5, 1, 2, 16 }, { after(1), after(2), after(3), after(6) })
    assert.same({ 30, 30 }, { after(7), after(1000000) })
  end)

  it("waits anything between nothing and that", function()
    local sum, longest, after = 0, 0, backoff.doubling(10, 30, true)
    for _ = 1, 1000 do
      local seconds = after(2)
      assert.is_true(seconds >= 0 and seconds <= 20)
      sum, longest = sum + seconds, math.max(longest, seconds)
    end
    assert.is_true(sum > 8000 and sum < 12000 and longest > 15)
    answers = { 503 }
    local clock <close> = rille.test.clock()
    http.get(base, { retry = { times = 4, backoff = 1000, max = 1000 } })
    assert.is_true(clock:now() < 2990) -- by default; all of 3000 once in six million runs
  end)

  it("waits as long as a function says", function()
    answers = { 503 }
    local asked = {}
    local function after(tried)
      asked[#asked + 1] = tried
      return tried * 100
    end
    assert.equal(503, takes(300, http.get, base, { retry = { backoff = after } }).status)
    assert.same({ 1, 2 }, asked)
    has(caught(http.get, base, { retry = { backoff = function() return -1 end } }),
      "bad result of the function 'backoff' of 'retry' (seconds out of range)")
  end)

  it("waits as long as Retry-After says, if that is not too long", function()
    local function get(seconds, value, retry)
      seen = {}
      answers = { { status = 503, headers = { ["retry-after"] = value } }, 200 }
      return takes(seconds, http.get, base, { retry = retry or { backoff = 0 } }).status
    end
    assert.equal(200, get(7, "7"))
    assert.equal(200, get(0, "0"))
    assert.equal(200, get(30, "30"))
    assert.equal(503, get(0, "31"))
    assert.equal(200, get(31, "31", { backoff = 0, max = 60 }))
    assert.equal(503, get(0, ("9"):rep(400)))
    assert.equal(200, get(0, "soon"))
    assert.equal(200, get(0, "-50"))
    assert.equal(200, get(20, "10", { backoff = 20, jitter = false }))
    local forms = { "!%a, %d %b %Y %H:%M:%S GMT", "!%A, %d-%b-%y %H:%M:%S GMT", "!%a %b %d %H:%M:%S %Y" }
    for _, form in ipairs(forms) do
      local dated = os.time()
      assert.equal(200, get(98, os.date(form, dated + 100), { backoff = 0, max = 1000 }))
      assert.equal(200, get(0, os.date(form, dated - 100)))
      assert.equal(503, get(0, os.date(form, dated + 100)))
    end
  end)

  it("counts timeout.total over all tries, and begins no wait that would outlast it", function()
    answers = { 503 }
    local retry = { times = 100, backoff = function() return 100 end }
    local res = takes(300, http.get, base, { timeout = 350, retry = retry })
    assert.same({ 503, 4 }, { res.status, #seen })
    answers, seen = { 503 }, {}
    assert.equal(503, takes(0, http.get, base, { timeout = { total = 90 }, retry = retry }).status)
    assert.equal(1, #seen)
  end)

  it("gives a later try what is left of timeout.total", function()
    local reached
    local slow <close> = http.serve({ port = 0 }, function()
      reached = reached + 1
      if reached > 1 then rille.sleep(60) end
      return { status = 503 }
    end)
    local err = expect.patiently(function(total)
      reached = 0
      local options = { timeout = { total = total }, retry = { times = 9, backoff = 0 } }
      local got = caught(http.get, slow.url, options)
      return reached > 1 and got
    end)
    assert.same({ "ETIMEDOUT", "total", 2, 2 }, { err.code, err.phase, err.tries, reached })
    slow:close(0)
  end)

  it("can be cancelled while it waits", function()
    answers = { 503 }
    local task = rille.spawn(http.get, base, { retry = { backoff = 1000, jitter = false } })
    assert.is_true(expect.eventually(function()
      local waiting = #seen == 1 and tostring(task)
      return waiting and waiting:find("the next try of a request", 1, true)
    end))
    task:cancel("enough")
    assert.is_false(pcall(task.await, task))
    assert.equal("cancelled", task:status())
    local clock <close> = rille.test.clock() -- which goes on at once when nothing is in flight
    local err = caught(rille.timeout, 20, http.get, base, { retry = { backoff = 1000, jitter = false } })
    assert.equal("ETIMEDOUT", err.code)
    assert.is_nil(err.tries)
    assert.equal(2, #seen)
    assert.is_true(clock:now() >= 20)
  end)

  it("ends when the client is closed", function()
    answers = { 503 }
    local client <close> = http.client { retry = { backoff = 1000, jitter = false } }
    local task = rille.spawn(function() return caught(client.get, client, base) end)
    assert.is_true(expect.eventually(function() return tostring(task):find("next try", 1, true) end))
    client:close()
    local err = task:await()
    assert.same({ "ECANCELED", "GET", base }, { err.code, err.method, err.url })
    has(caught(client.get, client, base), "the client is closed")
  end)

  it("holds for each of the pages of a list", function()
    local client <close> = http.client { base_url = base, retry = { backoff = 1000, jitter = false } }
    answers = { { status = 200, headers = { link = '</2>; rel="next"' } }, 503 }
    local task = rille.spawn(function()
      return caught(function()
        for _ in client:pages("/1") do end
      end)
    end)
    assert.is_true(expect.eventually(function() return tostring(task):find("next try", 1, true) end))
    client:close()
    assert.equal("ECANCELED", task:await().code)
    assert.same({ "GET /1 ", "GET /2 " }, seen)
  end)

  it("of a client is the default of its requests", function()
    answers = { 503 }
    local client <close> = http.client { base_url = base, retry = { times = 2, backoff = 0 } }
    client:get("/")
    assert.equal(2, #seen)
    client:get("/", { retry = { times = 4, backoff = 0 } })
    assert.equal(6, #seen)
    client:get("/", { retry = false })
    assert.equal(7, #seen)
    client:get("/", { query = { a = 1 } })
    assert.same({ 9, "GET / " }, { #seen, seen[9] })
  end)

  it("sends a streamed request again until its head is in", function()
    answers = { 503, { body = "whole" } }
    assert.equal("whole", http.stream(base, { retry = { backoff = 0 } }):text())
    assert.equal(2, #seen)
    assert.equal("EPROTO", caught(function()
      for _ in http.stream(faulty_url .. "/cut-body", { retry = { on = { "EPROTO" } } }):chunks() do end
    end).code)
    answers, seen = { 503 }, {}
    local last <close> = http.stream(base, { retry = { times = 2, backoff = 0 } })
    assert.same({ 503, "try 2" }, { last.status, last:text() })
  end)

  it("closes the streamed responses that it puts aside", function()
    local done = process.script(([[
      local http = require "rille.http"
      local n = 0
      local server = http.serve({ port = 0 }, function()
        n = n + 1
        return { status = n < 3 and 503 or 200, body = ("x"):rep(n < 3 and 3000000 or 10) }
      end)
      local client <close> = http.client { max_connections = 1 }
      local res = client:stream(server.url, { retry = { backoff = 0 } })
      print(res.status, #res:text())
      collectgarbage() collectgarbage()
      server:close(0)
    ]]))
    assert.same({ "200\t10\n", "" }, { done.stdout, done.stderr })
  end)

  it("closes a streamed response whose back-off raises", function()
    answers = { { status = 503, body = ("x"):rep(3000000) } }
    local client <close> = http.client()
    local function raise() error("no more", 0) end
    assert.equal("no more", caught(client.stream, client, base, { retry = { backoff = raise } }))
    assert.equal(0, client:stats().in_use)
  end)

  it("refuses misuse at the caller's line, and sends nothing", function()
    for _, case in ipairs {
      { "x", "bad option 'retry' (integer or table expected, got string)" },
      { 1.5, "bad option 'retry' (integer or table expected, got number)" },
      { true, "bad option 'retry' (integer or table expected, got boolean)" },
      { 0, "bad option 'retry.times' (out of range)" },
      { { times = 0 }, "bad option 'retry.times' (out of range)" },
      { { times = "3" }, "bad option 'retry.times' (integer expected, got string)" },
      { { tries = 3 }, "unknown option 'retry.tries'" },
      { { backoff = -1 }, "bad option 'retry.backoff' (out of range)" },
      { { backoff = 0 / 0 }, "bad option 'retry.backoff' (out of range)" },
      { { backoff = true }, "bad option 'retry.backoff' (number or function expected, got boolean)" },
      { { max = -1 }, "bad option 'retry.max' (out of range)" },
      { { jitter = 1 }, "bad option 'retry.jitter' (boolean expected, got number)" },
      { { on = 503 }, "bad option 'retry.on' (table expected, got number)" },
      { { on = { 503, 42 } }, "bad option 'retry.on' (item 2 is not a status or a code)" },
      { { on = { "refused" } }, "bad option 'retry.on' (item 1 is not a status or a code)" },
      { { on = { [503] = true } }, "bad option 'retry.on' (list expected)" },
      { { methods = { 1 } }, "bad option 'retry.methods' (item 1 is not a string)" },
    } do
      local err = caught(function() http.get(base, { retry = case[1] }) end)
      has(err, case[2])
      has(err, "http_retry_spec.lua")
      has(caught(function() http.client { retry = case[1] } end), case[2])
    end
    assert.equal(0, #seen)
    has(caught(function() http.get("nowhere\n", { retry = 3 }) end), "bad URL")
  end)
end)
