-- bench/run.lua -- runs the benchmarks and prints one table: a row a claim and rival.
-- Usage:  bin/rille bench/run.lua [--smoke] [--record FILE] [ROW ...]   (make bench, make bench-smoke)
--         --smoke: each command once, with tiny sizes; --record: the table also goes into a document, in
--         place of what is between its two marks. ROUNDS in the environment is how often each runs.
-- Model:  the sides of a row are run in turns, each round beginning with another one. A figure is the
--         median of the rounds; a ratio is the median of their ratios, so that what else the machine
--         does falls on both. Clients have one core to themselves, servers another, where there are two.
-- Errors: what is not installed is named. A command that fails is named, with the last that it said; if it is
--         of this project the status is 1. That something is slow is no error.
package.path = "?.lua;" .. package.path

local process = require "spec.helper.process"
local rivals = require "bench.rivals"
local rows_of = require "bench.rows"
local start_site = require "bench.site"
local tty = require "rille.host.tty"

local PATIENCE <const> = 900 -- seconds for one command
local MARKS <const> = { "<!-- make bench -->\n", "<!-- end -->" }

-- Options

local options = { rounds = tonumber(os.getenv "ROUNDS" or 5), rows = {} }
do
  local i = 1
  while arg[i] do
    if arg[i] == "--smoke" then
      options.smoke, options.rounds = true, 1
    elseif arg[i] == "--record" then
      i = i + 1
      options.record = assert(arg[i], "--record: a file expected")
    else
      options.rows[arg[i]] = true
    end
    i = i + 1
  end
end

-- Cores

