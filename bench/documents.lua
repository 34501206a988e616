-- bench/documents.lua -- writes documents (bench/document.lua) of 250 to 580 kB; they differ in size, name.
-- Usage:  rille bench/documents.lua DIRECTORY [count=898]   writes DIRECTORY/1 ... DIRECTORY/count
package.path = "?.lua;" .. package.path

local document = require "bench.document"

local SMALLEST <const>, LARGEST <const> = 250e3, 580e3

local directory, count = arg[1], tonumber(arg[2] or 898)
for i = 1, count do
  local file <close> = assert(io.open(directory .. "/" .. i, "wb"))
  assert(file:write(document(LARGEST - (LARGEST - SMALLEST) * ((i - 1) * 37 % 100) / 100, "pokemon-" .. i)))
end
