-- What every operator promises, as specs: `contract(operator)` inside a describe. An operator that is held to
-- it needs specs of its own only for what it does. R<n> are the rules of the semantics, C<n> the points of
-- the contract of operators.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local busted = require "busted"
local assert = require "luassert"
local rille = require "rille"
local stream = require "rille.stream"
local task = require "rille.host.task"
local fault = require "rille.host.fault"
local expect = require "spec.helper.expect"
local helper = require "spec.helper.streams"

local it = busted.it
local caught, has, same_object = expect.caught, expect.has, expect.same_object
local closer, logged, stuck, turns = expect.closer, helper.logged, helper.stuck, expect.turns

local NAMES = { "a", "b", "c" }

---@class operator
---@field name string
---@field make fun(...): ...   the operator over its sources, with options that let the items pass
---@field sources integer?     how many there are (1)
---@field gives table?         the items over sources of 1, 2, 3
---@field before table?        the first values of the items before the error of a source that gave 1, 2
---@field whole boolean?       items pass with all their values
---@field late boolean?        the source is made by a function, when the first item is asked for
---@field lossy boolean?       items may be left out
---@field queue boolean?       a second task may ask while one waits
---@field wrapped boolean?     a function of the spec loops over the source: its cleanup's errors end there

-- The operator over sources that f makes.
local function over(o, f)
  local sources = {}
  for i = 1, o.sources or 1 do sources[i] = f(NAMES[i], i) end
  return o.make(table.unpack(sources))
end

local function names(o) return { table.unpack(NAMES, 1, o.sources or 1) } end

