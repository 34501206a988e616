#!/usr/bin/env rille
-- ndjson.lua -- counts records, which are lines of JSON, by one of their fields; of all records, or of those
--               with the values that are given. The counts are lines of JSON too, the largest first.
-- Shows:  a pipeline: a body as it comes, its lines as values, filter, map; catch: an error as one line.
--         One record is in memory at a time, so the input may be larger than memory.
-- Run:    printf '{"level":"info","id":1}\n{"level":"warn","id":2}\n' | rille scripts/ndjson.lua - level id=2
--         rille scripts/ndjson.lua http://127.0.0.1:8000/log.ndjson level
local rille = require "rille"
local http = require "rille.http"
local json = require "rille.json"
local stream = require "rille.stream"

local source, field, wanted = arg[1], arg[2], {}
for _, word in ipairs { table.unpack(arg, 3) } do
  local name, value = word:match("^([^=]+)=(.*)$")
  if not name then field = nil break end
  wanted[name] = value
end
if not field then
  io.stderr:write("usage: ndjson.lua URL|- FIELD [FIELD=VALUE...]\n")
  os.exit(2)
end

local function fail(err)
  io.stderr:write("ndjson: ", tostring(err), "\n")
  os.exit(1)
end

-- The records of standard input, or of what a URL has.
local records = rille.generator(function()
  if source == "-" then return stream.yield_from(json.lines(io.stdin:lines("L"))) end
  stream.yield_from(http.stream(source):raise_for_status():ndjson())
end)

local function is_wanted(record)
  if type(record) ~= "table" or record[field] == nil then return false end
  for name, value in pairs(wanted) do
    local has = record[name]
    if has == nil or has ~= value and json.encode(has) ~= value then return false end
  end
  return true
end

local function group(record) return json.encode(record[field]) end

local counts, groups = {}, {}
for name in records():catch(fail):filter(is_wanted):map(group) do
  if not counts[name] then groups[#groups + 1] = name end
  counts[name] = (counts[name] or 0) + 1
end
table.sort(groups, function(a, b)
  if counts[a] ~= counts[b] then return counts[a] > counts[b] end
  return a < b
end)
for _, name in ipairs(groups) do
  print(('{%s:%s,"count":%d}'):format(json.encode(field), name, counts[name]))
end
