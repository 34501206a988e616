-- A task that was killed left each scope that was open in it in the registry.
local process = require("spec.helper.process")

local SCRIPT = [[
  local rille = require("rille")
  local function count()
    collectgarbage()
    collectgarbage()
    local n = 0
    for _ in pairs(debug.getregistry()) do n = n + 1 end
    return n
  end
  local function kill_one()
    local t = rille.spawn(rille.timeout, 60, function() while true do pcall(rille.sleep, 60) end end)
    rille.sleep(0)
    t:cancel()
    t:join()
  end
  kill_one()
  local before = count()
  for _ = 1, 10 do kill_one() end
  print(count() - before)
]]

describe("a task that is killed inside a time-out", function()
  it("R66 leaves nothing in the registry", function()
    local done = process.run({ process.rille, "-e", "warn('@off')", "-e", SCRIPT })
    assert.equal("0\n", done.stdout)
    assert.equal(0, done.status)
  end)
end)
