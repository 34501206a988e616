-- generators.lua -- generators that many specs need, and the signals that a body or a task sees.
-- Model:  plain functions; who uses them takes those that it needs into locals.
-- Owner:  who gets a generator closes it.
-- Errors: none of its own.
local rille = require "rille"
local expect = require "spec.helper.expect"

local generators = {}

--- A generator function of 1 .. n, with a wait before each item or not.
function generators.counter(n, waits)
  return rille.generator(function()
    for i = 1, n do
      if waits then rille.sleep(0) end
      coroutine.yield(i)
    end
  end)
end

--- One of 1, 2, 3, ... 1000 that adds `name` to the log when its body is left, after a wait or not.
function generators.logged(log, name, waits)
  return rille.generator(function()
    local _ <close> = expect.closer(function()
      if waits then rille.sleep(0) end
      log[#log + 1] = name
    end)
    for i = 1, 1000 do coroutine.yield(i) end
  end)
end

--- A generator that passes on the items of another one.
function generators.relay(inner)
  return (rille.generator(function()
    for v in inner:each() do coroutine.yield(v) end
  end)())
end

--- What a body sees at its yield when it is closed.
function generators.close_signal()
  local seen
  local g = rille.generator(function()
    local _, err = pcall(coroutine.yield, 1)
    seen = err
  end)()
  g:next()
  g:close()
  return seen
end

--- What a cancelled task sees at its wait.
function generators.cancel_signal()
  local seen
  local task = rille.spawn(function()
    local _, err = pcall(rille.sleep, 60)
    seen = err
    error(err, 0)
  end)
  expect.until_waiting(task)
  task:cancel()
  pcall(task.await, task)
  return seen
end

--- Tells one kind of signal from another without naming its type.
function generators.kind(signal)
  local code = rille.is_error(signal) and signal.code or "none"
  return type(signal) .. " " .. code .. " " .. tostring(signal):gsub("0x%x+", "")
end

return generators
