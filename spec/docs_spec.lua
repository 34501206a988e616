-- The documents: every example of guide.md and README.md runs and prints what is shown there;
-- reference.md has every public name, option and code, and no other.
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"
local stream = require "rille.stream"
local generator = require "rille.host.generator"
local naming = require "spec.helper.names"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local terminal = require "spec.helper.terminal"
local pokedex = dofile("scripts/pokedex.lua")

local sorted, upvalue = naming.sorted, naming.upvalue

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read("a")
end

local function write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

-- The fenced blocks of a document, in order. A block that follows another one directly belongs to it.
local function blocks_of(path)
  local blocks, block, number, ended = {}, nil, 0, -1
  for line in contents(path):gmatch("([^\n]*)\n?") do
    number = number + 1
    local info = line:match("^```(.*)$")
    if info and block then
      block, ended = nil, number
    elseif info then
      block = { info = info, line = number, text = "", follows = ended == number - 1 and blocks[#blocks] }
      blocks[#blocks + 1] = block
    elseif block then
      block.text = block.text .. line .. "\n"
    end
  end
  assert(not block, path .. ": a block is not closed")
  return blocks
end

-- A directory that is removed when its variable is closed.
local function directory()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local path = pipe:read("l")
  return setmetatable({ path = path }, { __close = function() os.execute("rm -rf " .. path) end })
end

-- Goes before the first line of an example, on the same line: positions stay. process.host would do
-- the same with an option, which is a frame in tracebacks.
local STRESS = os.getenv("RILLE_SPEC_GC") == "stress" and "collectgarbage('incremental', 1, 1000, 1) " or ""

local function run(text)
  local dir <close> = directory()
  write(dir.path .. "/example.lua", STRESS .. text)
  return process.run({ process.rille, "example.lua" }, { cwd = dir.path })
end

local GUIDE = process.root .. "/docs/guide.md"
local guide = blocks_of(GUIDE)

-- The name of the file that a block says it is; an example that is a program by itself has none.
local function file_name(block) return block.text:match("^%-%- ([%w_]+%.lua)\n") end

-- What is shown of an example.
local function shown(example)
  local result = { stdout = "", stderr = "", status = 0 }
  for _, block in ipairs(guide) do
    local of = block.follows
    if of and (of == example or of.follows == example) then
      if block.info == "output" then
        result.stdout = block.text
      elseif block.info:find("^stderr status %d+$") then
        result.stderr, result.status = block.text, tonumber(block.info:match("%d+"))
      end
    end
  end
  return result
end

-- Runs the commands of a console block in a shell; gives what the terminal would show.
local function console(block)
  local dir <close> = directory()
  assert(os.execute(("mkdir %s/bin && ln -s %s %s/bin/rille"):format(dir.path, process.rille, dir.path)))
  for _, other in ipairs(guide) do
    local name = other.info == "lua" and file_name(other)
    if name then write(dir.path .. "/" .. name, other.text) end
  end
  local script = { "exec 2>&1", "PATH=$PWD/bin:$PATH" }
  for command in block.text:gmatch("%$ ([^\n]*)\n") do
    script[#script + 1] = ("printf '%%s\\n' %s"):format(process.quote("$ " .. command))
    script[#script + 1] = command
  end
  return process.run({ "sh", "-c", table.concat(script, "\n") }, { cwd = dir.path }).stdout
end

-- Enters the lines of a block in the REPL, one after another; the screen is to end with the block each time.
local function session(block)
  local dir <close> = directory()
  local t <close> = terminal.start({ process.rille, "-i" }, { XDG_STATE_HOME = dir.path })
  t:expect("\n>")
  local seen
  for line in block.text:gmatch("([^\n]*)\n") do
    local prompt, typed = line:match("^(>>?) (.*)")
    if prompt then
      if seen then t:expect(seen .. "\n" .. prompt) end
      t:enter(typed)
    end
    seen = seen and seen .. "\n" .. line or line
  end
  t:expect(seen .. "\n>")
end

describe("guide.md", function()
  local examples = 0

  for _, block in ipairs(guide) do
    local title = ("line %d"):format(block.line)
    if block.info == "lua" and not file_name(block) then
      examples = examples + 1
      it("runs the example at " .. title, function() assert.same(shown(block), run(block.text)) end)
    elseif block.info == "lua" then
      it("uses the file at " .. title .. " in a command", function()
        assert.is_function(load(block.text))
        local used = false
        for _, other in ipairs(guide) do
          used = used or other.info == "console" and other.text:find(file_name(block), 1, true) ~= nil
        end
        assert.is_true(used)
      end)
    elseif block.info == "console" then
      it("runs the commands at " .. title, function() assert.equal(block.text, console(block)) end)
    elseif block.info == "repl" then
      it("has the session at " .. title, function() session(block) end)
    end
  end

  it("has examples, and no block that is not checked", function()
    assert.is_true(examples > 20)
    for _, block in ipairs(guide) do
      local known = block.info == "lua" or block.info == "console" or block.info == "repl"
        or block.follows and (block.info == "output" or block.info:find("^stderr status %d+$"))
      assert.is_truthy(known, ("line %d: '%s'"):format(block.line, block.info))
    end
  end)
end)

describe("README.md", function()
  -- The program uses the URL of an API, which the reader has: here a local one.
  local BEFORE = ("package.path = %q .. package.path; local pokeapi = require 'pokeapi' "
    .. "local api_server <close> = pokeapi.serve() api = pokeapi.url(api_server) "):format(
    process.root .. "/scripts/?.lua;")

  local function assert_names(text, count)
    local found = 0
    for line in text:gmatch("([^\n]*)\n") do
      assert.is_number(pokedex.ids[line], line)
      found = found + 1
    end
    assert.equal(count, found)
  end

  for _, block in ipairs(blocks_of(process.root .. "/README.md")) do
    if block.info == "lua" then
      it(("runs the program at line %d"):format(block.line), function()
        local result = run(BEFORE .. block.text .. "print(table.concat(names, '\\n'))\n")
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        assert_names(result.stdout, 20) -- those of the loop, and those of the comprehension
      end)
    end
  end
end)

-- The reference -----------------------------------------------------------------------------------

local reference = contents(process.root .. "/docs/reference.md")

-- Calls fn(name, section) for each name that an entry of the reference is about: "- `name(...)`, `other`:".
local function each_entry(fn)
  local section
  for line in reference:gmatch("[^\n]+") do
    section = line:match("^#+ (.*)$") or section
    local rest = line:match("^%- (`.*)$")
    while rest do
      local code, after = rest:match("^`([^`]*)`(.*)$")
      fn(code, section)
      rest = after:match("^, (`.*)$")
    end
  end
end

-- The names of entries that begin with a prefix: "task:" and "task." are those of tasks.
local function documented(prefix)
  local set = {}
  each_entry(function(code)
    local name, rest = code:match("^([%w_]+[.:])(.*)$")
    if name and name:sub(1, -2) == prefix then
      local key = name:sub(-1) .. rest:match("^[%w_]+")
      assert(not set[key], "two entries of " .. prefix .. key)
      set[key] = true
    end
  end)
  return set
end

-- Entries of some sections, by their first word.
local function listed(...)
  local titles, set = {}, {}
  for _, title in ipairs { ... } do titles[title] = true end
  each_entry(function(code, section)
    if titles[section] then set[code:match("^[%w_%-]+")] = true end
  end)
  return set
end

-- The codes in the first column of the tables of a section.
local function tabled(title)
  local set, section = {}, nil
  for line in reference:gmatch("[^\n]+") do
    section = line:match("^#+ (.*)$") or section
    local code = section == title and line:match("^| `([A-Z_]+)` |")
    if code then set[code] = true end
  end
  return set
end

-- Adds keys to a set of names, with a prefix: "." for fields and functions, ":" for methods.
local function add(set, prefix, ...)
  for _, names in ipairs { ... } do
    for name in pairs(names) do set[prefix .. name] = true end
  end
  return set
end

-- The text of all sources below some directories.
local function sources(directories)
  local find = "find %s -name '*.c' -exec cat {} + -o -name '*.lua' -exec cat {} +"
  local pipe <close> = assert(io.popen(find:format(directories)))
  return pipe:read("a")
end

-- The fields of a class in the docstrings of lualib: the public ones, and the private ones.
local function annotated(class)
  local public, private = {}, {}
  local found = false
  for line in sources("lualib"):gmatch("[^\n]*") do
    local name = line:match("^%-%-%-@class ([%w_.]+)")
    if name then
      found = name == class
    elseif not line:find("^%-%-%-") then
      found = false
    elseif found then
      local hidden = line:match("^%-%-%-@field private ([%w_]+)")
      local field = line:match("^%-%-%-@field ([%w_]+)")
      if hidden then private[hidden] = true elseif field then public[field] = true end
    end
  end
  return public, private
end

-- The fields of an object that its class does not declare private.
local function public_fields(object, class)
  local _, private = annotated(class)
  local set = {}
  for name in pairs(object) do
    if not private[name] then set[name] = true end
  end
  return set
end

local function assert_documented(prefix, names)
  assert.same(sorted(names), sorted(documented(prefix)))
end

describe("reference.md", function()
  if STRESS ~= "" then -- it is all reading of texts, in which there is nothing to be found
    setup(function() collectgarbage("incremental", 200, 100) end)
    teardown(function() collectgarbage("incremental", 1, 1000) end)
  end

  it("has the names of the modules", function()
    assert_documented("rille", add({}, ".", rille))
    assert_documented("stream", add({}, ".", stream))
    assert_documented("coroutine", add({}, ".", coroutine))
    assert_documented("json", add({}, ".", json))
    assert_documented("http", add({}, ".", http))
    assert_documented("test", add({}, ".", rille.test))
    assert_documented("lines", add({}, ".", (require "rille.lines")))
    assert_documented("sse", add({}, ".", (require "rille.sse")))
    assert.same({ "serve" }, sorted(require "rille.server"))
  end)

  it("has the methods of tasks", function()
    local task = rille.spawn(function() end)
    task:join()
    local methods = upvalue(getmetatable(task).__index, 1)
    assert.is_string(task.name)
    assert_documented("task", add({ [".name"] = true }, ":", methods))
  end)

  it("has the methods of clocks", function()
    local clock <close> = rille.test.clock()
    assert_documented("clock", add({}, ":", getmetatable(clock).__index))
  end)

  it("has the methods of generators and streams, operators apart", function()
    local made = stream.range(1, 2)
    for prefix, methods in pairs { g = generator.methods, s = getmetatable(made).__index } do
      local own, operators = {}, {}
      for name, method in pairs(methods) do
        if stream[name] == method then operators[name] = true else own[name] = true end
      end
      assert_documented(prefix, add({}, ":", own))
      each_entry(function(code, section) -- these are no methods
        local name = section == "Making" and code:match("^stream%.([%w_]+)")
        if name then operators[name] = true end
      end)
      assert.same(sorted(stream), sorted(operators))
    end
  end)

  it("has what the HTTP client gives", function()
    local server <close> = http.serve({}, function() return {} end)
    local client <close> = http.client()
    assert_documented("client", add({}, ":", getmetatable(client).__index))
    local res = client:get(server.url)
    local index = getmetatable(res).__index
    local names = add({}, ":", upvalue(index, 1))
    assert_documented("res", add(names, ".", upvalue(index, 2)))
    local streamed <close> = client:stream(server.url)
    assert_documented("streamed", add({}, ":", upvalue(getmetatable(streamed).__index, 1)))
    assert_documented("headers", { [":all"] = true })
    assert.is_function(res.headers.all)
  end)

  it("has what the HTTP server gives", function()
    local request
    local server <close> = http.serve({}, function(req)
      request = req
      return {}
    end)
    http.get(server.url)
    local names = add({}, ":", getmetatable(request).__index)
    assert_documented("req", add(names, ".", public_fields(request, "rille.http.Request")))
    assert.is_function(request.headers.all)
    names = add({ [".unix"] = true }, ":", getmetatable(server).__index)
    assert_documented("server", add(names, ".", public_fields(server, "rille.http.Server")))
  end)

  it("has the names that are declared in docstrings", function()
    for class, prefix in pairs {
      ["rille.Task"] = "task", ["rille.Error"] = "err", ["rille.Clock"] = "clock",
      ["rille.http.Response"] = "res",
      ["rille.http.Request"] = "req", ["rille.http.Server"] = "server",
    } do
      local entries = documented(prefix)
      local fields = annotated(class)
      assert.is_truthy(next(fields), class)
      for name in pairs(fields) do
        assert.is_true(entries["." .. name] or entries[":" .. name], class .. "." .. name)
      end
    end
  end)

  it("has functions of Lua that are there", function()
    for name in pairs(listed("Functions of Lua")) do
      assert.is_function(load("return " .. name .. (name == "os" and ".exit" or ""))())
    end
  end)

  -- A function is no option's value: the call fails either way, an unknown option in other words.
  local function knows(fn, option, ...)
    local ok, err = pcall(fn, ...)
    assert.is_false(ok)
    return not tostring(err):find("unknown option '" .. option .. "'", 1, true)
  end

  local function assert_options(entries, class, fn)
    assert.same(sorted(annotated(class)), sorted(entries))
    for name in pairs(entries) do assert.is_true(knows(fn, name, { [name] = print }), name) end
    assert.is_false(knows(fn, "nonsense", { nonsense = print }))
  end

  it("has the options of requests, clients and servers", function()
    local function get(options) http.get("nowhere:", options) end
    local function client(options)
      http.client(options)
      error("made")
    end
    local function serve(options) http.serve(options, print) end
    local request = listed("Options of a request", "Options of connections")
    assert_options(request, "rille.http.Options", get)
    assert_options(listed("Options of a client"), "rille.http.ClientOptions", client)
    assert_options(listed("Options of http.serve"), "rille.http.ServeOptions", serve)
  end)

  it("has the codes that the sources raise", function()
    local raised, described = {}, {}
    local text = sources("host lualib")
    for code in text:gmatch('"(E[A-Z]+)"') do raised[code] = true end
    for _, title in ipairs { "Codes of rille", "Codes of the client" } do
      for code in pairs(tabled(title)) do described[code] = true end
    end
    assert.same(sorted(raised), sorted(described))
  end)

  it("has codes of the system that are raised as it says", function()
    local _ <close>, faulty = perl_server "fault_server"
    local server <close> = http.serve({}, function() return {} end)
    local absent = "/tmp/rille-no-such-directory/socket"
    local provoke = {
      ECONNRESET = function() http.get(faulty .. "/reset") end,
      EADDRINUSE = function() http.serve({ port = server.port }, print) end,
      EADDRNOTAVAIL = function() http.serve({ host = "192.0.2.1" }, print) end,
      EACCES = function() http.serve({ unix = absent }, print) end,
      ENOENT = function() http.get("http://localhost/", { unix_socket = absent }) end,
      EISDIR = function() http.post(server.url, { multipart = { { name = "f", path = "/tmp" } } }) end,
      EAI_NONAME = function() http.serve({ host = "a..b" }, print) end,
    }
    assert.same(sorted(provoke), sorted(tabled("Codes of the system")))
    for code, fn in pairs(provoke) do
      local _, err = pcall(fn)
      assert.is_true(rille.is_error(err, code), ("%s: %s"):format(code, err))
    end
  end)

  it("has the options of the command", function()
    local usage = process.run({ process.rille, "--help" }).stdout
    local options = {}
    for line in usage:gmatch("\n  (%-[^\n]*)") do
      local rest = line
      repeat
        local option, after = rest:match("^(%-[%w%-]*)(.*)$")
        options[option] = true
        rest = after:match("^, (%-.*)$")
      until not rest
    end
    assert.same(sorted(options), sorted(listed("The command")))
  end)

  it("has lines of 110 columns, as the guide has outside of outputs", function()
    for line in reference:gmatch("[^\n]+") do assert.is_true(utf8.len(line) <= 110, line) end
    local fenced = false
    for line in contents(GUIDE):gmatch("[^\n]+") do
      if line:find("^```") then fenced = not fenced end
      assert.is_true(fenced or utf8.len(line) <= 110, line)
    end
  end)
end)
