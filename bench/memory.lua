-- bench/memory.lua -- what a sleeping task takes, and a kept connection on which nothing happens.
-- Usage:  rille bench/memory.lua tasks [count=100000]              prints bytes a task, resident
--         rille bench/memory.lua connections URL [count=500]       prints bytes a connection, of the client
-- Rivals: bench/memory.py, bench/memory.mjs: the same output.
local rille = require "rille"

--- Bytes that the process holds.
local function resident()
  collectgarbage()
  collectgarbage()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+)"
    if kilobytes then return kilobytes * 1024 end
  end
end

local modes = {}

function modes.tasks(count)
  count = math.tointeger(count or 100000)
  local begun = 0
  local function task()
    begun = begun + 1
    rille.sleep(3600)
  end
  local before = resident()
  for _ = 1, count do rille.spawn(task) end
  rille.sleep(0)
  local each = (resident() - before) / count
  assert(begun == count)
  print(("%.0f"):format(each))
end

function modes.connections(url, count)
  local http = require "rille.http"
  count = math.tointeger(count or 500)
  local client = http.client()
  client:get(url) -- what the first one needs, libcurl and all
  local before = resident()
  local fetches = {}
  for i = 1, count do
    fetches[i] = function() assert(client:get(url).status == 200) end
  end
  rille.all(fetches)
  fetches = nil -- luacheck: ignore 311
  local more = client:stats().idle - 1 -- an early answer may have freed a connection for another request
  assert(more >= count // 2)
  print(("%.0f"):format((resident() - before) / more))
end

modes[arg[1]](arg[2], arg[3])
os.exit(0)
