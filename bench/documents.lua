-- bench/documents.lua -- writes documents as pokeapi.co has them: 250 to 580 kB each, indented, most of it
-- lists of small objects; "name" is behind most of them.
-- Usage:  rille bench/documents.lua DIRECTORY [count=898]   writes DIRECTORY/1 ... DIRECTORY/count
-- Their texts differ in size and name.

local SMALLEST <const>, LARGEST <const> = 250e3, 580e3

-- Lines of one object {"name":, "url":}.
local function reference(out, pad, key, kind, i, comma)
  out[#out + 1] = ('%s"%s": {'):format(pad, key)
  out[#out + 1] = ('%s    "name": "%s-%d",'):format(pad, kind, i)
  out[#out + 1] = ('%s    "url": "/api/v2/%s/%d/"'):format(pad, kind, i)
  out[#out + 1] = pad .. "}" .. comma
end

local function detail(out, i, comma)
  local pad = (" "):rep(20)
  out[#out + 1] = "                {"
  out[#out + 1] = ('%s"level_learned_at": %d,'):format(pad, i * 3)
  reference(out, pad, "move_learn_method", "move-learn-method", i % 4 + 1, ",")
  out[#out + 1] = pad .. '"order": null,'
  reference(out, pad, "version_group", "version-group", i, "")
  out[#out + 1] = "                }" .. comma
end

local function move(i)
  local out = { "        {" }
  reference(out, "            ", "move", "move", i, ",")
  out[#out + 1] = '            "version_group_details": ['
  for k = 1, 8 do detail(out, k, k < 8 and "," or "") end
  out[#out + 1] = "            ]"
  out[#out + 1] = "        }"
  return table.concat(out, "\n")
end

local HEAD <const> = '{\n    "abilities": [],\n    "base_experience": 112,\n    "height": 4,\n'
  .. '    "moves": [\n'
local TAIL <const> = '\n    ],\n    "name": "pokemon-%d",\n    "is_default": true,\n    "past_types": [],\n'
  .. '    "weight": 60\n}\n'

local directory, count = arg[1], tonumber(arg[2] or 898)
local moves, size = {}, 0
while size < LARGEST do
  moves[#moves + 1] = move(#moves + 1)
  size = size + #moves[#moves] + 2
end
for i = 1, count do
  local part = SMALLEST / LARGEST + (1 - SMALLEST / LARGEST) * (i * 37 % 100) / 100
  local file <close> = assert(io.open(directory .. "/" .. i, "wb"))
  assert(file:write(HEAD, table.concat(moves, ",\n", 1, math.floor(#moves * part)), TAIL:format(i)))
end
