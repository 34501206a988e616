-- The LuaCATS declarations that tools/types.lua makes of the docstrings: they have every public name.
local generator = require "rille.host.generator"
local http = require "rille.http"
local rille = require "rille"
local stream = require "rille.stream"
local naming = require "spec.helper.names"
local options = require "spec.helper.options"
local make = dofile("tools/types.lua")

local sorted, upvalue = naming.sorted, naming.upvalue

local function union(...)
  local set = {}
  for _, names in ipairs { ... } do
    for name in pairs(names) do set[name] = true end
  end
  return set
end

describe("the types", function()
  local files, members = make()

  local function assert_declared(class, ...)
    local declared = assert(members[class], class)
    for name in pairs(union(...)) do assert.is_true(declared[name] or false, class .. "." .. name) end
  end

  it("are Lua that can be loaded", function()
    for name, text in pairs(files) do assert.is_truthy(load(text, "=" .. name, "t", {})) end
    local declared = load(files["rille.lua"], "=rille.lua", "t", {})()
    for name, value in pairs(rille) do
      if type(value) == "function" then assert.is_function(declared[name], name) end
    end
  end)

  it("have the names of the modules, and no others", function()
    for _, name in ipairs { "rille", "rille.http", "rille.json", "rille.lines", "rille.sse", "rille.server",
      "rille.test" } do
      assert.same(sorted(require(name)), sorted(members[name]))
    end
    assert.same(sorted(stream), sorted(union(members["rille.stream"])))
    for name in pairs(files) do
      assert.is_true(name:find("%.lua$") ~= nil and pcall(require, (name:gsub("%.lua$", ""):gsub("/", "."))))
    end
  end)

  it("have the methods of objects", function()
    local operators = members["rille.StreamOperators"]
    local own = {}
    for name, method in pairs(generator.methods) do
      if stream[name] == method then assert.is_true(operators[name] or false, name) else own[name] = true end
    end
    assert.same(sorted(own), sorted(members["rille.Generator"]))
    local task = rille.spawn(function() end)
    task:join()
    assert.same(sorted(union({ name = true }, upvalue(getmetatable(task).__index, 1))),
      sorted(members["rille.Task"]))
    local semaphore, mutex = rille.semaphore(1), rille.mutex()
    local permit <close> = semaphore:acquire()
    local hold <close> = mutex:acquire()
    assert_declared("rille.Semaphore", naming.methods(semaphore))
    assert_declared("rille.Permit", naming.methods(permit))
    assert_declared("rille.Mutex", naming.methods(mutex))
    assert_declared("rille.Hold", naming.methods(hold))
    assert_declared("rille.Event", naming.methods(rille.event()))
    rille.group(function(group) assert_declared("rille.Group", naming.methods(group)) end)
    for class, object in pairs {
      ["rille.Channel"] = rille.channel(), ["rille.StreamProtocol"] = (stream.range(1)),
      ["rille.Share"] = (stream.range(1):share()),
    } do
      for name, method in pairs(naming.methods(object)) do
        if stream[name] ~= method then assert.is_true(members[class][name] or false, class .. "." .. name) end
      end
    end
    local clock <close> = rille.test.clock()
    assert.same(sorted(getmetatable(clock).__index), sorted(members["rille.Clock"]))
  end)

  it("have what the HTTP client and the server give", function()
    local request
    local server <close> = http.serve({}, function(req)
      request = req
      return {}
    end)
    local client <close> = http.client()
    assert_declared("rille.http.Client", getmetatable(client).__index)
    local index = getmetatable(client:get(server.url)).__index
    assert_declared("rille.http.Response", upvalue(index, 1), upvalue(index, 2))
    local streamed <close> = client:stream(server.url)
    assert_declared("rille.http.StreamedResponse", upvalue(getmetatable(streamed).__index, 1))
    assert_declared("rille.http.Request", getmetatable(request).__index)
    assert_declared("rille.http.Server", getmetatable(server).__index)
  end)

  it("have a type of each parameter", function()
    local parameters = {}
    for line in files["rille.lua"]:gmatch("[^\n]+") do
      local name = line:match("^%-%-%-@param ([%w_.]+)%?? %S")
      local written = line:match("^function class_%d+[.:][%w_]+%((.*)%) end$")
      if name then parameters[name] = true end
      for used in (written or ""):gmatch("[%w_.]+") do assert.is_true(parameters[used] or false, line) end
      if written then parameters = {} end
    end
  end)

  -- Is there a function of this name of which the declaration tells of the option?
  local function tells(name, option)
    for declaration in files["rille.lua"]:gsub("\n\n", "\0"):gmatch("%Z+") do
      if declaration:find("\nfunction class_%d+[.:]" .. name .. "%(") then
        local class = declaration:match("@param options%? (rille%.[%w.]+)")
        if class and members[class][option] then return true end
        for fields in declaration:gmatch("%b{}") do
          if fields:find(" " .. option .. ": ") then return true end
        end
      end
    end
    return false
  end

  it("have the options of operators", function()
    assert.is_false(tells("map", "nonsense"))
    for operator, known in pairs(options.of_operators()) do
      for option in pairs(known) do
        assert.is_true(tells(operator:match("[%w_]+$"), option), operator .. ": " .. option)
      end
    end
  end)

  it("know what a stream is of", function()
    local text = files["rille.lua"]
    assert.is_nil(text:find("rille%.Stream[^%w<]"))
    assert.is_nil(text:find("rille%.Source")) -- an alias with a parameter leads lua-language-server nowhere
    for _, line in ipairs {
      "---@class rille.Stream<T>: rille.StreamProtocol, rille.StreamOperators",
      "---@return rille.Stream<rille.ServerSentEvent>",
      "---@param f fun(v: T, ...: any): R, any?, any?, any? all values of the item",
      "---@param x T[]|rille.Stream<T>|rille.Channel|rille.Share|(fun(...): T)",
    } do
      assert.is_truthy(text:find("\n" .. line .. "\n", 1, true), line)
    end
  end)
end)
