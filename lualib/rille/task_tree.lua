--- rille.task_tree: the tree of the live tasks in words (internal; printed when SIGUSR1 comes).
-- Model: a task stands under the one that spawned it, the oldest first; one whose parent has ended stands at
--        the left. The depth of the tree is the script's: there is no recursion, and indentation has an end.
-- Owner: nothing is kept.
-- Errors: none.

local INDENT_LIMIT = 20

---@param entry rille.TaskEntry
---@return string
local function describe(entry)
  local text = { ("task '%s' (%s)"):format(entry.name, entry.state) }
  if entry.waits_for then
    local where = entry.where and (" (%s)"):format(entry.where) or ""
    text[#text + 1] = ("waits for %s%s for %.1f s"):format(entry.waits_for, where, entry.since)
  end
  if #entry.within > 0 then text[#text + 1] = "in " .. table.concat(entry.within, " in ") end
  if entry.spawned and entry.spawned ~= entry.name then text[#text + 1] = "spawned at " .. entry.spawned end
  return table.concat(text, ", ")
end

---@param tasks rille.TaskEntry[] the oldest first
---@return string
return function(tasks)
  local roots, children = {}, {} -- lists of entries; those of a task are under it
  for _, entry in ipairs(tasks) do
    local list = roots
    if entry.parent then
      list = children[entry.parent] or {}
      children[entry.parent] = list
    end
    list[#list + 1] = entry
  end
  local lines = { ("rille: %d task%s"):format(#tasks, #tasks == 1 and "" or "s") }
  local stack = {} -- { entry, depth }, the next one on top
  local function push(list, depth)
    for i = #(list or {}), 1, -1 do stack[#stack + 1] = { list[i], depth } end
  end
  push(roots, 0)
  while #stack > 0 do
    local entry, depth = table.unpack(table.remove(stack))
    lines[#lines + 1] = ("  "):rep(math.min(depth, INDENT_LIMIT)) .. describe(entry)
    push(children[entry.task], depth + 1)
  end
  return table.concat(lines, "\n")
end
