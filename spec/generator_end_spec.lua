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
