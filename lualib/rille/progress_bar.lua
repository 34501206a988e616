--- rille.progress_bar: how far a transfer is, on one line of a terminal (internal).
-- Model:  the line is drawn over itself, ten times a second at most. One bar has the terminal; others that
--         are opened meanwhile get none.
-- Owner:  who opened it closes it: after `finish` the line stays, else it is erased.
-- Errors: none; what cannot be written is not shown.

local now = require("rille.host.timer").now
local tty = require "rille.host.tty"

local PERIOD <const> = 0.1 -- seconds
local ERASE <const> = "\r\27[K"
local STDERR <const> = 2

---@class rille.ProgressBar
---@field private label string
---@field private write fun(text: string)
---@field private columns fun(): integer
---@field private started number
---@field private drawn number|nil when
---@field private first integer|nil bytes that were there at the start
---@field private last integer|nil bytes that were shown
---@field private finished boolean
local Bar = {}
Bar.__index = Bar

local UNITS = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" }

local function size_of(bytes)
  local unit = 1
  while bytes >= 1024 and unit < #UNITS do
    bytes, unit = bytes / 1024, unit + 1
  end
  return (unit == 1 and "%.0f %s" or "%.1f %s"):format(bytes, UNITS[unit])
end

-- "1:02:03", "2:03"
local function time_of(seconds)
  seconds = math.min(seconds, 359999) // 1
  local hours, minutes = seconds // 3600, seconds // 60 % 60
  if hours > 0 then return ("%d:%02d:%02d"):format(hours, minutes, seconds % 60) end
  return ("%d:%02d"):format(minutes, seconds % 60)
end

-- The label in `width` columns; one character is one column.
local function fit(label, width)
  local length = utf8.len(label)
  if not length then label, length = label:gsub("[\x80-\xFF]", "?"), #label end -- it is not UTF-8
  if length <= width then return label .. (" "):rep(width - length) end
  return label:sub(1, utf8.offset(label, width) - 1) .. "~"
end

-- What is told in figures: how much, how fast, and how long it will take, or has taken.
local function figures(self, received, total, seconds)
  local rate = seconds > 0 and (received - self.first) / seconds or 0
  local left = not self.finished and total and rate > 0 and (total - received) / rate
  return ("%9s  %9s/s  %s"):format(size_of(received), size_of(rate), time_of(left or seconds))
end

-- The line, in less than `columns` columns: what does not fit is left out.
local function line_of(self, received, total, columns)
  local text = figures(self, received, total, now() - self.started)
  local share = total and total > 0 and math.min(received / total, 1) or total and 1 or nil
  if share then text = ("%3d%%  %s"):format(math.floor(share * 100), text) end
  local room = columns - 1 - #text
  if room < 0 then return text:sub(1, math.max(columns - 1, 0)) end
  local width = share and room >= 30 and room // 2 or 0 -- of the bar
  if width > 0 then
    local full = math.floor(share * (width - 4))
    local head = full < width - 4 and ">" or "="
    text = ("[%s%s%s] %s"):format(("="):rep(full), head, (" "):rep(width - 4 - full), text)
    room = room - width
  end
  if room >= 10 then text = fit(self.label, math.min(room - 2, 40)) .. "  " .. text end
  return text
end

local function draw(self, received, total)
  self.drawn, self.last = now(), received
  self.write(ERASE .. line_of(self, received, total, self.columns()))
end

--- Shows how much there is, if it is time to.
---@param received integer
---@param total integer|nil
function Bar:update(received, total)
  self.first = self.first or received
  if not self.drawn or now() - self.drawn >= PERIOD then draw(self, received, total) end
end

--- Shows that it is done. The line stays.
---@param received integer
function Bar:finish(received)
  self.first, self.finished = self.first or received, true
  draw(self, received, received)
  self.write("\n")
end

local shown -- the bar that has the terminal

function Bar:close()
  if shown == self then shown = nil end
  if self.drawn and not self.finished then
    self.finished = true
    self.write(ERASE)
  end
end
Bar.__close = Bar.close

local progress_bar = {}

--- A bar that writes with a function.
---@param label string
---@param write fun(text: string)
---@param columns fun(): integer of the terminal
---@return rille.ProgressBar
function progress_bar.new(label, write, columns)
  return setmetatable({
    label = label:gsub("[%c]", "?"), write = write, columns = columns, started = now(), finished = false,
  }, Bar)
end

--- A bar on standard error; nil if that is no terminal that can erase a line, or has a bar already.
---@param label string
---@return rille.ProgressBar|nil
function progress_bar.open(label)
  if shown or not tty.isatty(STDERR) or os.getenv("TERM") == "dumb" then return nil end
  shown = progress_bar.new(label, function(text) io.stderr:write(text) end, function()
    return tty.columns(STDERR) or 80
  end)
  return shown
end

return progress_bar
