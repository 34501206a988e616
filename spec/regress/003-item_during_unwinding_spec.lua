-- A <close> handler of a generator yielded an item while a cancellation unwound its body. The consumer went
-- on with the item: the task had lost its cancellation.
local rille = require("rille")

describe("a generator whose cleanup yields while its task is cancelled", function()
  it("R66 does not lose the cancellation", function()
    local log = {}
    local task = rille.spawn(function()
      local g <close> = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function() coroutine.yield("late") end })
        rille.sleep(60)
      end)()
      log[#log + 1] = g:next()
      rille.sleep(60)
      log[#log + 1] = "not reached"
    end)
    while task:status() ~= "waiting" do rille.sleep(0) end
    task:cancel()
    task:join()
    assert.equal("cancelled", task:status())
    assert.same({ "late" }, log)
  end)
end)
