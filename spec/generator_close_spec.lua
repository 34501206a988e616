-- Generators: how they are closed, by hand, by the end of a loop and by operators.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local expect = require("spec.helper.expect")
local generators = require("spec.helper.generators")

local caught, has, closer, here = expect.caught, expect.has, expect.closer, expect.here
local counter, logged, kind = generators.counter, generators.logged, generators.kind

describe("rille.generator: close", function()
  it("R41 close of a created generator runs nothing", function()
    local ran = false
    local g = rille.generator(function() ran = true end)()
    g:close()
    assert.is_false(ran)
    assert.equal("closed", g:status())
    local ok, v = pcall(g.next, g)
    assert.is_true(not ok or v == nil)
    assert.is_false(ran)
  end)

  it("R41 close of a created generator releases its arguments", function()
    local weak = setmetatable({}, { __mode = "v" })
    local gen = rille.generator(function() end)
    local g = (function()
      local argument = {}
      weak[1] = argument
      return (gen(argument))
    end)()
    collectgarbage()
    assert.is_not_nil(weak[1])
    g:close()
    collectgarbage()
    collectgarbage()
    assert.is_nil(weak[1])
    assert.equal("closed", g:status())
  end)

  it("R42 close raises at the yield; cleanup runs innermost first", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function(err)
        log[#log + 1] = err ~= nil and "outer"
      end)
      local ok, err = pcall(function()
        local _ <close> = closer(function(e)
          log[#log + 1] = e ~= nil and "inner"
        end)
        coroutine.yield(1)
        log[#log + 1] = "not reached"
      end)
      log[#log + 1] = ok == false and "pcall"
      error(err, 0)
    end)()
    g:next()
    g:close()
    assert.same({ "inner", "pcall", "outer" }, log)
    assert.equal("closed", g:status())
  end)

  it("R42 several <close> variables of one block close last first", function()
    local log = {}
    local g = rille.generator(function()
      local a <close> = closer(function() log[#log + 1] = "a" end)
      local b <close> = closer(function() rille.sleep(0) log[#log + 1] = "b" end)
      local c <close> = closer(function() log[#log + 1] = "c" end)
      coroutine.yield(a, b, c)
    end)()
    g:next()
    g:close()
    assert.same({ "c", "b", "a" }, log)
  end)

  it("R43 cleanup may wait, and close returns after it", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        for i = 1, 3 do
          rille.sleep(0.001)
          log[#log + 1] = i
        end
      end)
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    log[#log + 1] = "returned"
    assert.same({ 1, 2, 3, "returned" }, log)
  end)

  it("R43 cleanup may run a whole loop over another generator", function()
    local log = {}
    for _ in rille.generator(function()
      local _ <close> = closer(function()
        for v in counter(3, true)() do log[#log + 1] = v end
      end)
      coroutine.yield(1)
    end)() do break end
    log[#log + 1] = "after"
    assert.same({ 1, 2, 3, "after" }, log)
  end)

  it("R43 other tasks run while a cleanup waits", function()
    local log, resume = {}, nil
    local task = rille.spawn(function()
      for _ in rille.generator(function()
        local _ <close> = closer(function()
          rille.callback(function(r) resume = r end)
          log[#log + 1] = "cleanup"
        end)
        coroutine.yield(1)
      end)() do break end
      log[#log + 1] = "after"
    end)
    while not resume do rille.sleep(0) end
    log[#log + 1] = "main"
    resume()
    task:await()
    assert.same({ "main", "cleanup", "after" }, log)
  end)

  it("R44 close is idempotent in every final state", function()
    local cleaned = {}
    local g = logged(cleaned, "x")()
    g:next()
    g:close()
    g:close()
    assert.equal("closed", g:status())
    assert.same({ "x" }, cleaned)

    g = counter(1)()
    g:close()
    g:close()
    assert.equal("closed", g:status())

    g = counter(0)()
    g:next()
    g:close()
    g:close()
    assert.equal("exhausted", g:status())
  end)

  it("R45 close of a failed generator does not repeat the error", function()
    local g = rille.generator(function() error("once") end)()
    caught(g.next, g)
    g:close()
    g:close()
    assert.equal("failed", g:status())
  end)

  it("R49 close from inside the running body is an error, not a hang", function()
    local g, errors
    g = rille.generator(function()
      errors = { select(2, pcall(g.close, g)) }
      rille.sleep(0)
      errors[2] = select(2, pcall(g.close, g))
      errors[3] = select(2, coroutine.wrap(function() return pcall(g.close, g) end)())
      coroutine.yield("alive")
    end)()
    assert.equal("alive", (g:next()))
    for i = 1, 3 do
      has(errors[i], "cannot close a running generator from inside it; use return")
    end
    g:close()
    assert.equal("closed", g:status())
  end)

  it("R49 close from inside its own cleanup is not a hang", function()
    local g, err
    g = rille.generator(function()
      local _ <close> = closer(function()
        err = select(2, pcall(g.close, g))
      end)
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    assert.equal("closed", g:status())
    has(err, "cannot close a running generator from inside it")
  end)

  it("R50 a body that yields again at close is reported, with the place", function()
    local where
    local body
    local g = rille.generator(function()
      body = coroutine.running()
      pcall(coroutine.yield, 1)
      where = here() coroutine.yield(2)
    end)()
    g:next()
    local err = caught(g.close, g)
    has(err, "generator ignored close")
    has(err, where)
    assert.equal("dead", coroutine.status(body))
    g:close()
  end)

  it("R50 close ends even a body that always catches and yields", function()
    local steps = 0
    local g = rille.generator(function()
      while true do
        steps = steps + 1
        pcall(coroutine.yield, steps)
      end
    end)()
    g:next()
    has(caught(g.close, g), "generator ignored close")
    local before = steps
    g:close()
    pcall(g.next, g)
    rille.sleep(0)
    assert.equal(before, steps)
  end)

  it("R50 the killed body does not go on after its loop was left", function()
    local log = {}
    has(caught(function()
      for _ in rille.generator(function()
        while true do
          pcall(coroutine.yield, 1)
          log[#log + 1] = "caught"
        end
      end)() do break end
      log[#log + 1] = "after"
    end), "generator ignored close")
    assert.same({ "caught" }, log)
  end)

  it("R50 a yield in a cleanup is a yield after close", function()
    local g = rille.generator(function()
      local _ <close> = closer(function() coroutine.yield("from cleanup") end)
      coroutine.yield(1)
    end)()
    g:next()
    has(caught(g.close, g), "generator ignored close")
  end)

  it("R51 a body that catches the signal and returns is closed", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      return
    end)()
    g:next()
    g:close()
    assert.equal("closed", g:status())
  end)

  it("R52 close gives the body's return values", function()
    local g = rille.generator(function()
      pcall(coroutine.yield, 1)
      return "bye", nil, 3
    end)()
    g:next()
    assert.same({ n = 3, "bye", nil, 3 }, table.pack(g:close()))
  end)

  it("R66 a closing body that caught the signal gets it again at its next wait", function()
    local log = {}
    local g = rille.generator(function()
      local _, first = pcall(coroutine.yield, 1)
      local ok, second = pcall(rille.sleep, 0)
      log = { kind(first) == kind(second), ok }
    end)()
    g:next()
    g:close()
    assert.same({ true, false }, log)
    assert.equal("closed", g:status())
  end)

  it("R54 cleanup runs in the task that closes", function()
    local log, resume = {}, nil
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.callback(function(r) resume = r end)
        log[#log + 1] = "cleanup"
      end)
      for i = 1, 10 do coroutine.yield(i) end
    end)()
    local first = rille.spawn(function()
      g:next()
      rille.sleep(0)
      rille.sleep(0)
      log[#log + 1] = "first task went on"
    end)
    local second = rille.spawn(function()
      rille.sleep(0)
      g:close()
      log[#log + 1] = "second task went on"
    end)
    first:await()
    rille.sleep(0)
    assert.equal("waiting", second:status())
    resume()
    second:await()
    assert.same({ "first task went on", "cleanup", "second task went on" }, log)
  end)

  it("R55 cleanup of a break completes before the statement after the loop", function()
    local log = {}
    for _ in logged(log, "cleanup", true)() do break end
    log[#log + 1] = "after"
    assert.same({ "cleanup", "after" }, log)
  end)

  it("R55 cleanup inside a coroutine inside a generator inside a pcall is complete too", function()
    local log = {}
    local ok, result = pcall(function()
      for v in rille.generator(function()
        local co = coroutine.wrap(function()
          for v in logged(log, "inner", true)() do
            rille.sleep(0)
            coroutine.yield(v)
            break
          end
          log[#log + 1] = "coroutine"
        end)
        for v in co do coroutine.yield(v) end
        log[#log + 1] = "body"
      end)() do log[#log + 1] = v end
      return "result"
    end)
    assert.is_true(ok)
    assert.equal("result", result)
    assert.same({ 1, "inner", "coroutine", "body" }, log)
  end)

  it("R56 return inside the loop closes and keeps the values", function()
    local log = {}
    local function f(...)
      for _ in logged(log, "cleanup", true)() do
        log[#log + 1] = "return"
        return ...
      end
    end
    local r = table.pack(f(1, nil, 3, nil))
    log[#log + 1] = "after"
    assert.same({ n = 4, 1, nil, 3 }, r)
    assert.same({ "return", "cleanup", "after" }, log)
  end)

  it("L16 return f() inside a loop runs f before the close", function()
    local log = {}
    local function f()
      log[#log + 1] = "f"
      return 1
    end
    local v = (function()
      for _ in logged(log, "cleanup")() do return f() end
    end)()
    assert.equal(1, v)
    assert.same({ "f", "cleanup" }, log)
  end)

  it("R56 goto out closes, goto continue does not", function()
    local log, seen = {}, {}
    do
      for v in logged(log, "cleanup", true)() do
        if v < 3 then goto continue end
        seen[#seen + 1] = v
        if v == 4 then goto out end
        ::continue::
        assert.same({}, log)
      end
    end
    ::out::
    assert.same({ 3, 4 }, seen)
    assert.same({ "cleanup" }, log)
  end)

  it("R56 an error in the loop closes before the pcall returns", function()
    local log = {}
    assert.equal("x", caught(function()
      for _ in logged(log, "cleanup", true)() do error("x", 0) end
    end))
    assert.same({ "cleanup" }, log)
  end)

  it("R57 nested loops close the inner one first", function()
    for _, how in ipairs({ "return", "error", "goto" }) do
      local log = {}
      pcall(function()
        for _ in logged(log, "outer", true)() do
          for _ in logged(log, "inner", true)() do
            if how == "return" then return end
            if how == "error" then error("x") end
            goto out
          end
        end
        ::out::
      end)
      assert.same({ "inner", "outer" }, log)
    end
  end)

  it("R58 keep leaves the generator open", function()
    local log = {}
    local g = logged(log, "cleanup")()
    for v in g:keep() do if v == 2 then break end end
    assert.same({}, log)
    assert.equal("suspended", g:status())
    pcall(function() for _ in g:keep() do error("x") end end)
    assert.same({}, log)
    assert.equal(4, (g:next()))
    for v in g:each() do
      assert.equal(5, v)
      break
    end
    assert.same({ "cleanup" }, log)
  end)

  it("R59 a new loop over a generator that a loop closed names that loop", function()
    local g = counter(5)()
    local where, first = here()
    local file = where:match("^(.*):%d+$")
    for _ in g:each() do
      break
    end
    local _, last = here()
    for _, again in ipairs({
      function() for _ in g:each() do return end end,
      function() for _ in g do return end end,
    }) do
      local err = tostring(caught(again))
      has(err, "generator was closed by the loop at " .. file .. ":")
      has(err, "use g:keep")
      local line = tonumber(err:match("closed by the loop at [^:]*:(%d+)"))
      assert.is_true(line > first and line < last, err)
    end
  end)

  it("closes a generator whose own loop variable is the only reference", function()
    local log = {}
    for _ in (function() return logged(log, "cleanup")() end)() do
      collectgarbage()
      break
    end
    assert.same({ "cleanup" }, log)
  end)
end)

describe("rille.generator: operators", function()
  it("R60 operators close their sources on an early end, once and in reverse order", function()
    local log = {}
    local source = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "source"
      end)
      for i = 1, 100 do coroutine.yield(i) end
    end)
    local list = source():map(function(v) return v * 2 end):take(3):collect()
    assert.same({ 2, 4, 6 }, list)
    assert.same({ "source" }, log)
  end)

  it("R60 operators close their sources on break and on an error of a callback", function()
    local log = {}
    for _ in logged(log, "break", true)():map(function(v) return v end) do break end
    local mine = {}
    assert.is_true(rawequal(mine, caught(function()
      logged(log, "error", true)():map(function() error(mine) end):collect()
    end)))
    assert.same({ "break", "error" }, log)
  end)

  it("R3 a stream made by a method returns four values too", function()
    local g = counter(1)()
    local r = table.pack(g:map(function(v) return v end))
    assert.equal(4, r.n)
    assert.is_true(rawequal(r[1], r[2]))
    assert.is_true(rawequal(r[1], r[4]))
    r[1]:close()
    g:close()
  end)

  it("R118 collect gathers the items into a list", function()
    assert.same({ 1, 2, 3 }, counter(3, true)():collect())
    assert.same({}, counter(0)():collect())
  end)
end)
