--- rille.stream.recover: the operators that go on after an error of their source: catch, retry.
-- Model:  a root that takes the steps of its source itself, under a protected call: an error of a later
--         stage, or of the consumer, does not pass through it.
-- Owner:  the root owns the source that it takes steps of; one that has failed has closed itself.
-- Errors: a bad argument blames the line that makes the stream. A signal (a cancellation, a time-out around
--         the step) is never caught.

local backoff = require "rille.backoff"
local check = require "rille.stream.check"
local ending = require "rille.stream.ending"
local source = require "rille.stream.source"
local stage = require "rille.stream.stage"
local step = require("rille.stream.pipeline").step
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

local recover = {}

---@class rille.Recovery
---@field current rille.Stream|nil the source whose items are passed on
---@field make nil|fun(): rille.Stream|nil makes the next one; in a protected step
---@field handle fun(self: rille.Recovery, err: any): nil|fun() what goes on after an error: the next `make`
---@field gate rille.Waitlist where it waits before a try
---@field closed boolean

local function new(current, make, handle)
  return {
    current = current, make = make, handle = handle, gate = waitlist.new("the next try"), closed = false,
  }
end

-- One step; nothing when there is no source.
local function advance(self)
  if not self.current and self.make then
    self.current = self.make()
    self.make = nil
  end
  if self.current then return step(self.current) end
end

local function close(self, err, loop)
  local last = self.current
  self.current, self.make, self.closed = nil, nil, true
  if last then ending.release(last, err, loop) end
end

-- Makes a step that waits in another task return.
local function interrupt(self)
  self.closed = true
  self.gate:wake()
  local base = self.current and self.current.base
  if base and base.interrupt then base.interrupt() end
end

-- Lua allows about 200 protected calls within each other. What fails for that is not the source.
local function is_too_deep(err)
  return type(err) == "string" and err:find("C stack overflow", 1, true) ~= nil
end

local function root(name, self)
  local made = stage.root(name)
  function made.closer(err, loop) return close(self, err, loop) end
  function made.interrupt() interrupt(self) end
  function made.produce(emit, finish)
    local function relay(ok, v, ...)
      if not ok then
        if self.closed or task.signalled(v) or is_too_deep(v) then error(v, 0) end
        self.current = nil
        self.make = self:handle(v)
        return relay(pcall(advance, self))
      end
      if v ~= nil then return emit(v, ...) end
      ending.close_root(made)
      return finish()
    end
    return function() return relay(pcall(advance, self)) end
  end
  return made
end

-- Catch ---------------------------------------------------------------------------------------

-- The maker of what f has returned: a source, or nil for the end.
local function maker_of(v, ...)
  if v == nil then return nil end
  local inner = source.open_inner("catch", v, ...)
  return function() return inner end
end

--- The items; an error of the source is passed to f. What f returns is the source whose items follow; nil
--- ends the stream; f may raise the error again, or another. Errors of what follows are not caught.
---@generic T
---@param src rille.Source<T>
---@param f fun(err: any): rille.Source<T>|nil
---@return rille.Stream<T>
function recover.catch(src, f)
  local first = source.check(src, 1, "catch")
  check.callable(f, 2, "catch")
  local caught = false
  return stage.each(root("catch", new(first, nil, function(_, err)
    if caught then task.raise_again(err) end
    caught = true
    return maker_of(f(err))
  end)))
end

-- Retry ---------------------------------------------------------------------------------------

local function always() return true end

-- Waits before another try.
local function pause(self, seconds)
  if seconds == 0 then return end
  self.gate:wait(seconds)
  if self.closed then error(ending.CLOSED, 0) end
end

--- The items of genfn(); when that fails, those of genfn() anew, from its start.
---@generic T
---@param genfn fun(): rille.Source<T> a generator function, or another that makes a source
---@param options? rille.RetryOptions
---@return rille.Stream<T>
function recover.retry(genfn, options)
  check.expect(type(genfn) == "function", 1, "retry", "function that makes a source", genfn)
  options = check.options(options, 2, "retry", { times = 1, backoff = backoff.complaint, when = "function" })
  local tried, times, when, pauses = 1, options.times or 3, options.when or always, options.backoff or 0
  local function make() return source.open_inner("retry", genfn()) end
  return stage.each(root("retry", new(nil, make, function(self, err)
    if tried >= times or not when(err, tried) then task.raise_again(err) end
    pause(self, backoff.after(pauses, tried, "retry"))
    tried = tried + 1
    return make
  end)))
end

---@class rille.RetryOptions
---@field times? integer tries in all, 3 by default
---@field backoff? number|fun(attempt: integer): number seconds before the next try, after try `attempt`; 0
---@field when? fun(err: any, attempt: integer): any whether to try again after try `attempt`; always

return recover
