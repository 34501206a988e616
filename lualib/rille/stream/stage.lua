--- rille.stream.stage: makes the stages that streams consist of (internal).
-- Model:  a stream is a stage on a source, which is a stream too, or a root. A root makes items of what it
--         holds; a stage passes on the items of its source. Every stage is a stream of its own.
-- Owner:  who made the stream; the stream owns its source.
-- Errors: none; the arguments were checked.

local Stream = require "rille.stream.protocol"
local lock = require "rille.stream.lock"

---@class rille.Stream
---@field private name string the operator
---@field private state "created"|"suspended"|"closing"|"exhausted"|"closed"|"failed"
---@field private source rille.Stream|nil what a stage takes its items from; a root has none
---@field private base rille.Stream the root under it, itself for a root
---@field private make nil|rille.StageMaker of a stage
---@field private produce nil|fun(emit: function, finish: function, apply: function?): function of a root
---@field private single boolean|nil no item has more than one value, and none is nil
---@field private lock rille.StreamLock of the root, or one that was merged since
---@field private pull nil|fun(): ... one step, put together; only while the stream is suspended
---@field private pending rille.PendingStep|nil a step that may outlive the call that asked for it
---@field private closer nil|fun(err: any, loop: table?) of a root: closes what it holds; gone once called
---@field private interrupt nil|fun(err: any, loop: table?) of a root: ends a step that waits in another task
---@field private is_inside nil|fun(): boolean of a root: the caller's task belongs to the stream
---@field private guard any closes the nursery of a root that is dropped (rille.stream.nursery)
---@field private failure table|nil of a root: { error }, when a stream over it has failed
---@field private loop table|nil where the loop ends that closed it early: short_src and currentline
---@field private closers rille.Waitlist|nil who waits for the close under way
---@field private cleanup table|nil { error } of the close
---@field private partial table|nil of chunks: the chunk that is not complete
---@field private deferred table|nil { error of a cleanup } that waits until an item is delivered

-- Makes the function that takes an item, and passes it on to `emit` or asks for another one with
-- `upstream.pull`; and, if the stage has something to say at the end, one to call instead of `finish`.
-- `produce` of a root makes the function of a step, which calls emit with an item, or finish at the end. A
-- map on a single root leaves its function in `upstream.apply`, and the root calls it: one call less an item.
-- They return what the function returns that they end with.
---@alias rille.StageMaker fun(upstream: table, emit: function, finish: function, self): function, function?

local stage = {
  TURN = 1024, -- a root lets the loop have its turn after so many items, as a generator does (R27)
}

--- A root; it needs its `produce`, and a `closer` if it holds something.
---@param name string
---@return rille.Stream<any>
function stage.root(name)
  local self = setmetatable({ name = name, state = "created", lock = lock.new() }, Stream)
  self.base = self
  return self
end

--- A stage on a source, as the four values of a loop.
---@param name string
---@param source rille.Stream
---@param make rille.StageMaker
---@param single? boolean no item has more than one value, and none is nil
---@return rille.Stream<any>
function stage.new(name, source, make, single)
  return stage.each(setmetatable({ name = name, state = "created", source = source, base = source.base,
    lock = source.lock, make = make, single = single }, Stream))
end

--- The four values of a loop over what was just made.
---@param self rille.Stream|rille.Generator
function stage.each(self)
  return self, self, nil, self
end

return stage
