--- rille.spec.limit: how long a test may take (internal; a part of `rille test`).
-- Model:  each function that a spec gives to busted (the body of an `it`, a `before_each`, a file) runs in a
--         scope of its own, whose signal is sent when its time is over. That is real time: a clock has no
--         part in it. The signal is sent too when a background task has failed (rille.spec.background).
-- Owner:  the call under way.
-- Errors: a function that took too long has failed with an error, whatever it made of the signal. The message
--         says what it waited for, and what its tasks did. Of one that a background task has ended it is the
--         error of that.

local background = require "rille.spec.background"
local cancel_scope = require "rille.host.cancel_scope"
local fault = require "rille.host.fault"
local report = require "rille.host.report"
local task = require "rille.host.task"
local task_tree = require "rille.task_tree"

local limit = {}

-- The tree of the tasks but for the one that runs the tests; nil if there is no other.
local function tree_of_others()
  local me, others = task.current(), {}
  for _, entry in ipairs(report.tasks()) do
    if entry.task ~= me then
      if entry.parent == me then entry.parent = nil end
      others[#others + 1] = entry
    end
  end
  return #others > 0 and task_tree(others):gsub("^rille: ", "meanwhile ") or nil
end

-- The message of a time-out. The story of the signal tells which wait it has ended, and where that was.
local function explain(signal, seconds, tree)
  local what, where = fault.traceback(signal):match("while waiting for ([^\n]+) %(([^\n]+:%d+)%)")
  local text = ("timed out after %g s"):format(seconds)
  if what then text = ("%s: %s, waiting for %s"):format(where, text, what) end
  return tree and text .. "\n" .. tree or text
end

--- Gives the functions of specs a limit.
---@param busted table busted's core
---@param settings { timeout: number } seconds; read when a function is called
function limit.install(busted, settings)
  local safe, rewrite = busted.safe, busted.rewriteMessage
  local struck = setmetatable({}, { __mode = "k" }) -- the signals of scopes -> what is known of them

  local function message_of(signal)
    local known = struck[signal]
    if known.failed then known.text = known.text or background.tell() end
    return known.text or explain(signal, settings.timeout, known.tree)
  end

  function busted.rewriteMessage(element, message, trace)
    if message ~= nil and struck[message] then message = message_of(message) end
    return rewrite(element, message, trace)
  end

  local function fail(element, message)
    local trace = element.trace or { short_src = element.name, currentline = 0, traceback = "" }
    busted.publish({ "error", element.descriptor }, element, busted.context.parent(element), message, trace)
    return busted.status("error")
  end

  function busted.safe(descriptor, run, element)
    if run ~= element.run and descriptor ~= "finally" then return safe(descriptor, run, element) end
    local signal
    local scope = cancel_scope.new("rille test", settings.timeout, function(err)
      signal, struck[err] = err, { tree = tree_of_others(), failed = background.has_failed() }
    end)
    background.scope = scope
    local results = table.pack(scope:run(safe, descriptor, run, element))
    background.scope = nil
    if results[1] ~= "done" then cancel_scope.raise(results[2]) end
    -- It has caught the signal, and ended as if nothing had been.
    if signal and results[2]:success() then results[2] = fail(element, message_of(signal)) end
    local untold = background.tell() -- it has failed with something else, or did not wait any more
    if untold then results[2] = fail(element, untold) end
    return table.unpack(results, 2, results.n)
  end
end

return limit
