-- libuv runs due timers before it polls. A fiber made ready there waited until the poll's own time-out,
-- which was that of the next deadline.
local rille = require("rille")

describe("a sleep that ends while another task computes", function()
  it("wakes before a later deadline", function()
    local order = {}
    local late = rille.spawn(function()
      rille.sleep(0.2)
      order[#order + 1] = "late"
    end)
    local early = rille.spawn(function()
      rille.sleep(0.0105)
      rille.sleep(0.02)
      order[#order + 1] = "early"
    end)
    local busy = rille.spawn(function()
      rille.sleep(0.01)
      local start = rille.now()
      while rille.now() - start < 0.01 do end
    end)
    late:await()
    early:await()
    busy:await()
    assert.same({ "early", "late" }, order)
  end)
end)
