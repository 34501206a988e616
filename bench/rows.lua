-- bench/rows.lua -- the claims: what is measured of ours and of its rivals, and what is to be reached.
-- Model:  a row has `name` (what `make bench ROW=` takes), `claim`, `unit`, `ours` (a program, see
--         bench/rivals.lua) and `rivals`, each with `name`, `program` and its reach. A command prints a
--         number first, or the pattern `read` finds it. Of a rate, more is better; of a row with `cost`,
--         less is. The reach `least = 4` is "at least four times as good"; `most = 1.5` is "at most 1.5 times
--         the rival's figure". A rival without a reach is there to be seen.
-- Sizes are those of the table, or tiny ones, so that each command is run and nothing is measured.
local rivals = require "bench.rivals"

local RILLE <const> = "bin/rille"
local BARE <const> = "build/bench/bare"
local SLOW <const> = { httpx = true, fetch = true }

--- The rows, for a site (bench/site.lua).
---@param site table
---@param is_smoke boolean tiny sizes
---@return table[]
return function(site, is_smoke)
  local function size(full, tiny) return tostring(is_smoke and tiny or full) end

  --- A script of ours.
  local function own(...) return { words = { RILLE, ... }, own = true } end

  local small, documents = site.url .. "/25", site.url .. "/pokemon/{}"
  local function bare(n, concurrency)
    return { words = { BARE, small, n, concurrency }, name = "gcc", check = "test -x " .. BARE, own = true }
  end

  --- The program of a peer: its kind is a function of bench/rivals.lua, or "bare". A slow one gets fewer
  --- requests.
  local function client_of(peer, arguments)
    if peer.kind == "bare" then return bare(arguments[2], arguments[3]) end
    arguments = table.move(arguments, 1, #arguments, 1, {})
    if SLOW[peer.client] then arguments[2] = tostring(math.max(arguments[2] // 10, 100)) end
    if peer.kind == "python" then
      return rivals.python(peer.modules, "bench/http_rival.py", peer.client, table.unpack(arguments))
    end
    return rivals[peer.kind]("bench/http_rival.mjs", peer.client, table.unpack(arguments))
  end

  --- A row of requests: rille and its peers with these arguments.
  local function http_row(name, claim, arguments, peers, ours)
    local row = { name = name, claim = claim, unit = "/s", rivals = {} }
    row.ours = own("bench/http.lua", table.unpack(ours or arguments))
    for i, peer in ipairs(peers) do
      local program = client_of(peer, arguments)
      row.rivals[i] = { name = peer.name, program = program, least = peer.reach }
    end
    return row
  end

  local function bare_c() return { kind = "bare", name = "bare C, not decoded", reach = 0.95 } end
  local function python(client, modules, name, reach)
    return { kind = "python", client = client, modules = modules, name = name, reach = reach }
  end
  local function node(client, name, reach, kind)
    return { kind = kind or "node", client = client, name = name, reach = reach }
  end
  local function aiohttp(reach) return python("aiohttp", "aiohttp, uvloop", "aiohttp + uvloop", reach) end
  local function undici(reach) return node("undici", "undici.request", reach, "undici") end

  local rows = {}
  local function add(row) rows[#rows + 1] = row end

  add(http_row("http-small", "155-byte JSON, 64 at a time, decoded",
    { small, size(20000, 200), "64", "decode" }, {
      bare_c(), aiohttp(4), node("fetch", "node fetch", 6), undici(1.3),
      python("httpx", "httpx", "httpx", 10),
    }))
  add(http_row("http-serial", "155-byte JSON, one at a time, decoded",
    { small, size(10000, 50), "1", "decode" }, { bare_c() }))

  local http2 = { site.tls_url .. "/25", size(10000, 200), "100", "decode", site.ca }
  local row = http_row("http2", "155-byte JSON over one TLS connection, 100 streams", http2, {
    python("httpx", "httpx, h2", "httpx http2", 1), node("http2", "node http2", 1),
  })
  table.insert(row.rivals, 1, {
    name = "h2load (ceiling)", read = "([%d.]+) req/s",
    program = rivals.command("h2load", "-n", http2[2], "-c", "1", "-m", "100", http2[1]),
  })
  add(row)

  for _, work in ipairs { "pointer", "decode" } do
    local count = size(898, 4)
    local reach, call = 6, 'json("/name")'
    if work == "decode" then reach, call = 1.5, "json().name" end
    add(http_row("documents-" .. work, "898 of 250 to 580 kB, 16 at a time, " .. call,
      { documents, count, "16", "decode" }, { aiohttp(reach), undici(reach) },
      { documents, count, "16", work }))
  end

  add {
    name = "json", claim = 'json("/name") of a document of 500 kB', unit = "/s",
    ours = own "bench/json.lua", read = "([%d.]+) documents/s by pointer",
    rivals = {
      { name = "json().name", least = 6, program = own "bench/json.lua", read = "pointer, ([%d.]+) decoded" },
    },
  }
  local document, times = "build/bench/documents/1", size(100, 1)
  add {
    name = "decode", claim = "a document of 580 kB to tables", unit = " ms", cost = true,
    ours = own("bench/decode.lua", "rille", document, times),
    rivals = {
      { name = "lua-cjson", least = 1.9, program = own("bench/decode.lua", "cjson", document, times) },
      { name = "Python's json", least = 1.5,
        program = rivals.python("", "bench/decode.py", document, times) },
      { name = "JSON.parse of Node", least = 1.2,
        program = rivals.node("bench/decode.mjs", document, times) },
    },
  }
  add {
    name = "step", claim = "a step of a generator, no wait", unit = " ns", cost = true,
    ours = own("bench/generator.lua", "step", size(400000, 1000)),
    rivals = {
      { name = "coroutine.wrap of lua5.4", most = 1.05,
        program = rivals.lua("bench/generator.lua", "wrap", size(400000, 1000)) },
      { name = "async for of CPython", most = 1,
        program = rivals.python("", "bench/generator.py", "step", size(400000, 1000)) },
      { name = "for await of Node", most = 1,
        program = rivals.node("bench/generator.mjs", "step", size(400000, 1000)) },
    },
  }
  local waits = size(30000, 300)
  add {
    name = "wait", claim = "a wait: one turn of the loop", unit = " ns", cost = true,
    ours = own("bench/generator.lua", "wait", size(100000, 300)),
    rivals = {
      { name = "asyncio.sleep(0)", least = 8,
        program = rivals.python("", "bench/generator.py", "wait", waits) },
      { name = "the same on uvloop", least = 4,
        program = rivals.python("uvloop", "bench/generator.py", "wait", waits, "uvloop") },
      { name = "setImmediate of Node", least = 5,
        program = rivals.node("bench/generator.mjs", "wait", waits) },
    },
  }
  add {
    name = "nesting", claim = "a wait, 100 an item, in 64 nested generators", unit = " ns", cost = true,
    ours = own("bench/nesting.lua", "64", size(1000, 3)),
    rivals = {
      { name = "at depth 0", most = 1.5,
        program = own("bench/nesting.lua", "0", size(1000, 3)) },
    },
  }
  add {
    name = "pipeline", claim = "map, filter, take over 1e6 items", unit = " items/s",
    ours = own("bench/pipeline.lua", size(1000000, 1000)),
    rivals = {
      { name = "aiostream", least = 20,
        program = rivals.python("aiostream", "bench/pipeline.py", size(1000000, 1000)) },
      { name = "Node's Readable.map, filter, take", least = 2,
        program = rivals.node("bench/pipeline.mjs", "readable", size(1000000, 1000)) },
      { name = "Node's iterator helpers, which cannot wait", least = 2,
        program = rivals.iterators("bench/pipeline.mjs", "iterator", size(1000000, 1000)) },
    },
  }
  add {
    name = "operator", claim = "a stage that maps", unit = " ns", cost = true,
    ours = own("bench/operators.lua", size(20000, 100), "map"),
    rivals = {
      { name = "as a coroutine that pulls", least = 2,
        program = own("bench/operators.lua", size(20000, 100), "coroutine") },
      { name = "as a closure (floor)",
        program = own("bench/operators.lua", size(20000, 100), "closure") },
    },
  }
  add {
    name = "map", claim = "100,000 requests by map{n=64}", unit = "/s",
    ours = own("bench/pool.lua", "map", small, size(100000, 200), "64"),
    rivals = {
      { name = "workers by hand, in rille", least = 0.95,
        program = own("bench/pool.lua", "workers", small, size(100000, 200), "64") },
    },
  }

  local function memory_row(name, claim, ...)
    add {
      name = name, claim = claim, unit = " B", cost = true, ours = own("bench/memory.lua", ...),
      rivals = {
        { name = "asyncio", most = 1, program = rivals.python(name == "memory-connection" and "aiohttp" or "",
          "bench/memory.py", ...) },
        { name = "Node", most = 1, program = rivals.node("--expose-gc", "bench/memory.mjs", ...) },
      },
    }
  end
  memory_row("memory-task", "resident memory of a sleeping task", "tasks", size(100000, 100))
  memory_row("memory-million", "the same, of a million", "tasks", size(1000000, 100))
  memory_row("memory-connection", "resident memory of an idle kept connection", "connections", small,
    size(500, 10))

  local function wrk(program, ...)
    local check = program.check and program.check .. " && command -v wrk" or "command -v wrk"
    return { name = program.name and program.name .. " and wrk" or "wrk", check = check, own = program.own,
      words = { "sh", "bench/wrk.sh", size(3, 1), ... } }
  end
  local function server(program) return wrk(program, "--", table.unpack(program.words)) end
  add {
    name = "server", claim = "155-byte JSON served, kept connections, wrk -c64, one core", unit = "/s",
    ours = server(own "bench/server.lua"), spread = true,
    rivals = {
      { name = "nginx (ceiling)", program = wrk({}, small) },
      { name = "aiohttp + uvloop", least = 1,
        program = server(rivals.python("aiohttp, uvloop", "bench/server.py")) },
      { name = "node http", least = 1, program = server(rivals.node("bench/server.mjs")) },
    },
  }
  local function startup(program)
    table.move(program.words, 1, #program.words, 3)
    program.words[1], program.words[2] = "sh", "bench/startup.sh"
    return program
  end
  add {
    name = "start", claim = "an empty program, from start to end", unit = " ms", cost = true,
    ours = startup(own("-e", "")), environment = { RUNS = size(50, 1) },
    rivals = {
      { name = "lua5.4", most = 3, program = startup(rivals.lua("-e", "")) },
      { name = "node", most = 1, program = startup(rivals.node("-e", "")) },
      { name = "python3", most = 1, program = startup(rivals.python("", "-c", "")) },
    },
  }
  add {
    name = "build", claim = "a program that was built, from start to end", unit = " ms", cost = true,
    ours = startup { words = { "build/bench/start" }, own = true },
    environment = { RUNS = size(50, 1), LUA_PATH = "bench/?.lua" },
    rivals = { { name = "its script", most = 1.1, program = startup(own "bench/start.lua") } },
  }
  return rows
end
