#!/usr/bin/env rille
-- pokemon.lua -- random Pokémon names through an async generator: one a line as they arrive, then as
-- many again collected in a list. Starts a local PokéAPI (pokeapi.lua) unless --api names another.
package.path = (arg[0]:match("^.*/") or "./") .. "?.lua;" .. package.path -- the modules beside it

local rille = require "rille"
local http = require "rille.http"
local stream = require "rille.stream"
local tty = require "rille.host.tty"
local command = require "command"
local pokeapi = require "pokeapi"

local USAGE = [[
usage: pokemon.lua [--api URL] [--count N] [--concurrency N] [--timeout S] [--plain]

  --api URL        the PokéAPI to ask, such as https://pokeapi.co/api/v2
                   (default: a local one, which the script starts itself)
  --count N        how many names, and how many again in the list (default 10)
  --concurrency N  how many requests at a time; the order stays (default 1)
  --timeout S      seconds to wait for an answer (default 30)
  --plain          use a plain coroutine.wrap in place of rille.generator
  --help           print this
]]

local options = command.options(USAGE, {
  api = command.url,
  count = command.integer(1, 1000000),
  concurrency = command.integer(1, 1000),
  timeout = command.seconds(0.001),
  plain = true,
})
if options.plain and options.concurrency then
  command.refuse(USAGE, "--plain asks for one name at a time: not with --concurrency")
end

local count = options.count or 10
local api -- the URL of the PokéAPI, known once main has begun

-- Waits for the answer; other tasks run meanwhile. An ordinary function, called in an ordinary way.
local function random_pokemon_name()
  local url = api .. "/pokemon/" .. math.random(898)
  local response = http.get(url, { timeout = options.timeout or 30 }):raise_for_status()
  local name = response:json("/name")
  if type(name) == "string" then return name end
  command.fail("GET %s: no name in the answer", response.url)
end

-- The async generator: each name goes to whoever asked for the next one.
local next_pokemon = rille.generator(function(total)
  for _ = 1, total do coroutine.yield(random_pokemon_name()) end
end)

-- The same as a plain Lua coroutine (--plain).
local function next_pokemon_plain(total)
  return coroutine.wrap(function()
    for _ = 1, total do coroutine.yield(random_pokemon_name()) end
  end)
end

-- The same with several requests in flight, the names still in order (--concurrency).
local function next_pokemon_concurrent(total)
  return stream.range(1, total):map(random_pokemon_name, { n = options.concurrency })
end

-- Shows on stderr how far the names have come. The line stands only while the next name is waited
-- for, so that the names can go to the same terminal.
local function with_progress(names)
  local function show(...) io.stderr:write("\r\27[K", ...) end
  return rille.generator(function(total)
    local _ <close> = setmetatable({}, { __close = function() show() end })
    local have = 0
    show("0 of ", total, " names")
    for name in names(total) do
      have = have + 1
      show()
      coroutine.yield(name)
      show(have, " of ", total, " names")
    end
  end)
end

local function main()
  local server <close> = not options.api and pokeapi.serve() or nil
  api = options.api or pokeapi.url(server)

  for name in next_pokemon(count) do print(name) end
  local names = stream.from(next_pokemon(count)):collect()
  print("collected: " .. table.concat(names, ", "))
end

if options.plain then next_pokemon = next_pokemon_plain end
if options.concurrency then next_pokemon = next_pokemon_concurrent end
if count > 20 and tty.isatty(2) then next_pokemon = with_progress(next_pokemon) end

io.stdout:setvbuf("line") -- each name leaves as it arrives, into a pipe too
command.run(main)
