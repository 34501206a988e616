--- rille.stream.flatten: the operators that give the items of several streams, one stream after the
--- other: chain, flat_map, switch_map, flatten.
-- Model:  roots (those that take several streams at the same time are in rille.stream.switch). The stream
--         whose turn it is comes under the root's lock, and its functions pass its items straight on: there
--         is no step in between.
-- Owner:  the root owns the streams that it was given, and the one that it made of an item. Each is closed
--         before the next one starts, what is left in reverse order.
-- Errors: a bad argument blames the line that makes the stream. If several cleanups fail, the first error
--         is raised, and the others are attached to it.

local check = require "rille.stream.check"
local compile = require("rille.stream.pipeline").compile
local ending = require "rille.stream.ending"
local source = require "rille.stream.source"
local stage = require "rille.stream.stage"
local switch = require "rille.stream.switch"

local close_root, exhaust, release_all = ending.close_root, ending.exhaust, ending.release_all

local flatten = {}

--- The items of each source, one source after the other. A source is closed before the next one starts.
---@generic T
---@param ... rille.Source<T>
---@return rille.Stream<T>
function flatten.chain(...)
  local sources, n = source.check_all("chain", select("#", ...), ...)
  local self = stage.root("chain")
  local at = 1
  function self.closer(err, loop)
    local first = at
    at = n + 1
    release_all(sources, first, n, err, loop)
  end
  function self.interrupt(err, loop)
    if sources[at] then ending.interrupt(sources[at], err, loop) end
  end
  function self.produce(emit, finish)
    local mine, pull
    local function advance()
      if at > n then
        close_root(self)
        return finish()
      end
      if mine ~= at then
        mine = at
        pull = compile(sources[at], emit, function()
          exhaust(sources[at])
          at = at + 1
          return advance()
        end, self)
      end
      return pull()
    end
    return advance
  end
  return stage.each(self)
end

-- A root: the items of the streams that f makes of the items.
local function flat(name, outer, f)
  local self = stage.root(name)
  local inner
  function self.closer(err, loop)
    local sources = { outer, inner }
    inner = nil
    release_all(sources, 1, #sources, err, loop)
  end
  function self.interrupt(err, loop) ending.interrupt(inner or outer, err, loop) end
  function self.produce(emit, finish)
    local mine, inner_pull, outer_pull
    local function begin()
      mine = inner
      inner_pull = compile(inner, emit, function()
        exhaust(inner)
        inner, mine = nil, nil
        return outer_pull()
      end, self)
    end
    outer_pull = compile(outer, function(v, ...)
      if not v then check.item(outer, v) end
      inner = source.open_inner(name, f(v, ...))
      begin()
      return inner_pull()
    end, function()
      exhaust(outer)
      close_root(self)
      return finish()
    end, self)
    return function()
      if mine ~= inner then -- another stream over this one has gone on
        mine = inner
        if inner then begin() end
      end
      if inner then return inner_pull() end
      return outer_pull()
    end
  end
  return self
end

--- The items of what f returns for each item: a stream, a generator function, an iterator or a list. One
--- after the other: each is closed before the next one starts. With n > 1 up to n of them at the same time,
--- each one item ahead: as they come, or `ordered`.
---@generic T, R
---@param src rille.Source<T>
---@param f fun(v: T, ...: any): rille.Source<R>
---@param options? { n: integer?, ordered: boolean? } n: 1; ordered: false
---@return rille.Stream<R>
function flatten.flat_map(src, f, options)
  local outer = source.check(src, 1, "flat_map")
  check.callable(f, 2, "flat_map")
  options = check.options(options, 3, "flat_map", { n = 1, ordered = "boolean" })
  if options.n and options.n > 1 then
    return stage.each(switch.flat("flat_map", outer, f, options.n, options.ordered))
  end
  return stage.each(flat("flat_map", outer, f))
end

--- The items of what f returns for the latest item: an item that comes closes the stream of the one before
--- it, and what that had not delivered is dropped.
---@generic T, R
---@param src rille.Source<T>
---@param f fun(v: T, ...: any): rille.Source<R>
---@return rille.Stream<R>
function flatten.switch_map(src, f)
  local outer = source.check(src, 1, "switch_map")
  check.callable(f, 2, "switch_map")
  return stage.each(switch.latest("switch_map", outer, f))
end

local function identity(v) return v end

--- The items of the items: each is a stream, a generator function, an iterator or a list.
---@param src rille.Source<any>
---@return rille.Stream<any>
function flatten.flatten(src)
  local outer = source.check(src, 1, "flatten")
  return stage.each(flat("flatten", outer, identity))
end

return flatten
