-- Server-Sent Events of a URL: how it is connected to again, where it goes on, and where it ends.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local expect = require "spec.helper.expect"
local http = require "rille.http"
local rille = require "rille"
local script_server = require "spec.helper.script_server"
local sse_parser = require "rille.sse_parser"

local failure = expect.caught
local TYPE = "Content-Type: text/event-stream\r\n"

local function events(text) return script_server.response(text, TYPE) end

-- One that goes on until the connection is closed, or does not end at all.
local function open_ended(text) return "HTTP/1.1 200 OK\r\n" .. TYPE .. "\r\n" .. text end

local CUT = "HTTP/1.1 200 OK\r\n" .. TYPE .. "Content-Length: 100\r\n\r\ndata: 2\n\ndata: half\n"
local GONE = "HTTP/1.1 204 No Content\r\n\r\n"

local function data_of(event) return event.data end

describe("http.events", function()
  local server, clock

  setup(function() server = script_server.start() end)
  teardown(function() server:close() end)
  before_each(function() clock = rille.test.clock() end)
  after_each(function() clock:close() end)

  it("connects again when a response ends, until there is no content", function()
    local url = server:script("a", events "data: 1\n\n", events "data: 2\n\ndata: 3\n\n", GONE)
    local got = {}
    for event in http.events(url) do got[#got + 1] = event.data end
    assert.same({ "1", "2", "3" }, got)
    assert.equal(3, #server:requests("a"))
    assert.same({ "text/event-stream", "text/event-stream", "text/event-stream" }, server:sent("a", "accept"))
    assert.equal("no-store", server:sent("a", "cache-control")[1])
  end)

  it("has the fields of an event", function()
    local url = server:script("a", events ": hi\nid: 7\nevent: add\nretry: 20\ndata: x\ndata: y\n\n", GONE)
    assert.same({ { event = "add", data = "x\ny", id = "7", retry = 0.02 } }, http.events(url):collect())
  end)

  it("says where it goes on", function()
    local url = server:script("a",
      events "id: 1\ndata: a\n\n", -- 1
      events "data: b\n\nid: 2\n\n", -- an id alone counts, and dispatches nothing
      events "id: 3\ndata: cut", -- an event that is cut does not
      events "id\ndata: c\n\n", -- the empty id is none
      events "id: x\0y\ndata: d\n\n", -- NUL: ignored
      events "id: \x01\ndata: e\n\n", -- no header can say that
      GONE)
    local got = {}
    for event in http.events(url) do got[#got + 1] = event.data .. event.id end
    assert.same({ "a1", "b1", "c", "d", "e\x01" }, got)
    assert.same({ "-", "1", "2", "2", "-", "-", "-" }, server:sent("a", "last-event-id"))
  end)

  it("begins where it is told, whatever the headers say", function()
    local headers = { ["last-event-id"] = "old", Accept = "text/event-stream, */*", ["X-Y"] = "z" }
    local list = { { "Last-Event-ID", "old" }, { "ACCEPT", headers.Accept }, { "x-y", "z" } }
    for _, given in ipairs { headers, list } do
      local url = server:script("a", events "id: 2\ndata: a\n\n", GONE)
      assert.equal(1, http.events(url, { last_event_id = "1", headers = given }):count())
      assert.same({ "1", "2" }, server:sent("a", "last-event-id"))
      assert.same({ headers.Accept, headers.Accept }, server:sent("a", "accept"))
      assert.same({ "z", "z" }, server:sent("a", "x-y"))
    end
    local url = server:script("a", GONE)
    assert.equal(0, http.events(url, { headers = headers }):count())
    assert.same({ "old" }, server:sent("a", "last-event-id"))
  end)

  it("waits as long as the server says, or as it is told, and a little more", function()
    local url = server:script("a", events "data: 1\n\n", events "retry: 4000000\n\n", events "retry: no\n\n",
      GONE)
    local start = clock:now() -- whose seconds are real ones, while a request is on its way
    assert.equal(1, http.events(url, { reconnect = { backoff = 1000, max = 2000 } }):count())
    local total = clock:now() - start
    assert.is_true(total >= 9000 and total <= 14000, total) -- 1000, 4000, 4000
    url = server:script("a", events "retry: 0\n\n", events "", GONE)
    start = clock:now()
    assert.equal(0, http.events(url, { reconnect = { backoff = 1000, max = 2000 } }):count())
    assert.is_true(clock:now() - start < 1000)
  end)

  it("connects again when the connection is cut, in the middle of an event too", function()
    local url = server:script("a",
      { "close", open_ended "data: 1\n\n" },
      { "close", CUT },
      { "reset", "" }, { "close", "" }, { "close", "HTTP/1.1 200 OK\r\nCont" },
      events "data: 3\n\n", GONE)
    assert.same({ "1", "2", "3" }, http.events(url):map(data_of):collect())
  end)

  it("connects again when nothing arrives", function()
    clock:close() -- what the other side sees is in real time
    local list = expect.patiently(function(idle)
      local url = server:script("a", { "stall", open_ended "data: 1\n\n" }, events "data: 2\n\n", GONE)
      local options = { timeout = { idle = idle }, reconnect = { backoff = 0 } }
      local stream = http.events(url, options):map(data_of)
      return stream:next() == "1" and stream:collect() -- else the first one came too late
    end)
    assert.same({ "2" }, list)
  end)

  it("waits longer and longer between tries that fail, and gives up", function()
    local spent = {}
    for times = 1, 5 do
      local start = clock:now()
      local err = failure(function()
        local reconnect = { times = times, backoff = 1000, max = 3000 }
        http.events("http://127.0.0.1:1/", { reconnect = reconnect }):next()
      end)
      assert.is_true(rille.is_error(err, "ECONNREFUSED"))
      spent[times] = clock:now() - start
    end
    local least = { 0, 1000, 3000, 6000, 9000 } -- 1000, 2000, 3000, 3000: and up to half of it more
    for times, seconds in ipairs(spent) do
      assert.is_true(seconds >= least[times] and seconds <= 1.5 * least[times] + 100, seconds)
    end
  end)

  it("counts tries in a row only", function()
    local cut = { "close", "HTTP/1.1 200 OK\r\nCont" }
    local url = server:script("a", cut, events "data: 1\n\n", cut, events "data: 2\n\n", cut, cut)
    local stream = http.events(url, { reconnect = { times = 2 } })
    assert.same({ "1", "2" }, { stream:next().data, stream:next().data })
    assert.is_true(rille.is_error(failure(stream.next, stream), "EPROTO"))
    assert.equal(6, #server:requests("a"))
  end)

  it("fails at what is no event stream", function()
    for _, case in ipairs {
      { "ESTATUS", script_server.response("sorry", TYPE, "503 Busy"), "503 Busy" },
      { "ESTATUS", script_server.response("", TYPE, "201 Created"), "201 Created" },
      { "ESTATUS", script_server.response("", TYPE, "304 Not Modified"), "304 Not Modified" },
      { "EPROTO", script_server.response("x", "Content-Type: text/html; charset=x\r\n"),
        'the body is "text/html; charset=x", not text/event-stream' },
      { "EPROTO", script_server.response("x"), "the body is of no type, not text/event-stream" },
      { "EREDIRECT", "HTTP/1.1 302 Found\r\nLocation: file:///x\r\nContent-Length: 0\r\n\r\n" },
    } do
      local url = server:script("a", events "data: 1\n\n", case[2])
      local stream = http.events(url)
      assert.equal("1", stream:next().data)
      local err = failure(stream.next, stream)
      assert.is_true(rille.is_error(err, case[1]), tostring(err))
      if case[3] then assert.equal(("GET %s: %s"):format(url, case[3]), tostring(err)) end
      assert.equal(2, #server:requests("a"))
      assert.equal("failed", stream:status())
    end
  end)

  it("takes parameters of the type, and upper case", function()
    local url = server:script("a", script_server.response("data: 1\n\n",
      "Content-Type: Text/Event-Stream; charset=latin1\r\n"), GONE)
    assert.equal(1, http.events(url):count())
  end)

  it("fails at an event that is too large", function()
    local url = server:script("a", events("data: " .. ("x"):rep(1000) .. "\n\n"))
    local stream = http.events(url, { max_body = 100 })
    assert.is_true(rille.is_error(failure(stream.next, stream), "ETOOBIG"))
    assert.equal(1, #server:requests("a"))
  end)

  it("reads one response alone if it is told to, and of other methods", function()
    for _, options in ipairs { { reconnect = false }, { method = "post", json = { 1 } } } do
      local url = server:script("a", events "data: 1\n\n")
      assert.same({ "1" }, http.events(url, options):map(data_of):collect())
      assert.equal(1, #server:requests("a"))
      url = server:script("a", { "close", "" })
      local stream = http.events(url, options)
      assert.is_true(rille.is_error(failure(stream.next, stream), "EPROTO"))
      url = server:script("a", { "close", CUT })
      stream = http.events(url, options)
      assert.equal("2", stream:next().data)
      assert.is_true(rille.is_error(failure(stream.next, stream), "EPROTO"))
    end
    local url = server:script("a", events "data: 1\n\n", GONE)
    assert.equal(1, http.events(url, { method = "POST", body = "x", reconnect = true }):count())
    assert.matches("^POST ", server:requests("a")[2])
  end)

  it("takes the options of a client", function()
    local url = server:script("a", events "data: 1\n\n", GONE)
    local client <close> = http.client { base_url = server.url, bearer = "t", headers = { ["X-Y"] = "z" } }
    for event in client:events("/a") do assert.equal("1", event.data) end
    assert.same({ "Bearer t", "Bearer t" }, server:sent("a", "authorization"))
    assert.same({ "z", "z" }, server:sent("a", "x-y"))
    server:script("a", events "data: 1\n\n")
    local stream = client:events(url)
    stream:next()
    client:close()
    local err = failure(function() stream:collect() end)
    assert.matches("closed", tostring(err))
  end)

  -- Starts a step of a stream, and waits until the server has the request.
  local function begin(stream, count)
    local reader = rille.spawn(pcall, stream.next, stream)
    assert.is_true(expect.eventually(function() return #server:requests("a") == count end))
    return reader
  end

  it("ends at once when it is closed: while it connects, reads, or waits", function()
    clock:close()
    local stalls = {
      { "stall", "" },
      { "stall", "HTTP/1.1 200 OK\r\n" },
      { "stall", open_ended "data: half" },
      { "stall", open_ended "retry: 100000\ndata: half\n" },
      events "retry: 100000\n\n",
    }
    for _, answer in ipairs(stalls) do
      local url = server:script("a", answer)
      local client <close> = http.client { max_connections = 1 }
      local stream = client:events(url)
      local reader = begin(stream, 1)
      stream:close()
      assert.is_false(reader:await())
      assert.equal("closed", stream:status())
      assert.equal(404, client:get(server.url .. "/none").status, "its place is free")
      stream = client:events(url)
      reader = begin(stream, 2)
      reader:cancel()
      assert.is_true(rille.is_error(failure(reader.await, reader), "ECANCELED"))
      assert.equal(404, client:get(server.url .. "/none").status)
      stream = client:events(url)
      local _, why = stream:next_within(0.02)
      assert.equal("timeout", why)
      stream:close()
      assert.equal(404, client:get(server.url .. "/none").status)
      local err = failure(rille.timeout, 0.02, function() client:events(url):first() end)
      assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    end
  end)

  it("ends when its client is closed while it waits", function()
    clock:close()
    local url = server:script("a", events "retry: 100000\n\n")
    local client = http.client()
    local stream = client:events(url)
    local reader = begin(stream, 1)
    assert.is_true(expect.eventually(function()
      for _, entry in ipairs(rille.tasks()) do
        if entry.task == reader and entry.waits_for == "the next try of a request" then return true end
      end
      return false
    end))
    client:close()
    local ok, err = reader:await()
    assert.is_false(ok)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    assert.equal(("GET %s: the client was closed"):format(url), tostring(err))
  end)

  it("gives its connection back when the loop is left", function()
    local url = server:script("a", { "stall", open_ended "data: 1\n\ndata: 2\n\n" })
    local client <close> = http.client { max_connections = 1 }
    for _ in client:events(url) do break end
    assert.equal(404, client:get(server.url .. "/none").status)
    assert.equal("1", client:events(url):first().data)
    assert.equal(404, client:get(server.url .. "/none").status)
  end)

  it("passes errors of its consumer on, and does not take them for its own", function()
    local url = server:script("a", events "data: 1\n\n")
    local own = failure(http.get, "http://127.0.0.1:1/")
    local stream = http.events(url)
    stream:next()
    assert.equal(own, failure(stream.throw, stream, own))
    assert.equal(own, failure(function()
      for _ in http.events(url) do error(own, 0) end
    end))
    assert.equal(2, #server:requests("a"))
  end)

  it("refuses misuse at the caller's line, and sends nothing", function()
    local url = server:script("a", GONE)
    for what, options in pairs {
      ["bad options %(table expected, got number%)"] = 7,
      ["unknown option 'nonsense'"] = { nonsense = 1 },
      ["bad option 'reconnect' %(boolean or table expected, got number%)"] = { reconnect = 1 },
      ["unknown option 'reconnect.a'"] = { reconnect = { a = 1 } },
      ["bad option 'reconnect.times' %(number expected, got string%)"] = { reconnect = { times = "x" } },
      ["bad option 'reconnect.times' %(out of range%)"] = { reconnect = { times = 0 } },
      ["bad option 'reconnect.max' %(out of range%)"] = { reconnect = { max = -1 } },
      ["bad option 'reconnect.backoff' %(out of range%)"] = { reconnect = { backoff = 0 / 0 } },
      ["bad option 'last_event_id' %(string expected, got number%)"] = { last_event_id = 1 },
      ["bad option 'method' %(string expected, got boolean%)"] = { method = true },
      ["bad option 'headers'"] = { headers = { x = print } },
    } do
      local err = failure(function() http.events(url, options) end)
      assert.matches("^spec/http_events_spec.lua:%d+: " .. what, err)
    end
    assert.matches("bad URL", failure(function() http.events() end))
    assert.same({}, server:requests("a"))
    local options = { reconnect = { times = math.huge } }
    http.events(url, options):close()
    assert.same({ reconnect = { times = math.huge } }, options)
  end)
end)

describe("rille.sse_parser", function()
  it("sets an id at the blank line", function()
    local parser = sse_parser(nil, "0")
    parser:feed("id: 1\ndata: x")
    assert.is_nil(parser:next())
    assert.equal("0", parser.id)
    parser:feed("\n\nid: 2\nretry: 5\n")
    assert.equal("1", parser:next().id)
    assert.is_nil(parser:next())
    assert.same({ "1", 0.005 }, { parser.id, parser.retry })
  end)
end)