--- The first two cores that this process may use; the second is nil if there is one.
local function cores()
  local list = {}
  for line in io.lines "/proc/self/status" do
    for from, to in (line:match "^Cpus_allowed_list:%s*(.*)" or ""):gmatch "(%d+)%-?(%d*)" do
      for core = tonumber(from), tonumber(to) or tonumber(from) do list[#list + 1] = core end
    end
  end
  return list[1], list[2]
end

local client_core, server_core = cores()

local function on_core(core) return server_core and { "taskset", "-c", tostring(core) } or {} end

-- Sides

--- The line that tells most: the first of a traceback of Lua, the last of others.
local function complaint(done)
  local text = done.stderr:gsub("%s+$", "")
  return text:match "^rille: [^\n]*" or text:match "^lua5.4: [^\n]*" or text:match "[^\n]+$" or done.stdout
end

--- Runs a command once; its numbers, or nil and what it said in the end.
local function run(row, side)
  local words = { "env", "PATH=" .. os.getenv "PATH" .. ":/usr/sbin" }
  for name, value in pairs(row.environment or {}) do words[#words + 1] = name .. "=" .. value end
  if row.spread then
    words[#words + 1] = "CLIENT=" .. table.concat(on_core(client_core), " ")
    words[#words + 1] = "SERVER=" .. table.concat(on_core(server_core), " ")
  else
    table.move(on_core(client_core), 1, 3, #words + 1, words)
  end
  table.move(side.program.words, 1, #side.program.words, #words + 1, words)
  local running <close> = process.start(words)
  local done = running:wait(PATIENCE)
  local value, used = done.stdout:match(side.read or "^([%d.]+) ?([%d.]*)\n$")
  if done.status == 0 and value then return tonumber(value), tonumber(used) end
  return nil, ("status %d: %s"):format(done.status, complaint(done))
end

local function is_installed(program)
  local check = program.check or "true"
  return (os.execute(("PATH=$PATH:/usr/sbin; (%s) >/dev/null 2>&1"):format(check)))
end

--- Shows on a terminal how far it is.
local function show(text)
  if tty.isatty(2) then io.stderr:write("\r\27[K", text) end
end

--- Runs a row's sides in turns; each gets `values` and `used`, or `trouble`.
local function measure(row)
  local sides = { { program = row.ours, read = row.read }, table.unpack(row.rivals) }
  for _, side in ipairs(sides) do
    side.values, side.used = {}, {}
    side.trouble = not is_installed(side.program) and "not installed: " .. side.program.name or nil
  end
  for round = 1, options.rounds do
    show(("%s: round %d of %d"):format(row.name, round, options.rounds))
    for i = 0, #sides - 1 do
      local side = sides[(round + i) % #sides + 1]
      if not side.trouble then
        local value, used = run(row, side)
        if not value then
          side.trouble, side.failed = "failed: " .. used, true
        else
          side.values[round], side.used[round] = value, used
        end
      end
    end
  end
  show ""
  return sides
end

-- The table

local function median(values)
  local list = {}
  for _, value in pairs(values) do list[#list + 1] = value end
  table.sort(list)
  return list[(#list + 1) // 2]
end

--- The median of ours / theirs, or of the inverse; nil if unknown.
local function ratio(ours, theirs, is_inverse)
  local list = {}
  for round, value in pairs(options.smoke and {} or ours) do
    local other = theirs[round]
    if other and other > 0 and value > 0 then
      list[#list + 1] = is_inverse and other / value or value / other
    end
  end
  return median(list)
end

local function figure(values, unit)
  local value = median(values)
  if options.smoke then return "works" end
  return (value < 100 and "%.1f%s" or "%.0f%s"):format(value, unit)
end

local FORMAT <const> = "| %-70s | %16s | %-42s | %6s | %6s | %-14s | %-7s |"

--- What of a rival is in the table: its ratio, that of processor time, and whether the reach is reached.
local function compare(row, ours, rival)
  local times = ratio(ours.values, rival.values, row.cost and not rival.most)
  local by_cpu = ratio(ours.used, rival.used, true)
  local reach, reached = rival.least or rival.most, ""
  if reach and times then
    reached = (rival.least and times >= reach or rival.most and times <= reach) and "yes" or "no"
  end
  return times and ("%.2f"):format(times) or "", by_cpu and ("%.2f"):format(by_cpu) or "",
    reach and ("%s %g"):format(rival.least and "at least" or "at most", reach) or "", reached
end

--- One line of the table.
local function line(row, ours, rival, is_first)
  local claim = is_first and ("%s: %s"):format(row.name, row.claim) or ""
  local own = is_first and (ours.trouble or figure(ours.values, row.unit)) or ""
  local name = ("%s: %s"):format(rival.name, rival.trouble or figure(rival.values, row.unit))
  return FORMAT:format(claim, own, name, compare(row, ours, rival))
end

local function head()
  local now = os.date "!%Y-%m-%d"
  local cpu = "a processor"
  for text in io.lines "/proc/cpuinfo" do cpu = text:match "^model name%s*: (.*)" or cpu end
  local names = rivals.versions()
  return {
    ("%s, %s, rounds: %d. %s."):format(now, cpu, options.rounds, table.concat(names, "; ")), "",
    FORMAT:format("claim", "ours", "rival", "ratio", "by CPU", "reach", "reached"),
    (FORMAT:format("", "", "", "", "", "", ""):gsub(" ", "-")),
  }
end

local function record(path, lines)
  local text
  do
    local file <close> = assert(io.open(path))
    text = file:read "a"
  end
  local _, from = text:find(MARKS[1], 1, true)
  local to = text:find(MARKS[2], from, true)
  assert(from and to, path .. ": the marks of the table are not there")
  local file <close> = assert(io.open(path, "w"))
  assert(file:write(text:sub(1, from), table.concat(lines, "\n"), "\n", text:sub(to)))
end

--- How many large documents the rows ask for.
local function count_documents()
  local is_asked = not next(options.rows)
  for name in pairs(options.rows) do is_asked = is_asked or name:find "^documents" end
  return is_asked and (options.smoke and 4 or 898) or 0
end

--- Refuses names that are no row's.
local function check_names()
  local names, known = {}, {}
  for i, row in ipairs(rows_of({ url = "", tls_url = "", ca = "" }, true)) do
    names[i], known[row.name] = row.name, true
  end
  for name in pairs(options.rows) do
    if not known[name] then
      io.stderr:write(("bench: no row '%s'; there are: %s\n"):format(name, table.concat(names, ", ")))
      os.exit(2)
    end
  end
end

local function main()
  check_names()
  local pin = server_core and "taskset -c -p " .. server_core or ""
  local site <close> = start_site(count_documents(), pin)
  local rows = rows_of(site, options.smoke)
  local lines, has_failed = {}, false
  local function say(text)
    lines[#lines + 1] = text
    print(text)
    io.stdout:flush()
  end
  for _, text in ipairs(head()) do say(text) end
  for _, row in ipairs(rows) do
    if not next(options.rows) or options.rows[row.name] then
      local sides = measure(row)
      for i = 2, #sides do say(line(row, sides[1], sides[i], i == 2)) end
      for _, side in ipairs(sides) do has_failed = has_failed or side.failed and side.program.own end
    end
  end
  if options.record then record(options.record, lines) end
  return has_failed
end

os.exit(main() and 1 or 0)
