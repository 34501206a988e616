-- options.lua -- the options that functions of rille know, for specs that compare documents with them.
-- Model:  a function that is given an unknown option guesses which one was meant; what it chooses from is
--         what it knows. The modules that guess are replaced while it is called.
-- Owner:  nobody; the modules are back when a call returns.
-- Errors: none; a function that knows no options gives nil.
local json = require "rille.json"
local stream = require "rille.stream"

local options = {}

local NAME <const> = "nonsense"

--- The options that a function knows.
---@param fn fun(name: string) makes a call with an option of this name, which may fail
---@return table<string, true>|nil
function options.known(fn)
  local set
  local function note(known)
    set = {}
    for name in pairs(known) do set[name] = true end
  end
  local nearest, hint = package.loaded["rille.nearest"], package.loaded["rille.http.hint"]
  package.loaded["rille.nearest"] = function(_, known) note(known) end
  package.loaded["rille.http.hint"] = {
    option = function(_, known) note(known) return "" end,
    field = function(_, _, known) note(known) return "" end,
    meant = function(_, _, known) note(known) end,
  }
  pcall(fn, NAME)
  package.loaded["rille.nearest"], package.loaded["rille.http.hint"] = nearest, hint
  return set
end

local function nothing() end

-- What may go before the options of an operator.
local BEFORE <const> = { {}, { { 1 } }, { nothing }, { 1 }, { { 1 }, nothing }, { { 1 }, 1 } }

local function of_operator(fn)
  for _, before in ipairs(BEFORE) do
    local known = options.known(function(name)
      local arguments = table.move(before, 1, #before, 1, {})
      arguments[#arguments + 1] = { [name] = true }
      fn(table.unpack(arguments))
    end)
    if known then return known end
  end
end

--- The options of the operators that have some, and of json.lines.
---@return table<string, table<string, true>> by the operator's name
function options.of_operators()
  local all = { ["json.lines"] = of_operator(json.lines) }
  for name, fn in pairs(stream) do all["stream." .. name] = of_operator(fn) end
  return all
end

return options
