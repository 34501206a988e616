-- Generators that nobody closes, in programs of their own: dropped ones, and those that are open at the end.
local expect = require("spec.helper.expect")
local process = require("spec.helper.process")

local has = expect.has

-- Its 14 lines come before each script, which begins on line 15.
local BODY = [[
local rille = require "rille"
-- A value for `local x <close> =` that calls f.
local function closer(f) return setmetatable({}, { __close = f }) end
-- A generator of 1, 2, 3 that prints its name in its cleanup, after a wait.
local numbers = rille.generator(function(name, failure)
  local _ <close> = closer(function()
    rille.sleep(0)
    print(name)
    if failure then error(failure, 0) end
  end)
  for i = 1, 3 do coroutine.yield(i) end
  print(name .. " was drained")
end)
-- The script.
]]

local function run(script) return process.script(BODY .. script) end

-- Starts it; it goes on by itself.
local function start(script) return process.start(process.host("-e", BODY .. script)) end

-- The script must have ended as it should, and have printed just that.
local function printed(done, stdout, stderr)
  assert.equal(stdout, done.stdout, done.stderr)
  if not stderr then assert.equal("", done.stderr) end
  assert.equal(0, done.status)
end

local function count(text, part)
  local n, at = 0, 1
  while true do
    local from, to = text:find(part, at, true)
    if not from then return n end
    n, at = n + 1, to + 1
  end
end

describe("a loop that forgot the closing value", function()
  it("R4 works; its report names where the generator was made, the loop, and the remedy", function()
    local done, path = run([[
do
  local g =
    numbers("cleanup")
  for v in g do print(v)
    if v == 2 then break end
  end
end
collectgarbage()
collectgarbage()
rille.sleep(0.005)
print("goes on")
]])
    printed(done, "1\n2\ncleanup\ngoes on\n", "with a report")
    has(done.stderr, path .. ":17")
    has(done.stderr, path .. ":18")
    has(done.stderr, "for v in g:each() do")
    assert.equal(1, count(done.stderr, "was dropped"))
  end)

  it("R4 that was not left early needs no report", function()
    printed(run([[
do
  local g = numbers("cleanup")
  for v in g do print(v) end
end
collectgarbage()
collectgarbage()
rille.sleep(0.005)
]]), "1\n2\n3\ncleanup was drained\ncleanup\n")
  end)
end)

describe("a generator that is dropped", function()
  it("R94 is not cleaned up inside the collection, but by a task, where cleanup may wait", function()
    printed(run([[
warn "@off"
numbers("cleanup"):next()
collectgarbage()
collectgarbage()
print("collected")
rille.sleep(0.005)
print("goes on")
]]), "collected\ncleanup\ngoes on\n")
  end)

  it("R94 reports the error of its cleanup, and names it; the program goes on", function()
    local done, path = run([[
numbers("cleanup", "no cleanup"):next()
collectgarbage()
collectgarbage()
rille.sleep(0.005)
print("goes on")
]])
    assert.equal("cleanup\ngoes on\n", done.stdout)
    has(done.stderr, "error while closing the generator made at " .. path .. ":15: no cleanup")
  end)

  it("R94 is cleaned up whole although the program is being cancelled", function()
    printed(run([[
warn "@off"
rille.generator(function()
  local _ <close> = closer(function()
    print("begins")
    for _ = 1, 5 do rille.sleep(0) end
    print("ends")
  end)
  coroutine.yield(1)
end)():next()
collectgarbage()
collectgarbage()
rille.sleep(0)
os.exit(0)
]]), "begins\nends\n")
  end)

  it("R94 a body that keeps the close signal is killed, and reported", function()
    local done = run([[
rille.generator(function()
  while true do pcall(coroutine.yield, 1) end
end)():next()
collectgarbage()
collectgarbage()
rille.sleep(0.005)
print("goes on")
]])
    assert.equal("goes on\n", done.stdout)
    has(done.stderr, "ignored close")
  end)
end)

