--- rille.asset_name: what may be the name of an asset (internal).
-- Model:  a path below the script's directory, written in one way, so that it means the same in a program
--         that was built as beside the script.
-- Owner:  nothing is kept.
-- Errors: none.

---@param name string
---@return boolean
return function(name)
  if name:find("\0", 1, true) then return false end
  for part in (name .. "/"):gmatch("([^/]*)/") do
    if part == "" or part == "." or part == ".." then return false end
  end
  return true
end
