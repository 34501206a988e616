--- What the methods of a generator make of an argument that is none.

local rille = require "rille"

describe("a method of generators", function()
  local g = rille.generator(function() coroutine.yield(1) end)()
  local meta = getmetatable(g)

  it("refuses what is no generator, and names what it got", function()
    local task <const> = rille.spawn(function() end)
    local others = { [io.stdout] = "FILE*", [task] = "rille.Task", [{}] = "table", g = "string" }
    for _, method in ipairs { meta.__call, meta.__close, g.next, g.throw, g.close, g.each, g.status } do
      for other, name in pairs(others) do
        local ok, message = pcall(method, other)
        assert.is_false(ok)
        assert.matches("rille.generator expected, got " .. name, message, 1, true)
      end
      assert.matches("rille.generator expected, got no value", select(2, pcall(method)), 1, true)
    end
    task:join()
  end)

  it("takes a step whatever else a call passes", function()
    assert.equal(1, meta.__call(g, nil, "control", 3))
    assert.is_nil(meta.__call(g, "state", 1))
  end)
end)
