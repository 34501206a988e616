-- rille.json and the linked-in cjson.
local rille = require("rille")
local json = require("rille.json")
local expect = require("spec.helper.expect")

local caught, has = expect.caught, expect.has

local function refused(f, ...)
  local err = caught(f, ...)
  assert.is_true(rille.is_error(err, "EJSON"), tostring(err))
  assert.equal("EJSON", err.code)
  assert.is_string(err.message)
  assert.is_true(#err.message > 0)
  has(tostring(err), err.message)
  assert.is_nil(tostring(err):find("\n", 1, true))
  return err
end

describe("rille.json.decode", function()
  it("decodes each kind of value", function()
    assert.equal("text", json.decode('"text"'))
    assert.equal(1, json.decode("1"))
    assert.equal(-1.5e3, json.decode("-1.5e3"))
    assert.is_true(json.decode("true"))
    assert.is_false(json.decode("false"))
    assert.same({}, json.decode("{}"))
    assert.same({}, json.decode("[]"))
    assert.same({ 1, "two", { three = { 3 } } }, json.decode('[1, "two", {"three": [3]}]'))
  end)

  it("gives json.null for null, which is not nil", function()
    assert.is_true(rawequal(json.null, json.decode("null")))
    assert.is_not_nil(json.null)
    local list = json.decode("[null, 1, null]")
    assert.equal(3, #list)
    assert.is_true(rawequal(json.null, list[1]))
    assert.is_true(rawequal(json.null, json.decode('{"a": null}').a))
  end)

  it("decodes escapes and Unicode", function()
    assert.equal('\n\t"\\/\0', json.decode([["\n\t\"\\\/\u0000"]]))
    assert.equal("é€😀", json.decode([["\u00e9\u20ac\ud83d\ude00"]]))
    assert.equal("Flabébé", json.decode('"Flabébé"'))
  end)

  it("takes blanks around a value", function()
    assert.same({ a = 1 }, json.decode(' \t\r\n{ "a" :\n1 } \n'))
  end)

  it("raises EJSON with a message for text that is not JSON", function()
    for _, text in ipairs({
      "", " ", "{", "[", "[1,]", "[1 2]", '{"a" 1}', '{"a":}', '{a:1}', "nul", "tru", "'x'",
      '"open', '"\\x"', '"\\ud83d"', "[1] x", "{}{}", "]", "<html>", "\0", '"a\nb', "--1", "[1",
      '{"a":1',
    }) do
      refused(json.decode, text)
    end
  end)

  it("raises EJSON for nesting without end", function()
    refused(json.decode, ("["):rep(100000))
    refused(json.decode, ('{"a":'):rep(100000))
  end)

  it("says what it found, and where", function()
    local err = refused(json.decode, "[1, 2, oops]")
    has(err.message, "invalid token")
    has(err.message, "8")
  end)

  it("raises a string for an argument that is no text", function()
    for _, bad in ipairs({ {}, true, print }) do
      local err = caught(function() json.decode(bad) end)
      assert.is_string(err)
      has(err, "bad argument #1 to 'decode'")
    end
    assert.is_string(caught(function() json.decode() end))
  end)

  it("decodes a large document", function()
    local parts, n = {}, os.getenv("RILLE_SPEC_GC") == "stress" and 2000 or 20000
    for i = 1, n do parts[i] = ('{"id":%d,"name":"name %d"}'):format(i, i) end
    local list = json.decode("[" .. table.concat(parts, ",") .. "]")
    assert.equal(n, #list)
    assert.equal(n, list[n].id)
    assert.equal("name " .. n, list[n].name)
  end)
end)

describe("rille.json.encode", function()
  it("encodes each kind of value", function()
    assert.equal('"text"', json.encode("text"))
    assert.equal("1", json.encode(1))
    assert.equal("1.5", json.encode(1.5))
    assert.equal("true", json.encode(true))
    assert.equal("false", json.encode(false))
    assert.equal("null", json.encode(json.null))
    assert.equal("null", json.encode(nil))
    assert.equal("[1,2,3]", json.encode({ 1, 2, 3 }))
    assert.equal('{"a":[{"b":"c"}]}', json.encode({ a = { { b = "c" } } }))
    assert.equal("{}", json.encode({}))
  end)

  it("encodes a whole number without a fraction", function()
    assert.equal("25", json.encode(json.decode("25")))
    assert.equal('{"id":898}', json.encode({ id = 898.0 }))
  end)

  it("escapes what JSON wants escaped", function()
    assert.equal([["\"\\\n\t\u0000\u001f"]], json.encode('"\\\n\t\0\31'))
  end)

  it("gives back what decode takes", function()
    local value = {
      list = { 1, 2.5, "x", false, { nested = { deep = true } } },
      text = 'quotes " and \\ and \0 and é', none = json.null,
    }
    assert.same(value, json.decode(json.encode(value)))
  end)

  it("raises EJSON for what JSON cannot say", function()
    local circle = {}
    circle.circle = circle
    for _, bad in ipairs({
      print, coroutine.create(print), io.stdout, 0 / 0, math.huge, -math.huge, circle,
      { [true] = 1 }, { 1, [1000000] = 2 }, { deep = { print } },
    }) do
      refused(json.encode, bad)
    end
  end)

  it("works again after an error", function()
    refused(json.encode, { "begun", print })
    assert.equal('["whole"]', json.encode({ "whole" }))
    refused(json.decode, '["begun", oops]')
    assert.same({ "whole" }, json.decode('["whole"]'))
  end)
end)

describe("rille.json in waiting code", function()
  it("is the same in generators, coroutines and tasks", function()
    local seen = {}
    for v in rille.generator(function()
      for i = 1, 3 do
        rille.sleep(0)
        coroutine.yield(json.decode(('{"n": %d}'):format(i)).n)
      end
    end)() do seen[#seen + 1] = v end
    assert.same({ 1, 2, 3 }, seen)
    assert.equal("[1]", coroutine.wrap(function() return json.encode({ 1 }) end)())
  end)

  it("R29 an EJSON error passes through a generator and a task untouched", function()
    local first
    local task = rille.spawn(function()
      for _ in rille.generator(function()
        rille.sleep(0.001)
        local ok, err = pcall(json.decode, "{")
        assert(not ok)
        first = err
        error(err, 0)
      end)() do rille.sleep(0) end
    end)
    local err = caught(task.await, task)
    assert.is_true(rawequal(first, err))
    assert.is_true(rille.is_error(err, "EJSON"))
  end)
end)

describe("require \"cjson\"", function()
  it("is lua-cjson, with its own errors", function()
    local cjson = require("cjson")
    assert.same({ 1, "x" }, cjson.decode('[1,"x"]'))
    assert.equal("[1,2]", cjson.encode({ 1, 2 }))
    local err = caught(cjson.decode, "{")
    assert.is_string(err)
    has(err, "Expected object key string")
    assert.equal("function", type(cjson.new))
    assert.is_string(cjson._VERSION)
  end)

  it("shares its null with rille.json", function()
    assert.is_true(rawequal(require("cjson").null, json.null))
  end)

  it("settings of cjson do not change rille.json", function()
    local cjson = require("cjson").new()
    cjson.encode_invalid_numbers(true)
    cjson.decode_max_depth(1)
    refused(json.encode, 0 / 0)
    assert.same({ { 1 } }, json.decode("[[1]]"))
  end)
end)
