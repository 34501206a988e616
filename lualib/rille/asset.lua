--- rille.asset: a file that belongs to the script (internal; told in `rille`).
-- Model:  of the archive in a program that `rille build` has made; else beside the script, or in the current
--         directory if there is none.
-- Owner:  nothing is kept.
-- Errors: one that is not there raises ENOENT, one that cannot be read what the system says, both with
--         `path`. A wrong name is misuse.

local fault = require "rille.host.fault"
local file = require "rille.host.file"
local is_asset_name = require "rille.asset_name"
local misuse = require "rille.host.misuse"
local program = require "rille.host.program"

local directory = (program.script or ""):match("^.*/") or ""

local function fail_missing(name)
  local where = program.built and "this program was built without it"
    or ("no such file: %s"):format(directory .. name)
  error(fault.new("ENOENT", ("asset '%s': %s (rille build --asset puts it in)"):format(name, where),
    { path = name }), 0)
end

local function read(name)
  local path = directory .. name
  if file.kind(path) ~= "file" then fail_missing(name) end
  local handle <close>, _, number = io.open(path, "rb")
  local text
  if handle then text, _, number = handle:read("a") end
  if not text then error(file.fault(number, "asset", name), 0) end
  return text
end

return function(name)
  if type(name) ~= "string" then
    misuse("bad argument #1 to 'asset' (string expected, got %s)", type(name))
  elseif not is_asset_name(name) then
    misuse("bad argument #1 to 'asset' (a path below the script's directory expected, without '.' and '..')")
  end
  if not program.built then return read(name) end
  return program.get("asset:" .. name) or fail_missing(name)
end
