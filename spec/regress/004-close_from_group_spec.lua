-- A task of a group closed the generator whose body waits in that group. The close took the step over, and
-- the group then awaited the very task that was closing it: it left its children running behind. The same
-- with a task of a stream.
local rille = require("rille")
local stream = require("rille.stream")

local function closing(f)
  return setmetatable({}, { __close = f })
end

-- What close raises, without its position.
local function refusal(g)
  local _, err = pcall(g.close, g)
  return (err:gsub("^[^ ]*:%d+: ", ""))
end

-- A generator whose body is in a group when a task of the group, made by `spawn`, closes it.
local function close_from(spawn)
  local log, g = {}, nil
  local function note(v) log[#log + 1] = v end
  g = rille.generator(function()
    rille.group(function(group)
      group:spawn(function()
        local _ <close> = closing(function() note("child cleaned") end)
        rille.sleep(0)
        rille.sleep(0)
      end)
      spawn(group, function() note(refusal(g)) end)
    end)
    note("group ended")
    coroutine.yield("item")
  end)()
  note(g:next())
  g:close()
  return log
end

local EXPECTED = {
  "cannot close a running generator from inside it; use return", "child cleaned", "group ended", "item",
}

describe("a generator that is closed by a task of a group in its body", function()
  it("R49 refuses", function()
    assert.same(EXPECTED, close_from(function(group, close) group:spawn(close) end))
  end)

  it("R49 refuses a task of a group in that task", function()
    assert.same(EXPECTED, close_from(function(group, close)
      group:spawn(function() rille.all { close } end)
    end))
  end)

  it("R49 refuses a generator that runs in that task", function()
    assert.same(EXPECTED, close_from(function(group, close)
      group:spawn(function() rille.generator(close)():next() end)
    end))
  end)

  it("R49 refuses a task of a stream whose step the body takes", function()
    local log, g = {}, nil
    g = rille.generator(function()
      local s = stream.map({ 1, 2 }, function(v)
        rille.sleep(0)
        log[v] = refusal(g)
        return v
      end, { n = 2 })
      for v in s:each() do coroutine.yield(v) end
    end)()
    assert.same({ 1, 2 }, g:collect())
    assert.same({ EXPECTED[1], EXPECTED[1] }, log)
  end)

  it("R48 refuses, too, while it is being closed", function()
    local log, g = {}, nil
    g = rille.generator(function()
      local _ <close> = closing(function()
        rille.all { function() log[1] = refusal(g) end }
      end)
      coroutine.yield(1)
    end)()
    g:next()
    g:close()
    assert.same({ EXPECTED[1] }, log)
  end)
end)
