--- rille.http.retry: the tries of a request: when each may begin, and whether there is another (internal).
-- Model:  a policy is read from the option `retry`. `run` sends a request until there is an outcome that
--         the policy takes for the last one, a response or an error, and gives that. A wait that would
--         outlast the request's total time-out is not begun.
-- Owner:  a streamed response that is not the last outcome is closed here.
-- Errors: the last one has `tries`, and the earlier ones are its `suppressed`. A signal is never caught. A
--         bad option is misuse.

local backoff = require "rille.backoff"
local fault = require "rille.host.fault"
local host = require "rille.host.http"
local http_fault = require "rille.http.fault"
local http_options = require "rille.http.options"
local http_pause = require "rille.http.pause"
local misuse = require "rille.host.misuse"
local task = require "rille.host.task"
local timer = require "rille.host.timer"

local KEPT <const> = 8 -- of the errors of earlier tries, the last ones

local http_retry = {}

-- Policies ------------------------------------------------------------------------------------

---@class rille.http.Policy
---@field times integer
---@field backoff rille.Backoff
---@field max number
---@field on table<integer|string, fun(outcome: any): boolean>
---@field methods table<string, boolean>

local function always() return true end

-- What is worth another try: statuses, and the codes of errors.
local OUTCOMES <const> = {
  [429] = always, [502] = always, [503] = always, [504] = always,
  ECONNREFUSED = always, ECONNRESET = always, EHOSTUNREACH = always, ENETUNREACH = always,
  ENOTFOUND = always, ETIMEDOUT = always,
  EPROTO = function(err) return err.status == nil end, -- no response had begun
}

-- RFC 9110, 9.2.2: what may be done twice.
local METHODS <const> = { GET = true, HEAD = true, OPTIONS = true, PUT = true, DELETE = true, TRACE = true }

local function check_list(list, name, complaint_of)
  for key, item in pairs(list) do
    if math.type(key) ~= "integer" or key < 1 or key > #list then
      misuse("bad option 'retry.%s' (list expected)", name)
    end
    local complaint = complaint_of(item)
    if complaint then misuse("bad option 'retry.%s' (item %d is not %s)", name, key, complaint) end
  end
end

local function outcome_complaint(v)
  if math.type(v) == "integer" and v >= 100 and v <= 599 then return nil end
  if type(v) == "string" and v:find("^E%u[%u%d]+$") then return nil end
  return "a status or a code"
end

local function method_complaint(v) return type(v) ~= "string" and "a string" or nil end

local function outcomes_of(list)
  if list == nil then return OUTCOMES end
  check_list(list, "on", outcome_complaint)
  local on = {}
  for _, v in ipairs(list) do on[v] = always end
  return on
end

local function methods_of(list)
  check_list(list or {}, "methods", method_complaint)
  local methods = {}
  for name in pairs(METHODS) do methods[name] = true end
  for _, name in ipairs(list or {}) do methods[name:upper()] = true end
  return methods
end

local function backoff_of(option, max)
  local given = option.backoff or 0.5
  if type(given) == "function" then return given end
  return backoff.doubling(given, max, option.jitter ~= false)
end

--- Reads the option `retry`, whose fields are of the right types if it is a table.
---@param option integer|false|rille.http.Retry|nil
---@return rille.http.Policy|nil policy nil: there is one try
function http_retry.policy(option)
  if not option then
    return nil
  elseif math.type(option) and math.tointeger(option) then
    option = { times = option }
  elseif type(option) ~= "table" then
    misuse("bad option 'retry' (integer or table expected, got %s)", type(option))
  end
  local times, max = option.times or 3, option.max or 30
  if times < 1 then misuse("bad option 'retry.times' (out of range)") end
  return {
    times = times, max = max, backoff = backoff_of(option, max),
    on = outcomes_of(option.on), methods = methods_of(option.methods),
  }
end

-- Time ----------------------------------------------------------------------------------------

-- When the request must be done with, as its total time-out says; nil: whenever.
local function deadline_of(options)
  local timeout = options and options.timeout
  local total = type(timeout) == "table" and timeout.total or timeout
  if type(total) == "number" and total > 0 then return timer.now() + total end
end

-- The options of a try that begins now.
local function within(options, deadline)
  if not deadline then return options end
  local copy = http_options.copy(options)
  local timeout = options.timeout
  copy.timeout = {
    connect = type(timeout) == "table" and timeout.connect or nil,
    idle = type(timeout) == "table" and timeout.idle or nil,
    total = math.max(deadline - timer.now(), 0.001),
  }
  return copy
