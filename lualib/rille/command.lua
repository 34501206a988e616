--- The command line: options, then the script. Called before there is a task.
-- Errors: wrong usage is one line and the usage on stderr, status 2; a script that cannot be loaded is
-- one line, status 1.

local USAGE = [==[
usage: rille [options] [script [args]]
       rille test [options of busted] [paths]
  -e code      run code
  -l module    require a module into a global of its name
  -v, --version  print the versions of rille, Lua, libuv and libcurl
  -h, --help   print this help
  --           end of options
  -            run the script from standard input]==]

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

--- Options that do something in their order, before the script.
local actions = {
  ["-e"] = function(code) checked(load(code, "=(command line)"))() end,
  ["-l"] = function(name) _G[name] = require(name) end,
}

--- Reads the options of argv.
-- @return steps (action and argument, in order), index of the script in argv (or nil), what to print
local function parse(argv)
  local steps, i = {}, 1
  while argv[i] do
    local word = argv[i]
    local option, rest = word:match("^(%-[el])(.*)$")
    if option then
      if rest == "" then
        i = i + 1
        rest = argv[i] or wrong_usage(("'%s' needs an argument"):format(option))
      end
      steps[#steps + 1] = { actions[option], rest }
    elseif word == "--help" or word == "-h" then
      return steps, nil, "help"
    elseif word == "--version" or word == "-v" then
      return steps, nil, "version"
    elseif word == "--" then
      return steps, argv[i + 1] and i + 1
    elseif word == "-" or word:sub(1, 1) ~= "-" then
      return steps, i
    else
      wrong_usage(("unrecognized option '%s'"):format(word))
    end
    i = i + 1
  end
  return steps, nil
end

--- Makes the global `arg` as the standalone interpreter does: the script at 0, its arguments from 1.
local function set_arg(argv, script)
  _G.arg = {}
  for i = 0, #argv do _G.arg[i - script] = argv[i] end
end

--- The message of a file that cannot be opened, in Lua's words: "cannot open nofile.lua".
local function load_script(name)
  if name == "-" then return loadfile() end
  if name == "test" then return require "rille.spec.command" end
  return loadfile(name)
end

--- What the main task runs: a function and its arguments; nothing if all is done.
return function(argv, versions)
  warn("@on") -- what nobody else would say: dropped generators, errors in finalisers
  _G.require = require "rille.require"
  local steps, script, show = parse(argv)
  if show == "help" then
    print(USAGE)
    return
  elseif show == "version" then
    versions = versions()
    print(("rille %s (%s, libuv %s, libcurl %s)"):format(versions.rille, versions.lua, versions.libuv,
      versions.libcurl))
    return
  end
  if not script and #steps == 0 then
    if require("rille.host.tty").isatty(0) then wrong_usage("no script") end
    argv[#argv + 1] = "-"
    script = #argv
  end
  set_arg(argv, script or 0)
  if #steps == 0 then return checked(load_script(argv[script])), table.unpack(_G.arg) end
  return function(...)
    for _, step in ipairs(steps) do step[1](step[2]) end
    if script then return checked(load_script(argv[script]))(...) end
  end, table.unpack(_G.arg)
end
