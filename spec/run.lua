-- Runs busted inside the host, as the main task: every `it` may wait.
-- usage: rille spec/run.lua [busted options] [paths]; without paths, all of spec/.
package.path = "./?.lua;" .. package.path

local options = { "--helper=spec/helper/checks.lua", "--pattern=_spec%.lua$" }
for _, word in ipairs(arg) do options[#options + 1] = word end
if #arg == 0 or arg[#arg]:sub(1, 1) == "-" then options[#options + 1] = "spec" end
options[0] = arg[0]
_G.arg = options

require "busted.runner" { standalone = false }
