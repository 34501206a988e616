-- Runs a small program again and again, each time with another allocation that fails (host/memory.h):
-- every run ends by itself, with status 0 or 1 and a message, never with a crash, a leak or a hang. Few of
-- those with which the modules are loaded, more of what the program does then.
-- usage: rille spec/out_of_memory.lua [span [step]], with a build that has RILLE_FAIL_ALLOC
local SPAN, STEP, LOAD_STEP = tonumber(arg[1] or 1800), tonumber(arg[2] or 3), 97
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

local script = os.tmpname()
local file = assert(io.open(script, "w"))
assert(file:write((SCRIPT:gsub("STEP", STEP))))
assert(file:close())

local COMMAND = "ASAN_OPTIONS=exitcode=99 LSAN_OPTIONS=suppressions=%s:print_suppressions=0 "
  .. "RILLE_FAIL_ALLOC=%d timeout 20 %s %s >%s.out 2>&1"

local failed = {}

-- Runs with allocation n failing. Returns how and with what it ended, and what it printed.
local function run(n)
  local command = COMMAND:format(SUPPRESSIONS, n, PROGRAM, script, script)
  local _, how, status = os.execute(command)
  local out <close> = assert(io.open(script .. ".out"))
  return how, status, out:read("a")
end

-- The first allocation after the modules were loaded.
local function first_of_program()
  local low, high = 1, 100000
  while low < high do
    local middle = (low + high) // 2
    local _, _, out = run(middle)
    if out:find("loaded", 1, true) then high = middle else low = middle + 1 end
  end
  return low
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

local first = first_of_program()
local noticed = check(1, first - 1, LOAD_STEP)
noticed = check(first, first + SPAN, STEP) and noticed
os.remove(SUPPRESSIONS)
os.remove(script)
os.remove(script .. ".out")
print(("out of memory: %d went wrong"):format(#failed))
os.exit(#failed == 0 and noticed)
