-- What rille_test_spec.lua runs: a test that is interrupted, and one that would come after it.
local rille = require "rille"

describe("until", function()
  it("it is interrupted", function()
    local _ <close> = setmetatable({}, { __close = function()
      rille.sleep(0.001)
      print("cleanup")
    end })
    print("begun")
    io.stdout:flush()
    rille.sleep(60)
  end)

  it("it is tried", function()
    print("tried")
    rille.sleep(0)
  end)
end)

it("sleeps", function() rille.sleep(0.001) end)
