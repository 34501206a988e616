--- rille.stream.nursery: the tasks that belong to a stream, and the roots that take items from them
--- (internal).
-- Model:  workers are tasks of the stream. They make items ready and wake the consumer, who waits in a step
--         of the stream. Workers go on while the consumer's body runs; they are daemons, so that a stream
--         that nobody closed does not keep the program alive.
-- Owner:  the root of a stream owns its nursery, and the nursery its workers and sources. `close` cancels
--         the workers, waits for their cleanup, then closes the sources, the last acquired first. A stream
--         that is dropped while it has workers is reported and closed by a task of its own: so nothing that
--         a worker holds may lead to the stream.
-- Errors: the first error of a worker cancels the others at once. The consumer takes what was ready before
--         it, and then gets it, as the same object. Later errors are attached to it as suppressed.

local pass = require("rille.host.cancel_scope").pass
local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local note = require("rille.host.leak").note -- nil unless RILLE_DEBUG asks for it
local stage = require "rille.stream.stage"
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

---@class rille.Nursery
---@field name string the operator
---@field private task_name string what reports call the workers
---@field sources rille.Stream[] in the order in which they were acquired
---@field closed boolean
---@field cause rille.Worker|nil the worker whose error came first
---@field on_stop nil|fun() nothing more becomes ready: wakes who else waits for that
---@field private workers table<rille.Worker, true> those that have not ended by themselves
---@field private born integer workers made
---@field private arrival rille.Waitlist the consumer waits here
---@field private consumer { [1]: thread } who took the last step; weak, as it leads to the stream
---@field private reported boolean the consumer has got the first error
local Nursery = {}
Nursery.__index = Nursery

---@class rille.Worker
---@field nursery rille.Nursery
---@field id integer order of birth
---@field task rille.Task
---@field done boolean|nil it has ended by itself
---@field dismissed boolean|nil its signal is no failure
---@field failure table|nil { error }
local Worker = {}

local running = coroutine.running

local nursery = {}

local WEAK = { __mode = "v" }

--- Starts nothing.
---@param name string the operator
---@param sources rille.Stream[]
---@return rille.Nursery
function nursery.new(name, sources)
  return setmetatable({
    name = name, task_name = name .. " of a stream", sources = sources, closed = false,
    workers = {}, born = 0, reported = false, consumer = setmetatable({}, WEAK),
    arrival = waitlist.new("the tasks of its stream"),
  }, Nursery)
end

--- True while workers may go on.
---@return boolean
function Nursery:is_open()
  return not (self.cause or self.closed)
end

