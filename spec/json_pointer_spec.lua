-- json.at and res:json(pointer): JSON pointers, as RFC 6901 has them, against json.decode and a walk.
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"
local expect = require "spec.helper.expect"

local caught, has = expect.caught, expect.has

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"

-- RFC 6901, section 5.
local EXAMPLE = [[{
  "foo": ["bar", "baz"],
  "": 0,
  "a/b": 1,
  "c%d": 2,
  "e^f": 3,
  "g|h": 4,
  "i\\j": 5,
  "k\"l": 6,
  " ": 7,
  "m~n": 8
}]]

local BAD_POINTER = "#2 to 'at' (not a JSON pointer such as '/name')"

local function refused(f, ...)
  local err = caught(f, ...)
  assert.is_true(rille.is_error(err, "EJSON"), tostring(err))
  assert.is_string(err.reason)
  return err
end

-- What a pointer leads to, written from RFC 6901 and not from the code.
local function walk(value, pointer)
  for token in pointer:gmatch("/([^/]*)") do
    token = token:gsub("~1", "/"):gsub("~0", "~")
    if type(value) ~= "table" then return nil end
    local index = token:match("^0$") or token:match("^[1-9]%d*$")
    local member = value[token]
    if member == nil and index then member = value[tonumber(index) + 1] end
    value = member
  end
  return value
end

-- The text of n arrays in each other.
local function nested(n, core) return ("["):rep(n) .. core .. ("]"):rep(n) end

local function depth_of(value)
  local n = 0
  while type(value) == "table" do n, value = n + 1, value[1] end
  return n
end

