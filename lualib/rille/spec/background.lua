--- rille.spec.background: a background task that fails fails what is under way (internal; a part of `rille
-- test`).
-- Model:  the host hands over the error of a task that nobody awaits (host/task.c). The function of a spec
--         that runs meanwhile gets the signal of its scope (rille.spec.limit): what it waits for may never
--         come. Whoever publishes its end, or that of a test, a block or a file (rille.spec.leaks), asks what
--         there is to tell.
-- Owner:  errors are kept in words until they are told.
-- Errors: with no test, block or file under way the host does what it does with a script: the run ends.

local fault = require "rille.host.fault"
local task = require "rille.host.task"

---@class rille.spec.background
---@field scope rille.Scope? of the function under way
local background = {}

local untold = {}
local depth = 0 -- of what is under way

--- The errors that were not told yet, which are told now; nil if there are none.
---@return string?
function background.tell()
  if #untold == 0 then return nil end
  local text = table.concat(untold, "\n")
  untold = {}
  return text
end

--- True if there is an error to tell.
function background.has_failed() return #untold > 0 end

-- Called between two steps of tasks; true: the error is taken.
local function take(err)
  if depth == 0 then return false end
  untold[#untold + 1] = "a background task has failed: " .. fault.traceback(err)
  if background.scope then background.scope:cancel() end
  return true
end

--- Has errors of background tasks told. To be installed last: what it calls tells.
---@param busted table busted's core
function background.install(busted)
  local safe = busted.safe
  function busted.safe(...)
    depth = depth + 1
    local results = table.pack(safe(...))
    depth = depth - 1
    return table.unpack(results, 1, results.n)
  end
  task.on_failure(take)
end

return background
