-- bench/nesting.lua -- what a wait costs inside nested generators, whatever is around it.
-- Usage:  rille bench/nesting.lua DEPTH [items=200]
--         prints nanoseconds of processor time a wait: 100 waits an item, which passes DEPTH generators
-- Rival:  the same at depth 0: the loop resumes the innermost coroutine.
local rille = require "rille"

local DEPTH, ITEMS, WAITS <const> = tonumber(arg[1]), tonumber(arg[2] or 200), 100

local leaf = rille.generator(function(items)
  for i = 1, items do
    for _ = 1, WAITS do rille.sleep(0) end
    coroutine.yield(i)
  end
end)

local nested
nested = rille.generator(function(items, depth)
  for item in (depth == 1 and leaf or nested)(items, depth - 1) do coroutine.yield(item) end
end)

local start
for _, items in ipairs { ITEMS // 10 + 1, ITEMS } do -- the first warms up
  start = os.clock()
  local count = 0
  for _ in (DEPTH == 0 and leaf or nested)(items, DEPTH) do count = count + 1 end
  assert(count == items)
end
print(("%.1f"):format((os.clock() - start) / (ITEMS * WAITS) * 1e9))
