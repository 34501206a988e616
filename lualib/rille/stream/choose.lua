--- rille.stream.choose: the operators that pass on some of the items: filter, take, drop, take_while,
--- drop_while, distinct.
-- Model:  stages. How far one has come belongs to its stream and not to the functions that are put
--         together, which may happen more than once.
-- Owner:  each stream owns its source, and closes it as soon as it needs no more.
-- Errors: a bad argument blames the line that makes the stream. An error of a function leaves the step.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local ending = require "rille.stream.ending"
local stage = require "rille.stream.stage"

local check_item, release = check.item, ending.release

local choose = {}

--- The items for which pred returns a true value.
---@generic T
---@param src rille.Source<T>
---@param pred fun(v: T, ...: any): any
---@return rille.Stream<T>
function choose.filter(src, pred)
  local source = check_source(src, 1, "filter")
  check.callable(pred, 2, "filter")
  return stage.new("filter", source, function(upstream, emit)
    if source.single then
      return function(v)
        if pred(v) then return emit(v) end
        return upstream.pull()
      end
    end
    return function(v, ...)
      if not v then check_item(source, v) end
      if pred(v, ...) then return emit(v, ...) end
      return upstream.pull()
    end
  end, source.single)
end

-- The stream of no items over a source that is never started.
local function empty(name, source)
  local self = stage.root(name)
  function self.closer(err, loop) release(source, err, loop) end
  function self.produce(_, finish)
    return function()
      ending.close_root(self)
      return finish()
    end
  end
  return self
end

--- The first n items. The source is closed right after item n; with n = 0 it is never started.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 0
---@return rille.Stream<T>
function choose.take(src, n)
  local source = check_source(src, 1, "take")
  n = check.count(n, 2, "take", 0)
  if n == 0 then return stage.each(empty("take", source)) end
  local left = n
  return stage.new("take", source, function(_, emit, finish, self)
    -- an error of the source's cleanup comes after the item, which was there before
    local function last(...)
      local ok, err = pcall(release, source)
      if not ok then self.deferred = { err } end
      return emit(...)
    end
    return function(v, ...)
      if not v then check_item(source, v) end
      local rest = left - 1
      left = rest
      if rest > 0 then return emit(v, ...) end
      return last(v, ...)
    end, function()
      local deferred = self.deferred
      if not deferred then return finish() end
      self.deferred = nil
      error(deferred[1], 0)
    end
  end)
end

--- All items but the first n.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 0
---@return rille.Stream<T>
function choose.drop(src, n)
  local source = check_source(src, 1, "drop")
  n = check.count(n, 2, "drop", 0)
  local dropped = 0
  return stage.new("drop", source, function(upstream, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      if dropped >= n then return emit(v, ...) end
      dropped = dropped + 1
      return upstream.pull()
    end
  end)
end

--- The items up to the first for which pred returns false or nil; the source is closed then.
---@generic T
---@param src rille.Source<T>
---@param pred fun(v: T, ...: any): any
---@param options? { inclusive: boolean? } inclusive: that item too
---@return rille.Stream<T>
function choose.take_while(src, pred, options)
  local source = check_source(src, 1, "take_while")
  check.callable(pred, 2, "take_while")
  options = check.options(options, 3, "take_while", { inclusive = "boolean" })
  return stage.new("take_while", source, function(_, emit, finish)
    return function(v, ...)
      if not v then check_item(source, v) end
      if pred(v, ...) then return emit(v, ...) end
      release(source)
      if options.inclusive then return emit(v, ...) end
      return finish()
    end
  end)
end

--- The items from the first for which pred returns false or nil.
---@generic T
---@param src rille.Source<T>
---@param pred fun(v: T, ...: any): any
---@return rille.Stream<T>
function choose.drop_while(src, pred)
  local source = check_source(src, 1, "drop_while")
  check.callable(pred, 2, "drop_while")
  local dropping = true
  return stage.new("drop_while", source, function(upstream, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      if dropping then
        if pred(v, ...) then return upstream.pull() end
        dropping = false
      end
      return emit(v, ...)
    end
  end)
end

--- The items without those that are equal (==) to the one before: by their first value, or by what key
--- returns for them.
---@generic T
---@param src rille.Source<T>
---@param key? fun(v: T, ...: any): any
---@return rille.Stream<T>
function choose.distinct(src, key)
  local source = check_source(src, 1, "distinct")
  key = check.optional(src, key)
  if key ~= nil then check.callable(key, 2, "distinct") end
  local last, begun
  return stage.new("distinct", source, function(upstream, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      local k = v
      if key then k = key(v, ...) end
      if begun and k == last then return upstream.pull() end
      last, begun = k, true
      return emit(v, ...)
    end
  end)
end

return choose
