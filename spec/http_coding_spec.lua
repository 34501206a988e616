-- Content codings of the HTTP client: real encoders' output, whole, cut and damaged at every byte.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local nginx = require "spec.helper.nginx"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local resident_now = require "spec.helper.resident"
local rille = require "rille"

local TEXT = ('{"name":"pikachu","moves":["thunder-shock","quick-attack"]}\n'):rep(9)
local CODINGS = { "gzip", "deflate", "br", "zstd" }

-- Each reads stdin.
local ENCODERS = {
  gzip = "perl -MCompress::Zlib -0777 -ne 'print Compress::Zlib::memGzip($_)'",
  deflate = "perl -MCompress::Zlib -0777 -ne 'print compress($_)'",
  br = "brotli -c -q 9",
  zstd = "zstd -q -c --check",
}

local directory

--- What a command writes when it reads a text from a pipe.
local function filter(command, text)
  nginx.write(directory .. "/in", text)
  local done = process.run { "sh", "-c", ("cat %s/in | %s"):format(directory, command) }
  assert.equal(0, done.status, done.stderr)
  return done.stdout
end

local function encode(text, ...)
  for _, coding in ipairs { ... } do text = filter(ENCODERS[coding], text) end
  return text
end

local function flip(text, at, bits)
  return text:sub(1, at - 1) .. string.char(text:byte(at) ~ bits) .. text:sub(at + 1)
end

--- Bytes of memory that the process has now; not that of sanitizers, which give nothing back.
local function resident() return os.getenv("RILLE_SPEC_GC") == "stress" and 0 or resident_now() end

