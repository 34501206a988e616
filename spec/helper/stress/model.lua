-- model.lua -- what the stress program (spec/stress.lua) believes of its generators and tasks.
-- Model:  each generator and task has a record in `open` from its making until it has ended as it must:
--         a body that began has run its cleanup once, items came in order and none is missing, a task has
--         ended in one way. A record does not keep its generator: that may be dropped.
-- Errors: `violated` raises what is wrong, and keeps it: a pcall on the way does not hide it.
local rille = require "rille"
local current_task = require("rille.host.task").current

local model = {
  ops = 0, -- operations so far
  counts = {}, -- of each kind
  open = {}, -- records of what has not ended
  threads = setmetatable({}, { __mode = "k" }), -- coroutines that were seen
  tasks = setmetatable({}, { __mode = "k" }), -- likewise
  caught = setmetatable({}, { __mode = "k" }), -- how many errors were caught, by task
  violation = nil, -- the first, with its stack
}

--- Something is not as it must be.
function model.violated(text, ...)
  local message = debug.traceback("stress: " .. text:format(...), 2)
  model.violation = model.violation or message
  error(message, 0)
end

local function check(v, text, ...)
  if not v then model.violated(text, ...) end
end
model.check = check

--- Counts an operation.
function model.count(kind)
  model.ops = model.ops + 1
  model.counts[kind] = (model.counts[kind] or 0) + 1
end

--- Notes the running coroutine, which must be gone at the end.
function model.note_thread()
  model.threads[coroutine.running()] = true
  model.tasks[current_task()] = true
end

