-- A task of a group leads to the coroutine that waits for it. A Task that was kept for its results kept that
-- coroutine too, and a dropped generator whose body had opened the group was never cleaned up.
local rille = require("rille")

describe("a task that is kept after its end", function()
  it("R93 does not keep the generator in whose body its group was", function()
    rille.test.may_leak()
    local cleaned, kept = false, nil
    ;(function()
      local g = rille.generator(function()
        local _ <close> = setmetatable({}, { __close = function() cleaned = true end })
        rille.group(function(group) kept = group:spawn(function() return "result" end) end)
        coroutine.yield(1)
      end)()
      g:next()
    end)()
    collectgarbage()
    collectgarbage()
    rille.sleep(0)
    rille.sleep(0)
    assert.is_true(cleaned)
    assert.equal("result", kept:await())
  end)
end)
