-- reference.lua -- what docs/reference.md has: its entries and its tables.
-- Model:  an entry is an item of a list that begins with what it is about, "- `name(...)`, `other`: text",
--         and goes on in lines that are indented; it belongs to the section whose title is above it.
-- Owner:  nobody; the text is read once.
-- Errors: two entries of one name raise.
local file <close> = assert(io.open("docs/reference.md", "rb"))
local text = file:read("a")

local reference = { text = text }

local entries = {} -- { names = list of codes, section = title, text = all of it }
local sections = {} -- title -> its text
do
  local section, entry = "", nil
  for line in text:gmatch("([^\n]*)\n") do
    section = line:match("^#+ (.*)$") or section
    sections[section] = (sections[section] or "") .. line .. "\n"
    if line:find("^%- `") then
      entry = { names = {}, section = section, text = line }
      entries[#entries + 1] = entry
      local rest = line:match("^%- (`.*)$")
      while rest do
        local code, after = rest:match("^`([^`]*)`(.*)$")
        table.insert(entry.names, code)
        rest = after:match("^, (`.*)$")
      end
    elseif entry and line:find("^  ") then
      entry.text = entry.text .. "\n" .. line
    else
      entry = nil
    end
  end
end

--- The names of entries that begin with a prefix: "task:" and "task." are those of tasks.
---@return table<string, string> texts of the entries, by ":name" or ".name"
function reference.documented(prefix)
  local set = {}
  for _, entry in ipairs(entries) do
    for _, code in ipairs(entry.names) do
      local name, rest = code:match("^([%w_]+[.:])(.*)$")
      if name and name:sub(1, -2) == prefix then
        local key = name:sub(-1) .. rest:match("^[%w_]+")
        assert(not set[key], "two entries of " .. prefix .. key)
        set[key] = entry.text
      end
    end
  end
  return set
end

--- The entries of some sections, by their first word.
---@return table<string, true>
function reference.listed(...)
  local titles, set = {}, {}
  for _, title in ipairs { ... } do titles[title] = true end
  for _, entry in ipairs(entries) do
    for _, code in ipairs(titles[entry.section] and entry.names or {}) do
      set[code:match("^[%w_.%-]+")] = true
    end
  end
  return set
end

--- The codes in the first column of the tables of a section.
---@return table<string, true>
function reference.tabled(title)
  local set = {}
  for line in sections[title]:gmatch("[^\n]+") do
    local code = line:match("^| `([A-Z_]+)` |")
    if code then set[code] = true end
  end
  return set
end

--- The text of a section.
---@return string
function reference.section(title) return assert(sections[title], title) end

return reference
