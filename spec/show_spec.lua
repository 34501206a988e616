-- How the REPL shows values, and how it completes names.
local complete = require("rille.complete")
local http = require("rille.http")
local rille = require("rille")
local show = require("rille.show")

describe("a value is shown", function()
  it("as Lua reads it, if it is simple", function()
    for _, text in ipairs({ "nil", "true", "42", "-0.5", "1e+100", '"text"', '"a\\nb\\t\\"\\\\"', "{}",
      '{ 1, 2, "x" }', "{ 1, a = 2, b = {} }" }) do
      assert.equal(text, show(load("return " .. text)()))
    end
    assert.equal("1.0", show(1.0))
  end)

  it("with control characters and bytes that are no UTF-8 escaped, and UTF-8 as it is", function()
    assert.equal('"\\x1b[31m\\x00"', show("\27[31m\0"))
    assert.equal('"äöü €"', show("äöü €"))
    assert.equal('"\\xffa"', show("\xffa"))
  end)

  it("with the list first, then the keys in order: numbers, strings, others", function()
    assert.equal('{ "a", [-1] = 1, [2.5] = 2, [10] = 3, ["a b"] = 4, z = 6, [true] = 7 }',
      show({ "a", [-1] = 1, [2.5] = 2, [10] = 3, ["a b"] = 4, z = 6, [true] = 7 }))
    assert.equal('{ ["end"] = 5, ended = 6 }', show({ ["end"] = 5, ended = 6 }))
    assert.equal("{ 1, [3] = 3 }", show({ 1, nil, 3 }))
  end)

  it("on more lines if one is not enough", function()
    local long = ("x"):rep(50)
    assert.equal(('{\n  "%s",\n  {\n    a = "%s",\n    b = 2\n  }\n}'):format(long, long .. long),
      show({ long, { a = long .. long, b = 2 } }))
  end)

  it("with the short entries of a list sharing lines, as wide as is asked for", function()
    local numbers = {}
    for i = 1, 30 do numbers[i] = i end
    local rest = { table.unpack(numbers, 1, 3) }
    rest[4], rest[5], rest.key = ("x"):rep(30), 5, 6
    assert.equal('{\n  1, 2, 3,\n  "' .. ("x"):rep(30) .. '",\n  5,\n  key = 6\n}', show(rest, 40))
    for line in show(numbers, 20):gmatch("[^\n]+") do assert.is_true(#line <= 20, line) end
    assert.equal("{\n  1, 2, 3, 4, 5, 6,\n", show(numbers, 20):sub(1, 22))
    assert.is_falsy(show(numbers, 200):find("\n"))
  end)

  it("with cycles, and a table that is there twice shown twice", function()
    local t = { {} }
    t.self, t[2] = t, t[1]
    assert.equal("{ {}, {}, self = <cycle> }", show(t))
  end)

  it("to a depth, a number of entries and a length", function()
    local deep = {}
    for _ = 1, 20 do deep = { deep } end
    assert.equal("{ { { { { { {...} } } } } } }", show(deep))
    local long = {}
    for i = 1, 250 do long[i] = i end
    assert.is_truthy(show(long):find(" 100,\n  ... 150 more\n}$"))
    assert.is_truthy(show({ ("x"):rep(5000) }):find('^{\n  "x+"... %(5000 bytes%)\n}$'))
    assert.equal(5002, #show(("x"):rep(5000)))
    assert.is_truthy(show(("x"):rep(1000000)):find('^"x+"... %(1000000 bytes%)$'))
    assert.is_true(#show(("x"):rep(1000000)) < 30000)
    local wide = {}
    for i = 1, 100 do wide[i] = long end
    assert.is_true(#show(wide) < 50000)
  end)

  it("by what it is, if it is no plain table", function()
    assert.equal(tostring(print), show(print))
    assert.equal(tostring(io.stdout), show(io.stdout))
    local task = rille.spawn(rille.sleep, 0)
    assert.equal(tostring(task), show(task))
    task:await()
    local numbers = rille.generator(function() end)()
    assert.equal(tostring(numbers), show(numbers))
    local client <close> = http.client({})
    assert.equal(tostring(client), show(client))
    local _, err = pcall(function() require("rille.json").decode("{") end)
    assert.equal(tostring(err), show(err))
    assert.equal("{ named }", show({ setmetatable({}, { __tostring = function() return "named" end }) }))
  end)

  it("without a metamethod being run, but __tostring, which may fail", function()
    local function fail() error("run") end
    local all = { __index = fail, __len = fail, __pairs = fail, __eq = fail, __lt = fail, __call = fail }
    assert.equal("{ 1, a = 2 }", show(setmetatable({ 1, a = 2 }, all)))
    local text = show(setmetatable({}, { __tostring = fail }))
    assert.is_truthy(text:find("^<table, whose __tostring fails: .*run>$"))
  end)
end)

describe("a line is completed", function()
  local function completed(text)
    local prefix, names = complete(text)
    return prefix .. ": " .. table.concat(names, " ")
  end

  after_each(function() _G.spec_names = nil end)

  it("with globals and keywords", function()
    assert.equal("setm: setmetatable", completed("x = setm"))
    assert.equal("whi: while", completed("whi"))
    assert.equal("coroutin: coroutine", completed("(coroutin"))
    assert.equal("nosuch: ", completed("nosuch"))
    assert.equal("prin: print", completed("x=1 ..prin"))
    assert.equal(": ", completed("x = "))
  end)

  it("with fields, of fields too", function()
    assert.equal("re: rep reverse", completed("string.re"))
    _G.spec_names = { inner = { one = 1, two = 2, ["not this"] = 3, [4] = 4, ["end"] = 5 } }
    assert.equal(": one two", completed("print(spec_names.inner."))
    assert.equal("x: ", completed("spec_names.none.x"))
    assert.equal("x: ", completed("f().x"))
    assert.equal("rep: ", completed("('x').rep"))
  end)

  it("with methods after a colon, of strings and objects", function()
    _G.spec_names = setmetatable({ own = print, field = 1 }, { __index = { method = print, constant = 2 } })
    assert.equal(": method own", completed("spec_names:"))
    assert.equal(": constant field method own", completed("spec_names."))
    _G.spec_names = "text"
    assert.equal("upp: upper", completed("spec_names:upp"))
  end)

  it("without a metamethod being run, and with chains that have no end", function()
    local function fail() error("run") end
    _G.spec_names = setmetatable({ a1 = 1 }, { __index = fail, __pairs = fail, __metatable = false })
    assert.equal("a: a1", completed("spec_names.a"))
    local ring = { b1 = 1 }
    ring.__index = ring
    _G.spec_names = setmetatable(ring, ring)
    assert.equal("b: b1", completed("spec_names.b"))
  end)

  it("with modules inside of require", function()
    assert.equal("rille.js: rille.json", completed('json = require "rille.js'))
    assert.equal("rille.host: ", completed("require('rille.host"))
    assert.equal("pl.Ordered: pl.OrderedMap", completed("require 'pl.Ordered"))
    assert.equal("spec.helper.term: spec.helper.terminal", completed('require("spec.helper.term'))
    assert.equal("lp: lpeg", completed('require("lp'))
  end)
end)
