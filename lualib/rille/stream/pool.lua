--- rille.stream.pool: map and each_do with n > 1: what f gives in several tasks at once (internal).
-- Model:  one worker at a time takes a step of the source; when it has an item it lets the next one do so
--         and runs `f`. At most `n` items are in work or finished but undelivered. A worker with nothing to
--         do stays only while the consumer waits for a result, and ends otherwise: a pool whose stream
--         was dropped finishes what it has in work and leaves no task behind.
-- Owner:  the nursery (rille.stream.nursery) of the root owns the workers and the source.
-- Errors: the first error of `f` or of the source cancels the other workers at once; results that are
--         finished in order before it are delivered, then it is raised as the same object.

local nursery = require "rille.stream.nursery"
local step = require("rille.stream.pipeline").step
local waitlist = require "rille.host.waitlist"

---@class rille.Pool
---@field private nursery rille.Nursery
---@field private source rille.Stream
---@field private f function
---@field private ordered boolean
---@field private started integer items pulled
---@field private room number items that may be pulled besides; NONE once nothing more is to be
---@field private finished integer results, as completed (unordered only)
---@field private delivered integer results taken by the consumer
---@field private results table<integer, any> first values, by the place in the output
---@field private more table<integer, table> all values of a result that has several
---@field private idle rille.Waitlist workers wait here while the consumer takes a result
---@field private pulling boolean a worker pulls
---@field private coming boolean a worker was woken or made to pull, and has not looked yet
---@field private parked boolean the consumer waits for a result
---@field private ended boolean the source has ended

local NONE <const> = -math.huge -- stays what it is when results are taken

local work

-- Sees to it that somebody pulls if there is room: who works on an item looks itself before it rests, so one
-- that comes is enough. Called whenever there is more room or a pull is over; so who waits need not look.
local function staff(pool)
  if pool.room <= 0 or pool.pulling or pool.coming then return end
  pool.coming = true
  if pool.idle:wake() == 0 then pool.nursery:spawn(work, pool) end
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
  if pool.parked and index == pool.delivered + 1 then pool.nursery:wake() end
end

-- Has pulled v, ...: the next worker may pull, this one works.
local function run(pool, v, ...)
  pool.pulling = false
  if pool.room == NONE then return end
  if v == nil then
    pool.ended, pool.room = true, NONE
    pool.nursery:wake()
    return
  end
  local index = pool.started + 1
  pool.started, pool.room = index, pool.room - 1
  staff(pool)
  put(pool, index, pool.f(v, ...))
end

-- True once the worker is to pull again, false if it is to end. Idle workers end together, when the
-- consumer is elsewhere: nobody would ever come to wake them if the stream was dropped.
local function may_pull(pool)
  while pool.room ~= NONE do
    if pool.room > 0 and not pool.pulling then
      pool.pulling = true
      return true
    end
    if not pool.parked then break end
    pool.idle:wait()
    pool.coming = false
  end
  pool.idle:wake_all()
  return false
end

function work(pool)
  pool.coming = false
  while may_pull(pool) do run(pool, step(pool.source)) end
end

-- Takes the next result, which is there.
local function take(pool)
  local index = pool.delivered + 1
  local v, values = pool.results[index], pool.more[index]
  pool.results[index] = nil
  pool.delivered, pool.room = index, pool.room + 1
  staff(pool)
  if not values then return v end
  pool.more[index] = nil
  return table.unpack(values, 1, values.n)
end

-- The values of the next result, or nil at the end. Waits for it.
local function next_result(pool)
  while pool.results[pool.delivered + 1] == nil do
    pool.nursery:check()
    if pool.ended and pool.started == pool.delivered then return nil end
    pool.parked = true
    pool.nursery:wait()
    pool.parked = false
  end
  return take(pool)
end

--- A root whose items are the results of f in up to n worker tasks.
---@param name string the operator
---@param source rille.Stream it takes a step in a worker, one worker at a time
---@param f fun(...): ... the work; a nil result is an error
---@param n integer items in work or undelivered, at most
---@param ordered boolean results in the order of the source
---@return rille.Stream<any>
return function(name, source, f, n, ordered)
  local pool = {
    nursery = nursery.new(name, { source }), source = source, f = f, ordered = ordered,
    started = 0, room = n, finished = 0, delivered = 0, results = {}, more = {},
    idle = waitlist.new("its stream's consumer"),
    pulling = false, coming = false, parked = false, ended = false,
  }
  pool.nursery.on_stop = function()
    pool.room = NONE
    pool.idle:wake_all()
  end
  return nursery.root(pool.nursery, staff, next_result, pool)
end
