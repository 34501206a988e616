-- bench/http.lua -- small JSON over HTTP, many requests at a time, each body decoded.
-- Claim: at least 0.80 of the requests a second of bench/bare.c, which decodes nothing.
-- Run:   make bench-http (bench/http.sh: with nginx, next to the rival), or
--        rille bench/http.lua URL [requests=20000] [concurrency=64]; prints requests a second.
local http = require "rille.http"
local rille = require "rille"
local stream = require "rille.stream"

local url, total, concurrency = arg[1], tonumber(arg[2] or 20000), tonumber(arg[3] or 64)

local function fetch()
  local res = http.get(url)
  assert(res.status == 200)
  return res:json().name
end

local start = rille.now()
local count = 0
for name in stream.range(1, total):map(fetch, { n = concurrency }) do
  assert(name == "pikachu")
  count = count + 1
end
assert(count == total)
print(math.floor(total / (rille.now() - start)))