describe("content codings of http", function()
  local server, client, faulty, faulty_url
  local answer, accepted -- what the server sends next; what it was asked for

  setup(function()
    directory = process.run({ "mktemp", "-d" }).stdout:gsub("\n", "")
    server = http.serve({ port = 0 }, function(req)
      accepted = req.headers["accept-encoding"]
      return answer
    end)
    faulty, faulty_url = perl_server "fault_server"
    client = http.client { base_url = server.url, max_body = 64 * 1024 }
  end)

  teardown(function()
    client:close()
    server:close()
    faulty:close()
    os.execute("rm -rf " .. directory)
  end)

  local function offer(coding, body, more)
    answer = { headers = { ["content-encoding"] = coding, ["x-more"] = more }, body = body }
  end

  local function get(options) return client:get("/", options):bytes() end

  --- What is read in pieces: the text, and the error after it.
  local function read(options)
    local parts = {}
    local ok, err = pcall(function()
      for chunk in client:stream("/", options):chunks() do parts[#parts + 1] = chunk end
    end)
    return table.concat(parts), not ok and err or nil
  end

  local function fails(text, options)
    local err = expect.caught(get, options)
    assert.equal("EPROTO", err.code)
    expect.has(err, text)
    local _, second = read(options)
    assert.equal(tostring(err), tostring(second))
  end

  local function is_whole(text)
    assert.equal(text, get())
    assert.same({ text }, { read() })
  end

  it("asks for what there is, and for nothing without decompress", function()
    offer(nil, "x")
    get()
    assert.equal("gzip, deflate, br, zstd", accepted)
    offer("br", "as it is")
    assert.equal("as it is", get { decompress = false })
    assert.is_nil(accepted)
    offer("gzip", encode(TEXT, "gzip"))
    assert.equal(TEXT, get { headers = { ["accept-encoding"] = "gzip" } })
    assert.equal("gzip", accepted)
  end)

  for _, coding in ipairs(CODINGS) do
    it("decodes what is sent in " .. coding, function()
      local coded = encode(TEXT, coding)
      offer(coding, coded)
      is_whole(TEXT)
      assert.equal(coded, get { decompress = false })
      assert.equal(coding, client:get("/").headers["content-encoding"])
      offer(coding:upper(), coded)
      is_whole(TEXT)
      offer(coding, "")
      is_whole("")
      offer(coding, encode("", coding))
      is_whole("")
      assert.equal("", client:head("/"):bytes())
    end)

    it("decodes what comes byte by byte in " .. coding, function()
      local coded = encode(TEXT, coding)
      local hex = coded:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end)
      local url = ("%s/bytes-%s-%s"):format(faulty_url, coding, hex)
      assert.equal(TEXT, http.get(url):bytes())
      assert.equal(TEXT, http.stream(url):bytes())
    end)

    it("takes nothing that is cut for whole: " .. coding, function()
      local coded = encode(TEXT, coding)
      for length = 1, #coded - 1 do
        offer(coding, coded:sub(1, length))
        fails "the compressed body is truncated"
      end
      offer(coding, coded .. "more")
      fails "the compressed body is corrupt"
    end)

    it("survives any damage, within max_body: " .. coding, function()
      local coded = encode(TEXT, coding)
      local options = { max_body = 4 * #TEXT }
      local failed = 0
      for at = 1, #coded do
        for _, bits in ipairs { 0xff, 0x01 } do
          offer(coding, flip(coded, at, bits))
          local ok, text = pcall(get, options)
          if ok then
            assert.is_true(#text <= options.max_body)
            if coding ~= "br" then assert.equal(TEXT, text) end -- which alone has no checksum
          else
            failed = failed + 1
            assert.is_true(rille.is_error(text, "EPROTO") or rille.is_error(text, "ETOOBIG"), tostring(text))
          end
          local streamed, err = read(options)
          assert.is_true(err == nil or err.code == "EPROTO", tostring(err))
          if ok then assert.equal(text, streamed) end
        end
      end
      assert.is_true(failed > #coded, failed)
    end)
  end

  it("decodes several members and frames, and skips those that are to be skipped", function()
    local skipped = "\x50\x2a\x4d\x18\5\0\0\0ghost"
    local frame = encode(TEXT, "zstd")
    offer("gzip", encode("a", "gzip") .. encode("b", "gzip"))
    is_whole("ab")
    offer("zstd", skipped .. frame .. skipped .. skipped .. frame)
    is_whole(TEXT .. TEXT)
    offer("zstd", skipped)
    is_whole("")
    offer("zstd", frame .. skipped:sub(1, -2))
    fails "truncated"
    offer("br", encode("a", "br") .. encode("b", "br"))
    fails "corrupt"
  end)

  it("refuses formats older than zstd's standard", function()
    offer("zstd", "\x27\xb5\x2f\xfd" .. encode(TEXT, "zstd"):sub(5))
    fails "corrupt"
  end)

  it("undoes up to five codings in the order of the header", function()
    local all = { "gzip", "br", "zstd", "deflate", "br" }
    local coded = encode(TEXT, table.unpack(all))
    offer(table.concat(all, ", "), coded)
    is_whole(TEXT)
    answer.headers["content-encoding"] = { "gzip,br", " identity ,, ZSTD", "deflate\t,br," }
    is_whole(TEXT)
    for length = 1, #coded - 1 do
      offer(table.concat(all, ", "), coded:sub(1, length))
      fails "truncated"
    end
    offer("br, zstd", encode(encode(TEXT, "br"):sub(1, -2), "zstd"))
    fails "truncated"
    offer("br, zstd", encode(encode(TEXT, "br") .. "x", "zstd"))
    fails "corrupt"
    offer("gzip, gzip", encode(TEXT, "gzip"))
    fails "corrupt"
    offer(("gzip, "):rep(6), "")
    fails "the body has more than 5 content codings"
  end)

  it("leaves a body as it is if one of its codings is not known", function()
    local coded = encode(TEXT, "gzip")
    local many = "x-own" .. (", gzip"):rep(6)
    for _, codings in ipairs { "x-own", "x-own, gzip", "gzip, x-own", "gzip;q=1", many } do
      offer(codings, coded)
      is_whole(coded)
    end
  end)

  it("refuses windows that would take much memory", function()
    offer("zstd", filter("zstd -q -c --long=27", ("x"):rep(100)))
    fails "the compressed body needs a window larger than 8 MiB"
    offer("zstd", filter("zstd -q -c --ultra -19", ("x"):rep(100))) -- 8 MiB
    is_whole(("x"):rep(100))
    offer("br", filter("brotli -c --large_window=30", ("x"):rep(100)))
    fails "corrupt"
    offer("br", filter("brotli -c --lgwin=24", ("x"):rep(100)))
    is_whole(("x"):rep(100))
  end)

  describe("in a small body that becomes a large one", function()
    local SIZE = 64 * 1024 * 1024
    local bombs = {}

    setup(function()
      for _, coding in ipairs(CODINGS) do
        bombs[coding] = filter(("head -c %d /dev/zero | %s"):format(SIZE, ENCODERS[coding]), "")
      end
      bombs["br, zstd"] = encode(bombs.br, "zstd")
      bombs["zstd, br"] = encode(bombs.zstd, "br")
    end)

    it("stop at max_body", function()
      for coding, bomb in pairs(bombs) do
        offer(coding, bomb)
        local before = resident()
        assert.equal("ETOOBIG", expect.caught(get).code)
        assert.is_true(resident() - before < 32 * 1024 * 1024, coding)
      end
    end)

    it("give what is read in pieces, with little memory", function()
      for coding, bomb in pairs(bombs) do
        offer(coding, bomb)
        local before, size = resident(), 0
        for chunk in client:stream("/"):chunks() do size = size + #chunk end
        assert.equal(SIZE, size)
        assert.is_true(resident() - before < 48 * 1024 * 1024, coding)
      end
    end)

    it("end when what is between two codings grows out of bounds", function()
      local nothing = encode("", "gzip"):rep(200000) -- 4 MB that are a body of 0 bytes
      offer("gzip", nothing)
      is_whole("")
      for _, outer in ipairs { "br", "zstd", "gzip" } do
        offer("gzip, " .. outer, encode(nothing, outer))
        fails "corrupt"
        offer("gzip, gzip, " .. outer, encode(nothing, "gzip", outer))
        fails "corrupt"
      end
      offer("gzip, br", encode(encode("", "gzip"):rep(40000), "br"))
      is_whole("")
    end)
  end)

  it("are decoded for many at once, and after others on the same connection", function()
    local coded = {}
    for _, coding in ipairs(CODINGS) do coded[coding] = encode(TEXT, coding) end
    local mixed <close> = http.serve({ port = 0 }, function(req)
      local coding = req.path:sub(2)
      return { headers = { ["content-encoding"] = coding }, body = coded[coding] or TEXT }
    end)
    local fns = {}
    for i = 1, 100 do
      local coding = CODINGS[i % 5 + 1] or "identity"
      fns[i] = function()
        assert.equal(TEXT, http.get(mixed.url .. "/" .. coding):bytes())
        assert.equal(TEXT, http.stream(mixed.url .. "/" .. coding):bytes())
      end
    end
    rille.all(fns, { n = 16 })
  end)
end)
