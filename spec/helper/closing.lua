-- closing.lua -- generators that another task closes, and the tasks that wait in them.
-- Model:  plain functions; who uses them takes those that it needs into locals.
-- Owner:  who gets a generator or a task ends it.
-- Errors: none of its own.
local assert = require "luassert"
local rille = require "rille"
local expect = require "spec.helper.expect"

local closer, new_gate, until_waiting = expect.closer, expect.new_gate, expect.until_waiting

local closing = {}

--- A task that calls f, and gives false and the error, or true and the results.
function closing.start(f, ...)
  local task = rille.spawn(pcall, f, ...)
  until_waiting(task)
  return task
end

function closing.is_cancelled(err)
  assert.is_true(rille.is_error(err, "ECANCELED"), tostring(err))
  return err
end

--- A generator that waits for long in its first step; its cleanup waits and adds a line to the log.
function closing.waiting_generator(log, name, failure)
  return (rille.generator(function()
    local _ <close> = closer(function(err)
      log.signal = err
      rille.sleep(0)
      rille.sleep(0.001)
      log[#log + 1] = name or "cleanup"
      if failure ~= nil then error(failure, 0) end
    end)
    rille.sleep(60)
    coroutine.yield("not reached")
  end)())
end

--- A generator that waits at a gate in its cleanup.
function closing.slow_to_close(log, failure, ...)
  local gate = new_gate()
  local results = table.pack(...)
  local g = rille.generator(function()
    local _, err = pcall(coroutine.yield, "item")
    log[#log + 1] = "cleanup begins"
    rille.shield(gate.wait) -- the signal was caught: it is raised again at any other wait
    log[#log + 1] = "cleanup ends"
    if failure ~= nil then error(failure, 0) end
    if results.n == 0 then error(err, 0) end
    return table.unpack(results, 1, results.n)
  end)()
  assert.equal("item", (g:next()))
  return g, gate
end

return closing
