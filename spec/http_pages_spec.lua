-- Pages that lead to each other: how the next one is found, where a walk ends, and what it keeps to itself.
-- luacheck: ignore 512 (loops that are left in their first turn are the subject)
local expect = require "spec.helper.expect"
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"
local stream = require "rille.stream"

local failure = expect.caught

describe("http.pages", function()
  local server, other, base, seen, answer

  local function handler(req)
    seen[#seen + 1] = req
    return answer(req)
  end

  setup(function()
    server, other = http.serve({ port = 0 }, handler), http.serve({ port = 0 }, handler)
    base = server.url
  end)

  teardown(function()
    server:close()
    other:close()
  end)

  before_each(function() seen = {} end)

  -- The targets of the requests so far.
  local function targets()
    local list = {}
    for i, req in ipairs(seen) do list[i] = req.target end
    return list
  end

  -- Pages 1 to n, by Link.
  local function linked(n)
    return function(req)
      local page = tonumber(req.query.page or 1)
      local link = page < n and ('<?page=%d>; rel="next", <?page=1>; rel=first'):format(page + 1) or nil
      return { json = { page = page }, headers = { link = link } }
    end
  end

  local function page_of(res) return res:json("/page") end

  it("follows the header Link", function()
    answer = linked(3)
    assert.same({ 1, 2, 3 }, http.pages(base .. "/list"):map(page_of):collect())
    assert.same({ "/list", "/list?page=2", "/list?page=3" }, targets())
    local count = 0
    for res in http.pages(base) do
      count = count + 1
      assert.equal(200, res.status)
    end
    assert.equal(3, count)
  end)

  it("asks for a page when it is wanted", function()
    answer = linked(3)
    local pages = http.pages(base)
    assert.same({}, seen)
    assert.equal(1, page_of(pages:next()))
    assert.equal(1, #seen)
    pages:close()
    for _ in http.pages(base) do break end
    assert.equal(2, #seen)
    assert.same({ 1, 2 }, stream.take(http.pages(base), 2):map(page_of):collect())
    assert.equal(4, #seen)
  end)

  it("follows a field of JSON bodies", function()
    local following = { "more?p=2", base .. "/x/3", "//" .. base:match("//(.*)") .. "/4" }
    for _, last in ipairs { "null", '""', "false", "absent" } do
      seen = {}
      answer = function()
        local url = following[#seen]
        if url then return { json = { ["a/b~"] = url, nested = { { url } } } } end
        return { body = last == "absent" and "{}" or ('{"a/b~":%s,"nested":[[%s]]}'):format(last, last) }
      end
      for _, how in ipairs { "a/b~", "/nested/0/0" } do
        seen = {}
        assert.equal(4, http.pages(base .. "/x/", how):count())
        assert.same({ "/x/", "/x/more?p=2", "/x/3", "/4" }, targets())
        seen = {}
        assert.equal(4, http.pages(base .. "/x/", { next = how }):count())
      end
    end
  end)

  it("follows what a function says", function()
    answer = function() return { json = { at = #seen } } end
    local function more(res)
      local at = res:json("/at")
      return at < 3 and ("?at=%d"):format(at) or nil
    end
    assert.equal(3, http.pages(base, more):count())
    assert.same({ "/", "/?at=1", "/?at=2" }, targets())
    assert.equal(1, http.pages(base, function() return false end):count())
    local pages = http.pages(base, function() return 7 end)
    pages:next()
    assert.equal("bad result of the function 'next' of 'pages' (string expected, got number)",
      failure(pages.next, pages))
    local own = {}
    pages = http.pages(base, function() error(own) end)
    pages:next()
    assert.equal(own, failure(pages.next, pages))
  end)

  it("raises what a page fails with, after the pages before it", function()
    for _, case in ipairs {
      { "ESTATUS", function() return #seen == 1 and { json = { n = "?b" } } or { status = 500 } end },
      { "EPROTO", function() return { json = { n = 7 } } end },
      { "EJSON", function() return { body = "no JSON" } end },
      { "EURL", function() return { json = { n = "gopher://x" } } end },
      { "EURL", function() return { json = { n = "/\r\nX: y" } } end },
      { "EURL", function() return { json = { n = "/#\27[31m" } } end },
      { "EURL", function() return { headers = { link = "</\ta>; rel=n" } } end,
        function(res) return res:link("n") end },
    } do
      answer, seen = case[2], {}
      local pages = http.pages(base, case[3] or "n")
      assert.equal(200, pages:next().status)
      local err = failure(pages.next, pages)
      assert.is_true(rille.is_error(err, case[1]), tostring(err))
      assert.matches("^GET ", tostring(err))
      assert.is_nil(tostring(err):find("%c"))
    end
    answer = function() return { status = 404 } end
    assert.is_true(rille.is_error(failure(function() http.pages(base):collect() end), "ESTATUS"))
  end)

  it("does not go in a circle", function()
    local links = { "/b", "/a#x" }
    answer = function() return { headers = { link = ("<%s>; rel=next"):format(links[#seen]) } } end
    local got = {}
    local err = failure(function()
      for res in http.pages(base .. "/a") do got[#got + 1] = res.url end
    end)
    assert.same({ base .. "/a", base .. "/b" }, got)
    assert.is_true(rille.is_error(err, "ELOOP"))
    assert.equal(("GET %s/b: the next page was there before: %s/a#x"):format(base, base), tostring(err))
    assert.same({ base .. "/b", base .. "/a#x", 200, "GET" }, { err.url, err.next, err.status, err.method })
    seen, links = {}, { "" }
    err = failure(function() http.pages(base:upper():gsub("HTTP", "http") .. "/"):collect() end)
    assert.is_true(rille.is_error(err, "ELOOP"))
    assert.equal(1, #seen)
  end)

  it("passes options on, but the query to the first page alone", function()
    answer = linked(2)
    local client <close> = http.client {
      base_url = base .. "/v1", query = { key = "k" }, headers = { ["X-A"] = "a" }, bearer = "secret",
    }
    local pages = client:pages("list", { query = { q = "x" }, headers = { ["X-B"] = "b" } })
    assert.equal(2, pages:count())
    assert.same({ "/v1/list?key=k&q=x", "/v1/list?page=2" }, targets())
    for _, req in ipairs(seen) do
      assert.same({ "a", "b", "Bearer secret" },
        { req.headers["x-a"], req.headers["x-b"], req.headers.authorization })
    end
  end)

  -- Two pages here, one at the other server, and one here again.
  local function abroad()
    local links = { "/2", other.url .. "/3", base .. "/4" }
    return { headers = { link = links[#seen] and ("<%s>; rel=next"):format(links[#seen]) } }
  end

  local function sent(name)
    local list = {}
    for i, req in ipairs(seen) do list[i] = req.headers[name] or "-" end
    return table.concat(list, " ")
  end

  it("keeps secrets to the origin of the first page", function()
    answer = abroad
    local forms = {
      { authorization = "x", cookie = "c", other = "o", host = "h" },
      { { "authorization", "x" }, { "Cookie", "c" }, { "Other", "o" }, { "HOST", "h" } },
    }
    local client <close> = http.client { headers = forms[1], auth = { user = "u", password = "p" } }
    for _, pages in ipairs {
      http.pages(base, { headers = forms[1] }), http.pages(base, { headers = forms[2] }),
      (client:pages(base)),
    } do
      seen = {}
      assert.equal(4, pages:count())
      assert.equal("x x - -", sent("authorization"):gsub("Basic %w+=*", "x"))
      assert.equal("c c - -", sent("cookie"))
      assert.equal("o o o o", sent("other"))
      assert.equal("h h " .. other.url:match("//(.*)") .. " " .. base:match("//(.*)"), sent("host"))
    end
    for _, options in ipairs { { auth = { user = "u" } }, { bearer = "b" } } do
      seen = {}
      assert.equal(4, http.pages(base, options):count())
      assert.matches("^%w+ [%w=]+ %w+ [%w=]+ %- %-$", sent("authorization"))
      assert.is_truthy(options.auth or options.bearer)
    end
    seen = {}
    client:pages(base):collect()
    client:get(base)
    assert.equal("x", seen[5].headers.authorization)
  end)

  it("keeps the user of the URL likewise", function()
    answer = abroad
    local url = base:gsub("//", "//user:secret@")
    for res in http.pages(url) do assert.is_nil(res.url:find("secret", 1, true)) end
    assert.equal("Basic dXNlcjpzZWNyZXQ= Basic dXNlcjpzZWNyZXQ= - -", sent("authorization"))
  end)

  it("has operators where nothing else is loaded", function()
    local done = process.script([[
      local http = require "rille.http"
      local server <close> = http.serve({}, function() return {} end)
      print(http.pages(server.url):map(function(res) return res.status end):count())
    ]])
    assert.same({ "1\n", "" }, { done.stdout, done.stderr })
  end)

  it("ends at once when it is closed while a page is on its way", function()
    local over = rille.event()
    answer = function()
      over:wait()
      return {}
    end
    local pages = http.pages(base)
    local reader = rille.spawn(pcall, pages.next, pages)
    assert.is_true(expect.eventually(function() return #seen == 1 end))
    pages:close()
    assert.is_false(reader:await())
    assert.equal("closed", pages:status())
    pages = http.pages(base)
    reader = rille.spawn(function() pages:next() end)
    assert.is_true(expect.eventually(function() return #seen == 2 end))
    reader:cancel()
    assert.is_true(rille.is_error(failure(reader.await, reader), "ECANCELED"))
    over:set()
  end)

  it("refuses misuse at the caller's line, and sends nothing", function()
    for _, case in ipairs {
      { "bad URL %(string expected, got nil%)", function() http.pages() end },
      { "bad option 'next' %(string or function expected, got number%)", function() http.pages(base, 7) end },
      { "bad option 'next'", function() http.pages(base, { next = true }) end },
      { "unknown option 'nonsense'", function() http.pages(base, { nonsense = 1 }) end },
      { "bad option 'headers'", function() http.pages(base, { headers = { x = {} , y = print } }) end },
    } do
      assert.matches("^spec/http_pages_spec.lua:%d+: " .. case[1], failure(case[2]))
    end
    assert.same({}, seen)
    local closed = http.client()
    closed:close()
    assert.matches("closed", failure(function() closed:pages(base):next() end))
  end)
end)
