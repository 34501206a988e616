--- rille.stream: streams, and the operators that make, change and end them.
-- Model:  a stream has the protocol of a generator and no coroutine. A *root* (a list, an iterator, a
--         chain of streams ...) makes items and the *stages* on it pass them on: each stage is a function
--         that is called with an item and calls the next one, or asks the root for another item. The
--         functions are put together when the stream is first advanced, so an item costs one call a stage.
--         The streams over one root share a lock: one step at a time (R80).
-- Owner:  a stream owns what it was made from, and closes it once, last acquired first: at the end, when
--         it needs no more, on an error, when it is closed or its loop is left (R60). `keep` opts out.
-- Errors: bad arguments blame the line that makes the stream. An error of a function or of a source
--         closes the sources before it reaches the consumer, as the same object; later steps say that
--         the stream has failed already (R33). An error of a cleanup does not replace one in flight.

local fault = require "rille.host.fault"
local generator = require "rille.host.generator"
local new_crew = require "rille.crew"
local waitlist = require "rille.host.waitlist"
local is_generator_function = generator.is_generator_function

local EXPECTED = "expected a stream, a generator function, an iterator function or a list, got %s"

---@alias rille.Source rille.Stream|rille.Generator|fun(...): ...|any[] what an operator takes items from

---@class rille.Stream
---@field private name string the operator
---@field private state "created"|"suspended"|"closing"|"exhausted"|"closed"|"failed"
---@field private source rille.Stream|nil what a stage takes its items from; a root has none
---@field private base rille.Stream the root under it, itself for a root
---@field private make nil|function of a stage: (line, down, finish, stage) -> push, finish or nil
---@field private root nil|fun(entry: function, finish: function): function
---@field private lock rille.StreamLock of the root, or one that was merged since
---@field private pull nil|fun(): ... one step, put together; only while the stream is suspended
---@field private closer nil|fun(err: any) of a root: closes what it holds; gone once called
---@field private interrupt nil|fun() of a root: makes a step that waits in another task return
---@field private is_inside nil|fun(): boolean of a root: the caller's task belongs to the stream
---@field private failure table|nil of a root: { error }, when a stream over it has failed
---@field private partial table|nil of chunks: the chunk that is not complete
---@field private deferred table|nil { error of a cleanup } that waits until an item is delivered
local Stream = { __name = "rille.Stream" }
local methods = {}
Stream.__index = methods

--- One step at a time over a root. It is the to-be-closed value of a step: whoever makes an item, or the
--- end, takes the holder out, so a step that is left with a holder is left by an error.
---@class rille.StreamLock
---@field holder rille.Stream|boolean the stream whose step is under way; true for a lock that was merged
---@field merged nil|rille.StreamLock the lock that took its place, of the root that took this root in
---@field leaving nil|table { stream, waitlist }: another task closes the stream and waits for its step
local Lock = {}

---@class rille.stream
local stream = {}

local OPEN = { created = true, suspended = true }

-- ------------------------------------------------------------------ misuse

local function type_name(v)
  local meta = getmetatable(v)
  local name = type(meta) == "table" and rawget(meta, "__name")
  return type(name) == "string" and name or type(v)
end

-- A number for a message: itself, else the type.
local function describe(v)
  if v ~= v then return "nan" end
  return type(v) == "number" and tostring(v) or type_name(v)
end

-- Raises as Lua's library does. Called by a check that was called by the operator: level 4 is its caller.
local function argument_error(position, name, message)
  local info = debug.getinfo(3, "n")
  if info and info.namewhat == "method" then position = position - 1 end
  if position == 0 then
    error(("calling '%s' on bad self (%s)"):format(name, message), 4)
  end
  error(("bad argument #%d to '%s' (%s)"):format(position, name, message), 4)
end

local function is_callable(v)
  if type(v) == "function" then return true end
  local meta = debug.getmetatable(v)
  return meta ~= nil and meta.__call ~= nil
end

local function check_function(f, position, name)
  if not is_callable(f) then
    argument_error(position, name, "function expected, got " .. type_name(f))
  end
  return f
end

local function check_count(n, position, name, least)
  local integer = type(n) == "number" and math.tointeger(n)
  if not integer or integer < least then
    argument_error(position, name, ("an integer >= %d expected, got %s"):format(least, describe(n)))
  end
  return integer
end

local function check_number(n, position, name)
  if type(n) ~= "number" then
    argument_error(position, name, "number expected, got " .. type_name(n))
  elseif n ~= n then
    argument_error(position, name, "not a number")
  end
  return n
