-- A finaliser kept a generator that the collector had finalised too, because it had not begun. When that
-- began and was dropped, nothing took it out of the list of those that have begun.
local process = require("spec.helper.process")

local SCRIPT = [[
  local rille = require("rille")
  local gen = rille.generator(function()
    local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) print("cleanup") end })
    for i = 1, 10 do coroutine.yield(i) end
  end)
  local kept
  do
    local holder = setmetatable({}, { __gc = function(h) kept = h.g end })
    holder.g = gen()
  end
  collectgarbage()
  collectgarbage()
  print(kept:next())
  kept = nil
  collectgarbage()
  collectgarbage()
  for _ = 1, 3 do rille.sleep(0) end
  print("end")
]]

describe("a generator that a finaliser has kept", function()
  it("R93 is reported and closed when it is dropped after its first step", function()
    local done = process.run({ process.rille, "-e", "warn('@on')", "-e", SCRIPT })
    assert.equal("1\ncleanup\nend\n", done.stdout)
    assert.is_truthy(done.stderr:find("was dropped before its end", 1, true), done.stderr)
    assert.equal(0, done.status)
  end)
end)
