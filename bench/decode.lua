-- bench/decode.lua -- the milliseconds that it takes to make tables of a JSON document.
-- Usage:  bin/rille bench/decode.lua rille|cjson FILE [n]
-- The document is a string that is there already. Time is processor time, and that of the collector is part
-- of it: each value is garbage when the next one is made.

local mode, path, count = arg[1], arg[2], tonumber(arg[3] or 100)

local decode = mode == "cjson" and require "cjson".decode or require "rille.json".decode
local file <close> = assert(io.open(path, "rb"))
local text = file:read "a"

local start
for _, n in ipairs { count // 10 + 1, count } do -- the first warms up
  start = os.clock()
  for _ = 1, n do assert(decode(text).name) end
end
print(("%.4f"):format((os.clock() - start) / count * 1e3))
