--- rille.stream.change: the operators that make other items of the items: map, scan, enumerate, tap,
--- chunks, window.
-- Model:  stages. What one has counted or gathered belongs to its stream and not to the functions that are
--         put together, which may happen more than once.
-- Owner:  each stream owns its source.
-- Errors: a bad argument blames the line that makes the stream. An error of a function leaves the step.

local check = require "rille.stream.check"
local check_source = require("rille.stream.source").check
local new_pool = require "rille.stream.pool"
local stage = require "rille.stream.stage"

local check_item = check.item

local change = {}

--- What f returns for each item. f may wait; it must not return nil.
--- With n > 1, f runs in up to n tasks that belong to the stream and go on while the consumer's body
--- runs; at most n items are in work or finished but undelivered. The first error cancels the others;
--- results that were finished in order before it come first.
---@generic T, R
---@param src rille.Source<T>
---@param f fun(v: T, ...: any): R, any?, any?, any? all values of the item
---@param options? { n: integer?, ordered: boolean? } n: 1; ordered: true, false gives them as completed
---@return rille.Stream<R>
function change.map(src, f, options)
  local source = check_source(src, 1, "map")
  check.callable(f, 2, "map")
  options = check.options(options, 3, "map", { n = 1, ordered = "boolean" })
  if options.n and options.n > 1 then
    return stage.each(new_pool("map", source, f, options.n, options.ordered ~= false))
  end
  return stage.new("map", source, function(upstream, emit)
    if source.single then
      if source.source or source.pending then return function(v) return emit(f(v)) end end
      upstream.apply = f
      return emit
    end
    return function(v, ...)
      if not v then check_item(source, v) end
      return emit(f(v, ...))
    end
  end)
end

--- The items as they are, after f was called with each.
---@generic T
---@param src rille.Source<T>
---@param f fun(v: T, ...: any)
---@return rille.Stream<T>
function change.tap(src, f)
  local source = check_source(src, 1, "tap")
  check.callable(f, 2, "tap")
  return stage.new("tap", source, function(_, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      f(v, ...)
      return emit(v, ...)
    end
  end)
end

--- i, v...: the items with their number in front.
---@generic T
---@param src rille.Source<T>
---@param start? integer the first number, 1 by default
---@return rille.Stream<integer>
function change.enumerate(src, start)
  local source = check_source(src, 1, "enumerate")
  start = check.optional(src, start)
  if start == nil then start = 1 end
  local i = check.count(start, 2, "enumerate") - 1
  return stage.new("enumerate", source, function(_, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      i = i + 1
      return emit(i, v, ...)
    end
  end)
end

--- The states of a running fold: f(state, item...) for each item. Without init the first item is the
--- first state.
---@generic T, R
---@param src rille.Source<T>
---@param f fun(state: R, v: T, ...: any): R
---@param init? R
---@return rille.Stream<R>
function change.scan(src, f, init)
  local source = check_source(src, 1, "scan")
  check.callable(f, 2, "scan")
  local state = init
  return stage.new("scan", source, function(_, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      if state ~= nil then v = f(state, v, ...) end
      state = v
      return emit(v)
    end
  end)
end

--- Lists of n items, as soon as they are full; the last may be shorter. An item of several values is a
--- list of them. When an error object passes, its field `partial` has the list that was not full.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 1
---@return rille.Stream<T[]>
function change.chunks(src, n)
  local source = check_source(src, 1, "chunks")
  n = check.count(n, 2, "chunks", 1)
  local size = 0
  return stage.new("chunks", source, function(upstream, emit, finish, self)
    return function(v, ...)
      if not v then check_item(source, v) end
      if select("#", ...) > 0 then v = { v, ... } end
      local chunk = self.partial
      if not chunk then
        chunk = {}
        self.partial, size = chunk, 0
      end
      size = size + 1
      chunk[size] = v
      if size < n then return upstream.pull() end
      self.partial = nil
      return emit(chunk)
    end, function()
      local chunk = self.partial
      if not chunk then return finish() end
      self.partial = nil
      return emit(chunk)
    end
  end)
end

--- Lists of n items that follow each other, each list `pace` items further on. An item of several values is
--- a list of them. Of fewer than n items there is none.
---@generic T
---@param src rille.Source<T>
---@param n integer >= 1
---@param pace? integer >= 1; 1 by default
---@return rille.Stream<T[]>
function change.window(src, n, pace)
  local source = check_source(src, 1, "window")
  n = check.count(n, 2, "window", 1)
  pace = check.optional(src, pace)
  pace = pace == nil and 1 or check.count(pace, 3, "window", 1)
  local items, skip = {}, 0
  return stage.new("window", source, function(upstream, emit)
    return function(v, ...)
      if not v then check_item(source, v) end
      if skip > 0 then
        skip = skip - 1
        return upstream.pull()
      end
      if select("#", ...) > 0 then v = { v, ... } end
      items[#items + 1] = v
      if #items < n then return upstream.pull() end
      local list = items
      items = pace < n and table.move(list, pace + 1, n, 1, {}) or {}
      skip = math.max(pace - n, 0)
      return emit(list)
    end
  end)
end

return change
