-- Mistakes that people make who come from other languages, or to async code: each error says what happened,
-- on which line of the script, and what to write instead. (hint_spec: chunks that do not compile.)
local process = require("spec.helper.process")

local HEAD = [[local rille, stream, http = require "rille", require "rille.stream", require "rille.http" ]]
  .. "local f = function() end\n"

-- What the script's error is, from the line of the script on; each of the scripts fails on its second line.
local function error_of(script)
  local done, path = process.script(HEAD .. script)
  assert.equal(1, done.status, done.stderr)
  local message = done.stderr:match("^rille: " .. path:gsub("%p", "%%%0") .. ":(.-)\nstack traceback")
  return message or done.stderr
end

-- Each script, and what the error of its line 2 says.
local function each(cases)
  for script, message in pairs(cases) do
    it("is told: " .. script:gsub("\n%s*", " "), function()
      assert.equal("2: " .. message, error_of(script))
    end)
  end
end

local BODY = "\nhint: a response is not a stream: 'for chunk in res:chunks() do', "
  .. "or res:lines(), res:ndjson(), res:events()"

describe("a loop over what is no iterator", function()
  each({
    ["local gen = rille.generator(f) for _ in gen do end"] =
      "a loop over a generator function; call it: 'for v in f() do'",
    ["for _ in { 1 } do end"] = "attempt to call a table value (for iterator 'for iterator')\nhint: "
      .. "a list has no iterator: 'for i, v in ipairs(list) do', or 'for v in stream.from(list) do'",
    ["for _ in f() do end"] = "attempt to call a nil value (for iterator 'for iterator')\nhint: "
      .. "a loop goes through a stream or an iterator, and what is after 'in' gave none",
    ["for _ in rille.spawn(f) do end"] = "attempt to call a rille.Task value (for iterator 'for iterator')\n"
      .. "hint: the results of a task are those of task:await()",
    ["for _ in http.get(http.serve({}, function() return {} end).url) do end"] =
      "attempt to call a rille.response value (for iterator 'for iterator')" .. BODY,
    ["for _ in http.stream(http.serve({}, function() return {} end).url) do end"] =
      "attempt to call a rille.http.StreamedResponse value (for iterator 'for iterator')" .. BODY,
  })
end)

describe("a name of another library", function()
  each({
    ["await(f)"] = "attempt to call a nil value (global 'await')\nhint: "
      .. "a call that waits just waits: leave out 'await'",
    ["local g = async(f)"] = "attempt to call a nil value (global 'async')\nhint: "
      .. "a function that waits is a function: leave out 'async'",
    ["rille.await(f)"] = "attempt to call a nil value (field 'await')\nhint: "
      .. "a call that waits just waits: leave out 'await'",
    ["yield(1)"] = "attempt to call a nil value (global 'yield')\nhint: "
      .. "an item is yielded by coroutine.yield(...)",
    ["rille.gather(f, f)"] = "attempt to call a nil value (field 'gather')\nhint: "
      .. "functions are run concurrently by rille.all({f, g})",
    ["rille.create_task(f)"] = "attempt to call a nil value (field 'create_task')\nhint: "
      .. "a task is started by rille.spawn(f, ...)",
    ["rille.wait_for(f, 1)"] = "attempt to call a nil value (field 'wait_for')\nhint: "
      .. "a limit of time is rille.timeout(seconds, f, ...)",
  })

  it("has no hint where the script's own is called, or if the error is another", function()
    assert.equal("2: attempt to call a nil value (global 'send')", error_of("send()"))
    assert.equal("2: await of f", error_of("error('await of f')"))
  end)
end)

