--- rille.build.command: `rille build` (internal).
-- Model:  reads its command line, collects what goes into the program (rille.build.collect), writes that
--         (rille.build.write), and says so in one line.
-- Owner:  nothing is kept.
-- Errors: wrong usage is one line and the usage on stderr, status 2. What is wrong with the script, or with
--         the file that is to be written, is a line each, status 1; nothing is written then.

local collect = require "rille.build.collect"
local file = require "rille.host.file"
local host = require "rille.host.build"
local write = require "rille.build.write"

local USAGE = [==[
usage: rille build script -o program [options]
  -o, --output=program  the file to write
  --include=module      put a module in that no source names, and what it needs
  --asset=path          put a file in, or all of a directory, for rille.asset
  -h, --help            print this help]==]

local function wrong_usage(message, ...)
  io.stderr:write("rille build: ", message:format(...), "\n", USAGE, "\n")
  os.exit(2)
end

local function fail(message, ...)
  io.stderr:write("rille: ", message:format(...), "\n")
  os.exit(1)
end

---@class rille.build.Options
---@field script string
---@field output string
---@field include string[]
---@field asset string[]

-- Each option sets its value.
local SETTERS = {
  output = function(options, value)
    if options.output then wrong_usage("one program at a time: -o was given twice") end
    options.output = value
  end,
  include = function(options, value) table.insert(options.include, value) end,
  asset = function(options, value) table.insert(options.asset, value) end,
}

-- The name of the option that a word is, and its value if that is in the word; nil: it is no option.
local function option_of(word)
  if word == "-o" then return "output" end
  local short = word:match("^%-o(.+)$")
  if short then return "output", short end
  local name, equals, value = word:match("^%-%-([a-z]+)(=?)(.*)$")
  if name and equals == "" and value ~= "" then return nil end
  return name, equals == "=" and value or nil
end

local function set_script(options, word)
  if options.script then wrong_usage("one script at a time: '%s' is another one", word) end
  options.script = word
end

---@param words string[]
---@return rille.build.Options|nil nil: help was asked for
local function parse(words)
  local options, i, only_words = { include = {}, asset = {} }, 0, false
  while words[i + 1] do
    i = i + 1
    local word = words[i]
    local name, value = option_of(word)
    if only_words or word:sub(1, 1) ~= "-" then
      set_script(options, word)
    elseif word == "-h" or word == "--help" then
      return nil
    elseif word == "--" then
      only_words = true
    elseif not SETTERS[name] then
      wrong_usage("unrecognized option '%s'", word)
    else
      if not value then
        i = i + 1
        value = words[i]
      end
      if not value or value == "" then wrong_usage("'%s' needs an argument", word) end
      SETTERS[name](options, value)
    end
  end
  if not options.script then wrong_usage("there is no script") end
  if not options.output then wrong_usage("there is no program to write: -o program") end
  return options
end

-- Refuses to replace what is no file, or is one of those that the program is made of.
local function check_output(output, texts)
  local kind = file.kind(output)
  if output:find("/$") or kind == "directory" then fail("cannot write '%s': it is a directory", output) end
  if kind == "other" then fail("cannot write '%s': it is no file", output) end
  if host.is_same("/proc/self/exe", output) then fail("cannot write '%s': it is this rille", output) end
  for _, text in ipairs(texts) do
    if host.is_same(text.path, output) then
      fail("cannot write '%s': it is a part of the program", output)
    end
  end
end

local function count(n, noun) return ("%d %s%s"):format(n, noun, n == 1 and "" or "s") end

---@param ... string what follows `build` on the command line
return function(...)
  local options = parse { ... }
  if not options then return print(USAGE) end
  local content = collect(options.script)
  for _, name in ipairs(options.include) do content:include(name) end
  content:follow_all()
  for _, path in ipairs(options.asset) do content:add_assets(path, options.output) end
  for _, message in ipairs(content.warnings) do io.stderr:write("rille: warning: ", message, "\n") end
  for _, message in ipairs(content.errors) do io.stderr:write("rille: ", message, "\n") end
  if #content.errors > 0 then os.exit(1) end
  check_output(options.output, content.texts)
  local ok, message = pcall(write, options.output, content.texts)
  if not ok then fail("%s", message) end
  print(("%s: %s, %s"):format(options.output, count(content.modules, "module"),
    count(content.assets, "asset")))
end
