--- rille.spec.command: `rille test` (internal).
-- Model:  busted's own runner, with its command line, its `.busted` and its output handlers; what the host
--         adds is built into the core that the runner makes: a limit of time (rille.spec.limit), leaks
--         (rille.spec.leaks), tasks that fail (rille.spec.background), the last line (rille.spec.summary).
--         Specs run in the main task.
-- Owner:  nothing is kept.
-- Errors: without busted, one line that says how to get it, status 1; a wrong command line, status 2.

local background = require "rille.spec.background"
local leaks = require "rille.spec.leaks"
local limit = require "rille.spec.limit"
local summary = require "rille.spec.summary"
local task = require "rille.host.task"
local tty = require "rille.host.tty"

local TIMEOUT = 30 -- seconds

local TERMINAL = { utfTerminal = true, plainTerminal = true, gtest = true } -- handlers that people read

-- A module of busted that is made by a call: calls with(made) for the first that is made.
local function wrap(name, with)
  local make = require(name)
  package.loaded[name] = function(...)
    package.loaded[name] = make
    local made = make(...)
    with(made)
    return made
  end
end

local function seconds_of(value)
  local seconds = tonumber(value)
  return seconds and seconds > 0 and seconds < 1e9 and seconds or nil
end

local MUST_BE = "the timeout must be a number of seconds above 0"

-- The option --timeout, in the help too.
local function add_options(cli, settings)
  cli:option("--timeout=SECONDS", "how long a test may take", tostring(TIMEOUT), function(_, value)
    settings.given = seconds_of(value)
    if not settings.given then return nil, MUST_BE end
    return true
  end)
end

local function refuse(message)
  io.stderr:write(message, "\n")
  os.exit(2)
end

-- What the command line and `.busted` say.
local function apply(settings, options)
  settings.timeout = settings.given or seconds_of(options.timeout)
  if not settings.timeout then refuse("rille test: error: " .. MUST_BE) end
  settings.quiet = options.list
  settings.plain = not TERMINAL[options.output]
  settings.progress = tty.isatty(1) and not settings.quiet and options.output == "utfTerminal"
  if settings.progress then options["defer-print"] = true end -- instead of its dots
  return options
end

local function wrap_command_line(settings)
  local make, make_core = require "busted.modules.cli", require "cliargs.core"
  package.loaded["busted.modules.cli"] = function(options)
    package.loaded["busted.modules.cli"] = make
    package.loaded["cliargs.core"] = function()
      local cli = make_core()
      add_options(cli, settings)
      return cli
    end
    local cli = make(options)
    package.loaded["cliargs.core"] = make_core
    local parse, set_name = cli.parse, cli.set_name
    function cli.set_name(self) return set_name(self, "rille test") end
    function cli.parse(self, words)
      local parsed, message = parse(self, words)
      local help = not parsed and message:match("(Usage: .*)\n; re%-run")
      if help then
        print(help)
        os.exit(0)
      end
      if not parsed then refuse(message) end
      return apply(settings, parsed)
    end
    return cli
  end
end

-- busted takes modules away that a file has loaded. Those of the host are there once.
local function keep_modules()
  for name in pairs(package.preload) do
    local is_public = name:find("^rille%.?") and not name:find("^rille%.spec") and name ~= "rille.command"
    if is_public then require(name) end
  end
  require "cjson"
end

-- Told to end by a signal, the program does: the tests that are left are not tried one by one.
local function stop_when_cancelled(busted)
  local safe = busted.safe
  function busted.safe(...)
    local results = table.pack(safe(...))
    if task.is_cancelled(task.current()) then busted.skipAll = true end
    return table.unpack(results, 1, results.n)
  end
end

-- The place of an error is the script's, not that of the host's own module that raised it.
local function trace_errors(busted)
  local get_trace = busted.getTrace
  function busted.getTrace(element, level, message)
    local outer = level or 3
    local info = debug.getinfo(outer, "S")
    while info and (info.what == "C" or info.source:find("^=rille/")) do
      outer = outer + 1
      info = debug.getinfo(outer, "S")
    end
    return get_trace(element, info and outer or level, message) -- a tail call: the levels stay what they are
  end
end

-- The output handler of who does not choose one; nil: it is busted's choice.
local function plain_output()
  local no_color = os.getenv("NO_COLOR") -- as https://no-color.org has it: set, and not empty
  local plain = no_color and no_color ~= "" or os.getenv("TERM") == "dumb"
  return plain and "plainTerminal" or nil
end

---@param ... string what follows `test` on the command line
return function(...)
  if not package.searchpath("busted.runner", package.path) then
    io.stderr:write("rille: 'rille test' needs busted; install it: sudo apt-get install lua-busted\n")
    os.exit(1)
  end
  keep_modules()
  local settings = { timeout = TIMEOUT }
  wrap("busted.core", function(busted)
    trace_errors(busted)
    limit.install(busted, settings)
    leaks.install(busted)
    background.install(busted)
    summary.install(busted, settings)
    stop_when_cancelled(busted)
  end)
  wrap_command_line(settings)
  _G.arg = { [0] = "rille test", "--ignore-lua", ... }
  require "busted.runner" { standalone = false, output = plain_output() }
end
