-- The main job: the README's program and its twin with coroutine.wrap, against the local API and against
-- nginx, which serves the same documents as files; what is in flight survives the collector; what is left
-- by break leaves nothing behind.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local http = require("rille.http")
local json = require("rille.json")
local nginx = require("spec.helper.nginx")
local task = require("rille.host.task")
local process = require("spec.helper.process")

package.path = "scripts/?.lua;" .. package.path
local pokedex = require("pokedex")
local pokeapi = require("pokeapi")

local known = {}
for _, name in ipairs(pokedex.names) do known[name] = true end

--- The program in the README, with another `api`, and what it collected printed.
local function readme_program(api)
  local file <close> = assert(io.open("README.md"))
  local program = assert(file:read("a"):match("```lua\n(.-)```"))
  local changed, apis = program:gsub('local api = "[^"]*"', ("local api = %q"):format(api))
  assert(apis == 1, "the program has no API")
  return changed .. "\nprint(table.concat(names, ' '))\n"
end

local WRAPPED = [[
local http = require "rille.http"
local function random_pokemon_name()
  return http.get(%q .. "/pokemon/" .. math.random(898)):json().name
end
local function next_pokemon(total)
  return coroutine.wrap(function()
    for _ = 1, total do coroutine.yield(random_pokemon_name()) end
  end)
end
for name in next_pokemon(10) do print(name) end
]]

--- Runs a program and checks that it prints ten names, one a line; returns the lines after them.
local function check_ten_names(program)
  local path = os.tmpname()
  nginx.write(path, program)
  local done = process.run(process.host(path))
  os.remove(path)
  assert.same({ 0, "" }, { done.status, done.stderr })
  local count, rest = 0, {}
  for line in done.stdout:gmatch("[^\n]+") do
    if count == 10 then
      rest[#rest + 1] = line
    else
      assert.is_true(known[line], line)
      count = count + 1
    end
  end
  assert.equal(10, count)
  return rest
end

local function check_both_programs(api)
  local rest = check_ten_names(readme_program(api))
  local _, spaces = assert(rest[1]):gsub(" ", "")
  assert.equal(9, spaces)
  assert.same({}, check_ten_names(WRAPPED:format(api)))
end

--- nginx with a document a name, at /api/v2/pokemon/<id>.
local function start_nginx()
  local server, url = nginx.start(function(root)
    assert(os.execute(("mkdir -p %s/api/v2/pokemon"):format(root)))
    for id, name in ipairs(pokedex.names) do
      nginx.write(("%s/api/v2/pokemon/%d"):format(root, id), json.encode({ id = id, name = name }))
    end
  end)
  return server, url .. "/api/v2"
end

describe("the main job", function()
  it("prints ten names and collects ten from the local API", function()
    local server <close> = pokeapi.serve({ port = 0 })
    check_both_programs(pokeapi.url(server))
  end)

  it("prints ten names and collects ten from nginx", function()
    local running <close>, api = start_nginx()
    assert.is_table(running)
    check_both_programs(api)
  end)
end)

describe("requests in flight", function()
  it("R96 survive a collection at any point", function()
    local server <close> = http.serve({ port = 0 }, function(req)
      collectgarbage()
      rille.sleep(0.001)
      return { json = { path = req.path } }
    end)
    local collector = rille.spawn(function()
      while true do
        collectgarbage()
        rille.sleep(0)
      end
    end)
    local names = rille.generator(function(n)
      for i = 1, n do coroutine.yield((http.get(("%s/%d"):format(server.url, i)):json().path)) end
    end)
    local seen = names(20):map(function(path)
      collectgarbage()
      return http.get(server.url .. path .. path):json().path
    end, { n = 4 }):collect()
    collector:cancel()
    collector:join()
    local expected = {}
    for i = 1, 20 do expected[i] = ("/%d/%d"):format(i, i) end
    assert.same(expected, seen)
  end)

  it("R55 10,000 generators left by break leave no task, coroutine or socket", function()
    local count = os.getenv("RILLE_SPEC_GC") == "stress" and 500 or 10000
    local server <close> = http.serve({ port = 0 }, function(req) return { body = req.path } end)
    local client <close> = http.client({ base_url = server.url })
    local coroutines = setmetatable({}, { __mode = "k" })
    local pages = rille.generator(function()
      coroutines[coroutine.running()] = true
      for i = 1, 3 do coroutine.yield(client:get("/" .. i):text()) end
    end)
    local function sockets()
      local pipe <close> = assert(io.popen("ls -l /proc/$PPID/fd | grep -c socket:"))
      return tonumber(pipe:read("a"))
    end
    for _ in pages() do break end
    local before, tasks = sockets(), task.count()
    for _ = 1, count do
      for page in pages() do
        assert(page == "/1")
        break
      end
    end
    assert.equal(tasks, task.count())
    assert.is_true(sockets() <= before)
    collectgarbage()
    collectgarbage()
    assert.is_nil(next(coroutines))
  end)
end)
