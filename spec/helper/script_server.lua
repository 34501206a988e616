-- script_server.lua -- an HTTP server that says word by word what a spec tells it (script_server.pl).
-- Model:  a spec gives the answers for a path in order; each request of that path takes one.
-- Owner:  the object; closing it ends the server.
-- Errors: those of the system, raised.
local http = require "rille.http"
local perl_server = require "spec.helper.perl_server"

local OK = "HTTP/1.1 200 OK\r\n"

---@class script_server
---@field url string without a slash at its end
local server = {}
server.__index = server

local lib = {}

--- A response with a length.
---@param body string
---@param headers? string lines with CRLF
---@param status? string "206 Partial Content"
function lib.response(body, headers, status)
  local line = status and "HTTP/1.1 " .. status .. "\r\n" or OK
  return ("%s%sContent-Length: %d\r\n\r\n%s"):format(line, headers or "", #body, body)
end

---@return script_server
function lib.start()
  local running, url = perl_server "script_server"
  return setmetatable({ running = running, url = url }, server)
end

--- Sets the answers to the requests of /name: raw responses, or { after, response }, where `after` is
--- "close", "keep", "stall" or "reset". The last one is for all that follow.
---@param name string
---@return string url
function server:script(name, ...)
  local list = {}
  for i, answer in ipairs { ... } do
    local after, text = "keep", answer
    if type(answer) == "table" then after, text = answer[1], answer[2] end
    list[i] = after .. "\n" .. text
  end
  http.put(self.url .. "/script/" .. name, { body = table.concat(list, "\n--next--\n") }):raise_for_status()
  return self.url .. "/" .. name
end

--- The heads of the requests of /name since then.
---@return string[]
function server:requests(name)
  local list = {}
  for head in (http.get(self.url .. "/requests/" .. name):bytes() .. "\0"):gmatch("([^%z]+)%z") do
    list[#list + 1] = head
  end
  return list
end

--- A header of each of these requests, "-" where it is not there.
---@return string[]
function server:sent(name, header)
  local list = {}
  for i, head in ipairs(self:requests(name)) do
    list[i] = "-"
    for key, value in head:gmatch("\r\n([^:\r\n]+): ?([^\r\n]*)") do
      if key:lower() == header then list[i] = value end
    end
  end
  return list
end

function server:close() self.running:close() end
server.__close = server.close

return lib
