--- rille.stream.finish: the operators that end a stream: collect, each_do, reduce, count, any, all, join,
--- first, last.
-- Model:  one guarded run calls a function with every item until it returns false, and then closes the
--         source: there is no step an item.
-- Owner:  the operator owns its source; it has been closed when the operator returns or raises.
-- Errors: misuse, and a source that cannot be advanced, blame the line that called the operator. An error
--         of a function or of the source is raised as the same object.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local fault = require "rille.host.fault"
local new_pool = require "rille.stream.pool"
local pipeline = require "rille.stream.pipeline"

local check_item = check.item

local finish = {}

-- Calls sink with every item until it returns false. Level 3 is the caller of the operator, or of the
-- function that the operator ends in.
local function run(source, sink)
  if pipeline.check_step(source, 3) and pipeline.drain(source, sink) then pipeline.close(source) end
end

--- All items as a list. An item of several values is a list of them.
---@generic T
---@param src rille.Source<T>
---@param max? integer >= 1: more items than that are an error (ETOOBIG), and the source is closed
---@return T[]
function finish.collect(src, max)
  local source = check_source(src, 1, "collect")
  max = check.optional(src, max)
  if max ~= nil then max = check.count(max, 2, "collect", 1) end
  local list, n = {}, 0
  run(source, function(v, ...)
    if not v then check_item(source, v) end
    if select("#", ...) > 0 then v = { v, ... } end
    if n == max then
      error(fault.new("ETOOBIG", ("collect: more than %d items"):format(max), { max = max }), 0)
    end
    n = n + 1
    list[n] = v
    return true
  end)
  return list
end

--- Calls f with each item. With n > 1 in up to n tasks, in no particular order; the first error cancels
--- the others. f may wait; what it returns is ignored.
---@generic T
---@param src rille.Source<T>
---@param f fun(v: T, ...: any)
---@param options? { n: integer? } n: 1
function finish.each_do(src, f, options)
  local source = check_source(src, 1, "each_do")
  check.callable(f, 2, "each_do")
  options = check.options(options, 3, "each_do", { n = 1 })
  if options.n and options.n > 1 then
    run(new_pool("each_do", source, function(...)
      f(...)
      return true
    end, options.n, false), function() return true end)
    return
  end
  run(source, function(v, ...)
    if not v then check_item(source, v) end
    f(v, ...)
    return true
  end)
end

--- The last state of a fold: f(state, item...) for each item. Without init the first item is the first
--- state; of no items it is nil then.
---@generic T, R
---@param src rille.Source<T>
---@param f fun(state: R, v: T, ...: any): R
---@param init? R
---@return R
function finish.reduce(src, f, init)
  local source = check_source(src, 1, "reduce")
  check.callable(f, 2, "reduce")
  local state, begun = init, init ~= nil
  run(source, function(v, ...)
    if not v then check_item(source, v) end
    if begun then
      state = f(state, v, ...)
    else
      state, begun = v, true
    end
    return true
  end)
  return state
end

--- How many items there are.
---@generic T
---@param src rille.Source<T>
---@return integer
function finish.count(src)
  local source = check_source(src, 1, "count")
  local n = 0
  run(source, function(v)
    if not v then check_item(source, v) end
    n = n + 1
    return true
  end)
  return n
end

local function identity(v) return v end

-- The answer is `decisive` as soon as pred gives it for an item, and the opposite at the end.
local function decide(source, pred, decisive)
  local decided = false
  run(source, function(v, ...)
    if not v then check_item(source, v) end
    decided = not pred(v, ...) ~= decisive
    return not decided
  end)
  return decided == decisive
end

--- True if pred returns a true value for some item; the source is closed at the first. Without pred, if
--- some item is not false.
---@generic T
---@param src rille.Source<T>
---@param pred? fun(v: T, ...: any): any
---@return boolean
function finish.any(src, pred)
  local source = check_source(src, 1, "any")
  pred = check.optional(src, pred)
  if pred == nil then pred = identity end
  check.callable(pred, 2, "any")
  return decide(source, pred, true)
end

--- True if pred returns a true value for every item; the source is closed at the first for which it does
--- not. Without pred, if no item is false.
---@generic T
---@param src rille.Source<T>
---@param pred? fun(v: T, ...: any): any
---@return boolean
function finish.all(src, pred)
  local source = check_source(src, 1, "all")
  pred = check.optional(src, pred)
  if pred == nil then pred = identity end
  check.callable(pred, 2, "all")
  return decide(source, pred, false)
end

--- The items, strings or numbers, in one string.
---@param src rille.Source<any>
---@param separator? string "" by default
---@return string
function finish.join(src, separator)
  local source = check_source(src, 1, "join")
  separator = check.optional(src, separator)
  if separator == nil then separator = "" end
  check.string(separator, 2, "join")
  local list, n = {}, 0
  run(source, function(v)
    if type(v) ~= "string" and type(v) ~= "number" then
      error(("join: item %d is a %s, not a string"):format(n + 1, check.type_name(v)), 0)
    end
    n = n + 1
    list[n] = v
    return true
  end)
  return table.concat(list, separator)
end

-- The item at which the run ends: the first one, if it is not to go on, else the last one.
local function pick(source, default, goes_on)
  local item, values = default, nil
  run(source, function(v, ...)
    if not v then check_item(source, v) end
    item, values = v, select("#", ...) > 0 and table.pack(v, ...) or nil
    return goes_on
  end)
  if values then return table.unpack(values, 1, values.n) end
  return item
end

--- The first item; the source is closed.
---@generic T
---@param src rille.Source<T>
---@param default? T what is returned if there is none
---@return T ... the values of the item
function finish.first(src, default)
  local source = check_source(src, 1, "first")
  return pick(source, check.optional(src, default), false)
end

--- The last item.
---@generic T
---@param src rille.Source<T>
---@param default? T what is returned if there is none
---@return T ... the values of the item
function finish.last(src, default)
  local source = check_source(src, 1, "last")
  return pick(source, check.optional(src, default), true)
end

return finish