local function reversed(o)
  local list = {}
  for i = o.sources or 1, 1, -1 do list[#list + 1] = NAMES[i] end
  return list
end

local function starting(o)
  it("C1 R3 " .. o.name .. " makes a stream, and nothing is started before the first next", function()
    local before, ran = task.count(), false
    local r = table.pack(over(o, function()
      return rille.generator(function()
        ran = true
        coroutine.yield(1)
      end)
    end))
    assert.is_true(r.n == 4 and rawequal(r[1], r[2]) and r[3] == nil and rawequal(r[1], r[4]))
    turns(3)
    assert.is_false(ran)
    assert.is_true(task.count() <= before, "a task was started") -- one of an earlier spec may have ended
    assert.equal("created", r[1]:status())
    r[1]:close()
    turns(3)
    assert.is_false(ran)
    assert.equal("closed", r[1]:status())
    assert.is_nil((r[1]:next()))
  end)

  it("R104 " .. o.name .. " starts nothing where nobody can wait", function()
    local before, ran = task.count(), false
    local s <close> = over(o, function()
      return rille.generator(function()
        ran = true
        coroutine.yield(1)
      end)
    end)
    has(caught(table.sort, { 3, 2, 1 }, function() return s:next() end), "table.sort")
    turns(3)
    assert.is_false(ran)
    assert.is_true(task.count() <= before, "a task was started") -- one of an earlier spec may have ended
  end)

  if o.late then return end
  it(o.name .. " is a method of streams, generators and channels", function()
    local s, g, channel <close> = stream.from({}), logged({}, "g"), rille.channel()
    for _, object in ipairs({ s, g, channel }) do
      assert.is_true(rawequal(stream[o.name], object[o.name]))
    end
  end)

  it("R41 R60 closing " .. o.name .. " before its start closes the sources", function()
    local sources = {}
    local s = over(o, function(_, i)
      sources[i] = logged({}, "x")
      return sources[i]
    end)
    s:close()
    for _, source in ipairs(sources) do assert.equal("closed", source:status()) end
  end)

  it("R7 " .. o.name .. " refuses what cannot be iterated when it is made", function()
    for i = 1, o.sources or 1 do
      local err = caught(over, o, function(_, k) return k ~= i and {} or 5 end)
      has(err, "expected a stream, a generator function, an iterator function or a list, got number")
    end
  end)
end

local function passing(o)
  if o.gives then
    it("R24 R102 " .. o.name .. " gives its items, then nil, whenever the collector runs", function()
      for _, waits in ipairs({ false, true }) do
        local s = over(o, function()
          return rille.generator(function()
            for i = 1, 3 do
              if waits then rille.sleep(0) end
              collectgarbage()
              coroutine.yield(i)
            end
          end)
        end)
        assert.same(o.gives, s:collect())
        assert.is_nil((s:next()))
        assert.equal("exhausted", s:status())
      end
    end)

    it("C2 R9 " .. o.name .. " takes every kind of source", function()
      local function iterator()
        local i = 0
        return function()
          i = i + 1
          return i <= 3 and i or nil
        end
      end
      for kind, make in pairs({
        list = function() return { 1, 2, 3 } end,
        stream = function() return (stream.range(1, 3)) end,
        iterator = iterator,
        callable = function() return setmetatable({}, { __call = iterator() }) end,
        coroutine = function()
          return coroutine.wrap(function()
            for i = 1, 3 do
              rille.sleep(0)
              coroutine.yield(i)
            end
          end)
        end,
        channel = function()
          local channel = rille.channel(3)
          for i = 1, 3 do channel:send(i) end
          channel:close()
          return channel
        end,
      }) do
        assert.same(o.gives, over(o, make):collect(), kind)
      end
    end)
  end
  if o.whole then
    it("R14 R16 " .. o.name .. " passes false, several values, and nils among them", function()
      local s = over(o, function(_, i)
        if i > 1 then return {} end
        return helper.packed({ false }, { "k", nil, "v", n = 3 }, { "k", nil, n = 2 }, { "k" })
      end)
      assert.same({ false, n = 1 }, table.pack(s:next()))
      assert.same({ "k", nil, "v", n = 3 }, table.pack(s:next()))
      assert.same({ "k", nil, n = 2 }, table.pack(s:next()))
      assert.same({ "k", n = 1 }, table.pack(s:next()))
      assert.same({ nil, n = 1 }, table.pack(s:next()))
    end)
  end
end

local function closing(o)
  it("R60 " .. o.name .. " closes its sources once when it ends", function()
    local log = {}
    over(o, function(name) return logged(log, name, 2) end):collect()
    assert.same(names(o), helper.sorted(log))
  end)

  it("R55 R60 leaving a loop over " .. o.name .. " closes them, the last first, before it goes on", function()
    local log = {}
    for _ in over(o, function(name) return logged(log, name) end) do break end
    log[#log + 1] = "after"
    local expected = reversed(o)
    expected[#expected + 1] = "after"
    assert.same(expected, log)
  end)

  it("R60 so it does with sources that wait, and leaves no task behind", function()
    local log, before = {}, task.count()
    for _ in over(o, function(name) return stuck(log, name, 1) end) do
      turns(3)
      break
    end
    assert.is_true(task.count() <= before, "a task is left") -- one of an earlier spec may have ended
    assert.same(names(o), helper.sorted(log))
  end)

  it("R36 R37 an error of the loop's body closes " .. o.name .. ", and wins over its cleanup's", function()
    local log, mine = {}, fault.new("EX", "body")
    local function loop()
      for _ in over(o, function(name) return logged(log, name) end) do error(mine, 0) end
    end
    same_object(mine, caught(loop))
    assert.same(reversed(o), log)
    assert.is_nil(mine.suppressed)
    local function failing_cleanup(_, i)
      if i > 1 then return logged(log, "x") end
      return rille.generator(function()
        local _ <close> = closer(function() error("cleanup", 0) end)
        for k = 1, 1000 do coroutine.yield(k) end
      end)
    end
    same_object(mine, caught(function()
      for _ in over(o, failing_cleanup) do error(mine, 0) end
    end))
    if o.lossy or o.wrapped then return end
    assert.same({ "cleanup" }, mine.suppressed)
    assert.equal("cleanup", caught(function() for _ in over(o, failing_cleanup) do break end end)) -- R38
  end)

  it("C4 leaving a loop over " .. o.name .. " closes channels too", function()
    local channels = {}
    for _ in over(o, function(_, i)
      channels[i] = rille.channel(9)
      for v = 1, 9 do channels[i]:send(v) end
      if o.lossy then channels[i]:close() end
      return channels[i]
    end) do break end
    for _, channel in ipairs(channels) do assert.is_false(channel:send(1)) end
  end)

  it("R44 closing " .. o.name .. " more than once closes the sources once", function()
    local log = {}
    local s = over(o, function(name) return logged(log, name) end)
    assert.is_not_nil((s:next()))
    for _ = 1, 3 do s:close() end
    assert.same(reversed(o), log)
    assert.is_truthy(s:status() == "closed" or o.lossy)
    for _ = 1, 2 do assert.is_nil((s:next())) end
  end)

  it("R59 a loop over " .. o.name .. " after one that closed it early names that one", function()
    local s = over(o, function(name) return stuck({}, name, 2) end)
    for _ in s:each() do break end
    for _ = 1, 2 do
      has(caught(function() for _ in s:each() do error("not reached") end end),
        "stream was closed by the loop at ./spec/helper/contract.lua:")
    end
  end)

  if not o.lossy then
    it("R58 " .. o.name .. " stays open after a loop over keep", function()
      local log = {}
      local s = over(o, function(name) return logged(log, name) end)
      for _ in s:keep() do break end
      turns(3)
      assert.same({}, log)
      assert.equal("suspended", s:status())
      assert.is_not_nil((s:next()))
      s:close()
      assert.same(reversed(o), log)
    end)
  end

  it("R88 " .. o.name .. " in a generator's body is closed when the generator is", function()
    local log = {}
    local outer = rille.generator(function()
      for v in over(o, function(name) return stuck(log, name, 1) end) do coroutine.yield(v) end
    end)()
    assert.is_not_nil((outer:next()))
    outer:close()
    assert.same(names(o), helper.sorted(log))
  end)

  it("R93 " .. o.name .. " that is dropped is cleaned up, and leaves no task behind", function()
    rille.test.may_leak()
    local log, before = {}, task.count()
    do
      local s = over(o, function(name) return logged(log, name) end)
      assert.is_not_nil((s:next()))
    end
    turns(5)
    for _ = 1, 5 do
      collectgarbage()
      turns(5)
    end
    assert.same(names(o), helper.sorted(log))
    assert.is_true(task.count() <= before, "a task is left") -- one of an earlier spec may have ended
  end)
end

local function stopping(o)
  it("R61 R63 cancelling a task that waits in " .. o.name .. " cleans up before the task goes on", function()
    local log = {}
    local t = helper.waiting(function()
      local _ <close> = closer(function() log[#log + 1] = "z" end)
      for _ in over(o, function(name) return stuck(log, name, 0) end) do error("not reached") end
    end)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.equal("z", log[#log])
    local expected = names(o)
    expected[#expected + 1] = "z"
    assert.same(expected, helper.sorted(log))
  end)

  it("R46 R47 R48 a close of " .. o.name .. " by another task ends a step that waits", function()
    local log, err = {}, nil
    local s = over(o, function(name) return stuck(log, name, 0) end)
    local consumer = helper.waiting(function() err = caught(s.next, s) end)
    local second = helper.spawn(function()
      s:close()
      return #log
    end)
    s:close()
    assert.same(names(o), helper.sorted(log))
    assert.equal(#log, helper.outcome(second))
    helper.outcome(consumer)
    has(err, "closed by another task")
    assert.equal("closed", s:status())
    assert.is_nil((s:next()))
  end)

  it("R46 R60 R61 " .. o.name .. " can be closed, left and cancelled at any moment", function()
    local before = task.count()
    local ways = {
      close = function(s, t)
        s:close()
        pcall(helper.outcome, t)
      end,
      cancel = function(s, t)
        t:cancel()
        t:join()
        s:close()
      end,
    }
    for way, finish in pairs(ways) do
      for moment = 0, 12 do
        local log = {}
        local s = over(o, function(name) return logged(log, name, 1000, true) end)
        local t = helper.spawn(function()
          for _ in s:each() do turns(moment % 3) end
        end)
        turns(moment)
        finish(s, t)
        if moment > 4 or #log > 0 then -- they have begun
          assert.same(names(o), helper.sorted(log), way .. " after turn " .. moment)
        end
        assert.equal(before, task.count(), way .. " after turn " .. moment)
      end
    end
    for items = 1, 3 do
      for moment = 0, 3 do
        local log, n = {}, 0
        for _ in over(o, function(name) return logged(log, name, 1000, true) end) do
          n = n + 1
          if n == items then
            turns(moment)
            break
          end
        end
        assert.same(names(o), helper.sorted(log))
        assert.equal(before, task.count())
      end
    end
  end)

  it("R71 a cancel of a task that closes " .. o.name .. " skips no cleanup", function()
    local log = {}
    local s = over(o, function(name) return stuck(log, name, 1) end)
    assert.is_not_nil((s:next()))
    turns(3)
    local t = helper.spawn(s.close, s)
    turns(1)
    t:cancel()
    t:join()
    s:close()
    assert.same(names(o), helper.sorted(log))
  end)

  it("R64 R74 a time-out around a step of " .. o.name .. " cancels the wait", function()
    local log = {}
    local s = over(o, function(name) return stuck(log, name, 0) end)
    assert.is_true(rille.is_error(caught(rille.timeout, 0.003, s.next, s), "ETIMEDOUT"))
    s:close()
    assert.same(names(o), helper.sorted(log))
  end)

  if not o.lossy then
    it("R85 R86 " .. o.name .. " does not end with the task or scope of its first step", function()
      local log = {}
      local s = over(o, function(name) return logged(log, name, 1000, true) end)
      assert.is_not_nil((helper.outcome(helper.spawn(s.next, s))))
      assert.is_not_nil((rille.group(function() return (s:next()) end)))
      assert.is_not_nil((rille.timeout(1, s.next, s)))
      assert.is_not_nil((helper.outcome(helper.spawn(s.next, s))))
      assert.is_not_nil((s:next()))
      assert.same({}, log)
      s:close()
      assert.same(names(o), helper.sorted(log))
    end)
    it("R86 nor does " .. o.name .. " if that was in a scope", function()
      local s <close> = over(o, function(name) return logged({}, name, 1000, true) end)
      assert.is_not_nil((rille.group(function() return (s:next()) end)))
      turns(2)
      assert.is_not_nil((s:next()))
    end)
  end

  if o.queue then return end
  it("R80 a second next of " .. o.name .. " while one waits is refused", function()
    local s = over(o, function(name) return stuck({}, name, 0) end)
    local first = helper.waiting(function() return caught(s.next, s) end)
    has(caught(s.next, s), "stream already running")
    has(caught(s.collect, s), "stream already running")
    assert.equal("waiting", first:status())
    s:close()
    helper.outcome(first)
  end)
end

local function failing(o)
  it("R29 R32 R33 an error of a source of " .. o.name .. " arrives as it is, after the cleanup", function()
    for _, mine in ipairs({ "text", 7, {}, false, fault.new("EX", "mine") }) do
      local log, seen, before = {}, {}, task.count()
      local s = over(o, function(name, i)
        if i < (o.sources or 1) then return stuck(log, name, 2) end
        return helper.failing(log, name, 2, mine)
      end)
      local err = caught(function()
        for v in s:keep() do seen[#seen + 1] = v end
      end)
      same_object(mine, err)
      assert.same(names(o), helper.sorted(log))
      assert.equal(before, task.count())
      if o.before then assert.same(o.before, seen) end
      has(caught(s.next, s), "stream already failed")
      assert.equal("failed", s:status())
      s:close()
      assert.equal(#names(o), #log)
    end
  end)

  it("R30 the story of an error that passes " .. o.name .. " begins where it was raised", function()
    local mine = fault.new("EX", "mine")
    local function innermost() error(mine, 0) end
    local s = over(o, function(name, i)
      if i < (o.sources or 1) then return stuck({}, name, 0) end
      return rille.generator(function()
        rille.sleep(0)
        innermost()
      end)
    end)
    same_object(mine, caught(s.next, s))
    has(rille.traceback(mine), "innermost")
  end)

  if (o.sources or 1) < 2 then return end
  it("C5 " .. o.name .. " suppresses the errors of the other sources' cleanup", function()
    local mine = fault.new("EX", "mine")
    local s = over(o, function(_, i)
      if i == o.sources then return helper.failing({}, "x", 0, mine) end
      if i > 1 then return stuck({}, "x", 0) end
      return rille.generator(function()
        local _ <close> = closer(function() error("later", 0) end)
        helper.for_long({})
      end)
    end)
    same_object(mine, caught(s.next, s))
    assert.same({ "later" }, mine.suppressed)
  end)

  it("R6 " .. o.name .. " refuses the same live stream given twice", function()
    local g <close> = logged({}, "g")
    has(caught(over, o, function() return g end),
      ("bad argument #2 to '%s' (the same stream is given twice)"):format(o.name))
    assert.equal("created", g:status())
  end)
end

---@param o operator
return function(o)
  starting(o)
  passing(o)
  closing(o)
  stopping(o)
  failing(o)
end
