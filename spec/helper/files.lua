-- files.lua -- files and directories for specs, whole.
-- Owner:  who asks for a directory closes it, which removes what is in it.
-- Errors: those of the system, raised.
local files = {}

--- The bytes of a file.
---@param path string
---@return string
function files.contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return assert(file:read("a"))
end

--- Writes a file anew.
---@param path string
---@param text string
function files.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

--- Writes files below a directory, by their paths there; makes the directories that these are in.
---@param root string
---@param texts table<string, string>
function files.write_all(root, texts)
  for path, text in pairs(texts) do
    assert(os.execute(("mkdir -p '%s'"):format((root .. "/" .. path):match("^(.*)/"))))
    files.write(root .. "/" .. path, text)
  end
end

--- A new directory, for a <close> variable.
---@return { path: string }
function files.directory()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local path = assert(pipe:read("l"))
  return setmetatable({ path = path }, { __close = function() os.execute("rm -rf " .. path) end })
end

return files
