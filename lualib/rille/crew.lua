--- rille.crew: the worker tasks that belong to a stream (internal; map and each_do with n > 1).
-- Model:  one worker at a time pulls from the source; when it has an item it lets the next one pull and
--         runs `f`. At most `n` items are in work or finished but undelivered. A worker with nothing to
--         do stays only while the consumer waits for a result, and ends otherwise: a crew whose stream
--         was dropped finishes what it has in work and leaves no task behind.
-- Owner:  the stream. `disband` cancels the workers, waits for their cleanup, then closes the source.
-- Errors: the first error of `f` or of the source cancels the other workers at once; results that are
--         finished in order before it are delivered, then it is raised as the same object. Later errors
--         are attached to it as suppressed.

local fault = require "rille.host.fault"
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

---@class rille.Crew
---@field private f function
---@field private pull fun(): ... one step of the source
---@field private close_source fun(err: any)
---@field private n integer
---@field private ordered boolean
---@field private workers table<rille.CrewWorker, true> those that have not ended
---@field private started integer items pulled
---@field private finished integer results, as completed (unordered only)
---@field private delivered integer results taken by the consumer
---@field private results table<integer, any> first values, by the place in the output
---@field private more table<integer, table> all values of a result that has several
---@field private arrival rille.Waitlist the consumer waits here
---@field private idle rille.Waitlist workers wait here while the consumer takes a result
local Crew = {}
Crew.__index = Crew

---@class rille.CrewWorker
---@field crew rille.Crew
---@field id integer order of birth
---@field task rille.Task
---@field done boolean|nil it ended by itself
---@field failure table|nil { error }
local Worker = {}

--- Makes a crew. Starts nothing.
---@param pull fun(): ... one step of the source, called in a worker, by one worker at a time
---@param close_source fun(err: any) closes the source, once, after the last worker has ended
---@param f fun(...): ... the work; a nil result is an error
---@param n integer items in work or undelivered, at most
---@param ordered boolean results in the order of the source
---@return rille.Crew
local function new(pull, close_source, f, n, ordered)
  return setmetatable({
    f = f, pull = pull, close_source = close_source, n = n, ordered = ordered,
    workers = {}, born = 0,
    started = 0, finished = 0, delivered = 0, results = {}, more = {},
    arrival = waitlist.new("a result of its workers"), idle = waitlist.new("its stream's consumer"),
    pulling = false, -- a worker pulls, or is on its way to
    granted = false, -- the right to pull is there for whichever worker looks first
    parked = false,  -- the consumer waits for a result
    ended = false,   -- the source has ended
    cause = nil,     -- the worker whose error came first
    closed = false,
  }, Crew)
end

-- The next result in order is there.
local function has_result(crew)
  return crew.results[crew.delivered + 1] ~= nil
end

-- Another item may be pulled now.
local function has_room(crew)
  return not (crew.pulling or crew.ended or crew.cause or crew.closed)
    and crew.started - crew.delivered < crew.n
end

local work

-- Lets one worker pull if there is room: an idle one, or a new one.
local function staff(crew)
  if not has_room(crew) then return end
  crew.pulling = true
  if crew.idle:wake() > 0 then
    crew.granted = true
    return
  end
  crew.born = crew.born + 1
  local worker = setmetatable({ crew = crew, id = crew.born }, Worker)
  crew.workers[worker] = true
  worker.task = task.spawn_owned(work, crew, worker)
end

local function cancel_others(crew, except)
  for worker in pairs(crew.workers) do
    if worker ~= except then worker.task:cancel("its stream was closed") end
  end
end

-- The worker's function is left: by its end, by an error of f or the source, or by a signal.
function Worker.__close(worker, err)
  local crew = worker.crew
  if worker.done then
    crew.workers[worker] = nil
    return
  end
  worker.failure = { err }
  if crew.cause or crew.closed then return end
  crew.cause = worker
  cancel_others(crew, worker)
  crew.arrival:wake()
end

-- Keeps the values of a result at its place, and tells the consumer.
local function put(crew, index, v, ...)
  if v == nil then
    error("the function of 'map' returned nil; an item must not be nil (return false or a table)", 0)
  end
  if not crew.ordered then
    index = crew.finished + 1
    crew.finished = index
  end
  if select("#", ...) > 0 then crew.more[index] = table.pack(v, ...) end
  crew.results[index] = v
  if crew.parked and has_result(crew) then crew.arrival:wake() end
