-- daemon.lua -- programs that listen on loopback, each on free ports, for specs.
-- Model:  a program is up when the kernel says that each of its ports is listened on by that very program:
--         an answer alone may come from another one. Ports are free when they are chosen, but may be taken
--         before the program has them: one that ends for that is started again, with others.
-- Owner:  closing what `start` gives ends the program and removes its files.
-- Errors: a program that does not come up raises its output.
local http = require "rille.http"
local process = require "spec.helper.process"
local rille = require "rille"

local daemon = {}

local PATIENCE = 60 -- seconds; under sanitizers the specs are slow
local TRIES = 5

--- Makes a directory that others may enter.
---@return string path
function daemon.directory()
  local pipe <close> = assert(io.popen("mktemp -d"))
  local path = assert(pipe:read("l"))
  assert(os.execute("chmod 755 " .. path))
  return path
end

--- Writes a file.
function daemon.write(path, text)
  local file <close> = assert(io.open(path, "wb"))
  assert(file:write(text))
end

local function free_ports(count)
  local servers, ports = {}, {}
  for i = 1, count do
    servers[i] = http.serve({ port = 0 }, function() return {} end)
    ports[i] = servers[i].port
  end
  for _, server in ipairs(servers) do server:close() end
  return ports
end

--- The inodes of sockets that listen on a port of 127.0.0.1 or of all addresses.
local function listeners(port)
  local file <close> = assert(io.open("/proc/net/tcp"))
  local inodes = {}
  for line in file:lines() do
    local address, hex, state, inode =
      line:match("^%s*%d+: (%x+):(%x+) %x+:%x+ (%x+) %S+ %S+ %S+ +%d+ +%d+ (%d+)")
    if (address == "0100007F" or address == "00000000") and tonumber(hex, 16) == port and state == "0A" then
      inodes[inode] = true
    end
  end
  return inodes
end

--- Does the process listen on all of these ports?
local function listens(pid, ports)
  local found = {}
  for i, port in ipairs(ports) do
    found[i] = listeners(port)
    if not next(found[i]) then return false end
  end
  local pipe <close> = assert(io.popen(("readlink /proc/%s/fd/* 2>/dev/null"):format(pid)))
  local own = {}
  for link in pipe:lines() do own[link:match("^socket:%[(%d+)%]$") or ""] = true end
  for _, inodes in ipairs(found) do
    local any = false
    for inode in pairs(inodes) do any = any or own[inode] ~= nil end
    if not any then return false end
  end
  return true
end

local function come_up(running, ports)
  local deadline = rille.now() + PATIENCE
  while not running:has_ended() do
    if listens(running:pid(), ports) then return true end
    if rille.now() > deadline then return false end
    rille.sleep(0.01)
  end
  return false
end

---@class daemon
---@field process process
---@field ports integer[]
---@field port integer the first
---@field private cleanup string[]
local Daemon = {}
Daemon.__index = Daemon

--- What it has written so far, standard output first.
function Daemon:log() return self.process:stdout() .. self.process:stderr() end

--- Ends it, and removes its files. Idempotent.
function Daemon:close()
  if self.closed then return end
  self.closed = true
  self.process:signal("TERM")
  pcall(self.process.wait, self.process, PATIENCE)
  self.process:close() -- kills it if it is still there
  if self.directory then assert(os.execute("rm -rf " .. self.directory)) end
end

Daemon.__close = Daemon.close

--- Starts a program, and waits until it listens.
---@param words fun(ports: integer[]): string[] the program and its arguments, given the ports to listen on
---@param options? { ports: integer?, directory: string?, cwd: string? } how many ports (1); a directory that
---  is removed in the end
---@return daemon for a <close> variable
function daemon.start(words, options)
  options = options or {}
  local failure
  for _ = 1, TRIES do
    local ports = free_ports(options.ports or 1)
    local command = words(ports)
    local running = process.start(command, { cwd = options.cwd })
    if come_up(running, ports) then
      return setmetatable({
        process = running, ports = ports, port = ports[1], directory = options.directory,
      }, Daemon)
    end
    failure = ("%s did not come up:\n%s%s"):format(table.concat(command, " "), running:stdout(),
      running:stderr())
    running:close()
    if not failure:find("in use") and not failure:find("listening sockets") then break end
  end
  if options.directory then os.execute("rm -rf " .. options.directory) end
  error(failure, 0)
end

return daemon
