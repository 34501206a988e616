--- rille.repl: reads lines, runs each as a task, shows what they return (internal; the command's).
-- Model:  a chunk is one line, or more until it is complete. As in Lua's own interpreter it is tried
--         as an expression first. It runs in a task of its own: it may wait, Ctrl-C cancels it, and what
--         it has spawned goes on while the next one is typed.
-- Owner:  the console, closed when the REPL ends.
-- Errors: those of a chunk are shown with their story, and no line ends the REPL.

local call_hint = require "rille.call_hint"
local complete = require "rille.complete"
local fault = require "rille.host.fault"
local hint = require "rille.hint"
local host = require "rille.host.repl"
local show = require "rille.show"
local task = require "rille.host.task"

--- The path of the history, or nil if there is no home.
local function history_path()
  local state = os.getenv("XDG_STATE_HOME")
  if state and state:sub(1, 1) == "/" then return state .. "/rille/history" end
  local home = os.getenv("HOME")
  return home and home ~= "" and home .. "/.local/state/rille/history" or nil
end

--- _PROMPT and _PROMPT2 may be any value.
local function prompt_of(name, default)
  local value = rawget(_G, name)
  if value == nil then return default end
  local ok, text = pcall(tostring, value)
  return ok and text or default
end

--- The chunk of a text; nil if it is incomplete or wrong.
---@return function|nil chunk
---@return string|nil message of one that is wrong; nil: it is incomplete
local function compile(text)
  local expression, rest = text:match("^(=)(.*)")
  if expression then text = "return " .. rest end
  local chunk, of_value = load("return " .. text, "=stdin")
  if chunk then return chunk end
  local message
  chunk, message = load(text, "=stdin")
  if chunk then return chunk end
  if message:sub(-5) == "<eof>" or of_value:sub(-5) == "<eof>" then return nil end
  return nil, hint(message, text)
end

--- Names in columns, as text of whole lines.
local function columns(names)
  local width = 0
  for _, name in ipairs(names) do width = math.max(width, #name + 2) end
  local per_row = math.max(1, (host.columns() - 1) // width)
  local rows, lines = (#names + per_row - 1) // per_row, {}
  for row = 1, rows do
    local cells = {}
    for i = row, #names, rows do cells[#cells + 1] = names[i] .. (" "):rep(width - #names[i]) end
    lines[row] = table.concat(cells):gsub("%s+$", "")
  end
  return table.concat(lines, "\n") .. "\n"
end

--- What all names begin with.
local function common_part(names)
  local common = names[1]
  for _, name in ipairs(names) do
    while name:sub(1, #common) ~= common do common = common:sub(1, -2) end
  end
  return common
end

--- What the tabulator does to a line: text to insert at the cursor, text to show.
local function completion_of(text)
  if not text:find("%S") then return "  ", "" end
  local prefix, names = complete(text)
  if #names == 0 then return "", "" end
  local more = common_part(names):sub(#prefix + 1)
  if more ~= "" or #names == 1 then return more, "" end
  return "", columns(names)
end

--- Reads a line.
---@return "line"|"interrupted"|"end"
---@return string|nil text
local function read_line(console, prompt)
  local event, text = console:begin(prompt)
  while event == "key" or event == "complete" do
    if event == "complete" then
      event, text = console:answer(completion_of(text))
    else
      event, text = console:wait()
    end
  end
  return event, text and text:gsub("\n$", "")
end

--- Reads as many lines as a chunk needs.
---@return function|nil chunk nil: there is none, because it is wrong or was given up
---@return string|nil text of the chunk
---@return boolean|nil ended at the end of input
local function read_chunk(console)
  local lines, prompt = {}, prompt_of("_PROMPT", "> ")
  while true do
    local event, line = read_line(console, prompt)
    if event == "end" and #lines == 0 then return nil, nil, true end
    if event == "interrupted" then return nil end
    if event == "end" then
      io.stdout:write("\n")
      io.stderr:write("stdin: the chunk is not complete\n")
      return nil
    end
    lines[#lines + 1] = line
    local text = table.concat(lines, "\n")
    local chunk, message = compile(text)
    if chunk or message then
      if text:find("%S") then console:remember(text) end
      if message then io.stderr:write(message, "\n") end
      return chunk, text
    end
    prompt = prompt_of("_PROMPT2", ">> ")
  end
end

--- How many of the values are to be shown: of the four that a stream gives to a generic `for`, one.
local function to_show(values)
  local first = values[1]
  local meta = debug.getmetatable(first)
  local is_loop = values.n == 4 and values[3] == nil
    and rawequal(first, values[2]) and rawequal(first, values[4])
  local can_close = type(meta) == "table" and rawget(meta, "__close") ~= nil
  return is_loop and can_close and 1 or values.n
end

local function show_one(value) return show(value, host.columns() - 2) end

local function show_results(...)
  local values, texts = table.pack(...), {}
  for i = 1, to_show(values) do texts[i] = show_one(values[i]) end
  if #texts > 0 then io.stdout:write(table.concat(texts, "\t"), "\n") end
end

--- The story of an error of a task, but for who awaits it here. A table that has no words is shown.
local function story_of(failed)
  local _, err = pcall(failed.await, failed)
  local story = fault.traceback(err)
  story = story:gsub("^%(error object is a table value%)", function() return show_one(err) end)
  local last
  for at in story:gmatch("()\nawaited by task 'main'") do last = at end
  return last and story:sub(1, last - 1) or story
end

--- The names that a chunk declares and does nothing with; nil if it does something else.
local function only_declared(text)
  local name, rest = text:match("^%s*local%s+function%s+([%a_][%w_]*)(.*)")
  if name then return load("return function" .. rest) and name end
  name, rest = text:match("^%s*local%s+([%w_%s,]-)%s*=(.*)")
  return name and name ~= "_" and load("return " .. rest) and name
end

--- What a chunk that has ended may have been meant to do.
local function hint_at_local(text)
  local name = only_declared(text)
  if not name then return end
  io.stderr:write(("hint: a local ends with its line; leave out 'local' to keep %s\n"):format(name))
end

--- Modules that are looked for in a global of their name.
local MODULES = { rille = "rille", http = "rille.http", json = "rille.json", stream = "rille.stream" }

--- The story of an error, with a hint if a module was used that nobody has required, or at what other
--- languages call.
local function with_hint(story)
  local message = story:match("^[^\n]*")
  local name = message:match("a nil value %(global '([%a_][%w_]*)'%)")
  if not MODULES[name] then return story .. call_hint(message) end
  return ("%s\nhint: %s = require \"%s\""):format(story, name, MODULES[name])
end

--- Runs a chunk to its end, whatever that is.
local function run(console, chunk, text)
  local line = task.spawn_owned(chunk)
  line.name = "the line"
  console:watch(line)
  line:join()
  console:watch()
  local status = line:status()
  if status == "done" then
    show_results(line:await())
    hint_at_local(text)
  elseif status == "failed" then
    io.stdout:flush()
    io.stderr:write(with_hint(story_of(line)), "\n")
  else
    io.stdout:flush()
    io.stderr:write("interrupted\n")
  end
end

--- Runs until the end of standard input.
return function()
  local console <close> = host.open(history_path())
  local chunk, text, ended
  repeat
    chunk, text, ended = read_chunk(console)
    if chunk then run(console, chunk, text) end
  until ended
  io.stdout:write("\n")
  os.exit() -- what the lines have spawned is cancelled
end
