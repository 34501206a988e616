-- A close of a stream opened a scope in the task that was in its step, to end the wait there. In the same
-- turn a third task took over the generator that waited, with the scopes that its body had opened, and so
-- with that one: it was left by the first task, while coroutines of the third still had it as their mark, or
-- after the third had ended and its memory was freed.
local process = require("spec.helper.process")

-- `s` waits in g, which waits in h inside a time-out. One task closes s, another one g.
local HEAD = [[
  local rille, stream = require("rille"), require("rille.stream")
  local function turns(n) for _ = 1, n do rille.sleep(0) end end
  local function slow_end(n) return setmetatable({}, { __close = function() turns(n) end }) end
  local h = rille.generator(function()
    local _ <close> = slow_end(IN_H)
    rille.sleep(60)
  end)()
  local g = rille.generator(function()
    rille.timeout(60, h.next, h)
    coroutine.yield(1)
  end)()
  local s = stream.range(1, 3):map(function()
    local _ <close> = slow_end(IN_STAGE)
    local v = g:next()
    return v
  end)
  local function report(name, f, ...) print(name, pcall(f, ...)) end
  rille.spawn(report, "next", s.next, s)
  turns(2)
  rille.spawn(report, "s:close", s.close, s)
  rille.spawn(function()
    turns(1)
    report("g:close", g.close, g)
  end)
  turns(6)
]]

local function run(in_h, in_stage, tail)
  local head = HEAD:gsub("IN_%u+", { IN_H = in_h, IN_STAGE = in_stage })
  local done = process.run({ process.rille, "-e", head .. tail })
  assert.equal("", done.stderr)
  assert.equal(0, done.status)
  return done.stdout
end

describe("a step that is struck and taken over in one turn", function()
  it("R46 leaves no trace of the stroke in the coroutines of who took it over", function()
    local out = run(20, 0, 'print(h:status()) report("h:close", h.close, h)')
    assert.is_truthy(out:find("waiting\n.*h:close\ttrue"), out)
  end)

  it("R46 may be left after the task that took it over has ended", function()
    local out = run(8, 40, 'turns(10) g = nil collectgarbage() collectgarbage() turns(40) print("end")')
    assert.is_truthy(out:find("g:close\ttrue.*end\n"), out)
  end)
end)
