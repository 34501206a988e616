#!/usr/bin/env rille
-- pokemon.lua -- random Pokémon names: ten as they arrive, then ten more collected in a list.
-- Shows:  an async generator, the loop over it, the list of it; the same as a plain Lua coroutine, and with
--         several requests in flight.
-- Run:    rille scripts/pokemon.lua                  with a local PokéAPI that it starts itself (pokeapi.lua)
--         rille scripts/pokemon.lua --api https://pokeapi.co/api/v2 --concurrency 4
package.path = (arg[0]:match("^.*/") or "./") .. "?.lua;" .. package.path -- the modules beside it
local rille = require "rille"
local http = require "rille.http"
local stream = require "rille.stream"
local command = require "command"
local pokeapi = require "pokeapi"

local USAGE = [[
usage: pokemon.lua [--api URL] [--count N] [--concurrency N] [--timeout S] [--plain]
  --api URL        the PokéAPI to ask (default: a local one)
  --count N        how many names, and how many again in the list (default 10)
  --concurrency N  how many requests at a time; the order stays (default 1)
  --timeout S      seconds to wait for an answer (default 30)
  --plain          use a plain coroutine.wrap in place of rille.generator
]]
local options = command.options(USAGE, {
  api = command.url, count = command.integer(1, 1000000), concurrency = command.integer(1, 1000),
  timeout = command.seconds(0.001), plain = true,
})
if options.plain and options.concurrency then command.refuse(USAGE, "--plain asks for one name at a time") end
local server <close> = not options.api and pokeapi.serve() or nil
local api, count = options.api or pokeapi.url(server), options.count or 10

-- Waits for the answer; other tasks run meanwhile. An ordinary function, called in an ordinary way.
local function random_pokemon_name()
  local url = api .. "/pokemon/" .. math.random(898)
  local name = http.get(url, { timeout = options.timeout or 30 }):raise_for_status():json("/name")
  return type(name) == "string" and name or command.fail("GET %s: no name in the answer", url)
end

-- The async generator: each name goes to whoever asked for the next one.
local next_pokemon = rille.generator(function(total)
  for _ = 1, total do coroutine.yield(random_pokemon_name()) end
end)

if options.plain then -- the same as a plain Lua coroutine
  function next_pokemon(total)
    return coroutine.wrap(function()
      for _ = 1, total do coroutine.yield(random_pokemon_name()) end
    end)
  end
elseif options.concurrency then -- the same with several requests in flight, the names still in order
  function next_pokemon(total)
    return stream.range(1, total):map(random_pokemon_name, { n = options.concurrency })
  end
end

command.run(function()
  for name in command.progress(count, "names", next_pokemon(count)) do print(name) end
  local names = stream.from(command.progress(count, "names", next_pokemon(count))):collect()
  print("collected: " .. table.concat(names, ", "))
end)
