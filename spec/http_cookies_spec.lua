-- The option cookies of a client: in memory or in a file.
local expect = require "spec.helper.expect"
local files = require "spec.helper.files"
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"

local function contents(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

local function output_of(...) return process.run({ ... }).stdout end

describe("the option cookies", function()
  local server, port, base
  local directory, path

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      local headers = { ["set-cookie"] = req:query_all "set" }
      if req.query.to then
        headers.location = req.query.to
        return { status = 302, headers = headers }
      end
      return { headers = headers, json = { cookie = req.headers.cookie, peer = req.headers.host } }
    end)
    port, base = server.port, server.url
    directory = output_of("mktemp", "-d"):gsub("\n", "")
  end)

  teardown(function()
    server:close()
    assert(os.execute("rm -rf " .. directory))
  end)

  before_each(function()
    path = directory .. "/cookies.txt"
    os.remove(path)
  end)

  local function sent(client, url, options) return client:get(url or base, options):json().cookie end
  local function set(client, ...) client:get(base, { query = { set = { ... } } }) end

  describe("in memory", function()
    it("sends back what was set, redirects and streamed responses included", function()
      local client <close> = http.client { cookies = true }
      assert.is_nil(sent(client))
      set(client, "a=1", "b=2; Path=/deep")
      assert.equal("a=1", sent(client))
      assert.equal("b=2; a=1", sent(client, base .. "/deep/er"))
      assert.equal("c=3; a=1", sent(client, base, { query = { set = "c=3; Path=/", to = "/next" } }))
      do
        local res <close> = client:stream(base, { query = { set = "d=4" } })
        res:text()
      end
      assert.equal("d=4", sent(client):match("d=4"))
      set(client, "a=; Max-Age=0")
      assert.is_nil(sent(client):find("a=", 1, true))
    end)

    it("is of one client alone, and off by default", function()
      local first <close> = http.client { cookies = true }
      local second <close> = http.client { cookies = true }
      local third <close> = http.client()
      local fourth <close> = http.client { cookies = false }
      for _, client in ipairs { first, third, fourth } do
        set(client, "a=1")
      end
      assert.equal("a=1", sent(first))
      assert.is_nil(sent(second))
      assert.is_nil(sent(third))
      assert.is_nil(sent(fourth))
      http.get(base, { query = { set = "a=1" } })
      assert.is_nil(http.get(base):json().cookie)
    end)

    it("keeps the rules: host, secure, expiry, public suffixes", function()
      local resolve = {}
      for _, host in ipairs { "one.example.co.uk", "two.example.co.uk", "three.co.uk" } do
        resolve[host .. ":" .. port] = "127.0.0.1"
      end
      local client <close> = http.client { cookies = true, resolve = resolve }
      local function at(host, cookie)
        return sent(client, ("http://%s:%d/"):format(host, port), { query = cookie and { set = cookie } })
      end
      at("one.example.co.uk", "host=1")
      at("one.example.co.uk", "site=1; Domain=example.co.uk")
      at("one.example.co.uk", "suffix=1; Domain=co.uk")
      at("one.example.co.uk", "other=1; Domain=three.co.uk")
      at("one.example.co.uk", "secure=1; Secure")
      at("one.example.co.uk", "old=1; Expires=Thu, 01 Jan 1970 00:00:10 GMT")
      local both = at("one.example.co.uk")
      assert.is_true(both == "site=1; host=1" or both == "host=1; site=1", both)
      assert.equal("site=1", at("two.example.co.uk"))
      assert.is_nil(at("three.co.uk"))
    end)

    it("sends a request's own Cookie in the same header, to its origin alone", function()
      local other <close> = http.serve({ port = 0 }, function(req)
        return { json = { cookie = req.headers.cookie } }
      end)
      local client <close> = http.client { cookies = true }
      local own = { cookie = "own=1" }
      assert.equal("own=1", sent(client, base, { headers = own }))
      set(client, "a=1")
      assert.equal("a=1; own=1", sent(client, base, { headers = own }))
      assert.equal("a=1", sent(client))
      assert.equal("a=1; own=1; too=2",
        sent(client, base, { headers = { { "Cookie", "own=1" }, { "COOKIE", "too=2" } } }))
      -- The jar knows no ports, as RFC 6265 has it; what the request itself gives does.
      for to, expected in pairs {
        ["/next"] = "a=1; own=1", ["//127.0.0.1:" .. port .. "/"] = "a=1; own=1", [base] = "a=1; own=1",
        ["?x"] = "a=1; own=1", [base:upper():gsub("HTTP", "http")] = "a=1; own=1", [other.url] = "a=1",
        [other.url:gsub("http:", "")] = "a=1", ["http://localhost:" .. port] = false,
        ["http://u:p@127.0.0.1:" .. port] = "a=1; own=1",
        ["http:\\\\127.0.0.1:" .. other.port] = "a=1; own=1",
      } do
        local ok, got = pcall(sent, client, base, { headers = own, query = { to = to } })
        if ok then
          assert.equal(expected or nil, got, to)
        else
          assert.equal("EREDIRECT", got.code, tostring(got)) -- it leads nowhere
        end
      end
    end)
  end)

  describe("in a file", function()
    it("keeps them for the next client", function()
      do
        local client <close> = http.client { cookies = path }
        set(client, "a=1; Max-Age=1000", "b=2; HttpOnly")
        assert.is_nil(contents(path))
      end
      assert.equal("600", output_of("stat", "-c", "%a", path):match("%d+"))
      expect.has(contents(path), "# Netscape HTTP Cookie File\n")
      assert.equal("cookies.txt\n", output_of("ls", directory)) -- nothing beside it
      local client <close> = http.client { cookies = path }
      local both = sent(client)
      assert.is_true(both == "a=1; b=2" or both == "b=2; a=1", both)
      expect.has(contents(path), "#HttpOnly_127.0.0.1\tFALSE\t/\tFALSE\t0\tb\t2\n")
    end)

    it("reads what curl has written, and curl what it has written", function()
      local done = process.run { "curl", "-s", "-c", path, base .. "/?set=a=1", "-o", "/dev/null" }
      assert.equal(0, done.status)
      do
        local client <close> = http.client { cookies = path }
        assert.equal("a=1", sent(client))
        set(client, "b=2")
      end
      expect.has(output_of("curl", "-s", "-b", path, base), "b=2")
    end)

    it("is written when the client is collected, and when the program ends", function()
      local function drop()
        local client = http.client { cookies = path }
        set(client, "a=1")
      end
      drop()
      collectgarbage()
      collectgarbage()
      assert.is_true(expect.eventually(function() return contents(path) ~= nil end))
      expect.has(contents(path), "\ta\t1\n")
      os.remove(path)
      for _, ending in ipairs { "", "os.exit(0)", "os.exit(0, true)" } do
        local done = process.script([[
          local client = require("rille.http").client { cookies = arg[1] }
          client:get(arg[2] .. "/?set=a=1")
        ]] .. ending, path, base)
        assert.same({ 0, "" }, { done.status, done.stderr })
        expect.has(contents(path) or "", "\ta\t1\n")
        os.remove(path)
      end
    end)

    it("is left alone if nothing has changed", function()
      do local _ <close> = http.client { cookies = path } end
      assert.is_nil(contents(path)) -- it was not there
      local line = "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n"
      files.write(path, "# mine\n\n" .. line)
      do
        local client <close> = http.client { cookies = path }
        assert.equal("a=1", sent(client))
      end
      assert.equal("# mine\n\n" .. line, contents(path))
    end)

    it("is replaced as a whole, its mode narrowed, and a link kept", function()
      files.write(directory .. "/real.txt", "")
      assert(os.execute(("chmod 644 %s/real.txt && ln -s real.txt %s"):format(directory, path)))
      do
        local client <close> = http.client { cookies = path }
        set(client, "a=1")
      end
      assert.equal("real.txt\n", output_of("readlink", path))
      assert.equal("600\n", output_of("stat", "-L", "-c", "%a", path))
      os.remove(directory .. "/real.txt")
    end)

    it("of another kind is refused, and left as it is", function()
      local cookie = "127.0.0.1\tFALSE\t/\tFALSE\t0\ta\t1\n"
      for text, line in pairs {
        ["root:x:0:0\n"] = 1, [cookie .. "hello\n"] = 2, ["ALL\n"] = 1, ["FLUSH"] = 1,
        ["\n\nSet-Cookie: a=1\n"] = 3,
        ["a\tTRUE\t/\tTRUE\tx\ta\tb\n"] = 1, ["a\tyes\t/\tTRUE\t0\ta\tb\n"] = 1,
        ["\tTRUE\t/\tTRUE\t0\ta\tb\n"] = 1,
        [cookie .. "a\0b\n"] = false,
      } do
        files.write(path, text)
        local err = expect.caught(http.client, { cookies = path })
        assert.is_true(rille.is_error(err), tostring(err))
        assert.equal("EINVAL", err.code)
        expect.has(err, line and ("%s: line %d is not a cookie"):format(path, line)
          or path .. ": not a file of cookies")
        assert.equal(text, contents(path))
      end
    end)

    it("that cannot be read raises an error object", function()
      local err = expect.caught(http.client, { cookies = directory })
      assert.equal("EISDIR", err.code)
      expect.has(err, directory)
      files.write(path, "")
      err = expect.caught(http.client, { cookies = path .. "/x" })
      assert.equal("ENOTDIR", err.code)
      os.remove(path)
      assert(os.execute("mkfifo " .. path))
      err = expect.caught(http.client, { cookies = path })
      assert.equal("EINVAL", err.code)
    end)

    it("that cannot be written raises at close, once, and warns when collected", function()
      local nowhere = directory .. "/nowhere/cookies.txt"
      local client = http.client { cookies = nowhere }
      set(client, "a=1")
      local err = expect.caught(client.close, client)
      assert.equal("ENOENT", err.code)
      expect.has(err, "cannot save the cookies: " .. nowhere)
      client:close()
      local done = process.script([[
        warn "@on"
        local client = require("rille.http").client { cookies = arg[1] }
        client:get(arg[2] .. "/?set=a=1")
      ]], nowhere, base)
      expect.has(done.stderr, "rille: cannot save the cookies: " .. nowhere .. ": no such file or directory")
    end)
  end)

  it("is checked, and of a client only", function()
    local function misuse(part, f)
      local err = expect.caught(f)
      expect.has(err, "http_cookies_spec.lua:")
      expect.has(err, part)
    end
    misuse("bad option 'cookies' (boolean or string expected, got number)", function()
      http.client { cookies = 1 }
    end)
    for _, bad in ipairs { "", "a\0b" } do
      misuse("bad option 'cookies' (not a path)", function() http.client { cookies = bad } end)
    end
    misuse("unknown option 'cookies' (it is an option of http.client)", function()
      http.get(base, { cookies = true })
    end)
  end)
end)
