-- Streams and their operators. R<n> are the rules of the semantics that the project promises; C<n> are the
-- points of the contract that every operator meets.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local rille = require("rille")
local stream = require("rille.stream")
local fault = require("rille.host.fault")
local expect = require("spec.helper.expect")
local helper = require("spec.helper.streams")

local EXPECTED = "expected a stream, a generator function, an iterator function or a list, got "

local caught, has, blames = expect.caught, expect.has, helper.blames
local closer, logged = expect.closer, helper.logged
local items, turns = helper.items, expect.turns

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

local function double(v) return v * 2 end
local function even(v) return v % 2 == 0 end
local function same(...) return ... end

-- How many calls are on the stack.
local function depth()
  local n = 1
  while debug.getinfo(n + 1, "l") do n = n + 1 end
  return n
end

-- The file and line of the caller.
local function here()
  local info = debug.getinfo(2, "Sl")
  return info.short_src, info.currentline
end

describe("rille.stream: the protocol", function()
  it("R3 every function and method that makes a stream returns the four values of a loop", function()
    local g = logged({}, "g")
    local made = {
      table.pack(stream.from({ 1 })), table.pack(stream.range(1, 2)), table.pack(stream.chain({ 1 })),
      table.pack(g:map(same)), table.pack(g:filter(same)), table.pack(g:tap(same)),
      table.pack(g:take(1)), table.pack(g:take(0)), table.pack(g:drop(1)), table.pack(g:take_while(same)),
      table.pack(g:drop_while(same)), table.pack(g:enumerate()), table.pack(g:scan(same)),
      table.pack(g:chunks(1)), table.pack(g:flat_map(same)), table.pack(g:flatten()),
      table.pack(g:map(same, { n = 2 })), table.pack(g:chain({ 1 })),
      table.pack(stream.from(stream.range(1))), table.pack(stream.from(g)), table.pack(g:map(same):each()),
    }
    for i, r in ipairs(made) do
      assert.equal(4, r.n, "stream " .. i)
      assert.is_true(rawequal(r[1], r[2]) and r[3] == nil and rawequal(r[1], r[4]), "stream " .. i)
      assert.equal("created", r[1]:status())
    end
    g:close()
  end)

  it("R3 R55 a loop over a chain of methods closes the source before the statement after it", function()
    local log = {}
    for v in logged(log, "closed"):map(double):filter(even) do
      assert.equal(2, v)
      break
    end
    log[#log + 1] = "after"
    assert.same({ "closed", "after" }, log)
  end)

  it("R2 a stream is its own iterator and keeps its position", function()
    local s = stream.range(1, 5)
    assert.equal(1, (s:next()))
    assert.is_true(rawequal(s, (s:each())))
    assert.same({ { 2 }, { 3 }, { 4 }, { 5 } }, items(s:each()))
  end)

  it("R5 s() is s:next(), and arguments are ignored", function()
    local s = stream.range(1, 3)
    assert.same({ 1, 2, 3 }, { s(), s:next("x", nil), (s("y")) })
  end)

  it("R14 all values of an item pass, with embedded and trailing nils", function()
    local g = rille.generator(function()
      coroutine.yield("k", nil, "v")
      coroutine.yield("k", nil)
      coroutine.yield("k")
    end)
    local s = g():map(same):filter(same):tap(same):take(9):drop(0):take_while(same)
    assert.equal(3, select("#", s:next()))
    assert.equal(2, select("#", s:next()))
    assert.equal(1, select("#", s:next()))
    assert.equal(1, select("#", s:next()))
  end)

  it("R16 R17 false is an item, nil only the end", function()
    local s = stream.from({ false, true, false }):map(function(v) return not v end)
    assert.same({ { true }, { false }, { true } }, items(s))
    assert.same({ false, false }, stream.from({ false, false }):collect())
    assert.same({ false }, stream.from({ true, false }):filter(function(v) return not v end):collect())
    assert.same({ { false } }, stream.from({ false }):chunks(2):collect())
    assert.equal(2, stream.from({ false, false }):count())
    assert.is_false(stream.from({ false }):first("default"))
    assert.is_false(stream.from({ 1, false }):last())
    assert.same({ false }, stream.from({ 1 }):map(function() return false end, { n = 2 }):collect())
  end)

  it("R24 after the end every next returns nil", function()
    local s = stream.range(1, 1):map(same)
    assert.equal(1, (s:next()))
    for _ = 1, 3 do
      assert.equal(1, select("#", s:next()))
      assert.is_nil((s:next()))
    end
    assert.equal("exhausted", s:status())
  end)

  it("R24 a plain iterator function is not called again after its end", function()
    local calls = 0
    local s = stream.from(function() calls = calls + 1 end)
    for _ = 1, 3 do assert.is_nil((s:next())) end
    assert.equal(1, calls)
  end)

  it("R33 next on a failed stream is an error that names the cause", function()
    local s = stream.range(1, 3):map(function() error("broken", 0) end):filter(same)
    assert.equal("broken", caught(s.next, s))
    has(caught(s.next, s), "stream already failed: broken")
    has(caught(s.collect, s), "stream already failed: broken")
    assert.equal("failed", s:status())
    s:close() -- R45: the error is not repeated
  end)

  it("R33 a stream made from a failed one does not end in silence", function()
    local s = stream.range(1, 3):map(function() error("broken", 0) end)
    assert.equal("broken", caught(s.next, s))
    has(caught(function() return s:filter(same):collect() end), "stream already failed: broken")
    has(caught(function() return stream.chain(s, { 1 }):collect() end), "stream already failed: broken")
  end)

  it("R15 a function that returns nil is an error, not the end", function()
    for _, s in ipairs({
      (stream.range(1, 3):map(function() return nil end)),
      (stream.range(1, 3):map(function() return nil end):filter(same)),
      (stream.range(1, 3):map(function() return nil end):map(tostring)),
      (stream.range(1, 3):scan(function() return nil end, 0)),
      (stream.range(1, 3):map(function() return nil end, { n = 2 })),
    }) do
      has(caught(s.next, s), "returned nil; an item must not be nil")
      assert.equal("failed", s:status())
    end
    has(caught(function()
      stream.range(1, 3):map(function() return nil end):count()
    end), "'map' returned nil")
  end)

  it("R29 an error travels as the same object, whatever it is", function()
    for _, thrown in ipairs({ "text", 7, {}, false, fault.new("EX", "mine") }) do
      local s = stream.range(1, 3):map(function() error(thrown, 0) end):filter(same)
      assert.is_true(rawequal(thrown, caught(s.next, s)))
    end
  end)

  it("R39 error(nil) is an error too", function()
    local log = {}
    local s = logged(log, "closed"):map(function() error(nil) end)
    assert.is_nil(caught(s.next, s))
    assert.equal("failed", s:status())
    assert.same({ "closed" }, log)
  end)

  it("R41 closing a created stream starts nothing and closes its sources", function()
    local ran = false
    local g = rille.generator(function() ran = true end)()
    local s = g:map(same):take(2)
    assert.equal("created", s:status())
    s:close()
    assert.is_false(ran)
    assert.equal("closed", s:status())
    assert.equal("closed", g:status())
    assert.is_nil((s:next()))
  end)

  it("R44 close is idempotent", function()
    local log = {}
    local s = logged(log, "closed"):map(same)
    s:next()
    s:close()
    s:close()
    s:close()
    assert.same({ "closed" }, log)
    assert.equal("closed", s:status())
  end)

  it("R49 R84 next and close from inside a step are errors, and the stream goes on", function()
    local s, errors = nil, {}
    s = stream.range(1, 3):map(function(v)
      errors[1] = caught(s.next, s)
      errors[2] = caught(s.close, s)
      errors[3] = caught(function() for _ in s:each() do error("not reached") end end)
      errors[4] = caught(s.collect, s)
      assert.equal("running", s:status())
      return v
    end)
    assert.equal(1, (s:next()))
    has(errors[1], "stream already running")
    has(errors[2], "cannot close a running stream from inside it; use return")
    has(errors[3], "stream already running")
    has(errors[4], "stream already running")
    assert.equal("suspended", s:status())
    assert.same({ 2, 3 }, s:collect())
  end)

  it("R58 keep leaves the stream open", function()
    local log = {}
    local s = logged(log, "closed"):map(double)
    for v in s:keep() do if v == 4 then break end end
    assert.same({}, log)
    assert.equal("suspended", s:status())
    assert.equal(6, (s:next()))
    s:close()
    assert.same({ "closed" }, log)
  end)

  it("R58 an operator over keep leaves the generator open", function()
    local log = {}
    local g = logged(log, "closed")
    assert.same({ 1, 2 }, stream.from(g:keep()):take(2):collect())
    assert.equal("suspended", g:status())
    assert.equal(3, (g:next()))
    g:close()
  end)

  it("R59 a new loop over a stream that a loop closed early names that loop", function()
    local file, line = here()
    local function leave(s) for _ in s:each() do break end end
    local closed = ("stream was closed by the loop at %s:%d; use s:keep() for a loop that leaves it open")
      :format(file, line + 1)
    local s = stream.range(1, 9):map(same)
    leave(s)
    for _, again in ipairs({
      function() for _ in s:each() do return end end,
      function() for _ in s do return end end,
      function() local v = s() return v end,
      function() local v = s:collect() return v end,
      function() local v = s:all() return v end,
      function() local v = s:first() return v end,
    }) do
      local info = debug.getinfo(again, "S")
      assert.equal(("%s:%d: %s"):format(info.short_src, info.linedefined, closed), caught(again))
    end
    assert.equal("closed", s:status())
    for _ = 1, 2 do assert.is_nil((s:next())) end -- R24
    assert.same({}, items(s:keep()))
    for _ = 1, 2 do
      has(caught(function() s:filter(same):collect() end), closed)
    end
  end)

  it("R59 so do the streams under the one of that loop, and those next to it", function()
    local function leave(...) for _ in ... do break end end
    for name, take in pairs({
      map = function(s) return s:map(same) end,
      ["map with n > 1"] = function(s) return s:map(same, { n = 2 }) end,
      chain = function(s) return stream.chain({ 0 }, s) end,
      flat_map = function(s) return s:flat_map(function(v) return { v } end) end,
      flatten = function(s) return stream.flatten({ s }) end,
      ["closing value"] = function(s) return stream.from(function() return 1 end, nil, nil, s) end,
    }) do
      local base = stream.range(1, 9)
      local s, next_to_it = base:tap(same), base:filter(same)
      leave(take(s))
      for _, left in ipairs({ s, base, next_to_it }) do
        local err = caught(function() for _ in left do error("not reached") end end)
        has(name .. ": " .. err, "stream was closed by the loop at ")
      end
    end
  end)

  it("R59 so does the generator under it, and it was made where the script made it", function()
    local g = rille.generator(function() for i = 1, 3 do coroutine.yield(i) end end)()
    local line = debug.getinfo(1, "l").currentline + 1
    for _ in g:map(function(v) return v end) do break end
    has(caught(function() for _ in g do error("not reached") end end),
      ("generator was closed by the loop at spec/stream_spec.lua:%d"):format(line))
    line = debug.getinfo(1, "l").currentline + 1
    local s = stream.map(rille.generator(function() error("mine") end), function(v) return v end)
    has(rille.traceback(caught(s.next, s)), ("generator made at spec/stream_spec.lua:%d"):format(line))
  end)

  it("R59 a stream that has ended otherwise, or was closed by hand, is empty", function()
    local ended, closed, short = stream.range(1, 3), stream.range(1, 3), stream.range(1, 3)
    for v in ended:each() do assert(v) end
    closed:close()
    short:take(2):collect()
    for _, s in ipairs({ ended, closed, short }) do
      assert.same({}, items(s:each()))
      assert.same({}, s:collect())
    end
  end)

  it("R59 the loop is named if it closed the stream in another task's step, too", function()
    local s = stream.range(1, 9):map(function(v) turns(3) return v end)
    local waiting = rille.spawn(function() return caught(s.next, s) end)
    turns(1)
    for _ in (function() return 1 end), nil, nil, s do break end
    assert.equal("stream closed by another task", waiting:await())
    has(caught(function() for _ in s do error("not reached") end end), "stream was closed by the loop at ")
  end)

  it("R1 C1 making a stream starts nothing", function()
    local ran = false
    local g = rille.generator(function() ran = true end)
    local _ = g():map(same):take(1)
    _ = g():map(same, { n = 3 })
    _ = stream.chain(g, g)
    assert.is_false(ran)
  end)

  it("R20 throw closes the sources and raises the error", function()
    local log, mine = {}, {}
    local s = logged(log, "closed"):map(same)
    s:next()
    assert.is_true(rawequal(mine, caught(s.throw, s, mine)))
    assert.same({ "closed" }, log)
    has(caught(s.next, s), "stream already failed")
    assert.is_true(rawequal(mine, caught(s.throw, s, mine)))
  end)

  it("R113 status and tostring tell the state", function()
    local seen
    local s = stream.range(1, 2):map(function(v) return v end):take(2)
    assert.equal("created", s:status())
    assert.equal("stream range:map:take (created)", tostring(s))
    s:next()
    assert.equal("suspended", s:status())
    s:next()
    s:next()
    assert.equal("exhausted", s:status())
    local t
    t = stream.range(1, 1):map(function() seen = t:status() return 1 end)
    t:next()
    assert.equal("running", seen)
    local u = stream.range(1, 1):map(function() rille.sleep(0) return 1 end)
    local other = rille.spawn(function() u:next() end)
    turns(1)
    assert.equal("waiting", u:status())
    other:await()
    local v
    v = stream.from(logged({}, "x")):tap(function() end)
    v:next()
    local states = {}
    local w = (rille.generator(function()
      local _ <close> = closer(function() states[1] = v:status() end)
      coroutine.yield(1)
    end)())
    v:close()
    v = w:map(same)
    v:next()
    v:close()
    assert.same({ "closing" }, states)
    assert.is_nil((v:result()))
  end)

  it("R7 a method on a wrong self says what it expected", function()
    local s = stream.range(1)
    for _, name in ipairs({ "next", "each", "keep", "close", "status", "throw", "result" }) do
      has(caught(s[name], {}),
        ("bad argument #1 to '%s' (rille.Stream expected, got table; is it called with ':'?)"):format(name))
    end
  end)

  it("R85 tasks may advance a stream one after another", function()
    local s = stream.range(1, 4):map(function(v) rille.sleep(0) return v end)
    local seen = {}
    for _ = 1, 4 do rille.spawn(function() seen[#seen + 1] = s:next() end):await() end
    assert.same({ 1, 2, 3, 4 }, seen)
    s:close()
  end)

  it("R80 a second next while one is under way is refused, the first is unaffected", function()
    local s = stream.range(1, 4):map(function(v) rille.sleep(0) return v end)
    local first
    local other = rille.spawn(function() first = s:next() end)
    turns(1)
    has(caught(s.next, s), "stream already running")
    has(caught(s.collect, s), "stream already running")
    other:await()
    assert.equal(1, first)
    assert.equal(2, (s:next()))
    s:close()
  end)

  it("R80 the streams over one source share its lock", function()
    local base = stream.range(1, 9)
    local s = base:map(function(v) rille.sleep(0) return v end)
    local c = stream.chain(s, { 10 })
    assert.equal(1, (base:next()))
    assert.equal(2, (s:next()))
    assert.equal(3, (c:next()))
    local other = rille.spawn(function() return c:next() end)
    turns(1)
    has(caught(base.next, base), "stream already running")
    has(caught(s.next, s), "stream already running")
    assert.equal(4, other:await())
    assert.equal(5, (base:next()))
    assert.equal(6, (s:next()))
    assert.equal(7, (c:next()))
    c:close()
    assert.equal("closed", base:status())
  end)

  it("R46 R47 R48 a close from another task ends the step: both return, cleanup is done once", function()
    local log, err = {}, nil
    local s = logged(log, "source"):map(function(v) turns(3) return v end)
    local consumer = rille.spawn(function()
      err = caught(s.next, s)
      log[#log + 1] = "next"
    end)
    turns(1)
    local second = rille.spawn(function()
      s:close()
      log[#log + 1] = "second close"
    end)
    s:close()
    log[#log + 1] = "close"
    second:await()
    consumer:await()
    assert.equal("stream closed by another task", err)
    assert.equal("source", log[1])
    assert.equal(4, #log)
    assert.equal("closed", s:status())
    assert.is_nil((s:next()))
  end)
end)

describe("rille.stream: sources", function()
  it("R9 C2 takes generators, generator functions, iterators, callables, lists and streams", function()
    local gen = rille.generator(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end)
    local function counter()
      local i = 0
      return function()
        i = i + 1
        if i <= 3 then return i end
      end
    end
    local sources = {
      (gen()), gen, counter(), { 1, 2, 3 }, setmetatable({ 1, 2, 3 }, {}), (stream.range(1, 3)),
      coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end),
      setmetatable({}, { __call = counter() }),
    }
    for i, source in ipairs(sources) do
      assert.same({ 2, 4, 6 }, stream.map(source, double):collect(), "source " .. i)
    end
  end)

  it("R9 a plain coroutine that waits is a source too", function()
    local s = stream.map(coroutine.wrap(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(i)
      end
    end), double)
    assert.same({ 2, 4, 6 }, s:collect())
  end)

  it("R9 from takes the values of a generic for", function()
    assert.same({ { 1, "a" }, { 2, "b" } }, stream.from(ipairs({ "a", "b" })):collect())
    local seen = {}
    for k, v in stream.from(pairs({ x = 1, y = 2 })) do seen[k] = v end
    assert.same({ x = 1, y = 2 }, seen)
  end)

  it("R60 from closes the closing value, once, at the end and on break", function()
    local closed = 0
    local function lines(n)
      local i = 0
      return function()
        i = i + 1
        if i <= n then return i end
      end, nil, nil, closer(function() closed = closed + 1 end)
    end
    assert.same({ 1, 2 }, stream.from(lines(2)):collect())
    assert.equal(1, closed)
    for _ in stream.from(lines(2)) do break end
    assert.equal(2, closed)
    local s = stream.from(lines(2))
    s:close()
    s:close()
    assert.equal(3, closed)
  end)

  it("R60 from closes the file of io.lines", function()
    local path = os.tmpname()
    local file = assert(io.open(path, "w"))
    assert(file:write("a\nb\nc\n"))
    assert(file:close())
    local _, _, _, handle = io.lines(path)
    assert(handle:close())
    local f, s, c, h = io.lines(path)
    assert.equal("a", (stream.from(f, s, c, h):first()))
    assert.equal("closed file", io.type(h))
    assert.same({ "a", "b", "c" }, stream.from(io.lines(path)):collect())
    assert(os.remove(path))
  end)

  it("R60 a callable that can be closed is closed", function()
    local closed = 0
    local function make()
      return setmetatable({}, {
        __call = function() return 1 end,
        __close = function() closed = closed + 1 end,
      })
    end
    assert.same({ 1, 1 }, stream.take(make(), 2):collect())
    assert.equal(1, closed)
    assert.equal(1, (stream.from(make()):first()))
    assert.equal(2, closed)
  end)

  it("from gives a stream and a generator back as they are", function()
    local g, s = logged({}, "g"), stream.range(1, 3)
    assert.is_true(rawequal(g, (stream.from(g))))
    assert.is_true(rawequal(s, (stream.from(s))))
  end)

  it("R6 the extra values of a generator call corrupt nothing", function()
    local gen = rille.generator(function(a) for i = a, a + 1 do coroutine.yield(i) end end)
    assert.same({ 1, 2 }, stream.collect(gen(1)))
    assert.same({ 1, 2 }, stream.from(gen(1)):collect())
    assert.same({ 1, 2, 5, 6 }, stream.chain(gen(1), gen(5)):collect())
    assert.same({ 1, 2 }, stream.chain(gen(1)):collect())
    assert.same({ 1, 2, 5, 6 }, gen(1):chain(gen(5)):collect())
    assert.same({ { 1, 1 }, { 2, 2 } }, items(stream.enumerate(gen(1))))
    assert.equal(1, (stream.first(gen(1))))
    assert.equal(2, (stream.last(gen(1))))
    assert.equal("12", stream.join(gen(1)))
    assert.is_true(stream.any(gen(1)))
    assert.is_true(stream.all(gen(1)))
    assert.equal(2, stream.count(gen(1)))
  end)

  it("R6 the same live stream given twice is an error", function()
    local g, s = logged({}, "g"), stream.range(1)
    has(caught(stream.chain, g, g), "bad argument #2 to 'chain' (the same stream is given twice)")
    has(caught(stream.chain, s, { 1 }, s), "bad argument #3 to 'chain' (the same stream is given twice)")
  end)
end)

describe("rille.stream: misuse", function()
  it("R7 what cannot be iterated is refused when the stream is made, on the caller's line", function()
    blames(function()
      stream.map(5, same)
    end, "bad argument #1 to 'map' (" .. EXPECTED .. "number)")
    blames(function()
      stream.from(nil)
    end, "bad argument #1 to 'from' (" .. EXPECTED .. "nil)")
    blames(function()
      stream.collect("text")
    end, "bad argument #1 to 'collect' (" .. EXPECTED .. "string)")
    blames(function()
      stream.chain({}, true)
    end, "bad argument #2 to 'chain' (" .. EXPECTED .. "boolean)")
    blames(function()
      stream.take(io.stdout, 1)
    end, "bad argument #1 to 'take' (" .. EXPECTED .. "FILE*)")
  end)

  it("R7 a method counts its arguments without the stream", function()
    blames(function()
      stream.range(1):map(5)
    end, "bad argument #1 to 'map' (function expected, got number)")
    blames(function()
      stream.map({}, nil)
    end, "bad argument #2 to 'map' (function expected, got nil)")
    local g = logged({}, "g")
    blames(function()
      g:filter({})
    end, "bad argument #1 to 'filter' (function expected, got table)")
  end)

  it("counts must be integers in range: no NaN, infinity, fraction or text", function()
    local s = stream.range(1)
    for _, n in ipairs({ 0 / 0, math.huge, -math.huge, 0, -1, 1.5, "2", {} }) do
      has(caught(s.chunks, s, n), "an integer >= 1 expected")
      has(caught(s.map, s, same, { n = n }), "bad option 'n' (an integer >= 1 expected, got ")
      has(caught(s.each_do, s, same, { n = n }), "bad option 'n' (an integer >= 1 expected, got ")
      has(caught(s.flat_map, s, same, { n = n }), "bad option 'n' (an integer >= 1 expected, got ")
      has(caught(s.collect, s, n), "an integer >= 1 expected")
    end
    for _, n in ipairs({ 0 / 0, math.huge, -1, 1.5, "2" }) do
      has(caught(s.take, s, n), "an integer >= 0 expected")
      has(caught(s.drop, s, n), "an integer >= 0 expected")
    end
    has(caught(s.take, s), "bad argument #2 to 'take' (an integer >= 0 expected, got nil)")
    has(caught(s.take, s, 0 / 0), "got nan)")
    assert.equal("created", s:status())
    assert.same({ { 1, 2 } }, s:chunks(2.0):take(1.0):collect())
  end)

  it("R49 an operator that finds the stream running blames its caller", function()
    local s, err
    s = stream.range(1, 1):map(function(v)
      err = caught(function() s:count() end)
      return v
    end)
    s:next()
    local info = debug.getinfo(1, "S")
    has(err, info.short_src .. ":")
    has(err, ": stream already running")
  end)

  it("options are checked", function()
    local s = stream.range(1)
    has(caught(s.map, s, same, 4), "bad argument #3 to 'map' (table expected, got number)")
    has(caught(s.map, s, same, { order = true }), "unknown option 'order', did you mean 'ordered'?")
    has(caught(s.map, s, same, { ordered = 1 }), "bad option 'ordered' (boolean expected, got number)")
    has(caught(s.flat_map, s, same, { n = 0 }), "bad option 'n' (an integer >= 1 expected, got 0)")
    has(caught(s.enumerate, s, "x"), "bad argument #2 to 'enumerate' (an integer expected, got string)")
    has(caught(s.join, s, 5), "bad argument #2 to 'join' (string expected, got number)")
    has(caught(s.any, s, 5), "bad argument #2 to 'any' (function expected, got number)")
    has(caught(stream.range), "bad argument #1 to 'range' (number expected, got nil)")
    has(caught(stream.range, 1, "2"), "bad argument #2 to 'range' (number expected, got string)")
    has(caught(stream.range, 1, 2, 0), "bad argument #3 to 'range' (step is zero)")
    has(caught(stream.range, 1, 0 / 0), "bad argument #2 to 'range' (not a number)")
  end)

  it("what an operator refuses is not closed", function()
    local g = logged({}, "g")
    g:next()
    caught(function() g:map(nil) end)
    assert.equal("suspended", g:status())
    g:close()
  end)
end)

describe("rille.stream: the operators", function()
  it("range counts as a numeric for does", function()
    for _, r in ipairs({
      { 1, 3 }, { 3, 1 }, { 3, 1, -1 }, { 1, 10, 4 }, { 0, 1, 0.25 }, { 1.0, 3 }, { 1, 3.7 },
      { -1, -3.7, -1 },
      { math.maxinteger - 1, math.maxinteger }, { math.mininteger, math.mininteger + 2, 2 }, { 5, 5 },
      { math.mininteger, math.maxinteger, math.maxinteger }, { 1, -math.huge }, { 3, 1.5, -1 },
      { math.maxinteger, math.mininteger, math.mininteger }, { 0, math.mininteger, math.mininteger },
      { math.maxinteger - 2, math.huge },
    }) do
      local expected = {}
      for i = r[1], r[2], r[3] or 1 do expected[#expected + 1] = i end
      local got = stream.range(table.unpack(r)):collect()
      assert.same(expected, got)
      for i, v in ipairs(got) do assert.equal(math.type(expected[i]), math.type(v)) end
    end
    assert.same({ 7, 8, 9 }, stream.range(7):take(3):collect())
    assert.same({ 0, -2 }, stream.range(0, nil, -2):take(2):collect())
    assert.same({ 1, 2 }, stream.range(1, math.huge):take(2):collect())
    assert.equal(math.mininteger, (stream.range(math.mininteger, math.maxinteger):first()))
    assert.equal(math.maxinteger, (stream.range(math.maxinteger, math.mininteger, -1):first()))
  end)

  it("a range of any length ends where it should, and lets the loop have its turn on the way", function()
    local seen = 0
    local other = rille.spawn(function()
      while true do
        rille.sleep(0)
        seen = seen + 1
      end
    end)
    rille.sleep(0)
    for _, n in ipairs { 1023, 1024, 1025, 2048, 2049 } do
      seen = 0
      assert.equal(n, stream.range(1, n):count())
      assert.equal((n - 1) // 1024, seen)
    end
    other:cancel()
  end)

  it("map gives what f returns, all values, in order", function()
    assert.same({ 2, 4, 6 }, stream.map({ 1, 2, 3 }, double):collect())
    assert.same({ { 1, 2 }, { 2, 4 } }, items(stream.map({ 1, 2 }, function(v) return v, v * 2 end)))
    assert.same({ 2, 4 }, stream.map({ 1, 2 }, double, { n = 1 }):collect())
  end)

  it("map and filter keep the values of items of one value, false ones too", function()
    local sizes = {}
    for _, source in ipairs { (stream.range(1, 3)), (stream.from { 1, 2, 3 }) } do
      local s = source:filter(function(...) return select("#", ...) == 1 and ... ~= 2 end)
        :map(function(...)
          sizes[#sizes + 1] = select("#", ...)
          return (...), nil, nil
        end)
      assert.equal(3, select("#", s:next()))
      s:close()
    end
    assert.same({ 1, 1 }, sizes)
    local function negate(v) return not v end
    assert.same({ false, false }, stream.from { false, 1, false }:filter(negate):collect())
    assert.same({ true, false }, stream.from { false, 1 }:map(negate):collect())
    assert.has_error(function() stream.range(1, 3):map(function() end):filter(even):collect() end,
      "the function of 'map' returned nil; an item must not be nil (return false or a table)")
  end)

  it("R69 map and filter get an item of a list or a range that came after a time-out", function()
    local _ <close> = rille.test.clock()
    local function slow_list()
      return (stream.from(setmetatable({}, { __index = function(_, i)
        if i > 3 then return nil end
        rille.sleep(1)
        return i
      end })))
    end
    local function long_range() -- the loop has its turn before the next number
      local s = stream.range(-1023, 3)
      for _ = -1023, 0 do s:next() end
      return s
    end
    for _, make in ipairs { slow_list, long_range } do
      for _, wait in ipairs { 0, 2 } do
        local s = make()
        assert.same({ nil, "timeout", n = 2 }, table.pack(s:next_within(0)))
        rille.sleep(wait)
        assert.same({ 2, 4, 6 }, s:map(double):collect())
        s = make()
        assert.same({ nil, "timeout", n = 2 }, table.pack(s:next_within(0)))
        rille.sleep(wait)
        assert.same({ 4 }, s:filter(even):map(double):collect())
        s = make():map(double)
        assert.same({ nil, "timeout", n = 2 }, table.pack(s:next_within(0)))
        rille.sleep(wait)
        assert.same({ 2, 4, 6 }, s:filter(even):collect())
      end
    end
  end)

  it("C8 functions may wait and get all values of an item", function()
    local s = stream.enumerate({ "a", "b", "c" })
      :filter(function(i, v) rille.sleep(0) return i ~= 2 and v end)
      :map(function(i, v) rille.sleep(0) return v .. i, i end)
      :tap(function(v, i) rille.sleep(0) assert.is_truthy(v and i) end)
      :take_while(function(v, i) rille.sleep(0) return v and i end)
    assert.same({ { "a1", 1 }, { "c3", 3 } }, items(s))
  end)

  it("filter passes the items that pred accepts", function()
    assert.same({ 2, 4 }, stream.range(1, 5):filter(even):collect())
    assert.same({}, stream.range(1, 5):filter(function() return nil end):collect())
  end)

  it("filter rejects any number of items in a row without using up the stack", function()
    local first, last
    local n = STRESSED and 200 or 1000
    local s = stream.range(1, n):drop(10):drop_while(function(v) return v < 100 end):filter(function(v)
      first = first or depth()
      last = depth()
      return v == n
    end)
    assert.equal(n, (s:first()))
    assert.equal(first, last)
  end)

  it("take closes the source right after item n", function()
    local log = {}
    local g = logged(log, "closed")
    local s = g:take(2)
    assert.equal(1, (s:next()))
    assert.same({}, log)
    assert.equal(2, (s:next()))
    assert.same({ "closed" }, log)
    assert.is_nil((s:next()))
    assert.same({}, stream.take({}, 3):collect())
    assert.same({ 1 }, stream.take({ 1 }, 3):collect())
  end)

  it("take(0) never starts the source, and closes it", function()
    local ran = false
    local g = rille.generator(function() ran = true end)()
    assert.same({}, g:take(0):collect())
    assert.is_false(ran)
    assert.equal("closed", g:status())
  end)

  it("C6 take delivers item n before an error of the source's cleanup", function()
    local gen = rille.generator(function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      for i = 1, 9 do coroutine.yield(i) end
    end)
    local seen = {}
    assert.equal("cleanup", caught(function() for v in gen():take(2) do seen[#seen + 1] = v end end))
    assert.same({ 1, 2 }, seen)
    local s = gen():take(1)
    assert.equal(1, (s:next()))
    assert.equal("cleanup", caught(s.close, s))
    s:close()
    local t = gen():take(1):map(double)
    assert.equal("cleanup", caught(t.first, t))
  end)

  it("drop leaves out the first n", function()
    assert.same({ 3, 4 }, stream.range(1, 4):drop(2):collect())
    assert.same({ 1 }, stream.range(1, 1):drop(0):collect())
    assert.same({}, stream.range(1, 4):drop(9):collect())
  end)

  it("take_while closes the source at the first item that pred refuses", function()
    local log = {}
    assert.same({ 1, 2 }, logged(log, "a"):take_while(function(v) return v < 3 end):collect())
    assert.same({ 1, 2, 3 },
      logged(log, "b"):take_while(function(v) return v < 3 end, { inclusive = true }):collect())
    local s = logged(log, "c"):take_while(function() return false end, { inclusive = true })
    assert.equal(1, (s:next()))
    assert.same({ "a", "b", "c" }, log)
    assert.is_nil((s:next()))
  end)

  it("drop_while passes everything from the first item that pred refuses", function()
    local s = stream.from({ 1, 2, 3, 1, 2 }):drop_while(function(v) return v < 3 end)
    assert.same({ 3, 1, 2 }, s:collect())
  end)

  it("enumerate puts a number in front", function()
    assert.same({ { 1, "a" }, { 2, "b" } }, items(stream.enumerate({ "a", "b" })))
    assert.same({ { 0, "a" }, { 1, "b" } }, items(stream.from({ "a", "b" }):enumerate(0)))
    assert.same({ { 1, 1, "a" } }, items(stream.from({ "a" }):enumerate():enumerate()))
  end)

  it("tap passes the items on unchanged", function()
    local seen = {}
    local s = stream.range(1, 2):tap(function(v)
      seen[#seen + 1] = v
      return "x"
    end)
    assert.same({ 1, 2 }, s:collect())
    assert.same({ 1, 2 }, seen)
  end)

  it("scan gives every state of a fold", function()
    local function sum(a, v) return a + v end
    assert.same({ 1, 3, 6 }, stream.range(1, 3):scan(sum):collect())
    assert.same({ 11, 13, 16 }, stream.range(1, 3):scan(sum, 10):collect())
    local s = stream.from(ipairs({ 2, 0 })):scan(function(a, i, v) return a + i + v end, 0)
    assert.same({ 3, 5 }, s:collect())
    assert.same({}, stream.from({}):scan(sum, 10):collect())
  end)

  it("chunks gives lists of n; the last may be shorter", function()
    assert.same({ { 1, 2 }, { 3, 4 }, { 5 } }, stream.range(1, 5):chunks(2):collect())
    assert.same({ { 1, 2 } }, stream.range(1, 2):chunks(2):collect())
    assert.same({}, stream.from({}):chunks(2):collect())
    assert.same({ { { 1, 2 } }, { { 3 } } }, stream.range(1, 3):chunks(2):chunks(1):collect())
    assert.same({ { { 1, "a" } } }, stream.from(ipairs({ "a" })):chunks(3):collect())
    assert.same({ 2, 1 }, stream.range(1, 3):chunks(2):map(function(c) return #c end):collect())
    assert.same({ { 1, 2 } }, stream.range(1, 5):chunks(2):take(1):collect())
  end)

  it("chunks passes a full list on before it asks for the next item", function()
    local pulled = 0
    local s = stream.range(1, 9):tap(function() pulled = pulled + 1 end):chunks(3)
    s:next()
    assert.equal(3, pulled)
    s:close()
    assert.is_nil((s:next()))
  end)

  it("chunks hands the list that was not full to an error object", function()
    local err = fault.new("EX", "mine")
    local s = stream.range(1, 9):tap(function(v) if v == 6 then error(err, 0) end end):chunks(4)
    assert.same({ 1, 2, 3, 4 }, (s:next()))
    assert.is_true(rawequal(err, caught(s.next, s)))
    assert.same({ 5 }, err.partial)
  end)

  it("chain closes a source before the next one starts, and starts none early", function()
    local log = {}
    local function part(name)
      return rille.generator(function()
        log[#log + 1] = name .. " starts"
        local _ <close> = closer(function()
          rille.sleep(0)
          log[#log + 1] = name .. " ends"
        end)
        coroutine.yield(name)
      end)
    end
    local s = stream.chain(part("a"), {}, part("b"), { "c" })
    assert.equal("a", (s:next()))
    assert.same({ "a starts" }, log)
    assert.same({ "b", "c" }, s:collect())
    assert.same({ "a starts", "a ends", "b starts", "b ends" }, log)
    assert.same({}, stream.chain():collect())
  end)

  it("R60 chain closes what is left in reverse order", function()
    local log = {}
    local a, b, c = logged(log, "a", 1), logged(log, "b"), logged(log, "c")
    b:next()
    c:next()
    for v in stream.chain(a, b, c) do if v == 2 then break end end
    assert.same({ "a", "c", "b" }, log)
  end)

  it("R60 chain closes all that is left even if a cleanup fails; the first error is raised", function()
    local log = {}
    local function failing(name)
      local g = rille.generator(function()
        local _ <close> = closer(function()
          log[#log + 1] = name
          error(fault.new("EX", name), 0)
        end)
        while true do coroutine.yield(name) end
      end)()
      g:next()
      return g
    end
    local s = stream.chain(failing("a"), failing("b"), failing("c"))
    s:next()
    local err = caught(s.close, s)
    assert.same({ "c", "b", "a" }, log)
    assert.equal("c", err.message)
    local suppressed = {}
    for _, e in ipairs(err.suppressed) do suppressed[#suppressed + 1] = e.message end
    assert.same({ "b", "a" }, suppressed)
  end)

  it("flat_map gives the items of one stream after the other", function()
    local log = {}
    local s = stream.range(1, 3):flat_map(function(v)
      return logged(log, v, v)
    end)
    assert.same({ 1, 1, 2, 1, 2, 3 }, s:collect())
    assert.same({ 1, 2, 3 }, log)
    assert.same({ "a", "b" }, stream.flat_map({ { "a" }, {}, { "b" } }, same):collect())
    assert.same({ { 1, "x" }, { 1, "y" } },
      items(stream.flat_map({ { "x" }, { "y" } }, function(t) return ipairs(t) end)))
    local gen = rille.generator(function(v) coroutine.yield(v) coroutine.yield(-v) end)
    assert.same({ 1, -1, 2, -2 }, stream.flat_map({ 1, 2 }, function(v) return gen(v) end):collect())
  end)

  it("R60 flat_map closes the inner stream first, then the source", function()
    local log = {}
    local s = logged(log, "outer"):flat_map(function() return logged(log, "inner") end)
    for v in s:each() do if v == 2 then break end end
    assert.same({ "inner", "outer" }, log)
    log = {}
    s = logged(log, "outer"):flat_map(function()
      return logged(log, "inner"):map(function() error("x", 0) end)
    end)
    assert.equal("x", caught(s.next, s))
    assert.same({ "inner", "outer" }, log)
  end)

  it("R7 flat_map and flatten refuse what cannot be iterated", function()
    local log = {}
    local s = logged(log, "closed"):flat_map(function() return 7 end)
    has(caught(s.next, s), "bad result of the function of 'flat_map' (" .. EXPECTED .. "number)")
    assert.same({ "closed" }, log)
    has(caught(function() stream.flatten({ { 1 }, 2 }):collect() end), EXPECTED .. "number")
  end)

  it("flatten gives the items of the items", function()
    assert.same({ 1, 2, 3 }, stream.flatten({ { 1, 2 }, {}, stream.range(3, 3) }):collect())
    assert.same({ { 1, 2 }, { 3 } }, stream.flatten({ { { 1, 2 } }, { { 3 } } }):collect())
  end)

  it("flat_map goes on over empty streams without using up the stack", function()
    local depths = {}
    assert.equal(0, stream.range(1, 500):flat_map(function()
      depths[#depths + 1] = depth()
      return {}
    end):count())
    assert.equal(depths[2], depths[500])
    local empty = {}
    for i = 1, 500 do
      empty[i] = function() depths[i] = depth() end
    end
    assert.equal(0, stream.chain(table.unpack(empty)):count())
    assert.equal(depths[1], depths[500])
  end)

  it("collect gathers the items; more than max are an error, and the source is closed", function()
    assert.same({ 1, 2 }, stream.range(1, 2):collect())
    assert.same({ 1, 2 }, stream.range(1, 2):collect(2))
    local log = {}
    local g = logged(log, "closed")
    local err = caught(function() g:collect(2) end)
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal("collect: more than 2 items", err.message)
    assert.same({ "closed" }, log)
  end)

  it("each_do calls f with every item, in order, and returns nothing", function()
    local seen = {}
    assert.equal(0, select("#", stream.enumerate({ "a", "b" }):each_do(function(i, v)
      rille.sleep(0)
      seen[i] = v
    end)))
    assert.same({ "a", "b" }, seen)
  end)

  it("reduce folds", function()
    local function sum(a, v) return a + v end
    assert.equal(6, stream.range(1, 3):reduce(sum))
    assert.equal(16, stream.range(1, 3):reduce(sum, 10))
    assert.is_nil(stream.from({}):reduce(sum))
    assert.equal(10, stream.from({}):reduce(sum, 10))
  end)

  it("count, any and all; any and all close the source as soon as they know", function()
    local log = {}
    assert.equal(3, stream.range(1, 3):count())
    assert.is_true(logged(log, "any"):any(even))
    assert.is_false(logged(log, "all"):all(even))
    assert.same({ "any", "all" }, log)
    assert.is_false(stream.range(1, 3):any(function(v) return v > 3 end))
    assert.is_true(stream.range(1, 3):all(function(v) return v < 4 end))
    assert.is_false(stream.from({}):any())
    assert.is_true(stream.from({}):all())
    assert.is_true(stream.from({ false, 1 }):any())
    assert.is_false(stream.from({ 1, false }):all())
  end)

  it("join makes one string", function()
    assert.equal("a, 1, b", stream.from({ "a", 1, "b" }):join(", "))
    assert.equal("", stream.from({}):join())
    has(caught(function() stream.from({ "a", {} }):join() end), "join: item 2 is a table, not a string")
  end)

  it("R25 first closes the source, and does not mask an error", function()
    local log = {}
    assert.equal(1, (logged(log, "closed"):first("none")))
    assert.same({ "closed" }, log)
    assert.equal("none", stream.from({}):first("none"))
    assert.is_nil((stream.from({}):first()))
    assert.same({ 1, "a" }, { stream.from(ipairs({ "a" })):first() })
    assert.equal("x", caught(function() stream.range(1):map(function() error("x", 0) end):first("none") end))
  end)

  it("last gives the last item", function()
    assert.equal(3, (stream.range(1, 3):last("none")))
    assert.equal("none", stream.from({}):last("none"))
    assert.same({ 2, "b" }, { stream.from(ipairs({ "a", "b" })):last() })
  end)

  it("R90 a thousand stages are no deeper than one", function()
    local n = STRESSED and 300 or 1000
    local s = stream.range(1, 3)
    for _ = 1, n do s = s:map(function(v) return v + 1 end) end
    assert.same({ n + 1, n + 2 }, { s:next(), (s:next()) })
    s:close()
    local c = stream.range(1, 1)
    for _ = 1, n do c = c:chain({ 1 }) end
    assert.equal(1, (c:next()))
    c:close()
    assert.equal("closed", c:status())
  end)
end)

describe("rille.stream: errors and cleanup of sequential operators", function()
  it("C4 R32 an error of a function closes the source, once, before the consumer sees it", function()
    for _, consume in ipairs({
      function(s) for _ in s do assert(true) end end,
      function(s) s:next() end,
      function(s) s() end,
      function(s) s:collect() end,
      function(s) s:first() end,
      function(s) for _ in s:keep() do assert(true) end end,
    }) do
      local log, mine = {}, {}
      local s = logged(log, "closed"):filter(same):map(function() error(mine, 0) end):take(3)
      local ok, err = pcall(consume, s)
      log[#log + 1] = "consumer"
      assert.is_false(ok)
      assert.is_true(rawequal(mine, err))
      assert.same({ "closed", "consumer" }, log)
    end
  end)

  it("R36 an error of the loop's body closes the source and is not thrown into it", function()
    local seen, mine = nil, {}
    local g = rille.generator(function()
      local _, err = pcall(coroutine.yield, 1)
      seen = err
    end)()
    assert.is_true(rawequal(mine, caught(function() for _ in g:map(same) do error(mine, 0) end end)))
    assert.is_true(rille.is_error(seen, "ECLOSED"))
    assert.equal("closed", g:status())
  end)

  it("R37 an error of the body wins over one of the cleanup, which is kept", function()
    local gen = rille.generator(function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      for i = 1, 9 do coroutine.yield(i) end
    end)
    local mine = fault.new("EX", "body")
    assert.is_true(rawequal(mine, caught(function() for _ in gen():map(same) do error(mine, 0) end end)))
    assert.same({ "cleanup" }, mine.suppressed)
    local yours = fault.new("EX", "function")
    local s = gen():map(function() error(yours, 0) end)
    assert.is_true(rawequal(yours, caught(s.next, s)))
    assert.same({ "cleanup" }, yours.suppressed)
  end)

  it("R37 a foreign closing value that fails does not replace the error", function()
    local function source()
      return stream.from(function() return 1 end, nil, nil, closer(function() error("cleanup", 0) end))
    end
    local mine = fault.new("EX", "function")
    local s = source():map(function() error(mine, 0) end)
    assert.is_true(rawequal(mine, caught(s.collect, s)))
    assert.same({ "cleanup" }, mine.suppressed)
    assert.equal("cleanup", caught(function() for _ in source():each() do break end end))
  end)

  it("R38 without another error, one of the cleanup surfaces at the break", function()
    local gen = rille.generator(function()
      local _ <close> = closer(function() error("cleanup", 0) end)
      for i = 1, 9 do coroutine.yield(i) end
    end)
    assert.equal("cleanup", caught(function() for _ in gen():map(same) do break end end))
    assert.equal("cleanup", caught(function() gen():map(same):first() end))
  end)

  it("R61 R63 cancelling a consumer that waits in a function cleans up, and may wait for it", function()
    local log = {}
    local t = rille.spawn(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "consumer"
      end)
      for _ in logged(log, "source"):map(function() rille.sleep(60) return 1 end) do error("not reached") end
    end)
    turns(2)
    t:cancel()
    t:join()
    assert.equal("cancelled", t:status())
    assert.same({ "source", "consumer" }, log)
  end)

  it("R61 cancelling a consumer that waits in the source does so too", function()
    local log = {}
    local g = rille.generator(function()
      local _ <close> = closer(function()
        rille.sleep(0)
        log[#log + 1] = "source"
      end)
      rille.sleep(60)
    end)
    local s = g():map(same)
    local t = rille.spawn(function() s:collect() end)
    turns(2)
    assert.equal("waiting", s:status())
    t:cancel()
    t:join()
    assert.same({ "source" }, log)
    has(caught(s.next, s), "stream already failed")
  end)

  it("R88 a stream inside a generator body is closed when the generator is", function()
    local log = {}
    local outer = rille.generator(function()
      for v in logged(log, "inner"):map(double) do coroutine.yield(v) end
    end)()
    assert.equal(2, (outer:next()))
    outer:close()
    assert.same({ "inner" }, log)
  end)

  it("R102 a collection at any point changes nothing", function()
    local s = stream.range(1, 50):map(function(v) collectgarbage() return v end):chunks(7):flatten()
    assert.equal(50, s:count())
  end)
end)
