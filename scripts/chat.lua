#!/usr/bin/env rille
-- chat.lua -- a chat for browsers and others. Every path is a room: a POST says something there, and who asks
--             for its events waits for what is said after the last one that it has.
-- Shows:  http.serve, whose handlers may wait; an event that wakes all who wait; rille.timeout.
-- Run:    rille scripts/chat.lua 8080 &              and open http://127.0.0.1:8080/lobby in a browser, or:
--         rille scripts/events.lua http://127.0.0.1:8080/lobby &
--         curl -d 'ash: hello' http://127.0.0.1:8080/lobby
local rille = require "rille"
local http = require "rille.http"

local function stop(status, ...)
  io.stderr:write(...)
  os.exit(status)
end
local port = math.tointeger(tonumber(arg[1]))
if not port then stop(2, "usage: chat.lua PORT\n") end

local KEPT <const> = 100 -- messages of a room that newcomers get
local PAGE = [[<!doctype html><meta charset="utf-8"><pre></pre><form><input autofocus></form><script>
const [log, form] = document.body.children
new EventSource("").onmessage = event => log.append(event.data, "\n")
form.onsubmit = () => { fetch("", { method: "POST", body: form[0].value }); form.reset(); return false }
</script>]]
local rooms = {}

local function say(room, text)
  if text == "" then return { status = 400, body = "say something\n" } end
  room.count = room.count + 1
  room[room.count] = text:gsub("\r\n?", "\n")
  room[room.count - KEPT] = nil
  room.said:set() -- all who wait go on
  room.said:clear()
  return { status = 204 }
end

local function listen(room, last)
  if not last or last < 0 or last > room.count then last = 0 end
  if last == room.count then pcall(rille.timeout, 20, room.said.wait, room.said) end -- a reader may have left
  local events = { "retry: 100\n" } -- milliseconds until it asks again
  for id = math.max(last, room.count - KEPT) + 1, room.count do
    events[#events + 1] = ("id: %d\ndata: %s\n\n"):format(id, (room[id]:gsub("\n", "\ndata: ")))
  end
  return { headers = { ["content-type"] = "text/event-stream" }, body = table.concat(events) }
end

local function handle(req)
  local room = rooms[req.path] or { count = 0, said = rille.event() }
  rooms[req.path] = room
  if req.method == "POST" then return say(room, req:text()) end
  if (req.headers.accept or ""):find("text/event-stream", 1, true) then
    return listen(room, math.tointeger(tonumber(req.headers["last-event-id"] or 0)))
  end
  return { headers = { ["content-type"] = "text/html; charset=utf-8" }, body = PAGE }
end

local ok, server = pcall(http.serve, { port = port }, handle)
if not ok then stop(1, "chat: ", tostring(server), "\n") end
print("listening on " .. server.url)
