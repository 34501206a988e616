--- Structured concurrency: rille.group, rille.all, rille.race.
-- Model: a group is a scope of the task that opened it, and child tasks. The first error, of the body or of
--        a child, cancels all the others; the group ends when every one of them has, cleanup included.
-- Owner: the group owns its children's errors: the first is raised, later ones are attached to it.
-- Errors: a child that somebody cancels by itself is no error of the group.

local cancel_scope = require "rille.host.cancel_scope"
local check = require "rille.stream.check"
local fault = require "rille.host.fault"
local task = require "rille.host.task"
local waitlist = require "rille.host.waitlist"

---@class rille.Group
---@field private keeper { [1]: thread } the coroutine that waits for the children
---@field private scope rille.Scope inside which the body runs
---@field private children table<table, true> the entries of those that have not ended
---@field private failed { err: any }[] what went wrong in the children, in that order
---@field private closing boolean a failure, a winner or a signal from outside ends the group
---@field private closed boolean
local Group = {}
Group.__index = Group
Group.__name = "rille.Group"

--- Cancels whatever is under way in the group.
local function abort(group)
  if group.closing then return end
  group.closing = true
  group.scope:cancel()
  for entry in pairs(group.children) do entry.task:cancel("its group was cancelled") end
end

-- An entry is a child's to-be-closed value: it tells the group how the child has ended.
local Entry = {}

--- True if the child's end is not one that its own cancellation explains.
local function has_failed(entry, err)
  if entry.done then return false end
  if err == nil then return not task.is_cancelled(entry.task) end -- error(nil), or the child was killed
  return not task.is_signal(entry.task, err)
end

