-- raw_client.lua -- a client that sends any bytes, for specs; the steps are told in raw_client.pl.
-- Owner:  as of process.lua: what `start` gives is closed by its holder.
local process = dofile("spec/helper/process.lua")

local raw_client = {}

local function words(where, steps)
  return { "perl", "spec/helper/raw_client.pl", where, table.unpack(steps) }
end

--- Starts a client of a port, or of the path of a Unix socket.
function raw_client.start(where, ...) return process.start(words(where, { ... })) end

--- Runs a client to its end; gives what it received. Raises if a step failed.
function raw_client.talk(where, ...)
  local result = process.run(words(where, { ... }))
  if result.status ~= 0 then
    error(("raw client: %s; received: %s"):format(result.stderr, result.stdout), 2)
  end
  return result.stdout
end

--- The step that sends a text, whatever bytes are in it.
function raw_client.send(text)
  return "send:" .. text:gsub("\\", "\\\\"):gsub("%z", "\\x00")
end

--- Sends a text and gives all that comes until the server closes.
function raw_client.exchange(where, text)
  return raw_client.talk(where, raw_client.send(text), "eof")
end

return raw_client
