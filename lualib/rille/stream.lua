--- rille.stream: streams, and the operators that make, change and end them.
-- Model:  a stream has the protocol of a generator and no coroutine: a root (a list, an iterator, a chain
--         of streams ...) makes items, and the stages on it pass them on (rille.stream.stage, .pipeline).
--         An operator is a function of this module, and a method of streams and of generators.
-- Owner:  a stream owns what it was made from, and closes it once, last acquired first: at the end, when
--         it needs no more, on an error, when it is closed or its loop is left (R60). `keep` opts out.
-- Errors: bad arguments blame the line that makes the stream. An error of a function or of a source
--         closes the sources before it reaches the consumer, as the same object; later steps say that
--         the stream has failed already (R33). An error of a cleanup does not replace one in flight.

local Stream = require "rille.stream.protocol"
local change = require "rille.stream.change"
local choose = require "rille.stream.choose"
local finish = require "rille.stream.finish"
local flatten = require "rille.stream.flatten"
local generator = require "rille.host.generator"
local merge = require "rille.stream.merge"
local recover = require "rille.stream.recover"
local share = require "rille.stream.share"
local source = require "rille.stream.source"
local time = require "rille.stream.time"

--- What an operator takes items from.
---@alias rille.Source<T> T[]|rille.Stream<T>|rille.Channel|rille.Share|(fun(...): T)

--- What a loop, `next` and the operators take items from. `for v in s do` closes it when the loop is left.
---@class rille.Stream<T>: rille.StreamProtocol, rille.StreamOperators
---@overload fun(): T, ...

--- The operators; as a function, each takes any source as its first argument.
---@class rille.StreamOperators
local operators = {
  chain = flatten.chain,
  merge = merge.merge,
  zip = merge.zip,
  latest = merge.latest,
  race = merge.race,

  map = change.map,
  tap = change.tap,
  enumerate = change.enumerate,
  scan = change.scan,
  chunks = change.chunks,
  window = change.window,
  batch = time.batch,
  flat_map = flatten.flat_map,
  switch_map = flatten.switch_map,
  flatten = flatten.flatten,

  filter = choose.filter,
  take = choose.take,
  drop = choose.drop,
  take_while = choose.take_while,
  drop_while = choose.drop_while,
  distinct = choose.distinct,
  take_until = require "rille.stream.until",

  buffer = require "rille.stream.buffer",
  spaceout = time.spaceout,
  debounce = time.debounce,
  timeout = time.timeout,

  catch = recover.catch,

  tee = require "rille.stream.tee",
  share = share.share,

  collect = finish.collect,
  each_do = finish.each_do,
  reduce = finish.reduce,
  count = finish.count,
  any = finish.any,
  all = finish.all,
  join = finish.join,
  first = finish.first,
  last = finish.last,
}

---@class rille.stream: rille.StreamOperators
local stream = {
  from = source.from,
  yield_from = require("rille.stream.delegate").yield_from,
  range = require "rille.stream.range",
  interval = time.interval,
  producer = require "rille.stream.producer",
  repeating = source.repeating,
  retry = recover.retry,
}

for name, operator in pairs(operators) do
  stream[name] = operator
  Stream.__index[name] = operator
  generator.methods[name] = operator
  share.methods[name] = operator
end

return stream
