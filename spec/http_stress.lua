-- Random requests to a server that misbehaves (spec/helper/fault_server.pl), cancelled, timed out and given
-- up in random ways. Each must end in exactly one of: a response, an error object of a code that is known
-- here, a cancellation. At the end nothing is left: no task, libuv handle, deadline, file descriptor, and no
-- connection that the server still has. It ends with the line "N requests" and status 0 if that is so.
-- usage: rille spec/http_stress.lua URL [requests [seed]]
package.path = "./?.lua;" .. package.path

local http = require "rille.http"
local rille = require "rille"
local task = require "rille.host.task"
local descriptors = require "spec.helper.descriptors"
local new_random = require "spec.helper.stress.random"

local DRIVERS <const> = 32 -- tasks that send one request after the other
local PATIENCE <const> = 30000 -- turns for what is under way at the end

warn("@off") -- responses are dropped on purpose

local base = assert(arg[1], "usage: rille spec/http_stress.lua URL [requests [seed]]")
local total = tonumber(arg[2] or 100000)
local seed = math.tointeger(arg[3]) or os.time() ~ math.random(0)
local random = new_random(seed)
print("seed " .. seed)

-- What the server can do wrong, and what goes well, as often.
local PATHS <const> = {
  "/nothing", "/reset", "/reset-body", "/cut-status", "/cut-line", "/cut-head", "/cut-interim",
  "/cut-redirect", "/cut-body", "/cut-chunk", "/cut-last-chunk", "/bad-chunk", "/garbage", "/bad-status",
  "/no-colon", "/two-lengths", "/bad-length", "/huge-length", "/large-length", "/unknown-coding",
  "/upgrade", "/until-close", "/interim", "/trailers", "/close", "/stall", "/stall-head", "/stall-body",
  "/endless-head", "/endless-body", "/cut-late", "/cut-late-chunk", "/bad-late-chunk", "/no-content",
  "/not-modified", "/moved", "/elsewhere", "/nowhere", "/to-refused", "/gzip-all", "/gzip-10",
  "/gzip-rest", "/gzip-bad", "/coded-bomb", "/coded-deflate", "/gzip-cut-blocks-10", "/lines",
  "/fine", "/fine", "/fine", "/fine", "/fine", "/fine", "/fine", "/fine", "/blocks-1", "/blocks-20",
  "/gzip-blocks-40",
}

-- Codes that a request may end with.
local CODES <const> = {}
for code in ("ECANCELED ECONNREFUSED ECONNRESET EPROTO EREDIRECT ETIMEDOUT ETOOBIG"):gmatch("%S+") do
  CODES[code] = true
end

local begun, ended, outcomes, codes = 0, 0, {}, {}

-- One request's record: it ends once.
local function begin()
  begun = begun + 1
  local record = { id = begun }
  function record.finish(outcome)
    assert(not record.outcome, "a request has ended twice")
    record.outcome = outcome
    ended = ended + 1
    outcomes[outcome] = (outcomes[outcome] or 0) + 1
  end
  return record
end

local function fail(record, err)
  if not rille.is_error(err) then error(("request %d: %s"):format(record.id, tostring(err)), 0) end
  if not CODES[err.code] then error(("request %d: %s: %s"):format(record.id, err.code, err.message), 0) end
  codes[err.code] = (codes[err.code] or 0) + 1
  record.finish("error")
end

-- Clients, of which some are closed in mid-flight. ------------------------------------------------

local clients = {}

local function new_client()
  return http.client {
    base_url = base,
    max_connections = random:one_in(3) and random:upto(4) or nil,
    max_per_host = random:one_in(3) and random:upto(4) or nil,
    timeout = { total = 0.5, idle = random:one_in(2) and 0.05 or nil },
    max_body = 5000000,
  }
end

