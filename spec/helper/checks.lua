-- busted's helper for every run: a test that leaves a task behind fails, and the run ends with the plain
-- line "N passed, N failed". RILLE_SPEC_GC=stress makes the collector run all the time, RILLE_SPEC_GC=
-- generational or incremental selects its mode.
local busted = require "busted"
local rille = require "rille"
local task = require "rille.host.task"

warn("@off") -- specs drop generators and raise in finalisers on purpose

local mode = os.getenv("RILLE_SPEC_GC")
if mode == "stress" then
  collectgarbage("incremental", 1, 1000, 1) -- no pause, and a step at every few allocations
elseif mode then
  collectgarbage(mode)
end

local counts = { success = 0, failure = 0, error = 0, pending = 0 }
local before = 0

busted.subscribe({ "test", "start" }, function() before = task.count() end)

-- A cancelled task may need some turns of the loop to run its cleanup.
local function leftovers()
  for _ = 1, 20 do
    if task.count() <= before then return 0 end
    rille.sleep(0.001)
  end
  return task.count() - before
end

busted.subscribe({ "test", "end" }, function(element, _, status)
  counts[status] = counts[status] + 1
  local left = leftovers()
  if left > 0 then
    counts.error = counts.error + 1
    local trace = { short_src = "spec", currentline = 0, traceback = "" }
    local message = ("%s left %d task(s) behind"):format(element.name, left)
    busted.publish({ "error", "it" }, element, nil, message, trace)
  end
end)

for _, kind in ipairs { "file", "describe", "setup", "teardown", "before_each", "after_each", "output" } do
  busted.subscribe({ "error", kind }, function() counts.error = counts.error + 1 end)
end

busted.subscribe({ "exit" }, function()
  io.stdout:write(("%d passed, %d failed%s\n"):format(counts.success, counts.failure + counts.error,
    counts.pending > 0 and (", %d skipped"):format(counts.pending) or ""))
end)
