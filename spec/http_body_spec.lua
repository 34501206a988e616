-- Bodies that are kept whole: of every size they are what was sent, and the collector lets go of them.
local http = require "rille.http"
local json = require "rille.json"
local process = require "spec.helper.process"
local resident = require "spec.helper.resident"

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

-- A JSON text of so many bytes.
local function text_of(size)
  local around = '{"pad":"","name":"pikachu"}'
  return (around:gsub('""', '"' .. ("x"):rep(size - #around) .. '"', 1))
end

describe("a body", function()
  local server, client

  setup(function()
    server = http.serve({ host = "127.0.0.1", port = 0 }, function(req)
      local text = text_of(tonumber(req.query.size))
      local headers = { ["content-type"] = "application/json" }
      return { body = text, headers = headers }
    end)
    client = http.client { base_url = server.url }
  end)
  teardown(function()
    client:close()
    server:close()
  end)

  it("is what was sent, whatever its size: as text, as JSON, at a pointer, more than once", function()
    for _, size in ipairs { 27, 1000, 32767, 32768, 32769, 65536, 262144, 1500000 } do
      local res, text = client:get("/?size=" .. size), text_of(size)
      assert.equal(size, #text)
      for _ = 1, 2 do
        assert.is_true(res:text() == text, "text of " .. size)
        assert.equal("pikachu", res:json("/name"))
        assert.same(json.decode(text), res:json())
      end
      assert.equal(tostring(size), res.headers["content-length"])
      assert.truthy(tostring(res):find(size .. " bytes", 1, true))
    end
  end)

  it("stays as long as its response, whatever the client does next", function()
    local kept = {}
    for i = 1, 12 do kept[i] = client:get("/?size=" .. 30000 + i * 1000) end
    local other <close> = http.client { base_url = server.url }
    kept[13] = other:get("/?size=100000")
    other:close()
    collectgarbage()
    for i = 1, 12 do assert.is_true(kept[i]:text() == text_of(30000 + i * 1000)) end
    assert.equal("pikachu", kept[13]:json("/name"))
  end)

  it("is let go by a collector that sees large bodies although Lua has not allocated them", function()
    if STRESSED then return end -- a sanitizer keeps what is freed
    local answer = { body = ("x"):rep(1000000) }
    local there <close> = http.serve({ host = "127.0.0.1", port = 0 }, function() return answer end)
    local before = resident()
    for _ = 1, 150 do assert.equal(200, client:get(there.url).status) end
    assert.is_true(resident() - before < 75000000)
  end)

  it("is let go by a collector that works by generations, although it had become old", function()
    if STRESSED then return end
    local answer = { body = ("x"):rep(1000000) }
    local there <close> = http.serve({ host = "127.0.0.1", port = 0 }, function() return answer end)
    local mode = collectgarbage("generational")
    local _ <close> = setmetatable({}, { __close = function() collectgarbage(mode) end })
    local before, kept = resident(), {}
    for i = 0, 199 do kept[i % 25] = client:get(there.url) end
    assert.is_true(resident() - before < 120000000)
    assert.equal(1000000, #kept[0]:text())
    assert.equal("generational", collectgarbage("generational"))
  end)

  it("is there for a finaliser that is older, and for one that keeps its response", function()
    local seen, kept
    local function finish(self) seen, kept = self.res:text(), self.res end
    local function drop()
      local holder = setmetatable({}, { __gc = finish })
      holder.res = client:get("/?size=200000")
    end
    drop()
    collectgarbage()
    collectgarbage()
    assert.is_true(seen == text_of(200000))
    assert.equal("pikachu", kept:json("/name"))
    assert.is_true(kept:text() == seen)
  end)

  it("is there for a finaliser that runs when the program ends", function()
    local script = [[
      local http = require "rille.http"
      holder = setmetatable({}, { __gc = function(h) print(h.res:text() == text) end })
      holder.res = http.get("%s/?size=200000")
      text = holder.res:text()]]
    local done = process.run { process.rille, "-e", script:format(server.url) }
    assert.same({ "true\n", "" }, { done.stdout, done.stderr })
  end)

  it("is not collected while the script has stopped the collector", function()
    local finalized
    collectgarbage()
    collectgarbage("stop")
    setmetatable({}, { __gc = function() finalized = true end })
    for _ = 1, 12 do client:get("/?size=1000000") end
    local early = finalized
    collectgarbage("restart")
    collectgarbage()
    assert.is_nil(early)
    assert.is_true(finalized)
  end)
end)
