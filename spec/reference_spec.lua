-- docs/reference.md: it has every public name, option and code, and no other.
-- Held against it are what the program has, and what the docstrings declare (tools/types.lua), which
-- types_spec.lua holds against the program.
local http = require "rille.http"
local json = require "rille.json"
local rille = require "rille"
local stream = require "rille.stream"
local generator = require "rille.host.generator"
local naming = require "spec.helper.names"
local options = require "spec.helper.options"
local perl_server = require "spec.helper.perl_server"
local process = require "spec.helper.process"
local reference = require "spec.helper.reference"
local make_types = dofile("tools/types.lua")

local sorted, upvalue = naming.sorted, naming.upvalue
local documented, listed, tabled = reference.documented, reference.listed, reference.tabled

-- Adds keys to a set of names, with a prefix: "." for fields and functions, ":" for methods.
local function add(set, prefix, ...)
  for _, names in ipairs { ... } do
    for name in pairs(names) do set[prefix .. name] = true end
  end
  return set
end

-- Methods, the own ones and those that are operators of streams.
local function split(methods)
  local own, operators = {}, {}
  for name, method in pairs(methods) do
    if stream[name] == method then operators[name] = true else own[name] = true end
  end
  return own, operators
end

-- The text of all sources below some directories.
local function sources(directories)
  local find = "find %s -name '*.c' -exec cat {} + -o -name '*.lua' -exec cat {} +"
  local pipe <close> = assert(io.popen(find:format(directories)))
  return pipe:read("a")
end

-- The fields of a class in the docstrings of lualib: the public ones, and the private ones.
local function annotated(class)
  local public, private = {}, {}
  local found = false
  for line in sources("lualib"):gmatch("[^\n]*") do
    local name = line:match("^%-%-%-@class ([%w_.]+)")
    if name then
      found = name == class
    elseif not line:find("^%-%-%-") then
      found = false
    elseif found then
      local hidden = line:match("^%-%-%-@field private ([%w_]+)")
      local field = line:match("^%-%-%-@field ([%w_]+)")
      if hidden then private[hidden] = true elseif field then public[field] = true end
    end
  end
  return public, private
end

-- The fields of an object that its class does not declare private.
local function public_fields(object, class)
  local _, private = annotated(class)
  local set = {}
  for name in pairs(object) do
    if not private[name] then set[name] = true end
  end
  return set
end

local function assert_documented(prefix, names)
  assert.same(sorted(names), sorted(documented(prefix)))
end

-- A text tells of a name where that begins a piece of code: `name`, `name=1`, `name(x)`.
local function assert_told(text, names, whose)
  for name in pairs(names) do
    assert.is_truthy(text:find("`" .. name .. "%f[^%w_]"), ("%s: %s"):format(whose, name))
  end
end

