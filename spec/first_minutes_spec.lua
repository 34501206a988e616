-- The first minutes of somebody who has just installed rille: a shell in an empty home, what is typed there,
-- and what is seen. Each chapter has a terminal, in which it begins and ends at the prompt of the shell.
local files = require("spec.helper.files")
local process = require("spec.helper.process")
local terminal = require("spec.helper.terminal")

local FILES = {
  ["shop.lua"] = [[
local rille = require "rille"

local function price_of(item)
  local function lookup(prices) return prices[item].euro end
  local price = lookup({ apple = { euro = 2 } })
  return price
end

local prices = rille.generator(function(items)
  for _, item in ipairs(items) do
    rille.sleep(0.001)
    coroutine.yield(item, price_of(item))
  end
end)

local function print_prices(...)
  for item, price in prices({ ... }) do print(item, price) end
end

local clerk = rille.spawn(print_prices, "apple", "pear")
clerk.name = "clerk"
]],
  ["wait.lua"] = [[
local rille = require "rille"

local _ <close> = setmetatable({}, { __close = function()
  rille.sleep(0.001)
  print("the door is closed")
end })
print("open")
rille.sleep(3600)
]],
  ["spec/shop_spec.lua"] = [[
local rille = require "rille"

describe("a shop", function()
  it("opens", function()
    rille.sleep(0.001)
    assert.equal(4, 2 + 2)
  end)

  it("counts", function()
    assert.equal(5, 2 + 2)
  end)

  it("closes", function()
    rille.spawn(function() rille.sleep(3600) end)
  end)
end)
]],
  ["slow_spec.lua"] = [[
local rille = require "rille"

it("sells", function()
  rille.channel():recv()
end)
]],
}

