-- Closing a generator from another task, and generators that nobody closes.
local rille = require("rille")
local process = require("spec.helper.process")
local expect = require("spec.helper.expect")

local closer, until_waiting = expect.closer, expect.until_waiting

describe("close while another task waits in next", function()
  it("R46 aborts the wait, runs the cleanup and returns; R47 the step raises", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0.001)
        log[#log + 1] = "cleanup"
      end)
      rille.sleep(60)
      coroutine.yield(1)
    end)()
    local consumer = rille.spawn(function() return pcall(g.next, g) end)
    until_waiting(consumer)
    g:close()
    log[#log + 1] = g:status()
    local ok, err = consumer:await()
    assert.is_false(ok)
    assert.is_truthy(err:find("generator closed by another task", 1, true))
    assert.same({ "cleanup", "closed" }, log)
    assert.is_nil(g:next())
  end)

  it("R48 a second close waits for the first", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0.002)
        log[#log + 1] = "cleanup"
      end)
      coroutine.yield(1)
    end)()
    g:next()
    local first = rille.spawn(function() g:close() log[#log + 1] = "first" end)
    until_waiting(first)
    g:close()
    log[#log + 1] = "second"
    first:await()
    assert.equal("cleanup", log[1])
    table.sort(log)
    assert.same({ "cleanup", "first", "second" }, log)
  end)

  it("R92 closes an inner generator that is being closed first", function()
    local log = {}
    local inner = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0.002)
        log[#log + 1] = "inner"
      end)
      coroutine.yield(1)
    end)
    local outer = rille.generator(function()
      local _ <close> = closer(function() log[#log + 1] = "outer" end)
      for _ in inner() do break end -- luacheck: ignore 512
      rille.sleep(60)
    end)()
    local consumer = rille.spawn(function() pcall(outer.next, outer) end)
    until_waiting(consumer)
    outer:close()
    consumer:await()
    assert.same({ "inner", "outer" }, log)
  end)
end)

local function run(script)
  local path = os.tmpname()
  local file = assert(io.open(path, "w"))
  assert(file:write(script))
  assert(file:close())
  local done = process.run(process.host(path))
  os.remove(path)
  return done
end

local BODY = [[
local rille = require "rille"
local gen = rille.generator(function(name)
  local _ <close> = setmetatable({}, { __close = function()
    rille.sleep(0)
    print(name)
  end })
  coroutine.yield(1)
  coroutine.yield(2)
end)
]]

describe("a generator that nobody closes", function()
  it("R93 R94 is reported with its places when the collector finds it, and cleaned up", function()
    local done = run(BODY .. [[
do
  local g = gen("dropped")
  for _ in g do break end
end
collectgarbage()
collectgarbage()
rille.sleep(0.005)
print("goes on")
]])
    assert.equal("dropped\ngoes on\n", done.stdout)
    assert.is_truthy(done.stderr:find("generator made at [^ ]+:11 and first used at [^ ]+:12 was dropped"))
    assert.equal(0, done.status)
  end)

  it("R95 that has not started is collected in silence", function()
    local done = run(BODY .. "gen('x') collectgarbage() collectgarbage() rille.sleep(0.001)")
    assert.same({ 0, "", "" }, { done.status, done.stdout, done.stderr })
  end)

  it("R97 R98 is closed at the end of the program, consumers first", function()
    local done = run(BODY .. [[
local outer = rille.generator(function()
  local _ <close> = setmetatable({}, { __close = function() print("outer") end })
  for v in gen("inner") do coroutine.yield(v) end
end)
a = outer()
a:next()
b = gen("b")
b:next()
print("the script ends")
]])
    assert.equal("the script ends\ninner\nouter\nb\n", done.stdout)
    assert.equal("", done.stderr)
  end)

  it("R99 whose cleanup fails there is reported and stops no other", function()
    local done = run(BODY .. [[
local bad = rille.generator(function()
  local _ <close> = setmetatable({}, { __close = function() error("no cleanup") end })
  coroutine.yield(1)
end)
a = bad()
a:next()
b = gen("b")
b:next()
]])
    assert.equal("b\n", done.stdout)
    assert.is_truthy(done.stderr:find("no cleanup", 1, true))
    assert.equal(0, done.status)
  end)
end)

-- A generator that prints its name when it is closed, after it has passed on the items of another one.
local PASS_ON = [[
local rille = require "rille"
local function closer(f) return setmetatable({}, { __close = f }) end
local pass_on = rille.generator(function(name, source)
  local _ <close> = closer(function() rille.sleep(0) print(name) end)
  if source then
    for v in source do coroutine.yield(v) end
  end
  while true do coroutine.yield(name) end
end)
local function begin(...)
  local g = pass_on(...)
  g:next()
  return g
end
]]

describe("the end of the program", function()
  it("R98 closes consumers first even if what they consume began before them", function()
    local done = run(PASS_ON .. [[
a = begin("inner")
b = begin("middle", a)
other = begin("other")
c = begin("outer", b)
]])
    assert.same({ 0, "outer\nmiddle\ninner\nother\n", "" }, { done.status, done.stdout, done.stderr })
  end)

  it("R98 finds the consumer that has it in a variable below its loops", function()
    local done = run(PASS_ON .. [[
local holder = rille.generator(function(source)
  local _ <close> = closer(function() print("holder") end)
  local function inside(g)
    local first = g:next()
    for i = 1, 10 do coroutine.yield(first .. i) end
  end
  inside(source)
end)
a = begin("held")
b = holder(a)
b:next()
]])
    assert.same({ 0, "holder\nheld\n", "" }, { done.status, done.stdout, done.stderr })
  end)

  it("R98 closes generators that hold each other, each once", function()
    local done = run(PASS_ON .. [[
local hold = rille.generator(function(name, box)
  local _ <close> = closer(function() print(name) end)
  local other = box[1]
  coroutine.yield(1)
  other = box[1]
  coroutine.yield(other)
end)
local box_a, box_b = {}, {}
a, b = hold("a", box_a), nil
b = hold("b", box_b)
box_a[1], box_b[1] = b, a
a:next() b:next() a:next() b:next()
]])
    assert.equal("", done.stderr)
    assert.is_truthy(done.stdout == "a\nb\n" or done.stdout == "b\na\n", done.stdout)
  end)

  it("R98 closes a long chain that began at its inner end in order", function()
    local done = run(PASS_ON .. [[
local all, source = {}, nil
for i = 1, 300 do
  source = begin(i, source)
  all[i] = source
end
list = all
]])
    local order = {}
    for name in done.stdout:gmatch("%d+") do order[#order + 1] = 301 - tonumber(name) end
    assert.equal(300, #order)
    for i = 1, 300 do assert.equal(i, order[i]) end
    assert.equal("", done.stderr)
  end)

  it("R99 reports each cleanup that fails, with the place of its generator", function()
    local done = run(PASS_ON .. [[
local bad = rille.generator(function(name)
  local _ <close> = closer(function() error("bad " .. name, 0) end)
  coroutine.yield(1)
end)
a = bad("one")
a:next()
b = begin("good")
c = bad("two")
c:next()
]])
    assert.same({ 0, "good\n" }, { done.status, done.stdout })
    assert.is_truthy(done.stderr:find("closing the generator made at [^ ]+:19: bad one\n"), done.stderr)
    assert.is_truthy(done.stderr:find("closing the generator made at [^ ]+:22: bad two\n"), done.stderr)
  end)

  it("R100 closes a generator that a cleanup has begun and left open, with a warning", function()
    local done = run(PASS_ON .. [[
local late = rille.generator(function()
  local _ <close> = closer(function()
    for v in pass_on("closed") do print(v) break end
    kept = begin("left open")
  end)
  coroutine.yield(1)
end)
a = late()
a:next()
b = begin("early")
]])
    assert.same({ 0, "closed\nclosed\nearly\nleft open\n" }, { done.status, done.stdout })
    local _, count = done.stderr:gsub("\n", "")
    assert.equal(1, count)
    assert.is_truthy(done.stderr:find("made at [^ ]+:11 was first used while the program ended, and left"))
  end)

  it("R100 refuses a generator in a finaliser of the last moment", function()
    local done = run(PASS_ON .. [[
x = setmetatable({}, { __gc = function()
  print(pcall(function() for _ in pass_on("never") do end end))
end })
]])
    assert.equal(0, done.status)
    assert.is_truthy(done.stdout:find("^false\t.*cannot wait for a generator inside"), done.stdout)
    assert.equal("", done.stderr)
  end)

  it("R97 a cleanup that the collector has ordered begins even if the program is told to end", function()
    local done = run(PASS_ON .. [[
do begin("dropped") end
collectgarbage()
collectgarbage()
os.exit(3)
]])
    assert.same({ 3, "dropped\n" }, { done.status, done.stdout })
    assert.is_truthy(done.stderr:find("was dropped before its end", 1, true))
  end)

  it("R53 R101 kills what takes too long, and resets what is open then, with one warning", function()
    local done = run(PASS_ON .. [[
local slow = rille.generator(function(name)
  local _ <close> = closer(function()
    print(name, (select(2, pcall(rille.sleep, 60)):gsub("^[^ ]+ ", "")))
    error("and " .. name .. " fails", 0)
  end)
  coroutine.yield(1)
end)
local stuck = rille.generator(function()
  local _ <close> = closer(function() rille.sleep(60) end)
  coroutine.yield(1)
end)
a = stuck()
a:next()
b = slow("b")
b:next()
c = pass_on("c", b)
d = slow("d")
d:next()
]])
    assert.equal(0, done.status)
    local refused = "cannot wait for sleep inside a coroutine that is being closed\n"
    assert.equal("b\t" .. refused .. "d\t" .. refused, done.stdout)
    local _, killed = done.stderr:gsub("took too long to end and was killed; it waits for sleep", "")
    local _, failed = done.stderr:gsub("error while closing the generator made at", "")
    local _, summary = done.stderr:gsub("open when the time for cleanup was over: 2, the first was made", "")
    assert.same({ 1, 2, 1 }, { killed, failed, summary })
  end)
end)
