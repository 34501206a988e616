--- rille.http.events: Server-Sent Events of a URL that is connected to again and again (WHATWG HTML, 9.2;
--- internal).
-- Model:  a generator that opens one streamed response after the other and passes their events on. What the
--         parser of the last one has learnt, the id and the retry time, goes on to the next.
-- Owner:  the generator; the response is closed when its turn ends, however it ends.
-- Errors: bad arguments are misuse, when the generator is made. A response that is no event stream raises
--         ESTATUS or EPROTO; other errors are raised when no more is tried. A signal is never caught.

local backoff = require "rille.backoff"
local decode = require "rille.stream.decode"
local fault = require "rille.host.fault"
local generator = require("rille.host.generator").generator
local http_fault = require "rille.http.fault"
local http_options = require "rille.http.options"
local http_pause = require "rille.http.pause"
local http_request = require "rille.http.request"
local misuse = require "rille.host.misuse"
local new_parser = require "rille.sse_parser"
local task = require "rille.host.task"
require "rille.stream" -- gives generators the operators

---@class rille.http.Reconnect
---@field times? number tries in a row that may fail; by default 10
---@field backoff? number seconds before the first of them, doubled for each; by default 1
---@field max? number seconds, of the back-off; by default 60

---@class rille.http.EventsOptions: rille.http.StreamOptions
---@field reconnect? boolean|rille.http.Reconnect false: the stream ends with the response; by default true,
---  of GET
---@field last_event_id? string where to go on

local DEFAULTS = { times = 10, backoff = 1, max = 60 }
local LONGEST <const> = 1e6 -- seconds
local OWN = { last_event_id = true, reconnect = true, method = true } -- options besides those of a request

-- Errors that another try does not mend.
local FINAL = {
  ECANCELED = true, EINVAL = true, ENOMEM = true, EPRIVATE = true, EREDIRECT = true, ETOOBIG = true,
  EURL = true,
}

-- Options ---------------------------------------------------------------------------------------

local function check_reconnect(given)
  for name, value in pairs(given) do
    if not DEFAULTS[name] then
      local meant = require("rille.http.hint").field("reconnect", name, DEFAULTS)
      misuse("unknown option 'reconnect.%s'%s", tostring(name), meant)
    end
    if type(value) ~= "number" then
      misuse("bad option 'reconnect.%s' (number expected, got %s)", name, type(value))
    end
    local least = name == "times" and 1 or 0
    if not (value >= least and (name == "times" or value <= LONGEST)) then
      misuse("bad option 'reconnect.%s' (out of range)", name)
    end
  end
end

-- How to connect again; nil if not at all.
local function policy(given, method)
  if given == nil then given = method == "GET" end
  if given == false then return nil end
  if given == true then return DEFAULTS end
  if type(given) ~= "table" then
    misuse("bad option 'reconnect' (boolean or table expected, got %s)", type(given))
  end
  check_reconnect(given)
  return {
    times = given.times or DEFAULTS.times, backoff = given.backoff or DEFAULTS.backoff,
    max = given.max or DEFAULTS.max,
  }
end

-- The headers of each request, as a list of {name, value}.
local function with_defaults(headers)
  local list, named = http_request.listed(headers or {}), {}
  for _, pair in ipairs(list) do named[pair[1]:lower()] = true end
  if not named.accept then list[#list + 1] = { "Accept", "text/event-stream" } end
  if not named["cache-control"] then list[#list + 1] = { "Cache-Control", "no-store" } end
  return list
end

-- Connections -----------------------------------------------------------------------------------

-- The options of the next request: those, and where to go on.
local function resume(options, id)
  if id == "" or id:find("%c") then return options end -- which no header can say
  local resumed, list = http_options.copy(options), { { "Last-Event-ID", id } }
  for _, pair in ipairs(options.headers) do
    if pair[1]:lower() ~= "last-event-id" then list[#list + 1] = pair end
  end
  resumed.headers = list
  return resumed
end

-- Refuses what is no event stream.
local function check_response(res)
  res:raise_for_status()
  if res.status ~= 200 then error(http_fault.status(res, ""), 0) end
  local kind = res.headers["content-type"] or ""
  if kind:match("^[ \t]*([^; \t]*)"):lower() ~= "text/event-stream" then
    error(http_fault.no_events(res, kind), 0)
  end
end

local function is_final(err)
  return not fault.is(err) or task.signalled(err) or FINAL[err.code] ~= nil
end

---@class rille.http.Following
---@field client rille.http.Client
---@field url string
---@field options table
---@field reconnect rille.http.Reconnect|nil
---@field parser rille.EventParser of the last response
---@field failed integer tries in a row
---@field paused integer times in a row
---@field opened boolean an event stream was there before

-- What fn returns; nil and its error if there is to be another try.
local function attempt(self, fn, ...)
  local ok, result = pcall(fn, ...)
  if ok then return result end
  if not self.reconnect or is_final(result) or (result.code == "ETLS" and not self.opened) then
    task.raise_again(result)
  end
  return nil, result
end

-- Waits before the next try: what the server has asked for, then longer and longer.
local function pause(self)
  local reconnect, retry = self.reconnect, self.parser.retry
  local seconds = backoff.doubling(reconnect.backoff, reconnect.max, false)(self.paused + 1)
  if retry then seconds = self.paused == 0 and retry or math.max(retry, seconds) end
  self.paused = self.paused + 1
  seconds = math.min(seconds * (1 + math.random() / 2), LONGEST)
  http_pause(self.client, { method = self.options.method, url = self.url }, seconds)
end

-- Yields the events of one response. Returns true if there is nothing more to connect to.
local function pass_on(self, res)
  local _ <close> = res
  if res.status == 204 then return true end
  check_response(res)
  self.failed, self.paused, self.opened = 0, 0, true
  local last = self.parser
  self.parser = new_parser(res.max_body, last.id)
  self.parser.retry = last.retry
  local events <close> = decode("events", (res:chunks()), self.parser)
  while true do
    local event, err = attempt(self, events.next, events)
    if not event then return not self.reconnect and not err end
    coroutine.yield(event)
  end
end

local follow = generator(function(self)
  repeat
    local options = resume(self.options, self.parser.id)
    local res, err = attempt(self, self.client.stream, self.client, self.url, options)
    if not res then
      self.failed = self.failed + 1
      if self.failed >= self.reconnect.times then task.raise_again(err) end
    elseif pass_on(self, res) then
      return
    end
    pause(self)
  until false
end)

--- The events of a URL.
---@param client rille.http.Client
---@param url string
---@param options rille.http.EventsOptions|nil
---@return rille.Stream<any> of rille.ServerSentEvent
return function(client, url, options)
  local given = http_options.copy(options)
  local reconnect, id, method = given.reconnect, given.last_event_id, given.method
  given.reconnect, given.last_event_id, given.method = nil, nil, nil
  if method == nil then method = "GET" end
  if type(method) ~= "string" then misuse("bad option 'method' (string expected, got %s)", type(method)) end
  if id ~= nil and type(id) ~= "string" then
    misuse("bad option 'last_event_id' (string expected, got %s)", type(id))
  end
  reconnect = policy(reconnect, method:upper())
  url = http_request.url(client, url)
  http_options.check_request(given, OWN)
  http_request.make(client, method, url, given) -- raises here, not at the first event
  given.headers, given.method = with_defaults(given.headers), method
  return follow({
    client = client, url = url, options = given, reconnect = reconnect, parser = new_parser(nil, id),
    failed = 0, paused = 0, opened = false,
  })
end
