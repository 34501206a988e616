-- Downloads: what is on the disk after each end, what a later try goes on with, and the bar on a terminal.
local expect = require "spec.helper.expect"
local http = require "rille.http"
local json = require "rille.json"
local nginx = require "spec.helper.nginx"
local process = require "spec.helper.process"
local progress_bar = require "rille.progress_bar"
local rille = require "rille"
local script_server = require "spec.helper.script_server"

local failure, response = expect.caught, script_server.response

local WHOLE = "0123456789"
local TAG = 'ETag: "v1"\r\n'

-- A response that is cut after these bytes.
local function cut(body, headers)
  local head = "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n%s"
  return { "close", head:format(headers or TAG, #WHOLE, body) }
end

local function rest(from, headers, range)
  local body = WHOLE:sub(from + 1)
  range = range or ("bytes %d-%d/%d"):format(from, #WHOLE - 1, #WHOLE)
  return response(body, ("%sContent-Range: %s\r\n"):format(headers or TAG, range), "206 Partial Content")
end

local function read(path)
  local file <close> = io.open(path, "rb")
  return file and file:read("a")
end

describe("http.download", function()
  local server, dir, path

  setup(function() server = script_server.start() end)
  teardown(function() server:close() end)

  before_each(function()
    local pipe <close> = assert(io.popen("mktemp -d"))
    dir = pipe:read("l")
    path = dir .. "/file"
  end)

  after_each(function() os.execute("rm -rf " .. dir) end)

  -- The names in the directory.
  local function names()
    local pipe <close> = assert(io.popen("ls -A " .. dir))
    return (pipe:read("a"):gsub("\n", " "))
  end

  -- A download that the server cuts after some bytes.
  local function begin(url, size, options)
    local err = failure(http.download, url, path, options)
    assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
    assert.equal("file.part file.part.json ", names())
    assert.equal(WHOLE:sub(1, size), read(path .. ".part"))
    assert.is_nil(read(path))
  end

  it("saves a file under its name, and nothing else", function()
    local url = server:script("a", response(WHOLE, TAG))
    local done = http.download(url, path)
    assert.same({ path, 10, 0, 200 }, { done.path, done.size, done.resumed, done.response.status })
    assert.equal('"v1"', done.response.headers.etag)
    assert.equal(WHOLE, read(path))
    assert.equal("file ", names())
    assert.same({ "identity" }, server:sent("a", "accept-encoding"))
    assert.same({ "-" }, server:sent("a", "range"))
    server:script("a", response("", TAG))
    assert.equal(0, http.download(url, path).size)
    assert.equal("", read(path), "it replaces a file")
  end)

  it("saves what comes without a length", function()
    for _, text in ipairs {
      "HTTP/1.1 200 OK\r\n\r\n" .. WHOLE,
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n" .. WHOLE .. "\r\n0\r\n\r\n",
    } do
      local url = server:script("a", { "close", text })
      assert.equal(10, http.download(url, path).size)
      assert.equal(WHOLE, read(path))
    end
  end)

  it("saves a body as it is coded", function()
    local url = server:script("a", response("\x1F\x8Bnot gzip", "Content-Encoding: gzip\r\n"))
    http.download(url, path)
    assert.equal("\x1F\x8Bnot gzip", read(path))
  end)

  it("goes on where an earlier try has ended", function()
    local url = server:script("a", cut "0123", rest(4, TAG, "bytes 4-9/10"))
    begin(url, 4)
    local done = http.download(url, path)
    assert.same({ 10, 4, 206 }, { done.size, done.resumed, done.response.status })
    assert.equal(WHOLE, read(path))
    assert.equal("file ", names())
    assert.same({ "-", "bytes=4-" }, server:sent("a", "range"))
    assert.same({ "-", '"v1"' }, server:sent("a", "if-range"))
  end)

  it("goes on as often as it takes", function()
    local more = { "close", rest(4):gsub("456789$", "45") }
    local url = server:script("a", cut "0123", more, rest(6))
    begin(url, 4)
    begin(url, 6)
    assert.equal(6, http.download(url, path).resumed)
    assert.equal(WHOLE, read(path))
  end)

  it("takes a range that ends early for a part", function()
    local some = response("45", TAG .. "Content-Range: bytes 4-5/10\r\n", "206 Partial Content")
    local url = server:script("a", cut "0123", some, rest(6))
    begin(url, 4)
    local err = failure(http.download, url, path)
    assert.is_true(rille.is_error(err, "EPROTO"))
    assert.equal(("GET %s: 6 bytes are there, of 10"):format(url), tostring(err))
    assert.equal(6, http.download(url, path).resumed)
    assert.equal(WHOLE, read(path))
  end)

  it("begins again when the thing has changed", function()
    local url = server:script("a", cut "abcd", response(WHOLE, 'ETag: "v2"\r\n'))
    local err = failure(http.download, url, path)
    assert.is_true(rille.is_error(err, "EPROTO"))
    assert.equal(0, http.download(url, path).resumed)
    assert.equal(WHOLE, read(path))
    assert.same({ "-", '"v1"' }, server:sent("a", "if-range"))
  end)

  it("begins again when a range does not fit", function()
    for _, range in ipairs {
      "bytes 3-9/10", "bytes 5-9/10", "bytes 4-9/11", "bytes 4-3/10", "bytes 4-10/10", "4-9/10", "bytes */10",
      "items 4-9/10", "bytes 4-9", "bytes 4-9/10x", "",
    } do
      local url = server:script("a", cut "abcd", rest(4, TAG, range), response(WHOLE, TAG))
      failure(http.download, url, path)
      local done = http.download(url, path)
      assert.same({ 10, 0, 200 }, { done.size, done.resumed, done.response.status }, range)
      assert.equal(WHOLE, read(path))
      assert.same({ "-", "bytes=4-", "-" }, server:sent("a", "range"))
      os.remove(path)
    end
    local url = server:script("a", cut "abcd", rest(4, 'ETag: "v2"\r\n'), response(WHOLE, TAG))
    failure(http.download, url, path)
    assert.equal(0, http.download(url, path).resumed)
    assert.equal(WHOLE, read(path))
  end)

  it("takes a range of unknown total, and one without a tag", function()
    for _, headers in ipairs { TAG, "" } do
      local url = server:script("a", cut "0123", rest(4, headers, "bytes 4-9/*"))
      begin(url, 4)
      assert.equal(4, http.download(url, path).resumed)
      assert.equal(WHOLE, read(path))
      os.remove(path)
    end
  end)

  it("has all when nothing is behind what it has", function()
    local none = response("", TAG .. "Content-Range: bytes */10\r\n", "416 Range Not Satisfiable")
    local url = server:script("a", cut(WHOLE:sub(1, 9)), none, response(WHOLE, TAG))
    begin(url, 9)
    assert.equal(0, http.download(url, path).resumed, "not all: again")
    assert.equal(WHOLE, read(path))
    os.remove(path)
    os.execute("mkdir " .. path) -- the last step fails
    os.remove(path)
    url = server:script("a", cut "0123", rest(4), none)
    begin(url, 4)
    assert.is_true(rille.is_error(failure(http.download, url, path, {
      progress = function(received) if received == 10 then os.execute("mkdir -p " .. path .. "/x") end end,
    }), "EISDIR"))
    assert.equal(WHOLE, read(path .. ".part"))
    os.execute("rm -r " .. path)
    local done = http.download(url, path)
    assert.same({ 10, 10, 416 }, { done.size, done.resumed, done.response.status })
    assert.equal(WHOLE, read(path))
    assert.equal("file ", names())
  end)

  it("goes on by a strong validator alone", function()
    local date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    for headers, validator in pairs {
      [date .. "Last-Modified: Sun, 06 Nov 1994 08:48:37 GMT\r\n"] = "Sun, 06 Nov 1994 08:48:37 GMT",
      [date .. "Last-Modified: Sun, 06 Nov 1994 08:49:00 GMT\r\n"] = false,
      [date .. "Last-Modified: yesterday\r\n"] = false,
      ["Last-Modified: Sun, 06 Nov 1994 08:48:37 GMT\r\n"] = false,
      ['ETag: W/"v1"\r\n'] = false,
      ["ETag: v1\r\n"] = false,
      ['ETag: ""\r\n'] = '""',
      [""] = false,
    } do
      local url = server:script("a", cut("0123", headers), validator and rest(4, headers) or response(WHOLE))
      local err = failure(http.download, url, path)
      assert.is_true(rille.is_error(err, "EPROTO"))
      assert.equal(validator and "file.part file.part.json " or "", names(), headers)
      assert.equal(validator and 4 or 0, http.download(url, path).resumed)
      assert.equal(WHOLE, read(path))
      assert.same({ "-", validator or "-" }, server:sent("a", "if-range"))
      os.remove(path)
    end
  end)

  it("does not go on with what it does not know", function()
    local url = server:script("a", cut "0123")
    begin(url .. "?token=secret", 4)
    local note = read(path .. ".part.json")
    assert.is_nil(note:find("secret"))
    local known = json.decode(note)
    local long = { key = known.key, validator = known.validator, x = ("x"):rep(5000) }
    for what, text in pairs {
      ["nothing"] = "", ["no object"] = "7", ["no validator"] = json.encode { key = known.key },
      ["a bad one"] = json.encode { key = known.key, validator = "a\nb" },
      ["of another URL"] = note, ["too long"] = json.encode(long),
    } do
      nginx.write(path .. ".part", "abcd")
      nginx.write(path .. ".part.json", text)
      server:script("a", response(WHOLE))
      local again = what == "of another URL" and url or url .. "?token=secret"
      assert.equal(0, http.download(again, path).resumed, what)
      assert.equal(WHOLE, read(path))
      assert.same({ "-" }, server:sent("a", "range"), what)
    end
  end)

  it("takes no more than the server has said", function()
    local url = server:script("a", cut "0123", { "stall", "HTTP/1.1 206 Partial Content\r\n" .. TAG ..
      "Content-Range: bytes 4-9/10\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n456789XX\r\n" })
    begin(url, 4)
    local err = failure(http.download, url, path, { timeout = { idle = 60 } })
    assert.is_true(rille.is_error(err, "EPROTO"), tostring(err))
    assert.equal(("GET %s: 12 bytes are there, of 10"):format(url), tostring(err))
  end)

  it("leaves things as they are when there is no such file", function()
    local url = server:script("a", cut "0123", response("sorry", "", "404 Not Found"), rest(4))
    nginx.write(path, "old")
    local _ = failure(http.download, url, path)
    local err = failure(http.download, url, path)
    assert.is_true(rille.is_error(err, "ESTATUS"))
    assert.same({ 404, "sorry", "old", "0123" }, { err.status, err.body, read(path), read(path .. ".part") })
    assert.equal(4, http.download(url, path).resumed)
    os.remove(path)
    for _, status in ipairs { "404 Not Found", "204 No Content", "304 Not Modified", "206 Partial Content",
      "416 Range Not Satisfiable" } do
      url = server:script("a", "HTTP/1.1 " .. status .. "\r\nContent-Length: 0\r\n\r\n")
      err = failure(http.download, url, path)
      assert.is_true(rille.is_error(err, "ESTATUS"), status)
      assert.equal("", names())
    end
    assert.is_true(rille.is_error(failure(http.download, "http://127.0.0.1:1/", path), "ECONNREFUSED"))
    assert.equal("", names())
  end)

  it("keeps what it has when it is cancelled, or runs into a time-out", function()
    local stall = { "stall", cut("0123")[2] }
    local url = server:script("a", stall, rest(4))
    local begun = rille.event()
    local task = rille.spawn(http.download, url, path, {
      progress = function(received) if received == 4 then begun:set() end end,
    })
    begun:wait()
    assert.matches("is being downloaded already", failure(http.download, url, path))
    task:cancel()
    assert.is_true(rille.is_error(failure(task.await, task), "ECANCELED"))
    assert.equal("0123", read(path .. ".part"))
    assert.equal(4, http.download(url, path).resumed)
    os.remove(path)
    expect.patiently(function(idle)
      url = server:script("a", stall, rest(4))
      local err = failure(http.download, url, path, { timeout = { idle = idle } })
      assert.is_true(rille.is_error(err, "ETIMEDOUT"))
      return read(path .. ".part") == "0123"
    end)
    assert.equal(4, http.download(url, path).resumed)
  end)

  it("tells of its progress, and ends with an error of that", function()
    local url = server:script("a", cut "0123", rest(4))
    local seen = {}
    local function progress(...) seen[#seen + 1] = table.concat({ ... }, "/") end
    local err = failure(http.download, url, path, { progress = progress })
    assert.is_true(rille.is_error(err, "EPROTO"))
    http.download(url, path, { progress = progress })
    assert.same({ "0/10", "4/10", "4/10", "10/10" }, seen)
    seen = {}
    url = server:script("a", { "close", "HTTP/1.1 200 OK\r\n\r\n" .. WHOLE })
    http.download(url, path, { progress = progress })
    assert.same({ "0", "10" }, seen)
    url = server:script("a", response(WHOLE, TAG))
    os.remove(path)
    local own = {}
    assert.equal(own, failure(http.download, url, path, { progress = function() error(own) end }))
    assert.equal("", names())
  end)

  it("tells what is wrong with the disk", function()
    local url = server:script("a", response(WHOLE, TAG))
    local err = failure(http.download, url, dir .. "/none/file")
    assert.is_true(rille.is_error(err, "ENOENT"))
    assert.equal(("cannot write '%s/none/file.part': no such file or directory"):format(dir), tostring(err))
    assert.equal(dir .. "/none/file.part", err.path)
    err = failure(http.download, url, dir)
    assert.is_true(rille.is_error(err, "EISDIR"))
    assert.same({}, server:requests("a"), "nothing was asked for")
  end)

  it("tells that no more can be written", function()
    local url = server:script("a", response(WHOLE:rep(2000), TAG))
    local code = ([[
      local http, url, path = require "rille.http", %q, %q
      for _ = 1, 2 do -- the path is free again
        local _, err = pcall(http.download, url, path)
        print(err.code, err.path, err)
      end]]):format(url, path)
    local words = { "sh", "-c", "trap '' XFSZ; ulimit -f 8; exec \"$@\"", "sh" }
    for _, word in ipairs(process.host("-e", code)) do words[#words + 1] = word end
    local part = path .. ".part"
    assert.equal(("EFBIG\t%s\tcannot write '%s': file too large\n"):format(part, part):rep(2),
      process.run(words).stdout)
  end)

  it("writes to no file but a part of its own", function()
    local url = server:script("a", response(WHOLE, TAG))
    local other = dir .. "/other"
    local file <close> = io.open(other, "w")
    file:write("precious"):flush()
    os.execute(("ln -s other %s.part"):format(path))
    local err = failure(http.download, url, path)
    assert.is_true(rille.is_error(err, "ELOOP"), tostring(err))
    assert.equal(path .. ".part", err.path)
    os.execute(("ln -s null %s/none.part"):format(dir)) -- a link to nothing makes nothing
    assert.is_true(rille.is_error(failure(http.download, url, dir .. "/none"), "ELOOP"))
    assert.is_nil(read(dir .. "/null"))
    os.execute(("mkfifo %s/fifo.part %s/pipe; ln -s pipe %s/way"):format(dir, dir, dir))
    assert.is_true(rille.is_error(failure(http.download, url, dir .. "/fifo"), "ENXIO"))
    for _, name in ipairs { "pipe", "way" } do
      assert.is_true(rille.is_error(failure(http.download, url, dir .. "/" .. name), "EINVAL"))
    end
    assert.same({}, server:requests("a"), "nothing was asked for")
    assert.equal("precious", read(other))
    os.remove(path .. ".part")
    os.execute(("ln -s other %s; mkfifo %s.part.json"):format(path, path))
    assert.equal(10, http.download(url, path).size)
    assert.same({ WHOLE, "precious" }, { read(path), read(other) })
  end)

  it("does not share a part with another name of it, or another program", function()
    local url = server:script("a", { "stall", cut("0123")[2] }, rest(4))
    local begun = rille.event()
    local task = rille.spawn(http.download, url, path, {
      progress = function(received) if received == 4 then begun:set() end end,
    })
    begun:wait()
    local err = failure(http.download, url, dir .. "/./file")
    assert.is_true(rille.is_error(err, "EBUSY"), tostring(err))
    local code = ([[print(select(2, pcall(require "rille.http".download, %q, %q)))]]):format(url, path)
    assert.equal(("cannot write '%s.part': resource busy or locked\n"):format(path),
      process.run(process.host("-e", code)).stdout)
    task:cancel()
    failure(task.await, task)
    local done = http.download(url, dir .. "/./file")
    assert.same({ 4, WHOLE }, { done.resumed, read(path) })
  end)

  it("does not take for the file what has come into the place of its part", function()
    local url = server:script("a", response(WHOLE, TAG))
    local err = failure(http.download, url, path, { progress = function(received)
      if received == 10 then os.execute(("rm %s.part; echo evil >%s.part"):format(path, path)) end
    end })
    assert.is_true(rille.is_error(err, "ENOENT"), tostring(err))
    assert.equal(path, err.path)
    assert.is_nil(read(path))
  end)

  it("takes the options of a client, and is relative to its URL", function()
    local client <close> = http.client { base_url = server.url, bearer = "t", headers = { ["X-Y"] = "z" } }
    server:script("a", cut "0123", rest(4))
    assert.is_true(rille.is_error(failure(client.download, client, "a", path), "EPROTO"))
    assert.equal(4, client:download("a", path, { headers = { ["x-z"] = "1" } }).resumed)
    assert.same({ "Bearer t", "Bearer t" }, server:sent("a", "authorization"))
    assert.same({ "z", "z" }, server:sent("a", "x-y"))
    assert.same({ "-", "1" }, server:sent("a", "x-z"))
  end)

  it("refuses misuse at the caller's line, and makes no file", function()
    local url = server:script("a", response(WHOLE))
    for what, args in pairs {
      ["bad URL %(string expected, got nil%)"] = { nil, path },
      ["bad argument #2 to 'download' %(string expected, got nil%)"] = { url },
      ["bad argument #2 to 'download' %(the path of a file expected%)"] = { url, "" },
      ["bad argument #2 to 'download' %(the path"] = { url, dir .. "/" },
      ["bad options %(table expected, got number%)"] = { url, path, 7 },
      ["unknown option 'nonsense'"] = { url, path, { nonsense = 1 } },
      ["bad option 'progress' %(boolean or function expected"] = { url, path, { progress = {} } },
      ["bad option 'decompress'"] = { url, path, { decompress = true } },
      ["bad option 'headers' %(a download has its own range%)"] = { url, path, { headers = { Range = 1 } } },
      ["bad option 'headers'"] = { url, path, { headers = { x = print } } },
    } do
      local err = failure(function() http.download(args[1], args[2], args[3]) end)
      assert.matches("^spec/http_download_spec.lua:%d+: " .. what, err)
    end
    assert.equal("", names())
    assert.same({}, server:requests("a"))
  end)

  it("gets a large file from nginx in two tries", function()
    local block = ("%08d"):rep(1000, "\n"):gsub("%%08d", "12345678")
    local large = block:rep(400)
    local running <close>, url = nginx.start(function(root) nginx.write(root .. "/large", large) end)
    assert.is_truthy(running)
    local stop = {}
    assert.equal(stop, failure(http.download, url .. "/large", path, {
      progress = function(received) if received > #large // 3 then error(stop) end end,
    }))
    local got = #read(path .. ".part")
    local done = http.download(url .. "/large", path)
    assert.same({ #large, got, 206 }, { done.size, done.resumed, done.response.status })
    assert.is_true(got > #large // 3 and read(path) == large)
    assert.equal("file ", names())
  end)

  it("shows a bar on a terminal, and nothing elsewhere", function()
    local script = dir .. "/script.lua"
    nginx.write(script, ([[
      local http = require "rille.http"
      http.download(%q, %q, load("return " .. (arg[1] or "nil"))())
      io.stdout:write("fine\n")
    ]]):format(server:script("a", response(WHOLE, TAG)), path))
    local plain = process.run(process.host(script))
    assert.same({ "fine\n", "" }, { plain.stdout, plain.stderr })
    local function terminal(options)
      local words = {}
      for i, word in ipairs(process.host(script, options)) do words[i] = process.quote(word) end
      local command = "stty cols 72; TERM=xterm exec " .. table.concat(words, " ")
      return process.run({ "script", "-qec", command, "/dev/null" }).stdout
    end
    local shown = terminal()
    assert.matches("\r\27%[Kfile  ", shown)
    assert.matches("100%%   +10 B +[%d.]+ %w+/s  0:00\r\nfine\r\n", shown)
    assert.equal("fine\r\n", terminal("{progress=false}"))
    server:script("a", response("", "", "404 Not Found"))
    assert.is_nil(terminal():find("%%"))
    server:script("a", cut "0123")
    assert.matches("file  .*\r\27%[Krille: ", terminal())
  end)
end)

describe("rille.progress_bar", function()
  local clock, written

  before_each(function() clock, written = rille.test.clock(), {} end)
  after_each(function() clock:close() end)

  local function new(columns, label)
    return progress_bar.new(label or "file", function(text) written[#written + 1] = text end, function()
      return columns
    end)
  end

  local function last() return (written[#written]:gsub("^\r\27%[K", "")) end

  it("tells how much, how fast, and how long", function()
    local bar <close> = new(80)
    bar:update(0, 1000)
    assert.matches("^file +%[> +%]   0%%        0 B        0 B/s  0:00$", last())
    rille.sleep(10)
    bar:update(250, 1000)
    assert.matches("^file +%[=+> +%]  25%%      250 B       25 B/s  0:30$", last())
    rille.sleep(30)
    bar:finish(1000)
    assert.matches("%[=+%] 100%%     1000 B       25 B/s  0:40$", written[#written - 1])
    assert.equal("\n", written[#written])
    for _, line in ipairs(written) do assert.is_true(#line - 4 < 80) end
  end)

  it("counts the rate from where it has begun", function()
    local bar <close> = new(80)
    bar:update(1024 * 1024 * 5, 1024 * 1024 * 15)
    rille.sleep(4)
    bar:update(1024 * 1024 * 7, 1024 * 1024 * 15)
    assert.matches("  46%%    7.0 MiB  512.0 KiB/s  0:16$", last())
  end)

  it("tells less when the total is not known, and less on narrow terminals", function()
    local bar <close> = new(80)
    bar:update(0)
    rille.sleep(3725)
    bar:update(3725 * 2048)
    assert.matches("^file +  7.3 MiB    2.0 KiB/s  1:02:05$", last())
    for columns = 0, 120 do
      local narrow <close> = new(columns, "a rather long name of a file \u{E9}\u{E9}\u{E9}")
      narrow:update(5, 10)
      assert.is_true(utf8.len(last()) < math.max(columns, 1), columns)
      if columns == 120 then
        assert.matches("^a rather long name of a file \u{E9}\u{E9}\u{E9} +%[=+> +%]  50%%", last())
      end
    end
  end)

  it("is drawn ten times a second at most, and erased if it does not finish", function()
    do
      local bar <close> = new(80)
      for i = 1, 100 do
        bar:update(i, 100)
        rille.sleep(0.01)
      end
      assert.is_true(#written >= 9 and #written <= 11, #written)
    end
    assert.equal("\r\27[K", written[#written])
    written = {}
    do local _ <close> = new(80) end
    assert.same({}, written)
  end)

  it("shows names that are not printable", function()
    local bar <close> = new(80, "a\27[2J\nb")
    bar:update(1, 2)
    assert.matches("^a%?%[2J%?b ", last())
    local other <close> = new(80, "a\xFFb")
    other:update(1, 2)
    assert.matches("^a%?b ", last())
  end)
end)
