-- The documents: every example of guide.md, coming-from-python.md and README.md runs and prints what is shown
-- there, and they name nothing that is not there.
local http = require "rille.http"
local stream = require "rille.stream"
local files = require "spec.helper.files"
local process = require "spec.helper.process"
local reference = require "spec.helper.reference"
local terminal = require "spec.helper.terminal"
local pokedex = dofile("scripts/pokedex.lua")

local contents, write, directory = files.contents, files.write, files.directory

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

-- Goes before the first line of an example, on the same line: positions stay. process.host would do
-- the same with an option, which is a frame in tracebacks.
local STRESS = os.getenv("RILLE_SPEC_GC") == "stress" and "collectgarbage('incremental', 1, 1000, 1) " or ""

-- Runs a program that is saved as a file of this name.
local function run_file(words, name, text)
  local dir <close> = directory()
  write(dir.path .. "/" .. name, text)
  words[#words + 1] = name
  return process.run(words, { cwd = dir.path }), dir.path
end

local function run(text) return (run_file({ process.rille }, "example.lua", STRESS .. text)) end

local GUIDE = process.root .. "/docs/guide.md"
local guide = blocks_of(GUIDE)

-- The name of the file that a block says it is; an example that is a program by itself has none.
local function file_name(block) return block.text:match("^%-%- ([%w_]+%.lua)\n") end

-- What is shown of an example: in the blocks that follow it, or in the one that follows its translation.
local function shown(blocks, example)
  local result = { stdout = "", stderr = "", status = 0 }
  for _, block in ipairs(blocks) do
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

-- Is it a block of what is shown of an example?
local function is_shown(block)
  return block.follows and (block.info == "output" or block.info:find("^stderr status %d+$"))
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
      it("runs the example at " .. title, function() assert.same(shown(guide, block), run(block.text)) end)
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
        or is_shown(block)
      assert.is_truthy(known, ("line %d: '%s'"):format(block.line, block.info))
    end
  end)
end)

describe("coming-from-python.md", function()
  local page = blocks_of(process.root .. "/docs/coming-from-python.md")

  -- An API that names one Pokémon after the other, whichever it is asked for: what is random is so the same
  -- in both languages.
  local function serve_in_order()
    local count = 0
    return http.serve({}, function()
      count = count + 1
      return { json = { name = pokedex.names[count] } }
    end)
  end

  -- Runs a program of which a line may ask for the API. Python tells the paths of its files in full.
  local function run_with_api(program, name, text)
    local server <close> = serve_in_order()
    local result, path = run_file({ "env", "API=" .. server.url, program }, name, text)
    result.stderr = result.stderr:gsub(path:gsub("%p", "%%%0") .. "/", "")
    return result
  end

  for _, block in ipairs(page) do
    if block.info == "python" then
      it(("runs the Python at line %d"):format(block.line), function()
        assert.same(shown(page, block), run_with_api("/usr/bin/python3", "example.py", block.text))
      end)
    elseif block.info == "lua" then
      it(("runs the Lua at line %d"):format(block.line), function()
        assert.same(shown(page, block), run_with_api(process.rille, "example.lua", STRESS .. block.text))
      end)
    end
  end

  it("has nothing but pairs of programs, and what they print", function()
    local before
    for _, block in ipairs(page) do
      if not is_shown(block) then
        assert.equal(before == "python" and "lua" or "python", block.info, "line " .. block.line)
        before = block.info
      end
    end
    assert.equal("lua", before)
  end)
end)

describe("README.md", function()
  -- The program asks the real API: here a local one.
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

  local page = blocks_of(process.root .. "/README.md")
  for i, block in ipairs(page) do
    if block.info == "lua" and i > 1 then
      it(("runs the example at line %d"):format(block.line), function()
        assert.same(shown(page, block), run(block.text))
      end)
    elseif block.info == "lua" then
      it("runs the program at its beginning", function()
        local program, apis = block.text:gsub('local api = "https://[^"]*"', "")
        assert.equal(1, apis)
        local result = run(BEFORE .. program .. "print(table.concat(names, '\\n'))\n")
        assert.equal("", result.stderr)
        assert.equal(0, result.status)
        assert_names(result.stdout, 20) -- those of the loop, and those of the comprehension
      end)
    end
  end
end)