end

local function check_string(s, position, name)
  if type(s) ~= "string" then
    argument_error(position, name, "string expected, got " .. type_name(s))
  end
end

-- Options of an operator: the types of those it knows; n is an integer >= 1.
local function check_options(options, position, name, known)
  if options == nil then return {} end
  if type(options) ~= "table" then
    argument_error(position, name, "table expected, got " .. type_name(options))
  end
  for key, value in pairs(options) do
    local expected = known[key]
    if not expected then
      argument_error(position, name, ("unknown option '%s'"):format(tostring(key)))
    elseif expected == "n" then
      local n = type(value) == "number" and math.tointeger(value)
      if not n or n < 1 then
        argument_error(position, name,
          ("bad option 'n' (an integer >= 1 expected, got %s)"):format(describe(value)))
      end
    elseif type(value) ~= expected then
      argument_error(position, name,
        ("bad option '%s' (%s expected, got %s)"):format(key, expected, type_name(value)))
    end
  end
  return options
end

local function check_self(self, name)
  if getmetatable(self) ~= Stream then
    error(("bad argument #1 to '%s' (rille.Stream expected, got %s)"):format(name, type_name(self)), 3)
  end
end

-- f(gen()) passes four values: the last three are no arguments (R6).
local function argument(src, v)
  if v ~= nil and rawequal(v, src) then return nil end
  return v
end

-- An item must not be nil: it would look like the end (R15).
local function lacks_item(maker)
  local who = (maker.name == "map" or maker.name == "scan") and ("the function of '%s'"):format(maker.name)
    or "a function of the stream"
  error(who .. " returned nil; an item must not be nil (return false or a table)", 0)
end

-- ------------------------------------------------------------------ closing

-- Calls __close(v, err). A generator and a stream look after err themselves.
local function close_value(v, err)
  local meta = debug.getmetatable(v)
  if err == nil or meta == Stream or meta.__name == "rille.generator" then
    return meta.__close(v, err)
  end
  local ok, failure = pcall(meta.__close, v, err)
  if not ok then fault.suppress(err, failure) end
end

local function close_root(base, err)
  local closer = base.closer
  if closer then
    base.closer = nil
    closer(err)
  end
end

-- Ends a stream and all that it was made from, with the error in flight.
local function release(self, err)
  local stage, deferred = self, nil
  repeat
    if OPEN[stage.state] then stage.state, stage.pull = "closed", nil end
    deferred = deferred or stage.deferred
    stage.partial, stage.deferred = nil, nil
    stage = stage.source
  until not stage
  close_root(self.base, err)
  if deferred then
    if err == nil then error(deferred[1], 0) end
    fault.suppress(err, deferred[1])
  end
end

-- Releases sources[first .. last], the last first, all of them whatever fails; the first error is raised.
local function release_all(sources, first, last, err)
  local failure
  for i = last, first + 1, -1 do
    local ok, e = pcall(release, sources[i], err)
    if not ok then
      if failure then
        fault.suppress(failure[1], e)
      else
        failure = { e }
      end
    end
  end
  if first <= last then release(sources[first], failure and failure[1] or err) end
  if failure then error(failure[1], 0) end
end

-- The last item has been passed on: the stream and what it was made from have ended.
local function exhaust(self)
  local stage = self
  repeat
    if OPEN[stage.state] then stage.state, stage.pull = "exhausted", nil end
    stage = stage.source
  until not stage
end

-- An error is on its way to the consumer.
local function fail(self, err)
  if OPEN[self.state] then self.state, self.pull = "failed", nil end
  self.base.failure = self.base.failure or { err }
  if fault.is(err) then
    local stage = self
    repeat
      if stage.partial then err.partial = stage.partial end
      stage = stage.source
    until not stage
  end
  release(self, err)
end

-- ------------------------------------------------------------------ steps

local function message_of(failure)
  local err = failure[1]
  if type(err) == "string" then return err end
  local meta = debug.getmetatable(err)
  if meta and meta.__tostring then return tostring(err) end
  return ("(error object is a %s value)"):format(type(err))
end

-- The lock of a stream, which may have been merged into another.
local function lock_of(self)
  local lock = self.lock
  if lock.merged then
    repeat lock = lock.merged until not lock.merged
    self.lock, self.pull = lock, nil -- the step was put together for the old one
  end
  return lock
end

