--- The cost of a generator's step, of a wait with the loop's turn, and of a task that sleeps.
-- Claims: a step without a wait costs at most 1.10 of a stock coroutine.wrap's and no more than an item of
--         CPython's `async for`; a wait at most a quarter of `await asyncio.sleep(0)`; a sleeping task at
--         most 1.3 kB, and there can be a million of them.
-- Rivals: this file under lua5.4, bench/generator.py, bench/generator.mjs; bench/generator.sh runs all in
--         turns.
-- Usage:  bin/rille bench/generator.lua step|wait [count]  prints nanoseconds each
--         lua5.4 bench/generator.lua wrap [count]          the same, of a plain coroutine
--         bin/rille bench/generator.lua tasks [count]      prints bytes a sleeping task, resident and Lua's,
--                                                          and seconds to start and to wake them all
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

--- Bytes that the process holds, and that Lua does.
local function memory()
  collectgarbage()
  collectgarbage()
  for line in io.lines "/proc/self/status" do
    local kilobytes = line:match "^VmRSS:%s*(%d+)"
    if kilobytes then return kilobytes * 1024, collectgarbage "count" * 1024 end
  end
end

function modes.tasks(n)
  local rille = require "rille"
  n = n or 100000
  local wake, woken = nil, 0
  local function task()
    rille.sleep(wake - rille.now())
    woken = woken + 1
  end
  local resident, lua = memory()
  local start = os.clock()
  for _ = 1, n do rille.spawn(task) end
  wake = rille.now() + 2 + n * 4e-5 -- by then all have begun
  rille.sleep(0)
  local spent = os.clock() - start
  local resident_now, lua_now = memory()
  assert(woken == 0 and rille.now() < wake, "too slow: some task woke before all slept")
  start = os.clock()
  rille.sleep(wake - rille.now() + 0.05)
  while woken < n do rille.sleep(0) end
  spent = spent + os.clock() - start
  print(("%.0f %.0f %.2f"):format((resident_now - resident) / n, (lua_now - lua) / n, spent))
end

modes[arg[1]](math.tointeger(arg[2]))
