--- rille.stream.delegate: yield_from, with which a body hands its consumer on to another source.
-- Model:  a generator is stepped by the host, with what the consumer sends and throws. Of any other source
--         the items are yielded one by one.
-- Owner:  the delegation owns the source, and closes it on every way out.
-- Errors: those of the source. Misuse blames the caller's line, before the source is started.

local generator = require "rille.host.generator"
local pipeline = require "rille.stream.pipeline"
local source = require "rille.stream.source"

local delegate = {}

-- Yields an item; false at the end.
local function pass(v, ...)
  if v == nil then return false end
  coroutine.yield(v, ...)
  return true
end

-- A source that is no generator. The host calls this for the caller, who is at level 3.
local function yield_all(x, state, control, closing)
  if generator.is_generator_function(x) then return delegate.yield_from((x())) end
  local self, expected = source.open(x, state, control, closing)
  if not self then error(("bad argument #1 to 'yield_from' (%s)"):format(expected), 3) end
  if not pipeline.check_step(self, 3) then return end
  local _ <close> = self
  while pass(pipeline.step(self)) do end
end

--- Yields the items of a source in the running generator or coroutine, and closes it. If that is a generator,
--- what the consumer sends and throws goes to its body.
--- Returns what the body of a generator returns.
---@type fun(x: rille.Source<any>, state?: any, control?: any, closing?: any): ...
delegate.yield_from = generator.make_yield_from(yield_all)

return delegate
