-- Error objects, and the story that rille.traceback tells of an error.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local json = require("rille.json")
local expect = require("spec.helper.expect")

local caught, has, here = expect.caught, expect.has, expect.here

local function error_object()
  return (caught(json.decode, "{"))
end

describe("rille.is_error", function()
  it("tells error objects from all else", function()
    assert.is_true(rille.is_error(error_object()))
    for _, v in ipairs({ "text", 1, true, false, {}, { code = "EJSON" }, print, io.stdout }) do
      assert.is_false(rille.is_error(v))
    end
    assert.is_false(rille.is_error(nil))
    assert.is_false(rille.is_error(setmetatable({ code = "EJSON", message = "x" }, {})))
  end)

  it("tells one code from another", function()
    local err = error_object()
    assert.is_true(rille.is_error(err, "EJSON"))
    assert.is_false(rille.is_error(err, "ECANCELED"))
    assert.is_false(rille.is_error(err, ""))
    assert.is_false(rille.is_error("EJSON", "EJSON"))
    assert.is_false(rille.is_error({ code = "EJSON" }, "EJSON"))
  end)

  it("may be called where nothing may wait", function()
    local err = error_object()
    table.sort({ 2, 1 }, function()
      assert.is_true(rille.is_error(err))
      return false
    end)
  end)
end)

describe("an error object", function()
  it("is a table with a code and a message, and reads as one line", function()
    local err = error_object()
    assert.equal("table", type(err))
    assert.equal("EJSON", err.code)
    assert.is_string(err.message)
    has(tostring(err), err.message)
    assert.is_nil(tostring(err):find("\n", 1, true))
  end)

  it("of a cancelled task has the code ECANCELED", function()
    local task = rille.spawn(rille.sleep, 60)
    rille.sleep(0)
    task:cancel()
    local err = caught(task.await, task)
    assert.is_true(rille.is_error(err, "ECANCELED"))
    assert.equal("ECANCELED", err.code)
    assert.is_nil(tostring(err):find("\n", 1, true))
  end)

  it("passes generators, coroutines and tasks by identity", function()
    local err = error_object()
    local task = rille.spawn(function()
      rille.sleep(0.001)
      coroutine.wrap(function()
        for _ in rille.generator(function()
          rille.sleep(0)
          error(err)
        end)() do rille.sleep(0) end
      end)()
    end)
    assert.is_true(rawequal(err, caught(task.await, task)))
    assert.equal("EJSON", err.code)
  end)

  it("may be raised a second time", function()
    local err = error_object()
    for _ = 1, 3 do
      local g = rille.generator(function() error(err) end)()
      assert.is_true(rawequal(err, caught(g.next, g)))
    end
    assert.is_string(rille.traceback(err))
  end)

  it("may be a key, a field and a value like any table", function()
    local err = error_object()
    err.mine = "added"
    assert.equal("added", ({ [err] = err })[err].mine)
  end)
end)

