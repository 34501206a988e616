-- json.lines: a stream of the values of JSON lines, however the source cuts them. R<n> are the rules of the
-- semantics.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local json = require "rille.json"
local rille = require "rille"
local stream = require "rille.stream"
local expect = require "spec.helper.expect"
local process = dofile("spec/helper/process.lua")

local caught, has = expect.caught, expect.has

-- A source that can be closed, of a list of strings; and what became of it.
local function source_of(list, err)
  local seen = { closed = 0, taken = 0 }
  local function take()
    if seen.taken == #list and err then error(err, 0) end
    seen.taken = math.min(seen.taken + 1, #list + 1)
    return list[seen.taken]
  end
  return stream.from(take, nil, nil, expect.closer(function() seen.closed = seen.closed + 1 end)), seen
end

-- The text in pieces of n bytes.
local function pieces(text, n)
  local list = {}
  for i = 1, #text, n do list[#list + 1] = text:sub(i, i + n - 1) end
  return list
end

local function lines_of(text, n) return json.lines(pieces(text, n or #text + 1)):collect() end

describe("rille.json.lines", function()
  it("ends with the item that is the last one wanted, though more of its chunk is there", function()
    assert.same({ 1, 2 }, json.lines({ "1\n2\n3\n4\n5\n" }):take(2):collect())
    assert.same({ 1 }, json.lines({ "1\n2\n", "3\n" }):map(math.tointeger):take(1):collect())
  end)

  it("gives the value of each line, for any chunking", function()
    local text = '{"a": 1}\n[1,\t2]\r\n"three\\n"\nnull\nfalse\n\n4.5\n  {"é": "€"}  \r\n\r\n \t\n"last"'
    local expected = { { a = 1 }, { 1, 2 }, "three\n", json.null, false, 4.5, { ["é"] = "€" }, "last" }
    for n = 1, #text + 1 do
      assert.same(expected, lines_of(text, n), n)
      assert.same(expected, lines_of(text .. "\n", n), n)
    end
    assert.same(expected, json.lines(pieces(text, 3)):map(function(v) return v end):collect())
  end)

  it("takes empty chunks, and nothing at all", function()
    assert.same({ 1, 2 }, json.lines({ "", "1", "", "\n", "", "2", "" }):collect())
    for _, text in ipairs({ "", "\n", "\r\n", "\n\n\n", " ", " \n\t", "\xEF\xBB\xBF", "\xEF\xBB\xBF\r\n" }) do
      assert.same({}, lines_of(text))
      assert.same({}, lines_of(text, 1))
    end
    assert.same({}, json.lines({}):collect())
  end)

  it("skips a BOM at the start, and nowhere else", function()
    for n = 1, 5 do assert.same({ 1, 2 }, lines_of("\xEF\xBB\xBF1\n2\n", n)) end
    assert.equal(2, caught(lines_of, "1\n\xEF\xBB\xBF2\n").line)
    assert.equal(1, caught(lines_of, "\xEF\xBB\xBF\xEF\xBB\xBF2\n").line)
    assert.equal(1, caught(lines_of, "\xEF\xBB").line)
  end)

  it("does not end a line at a lone CR, or at U+2028", function()
    assert.equal(1, caught(lines_of, "1\r2\n").line)
    assert.same({ { 1, 2 }, "\u{2028}\u{85}" }, lines_of('[1,\r2]\n"\u{2028}\u{85}"\n'))
  end)

  it("raises EJSON for a bad line, with its number and what decode tells, after the ones before", function()
    for n = 1, 20 do
      local got = {}
      local source, seen = source_of(pieces('1\n\n{"a": oops}\r\n3\n', n))
      local err = caught(function()
        for v in json.lines(source) do got[#got + 1] = v end
      end)
      local expected = caught(json.decode, '{"a": oops}\r')
      assert.same({ 1 }, got)
      assert.is_true(rille.is_error(err, "EJSON"))
      assert.equal(3, err.line)
      assert.equal(expected.position, err.position)
      assert.equal(expected.reason, err.reason)
      assert.equal("line 3: " .. expected.message, err.message)
      assert.equal(1, seen.closed)
    end
    assert.equal(2, caught(lines_of, '1\n{"open": ').line)
    assert.equal(1, caught(lines_of, "1 2\n").line)
    assert.equal(1, caught(lines_of, "{\n}\n").line)
  end)

  it("R33 is failed after a bad line", function()
    local s = json.lines({ "1\noops\n2\n" })
    assert.equal(1, s:next())
    assert.is_true(rille.is_error(caught(s.next, s), "EJSON"))
    has(caught(s.next, s), "stream already failed")
  end)

  it("raises ETOOBIG for a line that is longer than max_line, without waiting for its end", function()
    local s = json.lines({ "12345\n", '"345"\n', "123456\n" }, { max_line = 5 })
    assert.equal(12345, s:next())
    assert.equal("345", s:next())
    local err = caught(s.next, s)
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal(3, err.line)
    assert.equal(5, err.max_line)
    local source, seen = source_of({ "1\n", "[1,", "2,3", ",4,", "5]\n" })
    local got = {}
    err = caught(function()
      for v in json.lines(source, { max_line = 8 }) do got[#got + 1] = v end
    end)
    assert.is_true(rille.is_error(err, "ETOOBIG"))
    assert.equal(2, err.line)
    assert.same({ 1 }, got)
    assert.equal(4, seen.taken)
    assert.equal(1, seen.closed)
    assert.same({ 1 }, json.lines({ "1" }, { max_line = 1 }):collect())
  end)

  it("R60 closes its source once: at the end, at a break, on an error, when it is closed", function()
    local source, seen = source_of({ "1\n2\n", "3" })
    assert.same({ 1, 2, 3 }, json.lines(source):collect())
    assert.equal(1, seen.closed)

    source, seen = source_of({ "1\n2\n", "3\n" })
    for _ in json.lines(source) do break end
    assert.same({ closed = 1, taken = 1 }, seen)

    source, seen = source_of({ "1\n2" }, "cut")
    local s = json.lines(source)
    assert.equal(1, s:next())
    assert.equal("cut", caught(s.next, s))
    assert.equal(1, seen.closed)

    source, seen = source_of({ "1\n" })
    s = json.lines(source)
    s:close()
    s:close()
    assert.is_nil(s:next())
    assert.same({ closed = 1, taken = 0 }, seen)
  end)

  it("takes a chunk only when it has no line left", function()
    local source, seen = source_of({ "1\n2\n", "3\n4", "\n5" })
    local s = json.lines(source)
    for i, taken in ipairs({ 1, 1, 2, 3, 4 }) do
      assert.equal(i, s:next())
      assert.equal(taken, seen.taken)
    end
    assert.is_nil(s:next())
    assert.is_nil(s:next())
  end)

  it("goes on where it was when a stage is put on it", function()
    local s = json.lines({ '{"n": 1}\n{"n": 2}\n{"n"', ": 3}\n4" })
    assert.equal(1, s:next().n)
    for v in s:keep() do
      assert.equal(2, v.n)
      break
    end
    assert.same({ 3, 4 }, s:map(function(v) return type(v) == "table" and v.n or v end):collect())
  end)

  it("takes generators and streams that wait, and ends a wait when it is closed", function()
    local closed = false
    local gen = rille.generator(function()
      local _ <close> = expect.closer(function() closed = true end)
      for _, chunk in ipairs({ '{"n": ', "1}\n", "2\n" }) do
        rille.sleep(0)
        coroutine.yield(chunk)
      end
      rille.sleep(60)
    end)
    local got = {}
    local s = json.lines(gen)
    local err
    local task = rille.spawn(function()
      err = caught(function()
        for v in s do got[#got + 1] = v end
      end)
    end)
    repeat rille.sleep(0) until #got == 2
    rille.sleep(0)
    s:close()
    task:join()
    assert.same({ { n = 1 }, 2 }, got)
    assert.is_true(closed)
    has(err, "closed by another task")
  end)

  it("R27 lets other tasks run during a chunk of many lines", function()
    local turns = 0
    local task = rille.spawn(function()
      while true do
        rille.sleep(0)
        turns = turns + 1
      end
    end)
    assert.equal(5000, json.lines({ ("1\n"):rep(5000) }):count())
    assert.is_true(turns >= 3)
    local before = turns
    assert.equal(0, json.lines({ ("\n"):rep(5000) }):count())
    assert.is_true(turns >= before + 3)
    task:cancel()
    task:join()
  end)

  it("gives a stream with its methods, whatever else was required", function()
    local out = process.run(process.host("-e", [[
      print(#require("rille.json").lines({ "1\n2" }):collect())
    ]]))
    assert.same({ status = 0, stdout = "2\n", stderr = "" }, out)
  end)

  it("raises a string for misuse, which blames the caller", function()
    for _, case in ipairs({
      { 1, nil, "#1 to 'lines' (expected a stream, a generator function, an iterator function or a list, "
        .. "got number)" },
      { {}, 5, "#2 to 'lines' (table expected, got number)" },
      { {}, { max = 1 }, "#2 to 'lines' (unknown option 'max', did you mean 'max_line'?)" },
      { {}, { max_line = 0 }, "#2 to 'lines' (bad option 'max_line' (an integer >= 1 expected, got 0))" },
    }) do
      local place
      local err = caught(function()
        place = expect.here() local s = json.lines(case[1], case[2]) return s
      end)
      assert.equal(("%s: bad argument %s"):format(place, case[3]), err)
    end
    has(caught(function() json.lines({ "1\n", 2 }):collect() end), "string expected, got number")
  end)
end)
