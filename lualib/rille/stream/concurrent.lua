--- rille.stream.concurrent: the root of map and each_do with n > 1: what f gives in several tasks at once.
-- Model:  the items come from a pool of workers (rille.stream.pool), which starts with the first step.
-- Owner:  the root owns the pool, and the source through it.
-- Errors: those of the pool.

local close_root = require("rille.stream.ending").close_root
local new_pool = require "rille.stream.pool"
local release = require("rille.stream.ending").release
local stage = require "rille.stream.stage"

--- A root whose items are the results of f in up to n worker tasks.
---@param name string
---@param source rille.Stream
---@param f fun(...): ...
---@param n integer
---@param ordered boolean
---@return rille.Stream
return function(name, source, f, n, ordered)
  local self = stage.root(name)
  local pool
  function self.closer(err, loop)
    if pool then return pool:close(err, loop) end
    release(source, err, loop)
  end
  function self.interrupt()
    if pool then pool:interrupt() end
  end
  function self.is_inside()
    return pool ~= nil and pool:is_inside()
  end
  function self.produce(emit, finish)
    local function relay(v, ...)
      if v == nil then
        close_root(self)
        return finish()
      end
      return emit(v, ...)
    end
    return function()
      if not self.closer then return finish() end
      pool = pool or new_pool(source, f, n, ordered)
      return relay(pool:next())
    end
  end
  return self
end
