-- bench/pipeline.lua -- items a second through map, filter and take.
-- Usage:  rille bench/pipeline.lua [items=1000000]
-- Rivals: bench/pipeline.py (aiostream), bench/pipeline.mjs (Node, two ways): the same output.
-- Time is processor time: what else the machine does counts for less.
local stream = require "rille.stream"

local items = tonumber(arg[1] or 1000000)
local start = os.clock()
local sum = 0
local function thrice(i) return i * 3 end
local function is_even(v) return v % 2 == 0 end
for v in stream.range(1, items):map(thrice):filter(is_even):take(items // 2) do
  sum = sum + v
end
assert(sum == 3 * (items // 2) * (items // 2 + 1))
print(("%.0f"):format(items / (os.clock() - start)))
