-- Generators among tasks: values that are tasks (R13), no awaitables (R116), tasks that a body spawns (R78),
-- requests that are aborted (R46, R61), and cancellations that no pcall loses (R66, R111).
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local http = require("rille.http")
local expect = require("spec.helper.expect")
local process = require("spec.helper.process")

local caught, has, closer, until_waiting = expect.caught, expect.has, expect.closer, expect.until_waiting
local turns = expect.turns

local function cancelled(task)
  until_waiting(task)
  task:cancel()
  local err = caught(task.await, task)
  assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
  assert.equal("cancelled", task:status())
end

describe("direct style", function()
  it("R13 a task that waits, and one that has failed, are yielded as they are", function()
    local gate = expect.new_gate()
    local waiting = rille.spawn(gate.wait)
    local failed = rille.spawn(error, "fault", 0)
    caught(failed.await, failed)
    until_waiting(waiting)
    local seen = {}
    for v in rille.generator(function()
      coroutine.yield(waiting)
      rille.sleep(0)
      coroutine.yield(failed)
    end)() do seen[#seen + 1] = v end
    assert.is_true(rawequal(waiting, seen[1]) and rawequal(failed, seen[2]) and #seen == 2)
    assert.equal("waiting", waiting:status())
    gate.open()
    waiting:await()
  end)

  it("R13 a generator, a channel and a stream are items too: none is gone through", function()
    local ch = rille.channel(1)
    ch:send("value")
    local inner = rille.generator(function() coroutine.yield("inner") end)()
    local values = { ch, inner, (inner:map(tostring)) }
    local i = 0
    for v in rille.generator(function() for _, v in ipairs(values) do coroutine.yield(v) end end)() do
      i = i + 1
      assert.is_true(rawequal(values[i], v))
    end
    assert.same({ 3, "created", "value" }, { i, inner:status(), (ch:recv()) })
    ch:close()
    inner:close()
  end)

  it("R116 next gives the values themselves, wait or not, and has then taken its step", function()
    local g = rille.generator(function()
      coroutine.yield(1)
      rille.sleep(0)
      coroutine.yield(2, "two")
      coroutine.yield(3)
    end)()
    assert.same({ n = 1, 1 }, table.pack(g:next()))
    assert.same({ n = 2, 2, "two" }, table.pack(g:next()))
    g:next() -- whose result nobody wants: the step is taken all the same
    assert.same({ n = 1 }, table.pack(g:next()))
    assert.equal("exhausted", g:status())
  end)

  it("R116 what waits has happened when the call returns: there is nothing to forget", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "closed"
      end)
      pcall(coroutine.yield, 1)
      rille.sleep(0)
      log[#log + 1] = "thrown"
      coroutine.yield(2)
    end)()
    g:next()
    g:throw("x")
    g:close()
    assert.same({ "thrown", "closed" }, log)
  end)

  it("R116 a task may be awaited twice, by several, before and after its end", function()
    local gate = expect.new_gate()
    local task = rille.spawn(function()
      gate.wait()
      return "a", nil, "c"
    end)
    local others = {}
    for i = 1, 3 do others[i] = rille.spawn(function() return select("#", task:await()) end) end
    until_waiting(others[3])
    gate.open()
    for i = 1, 3 do assert.equal(3, others[i]:await()) end
    assert.same({ n = 3, "a", nil, "c" }, table.pack(task:await()))
    assert.same({ n = 3, "a", nil, "c" }, table.pack(task:await()))
  end)

  it("R9 plain iterators and async ones work in the same loops and operators", function()
    local stream = require("rille.stream")
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    assert(file:write("a\nb\n"))
    assert(file:close())
    local async = rille.generator(function()
      for _, v in ipairs({ "a", "b" }) do
        rille.sleep(0)
        coroutine.yield(v)
      end
    end)
    local function plain() for _, v in ipairs({ "a", "b" }) do coroutine.yield(v) end end
    for name, make in pairs({
      lines = function() return io.lines(path) end,
      gmatch = function() return ("ab"):gmatch(".") end,
      wrap = function() return coroutine.wrap(plain) end,
      async = function() return async() end,
    }) do
      local seen = {}
      for v in make() do seen[#seen + 1] = v end
      assert.same({ "a", "b" }, seen, name)
      local upper = stream.from(make()):map(function(v) rille.sleep(0) return v:upper() end)
      assert.same({ "A", "B" }, upper:collect(), name)
    end
    os.remove(path)
  end)

  it("R118 collect, filter and map with a wait in each are a comprehension", function()
    local source = rille.generator(function(n)
      for i = 1, n do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)
    local squares = source(6):filter(function(v)
      rille.sleep(0)
      return v % 2 == 0
    end):map(function(v)
      rille.sleep(0)
      return v * v
    end):collect()
    assert.same({ 4, 16, 36 }, squares)
  end)
end)

describe("a task that a body spawns", function()
  it("R78 is not the generator's: it goes on when that is closed, fails or is dropped", function()
    rille.test.may_leak()
    for _, how in ipairs({ "close", "fail", "end", "drop" }) do
      local gate, task = expect.new_gate(), nil
      local g = rille.generator(function()
        task = rille.spawn(function()
          gate.wait()
          return "result"
        end)
        coroutine.yield(1)
        if how == "fail" then error("fault") end
      end)()
      g:next()
      until_waiting(task)
      if how == "close" then g:close() elseif how ~= "drop" then pcall(g.next, g) end
      if how == "drop" then
        g = nil -- luacheck: ignore 311
        collectgarbage()
        collectgarbage()
        turns()
      end
      assert.equal("waiting", task:status(), how)
      gate.open()
      assert.equal("result", task:await())
    end
  end)

  it("R78 into the group of the consumer is joined by that group", function()
    local log = {}
    rille.group(function(group)
      for _ in rille.generator(function()
        group:spawn(function()
          turns(3)
          log[#log + 1] = "child"
        end)
        coroutine.yield(1)
      end)() do break end
      log[#log + 1] = "loop left"
    end)
    log[#log + 1] = "group left"
    assert.same({ "loop left", "child", "group left" }, log)
  end)
end)

describe("a request that a body waits for", function()
  -- A spec with a client of one connection, whose requests for /slow are not answered.
  local function request_it(title, f)
    it(title, function()
      local hold = rille.event()
      local server <close> = http.serve({ host = "127.0.0.1", port = 0 }, function(req)
        if req.path == "/slow" then hold:wait() end
        return { status = 200, body = req.path }
      end)
      local _ <close> = closer(function() hold:set() end)
      local url = ("http://127.0.0.1:%d"):format(server.port)
      local client <close> = http.client({ max_connections = 1, base_url = url })
      f(client)
      assert.equal("/after", client:get("/after"):text())
    end)
  end

  -- Its only connection is free for the cleanup if the request was aborted before.
  local function requesting(client, log)
    return (rille.generator(function()
      local _ <close> = closer(function() log[#log + 1] = client:get("/cleanup"):text() end)
      coroutine.yield(client:get("/slow"):text())
    end)())
  end

  request_it("R46 is aborted by a close from another task, before the cleanup", function(client)
    local log = {}
    local g = requesting(client, log)
    local waiting = rille.spawn(function() return caught(g.next, g) end)
    until_waiting(waiting)
    turns()
    g:close()
    assert.same({ "/cleanup" }, log)
    assert.equal("closed", g:status())
    has(waiting:await(), "generator closed by another task")
  end)

  request_it("R61 is aborted by the cancellation of the consumer, before the cleanup", function(client)
    local log = {}
    local g = requesting(client, log)
    local consumer = rille.spawn(function() for _ in g:each() do break end end)
    until_waiting(consumer)
    turns()
    cancelled(consumer)
    assert.same({ "/cleanup" }, log)
  end)

  request_it("R64 is aborted by a time-out, before the cleanup", function(client)
    local log = {}
    local g = requesting(client, log)
    assert.is_true(rille.is_error(caught(rille.timeout, 0.01, g.next, g), "ETIMEDOUT"))
    assert.same({ "/cleanup" }, log)
    has(caught(g.next, g), "generator already failed")
  end)
end)

describe("a signal that is always caught", function()
  it("R66 by waits and requests in a body ends the task that steps it, and the body", function()
    local done = process.script([[
      local rille = require "rille"
      local http = require "rille.http"
      local tries, body = 0, nil
      local g = rille.generator(function()
        body = coroutine.running()
        while true do
          tries = tries + 1
          pcall(rille.sleep, 60)
          pcall(http.get, "http://127.0.0.1:1/")
        end
      end)()
      local task = rille.spawn(function() g:next() end)
      rille.sleep(0)
      task:cancel()
      print(pcall(task.await, task), task:status(), tries >= 2 and tries <= 110)
      print(coroutine.status(body), pcall(g.next, g))
    ]])
    assert.equal(0, done.status)
    local first, second = done.stdout:match("^(.-)\n(.*)$")
    assert.equal("false\tcancelled\ttrue", first)
    has(second, "dead\tfalse\t")
    has(done.stderr, "and was killed")
  end)

  it("R66 by waits in a body that is being closed ends the close, and the body", function()
    local tries, body = 0, nil
    local g = rille.generator(function()
      body = coroutine.running()
      pcall(coroutine.yield, 1)
      while true do
        tries = tries + 1
        pcall(rille.sleep, 60)
      end
    end)()
    g:next()
    has(caught(g.close, g), "generator ignored close: it caught the signal 100 times")
    assert.is_true(tries >= 2 and tries <= 110, tries)
    assert.equal("dead", coroutine.status(body))
    assert.equal("closed", g:status())
    turns()
  end)

  it("R66 by waits in a body whose loop was left: the cleanup is done, and the task goes on", function()
    local log = {}
    local function spin()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "cleanup"
      end)
      while true do pcall(coroutine.wrap(function() pcall(rille.sleep, 60) rille.sleep(60) end)) end
    end
    local gen = rille.generator(function()
      pcall(coroutine.yield, 1)
      spin()
    end)
    has(caught(function() for _ in gen() do break end end), "generator ignored close")
    log[#log + 1] = "after"
    assert.equal("mine", caught(function() for _ in gen() do error("mine", 0) end end))
    assert.same({ "cleanup", "after", "cleanup" }, log)
  end)

  it("R111 by pcall, xpcall, resume, wrap and a generator at once is not lost", function()
    local log = {}
    local function lossy()
      for _ = 1, 3 do
        log[#log + 1] = pcall(rille.sleep, 60)
        log[#log + 1] = xpcall(rille.sleep, debug.traceback, 60)
        log[#log + 1] = coroutine.resume(coroutine.create(rille.sleep), 60)
        log[#log + 1] = pcall(coroutine.wrap(rille.sleep), 60)
        local g = rille.generator(rille.sleep)(60)
        log[#log + 1] = pcall(g.next, g)
        log[#log + 1] = pcall(rille.timeout, 60, rille.sleep, 60)
        log[#log + 1] = pcall(rille.group, function() rille.sleep(60) end)
      end
      rille.sleep(0)
      log[#log + 1] = "not reached"
    end
    cancelled(rille.spawn(function()
      rille.generator(function() coroutine.wrap(lossy)() end)():next()
    end))
    assert.equal(21, #log)
    for i = 1, 21 do assert.is_false(log[i]) end
  end)
end)

describe("a generator that waits", function()
  it("R96 and that nobody else knows is kept by what it waits for", function()
    local weak = setmetatable({}, { __mode = "v" })
    local log, resume = {}, nil
    do
      rille.spawn(function()
        local g = rille.generator(function()
          local _ <close> = closer(function() log[#log + 1] = "cleanup" end)
          coroutine.yield(rille.callback(function(r) resume = r end))
        end)()
        weak[1] = g
        for v in g:each() do log[#log + 1] = v end
      end)
    end
    turns()
    for _ = 1, 3 do
      collectgarbage()
      rille.sleep(0)
    end
    assert.is_not_nil(weak[1])
    assert.equal("waiting", weak[1]:status())
    resume("item")
    turns()
    assert.same({ "item", "cleanup" }, log)
  end)
end)
