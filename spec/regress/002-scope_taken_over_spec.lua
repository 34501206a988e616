-- A generator's body waited inside rille.timeout when another task closed the generator. The scope moved to
-- that task, but was left in the first: it stayed in the stack of scopes after its memory was freed.
local rille = require("rille")

describe("a generator that is closed by another task while its body is inside a time-out", function()
  it("R46 leaves no scope behind in either task", function()
    local log = {}
    for _ = 1, 50 do
      local g = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function() rille.sleep(0) end })
        rille.timeout(60, rille.sleep, 60)
        coroutine.yield(1)
      end)()
      local consumer = rille.spawn(function()
        log[#log + 1] = select(2, pcall(g.next, g))
        rille.sleep(0)
      end)
      while consumer:status() ~= "waiting" do rille.sleep(0) end
      g:close()
      collectgarbage()
      consumer:await()
      rille.sleep(0)
    end
    assert.equal(50, #log)
    assert.is_truthy(log[50]:find("generator closed by another task", 1, true))
  end)
end)