describe("reference.md", function()
  -- It is all reading of texts, in which there is nothing to be found.
  if os.getenv("RILLE_SPEC_GC") == "stress" then
    setup(function() collectgarbage("incremental", 200, 100) end)
    teardown(function() collectgarbage("incremental", 1, 1000) end)
  end

  it("has the names of the modules", function()
    assert_documented("rille", add({}, ".", rille))
    assert_documented("stream", add({}, ".", stream))
    assert_documented("coroutine", add({}, ".", coroutine))
    assert_documented("json", add({}, ".", json))
    assert_documented("http", add({}, ".", http))
    assert_documented("test", add({}, ".", rille.test))
    assert_documented("lines", add({}, ".", (require "rille.lines")))
    assert_documented("sse", add({}, ".", (require "rille.sse")))
    assert.same({ "serve" }, sorted(require "rille.server"))
  end)

  it("has the methods of tasks", function()
    local task = rille.spawn(function() end)
    task:join()
    local methods = upvalue(getmetatable(task).__index, 1)
    assert.is_string(task.name)
    assert_documented("task", add({ [".name"] = true }, ":", methods))
  end)

  it("has the methods of groups, channels, locks and clocks", function()
    local clock <close> = rille.test.clock()
    local semaphore, mutex = rille.semaphore(1), rille.mutex()
    local permit <close> = semaphore:acquire()
    local hold <close> = mutex:acquire()
    local group
    rille.group(function(g) group = g end)
    for prefix, object in pairs {
      clock = clock, semaphore = semaphore, mutex = mutex, event = rille.event(), group = group,
    } do
      assert_documented(prefix, add({}, ":", naming.methods(object)))
    end
    assert_documented("guard", add({}, ":", naming.methods(permit), naming.methods(hold)))
    assert_documented("ch", add({}, ":", (split(naming.methods(rille.channel())))))
  end)

  it("has the methods of generators and streams, operators apart", function()
    local made, shared = stream.range(1, 2), (stream.range(1, 2):share())
    assert_documented("share", add({}, ":", (split(naming.methods(shared)))))
    for prefix, methods in pairs { g = generator.methods, s = naming.methods(made) } do
      local own, operators = split(methods)
      assert_documented(prefix, add({}, ":", own))
      for name in pairs(listed("Making")) do -- these are no methods
        name = name:match("^stream%.([%w_]+)$")
        if name then operators[name] = true end
      end
      assert.same(sorted(stream), sorted(operators))
    end
  end)

  it("has what the HTTP client gives", function()
    local server <close> = http.serve({}, function() return {} end)
    local client <close> = http.client()
    assert_documented("client", add({}, ":", getmetatable(client).__index))
    local res = client:get(server.url)
    local index = getmetatable(res).__index
    local names = add({}, ":", upvalue(index, 1))
    assert_documented("res", add(names, ".", upvalue(index, 2)))
    assert_told(documented("res")[".timings"], res.timings, "timings")
    assert_told(documented("client")[":stats"], client:stats(), "stats")
    local streamed <close> = client:stream(server.url)
    assert_documented("streamed", add({}, ":", upvalue(getmetatable(streamed).__index, 1)))
    assert_documented("headers", { [":all"] = true })
    assert.is_function(res.headers.all)
  end)

  it("has what the HTTP server gives", function()
    local request
    local server <close> = http.serve({}, function(req)
      request = req
      return {}
    end)
    http.get(server.url)
    local names = add({}, ":", getmetatable(request).__index)
    assert_documented("req", add(names, ".", public_fields(request, "rille.http.Request")))
    assert.is_function(request.headers.all)
    names = add({ [".unix"] = true }, ":", getmetatable(server).__index)
    assert_documented("server", add(names, ".", public_fields(server, "rille.http.Server")))
  end)

  it("has every member of every class that the docstrings declare", function()
    local entries = { -- the classes whose members have entries, by what these begin with
      rille = "rille", ["rille.stream"] = "stream", ["rille.http"] = "http", ["rille.server"] = "http",
      ["rille.json"] = "json", ["rille.lines"] = "lines", ["rille.sse"] = "sse", ["rille.test"] = "test",
      ["rille.Task"] = "task", ["rille.Group"] = "group", ["rille.Channel"] = "ch", ["rille.Clock"] = "clock",
      ["rille.Semaphore"] = "semaphore", ["rille.Mutex"] = "mutex", ["rille.Event"] = "event",
      ["rille.Permit"] = "guard", ["rille.Hold"] = "guard",
      ["rille.Generator"] = "g", ["rille.StreamProtocol"] = "s", ["rille.StreamOperators"] = "stream",
      ["rille.Share"] = "share", ["rille.http.Client"] = "client", ["rille.http.Response"] = "res",
      ["rille.http.StreamedResponse"] = "streamed", ["rille.http.Headers"] = "headers",
      ["rille.http.RequestHeaders"] = "headers", ["rille.http.Request"] = "req",
      ["rille.http.Server"] = "server",
    }
    local section = reference.section
    local texts = { -- the classes whose members are told of in a text
      ["rille.TaskEntry"] = documented("rille")[".tasks"],
      ["rille.RetryOptions"] = documented("stream")[".retry"],
      ["rille.ServerSentEvent"] = documented("sse")[".events"],
      ["rille.http.Options"] = section "Options of a request" .. section "Options of connections",
      ["rille.http.Timeout"] = section "Options of a request",
      ["rille.http.Tls"] = section "Options of connections",
      ["rille.http.ClientOptions"] = section "Options of a client", ["rille.http.Retry"] = section "Tries",
      ["rille.http.StreamOptions"] = documented("http")[".stream"], ["rille.http.Part"] = section "Multipart",
      ["rille.http.PagesOptions"] = section "Pages", ["rille.http.EventsOptions"] = section "Events",
      ["rille.http.Reconnect"] = section "Events", ["rille.http.DownloadOptions"] = section "Downloads",
      ["rille.http.Download"] = section "Downloads", ["rille.http.Stats"] = documented("client")[":stats"],
      ["rille.http.Holder"] = documented("client")[":stats"],
      ["rille.http.ServeOptions"] = section "Options of http.serve",
      ["rille.http.HandlerResponse"] = section "What a handler returns",
    }
    local _, classes = make_types()
    for class, members in pairs(classes) do
      if texts[class] then
        assert_told(texts[class], members, class)
      elseif next(members) then
        local found = documented(assert(entries[class], class))
        for name in pairs(members) do
          assert.is_truthy(found["." .. name] or found[":" .. name], class .. "." .. name)
        end
      end
    end
  end)

  it("has the fields of errors", function()
    local entries, fields = documented("err"), annotated("rille.Error")
    assert.is_truthy(fields.suppressed)
    for name in pairs(fields) do assert.is_truthy(entries["." .. name], name) end
    local of_requests = annotated("rille.http.Error")
    assert.is_truthy(of_requests.phase)
    assert_told(reference.section "Codes of the client" .. reference.section "Response", of_requests,
      "rille.http.Error")
  end)

  it("has functions of Lua that are there", function()
    for name in pairs(listed("Functions of Lua")) do assert.is_function(load("return " .. name)()) end
  end)

  it("has the options of requests, clients and servers", function()
    local function request_with(name) http.get("nowhere:", { [name] = 1 }) end
    local function client_with(name) http.client({ [name] = 1 }) end
    local function server_with(name) http.serve({ [name] = 1 }, print) end
    local request = listed("Options of a request", "Options of connections")
    local client = listed("Options of a client")
    local own = {}
    for name in pairs(options.known(client_with)) do own[name] = not request[name] or nil end
    assert.same(sorted(request), sorted(options.known(request_with)))
    assert.same(sorted(request), sorted(annotated("rille.http.Options")))
    assert.same(sorted(client), sorted(own))
    assert.same(sorted(client), sorted(annotated("rille.http.ClientOptions")))
    local serve = listed("Options of http.serve")
    assert.same(sorted(serve), sorted(options.known(server_with)))
    assert.same(sorted(serve), sorted(annotated("rille.http.ServeOptions")))
  end)

  it("has the options of http.stream, pages, events and downloads", function()
    local request = listed("Options of a request", "Options of connections")
    for name, text in pairs {
      pages = reference.section "Pages", download = reference.section "Downloads",
      events = reference.section "Events" .. documented("http")[".stream"],
    } do
      local own = {}
      local known = options.known(function(option) http[name]("http://localhost/", { [option] = 1 }, {
        [option] = 1,
      }) end)
      for option in pairs(known) do own[option] = not request[option] or nil end
      assert_told(text, own, name)
    end
  end)

  it("has the fields of options that are tables", function()
    local function fields_of(option)
      return function(name) http.get("nowhere:", { [option] = { [name] = 1 } }) end
    end
    local function part(name) http.post("nowhere:", { multipart = { { name = "f", [name] = 1 } } }) end
    local function reconnect(name) http.events("nowhere:", { reconnect = { [name] = 1 } }) end
    for class, case in pairs {
      ["rille.http.Timeout"] = { fields_of "timeout", "Options of a request" },
      ["rille.http.Retry"] = { fields_of "retry", "Tries" },
      ["rille.http.Tls"] = { fields_of "tls", "Options of connections" },
      ["rille.http.Part"] = { part, "Multipart" },
      ["rille.http.Reconnect"] = { reconnect, "Events" },
    } do
      local known = options.known(case[1])
      assert.same(sorted(known), sorted(annotated(class)))
      assert_told(reference.section(case[2]), known, class)
    end
    assert_told(reference.section "Options of a request", options.known(fields_of "auth"), "auth")
    assert.same(sorted(options.known(part)), sorted(listed "Multipart"))
    assert.same(sorted(options.known(fields_of "retry")), sorted(listed "Tries"))
  end)

  it("has the options of operators", function()
    local of_operators = options.of_operators()
    assert.is_true(of_operators["stream.map"].ordered)
    for operator, known in pairs(of_operators) do
      local module, name = operator:match("^(%w+)%.([%w_]+)$")
      assert_told(documented(module)["." .. name], known, operator)
    end
    for name, text in pairs(documented("stream")) do
      for option in text:gmatch("`([%w_]+)=") do
        assert.is_true((of_operators["stream" .. name] or {})[option] or false, name .. ": " .. option)
      end
    end
    assert_told(documented("rille")[".all"], { n = true }, "rille.all")
  end)

  it("has the codes that the sources raise", function()
    local raised, described = {}, {}
    local text = sources("host lualib")
    for code in text:gmatch('"(E[A-Z]+)"') do raised[code] = true end
    for _, title in ipairs { "Codes of rille", "Codes of the client" } do
      for code in pairs(tabled(title)) do described[code] = true end
    end
    assert.same(sorted(raised), sorted(described))
  end)

  it("has codes of the system that are raised as it says", function()
    local _ <close>, faulty = perl_server "fault_server"
    local server <close> = http.serve({}, function() return {} end)
    local absent = "/tmp/rille-no-such-directory/socket"
    local provoke = {
      ECONNRESET = function() http.get(faulty .. "/reset") end,
      EADDRINUSE = function() http.serve({ port = server.port }, print) end,
      EADDRNOTAVAIL = function() http.serve({ host = "192.0.2.1" }, print) end,
      EACCES = function() http.serve({ unix = absent }, print) end,
      ENOENT = function() http.get("http://localhost/", { unix_socket = absent }) end,
      EISDIR = function() http.post(server.url, { multipart = { { name = "f", path = "/tmp" } } }) end,
      EAI_NONAME = function() http.serve({ host = "a..b" }, print) end,
    }
    assert.same(sorted(provoke), sorted(tabled("Codes of the system")))
    for code, fn in pairs(provoke) do
      local _, err = pcall(fn)
      assert.is_true(rille.is_error(err, code), ("%s: %s"):format(code, err))
    end
  end)

  it("has the options of the command, and of rille build", function()
    local usage = process.run({ process.rille, "--help" }).stdout
    assert.same(sorted(naming.options(usage)), sorted(listed("The command")))
    local of_build = process.run({ process.rille, "build", "--help" }).stdout
    assert.same(sorted(naming.options(of_build)), sorted(listed("rille build")))
  end)

  it("has the modules for which there are types", function()
    local named = {}
    for name in reference.text:match("\nModules: (.-);"):gmatch("`([%w_.]+)`") do named[name] = true end
    local files = make_types()
    for name in pairs(files) do
      local module = name:gsub("%.lua$", ""):gsub("/", ".")
      assert.is_true(named[module] or false, module)
      named[module] = nil
    end
    assert.same({}, named)
  end)

  it("has lines of 110 columns", function()
    for line in reference.text:gmatch("[^\n]+") do assert.is_true(utf8.len(line) <= 110, line) end
  end)
end)
