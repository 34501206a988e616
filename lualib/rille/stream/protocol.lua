--- rille.stream.protocol: the class of streams, and what a consumer does with one (internal).
-- Model:  the protocol of a generator: `next` takes a step, a call of the stream is the step of a loop,
--         the end of a loop closes the stream. The operators are added to the methods by rille.stream.
-- Owner:  the consumer, who closes the stream or leaves its loop.
-- Errors: misuse blames the caller's line. A stream that has failed, or that a loop closed, does not end
--         a new loop in silence (R33, R59).

local check = require "rille.stream.check"
local ending = require "rille.stream.ending"
local lock = require "rille.stream.lock"
local pipeline = require "rille.stream.pipeline"

local check_self = check.self

local OPEN, step = ending.OPEN, pipeline.step

---@class rille.StreamProtocol
local methods = {}

-- The metatable of streams; it is apart from the methods, so that a script does not reach its entries.
local Stream = { __name = "rille.Stream", __index = methods }

-- What a loop calls. Arguments are ignored: a stream has no pending yield to send them to.
Stream.__call = step

--- One step. Arguments are ignored.
---@return any ... the values of the item; nil at the end, and ever after
function methods:next()
  check_self(self, Stream, "next")
  if self.state == "closed" then return nil end
  return step(self)
end

--- One step with patience. The step stays in flight after a time-out, and the next call goes on waiting for
--- it.
---@param seconds number 0 <= seconds < 1e9
---@return any ... the values of the item; nil at the end; nil and "timeout" if it takes longer
function methods:next_within(seconds)
  check_self(self, Stream, "next_within")
  check.seconds(seconds, 2, "next_within")
  return pipeline.step_within(self, seconds, 1)
end

--- The four values of a loop that closes the stream: `for v in s:each() do`.
function methods:each()
  check_self(self, Stream, "each")
  if self.loop and self.state == "closed" then error(ending.loss(self.loop), 2) end
  return self, self, nil, self
end

--- An iterator for a loop that leaves the stream open.
---@return fun(): ...
function methods:keep()
  check_self(self, Stream, "keep")
  return function()
    if self.state == "closed" then return nil end
    return step(self)
  end
end

--- Closes the stream and what it was made from; returns when their cleanup, which may wait, is done.
--- Idempotent. Raises the first error of the cleanup.
function methods:close()
  check_self(self, Stream, "close")
  return pipeline.close(self)
end

-- The end of a loop: with an error in flight, an error of the cleanup is attached to it (R37). Level 2 is
-- the function of the loop, if it is still on the stack; no error has left it then.
function Stream.__close(self, err)
  local loop = OPEN[self.state] and debug.getinfo(2, "Sl")
  return pipeline.close(self, err, loop and loop.currentline > 0 and loop or nil)
end

---@return "created"|"suspended"|"running"|"waiting"|"closing"|"exhausted"|"closed"|"failed"
function methods:status()
  check_self(self, Stream, "status")
  if self.pending and not self.pending:is_over() then
    return pipeline.is_inside(self) and "running" or "waiting"
  end
  if self.state ~= "suspended" or not lock.of(self).holder then return self.state end
  return pipeline.is_inside(self) and "running" or "waiting"
end

--- Ends the stream with err, as if its last step had raised it: the sources are closed, err is raised.
---@param err any
function methods:throw(err)
  check_self(self, Stream, "throw")
  if lock.of(self).holder or self.pending then error("stream already running", 2) end
  if self.state == "closing" then error("stream is being closed", 2) end
  if OPEN[self.state] then ending.fail(self, err) end
  error(err, 0)
end

--- Nothing: a stream has no body that could return something. (A generator has.)
function methods:result()
  check_self(self, Stream, "result")
end

function Stream.__tostring(self)
  local names, stage = {}, self
  repeat
    table.insert(names, 1, stage.name)
    stage = stage.source
  until not stage
  return ("stream %s (%s)"):format(table.concat(names, ":"), methods.status(self))
end

return Stream
