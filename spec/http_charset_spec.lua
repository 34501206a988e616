-- The text of responses: UTF-8, whatever charset they come in.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local open = require("rille.host.charset").open
local rille = require "rille"

local FFFD = "\xEF\xBF\xBD"

-- The text of all pieces; nil if the charset is unknown.
local function decode(label, ...)
  local decoder = open(label)
  if not decoder then return nil end
  local parts = {}
  for i, piece in ipairs { ... } do parts[i] = decoder:decode(piece) end
  return table.concat(parts) .. decoder:decode("", true)
end

-- The same of a text that is cut everywhere.
local function decode_bytes(label, text)
  local pieces = {}
  for i = 1, #text do pieces[i] = text:sub(i, i) end
  return decode(label, table.unpack(pieces))
end

describe("rille.host.charset", function()
  it("decodes, however the bytes are cut", function()
    for _, case in ipairs {
      { "utf-8", "a\u{E9}\u{20AC}\u{1F600}z", "a\u{E9}\u{20AC}\u{1F600}z" },
      { "iso-8859-1", "caf\xE9 \x80", "caf\u{E9} \u{20AC}" },
      { "us-ascii", "caf\xE9", "caf\u{E9}" },
      { "WINDOWS-1252", "\x80\x81\x9F", "\u{20AC}\u{81}\u{178}" },
      { "utf-16le", "a\0\xE9\0\x3D\xD8\x00\xDE", "a\u{E9}\u{1F600}" },
      { "utf-16be", "\0a\0\xE9\xD8\x3D\xDE\x00", "a\u{E9}\u{1F600}" },
      { "utf-16", "a\0b\0", "ab" },
      { "shift_jis", "\x83\x65\x83\x58\x83\x67\x81\x60", "\u{30C6}\u{30B9}\u{30C8}\u{FF5E}" },
      { "euc-jp", "\xA5\xC6\xA5\xB9\xA5\xC8", "\u{30C6}\u{30B9}\u{30C8}" },
      { "iso-2022-jp", "\x1B$B%F%9%H\x1B(B!", "\u{30C6}\u{30B9}\u{30C8}!" },
      { "gb2312", "\xC4\xE3\x81\x30\x84\x36", "\u{4F60}\u{A5}" },
      { "big5", "\xA7\x41", "\u{4F60}" },
      { "euc-kr", "\xC7\xD1", "\u{D55C}" },
      { "koi8-r", "\xF2\xD5\xD3\xD8", "\u{420}\u{443}\u{441}\u{44C}" },
      { "windows-1251", "\xD0\xF3\xF1\xFC", "\u{420}\u{443}\u{441}\u{44C}" },
      { "iso-8859-15", "\xA4", "\u{20AC}" },
      { "iso-8859-9", "\xFE\x80", "\u{15F}\u{20AC}" },
      { "ibm437", "\x81", "\u{FC}" },
      { "utf-32", "a\0\0\0\x00\xF6\x01\0", "a\u{1F600}" },
      { "big5-hkscs", "\x88\x62\x88\x66", "\u{CA}\u{304}\u{CA}" },
    } do
      assert.equal(case[3], decode(case[1], case[2]), case[1])
      assert.equal(case[3], decode_bytes(case[1], case[2]), case[1])
    end
  end)

  -- As the decoder of the Encoding Standard: a maximal part of a character becomes one U+FFFD.
  it("replaces what is invalid in UTF-8", function()
    for text, expected in pairs {
      ["a\xFFb"] = "a?b", ["\xC0\x80"] = "??", ["\xE2\x82"] = "?", ["\xE2\x82x"] = "?x",
      ["\xE2\x28\xA1"] = "?(?", ["\xED\xA0\x80"] = "???", ["\xF0\x90\x80"] = "?",
      ["\xF4\x90\x80\x80"] = "????",
      ["\xE0\x80\x80"] = "???", ["\xF0\x80\x80\x80"] = "????", ["\xC3\xC3\xA9"] = "?\u{E9}",
      ["\x80\u{20AC}\xE2"] = "?\u{20AC}?", ["\xF8\x88\x80\x80\x80"] = "?????",
    } do
      expected = expected:gsub("?", FFFD)
      assert.equal(expected, decode("utf-8", text))
      assert.equal(expected, decode_bytes("utf-8", text))
    end
  end)

  it("replaces what is invalid in other charsets", function()
    for _, case in ipairs {
      { "utf-16le", "a\0\x00\xD8b\0", "a" .. FFFD .. "b" },
      { "utf-16le", "a\0b", "a" .. FFFD },
      { "shift_jis", "\x83", FFFD },
      { "shift_jis", "a\x83\x20b", "a" .. FFFD .. " b" },
      { "windows-1253", "a\xAAb", "a" .. FFFD .. "b" },
      { "utf-32", "a\0\0\0\0\0\x11\0b\0\0\0", "a" .. FFFD .. "b" },
    } do
      assert.equal(case[3], decode(case[1], case[2]), case[1])
      assert.equal(case[3], decode_bytes(case[1], case[2]), case[1])
    end
  end)

  it("lets a byte order mark go before the label", function()
    for _, label in ipairs { "utf-8", "iso-8859-1", "utf-16be", "utf-16le", "koi8-r", false } do
      label = label or nil
      for mark, text in pairs {
        ["\xEF\xBB\xBF"] = "\u{E9}", ["\xFF\xFE"] = "\xE9\0", ["\xFE\xFF"] = "\0\xE9",
      } do
        assert.equal("\u{E9}", decode(label, mark .. text))
        assert.equal("\u{E9}", decode_bytes(label, mark .. text))
      end
    end
    assert.equal("\u{FEFF}", decode("utf-8", "\xEF\xBB\xBF\xEF\xBB\xBF"), "the first one only")
    assert.equal("x\u{FEFF}", decode("utf-8", "x\xEF\xBB\xBF"))
    assert.equal(FFFD, decode("utf-8", "\xEF\xBB"))
    assert.equal("\u{EF}\u{BB}", decode_bytes("latin1", "\xEF\xBB"))
    assert.equal("\xEF\xBB", decode_bytes(nil, "\xEF\xBB"))
  end)

  it("passes on what nobody has named", function()
    assert.equal("\xFFa\0\x80", decode(nil, "\xFFa\0\x80"))
    assert.equal("", decode(nil))
    assert.equal("", decode("utf-8", ""))
    assert.equal("a\0b", decode("utf-8", "a\0b"))
  end)

  it("knows texts that are UTF-8 already", function()
    local is_utf8 = require("rille.host.charset").is_utf8
    for _, text in ipairs { "", "a", ("a"):rep(100), "\u{E9}\u{20AC}\u{1F600}", "x\u{FEFF}", "\0" } do
      for pad = 0, 9 do assert.is_true(is_utf8(("."):rep(pad) .. text)) end
    end
    for _, text in ipairs { "\xE9", "a\xE2\x82", "\xED\xA0\x80", "\xFF\xFE", "\xC0\x80" } do
      for pad = 0, 9 do assert.is_false(is_utf8(("."):rep(pad) .. text .. ("."):rep(9 - pad))) end
    end
    assert.is_false(is_utf8("\u{FEFF}x"))
  end)

  it("does not know what is no charset", function()
    for _, label in ipairs {
      "", " ", "none", "utf-8//TRANSLIT", "utf-8,x", "a/b", "../x", "utf\0", "char", "INTERNAL", "WCHAR_T",
      ("x"):rep(41), ("x"):rep(40), "\xE9", "utf-8 ", "latin1 l1",
    } do
      assert.is_nil(open(label), label)
    end
    assert.is_false(pcall(open, {}))
  end)

  it("agrees with iconv on texts that do not end with a piece", function()
    local text = {}
    for code = 0x410, 0x44F do text[#text + 1] = utf8.char(code) end
    text = table.concat(text):rep(200)
    for _, label in ipairs { "koi8-r", "cp866", "iso-8859-5", "utf-16be", "gb18030", "euc-jp", "utf-7" } do
      local path = os.tmpname()
      local pipe = assert(io.popen(("iconv -f UTF-8 -t %s >%s"):format(label, path), "w"))
      pipe:write(text)
      assert(pipe:close())
      local file <close> = assert(io.open(path, "rb"))
      local bytes = file:read("a")
      os.remove(path)
      assert.equal(text, decode(label, bytes), label)
      assert.equal(text, decode(label, bytes:sub(1, 4095), bytes:sub(4096, 4100), bytes:sub(4101)), label)
    end
  end)

  it("never fails for bytes, of any charset", function()
    local noise = {}
    for i = 0, 2047 do noise[i + 1] = string.char(i * i * 7 % 251 + i % 5) end
    noise = table.concat(noise)
    local pipe <close> = assert(io.popen("iconv -l"))
    local known = 0
    for label in pipe:read("a"):gmatch("([^/\n ,]+)//") do
      local text = decode(label, noise)
      if text then
        known = known + 1
        assert.is_truthy(utf8.len(text), label)
        assert.is_string(decode_bytes(label, noise:sub(1, 200)))
      end
    end
    assert.is_true(known > 200)
  end)
end)

describe("the text of a response", function()
  local server, kind, body

  setup(function()
    server = http.serve({ port = 0 }, function()
      return { headers = { ["content-type"] = kind }, body = body }
    end)
  end)

  teardown(function() server:close() end)

  -- What a buffered and a streamed response of this type have as text.
  local function text(content_type, bytes)
    kind, body = content_type, bytes
    local res, streamed <close> = http.get(server.url), http.stream(server.url)
    local answer = res:text()
    assert.equal(answer, streamed:text())
    assert.equal(answer, streamed:text())
    assert.equal(bytes, res:bytes())
    assert.equal(bytes, streamed:bytes())
    return answer
  end

  it("is what the charset says", function()
    for content_type, expected in pairs {
      ["text/plain; charset=iso-8859-1"] = "\u{E9}",
      ['text/html;charset="ISO-8859-1"'] = "\u{E9}",
      ['text/html ; a="charset=utf-8;" ; CharSet = latin1'] = "\u{E9}",
      ["text/plain; charset=utf-8"] = FFFD,
      ["application/x; charset=koi8-r"] = "\u{418}",
      ["text/plain"] = "\xE9",
      ["text/plain;"] = "\xE9",
      ["application/octet-stream"] = "\xE9",
    } do
      assert.equal(expected, text(content_type, "\xE9"), content_type)
    end
  end)

  it("heeds a byte order mark, in text and XML", function()
    for content_type, expected in pairs {
      ["text/plain"] = "a", ["application/xml"] = "a", ["image/svg+xml; x=y"] = "a", ["TEXT/HTML"] = "a",
      ["text/plain; charset=utf-8"] = "a", ["audio/mpeg"] = "\xFF\xFEa\0",
      ["application/json"] = "\xFF\xFEa\0",
    } do
      assert.equal(expected, text(content_type, "\xFF\xFEa\0"), content_type)
    end
    assert.equal("a\xE9", text("text/plain", "a\xE9"))
  end)

  it("is an error if nobody knows the charset, and bytes are there", function()
    kind, body = "text/plain; charset=martian", "x"
    local res = http.get(server.url)
    local err = expect.caught(res.text, res)
    assert.is_true(rille.is_error(err, "ECHARSET"))
    assert.same({ "martian", server.url, "GET", 200 }, { err.charset, err.url, err.method, err.status })
    assert.equal(("GET %s: the charset \"martian\" of the body is unknown; 'bytes' gives it as it is")
      :format(server.url), tostring(err))
    assert.equal("x", res:bytes())
    local streamed <close> = http.stream(server.url)
    assert.is_true(rille.is_error(expect.caught(streamed.lines, streamed), "ECHARSET"))
    assert.is_true(rille.is_error(expect.caught(streamed.text, streamed), "ECHARSET"))
    assert.equal("x", streamed:bytes())
  end)

  it("does not matter to json, whatever the charset", function()
    kind, body = "application/json; charset=martian", '["\u{E9}"]'
    assert.same({ "\u{E9}" }, http.get(server.url):json())
    assert.equal("\u{E9}", http.stream(server.url):json("/0"))
    body = "no"
    local res = http.get(server.url)
    assert.is_true(rille.is_error(expect.caught(res.json, res), "EJSON"))
  end)

  it("is read by lines", function()
    kind, body = "text/plain; charset=utf-16be", "\xFE\xFF\0a\0\n\x0A\x0D\0\r\0\n\0b"
    local streamed <close> = http.stream(server.url)
    assert.same({ "a", "\u{A0D}", "b" }, streamed:lines():collect())
    kind, body = "text/plain", "\xEF\xBB\xBFa\n\xE9\n"
    assert.same({ "a", FFFD }, http.stream(server.url):lines():collect())
    kind = "application/octet-stream"
    assert.same({ "\xEF\xBB\xBFa", "\xE9" }, http.stream(server.url):lines():collect())
  end)

  it("has what the chunks have left", function()
    kind, body = "text/plain; charset=utf-8", "a\xE9"
    local streamed <close> = http.stream(server.url)
    assert.equal("a\xE9", streamed:chunks():next())
    assert.equal("", streamed:text())
  end)
end)