-- Puts together the functions from the root to `entry`. The result makes one item: it calls entry with
-- it, or `finish` at the end, and returns what that returns. The root comes under `lock`.
local function compile(self, entry, finish, lock)
  local base = self.base
  local own = lock_of(base)
  if own ~= lock then
    if own.holder then error("stream already running", 0) end
    own.holder, own.merged = true, lock
    base.lock, base.pull = lock, nil
  end
  local line, stage = {}, self
  while stage.source do
    local make_finish
    entry, make_finish = stage.make(line, entry, finish, stage)
    finish = make_finish or finish
    if stage.state == "created" then stage.state = "suspended" end
    stage = stage.source
  end
  if base.state == "created" then base.state = "suspended" end
  line.pull = base.root(entry, function()
    if base.failure then error("stream already failed: " .. message_of(base.failure), 0) end
    return finish()
  end)
  return line.pull
end

-- A step is left by an error, or while another task closes the stream (R47).
local function leave(lock, err)
  local failed, leaving = lock.holder, lock.leaving
  lock.holder, lock.leaving = false, nil
  if not leaving then return fail(failed, err) end
  local self = leaving.stream
  local _ <close> = setmetatable({}, { __close = function() leaving.waitlist:wake_all() end })
  if not OPEN[self.state] then return end
  release(self, err)
  if not failed then error("stream closed by another task", 0) end
end

function Lock.__close(lock, err)
  if lock.holder or lock.leaving then leave(lock, err) end
end

-- Makes a stream ready for its first step.
local function open_line(self)
  local lock = lock_of(self)
  self.pull = compile(self, function(v, ...)
    if v == nil then lacks_item(self) end
    lock.holder = false
    return v, ...
  end, function()
    lock.holder = false
    exhaust(self)
    return nil
  end, lock)
end

local step

-- A step of a stream that is not ready for one.
local function first_or_last_step(self)
  if lock_of(self).holder then error("stream already running", 2) end
  if self.state == "closing" then error("stream is being closed", 2) end
  if self.state == "failed" then
    error("stream already failed: " .. message_of(self.base.failure), 2)
  end
  if not OPEN[self.state] then return nil end
  open_line(self)
  return step(self)
end

-- One item, or nil at the end.
function step(self)
  local lock, pull = self.lock, self.pull
  if lock.holder or not pull then return first_or_last_step(self) end
  lock.holder = self
  local _ <close> = lock
  return pull()
end

Stream.__call = step

-- Calls sink with every item until it returns false; returns true if it did. One guard for all items.
local function drain(self, sink)
  local lock = lock_of(self)
  if lock.holder or not OPEN[self.state] then return first_or_last_step(self) ~= nil end
  lock.holder = self
  local _ <close> = lock
  local early = true
  local pull = compile(self, sink, function()
    early = false
    exhaust(self)
    return false
  end, lock)
  while pull() do end
  lock.holder = false
  return early
end

-- drain, and close a stream that is left early.
local function run(self, sink)
  if drain(self, sink) then methods.close(self) end
end

-- A step or a drain on this lock is on the caller's stack.
local function is_inside(self)
  local base, lock = self.base, lock_of(self)
  if base.is_inside and base.is_inside() then return true end
  local level = 2
  local info = debug.getinfo(level, "f")
  while info do
    if info.func == step or info.func == drain then
      local _, other = debug.getlocal(level, 1)
      if lock_of(other) == lock then return true end
    end
    level = level + 1
    info = debug.getinfo(level, "f")
  end
  return false
end

-- ------------------------------------------------------------------ methods

--- One step. Arguments are ignored: a stream has no pending yield to send them to.
---@return any ... the values of the item; nil at the end, and ever after
function methods:next()
  check_self(self, "next")
  return step(self)
end

--- The four values of a loop that closes the stream: `for v in s:each() do`.
function methods:each()
  check_self(self, "each")
  return self, self, nil, self
end

--- An iterator for a loop that leaves the stream open.
---@return fun(): ...
function methods:keep()
  check_self(self, "keep")
  return function() return step(self) end
end

-- Waits until the step that is under way in another task has been left.
local function wait_for_step(self, lock)
  if self.base.interrupt then self.base.interrupt() end
  while lock.holder do
    if not lock.leaving then
      lock.leaving = { stream = lock.holder, waitlist = waitlist.new("the end of a stream's step") }
    end
    lock.leaving.waitlist:wait()
  end
end

