-- yield_from made the place for a body after it had looked whether the generator has begun. The collector ran
-- there, and a finaliser closed the generator: its body was taken from a coroutine that was gone.
local process = require("spec.helper.process")

local SCRIPT = [[
  local rille, stream = require("rille"), require("rille.stream")
  collectgarbage("incremental", 20, 400, 6)
  local inner = rille.generator(function()
    coroutine.yield(1)
    coroutine.yield(2)
  end)
  local n, closed = 0, 0
  local outer = rille.generator(function(litter)
    for _ = 1, 200 do
      local g = inner()
      setmetatable({}, { __gc = function()
        if g:status() == "created" then
          g:close()
          closed = closed + 1
        end
      end })
      for _ = 1, litter do local _ = {} end
      stream.yield_from(g)
    end
  end)
  for i = 1, 10 do
    for _ in outer(i) do n = n + 1 end
  end
  assert(closed > 0 and n == 2 * (10 * 200 - closed), n .. " " .. closed)
]]

describe("a generator that a finaliser closes while yield_from begins", function()
  it("R102 R89 yields nothing", function()
    local done = process.run({ process.rille, "-e", SCRIPT })
    assert.equal("", done.stderr)
    assert.equal(0, done.status)
  end)
end)
