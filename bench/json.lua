-- bench/json.lua -- the cost of one value of a big document: documents a second by res:json("/name"), and by
-- res:json().name, which makes the tables of all of it.
-- Usage:  bin/rille bench/json.lua
-- In the document (bench/document.lua) "name" is far behind. It is received once.
package.path = "?.lua;" .. package.path

local document = require "bench.document"
local http = require "rille.http"

local ROUNDS, SECONDS = 5, 0.3

-- Documents a second, of processor time.
local function rate(f)
  collectgarbage()
  local n, start = 0, os.clock()
  while os.clock() - start < SECONDS do
    assert(f() == "pikachu")
    n = n + 1
  end
  return n / (os.clock() - start)
end

local text = document(500e3, "pikachu")
local server <close> = http.serve({ port = 0 }, function() return { body = text } end)
local res = http.get(server.url)
local pointer, whole = 0, 0
for _ = 1, ROUNDS do
  pointer = math.max(pointer, rate(function() return res:json("/name") end))
  whole = math.max(whole, rate(function() return res:json().name end))
end
print(("json: %d kB: %.0f documents/s by pointer, %.0f decoded"):format(#text // 1000, pointer, whole))
