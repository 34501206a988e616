-- bench/server.lua -- a server of small JSON, to be asked by wrk. Prints its URL, then serves until killed.
-- Usage:  rille bench/server.lua & wrk -t1 -c64 -d5 URL
-- Rivals: bench/server.py, bench/server.mjs: the same answer, of 155 bytes.
local http = require "rille.http"

local BODY <const> = {
  id = 25, name = "pikachu", height = 4, weight = 60, types = { "electric" },
  species = { name = "pikachu", url = "http://127.0.0.1:8080/api/v2/pokemon-species/25" },
}

local server = http.serve({ port = 0 }, function() return { json = BODY } end)
io.stdout:setvbuf("line")
print(server.url)