function Entry.__close(entry, err)
  local group = entry.group
  group.children[entry] = nil
  if has_failed(entry, err) then
    group.failed[#group.failed + 1] = { err = err }
  elseif not entry.done and fault.is(err) and err.suppressed then
    -- It ended by its signal, but its cleanup failed: nobody would see what is attached to a signal.
    for _, later in ipairs(err.suppressed) do group.failed[#group.failed + 1] = { err = later } end
  else
    return
  end
  abort(group)
end

local function finish(entry, ...)
  entry.done = true
  if entry.on_done then entry.on_done(entry, ...) end
  return ...
end

local function run_child(entry, fn, ...)
  local _ <close> = entry
  return finish(entry, fn(...))
end

local function spawn(group, on_done, fn, ...)
  local entry = setmetatable({ group = group, on_done = on_done, done = false }, Entry)
  entry.task = task.spawn_owned(run_child, entry, fn, ...)
  task.adopt(entry.task, group.keeper)
  group.children[entry] = true
  if group.closing then entry.task:cancel("its group was cancelled") end
  return entry.task
end

local function check_function(fn, name)
  if type(fn) == "function" then return end
  error(("bad argument #1 to '%s' (function expected, got %s; the function itself is given: '%s(f)')"):format(
    name, check.type_name(fn), name), 3)
end

--- Starts a child task.
---@param fn fun(...): ...
---@param ... any its arguments
---@return rille.Task
function Group:spawn(fn, ...)
  check.self(self, Group, "spawn")
  check_function(fn, "spawn")
  if self.closed then error("the group has ended", 2) end
  return spawn(self, nil, fn, ...)
end

--- Waits for every child, also for those that are spawned meanwhile.
local function wait_for_children(group)
  for entry in function() return (next(group.children)) end do
    entry.task:join()
    group.children[entry] = nil -- one that was cancelled before it began could not do so itself
  end
end

--- Waits for every child. A signal from outside cancels them; their cleanup is waited for all the same.
---@return any signal that came while it waited, or nil
local function join(group)
  local signal
  while next(group.children) do
    local how, err = cancel_scope.new(group.name .. " opened at"):run(wait_for_children, group)
    if how == "failed" then cancel_scope.raise(err) end
    if how ~= "done" then
      signal = err
      abort(group)
    end
  end
  group.closed = true
  return signal
end

--- Raises the first error of the children, with the others and that of the body attached.
local function raise_failure(group, body_error)
  local err = group.failed[1].err
  for i = 2, #group.failed do fault.suppress(err, group.failed[i].err) end
  if body_error ~= nil then fault.suppress(err, body_error) end
  cancel_scope.pass(err)
end

--- Raises the error of the body, or a signal from outside, with the errors of the children attached.
local function raise_body(group, err)
  for _, entry in ipairs(group.failed) do fault.suppress(err, entry.err) end
  cancel_scope.raise(err)
end

local function settle(group, how, ...)
  local failed_first = #group.failed > 0
  if how ~= "done" then abort(group) end
  local signal = join(group)
  if how == "outer" then return raise_body(group, (...)) end
  if signal ~= nil then return raise_body(group, signal) end
  if how == "failed" and not failed_first then return raise_body(group, (...)) end
  if #group.failed > 0 then
    return raise_failure(group, (how == "failed" or how == "suppressed") and (...) or nil)
  end
  if how == "suppressed" then cancel_scope.raise((...)) end
  if how == "done" then return ... end
end

local function new_group(name)
  waitlist.new("the tasks of " .. name):check() -- nothing is started where they could not be waited for
  return setmetatable({
    name = name,
    keeper = { coroutine.running() },
    scope = cancel_scope.new(name .. " opened at"),
    children = {},
    failed = {},
    closing = false,
    closed = false,
  }, Group)
end

local lib = {}

--- Runs `fn(group)`; `group:spawn(f, ...)` starts a child. Returns the results of fn when it and all
--- children are done. The first error cancels the others, waits for their cleanup, then is raised, with
--- later errors attached as `suppressed`.
---@param fn fun(group: rille.Group): ...
---@return ...
function lib.group(fn)
  check_function(fn, "group")
  local group = new_group("rille.group")
  return settle(group, group.scope:run(fn, group))
end

--- The keys of a table of functions, in the order of a list where it is one.
local function check_functions(fns, name)
  if type(fns) ~= "table" then
    local hint = type(fns) == "function" and "; functions are given in a list: '%s({f, g})'" or ""
    hint = hint:format(name)
    error(("bad argument #1 to '%s' (table expected, got %s%s)"):format(name, type(fns), hint), 3)
  end
  local keys = {}
  for i = 1, #fns do keys[i] = i end
  for key in pairs(fns) do
    if not (math.type(key) == "integer" and key >= 1 and key <= #fns) then keys[#keys + 1] = key end
  end
  for _, key in ipairs(keys) do
    if type(fns[key]) ~= "function" then
      error(("bad argument #1 to '%s' (function expected at '%s', got %s; functions themselves are given)")
        :format(name, tostring(key), type(fns[key])), 3)
    end
  end
  return keys
end

local function check_limit(options, name)
  if options == nil then return math.huge end
  if type(options) ~= "table" then
    error(("bad argument #2 to '%s' (table expected, got %s)"):format(name, type(options)), 3)
  end
  for option in pairs(options) do
    if option ~= "n" then error(("unknown option '%s'"):format(tostring(option)), 3) end
  end
  local n = options.n
  if n == nil then return math.huge end
  n = math.type(n) and math.tointeger(n)
  if not n or n < 1 then error("bad option 'n' (integer of at least 1 expected)", 3) end
  return n
end

--- Runs the functions concurrently, at most n at a time. The first error cancels the rest.
---@param fns table<any, fun(): any>
---@param options? { n: integer? }
---@return table results the first result of each function, under its key
function lib.all(fns, options)
  local keys, n = check_functions(fns, "all"), check_limit(options, "all")
  local results, started = {}, 0
  local group = new_group("rille.all")
  local function work()
    while started < #keys do
      started = started + 1
      local key = keys[started]
      results[key] = fns[key]()
    end
  end
  return settle(group, group.scope:run(function()
    for _ = 1, math.min(n, #keys) do spawn(group, nil, work) end
    wait_for_children(group)
    return results
  end))
end

--- The first function to finish wins, by returning or by an error, which is raised; the others are
--- cancelled and cleaned up before it returns.
---@param fns table<any, fun(): ...>
---@return any key, any ... the winner's key and its results
function lib.race(fns)
  local keys = check_functions(fns, "race")
  if #keys == 0 then error("bad argument #1 to 'race' (a function expected)", 2) end
  local group, winner = new_group("rille.race"), nil
  for _, key in ipairs(keys) do
    spawn(group, function(_, ...)
      if winner or #group.failed > 0 then return end
      winner = table.pack(key, ...)
      abort(group)
    end, fns[key])
  end
  local how, err = group.scope:run(wait_for_children, group)
  if not winner then return settle(group, how, err) end
  local signal = join(group)
  for _, entry in ipairs(group.failed) do -- a loser's cleanup does not take the victory away (R99)
    warn("rille: a task that lost a race failed in its cleanup: ", fault.traceback(entry.err))
  end
  if how == "outer" or signal ~= nil then cancel_scope.raise(how == "outer" and err or signal) end
  return table.unpack(winner, 1, winner.n)
end

return lib