--- What the tasks do that have not ended, a line each.
---@return string
function model.describe_tasks()
  local lines = {}
  for task in pairs(model.tasks) do
    if task:status() == "waiting" or task:status() == "ready" then lines[#lines + 1] = tostring(task) end
  end
  return table.concat(lines, "\n")
end

--- A to-be-closed value.
function model.closing(f)
  return setmetatable({}, { __close = function(_, err) f(err) end })
end

-- --- errors ---

local EXPECTED = {
  "^planned", ": planned", "generator already running", "generator already failed",
  "generator closed by another task",
  "generator is being closed by another task", "generator was closed by the loop",
  "cannot close a running generator from inside it", "generator ignored close",
  "cannot send a value to a just%-started generator", "a task cannot await itself",
  "stream already failed", "stream closed by another task",
  "cannot wait for .* inside a coroutine that is being closed", -- in cleanup that coroutine.close runs
}

--- An error that bodies raise on purpose.
function model.planned(random)
  local kind = random:upto(3)
  if kind == 1 then return "planned string" end
  if kind == 2 then return setmetatable({ planned = true }, { __name = "planned" }) end
  return setmetatable({ planned = true, code = "EPLANNED" }, { __tostring = function() return "planned" end })
end

--- True for what cancellation, closing and time-outs raise.
function model.is_signal(err)
  return rille.is_error(err, "ECANCELED") or rille.is_error(err, "ECLOSED")
    or rille.is_error(err, "ETIMEDOUT")
end

local function is_expected(err)
  if type(err) == "table" then return err.planned or model.is_signal(err) end
  if type(err) ~= "string" then return false end
  for _, pattern in ipairs(EXPECTED) do
    if err:find(pattern) then return true end
  end
  return false
end

--- Whatever is caught must be an error that may happen here.
---@param also? string a pattern of another error that may
function model.check_error(err, also)
  local task = current_task()
  model.caught[task] = (model.caught[task] or 0) + 1
  if is_expected(err) or (also and type(err) == "string" and err:find(also)) then return end
  model.violated("unexpected error: %s", rille.traceback(err))
end

-- --- generators ---

local last_id = 0

local function new(kind, fields)
  last_id = last_id + 1
  fields.id, fields.kind = last_id, kind
  model.open[fields] = true
  return fields
end

--- The record of a generator.
function model.new_generator()
  return new("generator", { begun = 0, cleaned = 0, yielded = 0, taken = 0, returned = false })
end

--- The generator is to be closed, by this task.
function model.begin_close(rec)
  rec.closer, rec.caught = current_task(), model.caught[current_task()]
end

-- The body is ended where it stood: only one that kept its close signal may be.
local function check_killed(rec)
  local closer = current_task()
  if rec.closer ~= closer then return end
  check(model.caught[closer] ~= rec.caught, "generator %d ignored close, but caught nothing", rec.id)
end

--- The body begins. The result is its to-be-closed value: f is the rest of the cleanup.
function model.begin_body(rec, f)
  model.note_thread()
  rec.begun = rec.begun + 1
  check(rec.begun == 1, "generator %d began twice", rec.id)
  return model.closing(function(err)
    rec.cleaned = rec.cleaned + 1
    check(rec.cleaned == 1, "generator %d was cleaned %d times", rec.id, rec.cleaned)
    if err == nil and not rec.returned then check_killed(rec) end
    f(err)
  end)
end

--- The next item, to be yielded.
function model.next_item(rec)
  check(rec.loses or rec.taken == rec.yielded, "generator %d goes on without item %d", rec.id, rec.yielded)
  rec.yielded = rec.yielded + 1
  return rec.yielded
end

--- An item arrived at its consumer.
function model.take_item(rec, item, from)
  check(from == rec, "generator %d gave an item that is not its own", rec.id)
  check(item == rec.taken + 1, "generator %d gave item %s after %d", rec.id, tostring(item), rec.taken)
  check(rec.cleaned == 0, "generator %d gave an item after its cleanup", rec.id)
  rec.taken = item
end

local STATUSES = {
  created = true, suspended = true, running = true, waiting = true, closing = true, exhausted = true,
  closed = true, failed = true,
}
local ENDED = { exhausted = true, closed = true, failed = true }

--- The status is a legal one, fits what is known, and an end is final.
function model.check_generator(rec, status)
  check(STATUSES[status], "generator %d has status %s", rec.id, tostring(status))
  if rec.status and ENDED[rec.status] then
    check(status == rec.status, "generator %d was %s, is %s", rec.id, rec.status, status)
  end
  rec.status = status
  if status == "created" then check(rec.begun == 0, "generator %d has begun", rec.id) end
  if status == "suspended" then
    check(rec.begun == 1 and rec.cleaned == 0, "generator %d is suspended after its cleanup", rec.id)
  end
  if status == "exhausted" then
    check(rec.returned, "generator %d is exhausted without return", rec.id)
    check(rec.taken == rec.yielded, "generator %d lost its last item", rec.id)
  end
  if ENDED[status] then
    check(rec.begun == rec.cleaned, "generator %d %s without cleanup", rec.id, status)
    model.open[rec] = nil
  end
end

-- --- tasks ---

--- The record of a task.
---@param owned boolean others may cancel it: a group, the end of a race
function model.new_task(owned)
  return new("task", { begun = 0, cleaned = 0, cancelled = owned })
end

--- The work of a task: f under its record.
function model.run_task(rec, f)
  model.note_thread()
  rec.begun = rec.begun + 1
  check(rec.begun == 1, "task %d began twice", rec.id)
  local _ <close> = model.closing(function(err)
    rec.cleaned = rec.cleaned + 1
    check(rec.cleaned == 1, "task %d ended twice", rec.id)
    rec.err = err
  end)
  f()
  rec.returned = true
  return rec
end

local LIVE = { ready = true, running = true, waiting = true }
local FITS = {
  done = function(rec) return rec.returned end,
  failed = function(rec) return rec.begun == 1 and not rec.returned and rec.err ~= nil end,
  cancelled = function(rec) return rec.cancelled end,
}

--- The status is a legal one, fits what is known, and an end is final.
function model.check_task(rec)
  local status = rec.task:status()
  if rec.status and not LIVE[rec.status] then
    check(status == rec.status, "task %d was %s, is %s", rec.id, rec.status, status)
  end
  rec.status = status
  if LIVE[status] then
    check(rec.cleaned == 0 or status ~= "ready", "task %d is ready after its end", rec.id)
    return status
  end
  check(FITS[status], "task %d has status %s", rec.id, tostring(status))
  check(FITS[status](rec), "task %d should not be %s", rec.id, status)
  check(rec.begun == rec.cleaned, "task %d is %s, its cleanup was not run", rec.id, status)
  model.open[rec] = nil
  return status
end

--- Looks at every task that is known to be there, and forgets what has ended.
function model.sweep()
  for rec in pairs(model.open) do
    if rec.task then model.check_task(rec) end
    if rec.begun == 1 and rec.cleaned == 1 and not rec.task and not rec.kept then model.open[rec] = nil end
  end
end

--- At the end: what began has been cleaned.
function model.check_end()
  for rec in pairs(model.open) do
    check(rec.begun == rec.cleaned, "%s %d began and was not cleaned", rec.kind, rec.id)
  end
end

--- How many of the coroutines that were seen are alive.
function model.live_threads()
  local n = 0
  for _ in pairs(model.threads) do n = n + 1 end
  return n
end

return model
