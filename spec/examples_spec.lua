-- The short examples in scripts/, each as a user runs it, against servers on loopback.
local http = require "rille.http"
local rille = require "rille"
local process = require "spec.helper.process"
local script_server = require "spec.helper.script_server"

local SCRIPTS = process.root .. "/scripts/"

local function start(script, ...) return process.start(process.host(SCRIPTS .. script .. ".lua", ...)) end

local function run(script, ...)
  local child <close> = start(script, ...)
  return child:wait()
end

local function lines(text)
  local list = {}
  for line in text:gmatch("([^\n]*)\n") do list[#list + 1] = line end
  return list
end

local function sorted(list)
  table.sort(list)
  return list
end

-- A server that leaves no time to its handlers when it is closed.
local function serve(handler, options)
  local server = http.serve(options or {}, handler)
  return setmetatable({ url = server.url, close = function() server:close(0) end, port = server.port }, {
    __close = function() server:close(0) end,
  })
end

-- A server of HTML pages by path; it counts how many requests are in their handlers at a time.
local function serve_pages(pages)
  local site = { inside = 0, most = 0, asked = {} }
  local server = serve(function(req)
    site.inside = site.inside + 1
    site.most = math.max(site.most, site.inside)
    site.asked[#site.asked + 1] = req.path
    for _ = 1, 50 do -- time for others to come
      if site.inside > 1 then break end
      rille.sleep(0.002)
    end
    rille.sleep(0.01)
    site.inside = site.inside - 1
    local page = pages[req.target]
    if type(page) == "function" then return page(req) end
    if not page then return { status = 404, body = "nothing" } end
    return { headers = { ["content-type"] = "text/html; charset=utf-8" }, body = page }
  end)
  site.url, site.close = server.url, server.close
  return setmetatable(site, { __close = server.close })
end

local SLOW_LINK = [[<a href="/slow">]]

local function sleep() rille.sleep(60) end

-- An address where nobody listens.
local function nowhere()
  local server <close> = serve(function() return {} end)
  return server.url
end

local function assert_fails(result, pattern)
  assert.equal(1, #lines(result.stderr), result.stderr)
  assert.matches(pattern, result.stderr)
  assert.equal(1, result.status)
end

-- The first lines are all that a reader wants of what would be written for ever.
local function assert_quiet_when_cut(first, ...)
  local words = {}
  for i, word in ipairs(process.host(...)) do words[i] = process.quote(word) end
  local pipe = table.concat(words, " ") .. " | head -n 1; exit ${PIPESTATUS[0]}"
  local result = process.run { "bash", "-c", pipe }
  assert.equal("", result.stderr)
  assert.equal(first, result.stdout)
  return result.status
end

describe("the scripts", function()
  local SHARED = { ["command.lua"] = true, ["pokeapi.lua"] = true, ["pokedex.lua"] = true }
  local names = {}
  for name in io.popen("ls scripts"):lines() do names[#names + 1] = name end

  it("are under 60 lines, and open with what they show and how they are run", function()
    assert.is_true(#names >= 10)
    for _, name in ipairs(names) do
      local file <close> = assert(io.open(SCRIPTS .. name))
      local text = file:read("a")
      if not SHARED[name] then
        assert.is_true(select(2, text:gsub("\n", "")) < 60, name)
        local opening = text:match("^#!/usr/bin/env rille\n(.-)\n[^-]")
        assert.equal(1, opening:find(("%%-%%- %s %%-%%- %%a"):format(name)), name)
        assert.matches("\n%-%- Shows:  %a", opening, name)
        assert.matches("\n%-%- Run:    ", opening, name)
        assert.is_truthy(opening:find("rille scripts/" .. name, 1, true), name)
      end
    end
  end)

  it("refuse a wrong command line with status 2 and their usage", function()
    local wrong = {
      crawler = { {}, { "moon" }, { "http://h/", "0" }, { "http://h/", "1.5" }, { "http://h/", "1", "2" } },
      links = { {} },
      events = { {} },
      ndjson = { {}, { "-" }, { "-", "level", "code" } },
      download = { {}, { "-" }, { "-", ".", "0" }, { "-", ".", "fast" }, { "-", ".", "1", "none" } },
      chat = { {}, { "http" }, { "1.5" } },
    }
    for script, cases in pairs(wrong) do
      for _, words in ipairs(cases) do
        local result = run(script, table.unpack(words))
        assert.equal("", result.stdout)
        assert.matches("^usage: " .. script .. "%.lua [^\n]+\n$", result.stderr)
        assert.equal(2, result.status)
      end
    end
  end)
end)

describe("crawler.lua", function()
  local PAGES = {
    ["/"] = [[<a href="a">a</a> <a class=x HREF='/b?x=1&amp;y=2#there'>b</a> <a href="#top">top</a>]],
    ["/a"] = [[<a href="./c">c</a><a href="/">home</a><a href="gone">gone</a>
      <a href="http://127.0.0.1:1/">out</a>]],
    ["/b?x=1&y=2"] = [[<a href="/c">c</a><a href="/d">d</a><a href="mailto:ash@example.com">mail</a>]],
    ["/c"] = [[<a href="text">text</a>]],
    ["/d"] = [[<a href="/e">e</a>]],
    ["/e"] = "the end",
    ["/text"] = function() return { body = [[<a href="/not-a-link">]] } end,
  }

  local function assert_all(site, stdout)
    local expected = {
      "200\t/", "200\t/a", "200\t/b?x=1&y=2", "200\t/c", "200\t/d", "200\t/e", "200\t/text", "404\t/gone",
    }
    for i, line in ipairs(expected) do expected[i] = line:gsub("\t", "\t" .. site.url) end
    assert.same(expected, sorted(lines(stdout)))
    assert.equal(#expected, #site.asked)
  end

  it("finds each page of a host once", function()
    local site <close> = serve_pages(PAGES)
    local result = run("crawler", site.url .. "/")
    assert.equal("", result.stderr)
    assert.equal(0, result.status)
    assert_all(site, result.stdout)
    assert.is_true(site.most > 1)
  end)

  it("has as many requests under way as it is told", function()
    local pages = { ["/"] = {} }
    for i = 1, 20 do
      table.insert(pages["/"], ('<a href="/%d">'):format(i))
      pages["/" .. i] = "page"
    end
    pages["/"] = table.concat(pages["/"])
    local site <close> = serve_pages(pages)
    local result = run("crawler", site.url .. "/", "3")
    assert.equal(0, result.status)
    assert.equal(21, #lines(result.stdout))
    assert.equal(3, site.most)
    site.most = 0
    assert.equal(0, run("crawler", site.url .. "/", "1").status)
    assert.equal(1, site.most)
  end)

  it("goes on when a page cannot be had, and tells of it at the end", function()
    local tries = 0
    local function cut() return { status = 302, headers = { location = nowhere() } } end
    local site <close> = serve_pages {
      ["/"] = [[<a href="cut"><a href="busy"><a href="b">]], ["/cut"] = cut, ["/b"] = "b",
      ["/busy"] = function()
        tries = tries + 1
        return tries == 1 and { status = 503, headers = { ["retry-after"] = 0 } } or { body = "at last" }
      end,
    }
    local result = run("crawler", site.url .. "/")
    local expected = ("200\tU/\n200\tU/b\n200\tU/busy\n"):gsub("U", site.url)
    assert.same(lines(expected), sorted(lines(result.stdout)))
    assert_fails(result, "^crawler: GET .*/cut: redirected to .*: connection refused %(3 tries%)\n$")
  end)

  it("fails in one line when nobody is there", function()
    local result = run("crawler", nowhere())
    assert.equal("", result.stdout)
    assert_fails(result, "^crawler: .*connection refused")
  end)

  it("ends on SIGINT, quietly", function()
    local site <close> = serve_pages { ["/"] = SLOW_LINK, ["/slow"] = sleep }
    local child <close> = start("crawler", site.url .. "/")
    child:expect("200\t[^\n]+/\n")
    while #site.asked < 2 do rille.sleep(0.005) end
    child:signal("INT")
    local result = child:wait()
    assert.same({ "", 130 }, { result.stderr, result.status })
  end)

  it("ends when nobody reads what it prints", function()
    local count = 0
    local site <close> = serve(function()
      count = count + 1
      local body = ('<a href="/%d"><a href="/again/%d">'):format(count, count)
      return { headers = { ["content-type"] = "text/html" }, body = body }
    end)
    local first = ("200\t%s/\n"):format(site.url)
    assert.equal(141, assert_quiet_when_cut(first, SCRIPTS .. "crawler.lua", site.url .. "/"))
  end)
end)

describe("links.lua", function()
  it("says nothing of links that are alive, and asks for each once", function()
    local site <close> = serve_pages {
      ["/"] = [[<a href="a"><img src = '/b.png'><a href="/a#x"><a href="mailto:x@y"><p title="c">]],
      ["/a"] = "a", ["/b.png"] = "b",
    }
    local result = run("links", site.url .. "/")
    assert.same({ "", "", 0 }, { result.stdout, result.stderr, result.status })
    assert.same({ "/", "/a", "/b.png" }, sorted(site.asked))
  end)

  it("lists the dead ones in the order of the page, several requests at a time", function()
    local dead, methods = nowhere(), {}
    local function no_head(req)
      methods[#methods + 1] = req.method
      return req.method == "HEAD" and { status = 405 } or { status = 200 }
    end
    local site <close> = serve_pages {
      ["/"] = ([[<a href="/slow"><a href="/ok"><a href="%s/x"><a href="/gone">
        <a href="/no-head">]]):format(dead),
      ["/slow"] = function()
        rille.sleep(0.05)
        return { status = 500 }
      end,
      ["/ok"] = "ok", ["/no-head"] = no_head,
    }
    local result = run("links", site.url .. "/")
    local list = lines(result.stdout)
    assert.equal(3, #list, result.stdout)
    assert.matches("^HEAD .*/slow: .*500", list[1])
    assert.matches("^HEAD .*/x: connection refused", list[2])
    assert.matches("^HEAD .*/gone: .*404", list[3])
    assert.same({ "", 1 }, { result.stderr, result.status })
    assert.same({ "HEAD", "GET" }, methods)
    assert.is_true(site.most > 1)
  end)

  it("checks several pages, and fails in one line when one cannot be had", function()
    local site <close> = serve_pages {
      ["/1"] = [[<a href="/dead">]], ["/2"] = [[<a href="/dead"><a href="/dead2">]],
    }
    local result = run("links", site.url .. "/1", site.url .. "/2")
    assert.equal(2, #lines(result.stdout), result.stdout)
    assert.same({ "", 1 }, { result.stderr, result.status })
    assert_fails(run("links", site.url .. "/1", site.url .. "/3"), "^links: GET .*/3: .*404")
    assert_fails(run("links", nowhere()), "^links: .*connection refused")
  end)

  it("ends on SIGINT, quietly", function()
    local site <close> = serve_pages { ["/"] = SLOW_LINK, ["/slow"] = sleep }
    local child <close> = start("links", site.url .. "/")
    while #site.asked < 2 do rille.sleep(0.005) end
    child:signal("INT")
    local result = child:wait()
    assert.same({ "", "", 130 }, { result.stdout, result.stderr, result.status })
  end)
end)

describe("events.lua", function()
  -- A server of numbered events, two in each response, which waits for the first that is not there.
  local function serve_events(available)
    return serve(function(req)
      local last = tonumber(req.headers["last-event-id"] or "0")
      if last == available.final then return { status = 204 } end
      while last >= available.count do rille.sleep(0.005) end
      local body = { "retry: 1\n" }
      for id = last + 1, math.min(last + 2, available.count) do
        local kind = id % 2 == 0 and "even" or "odd"
        body[#body + 1] = ("id: %d\nevent: %s\ndata: number %d\n\n"):format(id, kind, id)
      end
      return { headers = { ["content-type"] = "text/event-stream" }, body = table.concat(body) }
    end)
  end

  it("prints events in order, over many connections, until the server has no more", function()
    local server <close> = serve_events { count = 6, final = 6 }
    local result = run("events", server.url)
    assert.same({ "", 0 }, { result.stderr, result.status })
    local pair = "odd\tnumber %d\neven\tnumber %d\n"
    assert.equal(pair:rep(3):format(1, 2, 3, 4, 5, 6), result.stdout)
  end)

  it("prints the kinds that are named", function()
    local server <close> = serve_events { count = 6, final = 6 }
    local result = run("events", server.url, "even", "new")
    assert.equal("even\tnumber 2\neven\tnumber 4\neven\tnumber 6\n", result.stdout)
  end)

  it("prints each event when it comes, and ends on SIGINT", function()
    local available = { count = 1 }
    local server <close> = serve_events(available)
    local child <close> = start("events", server.url)
    child:expect("^odd\tnumber 1\n$")
    available.count = 2
    child:expect("^odd\tnumber 1\neven\tnumber 2\n$")
    child:signal("INT")
    local result = child:wait()
    assert.same({ "", 130 }, { result.stderr, result.status })
  end)

  it("goes on with another server at the same place, and fails in one line when there is none", function()
    local available = { count = 2 }
    local server = serve_events(available)
    local child <close> = start("events", server.url)
    child:expect("number 2\n")
    server.close()
    local function again(req)
      while req.headers["last-event-id"] ~= "2" do rille.sleep(0.005) end
      return { headers = { ["content-type"] = "text/event-stream" }, body = "id: 3\ndata: back\n\n" }
    end
    server = serve(again, { port = server.port })
    child:expect("message\tback\n")
    server.close()
    local result = child:wait()
    assert_fails(result, "^events: GET .*refused")
  end)

  it("fails in one line when the answer is no stream of events", function()
    local server <close> = serve(function() return { body = "hello" } end)
    assert_fails(run("events", server.url), "^events: ")
    local missing <close> = serve(function() return { status = 404 } end)
    assert_fails(run("events", missing.url), "^events: .*404")
    assert_fails(run("events", "moon://x"), "^events: ")
  end)

  it("ends when nobody reads what it prints", function()
    local server <close> = serve_events { count = math.maxinteger }
    assert.equal(141, assert_quiet_when_cut("odd\tnumber 1\n", SCRIPTS .. "events.lua", server.url))
  end)
end)

describe("ndjson.lua", function()
  local RECORDS = [[
{"level":"info","code":1,"ok":true}
{"level":"error","code":25}

{"level":"info","code":25,"ok":true}
{"code":25}
[1]
{"level":"error","code":25,"ok":false}
{"level":"debug","code":1}
{"level":"info"}
]]

  local function pipe(text, ...)
    local path = os.tmpname()
    do
      local file <close> = assert(io.open(path, "w"))
      file:write(text)
    end
    local words = {}
    for i, word in ipairs(process.host(SCRIPTS .. "ndjson.lua", "-", ...)) do
      words[i] = process.quote(word)
    end
    local result = process.run { "sh", "-c", table.concat(words, " ") .. " <" .. path }
    os.remove(path)
    return result
  end

  local function assert_counts(expected, result)
    assert.same({ expected, "", 0 }, { result.stdout, result.stderr, result.status })
  end

  it("counts the records of standard input by a field, the largest count first", function()
    assert_counts('{"level":"info","count":3}\n{"level":"error","count":2}\n{"level":"debug","count":1}\n',
      pipe(RECORDS, "level"))
    assert_counts('{"code":25,"count":4}\n{"code":1,"count":2}\n', pipe(RECORDS, "code"))
    assert_counts("", pipe("", "level"))
  end)

  it("counts the records whose fields have values", function()
    assert_counts('{"level":"error","count":2}\n{"level":"info","count":1}\n',
      pipe(RECORDS, "level", "code=25"))
    assert_counts('{"level":"info","count":1}\n', pipe(RECORDS, "level", "code=25", "ok=true"))
    assert_counts('{"code":1,"count":1}\n', pipe(RECORDS, "code", "level=debug"))
    assert_counts("", pipe(RECORDS, "code", "level=none"))
  end)

  it("reads them from a server as they come", function()
    local server <close> = serve(function() return { body = RECORDS:rep(1000) } end)
    local counts = { info = 3000, error = 2000, debug = 1000 }
    local result = run("ndjson", server.url, "level")
    for level, count in result.stdout:gmatch('{"level":"(%l+)","count":(%d+)}\n') do
      assert.equal(counts[level], tonumber(count))
      counts[level] = nil
    end
    assert.is_nil(next(counts))
    assert.same({ "", 0 }, { result.stderr, result.status })
  end)

  it("fails in one line for what is no JSON, no answer, or the beginning of one", function()
    assert_fails(pipe(RECORDS .. "{level}\n", "level"), "^ndjson: .*line 10")
    assert_fails(run("ndjson", nowhere(), "level"), "^ndjson: .*connection refused")
    local server <close> = serve(function() return { status = 500 } end)
    assert_fails(run("ndjson", server.url, "level"), "^ndjson: .*500")
    local cut <close> = process.start { "perl", "-e", [[
      use IO::Socket::INET;
      $| = 1;
      my $listener = IO::Socket::INET->new(Listen => 5, LocalAddr => "127.0.0.1") or die;
      print $listener->sockport, "\n";
      my $client = $listener->accept or die;
      while (<$client>) { last if /^\r?$/ }
      print $client "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"level\":\"info\"}\n";
      close $client;
    ]] }
    local result = run("ndjson", "http://127.0.0.1:" .. cut:expect("^(%d+)\n"), "level")
    assert.equal("", result.stdout)
    assert_fails(result, "^ndjson: GET ")
  end)
end)

describe("download.lua", function()
  local folder

  before_each(function() folder = io.popen("mktemp -d"):read() end)
  after_each(function() os.execute("rm -rf " .. folder) end)

  local function contents(name)
    local file <close> = io.open(folder .. "/" .. name, "rb")
    return file and file:read("a")
  end

  local function list_of(...)
    local path = folder .. ".list"
    local file <close> = assert(io.open(path, "w"))
    file:write(table.concat({ ... }, "\n"), "\n\n")
    return path
  end
  after_each(function() os.remove(folder .. ".list") end)

  it("saves the files of a list, so many at a time, and prints what it has saved", function()
    local urls, expected = {}, {}
    local pages = {}
    for i = 1, 9 do pages["/files/" .. i .. "?v=1"] = ("x"):rep(i) end
    local site <close> = serve_pages(pages)
    for i = 1, 9 do
      urls[i] = site.url .. "/files/" .. i .. "?v=1"
      expected[i] = ("%s/%d\t%d"):format(folder, i, i)
    end
    local result = run("download", list_of(table.unpack(urls)), folder, "1000", "3")
    assert.same({ "", 0 }, { result.stderr, result.status })
    assert.same(expected, sorted(lines(result.stdout)))
    for i = 1, 9 do assert.equal(("x"):rep(i), contents(i)) end
    assert.is_true(site.most > 1 and site.most <= 3, site.most)
  end)

  it("begins no more requests in a second than it is told", function()
    local last
    local server <close> = serve(function(req)
      last = rille.now()
      return { body = req.path }
    end)
    local u, before = server.url, rille.now()
    local list = list_of(u .. "/1", u .. "/2", u .. "/3", u .. "/4", u .. "/5")
    local result = run("download", list, folder, "4")
    assert.same({ "", 0 }, { result.stderr, result.status })
    assert.is_true(last - before >= 0.99) -- four quarters, however slow all else is
  end)

  it("saves only what is not there yet", function()
    local asked = {}
    local server <close> = serve(function(req)
      asked[#asked + 1] = req.path
      return { body = "new" }
    end)
    local list = list_of(server.url .. "/1", server.url .. "/2")
    os.execute("echo old >" .. folder .. "/1")
    local result = run("download", list, folder, "1000")
    assert.same({ folder .. "/2\t3\n", "", 0 }, { result.stdout, result.stderr, result.status })
    assert.same({ "/2" }, asked)
    assert.same({ "old\n", "new" }, { contents(1), contents(2) })
  end)

  it("leaves nothing under a file's name on SIGINT, and goes on with the rest", function()
    local server <close> = script_server.start()
    local tag, size = 'ETag: "v1"\r\n', 200000
    local url = server:script("big", { "stall",
      ("HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n"):format(tag, size) .. ("x"):rep(size // 2) })
    local list = list_of(url)
    local child <close> = start("download", list, folder, "1000")
    while #(contents("big.part") or "") < 50000 do rille.sleep(0.005) end
    assert.is_nil(contents("big"))
    child:signal("INT")
    local result = child:wait()
    assert.same({ "", "", 130 }, { result.stdout, result.stderr, result.status })
    assert.is_nil(contents("big"))

    local part = #contents("big.part")
    local range = ("Content-Range: bytes %d-%d/%d\r\n"):format(part, size - 1, size)
    server:script("big", script_server.response(("x"):rep(size - part), tag .. range, "206 Partial Content"))
    result = run("download", list, folder, "1000")
    assert.same({ folder .. "/big\t200000\n", "", 0 }, { result.stdout, result.stderr, result.status })
    assert.equal(("x"):rep(200000), contents("big"))
    assert.same({ ("bytes=%d-"):format(part) }, server:sent("big", "range"))
    assert.is_nil(contents("big.part"))
  end)

  it("saves the others when some cannot be had, and says at the end which", function()
    local server <close> = serve(function(req)
      return { status = req.path == "/gone" and 404 or 200, body = "body" }
    end)
    local u = server.url
    local list = list_of(nowhere() .. "/dead", u .. "/gone", u .. "/1", u .. "/again/1", u .. "/..")
    local result = run("download", list, folder, "1000", "1")
    assert.same({ folder .. "/1\t4", folder .. "/index.html\t4" }, lines(result.stdout))
    local complaints = lines(result.stderr)
    assert.equal(3, #complaints, result.stderr)
    assert.matches("^download: GET .*/dead: connection refused", complaints[1])
    assert.matches("^download: GET .*/gone: .*404", complaints[2])
    local taken = ("download: %s/again/1: another URL of the list is saved as %s/1"):format(u, folder)
    assert.equal(taken, complaints[3])
    assert.equal(1, result.status)
    assert_fails(run("download", folder .. "/no-list", folder), "^download: .*/no%-list: No such file")
  end)

  it("shows how far it is on a terminal, and wipes that", function()
    local go_on = false
    local server <close> = serve(function(req)
      while req.path == "/2" and not go_on do rille.sleep(0.005) end
      return { body = "body" }
    end)
    local list = list_of(server.url .. "/1", server.url .. "/2")
    local words = { process.rille, SCRIPTS .. "download.lua", list, folder, "1000" }
    for i, word in ipairs(words) do words[i] = process.quote(word) end
    local child <close> = process.start { "script", "-qefc", table.concat(words, " "), "/dev/null" }
    child:expect("\r\27%[K1 of 2 files, 0%.0 MiB")
    go_on = true
    local result = child:wait()
    assert.equal(0, result.status)
    assert.matches("\r\27%[K[^\n]*/2\t4\r\n[^\n]*\r\27%[K$", result.stdout)
  end)
end)

describe("chat.lua", function()
  local child, url

  before_each(function()
    child = start("chat", "0")
    url = child:expect("^listening on (http://127%.0%.0%.1:%d+)\n")
  end)
  after_each(function() child:close() end)

  local function say(room, text)
    assert.equal(204, http.post(url .. room, { body = text }).status)
  end

  it("gives what is said to each reader of a room, in order", function()
    local one <close> = start("events", url .. "/lobby")
    local two <close> = start("events", url .. "/lobby")
    say("/lobby", "ash: hello")
    for _, reader in ipairs { one, two } do reader:expect("^message\tash: hello\n$") end
    local expected = "message\tash: hello\n"
    for i = 1, 10 do
      say("/lobby", ("misty: %d"):format(i))
      say("/den", "in another room")
      expected = expected .. ("message\tmisty: %d\n"):format(i)
    end
    say("/lobby", "ash: two\r\nlines\rof mine")
    expected = expected .. "message\tash: two\nlines\nof mine\n"
    for _, reader in ipairs { one, two } do
      reader:expect("of mine\n")
      assert.equal(expected, reader:stdout())
      assert.equal("", reader:stderr())
    end
  end)

  it("gives the last hundred to who comes later", function()
    for i = 1, 103 do say("/lobby", "message " .. i) end
    local list = http.events(url .. "/lobby"):take(100):collect()
    assert.same({ "message 4", "4" }, { list[1].data, list[1].id })
    assert.same({ "message 103", "103" }, { list[100].data, list[100].id })
  end)

  it("begins anew with a reader that has what was never said", function()
    say("/lobby", "first")
    for _, id in ipairs { "99", "-1", "x", "1e999", "0.5" } do
      assert.equal("first", http.events(url .. "/lobby", { last_event_id = id }):first().data)
    end
  end)

  it("shows a page to a browser, and refuses to say nothing", function()
    local res = http.get(url .. "/lobby")
    assert.equal("text/html; charset=utf-8", res.headers["content-type"])
    assert.matches('new EventSource%(""%)', res:text())
    assert.equal(400, http.post(url .. "/lobby", { body = "" }).status)
  end)

  it("ends on SIGINT while readers wait, who then fail in one line", function()
    local reader <close> = start("events", url .. "/lobby")
    say("/lobby", "last words")
    reader:expect("last words\n")
    child:signal("INT")
    local result = child:wait()
    assert.same({ "", 130 }, { result.stderr, result.status })
    assert_fails(reader:wait(), "^events: .*refused")
  end)

  it("fails in one line when the port is taken", function()
    local result = run("chat", url:match("%d+$"))
    assert.equal("", result.stdout)
    assert_fails(result, "^chat: .*in use")
    assert_fails(run("chat", "65536"), "^chat: ")
  end)
end)
