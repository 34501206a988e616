--- rille.stream.pool: the worker tasks that belong to a stream (internal; map and each_do with n > 1).
-- Model:  one worker at a time takes a step of the source; when it has an item it lets the next one do so
--         and runs `f`. At most `n` items are in work or finished but undelivered. A worker with nothing to
--         do stays only while the consumer waits for a result, and ends otherwise: a pool whose stream
--         was dropped finishes what it has in work and leaves no task behind.
-- Owner:  the stream. `close` cancels the workers, waits for their cleanup, then closes the source.
-- Errors: the first error of `f` or of the source cancels the other workers at once; results that are
--         finished in order before it are delivered, then it is raised as the same object. Later errors
--         are attached to it as suppressed.

local fault = require "rille.host.fault"
local release = require("rille.stream.ending").release
local step = require("rille.stream.pipeline").step
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

---@class rille.Pool
---@field private source rille.Stream|nil nil once it is closed
---@field private f function
---@field private n integer
---@field private ordered boolean
---@field private workers table<rille.Worker, true> those that have not ended
---@field private born integer workers made
---@field private started integer items pulled
---@field private finished integer results, as completed (unordered only)
---@field private delivered integer results taken by the consumer
---@field private results table<integer, any> first values, by the place in the output
---@field private more table<integer, table> all values of a result that has several
---@field private arrival rille.Waitlist the consumer waits here
---@field private idle rille.Waitlist workers wait here while the consumer takes a result
---@field private pulling boolean a worker pulls, or is on its way to
---@field private granted boolean the right to pull is there for whichever worker looks first
---@field private parked boolean the consumer waits for a result
---@field private ended boolean the source has ended
---@field private closed boolean
---@field private cause rille.Worker|nil the worker whose error came first
local Pool = {}
Pool.__index = Pool

---@class rille.Worker
---@field pool rille.Pool
---@field id integer order of birth
---@field task rille.Task
---@field done boolean|nil it ended by itself
---@field failure table|nil { error }
local Worker = {}

--- Makes a pool. Starts nothing.
---@param source rille.Stream it takes a step in a worker, one worker at a time
---@param f fun(...): ... the work; a nil result is an error
---@param n integer items in work or undelivered, at most
---@param ordered boolean results in the order of the source
---@return rille.Pool
local function new(source, f, n, ordered)
  return setmetatable({
    source = source, f = f, n = n, ordered = ordered,
    workers = {}, born = 0,
    started = 0, finished = 0, delivered = 0, results = {}, more = {},
    arrival = waitlist.new("a result of its workers"), idle = waitlist.new("its stream's consumer"),
    pulling = false, granted = false, parked = false, ended = false, closed = false,
  }, Pool)
end

-- The next result in order is there.
local function has_result(pool)
  return pool.results[pool.delivered + 1] ~= nil
end

-- Another item may be pulled now.
local function has_room(pool)
  return not (pool.pulling or pool.ended or pool.cause or pool.closed)
    and pool.started - pool.delivered < pool.n
end

local work

-- Lets one worker pull if there is room: an idle one, or a new one.
local function staff(pool)
  if not has_room(pool) then return end
  pool.pulling = true
  if pool.idle:wake() > 0 then
    pool.granted = true
    return
  end
  pool.born = pool.born + 1
  local worker = setmetatable({ pool = pool, id = pool.born }, Worker)
  pool.workers[worker] = true
  worker.task = task.spawn_owned(work, pool, worker)
end

local function cancel_others(pool, except)
  for worker in pairs(pool.workers) do
    if worker ~= except then worker.task:cancel("its stream was closed") end
  end
end

-- The worker's function is left: by its end, by an error of f or the source, or by a signal.
function Worker.__close(worker, err)
  local pool = worker.pool
  if worker.done then
    pool.workers[worker] = nil
    return
  end
  worker.failure = { err }
  if pool.cause or pool.closed then return end
  pool.cause = worker
  cancel_others(pool, worker)
  pool.arrival:wake()
end