-- `rille` of a directory on PATH; with a stressed collector if that of the specs is.
local COMMAND = [[
#!/bin/sh
if [ -n "$RILLE_SPEC_GC" ]; then
  if [ $# -eq 0 ]; then
    if [ -t 0 ]; then set -- -i; else set -- -; fi
  fi
  set -- -e "collectgarbage('incremental', 1, 1000, 1)" "$@"
fi
exec "%s" "$@"
]]

describe("the first minutes", function()
  local home, t

  -- Enters a line; what follows is what it shows, and a prompt.
  local function shows(line, ...)
    t:enter(line)
    t:expect(table.concat({ line, ... }, "\n"))
  end

  -- Enters a line whose output differs from run to run.
  local function matches(line, pattern)
    t:enter(line)
    return t:find(pattern .. "$")
  end

  local function start_repl()
    t:enter("rille")
    assert.is_truthy(t:find("^%$ rille\nrille %S+ %(Lua 5%.4[^\n]*%)\n>$"))
  end

  setup(function()
    local pipe <close> = assert(io.popen("mktemp -d"))
    home = pipe:read("l")
    files.write_all(home .. "/work", FILES)
    files.write_all(home .. "/bin", { rille = COMMAND:format(process.rille) })
    assert(os.execute("chmod +x " .. home .. "/bin/rille"))
  end)

  teardown(function() os.execute("rm -rf " .. home) end)

  before_each(function()
    t = terminal.start({ "env", "-u", "ENV", "-u", "XDG_STATE_HOME", "-u", "NO_COLOR", "-C", home .. "/work",
      "HOME=" .. home, "PATH=" .. home .. "/bin:" .. os.getenv("PATH"), "PS1=$ ", "sh" })
    t:find("^%$$")
  end)

  after_each(function() t:close() end)

  it("show values in the REPL", function()
    start_repl()
    shows("1 + 1", "2", ">")
    shows('"hello", nil, 1 / 2', '"hello" nil     0.5', ">")
    shows('me = { name = "Ann", tags = { "a", "b" } } me.self = me', ">")
    shows("me", '{ name = "Ann", self = <cycle>, tags = { "a", "b" } }', ">")
    shows("many = {} for i = 1, 150 do many[i] = i end", ">")
    matches("many", "\n{\n  1, 2, 3, [^\n]+,\n.* 100,\n  %.%.%. 50 more\n}\n>")
    shows('print("grüße, 世界") return "grüße, 世界"', "grüße, 世界", '"grüße, 世界"', ">")
    shows("function double(n)", ">>")
    shows("  return 2 * n", ">>")
    shows("end", ">")
    shows("double(21)", "42", ">")
    shows("double(", ">>")
    t:press("C-c")
    t:expect("double(\n>> ^C\n>")
    t:press("C-d")
    t:expect("\n$")
  end)

  it("wait in the REPL, and do not", function()
    start_repl()
    t:enter("rille.sleep(0.01)")
    t:expect("stdin:1: attempt to index a nil value (global 'rille')\nstack traceback:\n"
      .. '        stdin:1: in main chunk\n        [C]: in ?\nhint: rille = require "rille"\n>')
    shows('local rille = require "rille"',
      "hint: a local ends with its line; leave out 'local' to keep rille", ">")
    shows('rille = require "rille"', ">")
    shows('rille.sleep(0.01) return "slept"', '"slept"', ">")
    shows('http = require "rille.http"', ">")
    t:enter("server = http.serve({}, function(req)")
    t:expect("\n>>")
    shows('  if req.path == "/slow" then rille.sleep(3600) end', ">>")
    shows("  return { json = { path = req.path } }", ">>")
    shows("end)", ">")
    matches("server", "\nrille%.http%.Server %(http://127%.0%.0%.1:%d+%)\n>")
    shows('moon = http.get(server.url .. "/moon")', ">")
    matches("moon", "\nrille%.Response: 200, 17 bytes %(GET http://127%.0%.0%.1:%d+/moon%)\n>")
    shows("moon:json()", '{ path = "/moon" }', ">")
    matches("moon.headers", "\ncontent%-type: application/json\n[^>]*>")
    shows("numbers = rille.generator(function(n) for i = 1, n do coroutine.yield(i) end end)", ">")
    shows("numbers(3)", "generator made at stdin:1 (created)", ">")
    shows("numbers(3):take(2)", "stream from:take (created)", ">")
    shows("numbers(3):collect()", "{ 1, 2, 3 }", ">")
    shows("rille.spawn(rille.sleep, 3600)", "task 'stdin:1' (waiting for sleep)", ">")

    shows('door = setmetatable({}, { __close = function() rille.sleep(0.01) print("closed") end })', ">")
    t:enter('do local d <close> = door print("waiting") http.get(server.url .. "/slow") end')
    t:expect("\nwaiting")
    t:press("C-c")
    t:expect("\nwaiting\n^Cclosed\ninterrupted\n>")
    t:enter('print("busy") while true do end')
    t:expect("\nbusy")
    t:press("C-c")
    t:expect("\nbusy\n^Cinterrupted\n>")
    shows("server.port > 0", "true", ">")

    shows("function tick() for i = 1, 3 do rille.sleep(0.2) print('tick', i) end end", ">")
    t:enter("_ = rille.spawn(tick)")
    t:type("6 * ")
    t:expect("tick    3\n> 6 *")
    t:enter("7")
    t:expect("> 6 * 7\n42\n>")
    t:enter("rille.spawn(function() error('out of tea') end)")
    t:find("\nrille: stdin:1: out of tea\nstack traceback:\n.*\n>$")
    t:press("C-d")
    t:expect("\n$")
  end)

  it("complete, remember and explain in the REPL", function()
    start_repl()
    shows('rille = require "rille"', ">")
    t:type("rille.sl")
    t:press("Tab")
    t:expect("> rille.sleep")
    t:enter("(0)")
    t:expect("> rille.sleep(0)\n>")
    t:type("rille.s")
    t:press("Tab")
    t:expect("\nsemaphore  shield     sleep      spawn\n> rille.s")
    t:press("C-c")
    t:expect("> rille.s^C\n>")
    t:type('name = "Ann" prin')
    t:press("Tab")
    t:type("(1)")
    t:expect('> name = "Ann" print(1)')
    t:press("Enter")
    t:expect("print(1)\n1\n>")
    t:type("name:upp")
    t:press("Tab")
    t:enter("()")
    t:expect('> name:upper()\n"ANN"\n>')
    t:type('json = require "rille.js')
    t:press("Tab")
    t:enter('"')
    t:expect('> json = require "rille.json"\n>')

    shows("function parse(text) local value = json.decode(text) return value end", ">")
    matches('parse("[1, 2")', "\ninvalid JSON: [^\n]* at character 6\nstack traceback:\n"
      .. "[^>]*\n        stdin:1: in function 'parse'\n[^>]*\n>")
    matches('require "rille.htpp"', "\nmodule 'rille.htpp' not found:\n.*did you mean 'rille%.http'%?\n.*\n>")
    shows("await parse()", "stdin:1: syntax error near 'parse'",
      "hint: a call that waits just waits: leave out 'await'", ">")
    shows('"kept"', '"kept"', ">")
    t:press("Up", "Up")
    t:expect("\n> await parse()")
    t:press("C-c", "C-d")
    t:expect("\n$")

    t:enter("clear")
    t:find("^%$$")
    start_repl()
    t:press("Up")
    t:expect('\n> "kept"')
    t:press("Enter")
    t:expect('> "kept"\n"kept"\n>')
    t:press("C-d")
    t:expect("\n$")
  end)

  it("tell of an error in a script, and end it with Ctrl-C", function()
    shows("rille shop.lua", "apple   2", "rille: shop.lua:4: attempt to index a nil value (field '?')",
      "stack traceback:",
      "        shop.lua:4: in local 'lookup'",
      "        shop.lua:5: in upvalue 'price_of'",
      "        shop.lua:12: in function <shop.lua:9>",
      "        [C]: in ?",
      "generator made at shop.lua:17, advanced by task 'clerk':",
      "        shop.lua:17: in function <shop.lua:16>",
      "        [C]: in ?",
      "task 'clerk' spawned at shop.lua:20 by a task that has ended", "$")
    shows("echo $?", "1", "$")
    t:enter("rille wait.lua")
    t:expect("\nopen")
    t:press("C-c")
    t:expect("\nopen\n^Cthe door is closed\n$")
    shows("echo $?", "130", "$")
    shows("rille shopp.lua", "rille: cannot open shopp.lua: No such file or directory", "$")
    matches("rille --shop", "\nrille: unrecognized option '%-%-shop'\nusage: rille [^$]*\n%$")
    shows("echo $?", "2", "$")
    shows("echo 'print(6 * 7)' | rille", "42", "$")
    shows("rille -l rille -e 'rille.sleep(0) print(1)'", "1", "$")
  end)

  it("run specs that fail, leave something open and take too long", function()
    t:enter("rille test")
    local screen = t:expect("\n1 passed, 2 failed\n$")
    local function has(...)
      local text = "\n" .. table.concat({ ... }, "\n") .. "\n"
      assert.is_truthy(screen:find(text, 1, true), text .. screen)
    end
    has("a shop counts", "spec/shop_spec.lua:10: Expected objects to be equal.", "Passed in:", "(number) 4",
      "Expected:", "(number) 5")
    has("a shop closes", "left behind:",
      "  task 'spec/shop_spec.lua:14' (waiting), waits for sleep (spec/shop_spec.lua:14)")
    shows("echo $?", "1", "$")
    shows("rille test --timeout=2 -o TAP slow_spec.lua", "not ok 1 - sells", "# slow_spec.lua @ 3",
      "# Failure message: slow_spec.lua:4: timed out after 2 s, waiting for a value of a channel",
      "1..1", "0 passed, 1 failed", "$")
    shows("rille test -o TAP --filter=opens", "ok 1 - a shop opens", "1..1", "1 passed, 0 failed", "$")
    shows("echo $?", "0", "$")
  end)
end)
