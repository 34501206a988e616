#!/usr/bin/env rille
-- download.lua -- saves the URLs of a list as files in a folder: several at a time, and so many requests a
--                 second at most. Run again when interrupted, it goes on. Status 1 if one failed.
-- Shows:  a client with a rate and retry, downloads that resume, each_do with n tasks, race, interval.
-- Run:    rille scripts/pokeapi.lua --port 8080 &
--         seq 20 | sed 's,^,http://127.0.0.1:8080/api/v2/pokemon/,' | rille scripts/download.lua - /tmp 5
local rille = require "rille"
local http = require "rille.http"
local stream = require "rille.stream"

local function stop(status, ...)
  io.stderr:write(...)
  os.exit(status)
end
local list, folder = arg[1], arg[2]
local rate, most = tonumber(arg[3] or 2), math.tointeger(tonumber(arg[4] or 4))
if not folder or not rate or rate <= 0 or not most or most < 1 or arg[5] then
  stop(2, "usage: download.lua LIST|- FOLDER [REQUESTS_A_SECOND [FILES_AT_A_TIME]]\n")
end

local file, problem = io.open(list == "-" and "/dev/stdin" or list)
if not file then stop(1, "download: ", problem, "\n") end
local urls = stream.from(file:lines()):filter(function(line) return line:find("%S") end):collect()

local client <close> = http.client { rate = rate, retry = 3, timeout = { idle = 30 } }
local on_terminal = os.execute("test -t 2") -- stderr
local WIPE = on_terminal and "\r\27[K" or ""
local sizes, saved, failures = {}, 0, {} -- sizes: bytes received, by path

local function save(url)
  local path = folder .. "/" .. (url:gsub("[?#].*", ""):match("([^/]*[^/.][^/]*)/*$") or "index.html")
  if sizes[path] then error(("%s: another URL of the list is saved as %s"):format(url, path), 0) end
  sizes[path] = 0
  local there <close> = io.open(path)
  if there then return end -- all of it: what is not complete has another name
  local done = client:download(url, path, { progress = function(bytes) sizes[path] = bytes end })
  saved = saved + 1
  io.stderr:write(WIPE)
  print(path, done.size)
end

local function try(url)
  local ok, err = pcall(save, url)
  if not ok then failures[#failures + 1] = tostring(err) end
end

local function show_progress()
  for _ in stream.interval(0.2) do
    local bytes = 0
    for _, size in pairs(sizes) do bytes = bytes + size end
    io.stderr:write(WIPE, ("%d of %d files, %.1f MiB"):format(saved, #urls, bytes / 2^20))
  end
end

local function save_all() stream.each_do(urls, try, { n = most }) end
rille.race { save_all, on_terminal and show_progress or nil } -- the progress ends with the work
io.stderr:write(WIPE)
for _, message in ipairs(failures) do io.stderr:write("download: ", message, "\n") end
os.exit(#failures == 0)
