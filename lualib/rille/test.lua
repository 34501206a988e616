--- rille.test: what specs need and programs do not; also rille.test of `require "rille"`.
-- Model:  virtual time (host/clock.c): a wait for time is over as soon as nothing else can happen. Leaks
--         (rille.spec.leaks): the spec's runner looks for them.
-- Owner:  who opened a clock closes it.
-- Errors: misuse raises a string that blames the caller.

local clock = require "rille.host.clock"
local leaks = require "rille.spec.leaks"

--- Virtual time, while it is open.
---@class rille.Clock
---@field now fun(self: rille.Clock): number the seconds since it was opened
---@field close fun(self: rille.Clock) time is real again; what is pending keeps its remaining seconds

---@class rille.test
local test = {}

--- Makes time virtual until the clock is closed, in whatever task. `rille.now` stands still while code runs.
--- When no task is ready and nothing is in flight, time jumps to the earliest deadline of a sleep, a time-out
--- or another wait. While something is in flight, such as a request, the time that the program waits passes.
--- Raises if a clock is open.
---@return rille.Clock clock `local clock <close> = rille.test.clock()` closes it at the end of the block
test.clock = clock.open

--- Lets the test under way leave things open: `rille test` does not fail it for that. For a spec of what
--- becomes of a generator that is dropped, say.
function test.may_leak() leaks.allow() end

return test
