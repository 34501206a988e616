-- Runs a small program again and again, each time with one more allocation that fails (host/memory.h):
-- every run ends by itself, with status 0 or 1 and a message, never with a crash, a leak or a hang.
-- usage: rille spec/out_of_memory.lua [last [step]], with a build that has RILLE_FAIL_ALLOC
local LAST, STEP = tonumber(arg[1] or 6000), tonumber(arg[2] or 7)
local PROGRAM = os.getenv("RILLE") or "bin/rille"

-- lua-cjson forgets its buffer when Lua runs out of memory under it.
local SUPPRESSIONS = os.tmpname()
local list = assert(io.open(SUPPRESSIONS, "w"))
assert(list:write("leak:strbuf_new\n"))
assert(list:close())

local SCRIPT = [[
  local rille, http = require "rille", require "rille.http"
  local server <close> = http.serve({ port = 0 }, function(req) return { json = { path = req.path } } end)
  local gen = rille.generator(function(n)
    local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) end })
    for i = 1, n do
      coroutine.yield(http.get(server.url .. "/" .. i):json().path)
    end
  end)
  for path in gen(3) do if path == "/2" then break end end
  local paths = gen(3):map(string.upper, { n = 2 }):collect()
  assert(#paths == 3)
  local t = rille.spawn(function() pcall(rille.sleep, 60) rille.sleep(60) end)
  rille.sleep(0)
  t:cancel()
  t:join()
  for _ in coroutine.wrap(function() rille.sleep(0) coroutine.yield(1) end) do break end
]]

local script = os.tmpname()
local file = assert(io.open(script, "w"))
assert(file:write(SCRIPT))
assert(file:close())

local COMMAND = "ASAN_OPTIONS=exitcode=99 LSAN_OPTIONS=suppressions=%s:print_suppressions=0 "
  .. "RILLE_FAIL_ALLOC=%d timeout 20 %s %s >%s.out 2>&1"

local counts = { [0] = 0, [1] = 0 }
local failed = {}
for n = 1, LAST, STEP do
  local command = COMMAND:format(SUPPRESSIONS, n, PROGRAM, script, script)
  local _, how, status = os.execute(command)
  if how == "exit" and counts[status] then
    counts[status] = counts[status] + 1
  else
    failed[#failed + 1] = n
    local out <close> = assert(io.open(script .. ".out"))
    print(("allocation %d: %s %d\n%s"):format(n, how, status, out:read("a")))
  end
end
os.remove(SUPPRESSIONS)
os.remove(script)
os.remove(script .. ".out")
print(("out of memory: %d runs failed cleanly, %d did not notice, %d went wrong"):format(counts[1],
  counts[0], #failed))
os.exit(#failed == 0 and counts[1] > 0)
