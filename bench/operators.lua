--- The cost of the sequential operators: nanoseconds a stage and item.
-- Claim:  at most 60 ns for a stage, the call of its function included.
-- Rival:  the same stage as a coroutine that pulls from the one before it, as libraries without fusion
--         write it, and as a bare closure over one value, the least that a pull iterator can cost.
-- Usage:  bin/rille bench/operators.lua [items]                        prints all of them
--         bin/rille bench/operators.lua items map|coroutine|closure    prints one, in a loop
-- Each figure is (a pipeline of 4 such stages - one without) / 4 / items, of the best of many rounds.
-- chunks(1) makes a table of each item; the four of enumerate pass up to five values on.

local stream = require "rille.stream"

local ITEMS = tonumber(arg[1]) or 20000
local STAGES, ROUNDS = 4, 60

local function add(x) return x + 1 end
local function yes() return true end
local function none() end
local function sum(a, x) return a + x end

-- Stages that pass every item on, so that each of the four sees all of them.
local operators = {
  { "map", function(s) return (s:map(add)) end },
  { "filter", function(s) return (s:filter(yes)) end },
  { "tap", function(s) return (s:tap(none)) end },
  { "take", function(s) return (s:take(ITEMS + 1)) end },
  { "drop", function(s) return (s:drop(0)) end },
  { "take_while", function(s) return (s:take_while(yes)) end },
  { "drop_while", function(s) return (s:drop_while(none)) end },
  { "enumerate", function(s) return (s:enumerate()) end },
  { "scan", function(s) return (s:scan(sum, 0)) end },
  { "chunks(1)", function(s) return (s:chunks(1)) end },
  { "chain", function(s) return (stream.chain(s)) end },
}

local function coroutine_map(source)
  return coroutine.wrap(function()
    for v in source do coroutine.yield(add(v)) end
  end)
end

local function closure_map(source)
  return function()
    local v = source()
    if v ~= nil then return add(v) end
  end
end

local function counter()
  local i = 0
  return function()
    if i < ITEMS then
      i = i + 1
      return i
    end
  end
end

local function seconds(make, consume)
  local source = make()
  collectgarbage()
  local start = os.clock()
  consume(source)
  return os.clock() - start
end

local function loop(source)
  for _ in source do end -- luacheck: ignore 542
end

local function count(source) source:count() end

local function range() return (stream.range(1, ITEMS)) end

local function stacked(make, stage, n)
  return function()
    local s = make()
    for _ = 1, n do s = stage(s) end
    return s
  end
end

-- Nanoseconds a stage and item, and those of an item without the stages: of the fastest rounds, with and
-- without the stages in turns.
local function measure(make, stage, consume)
  local with, without = math.huge, math.huge
  local staged = stacked(make, stage, STAGES)
  for _ = 1, ROUNDS do
    without = math.min(without, seconds(make, consume))
    with = math.min(with, seconds(staged, consume))
  end
  return (with - without) / STAGES / ITEMS * 1e9, without / ITEMS * 1e9
end

-- One figure, for the table.
local single = {
  map = function() return measure(range, operators[1][2], loop) end,
  coroutine = function() return measure(counter, coroutine_map, loop) end,
  closure = function() return measure(counter, closure_map, loop) end,
}
if arg[2] then
  print(("%.1f"):format((single[arg[2]]())))
  return
end

print(("%-34s %8s %8s"):format("ns a stage and item", "for", "count()"))
local once_loop, once_count = math.huge, math.huge
for _, operator in ipairs(operators) do
  local name, stage = operator[1], operator[2]
  local in_loop, bare_loop = measure(range, stage, loop)
  local in_count, bare_count = measure(range, stage, count)
  print(("%-34s %8.1f %8.1f"):format(name, in_loop, in_count))
  once_loop, once_count = math.min(once_loop, bare_loop), math.min(once_count, bare_count)
end
print(("%-34s %8.1f %8.1f"):format("once an item: range and its end", once_loop, once_count))
print(("%-34s %8.1f"):format("rival: map, a coroutine a stage", (measure(counter, coroutine_map, loop))))
print(("%-34s %8.1f"):format("floor: map, a one-value closure", (measure(counter, closure_map, loop))))