-- Keeps the values of a result at its place, and tells the consumer.
local function put(pool, index, v, ...)
  if v == nil then
    error("the function of 'map' returned nil; an item must not be nil (return false or a table)", 0)
  end
  if not pool.ordered then
    index = pool.finished + 1
    pool.finished = index
  end
  if select("#", ...) > 0 then pool.more[index] = table.pack(v, ...) end
  pool.results[index] = v
  if pool.parked and has_result(pool) then pool.arrival:wake() end
end

-- Has pulled v, ...: the next worker may pull, this one works.
local function run(pool, v, ...)
  pool.pulling = false
  if pool.cause or pool.closed then return end
  if v == nil then
    pool.ended = true
    pool.arrival:wake()
    return
  end
  local index = pool.started + 1
  pool.started = index
  staff(pool)
  put(pool, index, pool.f(v, ...))
end

-- True once the worker is to pull again, false if it is to end. Idle workers end together, when the
-- consumer is elsewhere: nobody would ever come to wake them if the stream was dropped.
local function may_pull(pool)
  while not (pool.cause or pool.closed) do
    if pool.granted then
      pool.granted = false
      return true
    elseif has_room(pool) then
      pool.pulling = true
      return true
    elseif pool.ended or not pool.parked then
      break
    end
    pool.idle:wait()
  end
  pool.idle:wake_all()
  return false
end

function work(pool, worker)
  local _ <close> = worker
  repeat run(pool, step(pool.source)) until not may_pull(pool)
  worker.done = true
end

-- Takes the next result, which is there.
local function take(pool)
  local index = pool.delivered + 1
  local v, values = pool.results[index], pool.more[index]
  pool.results[index], pool.more[index] = nil, nil
  pool.delivered = index
  staff(pool)
  if not pool.granted then pool.idle:wake() end -- it sees whether the consumer comes back
  if values then return table.unpack(values, 1, values.n) end
  return v
end

--- The values of the next result, or nil at the end. Waits for it; one consumer at a time.
---@return any ...
function Pool:next()
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

--- True in a worker of the pool, which cannot wait for its own end.
---@return boolean
function Pool:is_inside()
  local current = task.current()
  for worker in pairs(self.workers) do
    if worker.task == current then return true end
  end
  return false
end

--- Wakes a consumer that waits in `next`, which then raises. For a close from another task.
function Pool:interrupt()
  self.closed = true
  self.arrival:wake_all()
end

-- The workers that have not ended by themselves, the oldest first.
local function by_age(pool)
  local workers = {}
  for worker in pairs(pool.workers) do workers[#workers + 1] = worker end
  table.sort(workers, function(a, b) return a.id < b.id end)
  return workers
end

-- Waits for the workers, the newest first, then closes the source. What a signal interrupts is done by
-- calling it again.
local function join(pool, err, loop)
  local workers = by_age(pool)
  for i = #workers, 1, -1 do workers[i].task:join() end
  local source = pool.source
  pool.source = nil
  if source then release(source, err, loop) end
end

-- Attaches to err the errors that it does not replace. Without one: an error of the look-ahead, of an
-- item that the consumer did not ask for, is shown; the first error of the cleanup is returned.
local function settle(pool, err)
  for _, worker in ipairs(by_age(pool)) do
    local failure = worker.failure and worker.failure[1]
    local unseen = worker.failure and not rawequal(failure, err) and not fault.is(failure, "ECANCELED")
    if unseen and err ~= nil then
      fault.suppress(err, failure)
    elseif unseen and worker == pool.cause then
      io.stderr:write("rille: error in work that was not asked for: ", fault.traceback(failure), "\n")
    elseif unseen then
      err = failure
    end
  end
  return err
end

--- Cancels the workers, waits until their cleanup is done, closes the source. Idempotent.
---@param err any the error in flight, which an error of the cleanup does not replace; nil for none
---@param loop table|nil the loop that closes the stream early
function Pool:close(err, loop)
  self.closed = true
  cancel_others(self)
  self.idle:wake_all()
  do -- a signal strikes at most once before it is caught: what it interrupts is done on the way out
    local _ <close> = setmetatable({}, { __close = function(_, signal) join(self, err or signal, loop) end })
    join(self, err, loop)
  end
  local failure = settle(self, err)
  self.workers, self.results, self.more = {}, {}, {}
  if err == nil and failure ~= nil then error(failure, 0) end
end

return new
