--- rille.leak_report: warns of what a program has left open (internal; for RILLE_DEBUG, by host/leak.c).
-- Model:  what bindings and modules have noted (host/leak.h), when the last task has ended. What is alike is
--         told of once.
-- Owner:  nothing is kept; what is open is closed by the end of the program, as ever.
-- Errors: none.

local leak = require "rille.host.leak"

return function()
  local list, count = {}, {}
  for _, what in pairs(leak.open()) do
    if not count[what] then list[#list + 1] = what end
    count[what] = (count[what] or 0) + 1
  end
  table.sort(list)
  for _, what in ipairs(list) do
    local times = count[what] > 1 and (" (%d times)"):format(count[what]) or ""
    warn(("rille: %s at the end of the program%s; what must be closed is a variable: 'local x <close> = ...'")
      :format(what, times))
  end
end
