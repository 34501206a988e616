-- bench/pool.lua -- map with many requests at a time, next to a pool of workers written by hand.
-- Usage:  rille bench/pool.lua map|workers URL [requests=100000] [concurrency=64]
--         prints requests a second, and microseconds of processor time that each has cost.
-- Both keep the order of the results.
local http = require "rille.http"
local rille = require "rille"
local stream = require "rille.stream"

local mode, url, total, concurrency = arg[1], arg[2], tonumber(arg[3] or 100000), tonumber(arg[4] or 64)

local function fetch() return http.get(url):json("/name") end

local pools = {}

function pools.map()
  return (stream.range(1, total):map(fetch, { n = concurrency }):collect())
end

function pools.workers()
  local names, started = {}, 0
  rille.group(function(group)
    for _ = 1, concurrency do
      group:spawn(function()
        while started < total do
          started = started + 1
          local i = started
          names[i] = fetch()
        end
      end)
    end
  end)
  return names
end

fetch()
local start, used = rille.now(), os.clock()
local names = pools[mode]()
local seconds = rille.now() - start
for i = 1, total do assert(names[i] == "pikachu") end
assert(#names == total)
print(("%.0f %.1f"):format(total / seconds, (os.clock() - used) / total * 1e6))