-- The workers that have not ended by themselves, the oldest first.
local function by_age(self)
  local workers = {}
  for worker in pairs(self.workers) do workers[#workers + 1] = worker end
  table.sort(workers, function(a, b) return a.id < b.id end)
  return workers
end

-- The newest first, so that their cleanup begins in this order.
local function cancel_others(self, except)
  local workers = by_age(self)
  for i = #workers, 1, -1 do
    if workers[i] ~= except then workers[i].task:cancel("its stream was closed") end
  end
end

-- Nothing more becomes ready.
local function stop(self)
  if self.on_stop then self.on_stop() end
  self.arrival:wake_all()
end

-- What went wrong in a worker that was left with err. Of a signal, what its cleanup failed with: nobody
-- would see what is attached to a signal.
local function failure_of(worker, err)
  if not task.is_signal(worker.task, err) then return { err } end
  local later = err.suppressed or {}
  for i = 2, #later do fault.suppress(later[1], later[i]) end
  return later[1] ~= nil and { later[1] } or nil
end

-- A worker's function is left: by its end, by an error, or by a signal.
function Worker.__close(worker, err)
  local self = worker.nursery
  worker.failure = not worker.done and failure_of(worker, err) or nil
  if not worker.failure then self.workers[worker] = nil end
  if worker.done or worker.dismissed and not worker.failure or not self:is_open() then return end
  worker.failure = worker.failure or { err } -- somebody cancelled it: the stream cannot go on
  self.cause = worker
  cancel_others(self, worker)
  stop(self)
end

local function work(worker, fn, ...)
  local _ <close> = worker
  fn(...)
  worker.done = true
end

--- Starts a task of the stream that calls fn(...).
---@return rille.Worker
function Nursery:spawn(fn, ...)
  self.born = self.born + 1
  local worker = setmetatable({ nursery = self, id = self.born }, Worker)
  self.workers[worker] = true
  local ok, spawned = pcall(task.spawn_daemon, work, worker, fn, ...)
  if not ok then -- out of memory: nobody is to wait for it
    self.workers[worker] = nil
    error(spawned, 0)
  end
  worker.task = spawned
  worker.task.name = self.task_name
  task.adopt(worker.task, self.consumer)
  if not self:is_open() then worker.task:cancel("its stream was closed") end
  return worker
end

--- Starts a task of the stream on behalf of a coroutine, which waits for what the task makes ready.
---@param consumer thread
---@return rille.Worker
function Nursery:spawn_for(consumer, fn, ...)
  self.consumer[1] = consumer
  return self:spawn(fn, ...)
end

--- Takes on a source, which is closed before those that are there already.
---@param source rille.Stream
function Nursery:adopt(source)
  self.sources[#self.sources + 1] = source
end

--- Cancels a worker, waits for its cleanup, and closes the source that it works on.
---@param worker rille.Worker
---@param source rille.Stream
function Nursery:dismiss(worker, source)
  worker.dismissed = true
  worker.task:cancel("its stream needs no more of it")
  worker.task:join()
  ending.release(source)
  self:forget(source)
end

--- A source has ended: there is nothing to close.
---@param source rille.Stream
function Nursery:forget(source)
  for i, other in ipairs(self.sources) do
    if other == source then return table.remove(self.sources, i) end
  end
end

--- Wakes the consumer: something is ready, or the end is.
function Nursery:wake()
  self.arrival:wake_all()
end

--- Raises why nothing more becomes ready: the first error, with its story, or that the stream was closed.
function Nursery:check()
  if self.closed then error(ending.CLOSED, 0) end
  if self.cause then
    self.reported = true
    pass(self.cause.failure[1])
  end
end

--- The consumer has got the first error in another way than by `check`.
function Nursery:tell() self.reported = true end

--- The first error, if a consumer has got it.
---@return table|nil failure { error }
function Nursery:told()
  return self.reported and self.cause and self.cause.failure or nil
end

--- Parks the consumer until it is woken, or for so long. Raises if there is nothing to wait for.
---@param seconds? number
---@return boolean woken
function Nursery:wait(seconds)
  self:check()
  return self.arrival:wait(seconds)
end

--- Raises unless the consumer could wait: nothing is started where it could not.
function Nursery:check_wait()
  self.arrival:check()
end

--- True in a worker, which cannot wait for its own end.
---@return boolean
function Nursery:is_inside()
  local current = task.current()
  for worker in pairs(self.workers) do
    if worker.task == current then return true end
  end
  return false
end

--- Cancels the workers, and makes a consumer that waits in a step raise. For a close from another task.
function Nursery:interrupt()
  self.closed = true
  cancel_others(self) -- before they are woken: who is woken goes on
  stop(self)
end

-- Waits for the workers, the newest first, then closes the sources. What a signal interrupts is done by
-- calling it again.
local function join(self, err, loop)
  local born
  repeat -- until none was made meanwhile
    born = self.born
    local workers = by_age(self)
    for i = #workers, 1, -1 do workers[i].task:join() end
  until born == self.born
  local sources = self.sources
  self.sources = {}
  ending.release_all(sources, 1, #sources, err, loop)
end

local function show(failure)
  warn("rille: error in work that was not asked for: ", fault.traceback(failure))
end

-- Attaches to err the errors of workers that it does not replace. Without one: an error of the look-ahead,
-- of an item that the consumer did not ask for, is shown; the first error of the cleanup is returned.
local function settle(self, err)
  local first
  for _, worker in ipairs(by_age(self)) do
    local failure = worker.failure and worker.failure[1]
    local told = rawequal(failure, err) or worker == self.cause and self.reported
    if not worker.failure or told or task.is_signal(worker.task, failure) then
      goto continue
    elseif err ~= nil then
      fault.suppress(err, failure)
    elseif worker == self.cause then
      show(failure)
    elseif not first then
      first = { failure }
    else
      fault.suppress(first[1], failure)
    end
    ::continue::
  end
  self.reported = true
  return first
end

--- Cancels the workers, waits until their cleanup is done, closes the sources. Idempotent.
---@param err any the error in flight, which an error of the cleanup does not replace; nil for none
---@param loop table|nil the loop that closes the stream early
function Nursery:close(err, loop)
  self:interrupt()
  do -- a signal strikes at most once before it is caught: what it interrupts is done on the way out
    local _ <close> = setmetatable({}, { __close = function(_, signal) join(self, err or signal, loop) end })
    join(self, err, loop)
  end
  local failure = settle(self, err)
  self.workers = {}
  if failure then error(failure[1], 0) end
end

-- Roots ---------------------------------------------------------------------------------------

-- Closes the nursery of a stream that was dropped. The task is the program's, not the stream's.
local function abandon(self)
  local ok, err = pcall(self.close, self)
  if not ok then
    warn("rille: error while closing a stream that was dropped: " .. fault.traceback(err))
  end
end

local function is_live(self)
  for worker in pairs(self.workers) do
    local status = worker.task:status() -- one that was cancelled before its first step has no failure
    if status == "ready" or status == "running" or status == "waiting" then return true end
  end
  return false
end

local Guard = {
  __gc = function(guard)
    local self = guard.nursery
    if self.closed then return end
    if not is_live(self) then return settle(self) end
    if not guard.quiet then
      warn(("rille: the stream '%s' made at %s was dropped before its end; its tasks are cancelled now. ")
        :format(self.name, guard.where), "Close it: 'for v in s do', or 'local s <close> = ...'")
    end
    task.spawn_cleanup(abandon, self).name = "cleanup of a stream"
  end,
  __leak = function(guard)
    if guard.quiet or guard.nursery.closed or not is_live(guard.nursery) then return nil end
    return ("the stream '%s' made at %s is open"):format(guard.nursery.name, guard.where)
  end,
}

-- The line of the script that makes a stream.
local function birthplace()
  local level = 4
  local info = debug.getinfo(level, "Sl")
  while info and (info.currentline < 0 or info.source:find("^=rille[/.]")) do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  return info and ("%s:%d"):format(info.short_src, info.currentline) or "?"
end

--- The guard of a nursery: closes it if it is collected. The stream alone holds it.
---@param self rille.Nursery
---@param quiet? boolean something else tells of it
function nursery.guard(self, quiet)
  local guard = setmetatable({ nursery = self, quiet = quiet, where = quiet or birthplace() }, Guard)
  if note then note(guard) end
  return guard
end

--- Makes the root of a stream over a nursery.
---@param self rille.Nursery
---@param begin fun(state: any) starts the workers, when the first item is asked for
---@param take fun(state: any): ... the next item, or nil at the end; may wait in Nursery.wait
---@param state any what both are called with; it does not lead to the stream
---@return rille.Stream<any> root
function nursery.root(self, begin, take, state)
  local root = stage.root(self.name)
  local begun = false
  root.guard = nursery.guard(self)
  function root.closer(err, loop) return self:close(err, loop) end
  function root.interrupt() self:interrupt() end
  function root.is_inside() return self:is_inside() end
  function root.produce(emit, finish)
    local function relay(v, ...)
      if v == nil then
        ending.close_root(root)
        return finish()
      end
      return emit(v, ...)
    end
    return function()
      if not root.closer then return finish() end
      self.consumer[1] = running()
      if not begun then
        self:check_wait()
        begun = true
        begin(state)
      end
      return relay(take(state))
    end
  end
  return root
end

return nursery
