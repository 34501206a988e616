--- rille.stream.decode: the root that makes items of strings which arrive in any pieces (internal).
-- Model:  a decoder is fed a piece when it has no item left, and told of the end. What it has gathered
--         belongs to the stream, not to a step.
-- Owner:  the stream owns its source.
-- Errors: what the decoder raises leaves the step. An item of the source that is not a string is misuse.

local check = require "rille.stream.check"
local compile = require("rille.stream.pipeline").compile
local ending = require "rille.stream.ending"
local stage = require "rille.stream.stage"
local turn = require("rille.host.timer").turn

local TURN = stage.TURN

---@class rille.Decoder
---@field feed fun(self, text: string) takes a piece; only when `next` has returned nil
---@field next fun(self): any an item; nil if it needs more
---@field finish fun(self) there is no more; `next` may have a last item

local NOTHING = { next = function() return nil end } -- the decoder of a stream that was closed

--- A stream of what the decoder makes of the strings of a source.
---@param name string the operator
---@param src rille.Stream
---@param decoder rille.Decoder
---@return rille.Stream<any>
return function(name, src, decoder)
  local self = stage.root(name)
  local over, count = false, 0
  function self.closer(err, loop)
    decoder, over = NOTHING, true
    ending.release(src, err, loop)
  end
  function self.interrupt(err, loop) ending.interrupt(src, err, loop) end
  function self.produce(emit, finish)
    local pull
    local function advance()
      local item = decoder:next()
      if item == nil then
        if not over then return pull() end
        ending.close_root(self)
        return finish()
      end
      count = count + 1
      if count % TURN == 0 then turn() end
      return emit(item)
    end
    pull = compile(src, function(text)
      if type(text) ~= "string" then
        error(("'%s': an item of its source is no string but a %s"):format(name, check.type_name(text)), 0)
      end
      decoder:feed(text)
      return advance()
    end, function()
      over = true
      ending.exhaust(src)
      decoder:finish()
      return advance()
    end, self)
    return advance
  end
  return stage.each(self)
end
