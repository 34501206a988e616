--- The cost of one value of a big document: documents a second.
-- Claim:  res:json("/name") reads at least 6 times as many documents a second as res:json().name.
-- Rival:  res:json(), which builds the tables of all of the body.
-- Usage:  bin/rille bench/json.lua
-- The document has the shape and size of one of pokeapi.co: indented, some 500 kB, lists of small objects;
-- "name" is far behind. It is received once.

local http = require "rille.http"

local ROUNDS, SECONDS = 5, 0.3

-- A document as pokeapi.co has it.
local function document()
  local out = {}
  local function add(indent, text) out[#out + 1] = ("    "):rep(indent) .. text end
  local function reference(indent, key, kind, i, comma)
    add(indent, ('"%s": {'):format(key))
    add(indent + 1, ('"name": "%s-%d",'):format(kind, i))
    add(indent + 1, ('"url": "/api/v2/%s/%d/"'):format(kind, i))
    add(indent, "}" .. comma)
  end
  add(0, "{")
  add(1, '"base_experience": 112,')
  add(1, '"height": 4,')
  add(1, '"held_item": null,')
  add(1, '"moves": [')
  for i = 1, 110 do
    add(2, "{")
    reference(3, "move", "move", i, ",")
    add(3, '"version_group_details": [')
    for k = 1, 10 do
      add(4, "{")
      add(5, ('"level_learned_at": %d,'):format(k * 3))
      reference(5, "move_learn_method", "move-learn-method", k, ",")
      add(5, '"order": null,')
      reference(5, "version_group", "version-group", k, "")
      add(4, k < 10 and "}," or "}")
    end
    add(3, "]")
    add(2, i < 110 and "}," or "}")
  end
  add(1, "],")
  add(1, '"name": "pikachu",')
  add(1, '"is_default": true,')
  add(1, '"weight": 60')
  add(0, "}")
  return table.concat(out, "\n") .. "\n"
end

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

local text = document()
local server <close> = http.serve({ port = 0 }, function() return { body = text } end)
local res = http.get(server.url)
local pointer, whole = 0, 0
for _ = 1, ROUNDS do
  pointer = math.max(pointer, rate(function() return res:json("/name") end))
  whole = math.max(whole, rate(function() return res:json().name end))
end
print(("json: %d kB: %.0f documents/s by pointer, %.0f decoded; ratio %.1f (claim: at least 6)"):format(
  #text // 1000, pointer, whole, pointer / whole))
