--- rille.hint: what the message of a chunk that does not compile says of words that other languages have
--- (internal; the command's).
-- Model:  the line that the message names is looked at, and no other.
-- Owner:  nothing is kept.
-- Errors: none; a message that nothing is known about stays as it is.

local HINTS = {
  { "%f[%w_]async%s+def%f[^%w_]", "a function that waits is a function: write 'local function'" },
  { "%f[%w_]async%s+function%f[^%w_]", "a function that waits is a function: leave out 'async'" },
  { "%f[%w_]async%s+for%f[^%w_]", "a loop may wait: leave out 'async'" },
  { "%f[%w_]for%s+await%f[^%w_]", "a loop may wait: leave out 'await'" },
  { "%f[%w_]async%s+with%f[^%w_]", "what must be closed is a variable: write 'local x <close> = ...'" },
  { "%f[%w_]await%f[^%w_]", "a call that waits just waits: leave out 'await'" },
  { "%f[%w_]yield%s+[%w_\"'{(]", "an item is yielded by a call: write 'coroutine.yield(...)'" },
}

---@param message string "name:line: ..."
---@param source string of the chunk
---@return string message with a hint behind it, on a line of its own, if there is one
return function(message, source)
  local number = tonumber(message:match(":(%d+): "))
  local n = 0
  for line in (source .. "\n"):gmatch("([^\n]*)\n") do
    n = n + 1
    if n == number then
      for _, hint in ipairs(HINTS) do
        if line:find(hint[1]) then return ("%s\nhint: %s"):format(message, hint[2]) end
      end
    end
  end
  return message
end
