-- Runs small programs again and again, each time with another allocation that fails (host/memory.h):
-- every run ends by itself, with status 0 or 1 and a message, never with a crash, a leak or a hang. Few of
-- those with which the modules are loaded, more of what the programs do then.
-- usage: rille spec/out_of_memory.lua [span [step]], with a build that has RILLE_FAIL_ALLOC
local SPAN, STEP, LOAD_STEP = tonumber(arg[1] or 1800), tonumber(arg[2] or 3), 97
local CLIENT_SPAN, CLIENT_STEP = 4 * SPAN, 8 * STEP
local DEBUG_SPAN, BUILD_SPAN = SPAN // 12, SPAN // 20
local PROGRAM = os.getenv("RILLE") or "bin/rille"

-- lua-cjson forgets its buffer when Lua runs out of memory under it.
local SUPPRESSIONS = os.tmpname()
local list = assert(io.open(SUPPRESSIONS, "w"))
assert(list:write("leak:strbuf_new\n"))
assert(list:close())

local SCRIPT = [[
  local rille, http, stream = require "rille", require "rille.http", require "rille.stream"
  local json = require "rille.json"
  require "rille.json_lines"
  io.stderr:write("loaded\n")
  local server <close> = http.serve({ port = 0 }, function(req) return { json = { path = req.path } } end)
  local gen = rille.generator(function(n)
    local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) end })
    for i = 1, n do
      local res = http.get(server.url .. "/" .. i)
      coroutine.yield(res:json("/path") or res:json().path)
    end
  end)
  for line in http.stream(server.url):lines() do assert(#line > 0) end
  http.stream(server.url):close()
  for path in gen(3) do if path == "/2" then break end end
  local paths = gen(3):map(string.upper, { n = 2 }):collect()
  assert(#paths == 3)
  local list = ('{"a": [null, "b"]},'):rep(5)
  assert(#json.at(('{"list": [%s 1]}'):format(list), "/list") == 6)
  assert(json.at('{"big": 123456789012345678901}', "/big"))
  assert(not pcall(json.at, "[1", ""))
  local text = ('{"text": "%s", "id": %d, "zero": [-0]},'):rep(3):format("a", 1, ("b"):rep(50), 2, "a", 3)
  assert(#json.decode("[" .. text .. "null]") == 4 and not pcall(json.decode, "[" .. text))
  assert(#json.lines({ "[1]\n[", "2]\n3" }):collect() == 3)
  local t = rille.spawn(function() pcall(rille.sleep, 60) rille.sleep(60) end)
  rille.sleep(0)
  t:cancel()
  t:join()
  for _ in coroutine.wrap(function() rille.sleep(0) coroutine.yield(1) end) do break end
  for _ = 1, STEP do -- no scope stays open that its function has left
    pcall(rille.timeout, 0.001, error, "x")
    local _, err = pcall(rille.sleep, 0.002)
    if tostring(err):find("cancelled by", 1, true) then os.exit(2) end
  end
  local g = gen(2)
  for _ = 1, 100 do if g:next_within(0) or g:status() ~= "waiting" then break end end
  g:close()
  local outer = rille.generator(function() stream.yield_from(gen(1)) end)
  for _ in outer() do break end
]]

-- The HTTP client: bodies that are sent as they come, cookies, downloads, other tries.
local CLIENT = [[
  local rille, http = require "rille", require "rille.http"
  local server <close> = http.serve({ port = 0 }, function(req)
    if req.path == "/busy" then return { status = 503 } end
    return { body = ("x"):rep(#req:text() + 10), headers = { ["set-cookie"] = "a=b", etag = '"v"' } }
  end)
  local client <close> = http.client { base_url = server.url, cookies = arg[0] .. ".jar" }
  client:get("/")
  io.stderr:write("loaded\n")
  local gen = rille.generator(function(n)
    local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) end })
    for _ = 1, n do coroutine.yield(("y"):rep(300)) end
  end)
  local function send(options) return #client:post("/", options):text() end
  local seen = 0
  assert(send { body = gen(3), progress = function(sent) seen = sent end } == 910 and seen == 900)
  assert(send { body = { "a", "b" }, retry = 2 } == 12)
  assert(send { body = ("y"):rep(40000) } == 40010)
  local file, items = { name = "file", path = arg[0] }, { name = "items", value = gen(2) }
  assert(send { multipart = { { name = "a", value = "b" }, file, items } } > 900)
  do
    local res <close> = client:stream("/", { method = "POST", body = gen(3) })
    for piece in res:chunks() do assert(#piece > 0) end
  end
  client:stream("/", { method = "POST", body = gen(3) }):close()
  assert(not pcall(send, { body = gen(3), length = 10 }))
  assert(client:get("/busy", { retry = { times = 2, backoff = 0 } }).status == 503)
  assert(client:download("/", arg[0] .. ".file", { progress = false }).size == 10)
  assert(client:stats().open > 0)
  for res in client:pages("/", function() end) do assert(res.status == 200) end
  local t = rille.spawn(send, { body = gen(1000) })
  rille.sleep(0)
  t:cancel()
  pcall(t.join, t)
  local limited <close> = http.client { rate = 1000, http_version = "auto" }
  for _ = 1, 2 do limited:get(server.url) end
]]

-- What RILLE_DEBUG=1 tells of: what was dropped, never used and left open, and steps that are slow.
local DEBUG = [[
  local rille, stream = require "rille", require "rille.stream"
  local test = require "rille.test"
  rille.sleep(0)
  io.stderr:write("loaded\n")
  do local _ = test.clock() end
  collectgarbage()
  test.clock():close()
  local gen = rille.generator(function() coroutine.yield(1) end)
  do local _ = gen() end
  do local _ = gen():next() end
  collectgarbage()
  local start = os.clock()
  while os.clock() - start < 0.2 do end
  rille.sleep(0)
  LEFT = { stream.from({ 1 }), gen(), test.clock() }
  LEFT[2]:next()
]]

local script = os.tmpname()

local function use(text)
  local file <close> = assert(io.open(script, "w"))
  assert(file:write((text:gsub("STEP", STEP))))
end

local COMMAND = "ASAN_OPTIONS=exitcode=99 LSAN_OPTIONS=suppressions=%s:print_suppressions=0 "
  .. "RILLE_DEBUG=%s RILLE_FAIL_ALLOC=%d timeout 20 %s %s >%s.out 2>&1"

local failed, debug, words = {}, "", script

-- Runs with allocation n failing. Returns how and with what it ended, and what it printed.
local function run(n)
  local command = COMMAND:format(SUPPRESSIONS, debug, n, PROGRAM, words, script)
  local _, how, status = os.execute(command)
  local out <close> = assert(io.open(script .. ".out"))
  return how, status, out:read("a")
end

-- The first allocation whose run is as `is_late` says of how and with what it ended, and what it printed.
local function first_allocation(is_late)
  local low, high = 1, 100000
  while low < high do
    local middle = (low + high) // 2
    if is_late(run(middle)) then high = middle else low = middle + 1 end
  end
  return low
end

-- The first after the modules were loaded.
local function first_of_program()
  return first_allocation(function(_, _, out) return out:find("loaded", 1, true) end)
end

local function check(first, last, step)
  local counts = { [0] = 0, [1] = 0 }
  for n = first, last, step do
    local how, status, out = run(n)
    if how == "exit" and counts[status] then
      counts[status] = counts[status] + 1
    else
      failed[#failed + 1] = n
      print(("allocation %d: %s %d\n%s"):format(n, how, status, out))
    end
  end
  print(("out of memory: %d runs failed cleanly, %d did not notice"):format(counts[1], counts[0]))
  return counts[1] > 0
end

-- `rille build`: the last of its allocations fail, and no part of a program is left beside the goal.
local function check_build()
  use("return 1")
  local folder = script .. ".d"
  words = ("build %s -o %s/goal"):format(script, folder)
  os.execute("mkdir " .. folder)
  local last = first_allocation(function(_, status) return status == 0 end)
  local noticed = check(last - BUILD_SPAN, last, 1)
  local names <close> = assert(io.popen("ls -A " .. folder .. "; rm -r " .. folder))
  local left = names:read("a"):gsub("^goal\n", "")
  if left ~= "" then
    failed[#failed + 1] = last
    print("out of memory: rille build has left\n" .. left)
  end
  return noticed
end

use(SCRIPT)
local first = first_of_program()
local noticed = check(1, first - 1, LOAD_STEP)
noticed = check(first, first + SPAN, STEP) and noticed
use(CLIENT)
first = first_of_program()
noticed = check(first, first + CLIENT_SPAN, CLIENT_STEP) and noticed
debug = "1"
use(DEBUG)
first = first_of_program()
noticed = check(first, first + DEBUG_SPAN, 1) and noticed
debug = ""
noticed = check_build() and noticed
os.remove(SUPPRESSIONS)
for _, suffix in ipairs { "", ".out", ".jar", ".file", ".file.part", ".file.part.json" } do
  os.remove(script .. suffix)
end
print(("out of memory: %d went wrong"):format(#failed))
os.exit(#failed == 0 and noticed)
