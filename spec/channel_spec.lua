-- Channels: order, capacity, close, cancellation, and channels as streams.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require "rille"
local stream = require "rille.stream"

-- Lets the other tasks run until each of them waits.
local function settle()
  for _ = 1, 4 do rille.sleep(0) end
end

-- A task that appends what it receives to `log`; "closed" at the end.
local function receiver(ch, log, count)
  return rille.spawn(function()
    for _ = 1, count or 1 do
      local v = ch:recv()
      log[#log + 1] = v == nil and "closed" or v
    end
  end)
end

-- A task that sends v; the result goes to results[v].
local function sender(ch, v, results)
  return rille.spawn(function() results[v] = ch:send(v) end)
end

local function cancel(task)
  task:cancel()
  task:join()
  assert.equal("cancelled", task:status())
end

describe("rille.channel", function()
  it("without capacity makes send wait for a receiver", function()
    local ch, log = rille.channel(), {}
    local task = rille.spawn(function()
      for i = 1, 3 do
        log[#log + 1] = "send " .. i
        assert.is_true(ch:send(i))
      end
    end)
    settle()
    assert.same({ "send 1" }, log)
    assert.equal(1, ch:recv())
    settle()
    assert.same({ "send 1", "send 2" }, log)
    assert.equal(2, ch:recv())
    assert.equal(3, ch:recv())
    task:await()
  end)

  it("with a capacity makes send wait while as many values are unreceived", function()
    local ch, sent = rille.channel(2), 0
    local task = rille.spawn(function()
      for i = 1, 5 do
        assert.is_true(ch:send(i))
        sent = i
      end
    end)
    settle()
    assert.equal(2, sent)
    assert.equal(1, ch:recv())
    settle()
    assert.equal(3, sent)
    for i = 2, 5 do assert.equal(i, ch:recv()) end
    task:await()
  end)

  it("passes false, and refuses nil at the caller", function()
    local ch = rille.channel(1)
    assert.is_true(ch:send(false))
    assert.is_false(ch:recv())
    local ok, err = pcall(function() ch:send(nil) end)
    assert.is_false(ok)
    assert.matches("^spec/channel_spec.lua:%d+: bad argument #1 to 'send' %(a value expected", err)
  end)

  it("serves receivers in the order in which they came", function()
    local ch, log, tasks = rille.channel(), {}, {}
    for i = 1, 20 do
      tasks[i] = rille.spawn(function()
        local v = ch:recv()
        log[#log + 1] = i .. ":" .. v
      end)
    end
    settle()
    for i = 1, 20 do assert.is_true(ch:send(i)) end
    for i = 1, 20 do tasks[i]:await() end
    for i = 1, 20 do assert.equal(i .. ":" .. i, log[i]) end
  end)

  for _, capacity in ipairs { 0, 1, 3 } do
    it(("serves senders in the order in which they came, capacity %d"):format(capacity), function()
      local ch, results = rille.channel(capacity), {}
      for i = 1, 20 do sender(ch, i, results) end
      settle()
      assert.equal(capacity, #results)
      for i = 1, 20 do assert.equal(i, ch:recv()) end
      settle()
      for i = 1, 20 do assert.is_true(results[i]) end
    end)
  end

  it("lets nobody who comes later get ahead of a receiver that was woken", function()
    local ch, log = rille.channel(1), {}
    receiver(ch, log)
    settle()
    assert.is_true(ch:send("first")) -- the receiver has not run yet
    assert.is_true(ch:send("second"))
    assert.equal("second", ch:recv())
    settle()
    assert.same({ "first" }, log)
  end)

  it("lets nobody who comes later get ahead of a sender that waits", function()
    local ch, results = rille.channel(1), {}
    ch:send("a")
    sender(ch, "b", results)
    settle()
    assert.equal("a", ch:recv()) -- the room goes to b at once
    sender(ch, "c", results)
    settle()
    assert.is_nil(results.c)
    assert.equal("b", ch:recv())
    assert.equal("c", ch:recv())
  end)

  it("close gives false to senders, whose values are lost, and keeps what was sent", function()
    local ch, results = rille.channel(2), {}
    for _, v in ipairs { "a", "b", "c", "d" } do sender(ch, v, results) end
    settle()
    ch:close()
    ch:close()
    settle()
    assert.same({ a = true, b = true, c = false, d = false }, results)
    assert.is_false(ch:send("e"))
    assert.same({ "a", "b" }, { ch:recv(), ch:recv() })
    assert.is_nil(ch:recv())
    assert.is_nil(ch:recv())
  end)

  it("close wakes every receiver with nil", function()
    local ch, log = rille.channel(), {}
    for _ = 1, 5 do receiver(ch, log) end
    settle()
    ch:close()
    settle()
    assert.same({ "closed", "closed", "closed", "closed", "closed" }, log)
  end)

  it("close after a hand-over in the same turn takes nothing back", function()
    local ch, log, results = rille.channel(), {}, {}
    receiver(ch, log, 2)
    settle()
    ch:send("value")
    ch:close()
    settle()
    assert.same({ "value", "closed" }, log)
    ch = rille.channel()
    sender(ch, "x", results)
    settle()
    assert.equal("x", ch:recv())
    ch:close()
    settle()
    assert.is_true(results.x)
  end)

  it("is closed at the end of its block", function()
    local ch
    do
      local inner <close> = rille.channel(1)
      ch = inner
      assert.is_true(ch:send(1))
    end
    assert.equal("closing", ch:status())
    assert.is_false(ch:send(2))
  end)

  it("tells its status", function()
    local ch = rille.channel(1)
    assert.equal("suspended", ch:status())
    assert.equal("channel (suspended, 0 of 1)", tostring(ch))
    local task = receiver(ch, {})
    settle()
    assert.equal("waiting", ch:status())
    ch:send(1)
    task:await()
    ch:send(2)
    ch:close()
    assert.equal("closing", ch:status())
    ch:recv()
    assert.equal("closed", ch:status())
  end)

  it("refuses bad capacities and foreign selves", function()
    for _, bad in ipairs { -1, 1.5, 0 / 0, math.huge, "x", {} } do
      local ok, err = pcall(function() local ch = rille.channel(bad) return ch end)
      assert.is_false(ok)
      assert.matches("^spec/channel_spec.lua:%d+: bad argument #1 to 'channel' %(an integer >= 0", err)
    end
    assert.equal("channel (suspended, 0 of 2)", tostring(rille.channel(2.0)))
    local ch = rille.channel()
    for _, name in ipairs { "send", "recv", "close", "next", "each", "keep", "status" } do
      local ok, err = pcall(function() ch[name]("x") end)
      assert.is_false(ok)
      assert.matches("^spec/channel_spec.lua:%d+: bad argument #1 to '" .. name ..
        "' %(rille.Channel expected, got string; is it called with", err)
    end
  end)
end)

describe("a cancelled wait for a channel", function()
  it("takes no value as a receiver", function()
    local ch, log = rille.channel(), {}
    local first = receiver(ch, log)
    receiver(ch, log)
    settle()
    first:cancel()
    assert.is_true(ch:send("value")) -- the first has left, but has not run
    first:join()
    settle()
    assert.same({ "value" }, log)
  end)

  it("delivers no value as a sender", function()
    for _, capacity in ipairs { 0, 1 } do
      local ch, results = rille.channel(capacity), {}
      if capacity == 1 then ch:send("first") end
      local a = sender(ch, "a", results)
      sender(ch, "b", results)
      settle()
      a:cancel()
      if capacity == 1 then assert.equal("first", ch:recv()) end
      assert.equal("b", ch:recv()) -- a has left, but has not run
      a:join()
      settle()
      assert.same({ b = true }, results)
    end
  end)

  it("keeps the value that a receiver was woken with", function()
    local ch, got, after = rille.channel(), nil, false
    local task = rille.spawn(function()
      got = ch:recv()
      rille.sleep(60)
      after = true
    end)
    settle()
    assert.is_true(ch:send("value"))
    cancel(task)
    assert.equal("value", got)
    assert.is_false(after)
  end)

  it("tells a sender whose value was taken", function()
    local ch, results = rille.channel(), {}
    local task = rille.spawn(function()
      results[1] = ch:send("value")
      results[2] = ch:send("more")
    end)
    settle()
    assert.equal("value", ch:recv())
    cancel(task)
    assert.same({ true }, results)
  end)

  it("loses nothing to a time-out (copas#208)", function()
    local ch = rille.channel()
    for _ = 1, 3 do
      local ok, err = pcall(rille.timeout, 0.001, ch.recv, ch)
      assert.is_false(ok)
      assert.is_true(rille.is_error(err, "ETIMEDOUT"))
    end
    assert.equal("suspended", ch:status())
    local results = {}
    sender(ch, "value", results)
    settle()
    assert.is_nil(results.value) -- nobody who gave up has taken it
    assert.equal("value", rille.timeout(60, ch.recv, ch))
  end)

  it("leaves nothing behind where waiting is impossible", function()
    local ch = rille.channel(1)
    local function sort(f)
      return pcall(table.sort, { 1, 2 }, function(a, b)
        f()
        return a < b
      end)
    end
    local ok, err = sort(function() ch:recv() end)
    assert.is_false(ok)
    assert.matches("cannot wait for a value of a channel inside table.sort", err)
    assert.equal("suspended", ch:status())
    assert.is_true(sort(function() if ch:status() == "suspended" and #tostring(ch) > 0 then
      ch:send(1)
      ch:recv()
    end end))
    ch:send("full")
    ok, err = sort(function() ch:send(2) end)
    assert.is_false(ok)
    assert.matches("cannot wait for room in a channel inside table.sort", err)
    assert.equal("full", ch:recv())
    ch:close()
    assert.is_nil(ch:recv())
  end)
end)

describe("a channel as a stream", function()
  -- A task that sends 1, 2, ... until the channel is closed; awaiting it gives how many were sent.
  local function counting(ch)
    return rille.spawn(function()
      local n = 0
      while ch:send(n + 1) do n = n + 1 end
      return n
    end)
  end

  it("is a loop that leaves it open", function()
    local ch = rille.channel()
    counting(ch)
    for v in ch do if v == 2 then break end end
    for v in ch:keep() do if v == 4 then break end end
    assert.equal(5, ch())
    assert.equal(6, ch:next())
    ch:close()
    assert.is_nil(ch:next())
  end)

  it("is a loop that closes it with each, also when it is left early (R3, R58)", function()
    local ch = rille.channel()
    local task = counting(ch)
    local sum = 0
    for v in ch:each() do
      sum = sum + v
      if v == 3 then break end
    end
    assert.equal(6, sum)
    assert.equal("closed", ch:status())
    assert.equal(3, task:await())
  end)

  it("is shared by the loops of several tasks", function()
    local ch, seen, count = rille.channel(3), {}, 0
    rille.group(function(group)
      for _ = 1, 4 do
        group:spawn(function()
          for v in ch do
            rille.sleep(0)
            assert.is_nil(seen[v])
            seen[v], count = true, count + 1
          end
        end)
      end
      for i = 1, 50 do assert.is_true(ch:send(i)) end
      ch:close()
    end)
    assert.equal(50, count)
  end)

  it("has the operators as methods, which close it", function()
    local ch = rille.channel(2)
    local task = counting(ch)
    local list = ch:filter(function(v) return v % 2 == 0 end):map(function(v) return v * 10 end):take(3)
      :collect()
    assert.same({ 20, 40, 60 }, list)
    assert.equal("closing", ch:status()) -- what was sent and not taken is still there
    task:await()
    for name, operator in pairs(stream) do
      if name ~= "from" and name ~= "range" and rille.generator(print)()[name] == operator then
        assert.equal(operator, ch[name])
      end
    end
    assert.is_nil(ch.range)
  end)

  it("is a source of stream.from and of operators", function()
    local ch = rille.channel()
    counting(ch)
    assert.same({ 1, 2 }, stream.from(ch):take(2):collect())
    assert.equal("closed", ch:status())
    ch = rille.channel()
    counting(ch)
    assert.same({ 1, 2 }, stream.take(ch:keep(), 2):collect())
    assert.equal(3, ch:recv())
    ch:close()
  end)

  it("is closed by a stream that fails", function()
    local ch = rille.channel()
    local task = counting(ch)
    local ok, err = pcall(function() ch:each_do(function() error("boom", 0) end) end)
    assert.is_false(ok)
    assert.equal("boom", err)
    assert.equal("closed", ch:status())
    assert.equal(1, task:await())
  end)

  it("feeds the workers of a concurrent operator", function()
    local ch = rille.channel()
    rille.spawn(function()
      for i = 1, 10 do ch:send(i) end
      ch:close()
    end)
    assert.same({ 2, 4, 6, 8, 10, 12, 14, 16, 18, 20 }, ch:map(function(v)
      rille.sleep(0)
      return v * 2
    end, { n = 3 }):collect())
  end)
end)

describe("channels under random cancels and closes", function()
  local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

  -- Every value whose send gave true is received once or is left in the channel; no other value is.
  local function run(seed)
    local next_random = seed
    local function random(n) -- a generator of its own: reproducible, whatever else draws numbers
      next_random = (next_random * 6364136223846793005 + 1442695040888963407) & math.maxinteger
      return (next_random >> 33) % n + 1
    end
    local ch = rille.channel(random(4) - 1)
    local tasks, sent, received, id = {}, {}, {}, 0
    local function send_some()
      for _ = 1, random(4) do
        id = id + 1
        local mine = id
        if ch:send(mine) then sent[mine] = true end
      end
    end
    local function receive_some()
      for _ = 1, random(4) do
        local v = ch:recv()
        if v == nil then return end
        received[v] = (received[v] or 0) + 1
      end
    end
    for _ = 1, STRESSED and 100 or 300 do
      local what = random(8)
      if what <= 3 then tasks[#tasks + 1] = rille.spawn(send_some)
      elseif what <= 6 then tasks[#tasks + 1] = rille.spawn(receive_some)
      elseif #tasks > 0 then tasks[random(#tasks)]:cancel() end
      if random(3) == 1 then rille.sleep(0) end
    end
    settle()
    ch:close()
    for _, task in ipairs(tasks) do task:join() end
    for v in ch do received[v] = (received[v] or 0) + 1 end
    for v in pairs(sent) do assert.equal(1, received[v], ("seed %d, value %d"):format(seed, v)) end
    for v in pairs(received) do assert.is_true(sent[v], ("seed %d, value %d"):format(seed, v)) end
    return next(sent) ~= nil
  end

  it("lose no value and deliver none twice", function()
    local first = os.time() * 1000
    for seed = first, first + (STRESSED and 1 or 9) do assert.is_true(run(seed)) end
  end)
end)
