-- command.lua -- what pokemon.lua and pokeapi.lua share as commands: options in; progress, exit status out.
-- Model:  an option has a reader: `true` makes it a flag; a function turns the text after it into the
--         option's value, or gives nil and the words for what it wants.
-- Errors: a wrong command line ends the program with a complaint and the usage on stderr, status 2;
--         what the world does wrong (an error object, or command.fail) ends it with one line, status 1.
local rille = require "rille"
local stream = require "rille.stream"
local tty = require "rille.host.tty"

local command = {}

local name = arg[0]:match("[^/]*$"):gsub("%.lua$", "") -- "pokemon", as its messages begin

--- Ends the program: the command line is wrong.
---@param usage string
---@param complaint string  a format
---@param ... any  its arguments
function command.refuse(usage, complaint, ...)
  io.stderr:write(name, ": ", complaint:format(...), "\n", usage)
  os.exit(2)
end

--- A reader of whole numbers.
---@param least integer
---@param most integer
function command.integer(least, most)
  return function(text)
    local number = text:find("^%d+$") and math.tointeger(tonumber(text))
    if number and number >= least and number <= most then return number end
    return nil, ("a whole number from %d to %d"):format(least, most)
  end
end

--- A reader of durations, in seconds.
---@param least number
function command.seconds(least)
  return function(text)
    local seconds = text:find("^[%d.]+$") and tonumber(text)
    if seconds and seconds >= least and seconds < 1e6 then return seconds end
    return nil, ("a number of seconds, at least %g"):format(least)
  end
end

--- A reader of the URL of an API. A slash at its end makes no difference.
function command.url(text)
  if text:find("^https?://[^/%s%c][^%s%c]*$") then return (text:gsub("/+$", "")) end
  return nil, "a URL that begins with http:// or https://"
end

--- A reader of the path of something that can be read.
function command.path(text)
  local file <close> = io.open(text)
  if file then return text end
  return nil, "a path that can be read"
end

local function read(usage, reader, option, text)
  if text == nil then command.refuse(usage, "--%s needs a value", option) end
  local value, wanted = reader(text)
  if value == nil then command.refuse(usage, "--%s wants %s, not '%s'", option, wanted, text) end
  return value
end

--- Reads the command line; takes "--option value" and "--option=value".
---@param usage string  what --help prints
---@param readers table<string, true|function>  by the option's name
---@return table<string, any> values  by the option's name
function command.options(usage, readers)
  local values, position = {}, 0
  local function next_word()
    position = position + 1
    return arg[position]
  end
  for word in next_word do
    local option, equals, text = word:match("^%-%-([^=]+)(=?)(.*)$")
    local reader = readers[option]
    if word == "--help" then
      io.stdout:write(usage)
      os.exit(0)
    elseif reader == true and equals == "" then
      values[option] = true
    elseif type(reader) == "function" then
      if equals == "" then text = next_word() end
      values[option] = read(usage, reader, option, text)
    else
      command.refuse(usage, "unknown option '%s'", word)
    end
  end
  return values
end

local FEW <const> = 20
local STDERR <const> = 2

local function show(...) io.stderr:write("\r\27[K", ...) end

local with_count = rille.generator(function(total, unit, ...)
  local _ <close> = setmetatable({}, { __close = function() show() end })
  show("0 of ", total, " ", unit)
  for count, item in stream.enumerate(stream.from(...)) do
    show()
    coroutine.yield(item)
    show(count, " of ", total, " ", unit)
  end
end)

--- The items of a source as they are. If they are many, and stderr is a terminal, it shows how far they have
--- come, while the next one is waited for: so they can be printed on the same terminal.
---@param total integer
---@param unit string  what they are, in the plural
---@param ... any  the source
function command.progress(total, unit, ...)
  if total <= FEW or not tty.isatty(STDERR) then return ... end
  return with_count(total, unit, ...)
end

local failure = { __tostring = function(self) return self.message end }

--- Raises a failure that the script itself has found.
---@param message string  a format
---@param ... any  its arguments
function command.fail(message, ...)
  error(setmetatable({ message = message:format(...) }, failure))
end

--- Runs main. A bug, and the signal that cancels the program, go on to the host as they came.
---@param main function
---@param ... any  its arguments
function command.run(main, ...)
  local ok, err = pcall(main, ...)
  if ok then return end
  local expected = rille.is_error(err) or getmetatable(err) == failure
  if not expected or rille.is_error(err, "ECANCELED") then error(err, 0) end
  io.stderr:write(name, ": ", tostring(err), "\n")
  os.exit(1)
end

return command
