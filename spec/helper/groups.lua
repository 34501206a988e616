-- groups.lua -- children for groups, all and race: those that wait for long, fail later, or wait together.
-- Model:  plain functions; who uses them takes those that it needs into locals.
-- Owner:  the group that runs them.
-- Errors: those that they are told to raise.
local rille = require "rille"
local expect = require "spec.helper.expect"

local closer, until_waiting = expect.closer, expect.until_waiting

local groups = {}

--- What several tasks may wait for; all of them are woken in one turn, in the order in which they waited.
function groups.new_gate()
  local resume
  local task = rille.spawn(function() rille.callback(function(r) resume = r end) end)
  until_waiting(task)
  return {
    wait = function() task:await() end,
    open = function() resume() end,
  }
end

--- A function that waits for long and adds a line to the log when it is cancelled; its cleanup waits.
function groups.sleeper(log, name, failure)
  return function()
    local _ <close> = closer(function()
      rille.sleep(0)
      rille.sleep(0.001)
      log[#log + 1] = name
      if failure ~= nil then error(failure, 0) end
    end)
    rille.sleep(60)
    log[#log + 1] = name .. " was not cancelled"
  end
end

function groups.fail_later(err)
  return function()
    rille.sleep(0.001)
    error(err, 0)
  end
end

return groups
