--- rille.stream.source: makes streams of what can be iterated.
-- Model:  a root over an iterator or a list; a generator is an iterator that can be closed.
-- Owner:  the stream owns what it was made from, and closes it once, if it can be closed.
-- Errors: what cannot be iterated is refused when the stream is made. An error of the cleanup does not
--         replace one in flight.

local check = require "rille.stream.check"
local ending = require "rille.stream.ending"
local fault = require "rille.host.fault"
local is_generator_function = require("rille.host.generator").is_generator_function
local pipeline = require "rille.stream.pipeline"
local stage = require "rille.stream.stage"
local Stream = require "rille.stream.protocol"
local turn = require("rille.host.timer").turn

local close_root, TURN = ending.close_root, stage.TURN

local EXPECTED = "expected a stream, a generator function, an iterator function or a list, got %s"

local source = {}

--- True for a generator.
---@return boolean
function source.is_generator(v)
  local meta = debug.getmetatable(v)
  return meta ~= nil and meta.__name == "rille.generator"
end
local is_generator = source.is_generator

-- Closes v as the end of a loop does. A generator and a stream look after err themselves.
local function close_value(v, err, loop)
  local meta = debug.getmetatable(v)
  if meta == Stream then return pipeline.close(v, err, loop) end
  if err == nil or is_generator(v) then return meta.__close(v, err) end
  local ok, failure = pcall(meta.__close, v, err)
  if not ok then fault.suppress(err, failure) end
end

local function no_item() return nil end

local function closed_by_another() error(ending.CLOSED, 0) end

-- Closes v, while another task may wait in it, if v is such that this ends the wait.
local function interrupt_value(v, err, loop)
  local meta = debug.getmetatable(v)
  if meta == Stream then
    if v:status() == "waiting" then pipeline.close(v, err, loop) end
  elseif is_generator(v) then
    if v:status() == "waiting" then meta.__close(v, err) end
  elseif meta and meta.__interrupt then
    meta.__interrupt(v)
  end
end

-- Any iterator: called as a generic `for` does, without arguments if it has neither state nor control.
local function from_iterator(iterator, state, control, closing)
  local self = stage.root("from")
  local bare = state == nil and control == nil or rawequal(state, iterator)
  local call = iterator
  function self.interrupt(err, loop)
    call, bare = closed_by_another, true
    interrupt_value(closing, err, loop)
  end
  function self.closer(err, loop)
    call, bare = no_item, true
    if closing ~= nil and closing ~= false then close_value(closing, err, loop) end
  end
  function self.produce(emit, finish)
    local taken = 0
    local function relay(v, ...)
      if v == nil then
        if call == closed_by_another then call() end
        close_root(self)
        return finish()
      end
      taken = taken + 1
      if taken % TURN == 0 then turn() end
      return emit(v, ...)
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

local EMPTY = {}

local function from_list(list)
  local self = stage.root("from")
  self.single = true
  local at = 0
  function self.closer() list = EMPTY end
  function self.produce(emit, finish, apply)
    return function()
      local v = list[at + 1]
      if v == nil then
        close_root(self)
        return finish()
      end
      at = at + 1
      if at % TURN == 0 then turn() end
      if apply then return emit(apply(v)) end
      return emit(v)
    end
  end
  return self
end

--- The stream over anything that a generic `for` can go through, or a list.
---@param x any
---@return rille.Stream|nil self nil if x is neither
---@return string|nil expected what x should have been, then
function source.open(x, state, control, closing)
  local meta = debug.getmetatable(x)
  if meta == Stream then return x end
  if is_generator_function(x) then
    local generator = x()
    return from_iterator(generator, nil, nil, generator)
  end
  if type(x) == "function" then return from_iterator(x, state, control, closing) end
  if meta and meta.__stream then return source.open(meta.__stream(x)) end
  if meta and meta.__call then
    if closing == nil and state == nil and meta.__close then closing = x end
    return from_iterator(x, state, control, closing)
  end
  if type(x) == "table" then return from_list(x) end
  return nil, EXPECTED:format(check.type_name(x))
end

--- The stream that the function of an operator has turned an item into.
---@param name string the operator
---@return rille.Stream<any>
function source.open_inner(name, ...)
  local inner, expected = source.open(...)
  if not inner then error(("bad result of the function of '%s' (%s)"):format(name, expected), 0) end
  return inner
end

--- The stream over an argument of an operator, which calls this directly (rille.stream.check).
---@return rille.Stream<any>
function source.check(x, position, name)
  local self, expected = source.open(x)
  if not self then check.refuse(position, name, expected) end
  return self
end

--- The streams over the arguments of an operator, which calls this directly, without the last three values
--- of f(gen()) (R6).
---@param name string the operator
---@param n integer how many of the arguments are sources
---@return rille.Stream[], integer n
function source.check_all(name, n, ...)
  local args = { ... }
  if n >= 4 and args[n - 1] == nil and args[n] ~= nil and rawequal(args[n], args[n - 2])
    and rawequal(args[n], args[n - 3]) and check.is_callable(args[n]) then
    n = n - 3
  end
  local streams, seen = {}, {}
  for i = 1, n do
    local x = args[i]
    local opened, expected = source.open(x)
    if not opened then check.refuse(i, name, expected) end
    if type(x) ~= "function" and check.is_callable(x) then
      if seen[x] then check.refuse(i, name, "the same stream is given twice") end
      seen[x] = true
    end
    streams[i] = opened
  end
  return streams, n
end

--- A stream of anything that can be iterated: a stream, a generator function, an iterator function with
--- its state, control and closing values (`from(pairs(t))`, `from(io.lines(path))`), or a list. A stream
--- and a generator are returned as they are; of a generator function it is a new generator. Closes x if x
--- can be closed.
---@generic T
---@param x rille.Source<T>
---@param state? any
---@param control? any
---@param closing? any
---@return rille.Stream<T>
function source.from(x, state, control, closing)
  if is_generator_function(x) then return x() end
  if is_generator(x) then return stage.each(x) end
  local self, expected = source.open(x, state, control, closing)
  if not self then error(("bad argument #1 to 'from' (%s)"):format(expected), 2) end
  return stage.each(self)
end

--- What fn returns, again and again, until it returns nil.
---@generic T
---@param fn fun(): T, any?, any?, any?
---@return rille.Stream<T>
function source.repeating(fn)
  check.callable(fn, 1, "repeating")
  local self = from_iterator(fn)
  self.name = "repeating"
  return stage.each(self)
end

return source