describe("rille.traceback", function()
  local function explode_in_the_body(err)
    rille.sleep(0)
    error(err)
  end

  local function advance_as_a_consumer(g)
    for _ in g:each() do rille.sleep(0) end
    return nil
  end

  local function failed(err)
    local where
    local gen = rille.generator(function()
      explode_in_the_body(err)
      return nil
    end)
    local g
    where = here() g = gen()
    local e = caught(function()
      advance_as_a_consumer(g)
      return nil
    end)
    return e, where
  end

  it("R30 shows the frames of the body", function()
    local story = rille.traceback((failed(error_object())))
    assert.is_string(story)
    has(story, "explode_in_the_body")
    has(story, "error_spec.lua:")
  end)

  it("R30 begins with the readable message", function()
    local err = failed(error_object())
    has(rille.traceback(err), tostring(err))
  end)

  it("R31 shows the consumer's frames and where the generator was made", function()
    local err, where = failed(error_object())
    local story = rille.traceback(err)
    has(story, "explode_in_the_body")
    has(story, "advance_as_a_consumer")
    has(story, where)
    assert.is_true(story:find("explode_in_the_body", 1, true)
      < story:find("advance_as_a_consumer", 1, true))
  end)

  it("R30 shows the frames of a body for a plain table", function()
    local err = failed({})
    has(rille.traceback(err), "explode_in_the_body")
  end)

  it("R30 shows each body of a chain of generators", function()
    local function innermost_body()
      rille.sleep(0)
      error(error_object())
    end
    local function outer_body(g)
      for v in g:each() do coroutine.yield(v) end
      return nil
    end
    local inner = rille.generator(function()
      innermost_body()
      return nil
    end)()
    local outer = rille.generator(function()
      outer_body(inner)
      return nil
    end)()
    local story = rille.traceback((caught(outer.next, outer)))
    has(story, "innermost_body")
    has(story, "outer_body")
  end)

  it("R30 shows the frames of a failed task", function()
    local function explode_in_the_task()
      rille.sleep(0.001)
      error(error_object())
    end
    local task = rille.spawn(function()
      explode_in_the_task()
      return nil
    end)
    has(rille.traceback((caught(task.await, task))), "explode_in_the_task")
  end)

  it("is the readable text for an error that it knows nothing of", function()
    has(rille.traceback("plain text"), "plain text")
    has(rille.traceback(setmetatable({}, { __tostring = function() return "mine" end })), "mine")
    assert.is_string(rille.traceback({}))
    assert.is_string(rille.traceback(nil))
    assert.is_string(rille.traceback(false))
    assert.is_string(rille.traceback(42))
    has(rille.traceback(error_object()), error_object().message)
  end)

  it("does not change the error, and may be asked again", function()
    local err = failed(error_object())
    local first = rille.traceback(err)
    assert.equal(first, rille.traceback(err))
    assert.equal("EJSON", err.code)
  end)

  it("keeps no error alive", function()
    local weak = setmetatable({}, { __mode = "k" })
    for _ = 1, 10 do
      weak[failed({})] = true
    end
    collectgarbage()
    collectgarbage()
    local alive = 0
    for _ in pairs(weak) do alive = alive + 1 end
    assert.is_true(alive <= 1, alive .. " of 10 errors are alive")
  end)

  it("lets xpcall with debug.traceback work as it does in Lua", function()
    local function explode()
      rille.sleep(0)
      error("boom")
    end
    local ok, story = xpcall(function()
      explode()
      return nil
    end, debug.traceback)
    assert.is_false(ok)
    has(story, "boom")
    has(story, "stack traceback")
    has(story, "explode")
  end)
end)