end

-- Has pulled v, ...: the next worker may pull, this one works.
local function run(crew, v, ...)
  crew.pulling = false
  if crew.cause or crew.closed then return end
  if v == nil then
    crew.ended = true
    crew.arrival:wake()
    return
  end
  local index = crew.started + 1
  crew.started = index
  staff(crew)
  put(crew, index, crew.f(v, ...))
end

-- True once the worker is to pull again, false if it is to end. Idle workers end together, when the
-- consumer is elsewhere: nobody would ever come to wake them if the stream was dropped.
local function may_pull(crew)
  while not (crew.cause or crew.closed) do
    if crew.granted then
      crew.granted = false
      return true
    elseif has_room(crew) then
      crew.pulling = true
      return true
    elseif crew.ended or not crew.parked then
      break
    end
    crew.idle:wait()
  end
  crew.idle:wake_all()
  return false
end

function work(crew, worker)
  local _ <close> = worker
  repeat run(crew, crew.pull()) until not may_pull(crew)
  worker.done = true
end

-- Takes the next result, which is there.
local function take(crew)
  local index = crew.delivered + 1
  local v, values = crew.results[index], crew.more[index]
  crew.results[index], crew.more[index] = nil, nil
  crew.delivered = index
  staff(crew)
  if not crew.granted then crew.idle:wake() end -- it sees whether the consumer comes back
  if values then return table.unpack(values, 1, values.n) end
  return v
end

--- The values of the next result, or nil at the end. Waits for it; one consumer at a time.
---@return any ...
function Crew:next()
  while not has_result(self) do
    if self.closed then error("stream closed by another task", 0) end
    if self.cause then self.cause.task:await() end -- raises its error, with its story
    if self.ended and self.started == self.delivered then return nil end
    self.arrival:check() -- nothing is started where nobody could wait for it
    staff(self)
    self.parked = true
    self.arrival:wait()
    self.parked = false
  end
  return take(self)
end

--- True in a worker of the crew, which cannot wait for its own end.
---@return boolean
function Crew:is_inside()
  local current = task.current()
  for worker in pairs(self.workers) do
    if worker.task == current then return true end
  end
  return false
end

--- Wakes a consumer that waits in `next`, which then raises. For a close from another task.
function Crew:interrupt()
  self.closed = true
  self.arrival:wake_all()
end

-- Waits for the workers, the newest first, then closes the source. What a signal interrupts is done by
-- calling it again.
local function join(crew, err)
  local workers = {}
  for worker in pairs(crew.workers) do workers[#workers + 1] = worker end
  table.sort(workers, function(a, b) return a.id > b.id end)
  for _, worker in ipairs(workers) do worker.task:join() end
  local close_source = crew.close_source
  crew.close_source = nil
  if close_source then close_source(err) end
end

-- The errors of workers that nobody has seen yet: `cause` may be among them.
local function take_failures(crew)
  local failures = {}
  for worker in pairs(crew.workers) do
    if worker.failure and not fault.is(worker.failure[1], "ECANCELED") then
      failures[#failures + 1] = worker
    end
  end
  table.sort(failures, function(a, b) return a.id < b.id end)
  crew.workers = {}
  return failures
end

-- Attaches to err the errors that it does not replace. Without one: an error of the look-ahead, of an
-- item that the consumer did not ask for, is shown; the first error of the cleanup is returned.
local function settle(crew, err)
  for _, worker in ipairs(take_failures(crew)) do
    local failure = worker.failure[1]
    if rawequal(failure, err) then
      goto continue
    elseif err ~= nil then
      fault.suppress(err, failure)
    elseif worker == crew.cause then
      io.stderr:write("rille: error in work that was not asked for: ", fault.traceback(failure), "\n")
    else
      err = failure
    end
    ::continue::
  end
  return err
end

--- Cancels the workers, waits until their cleanup is done, closes the source. Idempotent.
---@param err any the error in flight, which an error of the cleanup does not replace; nil for none
function Crew:disband(err)
  self.closed = true
  cancel_others(self)
  self.idle:wake_all()
  do
    local crew = self
    -- a signal strikes at most once before it is caught: what it interrupts is done on the way out
    local _ <close> = setmetatable({}, { __close = function(_, signal) join(crew, err or signal) end })
    join(crew, err)
  end
  self.results, self.more = {}, {}
  local failure = settle(self, err)
  if err == nil and failure ~= nil then error(failure, 0) end
end

return new