local function any_client()
  local i = random:upto(6)
  if clients[i] and random:one_in(400) then
    clients[i]:close()
    clients[i] = nil
  elseif clients[i] and random:one_in(400) then
    clients[i] = nil -- dropped
  end
  clients[i] = clients[i] or new_client()
  return clients[i]
end

-- Ways to send a request. Each returns a string, what the request gave, or raises. ------------------

local OPTIONS <const> = {
  function() return nil end,
  function() return { timeout = random:upto(20) / 1000 } end,
  function() return { timeout = { idle = random:upto(20) / 1000 } } end,
  function() return { max_body = random:upto(20) } end,
  function() return { follow = false } end,
  function() return { headers = { Connection = "close" } } end,
  function() return { decompress = false } end,
}

local function options() return random:pick(OPTIONS)() end
local function path() return random:pick(PATHS) end

local function buffered(client)
  local res = client:get(path(), options())
  return res.status
end

local function posted(client)
  return client:post(path(), { body = ("x"):rep(random:upto(100000)), timeout = 0.2 }).status
end

-- Bodies that come bit by bit, from a source that may fail. Every source that begins must end.
local sources, SOURCE_FAILED <const> = 0, {}

local body_of = rille.generator(function()
  sources = sources + 1
  local _ <close> = setmetatable({}, { __close = function() sources = sources - 1 end })
  for _ = 1, random:upto(20) do
    if random:one_in(40) then error(SOURCE_FAILED, 0) end
    if random:one_in(4) then rille.sleep(random:upto(3) / 1000) end
    coroutine.yield(("y"):rep(random:upto(30000)))
  end
end)

local function uploaded(client)
  local ok, res = pcall(client.post, client, path(), { body = body_of(), timeout = 0.2 })
  if not ok and res == SOURCE_FAILED then return 0 end
  if not ok then error(res, 0) end
  return res.status
end

local function uploaded_and_read(client)
  local ok, res = pcall(client.stream, client, path(), { method = "PUT", body = body_of(), timeout = 0.2 })
  if not ok and res == SOURCE_FAILED then return 0 end
  if not ok then error(res, 0) end
  local _ <close> = res
  local read, err = pcall(function() for _ in res:chunks() do rille.sleep(0) end end)
  if not read and err ~= SOURCE_FAILED then error(err, 0) end
  return res.status
end

local function in_parts(client)
  local parts = { { name = "a", value = "b" }, { name = "file", path = arg[0] } }
  return client:post(path(), { multipart = parts, timeout = 0.2 }).status
end

local function tried_again(client)
  local retry = { times = 3, backoff = 0.002, on = { "EPROTO", "ECONNRESET", "ETIMEDOUT", 404 } }
  return client:get(path(), { retry = retry, timeout = { total = 0.2, idle = 0.02 } }).status
end

-- Reads some of a body, and leaves the rest in one of several ways.
local function streamed(client)
  local res <close> = client:stream(path(), options())
  local want = random:upto(4)
  for _ in res:chunks() do
    want = want - 1
    if want == 0 then break end
    if random:one_in(8) then rille.sleep(random:upto(5) / 1000) end
  end
  return res.status
end

local function unread(client)
  local res <close> = client:stream(path(), options())
  return res.status
end

local function dropped(client)
  return client:stream(path(), options()).status
end

local function in_lines(client)
  local res <close> = client:stream(path(), options())
  local n = 0
  for _ in res:lines() do
    n = n + 1
    if n == 20 then break end
  end
  return res.status
end

-- The response is closed by another task while this one reads.
local function closed_from_outside(client)
  local res <close> = client:stream(path(), options())
  local closer = rille.spawn(function()
    rille.sleep(random:upto(5) / 1000)
    res:close()
  end)
  local ok, err = pcall(function()
    local chunks <close> = res:chunks()
    repeat until not chunks()
  end)
  closer:await()
  if not ok and type(err) ~= "string" then error(err, 0) end
  return res.status
end

local WAYS <const> = {
  buffered, buffered, buffered, posted, streamed, streamed, unread, dropped, in_lines, closed_from_outside,
  uploaded, uploaded_and_read, in_parts, tried_again,
}

