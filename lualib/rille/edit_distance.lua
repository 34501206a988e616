--- rille.edit_distance: how many letters differ between two names (internal).
-- Model:  one that is left out, added, changed, or swapped with the next, counts as one.
-- Owner:  nobody; nothing is kept.
-- Errors: none.

---@param a string
---@param b string
---@return integer
return function(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      row[j] = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (same and 0 or 1))
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        row[j] = math.min(row[j], before[j - 2] + 1)
      end
    end
    before, last = last, row
  end
  return last[#b]
end
