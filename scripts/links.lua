#!/usr/bin/env rille
-- links.lua -- checks the links of web pages: prints the dead ones, each with what is wrong, in the order of
--              the page. The status is 1 if there is one, or a page cannot be had.
-- Shows:  generators as sources of a stream, flat_map, map with several requests in flight whose results stay
--         in order, catch; retry, time-outs and statuses of HTTP.
-- Run:    rille scripts/links.lua https://www.lua.org/
--         or a page of your own: python3 -m http.server 8000 & rille scripts/links.lua http://127.0.0.1:8000/
local rille = require "rille"
local http = require "rille.http"
local stream = require "rille.stream"

if not arg[1] then
  io.stderr:write("usage: links.lua URL...\n")
  os.exit(2)
end

local client <close> = http.client { retry = 2, timeout = 30, max_per_host = 4 }
local seen = {}

-- The URLs that a page links to, each once for all pages.
local links_of = rille.generator(function(page)
  local res = client:get(page):raise_for_status()
  for name, _, link in res:text():gmatch("([%w-]+)%s*=%s*([\"'])(.-)%2") do
    name = name:lower()
    if name == "href" or name == "src" then
      local url = http.join(res.url, (link:gsub("&amp;", "&"))):gsub("#.*", "")
      if url:find("^https?://") and not seen[url] then
        seen[url] = true
        coroutine.yield(url)
      end
    end
  end
end)

-- What is wrong with a URL: a text, or false.
local function complaint(url)
  local ok, err = pcall(function()
    local res = client:head(url)
    if res.status == 405 or res.status == 501 then res = client:get(url) end -- HEAD is not known there
    return res:raise_for_status()
  end)
  return not ok and tostring(err)
end

local function fail(err)
  io.stderr:write("links: ", tostring(err), "\n")
  os.exit(1)
end

local dead = 0
for text in stream.flat_map(arg, links_of):catch(fail):map(complaint, { n = 16 }) do
  if text then
    print(text)
    dead = dead + 1
  end
end
os.exit(dead == 0)