local function close(self, err)
  if self.state == "closing" then -- by another task: R48
    self.closers = self.closers or waitlist.new("the close of a stream")
    self.closers:wait()
    return
  end
  if not OPEN[self.state] then return end
  local lock = lock_of(self)
  if lock.holder then
    if is_inside(self) then -- its own step would have to return first
      if err ~= nil then return end
      error("cannot close a running stream from inside it; use return", 0)
    end
    wait_for_step(self, lock)
    if not OPEN[self.state] then return end
  end
  self.state, self.pull = "closing", nil
  local _ <close> = setmetatable({}, { __close = function()
    self.state = "closed"
    if self.closers then self.closers:wake_all() end
  end })
  release(self, err)
end

--- Closes the stream and what it was made from; returns when their cleanup, which may wait, is done.
--- Idempotent. Raises the first error of the cleanup.
function methods:close()
  check_self(self, "close")
  if OPEN[self.state] and is_inside(self) then
    error("cannot close a running stream from inside it; use return", 2)
  end
  close(self)
end

-- The end of a loop: with an error in flight, an error of the cleanup is attached to it (R37).
Stream.__close = close

---@return "created"|"suspended"|"running"|"waiting"|"closing"|"exhausted"|"closed"|"failed"
function methods:status()
  check_self(self, "status")
  if self.state ~= "suspended" or not lock_of(self).holder then return self.state end
  return is_inside(self) and "running" or "waiting"
end

--- Ends the stream with err, as if its last step had raised it: the sources are closed, err is raised.
---@param err any
function methods:throw(err)
  check_self(self, "throw")
  if lock_of(self).holder then error("stream already running", 2) end
  if self.state == "closing" then error("stream is being closed", 2) end
  if OPEN[self.state] then fail(self, err) end
  error(err, 0)
end

--- Nothing: a stream has no body that could return something. (A generator has.)
function methods:result()
  check_self(self, "result")
end

function Stream.__tostring(self)
  local names, stage = {}, self
  repeat
    table.insert(names, 1, stage.name)
    stage = stage.source
  until not stage
  return ("stream %s (%s)"):format(table.concat(names, ":"), methods.status(self))
end

-- ------------------------------------------------------------------ making

local function new_root(name)
  local self = setmetatable({ name = name, state = "created" }, Stream)
  self.base = self
  self.lock = setmetatable({ holder = false }, Lock)
  return self
end

-- A stage on a source; make returns the function that takes an item (and one that ends the items).
local function new_stage(name, source, make)
  return setmetatable({ name = name, state = "created", source = source, base = source.base,
    lock = source.lock, make = make }, Stream)
end

local function each(self)
  return self, self, nil, self
end

local function no_values() return nil end

-- Any iterator: called as a generic `for` does, without arguments if it has neither state nor control.
local function over_iterator(iterator, state, control, closing)
  local self = new_root("from")
  local bare = state == nil and control == nil or rawequal(state, iterator)
  local call = iterator
  function self.closer(err)
    call, bare = no_values, true
    if closing ~= nil and closing ~= false then close_value(closing, err) end
  end
  function self.root(entry, finish)
    local function relay(v, ...)
      if v == nil then
        close_root(self)
        return finish()
      end
      return entry(v, ...)
    end
    if bare then
      return function() return relay(call()) end
    end
    local function relay_control(v, ...)
      control = v
      return relay(v, ...)
    end
    return function() return relay_control(call(state, control)) end
  end
  return self
end

local NONE = {}

local function over_list(list)
  local self = new_root("from")
  local at = 0
  function self.closer() list = NONE end
  function self.root(entry, finish)
    return function()
      local v = list[at + 1]
      if v == nil then
        close_root(self)
        return finish()
      end
      at = at + 1
      return entry(v)
    end
  end
  return self
end

-- The stream over anything that a generic `for` can go through, or a list; nil if it is neither.
local function open(x, state, control, closing)
  local meta = debug.getmetatable(x)
  if meta == Stream then return x end
  if is_generator_function(x) then
    local object = x()
    return over_iterator(object, nil, nil, object)
  end
  if type(x) == "function" then return over_iterator(x, state, control, closing) end
  if meta and meta.__call then
    if closing == nil and state == nil and meta.__close then closing = x end
    return over_iterator(x, state, control, closing)
  end
  if type(x) == "table" then return over_list(x) end
end

local function check_source(x, position, name)
  local source = open(x)
  if not source then argument_error(position, name, EXPECTED:format(type_name(x))) end
  return source
end