end

-- What a Retry-After header asks for: seconds, or a date; nil if there is none, or if it means nothing.
local function retry_after(res)
  local value = res.headers["retry-after"]
  if not value then return nil end
  if value:find("^%d+$") then return tonumber(value) + 0.0 end
  local date = host.date(value)
  return date and math.max(date - os.time(), 0)
end

-- The run -------------------------------------------------------------------------------------

---@class rille.http.Run
---@field client rille.http.Client
---@field request table as rille.http.request makes it
---@field policy rille.http.Policy|nil
---@field deadline number|nil
---@field tried integer
---@field earlier any[] errors

-- A to-be-closed value, while the request waits without a connection: the client counts these.
local Held = {}

function Held.__close(held) held.count.n = held.count.n - 1 end

local function hold(run)
  local count = run.client.held
  count.n = count.n + 1
  return setmetatable({ count = count }, Held)
end

-- Waits until the client may begin another request.
local function await_turn(run)
  local rate = run.client.rate
  if not rate then return end
  local _ <close> = hold(run)
  if rate:wait(run.deadline) then return end
  if rate:is_closed() then error(http_fault.closed(run.request), 0) end
  error(http_fault.timed_out(run.request), 0)
end

local function is_replayable(request)
  return request.body == nil or type(request.body) == "string" or request.replayable == true
end

-- True if the policy says that another try is worth it.
local function is_worthwhile(run, ok, outcome)
  local policy = run.policy
  if run.tried >= policy.times or not policy.methods[run.request.method] then return false end
  if not is_replayable(run.request) or (not ok and outcome.phase == "total") then return false end
  local condition = policy.on[ok and outcome.status or outcome.code]
  return condition ~= nil and condition(outcome)
end

-- The seconds to wait before the next try; nil if there is none.
local function pause_of(run, ok, outcome)
  if not is_worthwhile(run, ok, outcome) then return nil end
  local seconds = backoff.after(run.policy.backoff, run.tried, "retry")
  local asked = ok and retry_after(outcome)
  if asked and asked > run.policy.max then return nil end
  seconds = math.max(seconds, asked or 0)
  if run.deadline and timer.now() + seconds >= run.deadline then return nil end
  return seconds
end

-- As that. A streamed response is closed if the back-off raises.
local function pause_after(run, ok, outcome, streamed)
  if not (ok and streamed) then return pause_of(run, ok, outcome) end
  local decided, seconds = pcall(pause_of, run, ok, outcome)
  if decided then return seconds end
  outcome:close()
  return task.raise_again(seconds)
end

local function pause(run, seconds)
  local _ <close> = hold(run)
  http_pause(run.client, run.request, seconds)
end

-- Gives the last outcome: returns a response, raises an error.
local function conclude(run, ok, outcome)
  if ok then return outcome end
  outcome.tries = run.tried
  if run.tried > 1 then outcome.message = ("%s (%d tries)"):format(outcome.message, run.tried) end
  for _, err in ipairs(run.earlier) do fault.suppress(outcome, err) end
  return task.raise_again(outcome)
end

-- Puts an outcome aside that is not the last one.
local function put_aside(run, ok, outcome, streamed)
  if ok then
    if streamed then outcome:close() end
    return
  end
  if #run.earlier == KEPT then table.remove(run.earlier, 1) end
  run.earlier[#run.earlier + 1] = outcome
end

--- Sends a request at the rate of the client, and again as the policy says.
---@param client rille.http.Client
---@param request table as rille.http.request makes it
---@param policy rille.http.Policy|nil
---@param try fun(options: table|nil): rille.http.Response sends it once
---@param streamed boolean|nil the responses are to be closed
---@return rille.http.Response|rille.http.StreamedResponse
function http_retry.run(client, request, policy, try, streamed)
  local run = {
    client = client, request = request, policy = policy, deadline = deadline_of(request.options),
    tried = 0, earlier = {},
  }
  while true do
    local function attempt()
      await_turn(run)
      run.tried = run.tried + 1
      return try(within(request.options, run.deadline))
    end
    if not policy then return attempt() end
    local ok, outcome = pcall(attempt)
    if not ok and (task.signalled(outcome) or not fault.is(outcome)) then task.raise_again(outcome) end
    local seconds = pause_after(run, ok, outcome, streamed)
    if not seconds then return conclude(run, ok, outcome) end
    put_aside(run, ok, outcome, streamed)
    pause(run, seconds)
  end
end

return http_retry
