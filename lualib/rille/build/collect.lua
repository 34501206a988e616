--- rille.build.collect: what goes into a program: the script, its modules, its assets (internal; a part of
--- `rille build`).
-- Model:  the script is scanned, then each module that it names, once, in the order in which they are found.
--         All that is wrong is noted, so that it is told at once.
-- Owner:  nothing is kept.
-- Errors: they are strings in `errors`, and `warnings`; nothing raises.

local file = require "rille.host.file"
local find = require "rille.build.find"
local hint = require "rille.hint"
local host = require "rille.host.build"
local is_asset_name = require "rille.asset_name"
local near = require "rille.near"
local scan = require "rille.build.scan"

---@class rille.build.Text a text for the archive
---@field name string in the archive
---@field note string
---@field text string|nil what it is
---@field path string of the file; without `text` its contents are what it is

---@class rille.build.Content
---@field texts rille.build.Text[]
---@field modules integer
---@field assets integer
---@field errors string[]
---@field warnings string[]
---@field private directory string of the script
---@field private sources { path: string, uses: rille.build.Use[] }[]
---@field private known table<string, true> the modules and assets that are in it, by "kind:name"
local Content = {}
Content.__index = Content

local function note(list, message, ...) list[#list + 1] = message:format(...) end

-- The contents of a file; nil and why not.
local function contents(path)
  local handle <close>, message = io.open(path, "rb")
  if not handle then return nil, "cannot open " .. message end
  local text
  text, message = handle:read("a")
  if text then return text end
  return nil, ("cannot read %s: %s"):format(path, message)
end

-- A source as Lua reads it from a file: without a mark of UTF-8, and without a first line that is the
-- system's, though it is a line.
local function source_of(text)
  text = text:gsub("^\xef\xbb\xbf", "")
  if text:sub(1, 1) ~= "#" then return text end
  text = text:match("^[^\n]*(.*)$")
  return text:find("^\n\27") and text:sub(2) or text
end

-- Adds a Lua chunk. true; or nil and what is wrong with it.
local function add_source(self, name, path)
  local text, message = contents(path)
  if not text then return nil, message end
  text = source_of(text)
  local chunk, wrong = load(text, "@" .. path)
  if not chunk then return nil, hint(wrong, text) end
  table.insert(self.texts, { name = name, note = path, text = text, path = path })
  if text:sub(1, 1) == "\27" then
    note(self.warnings, "%s: what a compiled chunk requires is not seen: name it with --include", path)
  else
    table.insert(self.sources, { path = path, uses = scan(text) })
  end
  return true
end

-- Adds a module that was found.
local function add_place(self, name, place)
  if not place.symbol then return add_source(self, "lua:" .. name, place.path) end
  local text = { name = "c:" .. name, note = place.symbol .. " " .. place.path, path = place.path }
  table.insert(self.texts, text)
  return true
end

-- Adds a module, if that was not done yet. true; or nil, what is wrong, and the rest of the line if that is
-- an error.
local function add_module(self, name)
  local key = "module:" .. name
  if self.known[key] then return true end
  local place, message = find(name, self.directory)
  if not place and not message then
    local meant = near(name)
    return nil, ("module '%s' not found beside the script, in LUA_PATH or in LUA_CPATH"):format(name),
      meant and ("; did you mean '%s'?"):format(meant)
        or ("; set these, or write pcall(require, '%s') if the program can do without it"):format(name)
  end
  if place and place.is_built_in then return true end
  local ok
  if place then ok, message = add_place(self, name, place) end
  if not ok then return nil, ("error loading module '%s': %s"):format(name, message) end
  self.known[key] = true
  self.modules = self.modules + 1
  return true
end

-- Adds a file, in the same way.
local function add_asset(self, name)
  local key = "asset:" .. name
  if self.known[key] then return true end
  if not is_asset_name(name) then
    return nil, ("asset '%s': its name must be a path below the script's directory"):format(name)
  end
  local path = self.directory .. name
  if file.kind(path) ~= "file" then
    return nil, ("asset '%s' not found: no such file: %s"):format(name, path),
      ("; write pcall(rille.asset, '%s') if the program can do without it"):format(name)
  end
  self.known[key] = true
  self.assets = self.assets + 1
  table.insert(self.texts, { name = key, note = "", path = path })
  return true
end

local KINDS = {
  require = { add = add_module, noun = "module", option = "--include" },
  asset = { add = add_asset, noun = "asset", option = "--asset" },
}

-- What a source asks for in one place.
local function follow(self, path, use, is_optional)
  local kind = KINDS[use.kind]
  local where = ("%s:%d"):format(path, use.line)
  if not use.name then
    return note(self.warnings, "%s: the name of the %s is computed: name what it may be with %s", where,
      kind.noun, kind.option)
  end
  local ok, message, advice = kind.add(self, use.name)
  if ok then return end
  if is_optional then return note(self.warnings, "%s: left out: %s", where, message) end
  note(self.errors, "%s: %s%s", where, message, advice or "")
end

-- A path from the root, in one way, without links being followed.
local function absolute(path)
  if path:sub(1, 1) ~= "/" then path = (host.directory() or "") .. "/" .. path end
  local parts = {}
  for part in path:gmatch("[^/]+") do
    if part == ".." then parts[#parts] = nil elseif part ~= "." then parts[#parts + 1] = part end
  end
  return "/" .. table.concat(parts, "/")
end

-- Calls fn(path) for a file, or each file below a directory, in the order of names.
local function each_file(path, fn)
  local kind = file.kind(path)
  if kind == "file" then return fn(path) end
  if kind ~= "directory" then return nil, kind and "it is no file: " .. path or "no such file: " .. path end
  local names, message = host.list(path)
  if not names then return nil, ("cannot read %s: %s"):format(path, message) end
  table.sort(names)
  for _, name in ipairs(names) do
    local ok
    ok, message = each_file(path .. "/" .. name, fn)
    if not ok then return nil, message end
  end
  return true
end

--- Adds a module that no source names.
---@param name string
function Content:include(name)
  local ok, message = add_module(self, name)
  if not ok then note(self.errors, "--include %s: %s", name, message) end
end

--- Adds a file or a directory, by its path from where the command runs. Of a directory the program that is
--- to be written is left out.
---@param path string
---@param output string
function Content:add_assets(path, output)
  local root = absolute(self.directory)
  if root ~= "/" then root = root .. "/" end
  local top, skipped = absolute(path), absolute(output)
  if (top .. "/"):sub(1, #root) ~= root then
    return note(self.errors,
      "--asset %s: rille.asset cannot name what is not below the directory of the script, '%s'", path, root)
  end
  local ok, message = each_file(top, function(found)
    if found == skipped and found ~= top then return true end
    return add_asset(self, found:sub(#root + 1))
  end)
  if not ok then note(self.errors, "--asset %s: %s", path, message) end
end

-- Follows the sources from one on. What may fail is put off, unless all of them are optional.
local function follow_sources(self, first, later)
  local i = first
  while self.sources[i] do
    local source = self.sources[i]
    for _, use in ipairs(source.uses) do
      if later and use.is_optional then
        later[#later + 1] = { source.path, use }
      else
        follow(self, source.path, use, not later)
      end
    end
    i = i + 1
  end
end

--- Adds what the sources name, until nothing new is named. What the program needs is known before what it can
--- do without, so that a source that is only asked for under a pcall is optional in all of its parts.
function Content:follow_all()
  local later = {}
  follow_sources(self, 1, later)
  local first = #self.sources + 1
  for _, put_off in ipairs(later) do follow(self, put_off[1], put_off[2], true) end
  follow_sources(self, first, nil)
end

---@param script string its path
---@return rille.build.Content
return function(script)
  local self = setmetatable({
    texts = {}, modules = 0, assets = 0, errors = {}, warnings = {}, sources = {}, known = {},
    directory = script:match("^.*/") or "",
  }, Content)
  local ok, message = add_source(self, "main", script)
  if not ok then note(self.errors, "%s", message) end
  return self
end
