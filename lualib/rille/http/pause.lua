--- rille.http.pause: the wait between two tries of a request, or two connections of `events` (internal).
-- Model:  who waits is in a list of the client's, which is woken when the client is closed. A client that was
--         closed as the wait ended is closed all the same.
-- Owner:  nobody; nothing is kept.
-- Errors: a client that was closed raises ECANCELED.

local http_fault = require "rille.http.fault"

---@param client rille.http.Client
---@param request { method: string, url: string } that waits
---@param seconds number
return function(client, request, seconds)
  if seconds > 0 then client.pauses:wait(seconds) end
  if client.pools.closed then error(http_fault.closed(request), 0) end
end
