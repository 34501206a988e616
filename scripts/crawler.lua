#!/usr/bin/env rille
-- crawler.lua -- walks a web site: prints the status and the URL of all that can be reached from a page by
--                links within its host. What could not be had is listed at the end; status 1 then.
-- Shows:  a group that gets a task for each URL as it is found, a client that bounds how many requests are
--         under way, retry, a response whose body is read only if it is wanted.
-- Run:    python3 -m http.server 8000 &
--         rille scripts/crawler.lua http://127.0.0.1:8000/ 8
local rille = require "rille"
local http = require "rille.http"

-- Scheme, host and port of a URL.
local function origin(url) return url:match("^https?://[^/?#]+") end

local start, most = arg[1] or "", math.tointeger(tonumber(arg[2] or 4))
if not origin(start) or not most or most < 1 or arg[3] then
  io.stderr:write("usage: crawler.lua URL [REQUESTS_AT_A_TIME]\n")
  os.exit(2)
end

local client <close> = http.client { max_connections = most, retry = 3, timeout = { idle = 30 } }
local seen, failures = {}, {}

-- Fetches a URL; gives those that it links to.
local function links(url)
  local res <close> = client:stream(url)
  print(res.status, url)
  local found = {}
  if (res.headers["content-type"] or ""):find("^text/html") then
    for _, href in res:text():gmatch("[hH][rR][eE][fF]%s*=%s*([\"'])(.-)%1") do
      found[#found + 1] = http.join(res.url, (href:gsub("&amp;", "&"))):gsub("#.*", "")
    end
  end
  return found
end

local function crawl(group, url)
  if seen[url] or origin(url) ~= origin(start) then return end
  seen[url] = true
  group:spawn(function()
    local ok, found = pcall(links, url)
    if not ok then
      failures[#failures + 1] = tostring(found)
      return
    end
    for _, link in ipairs(found) do crawl(group, link) end
  end)
end

rille.group(function(group) crawl(group, start) end)

for _, message in ipairs(failures) do io.stderr:write("crawler: ", message, "\n") end
os.exit(#failures == 0)
