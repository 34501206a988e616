-- next_within made its wait after it had looked for the step. The collector ran there, and a finaliser closed
-- the generator, which forgot the step: the wait was for nothing, at address 0.
local process = require("spec.helper.process")

local SCRIPT = [[
  local rille = require("rille")
  collectgarbage("incremental", 100, 100, 4)
  local gen = rille.generator(function()
    rille.sleep(60)
    coroutine.yield(1)
  end)
  local closed = 0
  for i = 1, 500 do
    local g, done = gen(), false
    setmetatable({}, { __gc = function()
      if not done and pcall(g.close, g) then closed = closed + 1 end
    end })
    for _ = 1, i % 40 do local _ = {} end
    local ok, err = pcall(g.next_within, g, 0)
    assert(ok or err:find("generator closed by another task", 1, true), err)
    done = true
    g:close()
  end
  assert(closed > 0)
]]

describe("a generator that a finaliser closes while next_within begins to wait", function()
  it("R102 raises that it was closed", function()
    local done = process.run({ process.rille, "-e", SCRIPT })
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
  end)
end)