describe("the story of an error", function()
  local function until_waiting(task)
    while task:status() ~= "waiting" do rille.sleep(0) end
  end

  local function before(story, ...)
    local position = 1
    for _, part in ipairs({ ... }) do
      local first, last = story:find(part, position, true)
      assert.is_truthy(first, ("%q does not follow in %q"):format(part, story))
      position = last + 1
    end
  end

  it("R31 tells the task that it left, and who spawned that where", function()
    local spawned, raised
    local function explode_in_the_child()
      rille.sleep(0)
      raised = here() error(error_object())
    end
    local outer = rille.spawn(function()
      spawned = here() local child = rille.spawn(explode_in_the_child)
      child.name = "child"
      return (child:await())
    end)
    outer.name = "outer"
    local story = rille.traceback((caught(outer.await, outer)))
    before(story, raised, "\ntask 'child' spawned at " .. spawned .. " by task 'outer'\n",
      "awaited by task 'outer':", "\ntask 'outer' spawned at ", " by task '")
  end)

  it("R31 tells body, generator, consumer and task in this order", function()
    local function body()
      rille.sleep(0)
      error(error_object())
    end
    local made
    local function consume()
      made = here() for _ in rille.generator(body)() do break end
      return nil
    end
    local task = rille.spawn(consume)
    task.name = "consumer"
    local story = rille.traceback((caught(task.await, task)))
    before(story, "in function <", "generator made at " .. made .. ", advanced by task 'consumer':",
      "\ntask 'consumer' spawned at ")
  end)

  it("says so when the task that spawned it has ended", function()
    local child
    local parent = rille.spawn(function()
      child = rille.spawn(function()
        rille.sleep(0.001)
        error(error_object())
      end)
    end)
    parent:await()
    has(rille.traceback((caught(child.await, child))), " by a task that has ended\n")
  end)

  it("names the line of the script for the child of a group", function()
    local spawned
    local err = caught(rille.group, function(group)
      spawned = here() group:spawn(function() error(error_object()) end)
      rille.sleep(60)
    end)
    has(rille.traceback(err), ("task '%s' spawned at %s by task '"):format(spawned, spawned))
  end)

  it("of a time-out tells what was waited for, and where", function()
    local where
    local err = caught(rille.timeout, 0.001, function()
      where = here() rille.sleep(60)
    end)
    assert.equal("ETIMEDOUT", err.code)
    before(rille.traceback(err), err.message, "\nwhile waiting for sleep (" .. where .. ")")
  end)

  it("of a time-out tells the wait in the generator that it struck", function()
    local where
    local gen = rille.generator(function()
      where = here() rille.sleep(60)
    end)
    local err = caught(rille.timeout, 0.001, function()
      for _ in gen() do break end
    end)
    has(rille.traceback(err), "while waiting for sleep (" .. where .. ")")
  end)

  it("of a cancelled task tells what it waited for, and who spawned it", function()
    local where
    local task = rille.spawn(function()
      where = here() rille.sleep(60)
    end)
    task.name = "sleeper"
    until_waiting(task)
    task:cancel("it is late")
    local err = caught(task.await, task)
    before(rille.traceback(err), "task 'sleeper' was cancelled: it is late",
      "\nwhile waiting for sleep (" .. where .. ")", "\ntask 'sleeper' spawned at ", " by task '")
  end)

  it("of a cancelled task tells the first wait that its signal struck, once", function()
    local where
    local task = rille.spawn(function()
      pcall(function() where = here() rille.sleep(60) end)
      pcall(rille.sleep, 60)
      rille.sleep(60)
    end)
    until_waiting(task)
    task:cancel()
    local story = rille.traceback((caught(task.await, task)))
    has(story, "while waiting for sleep (" .. where .. ")")
    local _, count = story:gsub("while waiting", "")
    assert.equal(1, count)
  end)

  it("of a task that was cancelled before a wait tells that wait", function()
    local where
    local task = rille.spawn(function()
      rille.sleep(0)
      pcall(rille.sleep, 60)
      where = here() rille.sleep(60)
    end)
    until_waiting(task)
    task:cancel()
    local err = caught(task.await, task)
    assert.is_truthy(where)
    has(rille.traceback(err), "while waiting for ")
  end)

  it("does not name a body by a line when the error of a cleanup has unwound it", function()
    local inner = rille.generator(function()
      local _ <close> = expect.closer(function() error("fault", 0) end)
      coroutine.yield(1)
    end)
    local outer = rille.generator(function()
      for v in inner() do coroutine.yield(v) end
    end)()
    outer:next()
    local story = rille.traceback((caught(outer.close, outer)))
    has(story, "advanced by generator:")
    assert.is_nil(story:find("-1", 1, true))
  end)

  it("of a generator that was closed is not that of the generator closed before", function()
    for _ = 1, 2 do
      local seen
      local g = rille.generator(function()
        local ok, err = pcall(rille.sleep, 60)
        assert.is_false(ok)
        seen = err
      end)()
      local consumer = rille.spawn(function() pcall(g.next, g) end)
      until_waiting(consumer)
      g:close()
      consumer:join()
      assert.equal("ECLOSED", seen.code)
      assert.equal(seen.message, rille.traceback(seen))
    end
  end)

  it("of an error that is raised in two tasks has the frames of both", function()
    local err, first, second = error_object(), nil, nil
    local task = rille.spawn(function()
      first = here() error(err)
    end)
    caught(task.await, task)
    task = rille.spawn(function()
      second = here() error(err)
    end)
    caught(task.await, task)
    before(rille.traceback(err), "stack traceback:", first, "raised again in task '", second)
  end)
end)

describe("misuse below an embedded module", function()
  it("R104 is blamed on the line of the script", function()
    local channel, semaphore, event = rille.channel(), rille.semaphore(1), rille.event()
    local held <close> = semaphore:acquire() -- luacheck: ignore 211
    local gen = rille.generator(function() coroutine.yield(1) end)
    local calls = {
      function() channel:recv() end,
      function() channel:send(1) end,
      function() semaphore:acquire() end,
      function() event:wait() end,
      function() rille.callback(print) end,
      function() rille.group(function() end) end,
      function() rille.all({ print }) end,
      function() rille.race({ print }) end,
      function() gen():collect() end,
      function() gen():map(tostring, { n = 2 }):collect() end,
    }
    for i, call in ipairs(calls) do
      local line = debug.getinfo(call, "S").linedefined
      local err = caught(table.sort, { 2, 1 }, call)
      assert.is_truthy(err:find(("^[^ ]*error_spec.lua:%d: cannot wait for "):format(line)), i .. ": " .. err)
    end
  end)

  it("R33 of a generator that has failed is blamed on the line of the script", function()
    local g = rille.generator(function() error("broken", 0) end)()
    caught(g.next, g)
    local line
    local err = caught(function()
      line = here() g:map(tostring):collect()
    end)
    has(err, line .. ": generator already failed: broken")
  end)
end)
