-- The example scripts, run as a user runs them: arguments in; stdout, stderr and exit status out.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"
local process = dofile("spec/helper/process.lua")
local pokedex = dofile("scripts/pokedex.lua")

local SCRIPTS = process.root .. "/scripts/"

-- Runs a script of the project to its end.
local function run(script, ...)
  return process.run(process.host(SCRIPTS .. script, ...))
end

local function lines(text)
  local list = {}
  for line in text:gmatch("([^\n]*)\n") do list[#list + 1] = line end
  return list
end

-- What pokemon.lua wrote is `count` names, then the list of `count` names; both of the Pokédex.
local function assert_names(count, stdout)
  local list = lines(stdout)
  assert.equal(count + 1, #list)
  local collected = {}
  for name in assert(table.remove(list):match("^collected: (.*)$")):gmatch("[^,%s]+") do
    collected[#collected + 1] = name
  end
  assert.equal(count, #collected)
  for _, names in ipairs { list, collected } do
    for _, name in ipairs(names) do assert.is_number(pokedex.ids[name], name) end
  end
  return list, collected
end

-- A server on loopback, which leaves no time to its handlers when it is closed; and its URL.
local function serve(handler)
  local server = http.serve({ host = "127.0.0.1", port = 0 }, handler)
  local function close() server:close(0) end
  return setmetatable({ close = close }, { __close = close }), server.url .. "/api/v2"
end

-- Runs pokemon.lua against a server whose answers are those of `handler`.
local function run_against(handler, ...)
  local _ <close>, api = serve(handler)
  return run("pokemon.lua", "--api", api, ...), api
end

local SEED = "math.randomseed(7) "

-- The numbers that pokemon.lua draws after SEED.
local function drawn(count)
  local draw = SEED .. ("for _ = 1, %d do print(math.random(898)) end"):format(count)
  return lines(process.run(process.host("-e", draw)).stdout)
end

local function start_seeded(...)
  return process.start(process.host("-e", SEED, SCRIPTS .. "pokemon.lua", ...))
end

-- It failed in the fourth request, with one line on stderr that matches every pattern, and the three
-- names before it are there.
local function assert_failed_after_three(result, ...)
  assert.same({ "name-1", "name-2", "name-3" }, lines(result.stdout))
  assert.equal(1, #lines(result.stderr), result.stderr)
  for _, pattern in ipairs { "^pokemon: ", ... } do assert.matches(pattern, result.stderr) end
  assert.equal(1, result.status)
end

local function three_names_then(answer)
  local requests = 0
  return function()
    requests = requests + 1
    return requests <= 3 and { json = { name = "name-" .. requests } } or answer()
  end
end

local function plain_text(status, body)
  return { status = status, headers = { ["content-type"] = "text/plain" }, body = body }
end

describe("the Pokédex", function()
  it("has 898 names, each once, in the spelling of the API", function()
    assert.equal(898, #pokedex.names)
    assert.equal(898, #pokedex.species)
    for id, name in ipairs(pokedex.names) do
      assert.equal(id, pokedex.ids[name], name)
      assert.matches("^%l[%l%d-]+$", name)
      assert.equal(1, name:find(pokedex.species[id], 1, true))
    end
  end)

  it("has the ends of each generation, and names of more than letters, in their places", function()
    local places = {
      [1] = "bulbasaur", [25] = "pikachu", [29] = "nidoran-f", [32] = "nidoran-m", [122] = "mr-mime",
      [151] = "mew", [152] = "chikorita", [233] = "porygon2", [250] = "ho-oh", [251] = "celebi",
      [252] = "treecko", [386] = "deoxys-normal", [387] = "turtwig", [413] = "wormadam-plant",
      [439] = "mime-jr", [474] = "porygon-z", [487] = "giratina-altered", [492] = "shaymin-land",
      [493] = "arceus", [494] = "victini", [550] = "basculin-red-striped",
      [555] = "darmanitan-standard", [641] = "tornadus-incarnate", [642] = "thundurus-incarnate",
      [645] = "landorus-incarnate", [647] = "keldeo-ordinary", [648] = "meloetta-aria",
      [649] = "genesect", [650] = "chespin", [678] = "meowstic-male", [681] = "aegislash-shield",
      [710] = "pumpkaboo-average", [711] = "gourgeist-average", [718] = "zygarde-50",
      [721] = "volcanion", [722] = "rowlet", [741] = "oricorio-baile", [745] = "lycanroc-midday",
      [746] = "wishiwashi-solo", [772] = "type-null", [774] = "minior-red-meteor",
      [778] = "mimikyu-disguised", [782] = "jangmo-o", [785] = "tapu-koko", [809] = "melmetal",
      [810] = "grookey", [849] = "toxtricity-amped", [875] = "eiscue-ice", [876] = "indeedee-male",
      [877] = "morpeko-full-belly", [888] = "zacian", [889] = "zamazenta",
      [892] = "urshifu-single-strike", [898] = "calyrex",
    }
    for id, name in pairs(places) do assert.equal(name, pokedex.names[id]) end
    assert.equal("deoxys", pokedex.species[386])
    assert.equal("urshifu", pokedex.species[892])
    assert.equal("mr-mime", pokedex.species[122])
  end)
end)

describe("pokemon.lua", function()
  it("prints ten names and then a list of ten, from an API that it starts itself", function()
    local result = run("pokemon.lua")
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert_names(10, result.stdout)
  end)

  it("runs from any directory", function()
    local result = process.run(process.host(SCRIPTS .. "pokemon.lua"), { cwd = "/" })
    assert.equal("", result.stderr)
    assert_names(10, result.stdout)
    result = process.run(process.host("pokemon.lua"), { cwd = SCRIPTS })
    assert.equal("", result.stderr)
    assert_names(10, result.stdout)
  end)

  it("does the same with a plain coroutine", function()
    local result = run("pokemon.lua", "--plain")
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert_names(10, result.stdout)
  end)

  it("asks the API it is given, for one of the 898 at a time", function()
    local asked, open, most = {}, 0, 0
    local result = run_against(function(req)
      asked[#asked + 1] = req.path
      local name = "name-" .. #asked
      open = open + 1
      most = math.max(most, open)
      rille.sleep(0.001)
      open = open - 1
      return { json = { name = name } }
    end)
    assert.equal("", result.stderr)
    local expected = {}
    for i = 1, 10 do expected[i] = "name-" .. i end
    local list = {}
    for i = 1, 10 do list[i] = "name-" .. 10 + i end
    expected[11] = "collected: " .. table.concat(list, ", ")
    assert.same(expected, lines(result.stdout))
    assert.equal(20, #asked)
    for _, path in ipairs(asked) do
      local id = tonumber(path:match("^/api/v2/pokemon/(%d+)$"))
      assert.is_true(id >= 1 and id <= 898, path)
    end
    assert.equal(1, most)
  end)

  it("takes the URL of the API with a slash at its end", function()
    local _ <close>, api = serve(function(req)
      return { json = { name = req.path:find("//", 1, true) and "wrong" or "right" } }
    end)
    local result = run("pokemon.lua", "--count=1", "--api=" .. api .. "/")
    assert.same({ "right", "collected: right" }, lines(result.stdout))
  end)

  it("fetches as many at a time as it is told, and prints the names in order", function()
    local ids = drawn(20)
    local expected, list = {}, {}
    for i, id in ipairs(ids) do
      local into = i <= 10 and expected or list
      into[#into + 1] = "name-" .. id
    end
    expected[11] = "collected: " .. table.concat(list, ", ")

    local open, most = 0, 0
    local _ <close>, api = serve(function(req)
      open = open + 1
      most = math.max(most, open)
      local id = req.path:match("%d+$")
      rille.sleep(0.005 + id % 4 * 0.005) -- the answers are ready in another order
      open = open - 1
      return { json = { name = "name-" .. id } }
    end)
    local child <close> = start_seeded("--api", api, "--concurrency", "4")
    local result = child:wait()
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert.same(expected, lines(result.stdout))
    assert.equal(4, most)
  end)

  it("prints each name when it arrives, into a pipe too", function()
    local requests, go_on = 0, false
    local _ <close>, api = serve(function()
      requests = requests + 1
      while requests > 1 and not go_on do rille.sleep(0.005) end
      return { json = { name = "first" } }
    end)
    local words = process.host(SCRIPTS .. "pokemon.lua", "--count", "2", "--api", api)
    local child <close> = process.start(words)
    assert.equal("first\n", child:expect("^.*\n"))
    go_on = true
    assert.equal(0, child:wait().status)
  end)

  it("shows no progress where stderr is no terminal", function()
    for _, way in ipairs { "--count=25", "--plain", "--concurrency=5" } do
      local result = run("pokemon.lua", "--count", "25", way)
      assert.equal("", result.stderr)
      assert.equal(0, result.status)
      assert_names(25, result.stdout)
    end
  end)

  -- Runs pokemon.lua with a terminal for its stderr; what the terminal got, and stdout.
  local function run_on_terminal(...)
    local words = { process.quote(process.rille), process.quote(SCRIPTS .. "pokemon.lua"), ... }
    local names = os.tmpname()
    local command = table.concat(words, " ") .. " >" .. names
    local result = process.run { "script", "-qec", command, "/dev/null" }
    local file = assert(io.open(names))
    local stdout = file:read("a")
    file:close()
    os.remove(names)
    return result, stdout
  end

  it("shows progress on a terminal when more than 20 names are asked for, and wipes it", function()
    local result, stdout = run_on_terminal("--count", "21")
    assert.equal(0, result.status)
    assert_names(21, stdout)
    local _, shown = result.stdout:gsub("\27%[K%d+ of 21 names", "")
    assert.equal(44, shown) -- 0 to 21, for the loop and for the list
    assert.matches("\r\27%[K$", result.stdout)

    result, stdout = run_on_terminal("--count", "20")
    assert.equal("", result.stdout)
    assert_names(20, stdout)
  end)

  it("wipes the progress before it says what went wrong", function()
    local _ <close>, api = serve(function() return plain_text(404, "Not Found") end)
    local result, stdout = run_on_terminal("--count", "21", "--api", api)
    assert.equal(1, result.status)
    assert.equal("", stdout)
    assert.matches("^\r\27%[K0 of 21 names\r\27%[Kpokemon: [^\r\n]*404[^\r\n]*\r\n$", result.stdout)
  end)

  describe("against an API that fails", function()
    it("reports a 404", function()
      local result, api = run_against(three_names_then(function()
        return plain_text(404, "Not Found")
      end))
      assert_failed_after_three(result, "404", api .. "/pokemon/%d+")
    end)

    it("reports a 500, to a plain coroutine too", function()
      for _, way in ipairs { "--concurrency=1", "--plain" } do
        local result, api = run_against(three_names_then(function()
          return plain_text(500, "broken")
        end), way)
        assert_failed_after_three(result, "500", api .. "/pokemon/%d+")
      end
    end)

    it("reports a 500 with other requests in flight, after the names that came before it", function()
      local ids = drawn(4)
      local names = { [ids[1]] = "name-1", [ids[2]] = "name-2", [ids[3]] = "name-3" }
      local printed = false
      local _ <close>, api = serve(function(req)
        local id = req.path:match("%d+$")
        if names[id] then return { json = { name = names[id] } } end
        if id ~= ids[4] then rille.sleep(30) end
        while not printed do rille.sleep(0.005) end
        return plain_text(500, "broken")
      end)
      local child <close> = start_seeded("--api", api, "--concurrency", "6")
      child:expect("name%-3\n")
      printed = true
      assert_failed_after_three(child:wait(), "500", api .. "/pokemon/" .. ids[4])
    end)

    it("reports a body that is not JSON", function()
      local bodies = {
        ["<html>"] = "not JSON", ["{name}"] = "not JSON", ['{"name":"p'] = "not JSON",
        [""] = "empty",
      }
      for body, complaint in pairs(bodies) do
        local result, api = run_against(three_names_then(function()
          return { headers = { ["content-type"] = "application/json" }, body = body }
        end))
        assert_failed_after_three(result, complaint, api .. "/pokemon/%d+")
      end
    end)

    it("reports JSON without a name", function()
      for _, body in ipairs {
        "{}", '{"name":25}', '{"name":null}', "[1]", "null", '"name"', "17", '[{"name":"x"}]',
      } do
        local result, api = run_against(three_names_then(function()
          return { headers = { ["content-type"] = "application/json" }, body = body }
        end))
        assert_failed_after_three(result, "no name", api .. "/pokemon/%d+")
      end
    end)

    it("reports an answer that does not come in time", function()
      local result, api
      expect.patiently(function(seconds)
        local silent = three_names_then(function() rille.sleep(60) end)
        result, api = run_against(silent, "--timeout", seconds)
        return result.stdout:find("name-3", 1, true) -- else the names came too late
      end)
      assert_failed_after_three(result, "time", api .. "/pokemon/%d+")
    end)

    it("reports a connection cut in mid-body", function()
      local server <close> = process.start { "perl", "-e", [[
        use IO::Socket::INET;
        $SIG{PIPE} = "IGNORE";
        $| = 1;
        my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die;
        print $listener->sockport, "\n";
        for my $i (1 .. 4) {
          my $client = $listener->accept or die;
          while (<$client>) { last if /^\r?$/ }
          my $body = "{\"name\":\"name-$i\"}";
          my $length = $i < 4 ? length $body : 1000;
          print $client "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
          print $client "Content-Length: $length\r\nConnection: close\r\n\r\n$body";
          close $client;
        }
      ]] }
      local api = ("http://127.0.0.1:%s"):format(server:expect("^(%d+)\n"))
      assert_failed_after_three(run("pokemon.lua", "--api", api), api .. "/pokemon/%d+")
    end)

    it("reports one that cannot be reached", function()
      local server, api = serve(function() return {} end)
      server:close()
      local result = run("pokemon.lua", "--api", api)
      assert.equal("", result.stdout)
      assert.equal(1, #lines(result.stderr), result.stderr)
      assert.matches("^pokemon: .*" .. api .. "/pokemon/%d+.*refused", result.stderr)
      assert.equal(1, result.status)
    end)

    it("reports a name that cannot be resolved", function()
      local result = run("pokemon.lua", "--api", "http://name.invalid/api/v2")
      assert.equal("", result.stdout)
      assert.equal(1, #lines(result.stderr), result.stderr)
      assert.matches("^pokemon: .*http://name%.invalid/api/v2/pokemon/%d+", result.stderr)
      assert.matches("resolve", result.stderr)
      assert.equal(1, result.status)
    end)
  end)

  it("refuses a wrong command line with its usage and status 2", function()
    local wrong = {
      { "--colour", complaint = "unknown option '--colour'" },
      { "-x", complaint = "unknown option '-x'" },
      { "25", complaint = "unknown option '25'" },
      { "--", complaint = "unknown option '--'" },
      { "--plain=yes", complaint = "unknown option '--plain=yes'" },
      { "--count", complaint = "--count needs a value" },
      { "--count", "ten", complaint = "--count wants a whole number from 1 to 1000000, not 'ten'" },
      { "--count", "0", complaint = "--count wants a whole number" },
      { "--count", "-1", complaint = "--count wants a whole number" },
      { "--count", "1.5", complaint = "--count wants a whole number" },
      { "--count=", complaint = "--count wants a whole number" },
      { "--count", "99999999999999999999", complaint = "--count wants a whole number" },
      { "--concurrency", "0", complaint = "--concurrency wants a whole number from 1 to 1000" },
      { "--timeout", "0", complaint = "--timeout wants a number of seconds" },
      { "--timeout", "nan", complaint = "--timeout wants a number of seconds" },
      { "--api", "pokeapi.co", complaint = "--api wants a URL" },
      { "--api", "file:///etc/passwd", complaint = "--api wants a URL" },
      { "--api", "http://a b/", complaint = "--api wants a URL" },
      { "--plain", "--concurrency", "2", complaint = "--plain asks for one name at a time" },
    }
    for _, case in ipairs(wrong) do
      local result = run("pokemon.lua", table.unpack(case))
      assert.equal("", result.stdout)
      assert.equal(1, result.stderr:find("pokemon: " .. case.complaint, 1, true), result.stderr)
      assert.matches("\nusage: pokemon%.lua ", result.stderr)
      assert.equal(2, result.status)
    end
  end)

  it("explains itself", function()
    local result = run("pokemon.lua", "--help")
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    for _, option in ipairs { "api URL", "count N", "concurrency N", "timeout S", "plain" } do
      assert.is_truthy(result.stdout:find("\n  --" .. option, 1, true), option)
    end
  end)

  it("ends on SIGINT in mid-loop with status 130, and its names are there", function()
    for _, way in ipairs { "--concurrency=1", "--plain" } do
      local _ <close>, api = serve(three_names_then(function() rille.sleep(30) end))
      local words = process.host(SCRIPTS .. "pokemon.lua", "--api", api, way)
      local child <close> = process.start(words)
      child:expect("name%-3\n")
      child:signal("INT")
      local result = child:wait()
      assert.equal(130, result.status)
      assert.equal("name-1\nname-2\nname-3\n", result.stdout)
      assert.equal("", result.stderr)
    end
  end)

  it("closes the API that it has started itself when SIGINT ends it", function()
    for _, way in ipairs { "--concurrency=1", "--concurrency=8", "--plain" } do
      local words = process.host(SCRIPTS .. "pokemon.lua", "--count", "1000000", way)
      local child <close> = process.start(words)
      child:expect("\n")
      child:signal("INT")
      local result = child:wait()
      assert.equal(130, result.status)
      assert.matches("^[%l%d\n-]+\n$", result.stdout)
      assert.equal("", result.stderr)
    end
  end)
end)

describe("SIGINT in mid-loop of such a program", function()
  it("runs the cleanup of the generator and of its consumer, which may wait", function()
    local _ <close>, api = serve(three_names_then(function() rille.sleep(30) end))
    local child <close> = process.start(process.host("-e", ([[
      local rille = require "rille"
      local http = require "rille.http"
      io.stdout:setvbuf("line")

      local function cleanup(who)
        return setmetatable({}, { __close = function()
          rille.sleep(0.01)
          print("cleanup of " .. who)
        end })
      end

      local next_name = rille.generator(function()
        local _ <close> = cleanup("the generator")
        while true do coroutine.yield(http.get("%s"):json().name) end
      end)

      local _ <close> = cleanup("the consumer")
      for name in next_name() do print(name) end
    ]]):format(api)))
    child:expect("name%-3\n")
    child:signal("INT")
    local result = child:wait()
    assert.equal(130, result.status)
    assert.same({
      "name-1", "name-2", "name-3", "cleanup of the generator", "cleanup of the consumer",
    }, lines(result.stdout))
  end)
end)

describe("pokeapi.lua", function()
  local api, base

  before_each(function()
    api = process.start(process.host(SCRIPTS .. "pokeapi.lua"))
    base = api:expect("^listening on (http://127%.0%.0%.1:%d+/api/v2)\n")
  end)

  after_each(function() api:close() end)

  it("knows a Pokémon by its number and its name, with or without a slash at the end", function()
    local expected = http.get(base .. "/pokemon/25"):raise_for_status():json()
    assert.equal(25, expected.id)
    assert.equal("pikachu", expected.name)
    assert.equal(base .. "/pokemon/25/", expected.url)
    assert.same({ name = "pikachu", url = base .. "/pokemon-species/25/" }, expected.species)
    for _, key in ipairs { "25/", "pikachu", "pikachu/" } do
      assert.same(expected, http.get(base .. "/pokemon/" .. key):json())
    end
  end)

  it("gives a Pokémon its species, height, weight and one or two types", function()
    for _, id in ipairs { 1, 18, 386, 898 } do
      local pokemon = http.get(base .. "/pokemon/" .. id):json()
      assert.equal(pokedex.names[id], pokemon.name)
      assert.equal(pokedex.species[id], pokemon.species.name)
      assert.is_true(pokemon.height > 0 and pokemon.weight > 0)
      assert.is_true(#pokemon.types == 1 or #pokemon.types == 2)
      for slot, entry in ipairs(pokemon.types) do
        assert.equal(slot, entry.slot)
        assert.matches("^%l+$", entry.type.name)
        assert.matches("^" .. base .. "/type/%d+/$", entry.type.url)
      end
      if #pokemon.types == 2 then
        assert.not_equal(pokemon.types[1].type.name, pokemon.types[2].type.name)
      end
    end
  end)

  it("answers 404 as the real one does", function()
    for _, path in ipairs {
      "/pokemon/0", "/pokemon/899", "/pokemon/-1", "/pokemon/025", "/pokemon/2.5", "/pokemon/0x19",
      "/pokemon/99999999999999999999", "/pokemon/missingno", "/pokemon/25/25",
      "/pokemon/%2e%2e", "/pokemonx", "/berry/1",
    } do
      local response = http.get(base .. path)
      assert.equal(404, response.status, path)
      assert.equal("Not Found", response:text())
      assert.matches("^text/plain", response.headers["content-type"])
    end
  end)

  it("lists all 898 in pages that lead from one to the next", function()
    local names, url, pages = {}, base .. "/pokemon?limit=100", 0
    while url ~= json.null do
      local page = http.get(url):raise_for_status():json()
      assert.equal(898, page.count)
      pages = pages + 1
      for _, entry in ipairs(page.results) do
        names[#names + 1] = entry.name
        assert.equal(base .. "/pokemon/" .. #names .. "/", entry.url)
      end
      url = page.next
    end
    assert.equal(9, pages)
    assert.same(pokedex.names, names)
  end)

  it("gives a page of 20 from the start where the query does not say otherwise", function()
    local expected = http.get(base .. "/pokemon"):json()
    assert.equal(20, #expected.results)
    assert.equal(base .. "/pokemon?offset=20&limit=20", expected.next)
    assert.equal(json.null, expected.previous)
    for _, query in ipairs {
      "/", "?", "?offset=0&limit=20", "?limit=0", "?limit=-1", "?offset=x&limit=y",
      "?limit=99999999999999999999", "?offset=9223372036854775807",
    } do
      assert.same(expected, http.get(base .. "/pokemon" .. query):json(), query)
    end
  end)

  it("gives the pages before, at and after the end", function()
    local page = http.get(base .. "/pokemon?offset=890&limit=5"):json()
    assert.equal(5, #page.results)
    assert.equal(base .. "/pokemon?offset=895&limit=5", page.next)
    assert.equal(base .. "/pokemon?offset=885&limit=5", page.previous)

    page = http.get(base .. "/pokemon?offset=895&limit=5"):json()
    assert.equal(3, #page.results)
    assert.equal("calyrex", page.results[3].name)
    assert.equal(json.null, page.next)

    page = http.get(base .. "/pokemon?offset=3&limit=5"):json()
    assert.equal(base .. "/pokemon?offset=0&limit=5", page.previous)

    local beyond = http.get(base .. "/pokemon?offset=898"):text()
    assert.is_truthy(beyond:find('"results":[]', 1, true), beyond)
    assert.equal(898, #http.get(base .. "/pokemon?limit=100000"):json().results)
  end)

  it("names its root, and refuses to be written to", function()
    assert.same({ pokemon = base .. "/pokemon/" }, http.get(base):json())
    local response = http.post(base .. "/pokemon/25", { json = { name = "raichu" } })
    assert.equal(405, response.status)
    assert.equal("GET, HEAD", response.headers.allow)
    assert.equal(200, http.head(base .. "/pokemon/25").status)
  end)

  it("ends on SIGINT with status 130", function()
    api:signal("INT")
    local result = api:wait()
    assert.equal(130, result.status)
    assert.equal("", result.stderr)
  end)
end)

describe("pokeapi.lua with options", function()
  local directory

  before_each(function()
    local pipe <close> = assert(io.popen("mktemp -d"))
    directory = pipe:read("l")
  end)

  after_each(function() os.execute("rm -rf " .. process.quote(directory)) end)

  local function write(path, text)
    assert(os.execute("mkdir -p " .. process.quote(directory .. "/" .. path:match("^(.*)/"))))
    local file <close> = assert(io.open(directory .. "/" .. path, "wb"))
    assert(file:write(text))
  end

  local function start(...)
    local child = process.start(process.host(SCRIPTS .. "pokeapi.lua", ...))
    return child, child:expect("^listening on (%S+)\n")
  end

  it("answers with the documents of a directory, byte by byte, by number and by name", function()
    local document = '{ "name": "pikachu",\n  "moves": [' .. ("1, "):rep(100000) .. "2] }\n"
    write("api/v2/pokemon/25/index.json", document)
    write("api/v2/pokemon/10001/index.json", '{"name":"deoxys-attack"}')
    write("api/v2/secret/index.json", '{"name":"secret"}')
    local child <close>, base = start("--data", directory)
    for _, key in ipairs { "25", "25/", "pikachu" } do
      local response = http.get(base .. "/pokemon/" .. key)
      assert.equal(200, response.status)
      assert.is_true(document == response:text())
      assert.matches("^application/json", response.headers["content-type"])
    end
    assert.equal("deoxys-attack", http.get(base .. "/pokemon/10001"):json().name)
    assert.equal(898, http.get(base .. "/pokemon"):json().count)
    for _, key in ipairs {
      "26", "raichu", "899", "025", "..%2fsecret", "%2e%2e%2fsecret", "../secret",
      "25%2f..%2f..%2fsecret",
    } do
      assert.equal(404, http.get(base .. "/pokemon/" .. key).status, key)
    end
    assert.equal("", child:stderr())
  end)

  it("answers 500 for a document that cannot be read, and goes on", function()
    write("api/v2/pokemon/1/index.json/file", "the document is a directory")
    write("api/v2/pokemon/2/index.json", '{"name":"ivysaur"}')
    local child <close>, base = start("--data", directory)
    assert.equal(500, http.get(base .. "/pokemon/1").status)
    assert.equal("ivysaur", http.get(base .. "/pokemon/2"):json().name)
    assert.not_equal("", child:stderr())
  end)

  it("feeds pokemon.lua with them", function()
    assert(os.execute(([[
      mkdir -p %s/api/v2/pokemon && cd %s/api/v2/pokemon && seq 898 | xargs mkdir &&
      for id in *; do echo '{"name":"real"}' >$id/index.json; done
    ]]):format(directory, directory)))
    local child <close>, base = start("--data", directory)
    local result = run("pokemon.lua", "--api", base, "--count", "3")
    assert.same({ "real", "real", "real", "collected: real, real, real" }, lines(result.stdout))
    assert.equal("", child:stderr())
  end)

  it("waits before each answer, and answers others meanwhile", function()
    local child <close>, base = start("--latency", "1")
    local began, order = rille.now(), {}
    local slow = rille.spawn(function()
      http.get(base .. "/pokemon/1")
      order[#order + 1] = "answer"
    end)
    rille.sleep(0.01)
    order[#order + 1] = "meanwhile"
    slow:await()
    assert.same({ "meanwhile", "answer" }, order)
    assert.is_true(rille.now() - began >= 1)
    assert.equal("", child:stderr())
  end)

  it("listens on the port it is given, and says so when that is taken", function()
    local child <close>, base = start()
    local port = base:match(":(%d+)/")
    local result = run("pokeapi.lua", "--port", port)
    assert.equal("", result.stdout)
    assert.equal(1, #lines(result.stderr), result.stderr)
    assert.matches("^pokeapi: .*" .. port .. ".*in use", result.stderr)
    assert.equal(1, result.status)
    child:close()
    local again <close>, its_base = start("--port", port)
    assert.equal(base, its_base)
    assert.equal("", again:stderr())
  end)

  it("refuses a wrong command line with its usage and status 2", function()
    for _, wrong in ipairs {
      { "--port", "65536" }, { "--port", "http" }, { "--latency", "-1" }, { "--latency", "1e" },
      { "--data", directory .. "/nowhere" }, { "--data" }, { "--quiet" }, { "8080" },
    } do
      local result = run("pokeapi.lua", table.unpack(wrong))
      assert.equal("", result.stdout)
      assert.matches("^pokeapi: [^\n]+\nusage: pokeapi%.lua ", result.stderr)
      assert.equal(2, result.status)
    end
  end)

  it("explains itself", function()
    local result = run("pokeapi.lua", "--help")
    assert.matches("^usage: pokeapi%.lua ", result.stdout)
    assert.equal(0, result.status)
  end)
end)
