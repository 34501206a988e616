--- rille.http.fault: the error objects that responses of the client raise by themselves (internal).
-- Model:  what a response is asked for and cannot give, with the beginning of its body.
-- Owner:  nobody; nothing is kept.
-- Errors: they are made here and raised by the caller.

local fault = require "rille.host.fault"
local host = require "rille.host.http"

local EXCERPT <const> = 80 -- bytes

local http_fault = {
  EXCERPT = EXCERPT, -- how much of the body an error has
}

--- The beginning of the body, on one line.
local function excerpt(text)
  local short = #text > EXCERPT and text:sub(1, EXCERPT) .. "..." or text
  return (short:gsub("[%c\x80-\xff]", "."))
end

-- An error about a response: "GET http://a/: what is wrong".
local function new(res, code, message, more)
  more.url, more.method, more.status, more.headers = res.url, res.method, res.status, res.headers
  return fault.new(code, ("%s %s: %s"):format(res.method, res.url, message), more)
end

--- EJSON: `text` is not JSON, as `err`, which json.decode has raised, tells.
---@param res rille.http.Response|rille.http.StreamedResponse
---@param err rille.Error
---@param text string
---@return rille.Error
function http_fault.not_json(res, err, text)
  local what = text == "" and "the body is empty" or ("the body is not JSON: %s: %q"):format(
    err.reason, excerpt(text))
  return new(res, "EJSON", ("%s (status %d)"):format(what, res.status), {
    position = err.position, body = text:sub(1, EXCERPT),
  })
end

--- ESTATUS: the status is 400 or more. The error has the response, whose body tells more.
---@param res rille.http.Response|rille.http.StreamedResponse
---@param text string the body, or its beginning
---@return rille.Error
function http_fault.status(res, text)
  local reason = res.reason -- which HTTP/2 has not
  local message = reason == "" and "status %d" or "%d %s"
  return new(res, "ESTATUS", message:format(res.status, excerpt(reason)), {
    reason = reason, body = text:sub(1, EXCERPT), headers = res.headers, response = res,
  })
end

--- ECHARSET: nobody knows the charset of the body.
---@param res rille.http.Response|rille.http.StreamedResponse
---@param label string what the response calls it
---@return rille.Error
function http_fault.unknown_charset(res, label)
  local message = ("the charset %q of the body is unknown; 'bytes' gives it as it is"):format(excerpt(label))
  return new(res, "ECHARSET", message, { charset = label })
end

--- EPROTO: what should lead to the next page is of another type.
---@param res rille.http.Response
---@param field string where it is
---@param kind string its type
---@return rille.Error
function http_fault.bad_next(res, field, kind)
  return new(res, "EPROTO", ("the next page is in %q, which is a %s"):format(field, kind), {})
end

--- EURL: what should lead to the next page has a control character.
---@param res rille.http.Response
---@param url string
---@return rille.Error
function http_fault.wild_next(res, url)
  return new(res, "EURL", ("the URL of the next page has a control character: %q"):format(excerpt(url)), {})
end

--- ELOOP: the next page is one that was there before.
---@param res rille.http.Response
---@param url string of the next page
---@return rille.Error
function http_fault.circle(res, url)
  return new(res, "ELOOP", ("the next page was there before: %s"):format(url), { next = url })
end

--- EPROTO: the body is no stream of events.
---@param res rille.http.StreamedResponse
---@param kind string its content type
---@return rille.Error
function http_fault.no_events(res, kind)
  return new(res, "EPROTO", ("the body is %s, not text/event-stream"):format(
    kind == "" and "of no type" or ("%q"):format(excerpt(kind))), {})
end

--- EPROTO: there are more bytes, or fewer, than there should be.
---@param res rille.http.StreamedResponse
---@param size integer
---@param total integer
---@return rille.Error
function http_fault.wrong_size(res, size, total)
  return new(res, "EPROTO", ("%d bytes are there, of %d"):format(size, total), {})
end

--- ETOOBIG: the body is larger than what may be gathered of it.
---@param res rille.http.StreamedResponse
---@return rille.Error
function http_fault.too_big(res)
  return new(res, "ETOOBIG", "the body is larger than max_body", {})
end

-- An error about a request that has no response.
local function unsent(request, code, message, more)
  local url = host.safe_url(request.url)
  more.url, more.method = url, request.method
  return fault.new(code, ("%s %s: %s"):format(request.method, url, message), more)
end

--- ECANCELED: the client was closed while the request waited.
---@param request { method: string, url: string }
---@return rille.Error
function http_fault.closed(request) return unsent(request, "ECANCELED", "the client was closed", {}) end

--- ETIMEDOUT: the total time-out was over while the request waited.
---@param request { method: string, url: string }
---@return rille.Error
function http_fault.timed_out(request)
  return unsent(request, "ETIMEDOUT", "timed out (timeout.total)", { phase = "total" })
end

return http_fault