describe("the end of the program", function()
  it("R97 comes after the tasks were cancelled, then the generators closed", function()
    printed(run([[
a = numbers("generator")
a:next()
rille.spawn(function()
  local _ <close> = closer(function()
    for _ = 1, 5 do rille.sleep(0) end
    print("task", a:status())
  end)
  rille.sleep(3600)
end)
rille.sleep(0)
os.exit(0)
]]), "task\tsuspended\ngenerator\n")
  end)

  it("R97 comes after an error too: the generators are closed", function()
    local done = run([[
a = numbers("generator")
a:next()
error("fault")
]])
    assert.same({ 1, "generator\n" }, { done.status, done.stdout })
    has(done.stderr, "fault")
  end)

  it("R98 closes a consumer before what it iterates, whichever was used first", function()
    printed(run([[
local consumer = rille.generator(function(source)
  local _ <close> = closer(function() print("consumer", source:status(), source:next()) end)
  for v in source:keep() do coroutine.yield(v) end
end)
a = numbers("producer")
a:next()
b = consumer(a)
b:next()
]]), "consumer\tsuspended\t3\nproducer\n")
  end)

  it("R98 closes a chain of them from its end", function()
    printed(run([[
local relay = rille.generator(function(name, source)
  local _ <close> = closer(function()
    rille.sleep(0)
    print(name, source:status())
  end)
  for v in source:keep() do coroutine.yield(v) end
end)
a = numbers("a")
b = relay("b", a)
c = relay("c", b)
a:next()
b:next()
c:next()
]]), "c\tsuspended\nb\tsuspended\na\n")
  end)

  it("R98 closes those without a consumer in the order of their first steps, one at a time", function()
    printed(run([[
local slow = rille.generator(function(name)
  local _ <close> = closer(function()
    print(name .. " begins")
    for _ = 1, 3 do rille.sleep(0) end
    print(name .. " ends")
  end)
  coroutine.yield(1)
end)
a, b, c = slow("a"), slow("b"), slow("c")
b:next()
c:next()
a:next()
]]), "b begins\nb ends\nc begins\nc ends\na begins\na ends\n")
  end)

  it("R98 closes those too that a cleanup has left open", function()
    local done = run([[
warn "@off"
b = numbers("b")
a = rille.generator(function()
  local _ <close> = closer(function()
    print("a")
    pcall(b.next, b)
  end)
  coroutine.yield(1)
end)()
a:next()
]])
    assert.equal(0, done.status)
    assert.is_truthy(done.stdout == "a\nb\n" or done.stdout == "a\n", done.stdout)
  end)

  it("R99 each error of a cleanup is reported with its generator, and stops no other", function()
    local done, path = run([[
a = numbers("a", "fault of a")
b = numbers("b")
c = numbers("c", "fault of c")
a:next()
b:next()
c:next()
]])
    assert.equal("a\nb\nc\n", done.stdout)
    has(done.stderr, "fault of a")
    has(done.stderr, "fault of c")
    has(done.stderr, path .. ":15")
    has(done.stderr, path .. ":17")
    assert.is_nil(done.stderr:find(path .. ":16", 1, true))
  end)

  it("R100 a new generator that is first used after it began is refused or reported, and not lost", function()
    local done, path = run([[
a = rille.generator(function()
  local _ <close> = closer(function()
    b = numbers("new")
    local ok, err = pcall(b.next, b)
    print(ok, ok and "" or err)
  end)
  coroutine.yield(1)
end)()
a:next()
]])
    assert.equal(0, done.status)
    if done.stdout:find("^false") then
      has(done.stdout, path .. ":18: ")
      assert.is_nil(done.stdout:find("\nnew\n", 1, true))
    else
      assert.equal("true\t\nnew\n", done.stdout)
      has(done.stderr, path .. ":17")
    end
  end)

  it("R101 finalisers that run at the very end find generators closed, and cannot wait", function()
    local done = run([[
a = numbers("a")
a:next()
never = numbers("never started")
local drained = numbers("drained")
for _ in drained:keep() do assert(true) end
b = setmetatable({}, { __gc = function()
  print("finaliser", a:status(), never:status(), drained:status())
  print(pcall(a.close, a), pcall(drained.close, drained))
  print(pcall(never.next, never))
  print(pcall(rille.sleep, 0))
  local g = rille.generator(function() print("not reached") end)()
  print(pcall(g.next, g))
  g:close()
end })
]])
    assert.equal(0, done.status, done.stderr)
    local lines = {}
    for line in done.stdout:gmatch("[^\n]+") do lines[#lines + 1] = line end
    assert.same({ "drained was drained", "drained", "a", "finaliser\tclosed\tcreated\texhausted" },
      { lines[1], lines[2], lines[3], lines[4] })
    assert.is_nil(done.stdout:find("not reached", 1, true))
    assert.equal("true\ttrue", lines[5])
    for i = 6, 8 do
      has(lines[i], "false\t")
      has(lines[i], "cannot wait")
    end
  end)

  it("R53 R101 comes in bounded time, whatever a cleanup waits for; the rest goes without waits", function()
    local stubborn <close> = start([[
local stubborn = rille.generator(function(name, how)
  local _ <close> = closer(function()
    print(name)
    how()
  end)
  coroutine.yield(name)
end)
local held = {}
local function hold(...)
  held[#held + 1] = stubborn(...)
  held[#held]:next()
end
hold("spinning", function() while true do pcall(rille.sleep, 3600) end end)
hold("patient", function() print("raised", pcall(rille.sleep, 3600)) end)
hold("lost", function() rille.callback(function() end) end)
hold("quick", function() end)
_G.held = held
]])
    local endless <close> = start([[
local again
again = rille.generator(function()
  local _ <close> = closer(function()
    rille.sleep(0.01)
    a = again()
    a:next()
  end)
  coroutine.yield(1)
end)
a = again()
a:next()
]])
    local done = stubborn:wait()
    for _, name in ipairs({ "spinning", "patient", "raised\tfalse\t", "lost", "quick" }) do
      has(done.stdout, name)
    end
    has(done.stderr, "killed")
    has(done.stderr, "cleanup")
    assert.equal(0, done.status)
    done = endless:wait()
    assert.is_true(#done.stderr > 0)
    assert.equal(0, done.status)
  end)
end)
