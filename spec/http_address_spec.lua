-- block_private: which addresses are refused, and that no way leads around it.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"

-- Each range: its first and last address, the public ones beside it (false: there is none, or the neighbour
-- is private as well).
local RANGES = {
  { "0.0.0.0", "0.255.255.255", false, "1.0.0.0" },
  { "10.0.0.0", "10.255.255.255", "9.255.255.255", "11.0.0.0" },
  { "100.64.0.0", "100.127.255.255", "100.63.255.255", "100.128.0.0" },
  { "127.0.0.0", "127.255.255.255", "126.255.255.255", "128.0.0.0" },
  { "169.254.0.0", "169.254.255.255", "169.253.255.255", "169.255.0.0" },
  { "172.16.0.0", "172.31.255.255", "172.15.255.255", "172.32.0.0" },
  { "192.0.0.0", "192.0.0.255", "191.255.255.255", "192.0.1.0" },
  { "192.0.2.0", "192.0.2.255", "192.0.1.255", "192.0.3.0" },
  { "192.88.99.0", "192.88.99.255", "192.88.98.255", "192.88.100.0" },
  { "192.168.0.0", "192.168.255.255", "192.167.255.255", "192.169.0.0" },
  { "198.18.0.0", "198.19.255.255", "198.17.255.255", "198.20.0.0" },
  { "198.51.100.0", "198.51.100.255", "198.51.99.255", "198.51.101.0" },
  { "203.0.113.0", "203.0.113.255", "203.0.112.255", "203.0.114.0" },
  { "224.0.0.0", "239.255.255.255", "223.255.255.255", false },
  { "240.0.0.0", "255.255.255.255", false, false },
  { "::", "64:ff9a:ffff:ffff:ffff:ffff:ffff:ffff", false, false },
  { "64:ff9b:0:0:0:1::", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false, "2000::" },
  { "2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:200::" },
  { "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::" },
  { "3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::" },
  { "4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", false },
}

local OTHERS = {
  private = {
    "::1", "::ffff:127.0.0.1", "::ffff:0:10.0.0.1", "64:ff9b::192.168.1.1", "64:ff9b:1::8.8.8.8",
    "2002:7f00:1::", "2002:a9fe:a9fe::1", "fe80::1", "fe80::1%lo", "fec0::1", "fc00::", "fdff::1", "ff02::1",
    "100::1", "5f00::1", "::8.8.8.8", "", "localhost", "127.1", "0x7f.0.0.1", "::1::", "[::1]",
    ("1"):rep(200),
  },
  public = {
    "8.8.8.8", "1.1.1.1", "::ffff:8.8.8.8", "::ffff:0:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1",
    "2606:4700::1111", "2a00:1450:4001::", "2620:fe::fe%eth0",
  },
}

