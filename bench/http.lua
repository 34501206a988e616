-- bench/http.lua -- JSON over HTTP, many requests at a time, the name in each body read.
-- Usage:  rille bench/http.lua URL [requests=20000] [concurrency=64] [decode|pointer] [CA]
--         prints requests a second, and microseconds of processor time that each has cost.
--         "{}" in the URL stands for the number of the request. With the file of a CA it is HTTP/2, over
--         one connection. `pointer` reads the name with json("/name"), without building the rest.
-- Rivals: bench/bare.c, bench/http_rival.py, bench/http_rival.mjs: the same arguments, the same output.
local http = require "rille.http"
local rille = require "rille"
local stream = require "rille.stream"

local url, total, concurrency = arg[1], tonumber(arg[2] or 20000), tonumber(arg[3] or 64)
local by_pointer, ca = arg[4] == "pointer", arg[5]

local client <close> = http.client(ca and { http_version = "2", tls = { ca = ca } } or nil)

local is_numbered = url:find "{}"
local function fetch(i)
  local res = client:get(is_numbered and (url:gsub("{}", i)) or url)
  assert(res.status == 200)
  return by_pointer and res:json("/name") or res:json().name
end

fetch(1) -- a connection is there, and libcurl is loaded
local start, used = rille.now(), os.clock()
local count = 0
for name in stream.range(1, total):map(fetch, { n = concurrency }) do
  assert(name == "pikachu" or name == "pokemon-" .. count + 1)
  count = count + 1
end
assert(count == total)
local seconds = rille.now() - start
print(("%.0f %.1f"):format(total / seconds, (os.clock() - used) / total * 1e6))
