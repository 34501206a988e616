--- rille: tasks, waiting, and async generators in direct style.
-- A function that waits just waits: the host parks its coroutine and runs others.

local asset = require "rille.asset"
local cancel_scope = require "rille.host.cancel_scope"
local channel = require "rille.channel"
local fault = require "rille.host.fault"
local generator = require "rille.host.generator"
local group = require "rille.group"
local report = require "rille.host.report"
local sync = require "rille.sync"
local task = require "rille.host.task"
local test = require "rille.test"
local timer = require "rille.host.timer"
local waitlist = require "rille.host.waitlist"
require "rille.stream" -- gives generators the operators as methods

---@class rille
local rille = {}

---@class rille.Task
---@field name string what reports call it; by default where it was spawned
---@field await fun(self: rille.Task): ... waits for the end; the results, or raises what the task raised
---@field join fun(self: rille.Task, seconds?: number): boolean waits for the end, whatever it is, or so long
---@field cancel fun(self: rille.Task, reason?: string) sends the signal that ends it (R61); idempotent
---@field status fun(self: rille.Task): "ready"|"running"|"waiting"|"done"|"failed"|"cancelled"

--- What a generator function returns.
---@class rille.Generator: rille.Stream<any>
---@field next fun(self: rille.Generator, ...: any): ... the next item; sends the arguments to the yield (R20)
---@field next_within fun(self: rille.Generator, seconds: number): ... nil, "timeout" if it takes longer (R67)
---@field throw fun(self: rille.Generator, err: any): ... raises err at the pending yield; the next item
---@field close fun(self: rille.Generator): ... ends it and its cleanup; what the body returns then (R42, R52)
---@field each fun(self: rille.Generator): ... the four values of a loop that closes it
---@field keep fun(self: rille.Generator): fun(): ... an iterator for a loop that leaves it open (R58)
---@field status fun(self: rille.Generator): rille.GeneratorStatus
---@field result fun(self: rille.Generator): ... what the body has returned; nothing before
---@overload fun(): ...

---@alias rille.GeneratorStatus
---| "created"|"suspended"|"running"|"waiting"|"closing"|"exhausted"|"closed"|"failed"

---@class rille.Error
---@field code string "ECONNREFUSED", "ETIMEDOUT", "ECANCELED", "EPROTO", "EJSON" ...
---@field message string one readable line; also `tostring(err)`
---@field suppressed any[]|nil errors of cleanup that did not replace this one (R37)

--- Makes an async generator function. Calling it gives a generator and runs nothing yet (R1); the body
--- yields items with `coroutine.yield` and may wait anywhere (PEP 525).
---@param fn fun(...): ... the body
---@return fun(...): rille.Generator
rille.generator = generator.generator

--- Starts a background task of the program. If it fails with nobody awaiting it, the program stops with
--- its trace and exit status 1.
---@param fn fun(...): ...
---@param ... any its arguments
---@return rille.Task
rille.spawn = task.spawn

--- Runs `fn(group)` and waits for the children that it starts with `group:spawn(f, ...)`. The first error
--- cancels the others, waits for their cleanup, then is raised.
---@param fn fun(group: rille.Group): ...
---@return ... the results of fn
rille.group = group.group

--- Runs the functions of a table concurrently, at most `n` at a time; each one's first result is under its
--- key. The first error cancels the rest.
---@param fns table<any, fun(): any>
---@param options? { n: integer? } without limit by default
---@return table<any, any> results
rille.all = group.all

--- Runs the functions of a table; the first to finish wins and the others are cancelled and cleaned up.
--- Returns its key and its results, or raises its error.
---@param fns table<any, fun(): ...>
---@return any key
---@return any ... results
rille.race = group.race

--- Runs `fn(...)`; raises ETIMEDOUT if it is not done in time, whatever it makes of the signal (R64, R70).
---@param seconds number 0 <= seconds < 1e9
---@param fn fun(...): ...
---@param ... any its arguments
---@return ... the results of fn
rille.timeout = cancel_scope.timeout

--- Runs `fn(...)`; a cancellation from outside waits until it is done.
---@param fn fun(...): ...
---@param ... any its arguments
---@return ... the results of fn
rille.shield = cancel_scope.shield

--- Waits. With 0, until the loop has had its turn.
---@param seconds number 0 <= seconds < 1e9
rille.sleep = timer.sleep

--- Monotonic time, in seconds.
---@return number seconds
rille.now = timer.now

--- Makes a channel, which hands values from task to task, first come first served. Without capacity,
--- `send` waits until a receiver takes the value.
---@param capacity? integer >= 0: values that are sent and not received, at most; 0 by default
---@return rille.Channel
rille.channel = channel

--- Makes a semaphore: at most n tasks have a permit at the same time.
---@param n integer >= 1
---@return rille.Semaphore
rille.semaphore = sync.semaphore

--- Makes a mutex: one task has it at a time.
---@return rille.Mutex
rille.mutex = sync.mutex

--- Makes an event, which is not set.
---@return rille.Event
rille.event = sync.event

--- What specs need: virtual time.
rille.test = test

--- The story of an error: its message and the frames of each coroutine that it passed through (R30).
---@param err any
---@return string
rille.traceback = fault.traceback

--- True if `v` is an error object, of that code if one is given.
---@param v any
---@param code? string
---@return boolean
rille.is_error = fault.is

---@class rille.TaskEntry
---@field task rille.Task
---@field name string
---@field state "ready"|"running"|"waiting"
---@field waits_for string|nil what a waiting task waits for, as reports call it: "sleep"
---@field where string|nil "file:line" of that wait
---@field since number|nil seconds that it has waited so far
---@field within string[] the coroutines that it is in, the innermost first: "generator (file:line)"
---@field spawned string|nil "file:line"; nil if the host spawned it
---@field parent rille.Task|nil that spawned it; nil if that has ended, or if the host did

--- The contents of a file that belongs to the script: in the directory of the script, or in the program that
--- `rille build` has made of it. Raises ENOENT if it is not there.
---@param name string its path below that directory, with slashes, without "." and ".."
---@return string
rille.asset = asset

--- The live tasks, the oldest first (R114).
---@return rille.TaskEntry[]
rille.tasks = report.tasks

--- Adapts an interface of callbacks: calls `fn(resume)`, then waits until `resume(...)` is called, once.
---@param fn fun(resume: fun(...))
---@return ... the arguments of resume
function rille.callback(fn)
  if type(fn) ~= "function" then
    error(("bad argument #1 to 'callback' (function expected, got %s)"):format(type(fn)), 2)
  end
  local list, values = waitlist.new("callback"), nil
  list:check() -- nothing is started that could not be waited for
  fn(function(...)
    if values then error("resume was called already", 2) end
    values = table.pack(...)
    list:wake()
  end)
  if not values then list:wait() end
  return table.unpack(values, 1, values.n)
end

return rille
