-- random.lua -- a pseudo-random generator of the specs' own (splitmix64): a seed gives the same numbers in
-- every run and on every machine.
---@class spec.Random
---@field private state integer
local Random = {}
Random.__index = Random

---@return integer any of the 2^64
function Random:bits()
  self.state = self.state + 0x9E3779B97F4A7C15
  local z = self.state
  z = (z ~ (z >> 30)) * 0xBF58476D1CE4E5B9
  z = (z ~ (z >> 27)) * 0x94D049BB133111EB
  return z ~ (z >> 31)
end

---@return integer 1 to n
function Random:upto(n)
  return (self:bits() >> 1) % n + 1
end

---@return boolean true once in n calls
function Random:one_in(n)
  return self:upto(n) == 1
end

--- An item of a list.
function Random:pick(list)
  return list[self:upto(#list)]
end

---@param seed integer
---@return spec.Random
return function(seed)
  return setmetatable({ state = seed }, Random)
end
