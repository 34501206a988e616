-- Where nothing can wait: calls that would wait there, threads that a C module made, and debug hooks.
local rille = require("rille")
local http = require("rille.http")
local expect = require("spec.helper.expect")
local process = require("spec.helper.process")

local caught, has, closer, turns = expect.caught, expect.has, expect.closer, expect.turns
local until_waiting = expect.until_waiting

-- Calls f in the comparator of a sort; gives the error that it raised there.
local function in_a_sort(f)
  local err
  table.sort({ 2, 1 }, function()
    err = caught(f)
    return false
  end)
  return err
end

-- f must be refused, with the name of the function that cannot be left.
local function refused(f)
  local err = in_a_sort(f)
  has(err, "cannot wait for ")
  has(err, " inside table.sort")
  return err
end

describe("a wait where nobody can resume it", function()
  it("R8 of a sleep and a callback is refused, and nothing is started", function()
    local called = false
    local where
    local err = refused(function()
      where = expect.here() rille.sleep(0)
    end)
    local message = ": cannot wait for sleep inside table.sort: get what it compares before it sorts"
    assert.equal(where .. message, err)
    refused(function() rille.callback(function() called = true end) end)
    turns()
    assert.is_false(called)
  end)

  it("R8 of a task is refused, and the task is as it was", function()
    local gate = expect.new_gate()
    local task = rille.spawn(function()
      gate.wait()
      return "result"
    end)
    until_waiting(task)
    refused(function() task:await() end)
    refused(function() task:join() end)
    assert.equal("waiting", task:status())
    gate.open()
    assert.equal("result", task:await())
  end)

  it("R8 of a channel is refused, and leaves no sender and no receiver behind", function()
    local ch = rille.channel()
    refused(function() ch:recv() end)
    refused(function() ch:send("refused") end)
    local sender = rille.spawn(function() return ch:send("value") end)
    turns()
    assert.equal("waiting", sender:status())
    assert.equal("value", (ch:recv()))
    assert.is_true((sender:await()))
    ch:close()
    assert.is_nil((ch:recv()))
  end)

  it("R8 of a semaphore, a mutex and an event is refused, and takes nothing", function()
    local semaphore, event = rille.semaphore(1), rille.event()
    local guard = semaphore:acquire()
    refused(function() semaphore:acquire() end)
    guard:close()
    semaphore:acquire():close()
    local mutex, gate = rille.mutex(), expect.new_gate()
    local holder = rille.spawn(function()
      local _ <close> = mutex:acquire()
      gate.wait()
    end)
    until_waiting(holder)
    refused(function() mutex:acquire() end)
    gate.open()
    holder:await()
    mutex:acquire():close()
    refused(function() event:wait() end)
    event:set()
    event:wait()
  end)

  it("R8 of rille.all and rille.race is refused, and runs no function", function()
    local ran = 0
    local function count() ran = ran + 1 end
    refused(function() rille.all({ count, count }) end)
    refused(function() rille.race({ count, count }) end)
    turns()
    assert.equal(0, ran)
  end)

  it("R8 of a request is refused, and nothing is sent", function()
    local requests = 0
    local server <close> = http.serve({ host = "127.0.0.1", port = 0 }, function()
      requests = requests + 1
      return { status = 200, body = "fine" }
    end)
    local url = ("http://127.0.0.1:%d/"):format(server.port)
    refused(function() http.get(url) end)
    refused(function() http.request({ url = url, method = "POST", body = "x" }) end)
    turns()
    assert.equal(0, requests)
    assert.equal("fine", http.get(url):text())
  end)

  it("R8 in the cleanup of a generator that is closed there is refused; the other cleanup is done", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function() log[#log + 1] = "outer" end)
      local _ <close> = closer(function()
        log[#log + 1] = "inner"
        rille.sleep(0)
        log[#log + 1] = "not reached"
      end)
      coroutine.yield(1)
    end)()
    g:next()
    has(in_a_sort(function() g:close() end), "cannot wait for sleep inside table.sort")
    assert.same({ "inner", "outer" }, log)
    assert.equal("closed", g:status())
  end)
end)

-- A C module with coroutines of its own: create(f) gives one, resume(co, ...) the status of lua_resume and
-- what was yielded, returned or raised.
local FOREIGN = [[
#include <lua.h>
#include <lauxlib.h>

static int l_create(lua_State *L) {
  lua_State *co = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, co, 1);
  return 1;
}

static int l_resume(lua_State *L) {
  lua_State *co = lua_tothread(L, 1);
  int n = lua_gettop(L) - 1, results = 0;
  lua_xmove(L, co, n);
  int status = lua_resume(co, L, n, &results);
  if (status > LUA_YIELD)
    results = 1;
  lua_pushinteger(L, status);
  lua_xmove(co, L, results);
  return results + 1;
}

static int l_yield(lua_State *L) { return lua_yield(L, lua_gettop(L)); }

int luaopen_foreign(lua_State *L) {
  static const luaL_Reg lib[] = {
      {"create", l_create}, {"resume", l_resume}, {"yield", l_yield}, {NULL, NULL}};
  luaL_newlib(L, lib);
  return 1;
}
]]

local OK, YIELD, ERRRUN = 0, 1, 2

-- Compiles and loads the module; the build needs gcc too.
local function load_foreign()
  local path = os.tmpname()
  local source <close> = assert(io.open(path .. ".c", "w"))
  assert(source:write(FOREIGN))
  assert(source:close())
  local command = { "gcc", "-shared", "-fPIC", "-I/usr/include/lua5.4", "-o", path .. ".so", path .. ".c" }
  local done = process.run(command)
  local open = assert(package.loadlib(path .. ".so", "luaopen_foreign"), done.stderr)
  for _, name in ipairs({ path, path .. ".c", path .. ".so" }) do os.remove(name) end
  return open()
end

describe("a coroutine that a C module made", function()
  local foreign

  setup(function() foreign = load_foreign() end)

  -- What comes out of a new coroutine of the module that calls f.
  local function run(f, ...) return foreign.resume(foreign.create(f), ...) end

  it("R72 may yield out of a scope, which goes with its task", function()
    local co
    local function open_one()
      co = coroutine.create(function() return rille.timeout(0.001, foreign.yield, "item") end)
      assert.same({ true, "item" }, { coroutine.resume(co) })
    end
    rille.spawn(open_one):join()
    collectgarbage()
    collectgarbage()
    rille.sleep(0.003)
    assert.same({ true, "back" }, { coroutine.resume(co, "back") })
    assert.equal("dead", coroutine.status(co))
  end)

  it("R105 cannot wait: an error at the wait, with the remedy", function()
    local where
    local status, err = run(function()
      where = expect.here() rille.sleep(0)
    end)
    assert.equal(ERRRUN, status)
    has(err, where .. ": cannot wait for sleep inside a coroutine that the host did not make")
    has(err, "make it with coroutine.create")
    turns()
  end)

  it("R105 may catch the error, and its own yields and results are as in Lua", function()
    local co = foreign.create(function(...)
      local ok, err = pcall(rille.sleep, 0)
      local got = table.pack(coroutine.yield(select("#", ...), ok, tostring(err)))
      return got.n, got[1]
    end)
    local status, n, ok, err = foreign.resume(co, nil, nil)
    assert.same({ YIELD, 2, false }, { status, n, ok })
    has(err, "cannot wait for sleep")
    assert.same({ OK, 3, "sent" }, { foreign.resume(co, "sent", nil, nil) })
  end)

  it("R105 never leaks a wait to its resumer as a value, whatever the wait", function()
    local started, done = 0, rille.spawn(turns)
    local g = rille.generator(function()
      started = started + 1
      rille.sleep(0)
      coroutine.yield("item")
    end)()
    for name, wait in pairs({
      callback = function() rille.callback(function() started = started + 1 end) end,
      await = function() done:await() end,
      generator = function() g:next() end,
      loop = function() for _ in g:each() do started = started + 1 end end,
      all = function() rille.all({ function() started = started + 1 end }) end,
      wrap = function() coroutine.wrap(rille.sleep)(0) end,
      resume = function() assert(coroutine.resume(coroutine.create(rille.sleep), 0)) end,
      timeout = function() rille.timeout(1, rille.sleep, 0) end,
      channel = function() rille.channel():recv() end,
      request = function() http.get("http://127.0.0.1:9/") end,
    }) do
      local status, err = run(wait)
      assert.equal(ERRRUN, status, name)
      has(err, "cannot ")
      has(err, " inside a coroutine that the host did not make")
    end
    turns()
    assert.equal(0, started)
    done:await()
    g:close()
  end)

  it("R105 the same in the body of a generator, and in a coroutine", function()
    local seen = {}
    for v in coroutine.wrap(function()
      for status, err in rille.generator(function()
        coroutine.yield(run(rille.sleep, 0))
        coroutine.yield(run(function() return "no wait" end))
      end)() do
        rille.sleep(0)
        seen[#seen + 1] = { status, err }
      end
      coroutine.yield("end")
    end) do seen[#seen + 1] = v end
    assert.equal(ERRRUN, seen[1][1])
    has(seen[1][2], "cannot wait for sleep")
    assert.same({ { OK, "no wait" }, "end" }, { seen[2], seen[3] })
  end)

  it("R105 code that does not wait runs in it as in Lua", function()
    local co = foreign.create(function(a)
      local inner = coroutine.wrap(function() coroutine.yield("inner") end)
      local b = coroutine.yield(inner(), coroutine.isyieldable())
      return a, b, select(2, pcall(error, "caught", 0))
    end)
    assert.same({ YIELD, "inner", true }, { foreign.resume(co, 1) })
    assert.same({ OK, 1, 2, "caught" }, { foreign.resume(co, 2) })
    local status, err = run(error, "plain")
    assert.same({ ERRRUN, "plain" }, { status, err })
  end)
end)

describe("a debug hook", function()
  local function none() end

  it("R110 of a body survives the close of its generator", function()
    for _, case in ipairs({ { "l", 0 }, { "cr", 0 }, { "", 1000 } }) do
      local mask, count = case[1], case[2]
      local before, during
      local g = rille.generator(function()
        local _ <close> = closer(function()
          before = { debug.gethook() }
          rille.sleep(0)
          during = { debug.gethook() }
          debug.sethook()
        end)
        debug.sethook(none, mask, count)
        coroutine.yield(1)
      end)()
      g:next()
      g:close()
      assert.same({ none, mask, count }, before)
      assert.same({ none, mask, count }, during)
    end
  end)

  it("R110 of a body goes on counting its lines in the cleanup", function()
    local lines = 0
    local g = rille.generator(function()
      local _ <close> = closer(function()
        lines = 0
        rille.sleep(0)
        local _ = lines
        debug.sethook()
      end)
      debug.sethook(function() lines = lines + 1 end, "l")
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    assert.is_true(lines >= 2, lines)
  end)

  it("R110 of the one who closes survives too", function()
    local g = rille.generator(function()
      local _ <close> = closer(function() rille.sleep(0) end)
      coroutine.yield(1)
    end)()
    g:next()
    debug.sethook(none, "l")
    g:close()
    local hook, mask = debug.gethook()
    debug.sethook()
    assert.same({ none, "l" }, { hook, mask })
  end)

  it("R110 of a task survives the signal of its cancellation", function()
    local seen
    local task = rille.spawn(function()
      local _ <close> = closer(function()
        seen = { debug.gethook() }
        debug.sethook()
      end)
      debug.sethook(none, "l")
      rille.sleep(60)
    end)
    until_waiting(task)
    task:cancel()
    caught(task.await, task)
    assert.same({ none, "l", 0 }, seen)
  end)
end)
