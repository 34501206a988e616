#!/usr/bin/env rille
-- pokeapi.lua -- a local PokéAPI, with the URLs and the answers of https://pokeapi.co/api/v2:
--   /api/v2/pokemon/{number or name}    one Pokémon
--   /api/v2/pokemon?offset=20&limit=20  a page of the list of all 898
-- Numbers, names and species are the real ones. Height, weight and types are made from the number, to
-- give the answers their shape; with --data the answers are the real API's documents.
-- Model:  a script, and a module for scripts that start the API themselves: serve, url.
-- Errors: http.serve's; a document that is there but cannot be read is answered 500.
local this = debug.getinfo(1, "S").source
local is_script = this == "@" .. arg[0]
if is_script then package.path = (this:match("^@(.*/)") or "./") .. "?.lua;" .. package.path end

local rille = require "rille"
local http = require "rille.http"
local json = require "rille.json"
local pokedex = require "pokedex"

local ROOT = "/api/v2/"
local ENOENT = 2
local TYPES = {
  "normal", "fighting", "flying", "poison", "ground", "rock", "bug", "ghost", "steel", "fire",
  "water", "grass", "electric", "psychic", "ice", "dragon", "dark", "fairy",
}

local pokeapi = {}

local function json_text(body)
  return { headers = { ["content-type"] = "application/json; charset=utf-8" }, body = body }
end

local NOT_FOUND = { status = 404, body = "Not Found" }
local NOT_ALLOWED = { status = 405, headers = { allow = "GET, HEAD" }, body = "Method Not Allowed" }

-- The number of the Pokémon that a URL names, by its number or its name.
local function number_of(key)
  return key:find("^[1-9]%d*$") and math.tointeger(tonumber(key)) or pokedex.ids[key]
end

local function link(base, kind, name, id)
  return { name = name, url = base .. kind .. "/" .. id .. "/" }
end

local function types_of(base, id)
  local first = id * 7 % #TYPES
  local types = { first + 1 }
  if id % 2 == 0 then types[2] = (first + id % (#TYPES - 1) + 1) % #TYPES + 1 end
  for slot, number in ipairs(types) do
    types[slot] = { slot = slot, type = link(base, "type", TYPES[number], number) }
  end
  return types
end

local function pokemon(base, id)
  local height = 3 + id * 5 % 18 -- in decimetres
  return {
    id = id,
    name = pokedex.names[id],
    url = base .. "pokemon/" .. id .. "/",
    height = height,
    weight = height * height + id % 50, -- in hectograms
    types = types_of(base, id),
    species = link(base, "pokemon-species", pokedex.species[id], id),
  }
end

-- The document of the real API, as it is in the directory.
local function document(data, id)
  local path = ("%s/api/v2/pokemon/%d/index.json"):format(data, id)
  local file <close>, complaint, code = io.open(path, "rb")
  if code == ENOENT then return NOT_FOUND end
  return json_text(assert(assert(file, complaint):read("a")))
end

-- A number of the query, or its default, as the real API does when it is not one.
local function query_number(req, name, least, default)
  local text = req.query[name]
  local number = text and #text < 10 and text:find("^%d+$") and tonumber(text)
  return number and number >= least and number or default
end

local function page(base, req)
  local offset, limit = query_number(req, "offset", 0, 0), query_number(req, "limit", 1, 20)
  local count = #pokedex.names
  local function page_url(from)
    return ("%spokemon?offset=%d&limit=%d"):format(base, from, limit)
  end
  local results = {}
  for id = offset + 1, math.min(offset + limit, count) do
    results[#results + 1] = link(base, "pokemon", pokedex.names[id], id)
  end
  local text = json.encode {
    count = count,
    next = offset + limit < count and page_url(offset + limit) or json.null,
    previous = offset > 0 and page_url(math.max(offset - limit, 0)) or json.null,
    results = results,
  }
  return (text:gsub('"results":{}', '"results":[]')) -- cjson takes an empty table for an object
end

local function answer(req, data)
  if req.method ~= "GET" and req.method ~= "HEAD" then return NOT_ALLOWED end
  local base = "http://" .. (req.headers.host or "localhost") .. ROOT
  local path = req.path:gsub("/$", "")
  if path .. "/" == ROOT then return { json = { pokemon = base .. "pokemon/" } } end
  if path == ROOT .. "pokemon" then return json_text(page(base, req)) end
  local id = number_of(path:match("^" .. ROOT .. "pokemon/([^/]+)$") or "")
  if id and data then return document(data, id) end
  if pokedex.names[id] then return { json = pokemon(base, id) } end
  return NOT_FOUND
end

--- Serves the API on loopback.
---@param options? { port: integer?, data: string?, latency: number? }  data: the directory of the
---  real API's documents, as api/v2/pokemon/<number>/index.json; latency: seconds before each answer
---@return table server  of rille.http
function pokeapi.serve(options)
  options = options or {}
  return http.serve({ host = "127.0.0.1", port = options.port or 0 }, function(req)
    if options.latency then rille.sleep(options.latency) end
    return answer(req, options.data)
  end)
end

--- The URL of the API that a server of `serve` answers.
function pokeapi.url(server)
  return server.url .. "/api/v2"
end

if not is_script then return pokeapi end

local command = require "command"

local USAGE = [[
usage: pokeapi.lua [--port P] [--data DIR] [--latency S]

  --port P     the port to listen on, at 127.0.0.1 (default: any that is free)
  --data DIR   answer with the real API's documents, DIR/api/v2/pokemon/<number>/index.json
  --latency S  seconds to wait before each answer (default 0)
  --help       print this
]]

local options = command.options(USAGE, {
  port = command.integer(0, 65535),
  data = command.path,
  latency = command.seconds(0),
})

command.run(function()
  print("listening on " .. pokeapi.url(pokeapi.serve(options)))
end)
