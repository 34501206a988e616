--- rille.call_hint: what the report of an uncaught error says of a call that other languages would have
--- (internal; for host/report.c).
-- Model:  Lua's own message tells what was called, and as what; no value is looked at.
-- Owner:  nothing is kept.
-- Errors: none.

local AWAIT = "a call that waits just waits: leave out 'await'"
local ASYNC = "a function that waits is a function: leave out 'async'"
local BODY = "a response is not a stream: 'for chunk in res:chunks() do', "
  .. "or res:lines(), res:ndjson(), res:events()"

local HINTS = {
  { "a nil value %(global 'await'%)", AWAIT },
  { "a nil value %(field 'await'%)", AWAIT },
  { "a nil value %(global 'async'%)", ASYNC },
  { "a nil value %(field 'async'%)", ASYNC },
  { "a nil value %(global 'yield'%)", "an item is yielded by coroutine.yield(...)" },
  { "a nil value %(field 'gather'%)", "functions are run concurrently by rille.all({f, g})" },
  { "a nil value %(field 'create_task'%)", "a task is started by rille.spawn(f, ...)" },
  { "a nil value %(field 'wait_for'%)", "a limit of time is rille.timeout(seconds, f, ...)" },
  { "a rille%.http%.StreamedResponse value %(for iterator ", BODY },
  { "a rille%.response value %(for iterator ", BODY },
  { "a rille%.Task value %(for iterator ", "the results of a task are those of task:await()" },
  { "a table value %(for iterator ", "a list has no iterator: 'for i, v in ipairs(list) do', "
    .. "or 'for v in stream.from(list) do'" },
  { "a nil value %(for iterator ", "a loop goes through a stream or an iterator, "
    .. "and what is after 'in' gave none" },
}

---@param message string of an error
---@return string hint on a line of its own that begins with a line break, or ""
return function(message)
  if not message:find("attempt to call ", 1, true) then return "" end
  for _, hint in ipairs(HINTS) do
    if message:find("attempt to call " .. hint[1]) then return "\nhint: " .. hint[2] end
  end
  return ""
end
