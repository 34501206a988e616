-- types.lua -- the LuaCATS declarations of everything public, made of the docstrings in lualib/.
-- usage: rille tools/types.lua directory    writes rille.lua, which has all, and a file for each other module
-- Model:  a docstring is a run of lines that begin with "---", and the line of code below it. Declared are
--         the public modules, and every class and alias that these lead to; what is private is left out.
--         lua-language-server follows no alias that has a parameter: rille.Source<T> is written out.
-- Owner:  nothing is kept. As a module (`dofile`) it gives the function that makes the declarations.
-- Errors: a docstring that cannot be understood, and a name that leads nowhere, raise a string.

local MODULES = {
  "rille", "rille.stream", "rille.http", "rille.server", "rille.json", "rille.lines", "rille.sse",
  "rille.test",
}

local function lines_of(path)
  local list, file <close> = {}, assert(io.open(path))
  for line in file:lines() do list[#list + 1] = line end
  return list
end

-- Calls fn(doc, code) for each docstring of a file: its lines, and the line below it.
local function each_docstring(lines, fn)
  local doc = {}
  for _, line in ipairs(lines) do
    if line:find("^%-%-%-") then
      doc[#doc + 1] = line
    else
      if #doc > 0 then fn(doc, line) end
      doc = {}
    end
  end
end

-- The lines without those of private fields, and without what continues them.
local function public(doc)
  local kept, skipping = {}, false
  for _, line in ipairs(doc) do
    local kind = line:match("^%-%-%-@field (%w+) ")
    if line:find("^%-%-%-@") then skipping = kind == "private" or kind == "package" end
    if not skipping then kept[#kept + 1] = line end
  end
  return kept
end

local function names_of(parameters)
  local list = {}
  for name in parameters:gmatch("[%w_.]+") do list[#list + 1] = name end
  return list
end

-- The parameters that a docstring names; nil if it is not that of a function.
local function documented_parameters(doc)
  local list, is_function = {}, false
  for _, line in ipairs(doc) do
    local name = line:match("^%-%-%-@param ([%w_.]+)")
    list[#list + 1] = name
    is_function = is_function or name or line:find("^%-%-%-@return")
  end
  return is_function and list or nil
end

--- What a file declares.
---@class types.File
---@field classes table<string, string> its variables that are classes
---@field functions table<string, { doc: string[], parameters: string[] }> "lib.name"; "" is what it returns
---@field requires table<string, string> its variables that are modules
---@field lines string[]

-- A class may be declared in two files: for what it is, and for what is private of it.
local function add_class(classes, name, doc, is_alias)
  local known = classes[name]
  if not known then
    classes[name] = { doc = public(doc), members = {}, alias = is_alias }
    return
  end
  for _, line in ipairs(public(doc)) do
    if line:find("^%-%-%-@field") then table.insert(known.doc, line) end
  end
end

-- Adds the classes of a file to `classes`: name -> { doc =, members = list }.
local function read(path, classes)
  local file = { classes = {}, functions = {}, requires = {}, lines = lines_of(path) }
  for _, line in ipairs(file.lines) do
    local variable, module = line:match('^local ([%w_]+) = require%(?%s*"([%w_.]+)"%)?$')
    if variable then file.requires[variable] = module end
  end
  each_docstring(file.lines, function(doc, code)
    local class = table.concat(doc, "\n"):match("%-%-%-@class ([%w_.]+)")
    local alias = table.concat(doc, "\n"):match("%-%-%-@alias ([%w_.]+)")
    local variable = code:match("^local ([%w_]+) =")
    local owner, mark, name, parameters = code:match("^function ([%w_]+)([.:])([%w_]+)%((.-)%)")
    local assigned, field, value = code:match("^([%w_]+)%.([%w_]+) = (.*)$")
    if class or alias then
      add_class(classes, class or alias, doc, alias ~= nil)
      if variable then file.classes[variable] = class end
    elseif owner and file.classes[owner] then
      table.insert(classes[file.classes[owner]].members,
        { doc = doc, mark = mark, name = name, parameters = names_of(parameters) })
    elseif owner then
      file.functions[owner .. "." .. name] = { doc = doc, parameters = names_of(parameters) }
    elseif code:find("^return function") then
      file.functions[""] = { doc = doc, parameters = names_of(code:match("%((.-)%)")) }
    elseif assigned and file.classes[assigned] then
      local known = documented_parameters(doc)
      local module = not known and file.requires[value] or nil
      table.insert(classes[file.classes[assigned]].members,
        { doc = doc, mark = ".", name = field, parameters = known, module = module })
    elseif assigned then
      file.functions[assigned .. "." .. field] = { doc = doc, parameters = documented_parameters(doc) }
    end
  end)
  return file
end

-- The docstring of the function that an entry of a table leads to: `change.map`, `require "x"`,
-- `require("x").f`.
local function resolve(files, file, value)
  local module, name = value:match('^require%("([%w_.]+)"%)%.([%w_]+)$')
  module = module or value:match('^require "([%w_.]+)"$')
  if not module then
    local variable
    variable, name = value:match("^([%w_]+)%.([%w_]+)$")
    module = file.requires[variable]
  end
  local target = assert(files[module], value)
  for key, fn in pairs(target.functions) do
    if key == "" and not name or key:match("%.(.*)$") == name then return fn end
  end
  error("no docstring of " .. value)
end

-- Calls fn(name, function) for each entry of a table that is written in a file.
local function each_entry(files, file, variable, fn)
  local inside = false
  for _, line in ipairs(file.lines) do
    inside = inside and line ~= "}" or line == ("local %s = {"):format(variable)
    local name, value = line:match("^  ([%w_]+) = (.*),$")
    if inside and name then fn(name, resolve(files, file, value)) end
  end
end

-- A function as a method: its first parameter is self.
local function as_method(fn)
  local first = fn.parameters[1] == "..." and 1 or 2
  local doc, parameters = {}, table.move(fn.parameters, first, #fn.parameters, 2, { "self" })
  for i, line in ipairs(fn.doc) do
    local rest = line:match("^%-%-%-@param " .. fn.parameters[1]:gsub("%.", "%%.") .. "%??( .*)$")
    if rest then
      rest = rest:gsub("rille%.Source", "rille.Stream"):gsub("|.*", "")
      doc[i] = "---@param self" .. rest .. (first == 1 and "\n" .. line or "")
    else
      doc[i] = line
    end
  end
  return { doc = doc, parameters = parameters }
end

local function add_operators(files, classes)
  local file = files["rille.stream"]
  local methods, functions = classes["rille.StreamOperators"].members, classes["rille.stream"].members
  each_entry(files, file, "operators", function(name, fn)
    functions[#functions + 1] = { doc = fn.doc, mark = ".", name = name, parameters = fn.parameters }
    local method = as_method(fn)
    methods[#methods + 1] = { doc = method.doc, mark = ".", name = name, parameters = method.parameters }
  end)
  each_entry(files, file, "stream", function(name, fn)
    functions[#functions + 1] = { doc = fn.doc, mark = ".", name = name, parameters = fn.parameters }
  end)
end

-- A text with aliases that have a parameter written out: `source` is what rille.Source<T> stands for.
local function write_out(text, source)
  local function of(item) return (source:gsub("%f[%w]T%f[%W]", item)) end
  local function of_any() return of("any") end
  return (text:gsub("rille%.Source<(%w+)>", of):gsub("rille%.Source%f[^%w<]", of_any))
end

-- The text of a class with its members. `variable` is to hold it.
local function declare(class, variable)
  local text = { table.concat(class.doc, "\n") }
  if not class.alias then text[#text + 1] = ("local %s = {}"):format(variable) end
  for _, member in ipairs(class.members) do
    text[#text + 1] = ""
    text[#text + 1] = table.concat(member.doc, "\n")
    if member.module then text[#text + 1] = "---@type " .. member.module end
    local parameters = member.parameters and table.concat(member.parameters, ", ")
    text[#text + 1] = parameters
      and ("function %s%s%s(%s) end"):format(variable, member.mark, member.name, parameters)
      or ("%s.%s = nil"):format(variable, member.name)
  end
  return table.concat(text, "\n")
end

-- The names of rille's types in the tags of a text.
local function each_type(text, fn)
  for line in text:gmatch("[^\n]+") do
    if line:find("^%-%-%-[@|]") then
      local types = line:gsub('"[^"]*"', ""):gsub("`[^`]*`", "")
      for name in types:gmatch("%f[%w_.]rille%.[%w_.]*[%w_]") do fn(name) end
    end
  end
end

local function read_all()
  local files, classes = {}, {}
  local pipe <close> = assert(io.popen("cd lualib && find . -name '*.lua' | sort"))
  for path in pipe:lines() do
    path = path:gsub("^%./", "")
    files[path:gsub("%.lua$", ""):gsub("/", ".")] = read("lualib/" .. path, classes)
  end
  add_operators(files, classes)
  return classes
end

local function members_of(class)
  local names = {}
  for _, member in ipairs(class.members) do names[member.name] = true end
  for _, line in ipairs(class.doc) do
    local field = line:match("^%-%-%-@field ([%w_]+)")
    if field then names[field] = true end
  end
  return names
end

--- The declarations.
---@return table<string, string> files name -> text
---@return table<string, table<string, true>> members of each class that is declared
local function make()
  local classes, members, list = read_all(), {}, { "---@meta rille" }
  local source = table.concat(classes["rille.Source"].doc, "\n"):match("@alias rille%.Source<T> ([^\n]*)")
  local function visit(name)
    if members[name] then return end
    local class = classes[name] or error("no class " .. name)
    members[name] = members_of(class)
    local text = write_out(declare(class, "class_" .. #list), source)
    list[#list + 1] = text
    each_type(text, visit)
  end
  for _, name in ipairs(MODULES) do visit(name) end
  local files = { ["rille.lua"] = table.concat(list, "\n\n") .. "\n\nreturn class_1\n" }
  for i = 2, #MODULES do
    files[MODULES[i]:gsub("%.", "/") .. ".lua"] =
      ("---@meta %s\n\n---@type %s\nlocal module\n\nreturn module\n"):format(MODULES[i], MODULES[i])
  end
  return files, members
end

local directory = ...
if not directory then return make end
assert(os.execute(("mkdir -p '%s/rille'"):format(directory)))
for name, text in pairs((make())) do
  local file <close> = assert(io.open(directory .. "/" .. name, "w"))
  assert(file:write(text))
end