describe("rille.json.at", function()
  it("gives what RFC 6901 lists for its example", function()
    for pointer, expected in pairs({
      ["/foo/0"] = "bar", ["/"] = 0, ["/a~1b"] = 1, ["/c%d"] = 2, ["/e^f"] = 3, ["/g|h"] = 4,
      ["/i\\j"] = 5, ['/k"l'] = 6, ["/ "] = 7, ["/m~0n"] = 8,
    }) do
      assert.equal(expected, json.at(EXAMPLE, pointer), pointer)
    end
    assert.same({ "bar", "baz" }, json.at(EXAMPLE, "/foo"))
    assert.same(json.decode(EXAMPLE), json.at(EXAMPLE, ""))
  end)

  it("gives nil for what leads to nothing", function()
    for _, pointer in ipairs({
      "/foo/2", "/foo/-", "/foo/00", "/foo/01", "/foo/+1", "/foo/-1", "/foo/1.0", "/foo/1e0", "/foo/ 1",
      "/foo/", "/foo/0x0", "/foo/18446744073709551616", "/foo/4294967296", "/foo/0/0", "/fo", "/fooo", "/Foo",
      "//",
      "/a/b", "/m~1n", "/c%25d", "/\0", "/foo\0",
    }) do
      assert.is_nil(json.at(EXAMPLE, pointer), pointer)
    end
    assert.is_nil(json.at("[]", "/0"))
    assert.is_nil(json.at("{}", "/"))
    assert.is_nil(json.at("1", "/0"))
    assert.is_nil(json.at("null", "/a"))
    assert.is_nil(json.at('"text"', "/0"))
  end)

  it("tells null from nothing", function()
    assert.is_true(rawequal(json.null, json.at('{"a":null}', "/a")))
    assert.is_true(rawequal(json.null, json.at("null", "")))
    assert.is_true(rawequal(json.null, json.at('[[null]]', "/0")[1]))
    assert.is_false(json.at('{"a":false}', "/a"))
    assert.is_true(json.at('{"a":true}', "/a"))
  end)

  it("undoes ~1 before ~0, and takes an index for a key in an object", function()
    local text = '{"~1": 1, "/": 2, "~": 3, "~0": 4, "0": 5, "01": 6, "-": 7, "": {"": 8}, '
      .. '"\\u0061\\u0000": 9}'
    for pointer, expected in pairs({
      ["/~01"] = 1, ["/~1"] = 2, ["/~0"] = 3, ["/~00"] = 4, ["/0"] = 5, ["/01"] = 6, ["/-"] = 7, ["//"] = 8,
      ["/a\0"] = 9,
    }) do
      assert.equal(expected, json.at(text, pointer), pointer)
    end
  end)

  it("takes the last of equal keys, as decode does", function()
    local text = '{"a": 1, "b": {"c": 2}, "a": [3, 4], "\\u0062": {"d": 5}}'
    assert.same({ 3, 4 }, json.at(text, "/a"))
    assert.equal(4, json.at(text, "/a/1"))
    assert.equal(5, json.at(text, "/b/d"))
    assert.is_nil(json.at(text, "/b/c"))
    assert.same(json.decode(text), json.at(text, ""))
  end)

  it("gives numbers as decode gives them", function()
    for _, number in ipairs({
      "0", "1", "-1", "1.5", "-2.25e-3", "1E+2", "9007199254740993", "9223372036854775807",
      "-9223372036854775808", "9223372036854775808", "18446744073709551615", "18446744073709551616",
      "123456789012345678901234567890", "-123456789012345678901234567890", "1e308", "1e999", "-1e999",
      "5e-324", "1e-999", "0.1", "3.14159265358979323846", "2.2250738585072011e-308",
    }) do
      local text = ('{"before": [%s], "number": %s}'):format(number, number)
      local expected = json.decode(text).number
      assert.equal(expected, json.at(text, "/number"), number)
      assert.equal(math.type(expected), math.type(json.at(text, "/number")))
      assert.equal(expected, json.at(text, "/before/0"), number)
    end
  end)

  it("gives strings as decode gives them", function()
    for _, text in ipairs({
      [["\n\t\"\\\/\u0000\b\f\r"]], [["\u00e9\u20ac\ud83d\ude00"]], '"Flabébé"', '""', '"a\127b"',
    }) do
      assert.equal(json.decode(text), json.at(text, ""))
      assert.equal(json.decode(text), json.at("[" .. text .. "]", "/0"))
    end
  end)

  it("goes 1000 levels deep, as decode does", function()
    for n = 998, 1000 do
      assert.equal(n, depth_of(json.at(nested(n, ""), "")))
      assert.equal(n, depth_of(json.at(nested(n, "1"), "")))
      assert.equal(1, json.at(nested(n, "1"), ("/0"):rep(n)))
    end
    for _, text in ipairs({ nested(1001, ""), nested(1001, "1"), ("["):rep(100000),
      ('{"a":'):rep(100000) }) do
      assert.equal(caught(json.decode, text).message, refused(json.at, text, "").message)
    end
  end)

  it("raises what decode raises, wherever the fault is", function()
    for _, text in ipairs({
      "", " ", "{", "[", "[1,]", "[1 2]", '{"a" 1}', '{"a":}', "{a:1}", "nul", "tru", "'x'", '"open',
      '"\\x"', '"\\ud83d"', '"\\ude00"', '"\\ud83d\\u0041"', "[1] x", "{}{}", "]", "<html>", "\0", "--1",
      "[1", '{"a":1',
      "01", "+1", "0x10", "NaN", "[nan]", "-", "1e", '{"a": 1, "b": nul}', '{"a": 1} ,',
      '{"b": [1,], "a": 1}',
      "\xEF\xBB\xBF1", '{"a": 1, "b": "\\u12"}', "\f1",
    }) do
      for _, pointer in ipairs({ "", "/a", "/nothing/0" }) do
        local err = refused(json.at, text, pointer)
        local expected = caught(json.decode, text)
        assert.equal(expected.message, err.message)
        assert.equal(expected.position, err.position)
        assert.equal(expected.reason, err.reason)
      end
    end
  end)

  it("raises EJSON for what RFC 8259 forbids and decode lets pass", function()
    assert.equal(9, refused(json.at, '{"a": "b\xff"}', "/a").position)
    assert.equal(2, refused(json.at, '"\xed\xa0\x80"', "").position)
    has(refused(json.at, '{"a": 1, "b": "x\ny"}', "/a").message, "unescaped")
    refused(json.at, '"\0"', "")
    refused(json.at, "[1]\0", "/0")
    refused(json.at, "[1]\0x", "/0")
  end)

  it("raises a string for misuse, which blames the caller", function()
    for _, case in ipairs({
      { "[1]", "abc", BAD_POINTER }, { "[1]", "/a~2", BAD_POINTER }, { "[1]", "/~", BAD_POINTER },
      { "[1]", "0", BAD_POINTER }, { "[1]", "#/a", BAD_POINTER }, { "oops", "x/", BAD_POINTER },
      { "[1]", nil, "#2 to 'at' (string expected, got nil)" },
      { "[1]", 0, "#2 to 'at' (string expected, got number)" },
      { 1, "", "#1 to 'at' (string expected, got number)" },
      { nil, "", "#1 to 'at' (string expected, got nil)" },
    }) do
      local err, place
      err = caught(function()
        place = expect.here() local value = json.at(case[1], case[2]) return value
      end)
      assert.equal(("%s: bad argument %s"):format(place, case[3]), err)
    end
  end)

  it("agrees with decode and a walk on documents of all shapes", function()
    local seed = tonumber(os.getenv("RILLE_STRESS_SEED")) or os.time()
    math.randomseed(seed)
    local atoms = { "0", "-1", "1.5e3", "true", "false", "null", '""', '"é"', '"\\u0000"',
      "12345678901234567890", '"\\ud83d\\ude00"', "1234567890123456789012", "[]", "{}", "1e999", "01", "nul" }
    local keys = { "", "a", "0", "1", "~", "/", "a/b", "\\u0061", "m~n" }
    local tokens = { "", "a", "0", "1", "2", "~0", "~1", "a~1b", "m~0n", "-", "01", "none" }
    local blanks = { "", " ", "\n", "\t\r\n" }
    local function any(list) return list[math.random(#list)] end
    local function make(depth)
      local kind = depth == 0 and 1 or math.random(3)
      if kind == 1 then return atoms[math.random(math.random() < 0.98 and #atoms - 2 or #atoms)] end
      local parts = {}
      for i = 1, math.random(0, 4) do
        local value = any(blanks) .. make(depth - 1) .. any(blanks)
        parts[i] = kind == 2 and value or ('%s"%s":%s'):format(any(blanks), any(keys), value)
      end
      return (kind == 2 and "[%s]" or "{%s}"):format(table.concat(parts, ","))
    end
    for _ = 1, STRESSED and 50 or 1000 do
      local text, pointer = make(math.random(0, 5)), ""
      for _ = 1, math.random(0, 3) do pointer = pointer .. "/" .. any(tokens) end
      local told = ("%q at %q, seed %d"):format(text, pointer, seed)
      local is_json, whole = pcall(json.decode, text)
      local found, value = pcall(json.at, text, pointer)
      assert.equal(is_json, found, told)
      if is_json then
        assert.same({ walk(whole, pointer) }, { value }, told)
      else
        assert.equal(whole.message, value.message, told)
      end
    end
  end)

  it("reads large and small documents in turn", function()
    local parts, n = {}, STRESSED and 200 or 60000
    for i = 1, n do parts[i] = ('{"id":%d,"name":"name %d"}'):format(i, i) end
    local text = "[" .. table.concat(parts, ",") .. "]"
    for _ = 1, 3 do
      assert.equal("name " .. n, json.at(text, ("/%d/name"):format(n - 1)))
      assert.is_nil(json.at(text, "/" .. n))
      assert.equal(1, json.at("[1]", "/0"))
      assert.equal("EJSON", refused(json.at, text:sub(1, -2), "/0").code)
    end
    assert.equal(n, #json.at(text, ""))
  end)

  it("may be called by a finaliser while a value is built", function()
    local finalised, wrong = 0, 0
    local function drop()
      setmetatable({}, { __gc = function()
        finalised = finalised + 1
        if json.at('{"in": ["a", "finaliser"]}', "/in")[2] ~= "finaliser" then wrong = wrong + 1 end
        pcall(json.at, "oops", "")
      end })
    end
    local parts, n = {}, STRESSED and 50 or 2000
    for i = 1, n do parts[i] = ('{"id":[%d]}'):format(i) end
    local text = "[" .. table.concat(parts, ",") .. "]"
    for _ = 1, 10 do
      for _ = 1, 20 do drop() end
      local list = json.at(text, "")
      for i = 1, n do assert.equal(i, list[i].id[1]) end
    end
    collectgarbage()
    assert.is_true(finalised >= 190)
    assert.equal(0, wrong)
  end)
end)

describe("res:json(pointer)", function()
  local server, bodies
  setup(function()
    bodies = { ["/pokemon"] = '{"id": 25, "name": "pikachu", "moves": ["quick-attack", null]}',
      ["/html"] = "<html>", ["/empty"] = "", ["/example"] = EXAMPLE, ["/bytes"] = '{"name": "\xff"}',
      ["/more"] = '{"a": 1}}',
      ["/number"] = '{"big": 123456789012345678901234567890}' }
    server = http.serve({ port = 0 }, function(req) return { body = bodies[req.path] } end)
  end)
  teardown(function() server:close() end)

  it("gives the value at the pointer, as often as it is asked", function()
    local res = http.get(server.url .. "/pokemon")
    for _ = 1, 2 do
      assert.equal("pikachu", res:json("/name"))
      assert.same({ "quick-attack", json.null }, res:json("/moves"))
      assert.is_true(rawequal(json.null, res:json("/moves/1")))
      assert.is_nil(res:json("/moves/2"))
      assert.is_nil(res:json("/abilities/0"))
      assert.same(res:json(), res:json(""))
    end
    assert.equal(bodies["/pokemon"], res:text())
    assert.equal(8, http.get(server.url .. "/example"):json("/m~0n"))
    assert.equal(1.2345678901234567890e29, http.get(server.url .. "/number"):json("/big"))
  end)

  it("makes no string of the body", function()
    bodies["/large"] = '{"filler": "' .. ("x"):rep(3000000) .. '", "name": "pikachu"}'
    local res = http.get(server.url .. "/large")
    res:json("/name")
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    assert.equal("pikachu", res:json("/name"))
    local grown = collectgarbage("count") - before
    collectgarbage("restart")
    assert.is_true(grown < 100, grown .. " kB")
  end)

  it("raises EJSON with the request and the beginning of the body", function()
    local reasons = { ["/html"] = "token", ["/bytes"] = "UTF-8", ["/more"] = "the end", ["/empty"] = false }
    for path, reason in pairs(reasons) do
      local res = http.get(server.url .. path)
      local err = caught(res.json, res, "/name")
      assert.is_true(rille.is_error(err, "EJSON"))
      assert.equal(server.url .. path, err.url)
      assert.equal("GET", err.method)
      assert.equal(200, err.status)
      assert.equal(bodies[path], err.body)
      has(err.message, reason or "the body is empty")
      if path ~= "/bytes" then assert.equal(caught(res.json, res).message, err.message) end
    end
  end)

  it("raises a string for misuse, which blames the caller", function()
    local res = http.get(server.url .. "/pokemon")
    for _, case in ipairs({
      { "name", "(not a JSON pointer such as '/name')" }, { "/~", "(not a JSON pointer such as '/name')" },
      { 1, "(string expected, got number)" }, { {}, "(string expected, got table)" },
    }) do
      local place
      local err = caught(function()
        place = expect.here() local value = res:json(case[1]) return value
      end)
      assert.equal(("%s: bad argument #1 to 'json' %s"):format(place, case[2]), err)
    end
    assert.is_nil(res.json_at)
  end)
end)
