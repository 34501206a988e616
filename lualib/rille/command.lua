--- The command line: options, then the script or the REPL. Called before there is a task.
-- Model:  the options are those of the standalone interpreter of Lua, read as it reads them, and those with
--         two dashes that other programs have. What they do happens in the main task, and may wait.
-- Errors: wrong usage is one line and the usage on stderr, status 2; a script that cannot be loaded is
--         one line, status 1.

local program = require "rille.host.program"
local task = require "rille.host.task"

local USAGE = [==[
usage: rille [options] [script [args]]
       rille test [options of busted] [paths]
       rille build script -o program [options]
  -e code      run code
  -i           the REPL, after the script
  -l module    require a module into a global of its name
  -l g=module  require a module into the global g
  -v, --version  print the versions of rille, Lua, libuv and libcurl
  -E           ignore the environment variables of Lua
  -W           turn warnings on, which they are
  -h, --help   print this help
  --           end of options
  -            run the script from standard input
Without script, -e and -v: the REPL on a terminal, else the script is standard input.]==]

local function wrong_usage(message)
  io.stderr:write("rille: ", message, "\n", USAGE, "\n")
  os.exit(2)
end

local function checked(chunk, message)
  if not chunk then
    io.stderr:write("rille: ", message, "\n")
    os.exit(1)
  end
  return chunk
end

local function with_hint(message, source)
  return source and require "rille.hint"(message, source) or message
end

local function run_code(code, name)
  local chunk, message = load(code, name)
  checked(chunk, message and with_hint(message, code))()
end

--- Options that do something in their order, before the script.
local actions = {
  ["-e"] = function(code) run_code(code, "=(command line)") end,
  ["-l"] = function(name)
    local global, module = name:match("^(.-)=(.*)$")
    local ok, value = pcall(require, module or name) -- the error is that of no line
    if not ok then task.raise_again(value) end
    _G[global or name] = value
  end,
  ["-W"] = function() warn("@on") end,
}

---@class rille.CommandLine
---@field steps { [1]: fun(argument: string), [2]: string }[] actions and their arguments, in order
---@field script integer|nil index of the script in argv
---@field [string] true the other options that were given, "-e" too

--- Reads the options of argv.
---@param argv string[]
---@return rille.CommandLine
local function parse(argv)
  local line, i = { steps = {} }, 1
  local function step(option, argument)
    line[option] = true
    line.steps[#line.steps + 1] = { actions[option], argument }
  end
  while argv[i] do
    local word = argv[i]
    local option, rest = word:match("^(%-[el])(.*)$")
    if option then
      if rest == "" then
        i = i + 1
        rest = argv[i]
        if not rest or rest:sub(1, 1) == "-" then wrong_usage(("'%s' needs an argument"):format(option)) end
      end
      step(option, rest)
    elseif word == "-W" then
      step(word)
    elseif word == "-i" or word == "-v" or word == "-E" then
      line[word] = true
    elseif word == "--help" or word == "-h" or word == "--version" then
      line[word] = true
      return line
    elseif word == "--" then
      line.script = argv[i + 1] and i + 1
      return line
    elseif word == "-" or word:sub(1, 1) ~= "-" then
      line.script = i
      return line
    else
      wrong_usage(("unrecognized option '%s'"):format(word))
    end
    i = i + 1
  end
  return line
end

--- Makes the global `arg` as the standalone interpreter does: the script at 0, its arguments from 1.
local function set_arg(argv, script)
  _G.arg = {}
  for i = 0, #argv do _G.arg[i - script] = argv[i] end
end

--- The arguments of the script, as what ran before has left them; standard input without a name has none.
local function arguments_of(script)
  if not script then return end
  if type(arg) ~= "table" then checked(nil, "'arg' is not a table") end
  return table.unpack(arg)
end

--- The text of a file; nil if it cannot be read.
local function text_of(name)
  local file <close> = io.open(name, "rb")
  return file and file:read("a")
end

--- The chunk of the script; the message of a file that cannot be opened is Lua's: "cannot open nofile.lua".
local function load_script(name)
  if name == "-" then return checked(loadfile()) end
  if name == "test" then return require "rille.spec.command" end
  if name == "build" then return require "rille.build.command" end
  program.script = name
  local chunk, message = loadfile(name)
  return checked(chunk, message and with_hint(message, text_of(name)))
end

--- What LUA_INIT_5_4 or LUA_INIT say is run before all else: a step, or nothing.
local function initial_step()
  for _, name in ipairs({ "LUA_INIT_5_4", "LUA_INIT" }) do
    local code = os.getenv(name)
    if code then
      local file = code:match("^@(.*)")
      if file then return { function() checked(loadfile(file))() end } end
      return { function() run_code(code, "=" .. name) end }
    end
  end
end

local function version_line(versions)
  versions = versions()
  return ("rille %s (%s, libuv %s, libcurl %s)"):format(versions.rille, versions.lua, versions.libuv,
    versions.libcurl)
end

--- What the main task runs: a function and its arguments; nothing if all is done.
---@param argv string[] the program at 0
---@param versions fun(): table<string, string>
return function(argv, versions)
  warn("@on") -- what nobody else would say: dropped generators, errors in finalisers
  _G.require = require "rille.require"
  local line = parse(argv)
  if line["-h"] or line["--help"] then return print(USAGE) end
  if line["--version"] then return print(version_line(versions)) end
  local steps, script, interactive = line.steps, line.script, line["-i"]
  set_arg(argv, script or 0)
  local name = script and argv[script]
  if not (script or line["-e"] or line["-v"] or interactive) then
    interactive = require("rille.host.tty").isatty(0)
    if not interactive then name = "-" end
  end
  local first = not line["-E"] and initial_step()
  if first then table.insert(steps, 1, first) end
  if name and #steps == 0 and not (line["-v"] or interactive) then
    return load_script(name), arguments_of(script)
  end
  return function()
    if line["-v"] or interactive then print(version_line(versions)) end
    for _, step in ipairs(steps) do step[1](step[2]) end
    if name then load_script(name)(arguments_of(script)) end
    if interactive then require("rille.repl")() end
  end
end
