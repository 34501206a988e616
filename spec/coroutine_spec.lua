-- The coroutine table: the promises of the Lua manual, waits inside coroutines at any depth,
-- waits through pcall, metamethods and iterators, and the places where nothing may wait.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local expect = require("spec.helper.expect")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here

-- A coroutine that waits in rille.callback, the task that resumed it, and the function that
-- ends the wait.
local function waiting_coroutine()
  local resume, co
  co = coroutine.create(function()
    local v = rille.callback(function(r) resume = r end)
    coroutine.yield(v)
    return "end"
  end)
  local task = rille.spawn(function() return coroutine.resume(co) end)
  while not resume do rille.sleep(0) end
  return co, task, resume
end

describe("coroutine: the manual's promises", function()
  it("R106 create, resume and yield pass values with their count and nils", function()
    local co = coroutine.create(function(...)
      local r = table.pack(coroutine.yield(select("#", ...), ...))
      return r.n, table.unpack(r, 1, r.n)
    end)
    assert.same({ n = 5, true, 3, nil, 2 }, table.pack(coroutine.resume(co, nil, 2, nil)))
    assert.same({ n = 4, true, 2, nil, nil }, table.pack(coroutine.resume(co, nil, nil)))
    assert.equal("dead", coroutine.status(co))
    assert.same({ false, "cannot resume dead coroutine" }, { coroutine.resume(co) })
  end)

  it("R106 a yield of nothing and of nil is not an end", function()
    local co = coroutine.wrap(function()
      coroutine.yield()
      coroutine.yield(nil)
      return 1
    end)
    assert.equal(0, select("#", co()))
    assert.equal(1, select("#", co()))
    assert.equal(1, co())
    has(caught(co), "cannot resume dead coroutine")
  end)

  it("R106 status is told truthfully", function()
    local outer, inner
    local seen = {}
    outer = coroutine.create(function()
      seen[1] = coroutine.status(outer)
      inner = coroutine.create(function()
        seen[2] = coroutine.status(outer)
        seen[3] = coroutine.status(inner)
        coroutine.yield()
      end)
      seen[4] = coroutine.status(inner)
      coroutine.resume(inner)
      seen[5] = coroutine.status(inner)
    end)
    assert.equal("suspended", coroutine.status(outer))
    coroutine.resume(outer)
    assert.equal("dead", coroutine.status(outer))
    assert.same({ "running", "normal", "running", "suspended", "suspended" }, seen)
  end)

  it("R106 running gives the coroutine, and says that it is not the main one", function()
    local co, main
    co = coroutine.create(function()
      local me, ismain = coroutine.running()
      return rawequal(me, co), ismain
    end)
    assert.same({ true, true, false }, { coroutine.resume(co) })
    main = coroutine.running()
    assert.equal("thread", type(main))
    assert.equal("running", coroutine.status(main))
    coroutine.wrap(function() assert.equal("normal", coroutine.status(main)) end)()
  end)

  it("R106 isyieldable tells whether a yield would work", function()
    local co = coroutine.create(function() return coroutine.isyieldable() end)
    assert.is_true(coroutine.isyieldable(co))
    assert.same({ true, true }, { coroutine.resume(co) })
    local inside
    coroutine.wrap(function()
      table.sort({ 2, 1 }, function(a, b)
        inside = coroutine.isyieldable()
        return a < b
      end)
    end)()
    assert.is_false(inside)
  end)

  it("R106 isyieldable is true in a generator's body", function()
    local g = rille.generator(function() coroutine.yield(coroutine.isyieldable()) end)()
    assert.is_true((g:next()))
    g:close()
  end)

  it("R106 isyieldable of a task says what a yield there does", function()
    local said, ok = rille.spawn(function()
      local said = coroutine.isyieldable()
      return said, (pcall(coroutine.yield, 1))
    end):await()
    assert.equal(said, ok)
    assert.is_false(ok)
  end)

  it("R106 a yield outside a coroutine is an error with the manual's words", function()
    local said = "attempt to yield from outside a coroutine"
    has(caught(coroutine.yield, 1), said .. " (a task has nobody to yield to; ")
    local where
    local job = rille.spawn(function()
      where = here() coroutine.yield(1)
    end)
    has(caught(job.await, job), where .. ": " .. said)
    rille.sleep(0)
  end)

  it("R106 resume of itself, of its resumer and of a non-coroutine is refused", function()
    local co
    co = coroutine.create(function()
      local a = table.pack(coroutine.resume(co))
      local b = coroutine.wrap(function() return table.pack(coroutine.resume(co)) end)()
      return a, b
    end)
    local ok, a, b = coroutine.resume(co)
    assert.is_true(ok)
    assert.same({ false, "cannot resume non-suspended coroutine", n = 2 }, a)
    assert.same({ false, "cannot resume non-suspended coroutine", n = 2 }, b)
    has(caught(coroutine.resume, 0), "expected, got number")
    has(caught(coroutine.wrap, 0), "bad argument #1")
    has(caught(coroutine.create, 0), "bad argument #1")
    has(caught(coroutine.status, {}), "expected, got table")
  end)

  it("R106 resume of the task that runs is refused", function()
    assert.is_false((coroutine.resume((coroutine.running()))))
    local main = coroutine.running()
    coroutine.wrap(function() assert.is_false((coroutine.resume(main))) end)()
  end)

  it("R106 resume gives the error as it is, wrap puts a position before a string", function()
    local mine = {}
    local co = coroutine.create(function() error(mine) end)
    assert.same({ false, mine }, { coroutine.resume(co) })
    assert.is_true(rawequal(mine, caught(coroutine.wrap(function() error(mine) end))))
    co = coroutine.create(function() error("s", 0) end)
    assert.same({ false, "s" }, { coroutine.resume(co) })
    local where
    local f = coroutine.wrap(function() error("s", 0) end)
    local err = caught(function()
      where = here() local v = f()
      return v
    end)
    assert.equal(where .. ": s", err)
  end)

  it("R106 wrap closes its coroutine when that fails", function()
    local log = {}
    local f = coroutine.wrap(function()
      local _ <close> = closer(function(err) log[#log + 1] = err end)
      coroutine.yield(1)
      error("x", 0)
    end)
    f()
    caught(f)
    assert.same({ "x" }, log)
    has(caught(f), "cannot resume dead coroutine")
  end)

  it("R106 close ends a suspended coroutine and runs its <close> variables", function()
    local log = {}
    local co = coroutine.create(function()
      local _ <close> = closer(function(err) log[#log + 1] = err == nil and "closed" end)
      coroutine.yield(1)
    end)
    coroutine.resume(co)
    assert.same({ n = 1, true }, table.pack(coroutine.close(co)))
    assert.same({ "closed" }, log)
    assert.equal("dead", coroutine.status(co))
    assert.is_true((coroutine.close(co)))
  end)

  it("R106 close of a coroutine that was not started or is dead succeeds", function()
    assert.is_true((coroutine.close(coroutine.create(print))))
    local co = coroutine.create(function() end)
    coroutine.resume(co)
    assert.is_true((coroutine.close(co)))
  end)

  it("R106 close gives the error of a failed coroutine, and of its cleanup", function()
    local co = coroutine.create(function() error("failed", 0) end)
    coroutine.resume(co)
    assert.same({ false, "failed" }, { coroutine.close(co) })
    assert.is_true((coroutine.close(co)))
    co = coroutine.create(function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.same({ false, "cleanup" }, { coroutine.close(co) })
  end)

  it("R106 close of a running or normal coroutine is refused", function()
    has(caught(coroutine.close, (coroutine.running())), "running")
    local main = coroutine.running()
    local err = coroutine.wrap(function() return select(2, pcall(coroutine.close, main)) end)()
    has(err, "normal")
    err = coroutine.wrap(function()
      return select(2, pcall(coroutine.close, (coroutine.running())))
    end)()
    has(err, "running")
  end)

  it("R106 yields pass pcall, metamethods, iterators and close handlers", function()
    local object = setmetatable({}, {
      __index = function(_, k) return coroutine.yield(k) end,
      __eq = function() return coroutine.yield("eq") end,
      __len = function() return coroutine.yield("len") end,
      __unm = function() return coroutine.yield("unm") end,
      __newindex = function(_, k) coroutine.yield("new " .. k) end,
    })
    local co = coroutine.wrap(function()
      local r = { pcall(coroutine.yield, "pcall") }
      r[#r + 1] = object.index
      r[#r + 1] = object == setmetatable({}, getmetatable(object))
      r[#r + 1] = #object
      r[#r + 1] = -object
      object.key = 1
      do
        local _ <close> = closer(function() coroutine.yield("close") end)
      end
      return r
    end)
    local names = { "pcall", "index", "eq", "len", "unm", "new key", "close" }
    local sent = {}
    for i, name in ipairs(names) do
      assert.equal(name, co(sent[i]))
      sent[i + 1] = i
    end
    assert.same({ true, 1, 2, true, 4, 5 }, co())
  end)

  it("R106 an error after a yield inside a pcall is caught there", function()
    local co = coroutine.wrap(function()
      local ok, err = pcall(function()
        coroutine.yield(1)
        error("x", 0)
      end)
      return ok, err
    end)
    assert.equal(1, co())
    assert.same({ false, "x" }, { co() })
  end)

  it("R106 xpcall calls its handler with the error and gives the handler's results", function()
    local co = coroutine.wrap(function()
      return xpcall(function(...)
        coroutine.yield(...)
        error("x", 0)
      end, function(err) return err .. "!", "dropped" end, 1, nil, 3)
    end)
    assert.same({ n = 3, 1, nil, 3 }, table.pack(co()))
    assert.same({ n = 2, false, "x!" }, table.pack(co()))
  end)

  it("R106 pcall and xpcall keep counts and nils, and refuse what they refuse in Lua", function()
    assert.same({ n = 4, true, nil, 2, nil },
      table.pack(pcall(function(...) return ... end, nil, 2, nil)))
    assert.same({ n = 1, true }, table.pack(pcall(function() end)))
    assert.same({ n = 2, false }, table.pack(pcall(error)))
    assert.same({ n = 2, false, nil }, table.pack(pcall(error, nil)))
    assert.is_false((pcall(pcall)))
    assert.is_false((pcall(xpcall, print)))
    local function pass(...) return ... end
    assert.same({ n = 3, true, 1, nil }, table.pack(xpcall(pass, print, 1, nil)))
    has(caught(nil), "attempt to call a nil value")
  end)

  it("R106 a stack overflow is an error that pcall catches", function()
    local function overflow() return 1 + overflow() end
    has(caught(overflow), "stack overflow")
    has(select(2, coroutine.resume(coroutine.create(overflow))), "stack overflow")
    rille.sleep(0)
  end)

  it("R106 an iterator made by wrap works in a for as in Lua", function()
    local seen = {}
    for a, b in coroutine.wrap(function()
      for i = 1, 3 do coroutine.yield(i, i * i) end
    end) do seen[#seen + 1] = a + b end
    assert.same({ 2, 6, 12 }, seen)
  end)

  it("L10 wrap passes what the for sends, and its return value is an item", function()
    local counts, seen = {}, {}
    for v in coroutine.wrap(function(...)
      counts[1] = select("#", ...)
      counts[2] = select("#", coroutine.yield(1))
      if not counts.done then
        counts.done = true
        return 2
      end
    end) do
      seen[#seen + 1] = v
      if v == 2 then break end
    end
    assert.same({ 2, 2, done = true }, counts)
    assert.same({ 1, 2 }, seen)
  end)

  it("R106 permutations, as in Programming in Lua", function()
    local function permgen(a, n)
      if n <= 1 then
        coroutine.yield(table.concat(a))
      else
        for i = 1, n do
          a[n], a[i] = a[i], a[n]
          permgen(a, n - 1)
          a[n], a[i] = a[i], a[n]
        end
      end
    end
    local seen = {}
    for p in coroutine.wrap(function() permgen({ "a", "b", "c" }, 3) end) do
      seen[#seen + 1] = p
    end
    assert.same({ "bca", "cba", "cab", "acb", "bac", "abc" }, seen)
  end)

  it("R106 a stranger that resumes a generator's body does no harm", function()
    local body
    local g = rille.generator(function()
      body = coroutine.running()
      coroutine.yield(1)
      coroutine.yield(2)
    end)()
    g:next()
    pcall(coroutine.resume, body, "x")
    pcall(coroutine.close, body)
    pcall(g.next, g)
    pcall(g.close, g)
    collectgarbage()
    rille.sleep(0)
    assert.is_truthy(({ exhausted = true, closed = true, failed = true })[g:status()])
  end)
end)

describe("coroutine: waits inside", function()
  it("R108 a wait inside wrap passes through its caller", function()
    local seen = {}
    for v in coroutine.wrap(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(i)
        rille.sleep(0.001)
      end
    end) do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("R108 a wait inside create and resume passes through its resumer", function()
    local co = coroutine.create(function(a)
      rille.sleep(0)
      local b = coroutine.yield(a, nil)
      rille.sleep(0)
      return b, nil, "end"
    end)
    assert.same({ n = 3, true, "a" }, table.pack(coroutine.resume(co, "a")))
    assert.equal("suspended", coroutine.status(co))
    assert.same({ n = 4, true, "b", nil, "end" }, table.pack(coroutine.resume(co, "b")))
    assert.equal("dead", coroutine.status(co))
  end)

  it("R108 an error after a wait reaches the resumer as it would without", function()
    local mine = {}
    local co = coroutine.create(function()
      rille.sleep(0)
      error(mine)
    end)
    local ok, err = coroutine.resume(co)
    assert.is_false(ok)
    assert.is_true(rawequal(mine, err))
    assert.equal("dead", coroutine.status(co))
    assert.is_true(rawequal(mine, caught(coroutine.wrap(function()
      rille.sleep(0)
      error(mine)
    end))))
    local where
    local f = coroutine.wrap(function()
      rille.sleep(0)
      error("s", 0)
    end)
    assert.equal(": s", caught(function()
      where = here() local v = f()
      return v
    end):sub(#where + 1))
  end)

  it("R108 wrap that fails after a wait runs its <close> variables", function()
    local log = {}
    local f = coroutine.wrap(function()
      local _ <close> = closer(function(err) log[#log + 1] = err end)
      rille.sleep(0)
      error("x", 0)
    end)
    caught(f)
    assert.same({ "x" }, log)
  end)

  it("R12 every Lua value can be yielded after a wait inside wrap", function()
    local thread = coroutine.create(print)
    local values = { print, rille.sleep, thread, io.stdout, {}, 0, "", true, false }
    local f = coroutine.wrap(function()
      for i = 1, #values do
        rille.sleep(0)
        coroutine.yield(values[i], nil)
      end
      coroutine.yield(nil, 1)
    end)
    for i = 1, #values do
      local r = table.pack(f())
      assert.equal(2, r.n)
      assert.is_true(rawequal(values[i], r[1]))
    end
    assert.same({ n = 2, [2] = 1 }, table.pack(f()))
  end)

  it("R108 other tasks run while the coroutine waits, and only its resumer is parked", function()
    local log = {}
    local co, task, resume = waiting_coroutine()
    log[#log + 1] = "main runs"
    assert.equal("waiting", task:status())
    resume("value")
    assert.same({ true, "value" }, { task:await() })
    assert.equal("suspended", coroutine.status(co))
    assert.same({ true, "end" }, { coroutine.resume(co) })
    assert.same({ "main runs" }, log)
  end)

  it("R108 different tasks may resume one coroutine one after another", function()
    local co = coroutine.create(function()
      for i = 1, 6 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)
    local seen = {}
    for _ = 1, 3 do
      seen[#seen + 1] = rille.spawn(function() return select(2, coroutine.resume(co)) end):await()
      seen[#seen + 1] = select(2, coroutine.resume(co))
    end
    assert.same({ 1, 2, 3, 4, 5, 6 }, seen)
  end)

  it("R108 tasks with a coroutine each take turns", function()
    local log, tasks = {}, {}
    for _, name in ipairs({ "a", "b" }) do
      tasks[name] = rille.spawn(function()
        for v in coroutine.wrap(function()
          for i = 1, 3 do
            coroutine.yield(name .. i)
            rille.sleep(0)
          end
        end) do log[#log + 1] = v end
      end)
    end
    tasks.a:await()
    tasks.b:await()
    assert.same({ "a1", "b1", "a2", "b2", "a3", "b3" }, log)
  end)

  it("R108 generators and coroutines nest with waits at each level", function()
    local function level(n)
      if n == 0 then
        return coroutine.wrap(function()
          for i = 1, 3 do
            rille.sleep(0)
            coroutine.yield(i)
          end
        end)
      elseif n % 3 == 0 then
        return coroutine.wrap(function()
          for v in level(n - 1) do
            rille.sleep(0)
            coroutine.yield(v)
          end
        end)
      elseif n % 3 == 1 then
        return (rille.generator(function()
          for v in level(n - 1) do
            rille.sleep(0)
            coroutine.yield(v)
            rille.sleep(0)
          end
        end)())
      end
      local co = coroutine.create(function()
        for v in level(n - 1) do
          coroutine.yield(v)
          rille.sleep(0)
        end
      end)
      return function()
        local ok, v = coroutine.resume(co)
        assert(ok, v)
        return v
      end
    end
    for _, depth in ipairs({ 0, 1, 2, 3, 4, 9, 30 }) do
      local seen = {}
      for v in level(depth) do seen[#seen + 1] = v end
      assert.same({ 1, 2, 3 }, seen)
    end
  end)

  it("R108 waits pass 500 levels of wrap", function()
    local function level(n)
      return coroutine.wrap(function()
        if n == 0 then
          for i = 1, 3 do
            rille.sleep(0)
            coroutine.yield(i)
          end
        else
          for v in level(n - 1) do coroutine.yield(v) end
        end
      end)
    end
    local seen = {}
    for v in level(500) do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3 }, seen)
  end)

  it("R108 an error after a wait passes 500 levels of resume", function()
    local mine = {}
    local function level(n)
      if n == 0 then
        rille.sleep(0)
        error(mine)
      end
      local ok, err = coroutine.resume(coroutine.create(level), n - 1)
      assert(not ok)
      error(err, 0)
    end
    assert.is_true(rawequal(mine, caught(level, 500)))
  end)

  it("R109 running, status and isyieldable stay truthful across waits", function()
    local co
    local seen = {}
    co = coroutine.create(function()
      rille.sleep(0)
      local me, ismain = coroutine.running()
      seen = { rawequal(me, co), ismain, coroutine.status(co), coroutine.isyieldable() }
      coroutine.yield()
    end)
    coroutine.resume(co)
    assert.same({ true, false, "running", true }, seen)
    assert.equal("suspended", coroutine.status(co))
  end)

  it("R109 running, status and isyieldable are truthful in a generator's body", function()
    local consumer = coroutine.running()
    local body, seen
    local g = rille.generator(function()
      rille.sleep(0)
      local ismain
      body, ismain = coroutine.running()
      seen = {
        ismain, coroutine.status(body), coroutine.status(consumer), coroutine.isyieldable(),
      }
      coroutine.yield(1)
    end)()
    g:next()
    assert.is_false(rawequal(body, consumer))
    assert.same({ false, "running", "normal", true }, seen)
    assert.equal("suspended", coroutine.status(body))
    g:next()
    assert.equal("dead", coroutine.status(body))
  end)

  it("R109 debug.traceback works on a suspended and on a waiting body", function()
    local body, resume
    local function helper_of_the_body()
      body = coroutine.running()
      coroutine.yield(1)
      rille.callback(function(r) resume = r end)
      return 1
    end
    local g = rille.generator(function() return helper_of_the_body() + 1 end)()
    g:next()
    has(debug.traceback(body), "helper_of_the_body")
    local task = rille.spawn(function() g:next() end)
    while not resume do rille.sleep(0) end
    has(debug.traceback(body), "helper_of_the_body")
    resume()
    task:await()
  end)

  it("R107 resume of a coroutine that waits is refused, and does it no harm", function()
    local co, task, resume = waiting_coroutine()
    for _ = 1, 2 do
      local r = table.pack(coroutine.resume(co, "intruder"))
      assert.is_false(r[1])
      has(r[2], "cannot resume a coroutine that is waiting for")
      has(r[2], "callback")
      has(r[2], "coroutine_spec.lua:")
    end
    resume("value")
    assert.same({ true, "value" }, { task:await() })
    assert.same({ true, "end" }, { coroutine.resume(co) })
  end)

  it("R107 the refusal names the sleep and its place", function()
    local where
    local co = coroutine.create(function()
      where = here() rille.sleep(0.005)
    end)
    local task = rille.spawn(coroutine.resume, co)
    while task:status() ~= "waiting" do rille.sleep(0) end
    local _, err = coroutine.resume(co)
    has(err, "cannot resume a coroutine that is waiting for")
    has(err, "sleep")
    has(err, where)
    assert.is_true((task:await()))
  end)

  it("R107 a call of a wrap that waits is refused, and does it no harm", function()
    local resume
    local f = coroutine.wrap(function()
      coroutine.yield((rille.callback(function(r) resume = r end)))
      return "end"
    end)
    local task = rille.spawn(f)
    while not resume do rille.sleep(0) end
    has(caught(f), "cannot resume a coroutine that is waiting for")
    resume("value")
    assert.equal("value", task:await())
    assert.equal("end", f())
  end)

  it("R107 close of a coroutine that waits is refused, and does it no harm", function()
    local co, task, resume = waiting_coroutine()
    has(caught(coroutine.close, co), "waiting")
    resume("value")
    assert.same({ true, "value" }, { task:await() })
    assert.is_true((coroutine.close(co)))
  end)

  it("R107 the thread of a waiting task can be neither resumed nor closed", function()
    local thread, resume
    local task = rille.spawn(function()
      thread = coroutine.running()
      return (rille.callback(function(r) resume = r end))
    end)
    while not resume do rille.sleep(0) end
    assert.is_false((coroutine.resume(thread)))
    caught(coroutine.close, thread)
    resume("value")
    assert.equal("value", task:await())
  end)

  it("R107 the resumer of a waiting coroutine can be neither resumed nor closed", function()
    local outer, resume
    outer = coroutine.create(function()
      return coroutine.wrap(function()
        return (rille.callback(function(r) resume = r end))
      end)()
    end)
    local task = rille.spawn(coroutine.resume, outer)
    while not resume do rille.sleep(0) end
    assert.is_false((coroutine.resume(outer)))
    caught(coroutine.close, outer)
    resume("value")
    assert.same({ true, "value" }, { task:await() })
  end)

  it("R107 the status of a waiting coroutine is neither dead nor suspended", function()
    local co, task, resume = waiting_coroutine()
    assert.equal("normal", coroutine.status(co))
    resume()
    task:await()
  end)
end)

describe("coroutine: waits through Lua's own calls", function()
  local function waits(v)
    rille.sleep(0)
    return v
  end

  it("R103 pcall and xpcall", function()
    assert.same({ n = 3, true, 1, nil }, table.pack(pcall(function(...)
      waits()
      return ...
    end, 1, nil)))
    assert.same({ false, "x" }, { pcall(function()
      waits()
      error("x", 0)
    end) })
    assert.same({ false, "x!" }, { xpcall(function()
      waits()
      error("x", 0)
    end, function(err) return err .. "!" end) })
    local ok, r = pcall(pcall, pcall, function() return waits("deep") end)
    assert.same({ true, true }, { ok, r })
  end)

  it("R103 metamethods", function()
    local store = {}
    local object = setmetatable({}, {
      __index = function(_, k) return waits(k) end,
      __newindex = function(_, k, v) store[k] = waits(v) end,
      __call = function(_, ...) waits() return ... end,
      __add = function() return waits("add") end,
      __concat = function() return waits("concat") end,
      __lt = function() return waits(true) end,
      __le = function() return waits(false) end,
      __eq = function() return waits(true) end,
      __len = function() return waits(7) end,
      __unm = function() return waits("unm") end,
      __idiv = function() return waits("idiv") end,
      __band = function() return waits("band") end,
    })
    local twin = setmetatable({}, getmetatable(object))
    object.key = "value"
    assert.same({ key = "value" }, store)
    assert.same({
      "name", "called", "add", "concat", true, false, true, 7, "unm", "idiv", "band",
    }, {
      object.name, object("called"), object + 1, object .. "x", object < twin, object <= twin,
      object == twin, #object, -object, object // 1, object & 1,
    })
  end)

  it("R103 iterators and __pairs", function()
    local seen = {}
    for i in function(_, i) if waits(i) < 3 then return i + 1 end end, nil, 0 do
      seen[#seen + 1] = i
    end
    local object = setmetatable({}, { __pairs = function(t)
      waits()
      return function(_, k) return waits(not k and "key" or nil), "value" end, t, nil
    end })
    for k, v in pairs(object) do seen[#seen + 1] = k .. v end
    assert.same({ 1, 2, 3, "keyvalue" }, seen)
  end)

  it("R103 close handlers on every way out of a block", function()
    local log = {}
    local function guard(name)
      return closer(function()
        waits()
        log[#log + 1] = name
      end)
    end
    do
      local _ <close> = guard("end")
    end
    while true do
      local _ <close> = guard("break")
      break
    end
    do
      local _ <close> = guard("goto")
      goto out
    end
    ::out::
    local r = table.pack((function(...)
      local _ <close> = guard("return")
      return ...
    end)(1, nil, 3))
    assert.same({ n = 3, 1, nil, 3 }, r)
    assert.same({ false, "x" }, { pcall(function()
      local _ <close> = guard("error")
      error("x", 0)
    end) })
    assert.same({ "end", "break", "goto", "return", "error" }, log)
  end)

  it("R103 the closing value of a plain for loop", function()
    local log = {}
    for _ in next, { 1, 2 }, nil, closer(function()
      waits()
      log[1] = "closed"
    end) do break end
    assert.same({ "closed" }, log)
  end)

  it("R103 dofile", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    file:write('local rille = require("rille")\nrille.sleep(0)\nreturn "from the file", nil, 3\n')
    file:close()
    local r = table.pack(pcall(dofile, path))
    os.remove(path)
    assert.same({ n = 4, true, "from the file", nil, 3 }, r)
  end)

  it("L14 require of a module that waits", function()
    package.preload["spec.module_that_waits"] = function(name, extra)
      rille.sleep(0)
      return { name = name, extra = extra }
    end
    local module, extra = require("spec.module_that_waits")
    assert.equal("spec.module_that_waits", module.name)
    assert.equal(":preload:", module.extra)
    assert.equal(":preload:", extra)
    assert.is_true(rawequal(module, (require("spec.module_that_waits"))))
    package.preload["spec.module_that_waits"] = nil
    package.loaded["spec.module_that_waits"] = nil
  end)

  it("L14 require keeps Lua's words for a module that is not there, and its errors", function()
    has(caught(require, "spec.no_such_module"), "module 'spec.no_such_module' not found")
    local mine = {}
    package.preload["spec.module_that_fails"] = function()
      rille.sleep(0)
      error(mine)
    end
    assert.is_true(rawequal(mine, caught(require, "spec.module_that_fails")))
    assert.is_nil(package.loaded["spec.module_that_fails"])
    package.preload["spec.module_that_fails"] = nil
    package.preload["spec.module_without_value"] = function() end
    assert.is_true((require("spec.module_without_value")))
    package.preload["spec.module_without_value"] = nil
    package.loaded["spec.module_without_value"] = nil
  end)

  -- Calls f while the module's loader is there, and the table that it counts its calls in.
  local function with_module(loader, f)
    local name, calls = "spec.module_of_several", { n = 0 }
    local _ <close> = closer(function() package.preload[name], package.loaded[name] = nil, nil end)
    package.preload[name] = function()
      calls.n = calls.n + 1
      return loader(calls.n)
    end
    f(name, calls)
  end

  local function waiting_loader(n)
    rille.sleep(0)
    return { n = n }
  end

  it("L14 require by several tasks at once loads a module once, and all get it", function()
    with_module(waiting_loader, function(name, calls)
      local function load() return (require(name)) end
      local body = rille.generator(function() coroutine.yield(load()) end)
      local got = rille.all({ load, load, function() return (body():first()) end })
      assert.equal(1, calls.n)
      for i = 1, 3 do assert.is_true(rawequal(package.loaded[name], got[i])) end
    end)
  end)

  it("L14 require by several tasks of a module whose searcher waits loads it once", function()
    local name, calls = "spec.module_searched_for", 0
    table.insert(package.searchers, 1, function(wanted)
      if wanted ~= name then return nil end
      rille.sleep(0)
      return function()
        calls = calls + 1
        return { calls }
      end
    end)
    local function load() return (require(name)) end
    local got = rille.all({ load, load })
    table.remove(package.searchers, 1)
    package.loaded[name] = nil
    assert.equal(1, calls)
    assert.is_true(rawequal(got[1], got[2]))
  end)

  it("L14 require of a module that fails while another task waits for it lets that one load it", function()
    with_module(function(n)
      rille.sleep(0)
      if n == 1 then error("the first time", 0) end
      return { n = n }
    end, function(name)
      local function load()
        local ok, v = pcall(require, name)
        return { ok, v }
      end
      local got = rille.all({ load, load })
      assert.same({ { false, "the first time" }, { true, { n = 2 } } }, got)
    end)
  end)

  it("L14 require that is cancelled while it loads lets the next task load the module", function()
    with_module(function(n)
      rille.sleep(n == 1 and 60 or 0)
      return { n = n }
    end, function(name, calls)
      local first = rille.spawn(require, name)
      local second = rille.spawn(require, name)
      expect.until_waiting(second)
      first:cancel()
      assert.equal(2, second:await().n)
      assert.equal(2, calls.n)
      has(caught(first.await, first), "cancelled")
    end)
  end)

  it("L14 require that waits for another task's is named in a report, with the module", function()
    with_module(waiting_loader, function(name)
      local first, second = rille.spawn(require, name), rille.spawn(require, name)
      expect.until_waiting(second)
      has(tostring(second), "require '" .. name .. "'")
      has(caught(table.sort, { 2, 1 }, function() require(name) end),
          "cannot wait for require '" .. name .. "' inside table.sort")
      first:await()
      second:await()
    end)
  end)

  it("R103 all of these in the body of a generator inside a coroutine", function()
    local object = setmetatable({}, { __index = function(_, k) return waits(k) end })
    local seen = {}
    for v in coroutine.wrap(function()
      for v in rille.generator(function()
        local _ <close> = closer(function() waits() seen[#seen + 1] = "closed" end)
        coroutine.yield(select(2, pcall(function() return object.a end)))
        coroutine.yield(select(2, xpcall(function() return object.b end, debug.traceback)))
      end)() do coroutine.yield(v) end
    end) do seen[#seen + 1] = v end
    assert.same({ "a", "b", "closed" }, seen)
  end)
end)

describe("coroutine: boundaries where nothing may wait", function()
  -- Each calls f below a C function that cannot be left and entered again.
  local boundaries = {
    { "table.sort", function(f) table.sort({ 2, 1 }, function() f() return false end) end },
    { "string.gsub", function(f) string.gsub("x", "x", function() f() end) end },
    { "tostring", function(f)
      return (tostring(setmetatable({}, { __tostring = function() f() return "text" end })))
    end },
  }

  for _, boundary in ipairs(boundaries) do
    local name, under = boundary[1], boundary[2]

    it("R104 a wait inside " .. name .. " names it", function()
      local err = caught(under, function() rille.sleep(0) end)
      has(err, "cannot")
      has(err, name)
      rille.sleep(0)
    end)

    it("R104 a wait inside " .. name .. " fails before anything is started", function()
      local started = false
      has(caught(under, function()
        rille.callback(function(resume)
          started = true
          resume()
        end)
      end), name)
      assert.is_false(started)
    end)

    it("R104 a step of a generator inside " .. name .. " fails at the call", function()
      local ran = false
      local g = rille.generator(function()
        ran = true
        coroutine.yield(1)
      end)()
      local err = caught(under, function() g:next() end)
      has(err, "cannot")
      has(err, name)
      assert.is_false(ran)
      assert.equal("created", g:status())
      assert.equal(1, (g:next()))
      err = caught(under, function() g:next() end)
      has(err, name)
      assert.equal("suspended", g:status())
      g:close()
    end)

    it("R104 a yield of a body inside " .. name .. " names it", function()
      local g = rille.generator(function()
        coroutine.yield(select(2, pcall(under, function() coroutine.yield(1) end)))
      end)()
      local err = g:next()
      has(err, "cannot")
      has(err, name)
      g:close()
    end)

    it("R104 a wait in a coroutine that was resumed inside " .. name .. " names it", function()
      local err
      caught(under, function()
        local ok
        ok, err = coroutine.resume(coroutine.create(function() rille.sleep(0) end))
        error(ok)
      end)
      has(err, "cannot")
      has(err, name)
      rille.sleep(0)
    end)

    it("R104 an await inside " .. name .. " names it and leaves the task alone", function()
      local task = rille.spawn(function()
        rille.sleep(0.001)
        return "result"
      end)
      has(caught(under, function() task:await() end), name)
      assert.equal("result", task:await())
    end)

    it("R106 a coroutine that does not wait works inside " .. name, function()
      local got
      under(function()
        local f = coroutine.wrap(function() coroutine.yield(1) return 2 end)
        got = { f(), f() }
      end)
      assert.same({ 1, 2 }, got)
    end)
  end

  it("R104 a wait inside __gc names it, and starts nothing", function()
    local ok, err
    local g = rille.generator(function() coroutine.yield(1) end)()
    ;(function()
      setmetatable({}, { __gc = function()
        ok, err = pcall(rille.sleep, 0)
        pcall(g.close, g)
      end })
    end)()
    collectgarbage()
    collectgarbage()
    g:close()
    assert.is_false(ok)
    has(err, "cannot")
    has(err, "__gc")
  end)

  it("R104 a wait inside a message handler or a load reader is refused", function()
    local ok, err
    xpcall(error, function()
      ok, err = pcall(rille.sleep, 0)
    end, "x")
    assert.is_false(ok)
    has(err, "cannot")
    ok = nil
    load(function()
      ok, err = pcall(rille.sleep, 0)
      return nil
    end)
    assert.is_false(ok)
    has(err, "cannot")
    has(err, "load")
  end)

  it("R104 a wait inside a debug hook is refused", function()
    local ok, err
    debug.sethook(function()
      debug.sethook()
      ok, err = pcall(rille.sleep, 0)
    end, "l")
    local x = 1
    debug.sethook()
    assert.equal(1, x)
    assert.is_false(ok)
    has(err, "cannot")
  end)

  it("R104 a close handler that waits inside coroutine.close is told so", function()
    local co = coroutine.create(function()
      local _ <close> = closer(function() rille.sleep(0) end)
      coroutine.yield()
    end)
    coroutine.resume(co)
    local ok, err = coroutine.close(co)
    assert.is_false(ok)
    has(err, "cannot")
    has(err, "clos")
    assert.equal("dead", coroutine.status(co))
  end)

  it("R104 the refusal does not depend on whether the wait would be short", function()
    local done = rille.spawn(function() return "done" end)
    done:await()
    local ended = rille.generator(function() end)()
    ended:next()
    table.sort({ 2, 1 }, function()
      local ok, err = pcall(rille.sleep, 0)
      assert(not ok and err:find("table.sort", 1, true), err)
      return false
    end)
  end)

  it("R104 the boundary of a body is found below a generator and a coroutine", function()
    local err
    for _ in coroutine.wrap(function()
      for v in rille.generator(function()
        table.sort({ 2, 1 }, function()
          err = select(2, pcall(rille.sleep, 0))
          return false
        end)
        coroutine.yield("item")
      end)() do coroutine.yield(v) end
    end) do rille.sleep(0) end
    has(err, "table.sort")
  end)
end)
