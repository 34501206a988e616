-- bench/document.lua -- makes a JSON document as pokeapi.co has them: indented, lists of small objects, most
-- of it before "name".
-- Usage:  local document = require "bench.document"; document(bytes, name) -> a text of about that size

local MOVE <const> = [[
        {
            "move": {
                "name": "move-%d",
                "url": "/api/v2/move/%d/"
            },
            "version_group_details": [
%s
            ]
        }]]

local DETAIL <const> = [[
                {
                    "level_learned_at": %d,
                    "move_learn_method": {
                        "name": "move-learn-method-%d",
                        "url": "/api/v2/move-learn-method/%d/"
                    },
                    "order": null,
                    "version_group": {
                        "name": "version-group-%d",
                        "url": "/api/v2/version-group/%d/"
                    }
                }]]

local DOCUMENT <const> = [[
{
    "abilities": [],
    "base_experience": 112,
    "height": 4,
    "held_item": null,
    "moves": [
%s
    ],
    "name": "%s",
    "is_default": true,
    "past_types": [],
    "weight": 60
}
]]

-- The texts of moves, which documents share.
local moves = setmetatable({}, { __index = function(known, i)
  local details = {}
  for k = 1, 10 do
    local method = k % 4 + 1
    details[k] = DETAIL:format((k - 1) // 3 * 7, method, method, k, k)
  end
  known[i] = MOVE:format(i, i, table.concat(details, ",\n"))
  return known[i]
end })

return function(bytes, name)
  local count, size = 0, 0
  while size < bytes do
    count = count + 1
    size = size + #moves[count] + 2
  end
  return DOCUMENT:format(table.concat(moves, ",\n", 1, count), name)
end
