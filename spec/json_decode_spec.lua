-- rille.json.decode against lua-cjson: the same value, with the same types of numbers, or both refuse. The
-- seed of a text is told when they differ; RILLE_STRESS_SEED repeats it.
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"
local SEED = tonumber(os.getenv("RILLE_STRESS_SEED")) or os.time()

local cjson = require("cjson").new()
cjson.decode_invalid_numbers(false)

-- A text that two values share only if they are the same: numbers by type, sign and bits, keys sorted.
local function told(value)
  if type(value) == "number" then return ("%s %a"):format(math.type(value), value) end
  if value == json.null then return "null" end
  if type(value) ~= "table" then return ("%s %q"):format(type(value), value) end
  local parts = { "table" }
  for k, v in pairs(value) do parts[#parts + 1] = ("%s %s=%s"):format(math.type(k) or type(k), k, told(v)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

-- What a decoder makes of a text: the value, or where and why it refuses.
local function outcome(ok, value)
  if ok then return told(value) end
  return "refused: " .. tostring(value)
end

local function ours(text)
  local ok, value = pcall(json.decode, text)
  if ok then return outcome(true, value) end
  assert(rille.is_error(value, "EJSON"), value)
  return outcome(false, value.message:gsub("^invalid JSON: ", ""))
end

local function theirs(text) return outcome(pcall(cjson.decode, text)) end

local function same(text, note)
  local expected, found = theirs(text), ours(text)
  if expected ~= found then
    error(("%s: %.300q\nlua-cjson: %.300s\nrille:     %.300s"):format(note or "text", text,
      expected, found), 0)
  end
end

-- Texts that are short are not simdjson's: as they are, and behind blanks, in an array, and as a member.
local function same_everywhere(text)
  same(text)
  same((" "):rep(40) .. text)
  same(("[[0, -1, []], %s, {}]"):format(text))
  same(('{"a key of some length": %s, "another": [-0]}'):format(text))
end

local function nested(n, core) return ("["):rep(n) .. core .. ("]"):rep(n) end

local NUMBERS = {
  "0", "-0", "0.0", "-0.0", "0e0", "-0e5", "1", "-1", "1.5", "-2.25e-3", "1E+2", "1e2", "0.1", "1.0", "100",
  "9007199254740991", "9007199254740992", "9007199254740993", "-9007199254740993", "9223372036854775807",
  "-9223372036854775807", "-9223372036854775808", "-9223372036854775809", "9223372036854775808",
  "9223372036854775809", "18446744073709551614", "18446744073709551615", "18446744073709551616",
  "123456789012345678901234567890", "-123456789012345678901234567890", "1e308", "1.7976931348623157e308",
  "1.7976931348623159e308", "1e309", "-1e309", "1e400", "-1e400", "1e999999999999999999999", "5e-324",
  "2.4703282292062327e-324", "2.4703282292062328e-324", "1e-400", "-1e-400", "1e-999999999999999999999",
  "2.2250738585072011e-308", "2.2250738585072014e-308", "3.14159265358979323846264338327950288",
  "0.000000000000000000000000000000000000000000001", "1" .. ("0"):rep(400), "0." .. ("0"):rep(400) .. "1",
  "1" .. ("0"):rep(400) .. "e-400", ("1234567890"):rep(30) .. ".5", "8.98846567431158e307",
  "7.2057594037927933e16", "1.00000000000000011102230246251565404236316680908203125", "00", "01", "-01",
  "-", "--1", "+1", ".5", "5.", "1.e1", "1e", "1e+", "1e1.5", "0x10", "0X1p4", "-0x1", "NaN", "nan", "-nan",
  "Infinity", "-Infinity", "inf", "-inf", "1_000", "1,5", "1 2", "0b1", "1f", "1L", "\xd9\xa1",
}

local STRINGS = {
  '""', '"a"', '"\\u0000"', '"\\u0000a\\u0000"', [["\"\\\/\b\f\n\r\t"]], '"\\u00e9\\u20AC\\ud83d\\uDE00"',
  '"é€😀"', '"\\ud800"', '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800\\ud800"', '"\\udbff\\udfff"',
  '"\\ud83d\\n"', '"\\ud83dx"', '"\\uD83D\\uDE0"', '"\\u12"', '"\\u123g"', '"\\U0041"', '"\\x41"', '"\\a"',
  '"\\\n"', '"\\', '"\\"', '"open', '"', '"\127"', '"\1"', '"\n"', '"\t"', '"\31"', '"\xff"', '"\xc0\x80"',
  '"\xc3"', '"\xe2\x82"', '"\xed\xa0\x80"', '"\xf4\x90\x80\x80"', '"\xf5\x80\x80\x80"', '"\xc3\xa9"',
  '"\xef\xbb\xbf"', '"\xef\xbf\xbf"', '"\\uffff"', '"\\ufeff"', '"-0"', '"a -0, b"',
  '"' .. ("x"):rep(39) .. '"', '"' .. ("x"):rep(40) .. '"', '"' .. ("x"):rep(41) .. '"',
  '"' .. ("\\u00e9"):rep(500) .. '"', '"' .. ("\\\\"):rep(64) .. '"', "'a'", "a",
}

local SHAPES = {
  "", " ", "\n", "null", "true", "false", "nul", "nulls", "True", "tru", "falsey", "[]", "{}", "[ ]",
  "{\t}", "[[]]", "[{}]", "[[],[]]", '{"a":{}}', "[", "]", "{", "}", "[1", "[1,", "[,", "[1,]", "[1 2]",
  "[1;2]", "{1:2}", '{"a"}', '{"a":', '{"a":}', '{"a":1,}', '{"a" 1}', '{"a":1 "b":2}', "{a:1}", "{null:1}",
  '{"a":1]', "[1}", "[1]]", "[1] x", "{}{}", "[1],", "1 1", "\"a\" \"b\"", '{"a":1,"a":2}',
  '{"a":1,"b":2,"a":[3]}', '{"a":1,"\\u0061":2}', '{"":1,"":{}}', '{"a":null,"a":1}', '{"a":1,"a":null}',
  '{"1":1,"2":2}', '{"a\\u0000b":1,"a":2}', "[null,null]", "[1,null,3]", "\xEF\xBB\xBF[1]", "[1]\0",
  "[1]\0x", "\0[1]", "[\0]", "1\0", "\0\0", "[1]\f", "\f[1]", "\v1", "\xc2\xa01", "// x\n1", "/* */ 1",
  "[1,/* */2]", "<html>", "undefined", "[1]\xff", "\xff[1]",
  " \t\r\n[ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n",
}

local function any(list) return list[math.random(#list)] end

-- A maker of documents, of a seed.
local function maker(seed)
  math.randomseed(seed)
  local random = math.random
  local blanks = { "", "", "", " ", "\n", "\t\r\n", "    " }
  local keys = { "", "a", "b", "name", "url", "0", "1", "-0", "é", "\\u0061", "\\n", "a/b", "is_hidden" }
  local function word()
    local kind = random(4)
    if kind == 1 then return any(keys) end
    if kind == 2 then return ("name %d"):format(random(300)) end
    if kind == 3 then return ("x"):rep(random(0, 45)) end
    return ("/api/v2/thing/%d/"):format(random(2000))
  end
  local function number()
    local kind = random(6)
    if kind == 1 then return any { "0", "-0", "0", "-0.0", "0.0" } end
    if kind == 2 then return tostring(random(-1000, 1000)) end
    if kind == 3 then return ("%d"):format(random(0) >> random(0, 63)) end
    if kind == 4 then return ("%.17ge%d"):format(random() - 0.5, random(-320, 320)):gsub("e.*e", "e") end
    if kind == 5 then return ("%d.%de%d"):format(random(-9, 9), random(0, 1 << 40), random(-330, 300)) end
    return ("%d"):format(random(0) // (1 << random(0, 62)))
  end
  local function scalar()
    local kind = random(8)
    if kind <= 3 then return '"' .. word() .. '"' end
    if kind <= 6 then return (number()) end
    return any { "null", "true", "false", "[]", "{}" }
  end
  local function value(depth)
    local kind = depth == 0 and 1 or random(3)
    if kind == 1 then return scalar() end
    local parts = {}
    for i = 1, random(0, 6) do
      local item = any(blanks) .. value(depth - 1) .. any(blanks)
      parts[i] = kind == 2 and item or ('%s"%s"%s:%s'):format(any(blanks), word(), any(blanks), item)
    end
    return (kind == 2 and "[%s]" or "{%s}"):format(table.concat(parts, ","))
  end
  return function() return any(blanks) .. value(random(0, 5)) .. any(blanks) end
end

-- A text with some bytes changed, taken out, put in, or cut off.
local function damaged(text)
  local random = math.random
  for _ = 1, random(3) do
    local at, kind = random(0, #text), random(5)
    local byte = string.char(random(0, 255))
    if random(2) == 1 then byte = any { '"', "\\", "[", "]", "{", "}", ",", ":", "-", "0", "e", "." } end
    local head, tail = text:sub(1, at), text:sub(at + 1)
    if kind == 1 then text = head .. byte .. tail:sub(2)
    elseif kind == 2 then text = head .. tail:sub(2)
    elseif kind == 3 then text = head .. byte .. tail
    elseif kind == 4 then text = head
    else text = head .. tail:sub(1, random(20)) .. tail end
  end
  return text
end

describe("rille.json.decode agrees with lua-cjson", function()
  it("on numbers", function()
    for _, text in ipairs(NUMBERS) do same_everywhere(text) end
  end)

  it("on strings, as values and as keys", function()
    for _, text in ipairs(STRINGS) do
      same_everywhere(text)
      same(("{%s: [1, 2, 3, 4], \"other\": 5}"):format(text))
    end
  end)

  it("on what is a document", function()
    for _, text in ipairs(SHAPES) do same_everywhere(text) end
  end)

  it("on every place at which a document is cut", function()
    local text = '{"list": [1, -0, 2.5e1, "a\\u00e9\\ud83d\\ude00", true, null, {}], "é": {"b": [[]]}} '
    for n = 0, #text do same(text:sub(1, n), "cut at " .. n) end
  end)

  it("on the sign of each zero, wherever it is", function()
    same('[0, -0, [], -0, {}, 0, [[], -0], {"a": -0, "b": {}, "-0": [0]}, "-0", -0, 0.0, -0.0, 10, -0]')
    assert.equal("-0.0", tostring(json.decode('{"some": [], "zero": -0}').zero))
    assert.equal("-0.0", tostring(json.at('{"some": [], "zero": -0}', "/zero")))
    same('{"a": [0, -0], "b": {"c": [], "d": [0, {}, -0]}, "e": -0}')
    assert.equal("-0.0", tostring(json.at('[0, {"a": [], "b": [0, -0, 1, {}, -0]}]', "/1/b")[5]))
    assert.equal("0.0", tostring(json.at('[0, {"a": [-0], "b": [0, -0, 1, {}, 0]}]', "/1/b")[5]))
    assert.equal("0.0", tostring(json.at('{"some": [-0], "zero": 0, "more": -0}', "/zero")))
  end)

  it("on nesting up to and beyond 1000 levels", function()
    assert.is_table(json.decode(nested(1000, "")))
    for _, n in ipairs(STRESSED and { 10, 100, 1001 } or { 10, 999, 1000, 1001, 1002, 5000 }) do
      if not STRESSED then same_everywhere(nested(n, "1")) end
      same(nested(n, ""))
      same(('{"a":'):rep(n) .. "-0" .. ("}"):rep(n))
      same(("["):rep(n))
    end
  end)

  it("on strings that differ in little", function()
    local parts = {}
    for length = 0, 42 do
      for at = 1, length do
        parts[#parts + 1] = '"' .. ("a"):rep(at - 1) .. "b" .. ("a"):rep(length - at) .. '"'
      end
    end
    local list = table.concat(parts, ",")
    for _ = 1, 2 do same("[" .. list .. "," .. list .. "]") end
  end)

  it("on generated documents, and on damaged ones", function()
    for i = 1, STRESSED and 40 or 500 do
      local seed = SEED + i
      local text = maker(seed)()
      same(text, "seed " .. seed)
      for _ = 1, 4 do same(damaged(text), "damaged, seed " .. seed) end
    end
  end)

  it("on large documents", function()
    for i = 1, STRESSED and 1 or 2 do
      local make, parts = maker(SEED + i), {}
      for k = 1, STRESSED and 50 or 1500 do parts[k] = make() end
      local text = "[" .. table.concat(parts, ",") .. "]"
      same(text, "large, seed " .. SEED + i)
      same(text:sub(1, -2), "cut, seed " .. SEED + i)
    end
  end)
end)

describe("rille.json.decode", function()
  it("gives tables of its own each time", function()
    local text = '{"list": [{"a": 1}, {"a": 1}]}'
    local first, second = json.decode(text), json.decode(text)
    assert.is_false(rawequal(first, second))
    assert.is_false(rawequal(first.list[1], first.list[2]))
    first.list[1].a = 2
    assert.equal(1, second.list[1].a)
  end)

  it("may be called by a finaliser while a value is built", function()
    local finalised, wrong, n = 0, 0, STRESSED and 50 or 2000
    local function drop()
      setmetatable({}, { __gc = function()
        finalised = finalised + 1
        if json.decode('{"in": ["a", "finaliser", -0]}')["in"][2] ~= "finaliser" then wrong = wrong + 1 end
        pcall(json.decode, "[1, 2, 3, 4, oops")
      end })
    end
    local parts = {}
    for i = 1, n do parts[i] = ('{"id":[%d],"name":"name %d"}'):format(i, i) end
    local text = "[" .. table.concat(parts, ",") .. "]"
    for _ = 1, 10 do
      for _ = 1, 20 do drop() end
      local list = json.decode(text)
      for i = 1, n do
        assert.equal(i, list[i].id[1])
        assert.equal("name " .. i, list[i].name)
      end
    end
    collectgarbage()
    assert.is_true(finalised >= 190)
    assert.equal(0, wrong)
  end)

  it("keeps strings only while they may come again", function()
    local n = STRESSED and 600 or 50000
    local parts = {}
    for i = 1, n do parts[i] = ('"unique string %d"'):format(i) end
    json.decode("[" .. table.concat(parts, ",") .. "]")
    parts = nil
    collectgarbage()
    local before = collectgarbage("count")
    local value = json.decode("[" .. ('"another",'):rep(n) .. "1]")
    assert.equal(n + 1, #value)
    value = nil
    collectgarbage()
    collectgarbage()
    assert.is_true(collectgarbage("count") - before < 200)
    assert.is_nil(value or parts)
  end)

  it("leaves the collector as it was", function()
    local text = "[" .. ('{"a": [1, "b"]},'):rep(200) .. "-0]"
    for _, bad in ipairs { "", "[1, 2, 3, 4, 5, 6, 7, oops]" } do
      assert.is_true(collectgarbage("isrunning"))
      collectgarbage("stop")
      local ok = pcall(json.decode, bad) or not json.decode(text)
      local runs = collectgarbage("isrunning")
      collectgarbage("restart")
      assert.is_false(ok)
      assert.is_false(runs)
    end
  end)
end)

describe("res:json()", function()
  local server, bodies
  setup(function()
    bodies = {}
    server = http.serve({ port = 0 }, function(req) return { body = bodies[tonumber(req.path:sub(2))] } end)
  end)
  teardown(function() server:close() end)

  it("agrees with json.decode on texts of all kinds", function()
    for _, list in ipairs { NUMBERS, STRINGS, SHAPES } do
      for _, text in ipairs(list) do bodies[#bodies + 1] = ('{"some": [1, 2], "value": %s}'):format(text) end
    end
    bodies[#bodies + 1] = nested(STRESSED and 100 or 1000, "1")
    bodies[#bodies + 1] = nested(1001, "1")
    for i = 1, #bodies, STRESSED and 7 or 1 do
      local res = http.get(server.url .. "/" .. i)
      local ok, value = pcall(json.decode, bodies[i])
      local found, got = pcall(res.json, res)
      assert.equal(ok, found, bodies[i])
      if ok then
        assert.equal(told(value), told(got))
      else
        assert.is_true(rille.is_error(got, "EJSON"))
        assert.equal(value.position, got.position)
      end
    end
  end)

  it("makes no string of the body", function()
    bodies[0] = '["' .. ("x"):rep(100) .. '"' .. (" "):rep(3000000) .. "]"
    local res = http.get(server.url .. "/0")
    res:json()
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    assert.equal(100, #res:json()[1])
    local grown = collectgarbage("count") - before
    collectgarbage("restart")
    assert.is_true(grown < 100, grown .. " kB")
  end)
end)
