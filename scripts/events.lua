#!/usr/bin/env rille
-- events.lua -- prints Server-Sent Events as they come: their kind and their data; those of all kinds, or of
--               the kinds that are named. It goes on behind the last one when the connection is lost.
-- Shows:  http.events, which connects again with Last-Event-ID; filter; catch: an error as one line.
-- Run:    rille scripts/chat.lua 8080 &
--         rille scripts/events.lua http://127.0.0.1:8080/lobby
local http = require "rille.http"

if not arg[1] then
  io.stderr:write("usage: events.lua URL [KIND...]\n")
  os.exit(2)
end

local wanted = {}
for _, kind in ipairs { table.unpack(arg, 2) } do wanted[kind] = true end

local function is_wanted(event) return next(wanted) == nil or wanted[event.event] end

local function fail(err)
  io.stderr:write("events: ", tostring(err), "\n")
  os.exit(1)
end

local events = http.events(arg[1], { reconnect = { times = 4, backoff = 0.5 } })
for event in events:catch(fail):filter(is_wanted) do print(event.event, event.data) end
