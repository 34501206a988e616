-- bench/nesting.lua -- what a wait costs inside 64 nested generators, next to a wait at depth 0.
-- Claim: at most 1.6 times: the loop resumes the innermost coroutine, whatever is around it.
-- Run:   make bench-nesting
local rille = require "rille"

local ITEMS, WAITS, DEPTH, ROUNDS = tonumber(arg[1] or 200), 100, 64, 9

local leaf = rille.generator(function()
  for i = 1, ITEMS do
    for _ = 1, WAITS do rille.sleep(0) end
    coroutine.yield(i)
  end
end)

local nested
nested = rille.generator(function(depth)
  for item in (depth == 1 and leaf or nested)(depth - 1) do coroutine.yield(item) end
end)

--- Seconds a wait, over all items of a chain of that depth.
local function cost(depth)
  local start = rille.now()
  local count = 0
  for _ in (depth == 0 and leaf or nested)(depth) do count = count + 1 end
  assert(count == ITEMS)
  return (rille.now() - start) / (ITEMS * WAITS)
end

local function median(list)
  table.sort(list)
  return list[(#list + 1) // 2]
end

local flat, deep, ratios = {}, {}, {}
for i = 1, ROUNDS do
  flat[i], deep[i] = cost(0), cost(DEPTH)
  ratios[i] = deep[i] / flat[i]
end
print(("a wait at depth 0: %.3f us; at depth %d: %.3f us; ratio %.2f (claim: at most 1.6)"):format(
  median(flat) * 1e6, DEPTH, median(deep) * 1e6, median(ratios)))