describe("the documents", function()
  local paths = { "README.md", "docs/guide.md", "docs/coming-from-python.md" }

  -- Calls fn(line) for each line of a document that is outside of its blocks.
  local function each_line(path, fn)
    local fenced = false
    for line in contents(process.root .. "/" .. path):gmatch("[^\n]+") do
      if line:find("^```") then fenced = not fenced elseif not fenced then fn(line) end
    end
  end

  -- The names that begin the pieces of code in a line: "rille.sleep", "g:next".
  local function names_in(line)
    local names = {}
    for code in line:gmatch("`([^`]+)`") do names[#names + 1] = code:match("^:?%f[%w_][%w_.]+[.:]?[%w_]*") end
    return names
  end

  -- Is there what a name leads to? True also of a name that is none of rille's.
  local function is_there(name)
    local owner, mark, member = name:match("^([%w_]*)([.:])([%w_]+)$")
    if not owner then return true end
    if type(_G[owner]) == "table" then return _G[owner][member] ~= nil end
    local function written(form) return reference.text:find(form:format(member), 1, true) ~= nil end
    if owner == "" then return stream[member] ~= nil or written(":%s(") end
    local entries = reference.documented(owner)
    return next(entries) == nil or entries[mark .. member] ~= nil or mark == ":" and stream[member] ~= nil
      or owner == "rille" and pcall(require, name)
      or owner == "err" and written("`%s`") -- a field of errors stands where these are told of
  end

  it("name nothing that is not there", function()
    assert.is_false(is_there("rille.nonsense") or is_there("task:nonsense") or is_there(":nonsense"))
    for _, path in ipairs(paths) do
      each_line(path, function(line)
        local ours = line:gsub("^|[^|]*|", "") -- in the first column of a table are the names of others
        for _, name in ipairs(names_in(ours)) do assert.is_true(is_there(name), path .. ": " .. name) end
      end)
    end
  end)

  it("name nothing of asyncio that is not there", function()
    local program = { "import asyncio" }
    each_line("docs/coming-from-python.md", function(line)
      for _, name in ipairs(names_in(line)) do
        if name:find("^asyncio%.") then program[#program + 1] = name end
      end
    end)
    assert.is_true(#program > 10)
    local result = process.run { "/usr/bin/python3", "-c", table.concat(program, "\n") }
    assert.same({ stdout = "", stderr = "", status = 0 }, result)
  end)

  -- The anchors of the titles of a document, as GitHub makes them.
  local function anchors_of(path)
    local set = {}
    each_line(path, function(line)
      local title = line:match("^#+ (.*)$")
      if title then set[title:lower():gsub("[^%w%s_-]", ""):gsub("%s", "-")] = true end
    end)
    return set
  end

  it("have links that lead somewhere", function()
    for _, path in ipairs { "docs/reference.md", "docs/architecture.md", table.unpack(paths) } do
      each_line(path, function(line)
        for target, anchor in line:gmatch("%]%(([^)#:]*)#?([^):]*)%)") do
          local other = target == "" and path or (path:match("^.*/") or "") .. target
          assert.is_truthy(contents(process.root .. "/" .. other))
          assert.is_true(anchor == "" or anchors_of(other)[anchor] or false, other .. "#" .. anchor)
        end
      end)
    end
  end)

  it("have lines of 110 columns", function()
    for _, path in ipairs(paths) do
      each_line(path, function(line) assert.is_true(utf8.len(line) <= 110, path .. ": " .. line) end)
    end
  end)
end)
