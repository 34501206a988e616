--- The cost of a generator's step, and of a wait with the loop's turn.
-- Usage:  rille bench/generator.lua step|wait [count]  prints nanoseconds each
--         lua5.4 bench/generator.lua wrap [count]      the same, of a plain coroutine
-- Rivals: this file under lua5.4, bench/generator.py, bench/generator.mjs: the same output.
-- Time is processor time: what else the machine does counts for less.

local modes = {}

local function body(n)
  for i = 1, n do coroutine.yield(i) end
end

--- Prints nanoseconds an item of the loop over what `make(n)` returns.
local function step(make, n)
  local start, sum
  for _, items in ipairs { n // 10, n } do -- the first warms up
    start, sum = os.clock(), 0
    for i in make(items) do sum = sum + i end
    assert(sum == items * (items + 1) // 2)
  end
  print(("%.1f"):format((os.clock() - start) / n * 1e9))
end

function modes.wrap(n)
  step(function(items)
    return coroutine.wrap(function() body(items) end)
  end, n or 400000)
end

function modes.step(n) step(require "rille".generator(body), n or 400000) end

function modes.wait(n)
  local sleep = require "rille".sleep
  n = n or 100000
  local start = os.clock()
  for _ = 1, n do sleep(0) end
  print(("%.1f"):format((os.clock() - start) / n * 1e9))
end

modes[arg[1]](math.tointeger(arg[2]))
