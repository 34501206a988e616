-- Bodies of multipart/form-data: what they are made of byte by byte, and what real servers read in them.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local httpbin = require "spec.helper.httpbin"
local perl_server = require "spec.helper.perl_server"
local rille = require "rille"

local caught, has = expect.caught, expect.has

describe("a multipart body", function()
  local server, base, directory

  setup(function()
    server, base = perl_server "upload_server"
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
  end)

  teardown(function()
    server:close()
    os.execute("rm -rf " .. directory)
  end)

  local function write(name, content)
    local path = directory .. "/" .. name
    local file <close> = assert(io.open(path, "wb"))
    assert(file:write(content))
    return path
  end

  local function post(path, parts, progress)
    local res = http.post(base .. path, { multipart = parts, progress = progress })
    return res -- no tail call: a place in here is blamed
  end

  --- The head of a part that is to be on the wire.
  local function head(name, ...)
    local more = ""
    for _, part in ipairs { ... } do more = more .. part end
    return ('--B|Content-Disposition: form-data; name="%s"%s||'):format(name, more)
  end

  --- The body with its boundary replaced by B and its lines' ends by "|".
  local function wire(parts)
    local text = post("/text", parts):text()
    local boundary = text:match("^%-%-(%x+)")
    assert.equal(32, #boundary)
    return (text:gsub(boundary, "B"):gsub("\r\n", "|"))
  end

  it("has a part for each value", function()
    assert.equal(head("a") .. "x y|" .. head("n") .. "1.5|" .. head("a") .. "true|--B--|",
      wire { { name = "a", value = "x y" }, { name = "n", value = 1.5 }, { name = "a", value = true } })
    assert.equal('--B|Content-Disposition: form-data; name=""|||--B--|', wire { { name = "", value = "" } })
  end)

  it("may be empty", function()
    assert.equal(200, post("/body", {}).status)
    assert.is_truthy(post("/text", {}):text():find("^%-%-%x+%-%-\r\n$"))
  end)

  it("has files with their names and types", function()
    local path = write("a.json", "{}")
    assert.equal(head("f", '; filename="a.json"', "|Content-Type: application/json") .. "{}|--B--|",
      wire { { name = "f", path = path } })
    assert.equal(head("f", '; filename="b"', "|Content-Type: x/y") .. "{}|--B--|",
      wire { { name = "f", path = path, filename = "b", type = "x/y" } })
    assert.equal(head("f", '; filename="b"', "|Content-Type: application/octet-stream") .. "abc|--B--|",
      wire { { name = "f", value = "abc", filename = "b" } })
    assert.equal(head("f", "|Content-Type: text/plain") .. "abc|--B--|",
      wire { { name = "f", value = "abc", type = "text/plain" } })
  end)

  it("has the headers of a part, in the order of their names", function()
    assert.equal(head("f", "|A: 1|B-C: 2") .. "abc|--B--|",
      wire { { name = "f", value = "abc", headers = { ["B-C"] = "2", A = "1" } } })
  end)

  it("escapes names as the HTML standard does, and leaves UTF-8 as it is", function()
    local escaped = head("a%22b%0D%0Ac\\%20", '; filename="ü%22.txt"', "|Content-Type: text/plain")
    assert.equal(escaped .. "x|--B--|",
      wire { { name = 'a"b\r\nc\\%20', value = "x", filename = 'ü".txt' } })
  end)

  it("has a length if all of its parts have one", function()
    local path = write("b.bin", ("\0\r\n--"):rep(50000))
    local function kind_of(...) return post("/body", { ... }):text():match("^POST (%w+)") end
    local function items() return rille.generator(function() coroutine.yield("abc") end) end
    assert.equal("length", kind_of({ name = "a", value = "x" }, { name = "f", path = path }))
    assert.equal("length", kind_of({ name = "a", value = items(), length = 3 }))
    assert.equal("length", kind_of({ name = "a", value = io.open(path), filename = "b" }))
    assert.equal("chunked", kind_of({ name = "a", value = "x" }, { name = "b", value = items() }))
  end)

  it("has another boundary each time", function()
    local seen = {}
    for _ = 1, 20 do
      local boundary = post("/text", {}):text():match("%x+")
      assert.is_nil(seen[boundary])
      seen[boundary] = true
    end
  end)

  it("keeps a Content-Type that the request gives", function()
    local res = http.post(base .. "/body", { multipart = {}, headers = { ["Content-Type"] = "multipart/x" } })
    assert.equal(200, res.status)
  end)

  it("is sent again by a redirect, as its files can be opened again", function()
    local path = write("c.bin", ("x"):rep(200000))
    local parts = { { name = "f", path = path }, { name = "a", value = "b" } }
    for _, to in ipairs { "/moved-307", "/moved-308-early" } do
      has(post(to, parts):text(), "POST length 2002")
    end
    parts[3] = { name = "s", value = rille.generator(function() coroutine.yield("abc") end) }
    assert.is_true(rille.is_error(caught(post, "/moved-307", parts), "EREDIRECT"))
  end)

  it("closes its streams, whether they were sent or not", function()
    local log = {}
    local function source(name, wait)
      local g = rille.generator(function()
        local _ <close> = expect.closer(function() log[#log + 1] = name end)
        for _ = 1, 3 do
          coroutine.yield("abc")
          if wait then rille.sleep(60) end
        end
      end)()
      g:next()
      return g
    end
    local early = post("/refuse", {
      { name = "a", value = source("a", true) }, { name = "b", value = source("b") },
    })
    assert.equal(413, early.status)
    table.sort(log)
    assert.same({ "a", "b" }, log)
    caught(http.post, "http://127.0.0.1:1/", { multipart = { { name = "c", value = source("c") } } })
    assert.same({ "a", "b", "c" }, log)
  end)

  it("reads files as it is sent", function()
    local size = 32 * 1024 * 1024
    local path = write("large.bin", "")
    assert(os.execute(("truncate -s %d %s"):format(size, path)))
    local last, calls = 0, 0
    local text = post("/body", { { name = "f", path = path } }, function(sent, total)
      assert(sent > last and total > size)
      last, calls = sent, calls + 1
    end):text()
    has(text, ("POST length %d %d "):format(last, last))
    assert.is_true(calls > 20)
  end)

  it("tells of a file that cannot be read before anything is sent", function()
    local seen = http.get(base .. "/seen"):text()
    local function failure(code, path)
      local err = caught(post, "/body", { { name = "a", value = "b" }, { name = "f", path = path } })
      assert.is_true(rille.is_error(err, code), tostring(err))
      assert.equal(path, err.path)
      has(err, path)
    end
    failure("ENOENT", directory .. "/nothing")
    failure("EISDIR", directory)
    assert.equal(seen, http.get(base .. "/seen"):text())
  end)

  it("refuses a file whose size has changed meanwhile", function()
    for how, content in pairs { shorter = "x", longer = ("x"):rep(400000) } do
      local path = write("d.bin", ("x"):rep(300000))
      local err = caught(post, "/body", {
        { name = "s", value = rille.generator(function()
          write("d.bin", content)
          coroutine.yield("abc")
        end), filename = "s" },
        { name = "f", path = path },
      })
      assert.is_true(rille.is_error(err, "ELENGTH"), tostring(err))
      assert.equal(path, err.path)
      has(err, how .. " than the 300000 bytes that it was said to have")
    end
  end)

  it("refuses a stream that is not as long as was said", function()
    for length, how in pairs { [2] = "longer", [4] = "shorter" } do
      local err = caught(post, "/body", {
        { name = "s", length = length, value = rille.generator(function() coroutine.yield("abc") end) },
      })
      assert.is_true(rille.is_error(err, "ELENGTH"), tostring(err))
      has(err, ("part 's': %s than the %d bytes"):format(how, length))
    end
  end)

  it("is misuse if a part is not well formed", function()
    local where = expect.here():gsub(":.*", "")
    local function refused(parts, part)
      local err = caught(post, "/body", parts)
      has(err, "bad option 'multipart' (" .. part)
      has(err, where)
    end
    refused("x", "table expected, got string")
    refused({ a = "b" }, "a list of parts expected, it has a field 'a'")
    refused({ "x" }, "part 1: table expected, got string")
    refused({ { name = "a", value = "x" }, { value = "x" } }, "part 2: no 'name'")
    refused({ { name = "a" } }, "part 1: one of 'value' and 'path' expected")
    refused({ { name = "a", value = "x", path = "y" } }, "part 1: one of 'value' and 'path' expected")
    refused({ { name = "a", value = "x", file = "y" } }, "part 1: unknown field 'file'")
    refused({ { name = 1, value = "x" } }, "part 1: 'name': string expected, got number")
    refused({ { name = "a\0", value = "x" } }, "part 1: a name with a NUL")
    refused({ { name = "a", value = "x", length = 2 } }, "part 1: 'length' is not that of its content")
    refused({ { name = "a", value = "x", type = "a\r\nb: c" } }, "part 1: bad value of header 'type'")
    refused({ { name = "a", value = "x", headers = { ["a b"] = "c" } } }, "part 1: 'a b' is no name")
    refused({ { name = "a", value = "x", headers = { a = "c\nd" } } }, "part 1: bad value of header 'a'")
    refused({ { name = "a", value = "x", headers = { ["Content-Type"] = "c" } } }, "part 1: header 'Content")
    local file = assert(io.open("/dev/null"))
    file:close()
    refused({ { name = "a", value = file } }, "part 1: 'value'")
    has(caught(http.post, base, { multipart = {}, form = {} }), "bad options (more than one of")
  end)

  it("is read by httpbin as it was meant", function()
    local bin <close>, url = httpbin.start()
    assert.is_truthy(bin)
    local path = write("e.txt", ("ü\r\n"):rep(30000))
    local seen = http.post(url .. "/post", { multipart = {
      { name = "a", value = "1" }, { name = "a", value = "2" }, { name = "ü", value = "é" },
      { name = "f", path = path, filename = "ü.txt" },
      { name = "s", filename = "s.bin", value = rille.generator(function()
        coroutine.yield("from a stream")
      end) },
    } }):json()
    assert.same({ a = { "1", "2" }, ["ü"] = "é" }, seen.form)
    assert.same({ f = ("ü\r\n"):rep(30000), s = "from a stream" }, seen.files)
  end)
end)
