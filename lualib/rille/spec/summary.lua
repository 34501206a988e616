--- rille.spec.summary: the last line, and on a terminal the line that tells how far it is (internal; a part
-- of `rille test`).
-- Model:  tests are counted, not what is said of them: one that fails twice counts once. An error outside of
--         a test counts as a failed one.
-- Owner:  nothing is kept.
-- Errors: none.

local tty = require "rille.host.tty"

local summary = {}

-- "file.lua: block test"
local function name_of(busted, element)
  local names, parent = { element.name }, busted.context.parent(element)
  while parent and parent.name do
    table.insert(names, 1, parent.descriptor == "file" and parent.name .. ":" or parent.name)
    parent = busted.context.parent(parent)
  end
  return table.concat(names, " ")
end

-- The line is written over the one before, and so has to fit; "" takes it away.
local function show(text)
  local room = (tty.columns(1) or 80) - 1
  if #text > room then
    text = text:sub(1, math.max(0, room - 3)):gsub("[\192-\255]?[\128-\191]*$", "") .. "..."
  end
  io.stdout:write("\r\27[K", text)
  io.stdout:flush()
end

--- Counts.
---@param busted table busted's core
---@param settings { progress: boolean, quiet: boolean, plain: boolean } read when a line is due
function summary.install(busted, settings)
  local counts = { success = 0, failure = 0, error = 0, pending = 0 }
  local publish = busted.publish

  local function progress(element)
    show(("%d passed, %d failed  %s"):format(counts.success, counts.failure + counts.error,
      element and name_of(busted, element) or ""))
  end

  busted.subscribe({ "test", "start" }, function(element)
    if settings.progress then progress(element) end
    return nil, true
  end)

  busted.subscribe({ "test", "end" }, function(_, _, status)
    counts[status] = counts[status] + 1
    return nil, true
  end)

  busted.subscribe({ "suite", "end" }, function()
    if settings.progress then show("") end
    return nil, true
  end)

  busted.subscribe({ "error" }, function(element)
    if element.descriptor ~= "it" then counts.error = counts.error + 1 end
    return nil, true
  end)

  function busted.publish(channel, ...)
    if channel[1] ~= "exit" then return publish(channel, ...) end
    local results = table.pack(publish(channel, ...))
    if not settings.quiet then
      local pending = counts.pending > 0 and (", %d pending"):format(counts.pending) or ""
      local line = ("%d passed, %d failed%s\n"):format(counts.success, counts.failure + counts.error, pending)
      io.stdout:flush()
      local file = settings.plain and io.stderr or io.stdout
      file:write(line)
    end
    return table.unpack(results, 1, results.n)
  end
end

return summary