-- Ways to end a request from outside. ---------------------------------------------------------------

local function plainly(record, send)
  local ok, err = pcall(send)
  if ok then record.finish("response") else fail(record, err) end
end

local function cancelled(record, send)
  local sender = rille.spawn(function()
    local result <const> = table.pack(pcall(send))
    return result[1], result[2]
  end)
  rille.sleep(random:upto(10) / 1000 - 0.001)
  sender:cancel()
  local alive, ok, err = pcall(sender.await, sender)
  if not alive then
    if not rille.is_error(ok, "ECANCELED") then error(ok, 0) end
    record.finish("cancelled")
  elseif ok then
    record.finish("response")
  else
    fail(record, err)
  end
end

local function timed_out(record, send)
  local ok, err = pcall(rille.timeout, random:upto(10) / 1000, send)
  if ok then record.finish("response") else fail(record, err) end
end

local function raced(record, send)
  local ok, key = pcall(rille.race, {
    request = send,
    clock = function() rille.sleep(random:upto(10) / 1000) end,
  })
  if not ok then fail(record, key)
  elseif key == "request" then record.finish("response")
  else record.finish("cancelled") end
end

local function failed_beside(record, send)
  local token <const> = {}
  local done
  local ok, err = pcall(rille.group, function(group)
    group:spawn(function()
      send()
      done = true
    end)
    rille.sleep(random:upto(10) / 1000)
    if not done then error(token, 0) end
  end)
  if ok or done then record.finish("response")
  elseif err == token then record.finish("cancelled")
  else fail(record, err) end
end

local ENDS <const> = { plainly, plainly, plainly, cancelled, timed_out, raced, failed_beside }

-- The run -------------------------------------------------------------------------------------------

local function memory()
  local file <close> = assert(io.open("/proc/self/status"))
  return tonumber(file:read("a"):match("VmRSS:%s*(%d+)"))
end

local function drive()
  while begun < total do
    local record = begin()
    local way = random:pick(WAYS)
    random:pick(ENDS)(record, function() return way(any_client()) end)
    if not record.outcome then error(("request %d has no outcome"):format(record.id), 0) end
  end
end

local function wait_for(what, done)
  for _ = 1, PATIENCE do
    if done() then return end
    collectgarbage()
    rille.sleep(0.002)
  end
  for _, t in ipairs(rille.tasks()) do print(t.name, t.state, t.waits_for) end
  error(what, 0)
end

-- Files that are open and handles of libuv once one client was used: the runtime keeps some.
http.client { base_url = base }:close()
local files, handles = descriptors.open(), task.handles()

local drivers = {}
for i = 1, DRIVERS do drivers[i] = rille.spawn(drive) end
for _, driver in ipairs(drivers) do driver:await() end

for _, client in pairs(clients) do
  wait_for("a request has its connection still", function()
    local stats = client:stats()
    return stats.in_use == 0 and stats.waiting == 0 and #stats.holders == 0
  end)
  client:close()
end
clients = {}
wait_for("a task is left", function() return task.count() == 1 end)
wait_for("a handle of libuv is left", function() return task.handles() == handles end)
wait_for("a deadline is left", function() return select(2, task.handles()) == 0 end)
wait_for("a file is left open", function() return #descriptors.since(files) == 0 end)
do
  local client <close> = http.client { base_url = base }
  wait_for("the server has a connection left", function()
    return client:get("/count"):text():match("open=(%d+)") == "1"
  end)
end

assert(begun == ended, "a request has no outcome")
assert(sources == 0, "a source was not closed")
for outcome, n in pairs(outcomes) do print(("  %-16s %d"):format(outcome, n)) end
for code, n in pairs(codes) do print(("    %-14s %d"):format(code, n)) end
print(("  %-16s %d kB"):format("memory", memory()))
print(ended .. " requests")
