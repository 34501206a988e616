-- What the specs of streams share: sources that can be watched, and looks at what comes out of them.
local assert = require "luassert"
local expect = require "spec.helper.expect"
local rille = require "rille"

local lib = {}

--- The error of f must blame the first line of its body.
function lib.blames(f, expected)
  local info = debug.getinfo(f, "S")
  assert.equal(("%s:%d: %s"):format(info.short_src, info.linedefined + 1, expected), expect.caught(f))
end

--- The text of an error about an argument.
function lib.bad(position, name, expected)
  return ("bad argument #%d to '%s' (%s"):format(position, name, expected)
end

--- call(v), whose body is on one line, must refuse each of these values with an error that blames that line.
function lib.refuses(values, position, name, expected, call)
  local info = debug.getinfo(call, "S")
  local start = ("%s:%d: %s"):format(info.short_src, info.linedefined, lib.bad(position, name, expected))
  for _, v in ipairs(values) do
    local err = expect.caught(call, v)
    assert.equal(start, tostring(err):sub(1, #start))
  end
end

--- It must take seconds, or a count of at least one, for its argument at `position`.
function lib.refuses_seconds(position, name, call)
  lib.refuses({ "x", {}, true, print }, position, name, "number expected, got ", call)
  lib.refuses({ -1, 0 / 0, math.huge, -math.huge }, position, name, "seconds out of range)", call)
end

function lib.refuses_counts(position, name, call)
  local wrong = { 0, -1, 1.5, 0 / 0, math.huge, -math.huge, "2", {}, false }
  lib.refuses(wrong, position, name, "an integer >= 1 expected, got ", call)
end

--- All values of all items.
function lib.items(...)
  local all = {}
  for a, b, c in ... do all[#all + 1] = { a, b, c } end
  return all
end

--- A closing value that adds `name` to the log, after a wait.
function lib.leaves(log, name)
  return expect.closer(function()
    rille.sleep(0)
    log[#log + 1] = name
  end)
end

--- A generator of 1 .. n that adds `name` to the log when its body is left, after a wait.
function lib.logged(log, name, n, waits)
  return (rille.generator(function()
    local _ <close> = lib.leaves(log, name)
    for i = 1, n or 1000 do
      if waits then rille.sleep(0) end
      coroutine.yield(i)
    end
  end)())
end

--- A wait that something else must end: the log tells if it did not.
function lib.for_long(log)
  rille.sleep(1)
  log[#log + 1] = "nobody ended this wait"
end

--- The same, which waits for long after its items.
function lib.stuck(log, name, n)
  return (rille.generator(function()
    local _ <close> = lib.leaves(log, name)
    for i = 1, n do coroutine.yield(i) end
    lib.for_long(log)
  end)())
end

--- The same, which raises err some turns after its items.
function lib.failing(log, name, n, err)
  return (rille.generator(function()
    local _ <close> = lib.leaves(log, name)
    for i = 1, n do coroutine.yield(i) end
    expect.turns(3)
    error(err, 0)
  end)())
end

--- A generator of these items, each a list of values with their count in n.
function lib.packed(...)
  local list = { ... }
  return (rille.generator(function()
    for _, item in ipairs(list) do coroutine.yield(table.unpack(item, 1, item.n or #item)) end
  end)())
end

--- A generator whose items come at given times after its first step: `timed(1, "a", 3, "b")`. A time without
--- an item is that of its end; items may be functions, which are called.
function lib.timed(...)
  local schedule = table.pack(...)
  return (rille.generator(function()
    local start = rille.now()
    for i = 1, schedule.n, 2 do
      rille.sleep(math.max(0, start + schedule[i] - rille.now()))
      local item = schedule[i + 1]
      if type(item) == "function" then item = item() end
      if item ~= nil then coroutine.yield(item) end
    end
  end)())
end

--- What comes when, in seconds of a virtual clock: `{ { 1, "a" }, { 3, "b" } }`. A busy consumer spends
--- `busy[i]` seconds on item i.
function lib.times(clock, s, busy)
  local seen, start, n = {}, clock:now(), 0
  for v in s:each() do
    n = n + 1
    seen[n] = { lib.round(clock:now() - start), v }
    if busy and busy[n] then rille.sleep(busy[n]) end
  end
  return seen
end

--- The same in order of time, then of the items: for those whose order within one moment does not matter.
function lib.by_time(seen)
  table.sort(seen, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] < b[2] end)
  return seen
end

--- Seconds without the last digits of a sum of floats.
function lib.round(seconds) return math.floor(seconds * 1000 + 0.5) / 1000 end

--- A task whose error does not end the program: `outcome` gives its results, or raises its error.
function lib.spawn(f, ...) return rille.spawn(pcall, f, ...) end

--- One in which f has begun to wait.
function lib.waiting(f, ...)
  local t = lib.spawn(f, ...)
  expect.turns()
  assert.equal("waiting", t:status())
  return t
end

function lib.outcome(t)
  local r = table.pack(t:await())
  if not r[1] then error(r[2], 0) end
  return table.unpack(r, 2, r.n)
end

function lib.sorted(list)
  table.sort(list)
  return list
end

return lib