describe("a call in place of a function", function()
  each({
    ["rille.spawn(f())"] = "bad argument #1 to 'spawn' (function expected, got no value; "
      .. "the function itself is given: 'spawn(f, ...)')",
    ["rille.spawn(rille.spawn(f))"] = "bad argument #1 to 'spawn' (function expected, got rille.Task; "
      .. "the function itself is given: 'spawn(f, ...)')",
    ["rille.generator(f())"] = "bad argument #1 to 'generator' (function expected, got no value; "
      .. "the function itself is given: 'generator(f)')",
    ["rille.shield(f())"] = "bad argument #1 to 'shield' (function expected, got no value; "
      .. "the function itself is given: 'shield(f, ...)')",
    ["rille.timeout(1, f())"] = "bad argument #2 to 'timeout' (function expected, got no value; "
      .. "the function itself is given: 'timeout(seconds, f, ...)')",
    ["rille.group(f())"] = "bad argument #1 to 'group' (function expected, got nil; "
      .. "the function itself is given: 'group(f)')",
    ["rille.group(function(g) g:spawn(f()) end)"] = "bad argument #1 to 'spawn' (function expected, got nil; "
      .. "the function itself is given: 'spawn(f)')",
    ["rille.all({ f() or 1 })"] = "bad argument #1 to 'all' (function expected at '1', got number; "
      .. "functions themselves are given)",
  })
end)

describe("arguments in another order", function()
  each({
    ["rille.timeout(f, 5)"] = "bad argument #1 to 'timeout' (number expected, got function; "
      .. "the seconds come first: 'timeout(seconds, f, ...)')",
    ["rille.all(f, f)"] = "bad argument #1 to 'all' (table expected, got function; "
      .. "functions are given in a list: 'all({f, g})')",
    ["rille.race(f, f)"] = "bad argument #1 to 'race' (table expected, got function; "
      .. "functions are given in a list: 'race({f, g})')",
  })
end)

describe("a method called with a dot", function()
  each({
    ["rille.spawn(f).await()"] = "bad argument #1 to 'await' (rille.Task expected, got no value; "
      .. "is it called with ':'?)",
    ["rille.generator(f)().next()"] = "bad argument #1 to 'next' (rille.generator expected, got no value; "
      .. "is it called with ':'?)",
    ["stream.from({ 1 }).next()"] = "bad argument #1 to 'next' (rille.Stream expected, got nil; "
      .. "is it called with ':'?)",
    ["rille.channel().send(1)"] = "bad argument #1 to 'send' (rille.Channel expected, got number; "
      .. "is it called with ':'?)",
    ["rille.mutex().acquire()"] = "bad argument #1 to 'acquire' (rille.Mutex expected, got nil; "
      .. "is it called with ':'?)",
    ["rille.group(function(g) g.spawn(f) end)"] = "bad argument #1 to 'spawn' (rille.Group expected, "
      .. "got function; is it called with ':'?)",
  })
end)

describe("yielding nil", function()
  local message = "async generator yielded nil; the first value must not be nil "
    .. "(yield false or a table; return ends the generator)"
  each({
    ["for _ in rille.generator(function() coroutine.yield() end)() do end"] = message,
    ["for _ in rille.generator(function() coroutine.yield(nil, 1) end)() do end"] = message,
  })
end)

describe("a wait where nothing can wait", function()
  each({
    ["table.sort({ 1, 2 }, function() rille.sleep(0) end)"] =
      "cannot wait for sleep inside table.sort: get what it compares before it sorts",
    ["string.gsub('x', 'x', function() rille.sleep(0) end)"] = "cannot wait for sleep inside string.gsub: "
      .. "loop over string.gmatch, which may wait, or get the replacements before",
    ["error(select(2, load(function() rille.sleep(0) end)), 0)"] = "cannot wait for sleep inside load: "
      .. "read all of the chunk before",
    ["tostring(setmetatable({}, { __tostring = function() rille.sleep(0) end }))"] =
      "cannot wait for sleep inside tostring: get what it needs before that is called",
    ["debug.sethook(function() rille.sleep(0) end, 'l')\nlocal _"] =
      "cannot wait for sleep inside a debug hook: have it spawn a task that waits",
  })

  it("is told of a finaliser", function()
    local done = process.script([[
      setmetatable({}, { __gc = function() require("rille").sleep(0) end })
      collectgarbage()
    ]])
    assert.is_truthy(done.stderr:find("cannot wait for sleep inside a __gc metamethod: "
      .. "have it spawn a task that waits", 1, true), done.stderr)
  end)
end)