--- A stream of anything that can be iterated: a stream, a generator function, an iterator function with
--- its state, control and closing values (`from(pairs(t))`, `from(io.lines(path))`), or a list. A stream
--- and a generator are returned as they are; of a generator function it is a new generator. Closes x if x
--- can be closed.
---@param x rille.Source
---@param state? any
---@param control? any
---@param closing? any
---@return rille.Stream
function stream.from(x, state, control, closing)
  if is_generator_function(x) then return x() end
  local meta = debug.getmetatable(x)
  if meta and meta.__name == "rille.generator" then return each(x) end
  local self = open(x, state, control, closing)
  if not self then
    local e = EXPECTED:format(type_name(x))
    error(("bad argument #1 to 'from' (%s)"):format(e), 2)
  end
  return each(self)
end

-- (b - a) // step, as an unsigned number, for a step > 0.
local function udiv(n, d)
  if n >= 0 then return n // d end
  local q = ((n >> 1) // d) << 1
  if not math.ult(n - q * d, d) then q = q + 1 end
  return q
end

-- How many numbers there are from a to b; integers count modulo 2^64, -1 is for ever.
local function range_count(a, b, pace)
  if math.type(a) == "integer" and math.type(pace) == "integer" then
    local limit = math.tointeger(pace > 0 and math.floor(b) or math.ceil(b))
    if not limit then -- beyond the integers
      if (b > 0) ~= (pace > 0) then return 0 end
      limit = b > 0 and math.maxinteger or math.mininteger
    end
    if pace > 0 then return limit < a and 0 or udiv(limit - a, pace) + 1 end
    if pace == math.mininteger then return limit > a and 0 or math.ult(a - limit, pace) and 1 or 2 end
    return limit > a and 0 or udiv(a - limit, -pace) + 1
  end
  local n = (b - a) / pace
  return n >= 0 and (n < math.huge and math.floor(n) + 1 or -1) or 0
end

--- The numbers a, a + step, ... up to b, as in a numeric `for`; without b, without end.
---@param a number
---@param b? number
---@param pace? number the step, 1 by default; not 0
---@return rille.Stream
function stream.range(a, b, pace)
  check_number(a, 1, "range")
  if b ~= nil then check_number(b, 2, "range") end
  if pace == nil then pace = 1 end
  check_number(pace, 3, "range")
  if pace == 0 then error("bad argument #3 to 'range' (step is zero)", 2) end
  local self = new_root("range")
  local n = b == nil and -1 or range_count(a, b, pace)
  local k = 0
  function self.closer() n = k end
  function self.root(entry, finish)
    return function()
      local i = k
      if i == n then
        close_root(self)
        return finish()
      end
      k = i + 1
      return entry(a + i * pace)
    end
  end
  return each(self)
end

-- The sources of a vararg operator, without the last three values of f(gen()) (R6).
local function check_sources(name, ...)
  local args, n = { ... }, select("#", ...)
  if n >= 4 and args[n - 1] == nil and args[n] ~= nil and rawequal(args[n], args[n - 2])
    and rawequal(args[n], args[n - 3]) and is_callable(args[n]) then
    n = n - 3
  end
  local sources, seen = {}, {}
  for i = 1, n do
    local x = args[i]
    local source = open(x)
    if not source then argument_error(i, name, EXPECTED:format(type_name(x))) end
    if type(x) ~= "function" and is_callable(x) then
      if seen[x] then argument_error(i, name, "the same stream is given twice") end
      seen[x] = true
    end
    sources[i] = source
  end
  return sources, n
end

--- The items of each source, one source after the other. A source is closed before the next one starts.
---@param ... rille.Source
---@return rille.Stream
function stream.chain(...)
  local sources, n = check_sources("chain", ...)
  local self = new_root("chain")
  local at = 1
  function self.closer(err)
    local first = at
    at = n + 1
    release_all(sources, first, n, err)
  end
  function self.root(entry, finish)
    local mine, pull
    local function advance()
      if at > n then
        close_root(self)
        return finish()
      end
      if mine ~= at then
        mine = at
        pull = compile(sources[at], entry, function()
          exhaust(sources[at])
          at = at + 1
          return advance()
        end, self.lock)
      end
      return pull()
    end
    return advance
  end
  return each(self)
end

-- ------------------------------------------------------------------ stages, concurrent

-- A root whose items are the results of f in up to n worker tasks.
local function concurrent(name, source, f, n, ordered)
  local self = new_root(name)
  local crew
  function self.closer(err)
    if crew then return crew:disband(err) end
    release(source, err)
  end
  function self.interrupt()
    if crew then crew:interrupt() end
  end
  function self.is_inside()
    return crew ~= nil and crew:is_inside()
  end
  function self.root(entry, finish)
    local function relay(v, ...)
      if v == nil then
        close_root(self)
        return finish()
      end
      return entry(v, ...)
    end
    return function()
      if not self.closer then return finish() end
      if not crew then
        crew = new_crew(function() return step(source) end,
          function(err) release(source, err) end, f, n, ordered)
      end
      return relay(crew:next())
    end
  end
  return self
end

-- ------------------------------------------------------------------ stages, sequential

--- What f returns for each item. f may wait; it must not return nil.
--- With n > 1, f runs in up to n tasks that belong to the stream and go on while the consumer's body
--- runs; at most n items are in work or finished but undelivered. The first error cancels the others;
--- results that were finished in order before it come first.
---@param src rille.Source
---@param f fun(...): ... all values of the item
---@param options? { n: integer?, ordered: boolean? } n: 1; ordered: true, false gives them as completed
---@return rille.Stream
function stream.map(src, f, options)
  local source = check_source(src, 1, "map")
  check_function(f, 2, "map")
  options = check_options(options, 3, "map", { n = "n", ordered = "boolean" })
  if options.n and options.n > 1 then
    return each(concurrent("map", source, f, options.n, options.ordered ~= false))
  end
  return each(new_stage("map", source, function(_, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      return down(f(v, ...))
    end
  end))
end

--- The items for which pred returns a true value.
---@param src rille.Source
---@param pred fun(...): any
---@return rille.Stream
function stream.filter(src, pred)
  local source = check_source(src, 1, "filter")
  check_function(pred, 2, "filter")
  return each(new_stage("filter", source, function(line, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if pred(v, ...) then return down(v, ...) end
      return line.pull()
    end
  end))
end

--- The items as they are, after f was called with each.
---@param src rille.Source
---@param f fun(...)
---@return rille.Stream
function stream.tap(src, f)
  local source = check_source(src, 1, "tap")
  check_function(f, 2, "tap")
  return each(new_stage("tap", source, function(_, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      f(v, ...)
      return down(v, ...)
    end
  end))
end

-- The stream of no items over a source that is never started.
local function nothing(name, source)
  local self = new_root(name)
  function self.closer(err) release(source, err) end
  function self.root(_, finish)
    return function()
      close_root(self)
      return finish()
    end
  end
  return self
end

--- The first n items. The source is closed right after item n; with n = 0 it is never started.
---@param src rille.Source
---@param n integer >= 0
---@return rille.Stream
function stream.take(src, n)
  local source = check_source(src, 1, "take")
  n = check_count(n, 2, "take", 0)
  if n == 0 then return each(nothing("take", source)) end
  local taken = 0
  return each(new_stage("take", source, function(_, down, finish, self)
    -- an error of the source's cleanup comes after the item, which was there before
    local function last(...)
      local ok, err = pcall(release, source)
      if not ok then self.deferred = { err } end
      return down(...)
    end
    return function(v, ...)
      if v == nil then lacks_item(source) end
      taken = taken + 1
      if taken < n then return down(v, ...) end
      return last(v, ...)
    end, function()
      local deferred = self.deferred
      if not deferred then return finish() end
      self.deferred = nil
      error(deferred[1], 0)
    end
  end))
end

--- All items but the first n.
---@param src rille.Source
---@param n integer >= 0
---@return rille.Stream
function stream.drop(src, n)
  local source = check_source(src, 1, "drop")
  n = check_count(n, 2, "drop", 0)
  local dropped = 0
  return each(new_stage("drop", source, function(line, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if dropped >= n then return down(v, ...) end
      dropped = dropped + 1
      return line.pull()
    end
  end))
end

--- The items up to the first for which pred returns false or nil; the source is closed then.
---@param src rille.Source
---@param pred fun(...): any
---@param options? { inclusive: boolean? } inclusive: that item too
---@return rille.Stream
function stream.take_while(src, pred, options)
  local source = check_source(src, 1, "take_while")
  check_function(pred, 2, "take_while")
  options = check_options(options, 3, "take_while", { inclusive = "boolean" })
  return each(new_stage("take_while", source, function(_, down, finish)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if pred(v, ...) then return down(v, ...) end
      release(source)
      if options.inclusive then return down(v, ...) end
      return finish()
    end
  end))
end

--- The items from the first for which pred returns false or nil.
---@param src rille.Source
---@param pred fun(...): any
---@return rille.Stream
function stream.drop_while(src, pred)
  local source = check_source(src, 1, "drop_while")
  check_function(pred, 2, "drop_while")
  local dropping = true
  return each(new_stage("drop_while", source, function(line, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if dropping then
        if pred(v, ...) then return line.pull() end
        dropping = false
      end
      return down(v, ...)
    end
  end))
end

--- i, v...: the items with their number in front.
---@param src rille.Source
---@param start? integer the first number, 1 by default
---@return rille.Stream
function stream.enumerate(src, start)
  local source = check_source(src, 1, "enumerate")
  start = argument(src, start)
  if start == nil then start = 1 end
  local i = check_count(start, 2, "enumerate", math.mininteger) - 1
  return each(new_stage("enumerate", source, function(_, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      i = i + 1
      return down(i, v, ...)
    end
  end))
end

--- The states of a running fold: f(state, item...) for each item. Without init the first item is the
--- first state.
---@param src rille.Source
---@param f fun(state: any, ...): any
---@param init? any
---@return rille.Stream
function stream.scan(src, f, init)
  local source = check_source(src, 1, "scan")
  check_function(f, 2, "scan")
  local state = init
  return each(new_stage("scan", source, function(_, down)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if state ~= nil then v = f(state, v, ...) end
      state = v
      return down(v)
    end
  end))
end

--- Lists of n items, as soon as they are full; the last may be shorter. An item of several values is a
--- list of them. When an error object passes, its field `partial` has the list that was not full.
---@param src rille.Source
---@param n integer >= 1
---@return rille.Stream
function stream.chunks(src, n)
  local source = check_source(src, 1, "chunks")
  n = check_count(n, 2, "chunks", 1)
  local size = 0
  return each(new_stage("chunks", source, function(line, down, finish, self)
    return function(v, ...)
      if v == nil then lacks_item(source) end
      if select("#", ...) > 0 then v = { v, ... } end
      local chunk = self.partial
      if not chunk then
        chunk = {}
        self.partial, size = chunk, 0
      end
      size = size + 1
      chunk[size] = v
      if size < n then return line.pull() end
      self.partial = nil
      return down(chunk)
    end, function()
      local chunk = self.partial
      if not chunk then return finish() end
      self.partial = nil
      return down(chunk)
    end
  end))
end

-- The stream that an item was turned into.
local function open_inner(name, x, ...)
  local inner = open(x, ...)
  if not inner then
    error(("bad result of the function of '%s' (%s)"):format(name, EXPECTED:format(type_name(x))), 0)
  end
  return inner
end

-- A root: the items of the streams that f makes of the items, one stream after the other.
local function flat(name, source, f)
  local self = new_root(name)
  local inner
  function self.closer(err)
    local sources = { source, inner }
    inner = nil
    release_all(sources, 1, #sources, err)
  end
  function self.root(entry, finish)
    local mine, inner_pull, outer_pull
    local function begin()
      mine = inner
      inner_pull = compile(inner, entry, function()
        exhaust(inner)
        inner, mine = nil, nil
        return outer_pull()
      end, self.lock)
    end
    outer_pull = compile(source, function(v, ...)
      if v == nil then lacks_item(source) end
      inner = open_inner(name, f(v, ...))
      begin()
      return inner_pull()
    end, function()
      exhaust(source)
      close_root(self)
      return finish()
    end, self.lock)
    return function()
      if mine ~= inner then -- another stream over this one has gone on
        mine = inner
        if inner then begin() end
      end
      if inner then return inner_pull() end
      return outer_pull()
    end
  end
  return self
end

--- The items of what f returns for each item: a stream, a generator function, an iterator or a list. One
--- after the other: each is closed before the next one starts.
---@param src rille.Source
---@param f fun(...): rille.Source
---@param options? { n: integer? } n: 1
---@return rille.Stream
function stream.flat_map(src, f, options)
  local source = check_source(src, 1, "flat_map")
  check_function(f, 2, "flat_map")
  options = check_options(options, 3, "flat_map", { n = "n" })
  if options.n and options.n > 1 then
    error("bad argument #3 to 'flat_map' (bad option 'n': streams are taken one at a time)", 2)
  end
  return each(flat("flat_map", source, f))
end

local function itself(v) return v end

--- The items of the items: each is a stream, a generator function, an iterator or a list.
---@param src rille.Source
---@return rille.Stream
function stream.flatten(src)
  local source = check_source(src, 1, "flatten")
  return each(flat("flatten", source, itself))
end

-- ------------------------------------------------------------------ ends

--- All items as a list. An item of several values is a list of them.
---@param src rille.Source
---@param max? integer >= 1: more items than that are an error (ETOOBIG), and the source is closed
---@return any[]
function stream.collect(src, max)
  local source = check_source(src, 1, "collect")
  max = argument(src, max)
  if max ~= nil then max = check_count(max, 2, "collect", 1) end
  local list, n = {}, 0
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    if select("#", ...) > 0 then v = { v, ... } end
    if n == max then
      error(fault.new("ETOOBIG", ("collect: more than %d items"):format(max), { max = max }), 0)
    end
    n = n + 1
    list[n] = v
    return true
  end)
  return list
end

--- Calls f with each item. With n > 1 in up to n tasks, in no particular order; the first error cancels
--- the others. f may wait; what it returns is ignored.
---@param src rille.Source
---@param f fun(...)
---@param options? { n: integer? } n: 1
function stream.each_do(src, f, options)
  local source = check_source(src, 1, "each_do")
  check_function(f, 2, "each_do")
  options = check_options(options, 3, "each_do", { n = "n" })
  if options.n and options.n > 1 then
    run(concurrent("each_do", source, function(...)
      f(...)
      return true
    end, options.n, false), function() return true end)
    return
  end
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    f(v, ...)
    return true
  end)
end

--- The last state of a fold: f(state, item...) for each item. Without init the first item is the first
--- state; of no items it is nil then.
---@param src rille.Source
---@param f fun(state: any, ...): any
---@param init? any
---@return any
function stream.reduce(src, f, init)
  local source = check_source(src, 1, "reduce")
  check_function(f, 2, "reduce")
  local state, begun = init, init ~= nil
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    if begun then
      state = f(state, v, ...)
    else
      state, begun = v, true
    end
    return true
  end)
  return state
end

--- How many items there are.
---@param src rille.Source
---@return integer
function stream.count(src)
  local source = check_source(src, 1, "count")
  local n = 0
  run(source, function(v)
    if v == nil then lacks_item(source) end
    n = n + 1
    return true
  end)
  return n
end

--- True if pred returns a true value for some item; the source is closed at the first. Without pred, if
--- some item is not false.
---@param src rille.Source
---@param pred? fun(...): any
---@return boolean
function stream.any(src, pred)
  local source = check_source(src, 1, "any")
  pred = argument(src, pred)
  if pred == nil then pred = itself end
  check_function(pred, 2, "any")
  local found = false
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    if pred(v, ...) then found = true end
    return not found
  end)
  return found
end

--- True if pred returns a true value for every item; the source is closed at the first for which it does
--- not. Without pred, if no item is false.
---@param src rille.Source
---@param pred? fun(...): any
---@return boolean
function stream.all(src, pred)
  local source = check_source(src, 1, "all")
  pred = argument(src, pred)
  if pred == nil then pred = itself end
  check_function(pred, 2, "all")
  local missed = false
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    if not pred(v, ...) then missed = true end
    return not missed
  end)
  return not missed
end

--- The items, strings or numbers, in one string.
---@param src rille.Source
---@param separator? string "" by default
---@return string
function stream.join(src, separator)
  local source = check_source(src, 1, "join")
  separator = argument(src, separator)
  if separator == nil then separator = "" end
  check_string(separator, 2, "join")
  local list, n = {}, 0
  run(source, function(v)
    if type(v) ~= "string" and type(v) ~= "number" then
      error(("join: item %d is a %s, not a string"):format(n + 1, type_name(v)), 0)
    end
    n = n + 1
    list[n] = v
    return true
  end)
  return table.concat(list, separator)
end

-- Closes the stream, of which the first item was taken, and returns the item.
local function close_after(source, default, v, ...)
  if v == nil then return default end
  methods.close(source)
  return v, ...
end

--- The first item; the source is closed.
---@param src rille.Source
---@param default? any what is returned if there is none
---@return any ... the values of the item
function stream.first(src, default)
  local source = check_source(src, 1, "first")
  return close_after(source, argument(src, default), step(source))
end

--- The last item.
---@param src rille.Source
---@param default? any what is returned if there is none
---@return any ... the values of the item
function stream.last(src, default)
  local source = check_source(src, 1, "last")
  local item, values = argument(src, default), nil
  run(source, function(v, ...)
    if v == nil then lacks_item(source) end
    item, values = v, select("#", ...) > 0 and table.pack(v, ...) or nil
    return true
  end)
  if values then return table.unpack(values, 1, values.n) end
  return item
end

-- ------------------------------------------------------------------ operators as methods

for name, operator in pairs(stream) do
  if name ~= "from" and name ~= "range" then
    methods[name] = operator
    generator.methods[name] = operator
  end
end

return stream