local function append(asked, expected, verdict, address)
  if not address then return end
  asked[#asked + 1] = address
  expected[#expected + 1] = address .. " " .. verdict
end

describe("host/address.c", function()
  -- Compiled by itself: it needs no Lua.
  local function ask(addresses)
    local path = os.tmpname()
    local build = process.run { "gcc", "-std=c11", "-D_GNU_SOURCE", "-Ihost", "-fsanitize=address,undefined",
      "-o", path, "spec/helper/address.c", "host/address.c" }
    assert.equal("", build.stderr)
    local text = table.concat(addresses, "\n") .. "\n"
    local done = process.run { "sh", "-c", [[printf %s "$1" | "$0"]], path, text }
    os.remove(path)
    assert.equal("", done.stderr)
    local answers = {}
    for line in done.stdout:gmatch("[^\n]+") do answers[#answers + 1] = line end
    return answers
  end

  it("knows each range at its edges, and the forms of IPv6 that carry IPv4", function()
    local asked, expected = {}, {}
    for _, range in ipairs(RANGES) do
      append(asked, expected, "private", range[1])
      append(asked, expected, "private", range[2])
      append(asked, expected, "public", range[3])
      append(asked, expected, "public", range[4])
    end
    for verdict, addresses in pairs(OTHERS) do
      for _, address in ipairs(addresses) do append(asked, expected, verdict, address) end
    end
    local answers = ask(asked)
    assert.equal("private", table.remove(answers)) -- of a Unix socket
    for i, answer in ipairs(answers) do answers[i] = asked[i] .. " " .. answer end
    assert.same(expected, answers)
  end)
end)

describe("block_private", function()
  local server, resolve

  setup(function()
    server = http.serve({ port = 0 }, function(req)
      return { status = req.query.to and 302 or 200, headers = { location = req.query.to } }
    end)
    resolve = { ["public.invalid:" .. server.port] = "127.0.0.1" }
  end)

  teardown(function() server:close() end)

  local function refused(url, address, options, client)
    options = options or {}
    options.block_private = true
    local err = expect.caught((client or http).get, table.unpack(client and { client, url, options }
      or { url, options }))
    assert.is_true(rille.is_error(err), tostring(err))
    assert.equal("EPRIVATE", err.code, tostring(err))
    expect.has(err, "the address is private (" .. (address and address .. ")" or ""))
    return err
  end

  it("refuses addresses in the URL, in each spelling", function()
    local port = server.port
    for host, address in pairs {
      ["127.0.0.1"] = "127.0.0.1", ["2130706433"] = "127.0.0.1", ["0x7f.1"] = "127.0.0.1",
      ["0177.0.0.1"] = "127.0.0.1", ["[::1]"] = "::1", ["[::ffff:127.0.0.1]"] = "::ffff:127.0.0.1",
      ["0.0.0.0"] = "0.0.0.0", ["0"] = "0.0.0.0", ["[::]"] = "::", ["10.0.0.1"] = "10.0.0.1",
      ["169.254.169.254"] = "169.254.169.254", ["192.168.1.1"] = "192.168.1.1", ["[fe80::1]"] = "fe80::1",
      ["[fd00::1]"] = "fd00::1", ["[64:ff9b::7f00:1]"] = "64:ff9b::7f00:1",
    } do
      local url = ("http://%s:%d/"):format(host, port)
      assert.equal(url, refused(url, address).url)
    end
  end)

  it("refuses what a name leads to", function()
    refused(("http://localhost:%d/"):format(server.port), nil) -- 127.0.0.1 or ::1
    refused(("http://public.invalid:%d/"):format(server.port), "127.0.0.1", { resolve = resolve })
  end)

  it("refuses a connection that another request of the client has opened", function()
    local client <close> = http.client()
    for _ = 1, 3 do
      assert.equal(200, client:get(server.url).status)
      refused(server.url, "127.0.0.1", nil, client)
    end
    refused(server.url, "127.0.0.1", { timeout = { idle = 30 } }, client)
    assert.equal(200, client:get(server.url, { timeout = { idle = 30 } }).status)
  end)

  it("sends nothing to a refused address", function()
    local count = 0
    local counting <close> = http.serve({ port = 0 }, function()
      count = count + 1
      return {}
    end)
    local client <close> = http.client()
    client:get(counting.url)
    refused(counting.url, "127.0.0.1", nil, client)
    refused(counting.url, "127.0.0.1", { body = "x" })
    assert.equal(1, count)
  end)

  it("is a default of a client, which a request can lift", function()
    local client <close> = http.client { block_private = true }
    refused(server.url, "127.0.0.1", nil, client)
    assert.equal(200, client:get(server.url, { block_private = false }).status)
    refused(server.url, "127.0.0.1", nil, client)
  end)

  it("refuses a streamed response, too", function()
    local err = expect.caught(http.stream, server.url, { block_private = true })
    assert.equal("EPRIVATE", err.code)
  end)

  it("is misuse beside a proxy or a Unix socket, which may lead anywhere", function()
    for _, options in ipairs { { proxy = "http://127.0.0.1:1" }, { unix_socket = "/tmp/x" } } do
      options.block_private = true
      local err = expect.caught(function() http.get(server.url, options) end)
      expect.has(err, "http_address_spec.lua:")
      local name = options.proxy and "proxy" or "unix_socket"
      expect.has(err, ("bad options ('block_private' and '%s')"):format(name))
    end
    refused(server.url, "127.0.0.1", { proxy = "" })
    local err = expect.caught(function() http.get(server.url, { block_private = 1 }) end)
    expect.has(err, "bad option 'block_private' (boolean expected, got number)")
  end)

  it("uses no proxy of the environment", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write([[
      local http = require "rille.http"
      local ok, err = pcall(http.get, "http://10.0.0.1/", { block_private = true })
      print(err.code, err.proxy)
    ]])
    file:close()
    local proxy = "http_proxy=" .. server.url
    local done = process.run { "env", proxy, "all_proxy=" .. server.url, process.rille, path }
    os.remove(path)
    assert.same({ "EPRIVATE\tnil\n", "" }, { done.stdout, done.stderr })
  end)

  -- In a network of its own, where loopback has an address that is public elsewhere.
  it("lets public addresses pass, and refuses what they redirect to", function()
    if process.run { "unshare", "--map-root-user", "--net", "true" }.status ~= 0 then
      pending("this system does not let its users make networks")
    end
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write([[
      local http = require "rille.http"
      local server <close> = http.serve({ host = "0.0.0.0", port = 0 }, function(req)
        if req.query.to then return { status = 307, headers = { location = req.query.to } } end
        return { body = req.headers.host }
      end)
      local function url(host) return ("http://%s:%d/"):format(host, server.port) end
      local client <close> = http.client { block_private = true,
        resolve = { ["both.invalid:" .. server.port] = "8.8.8.8" } }
      print(client:get(url "8.8.8.8").status)
      print(client:get(url "8.8.8.8", { query = { to = url "8.8.8.8" } }).status)
      print(client:get(url "both.invalid").status)
      for _, host in ipairs { "127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]" } do
        client:get(url "127.0.0.1", { block_private = false }) -- a connection is open already
        local ok, err = pcall(client.get, client, url "8.8.8.8", { query = { to = url(host) } })
        print(ok, err.code, err.status, err.url == url(host))
      end
    ]])
    file:close()
    local done = process.run { "unshare", "--map-root-user", "--net", "sh", "-c",
      'ip link set lo up && ip address add 8.8.8.8/32 dev lo && exec "$0" "$1"', process.rille, path }
    os.remove(path)
    assert.equal("", done.stderr)
    assert.equal("200\n200\n200\n" .. ("false\tEPRIVATE\t307\ttrue\n"):rep(4), done.stdout)
  end)
end)
