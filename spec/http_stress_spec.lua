-- Random requests to a server that misbehaves, in a program of their own (spec/http_stress.lua).
-- RILLE_STRESS_REQUESTS says how many, RILLE_STRESS_SEED which.
local perl_server = require "spec.helper.perl_server"
local process = require("spec.helper.process")

local PATIENCE = 500 -- seconds

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"
local REQUESTS = os.getenv("RILLE_STRESS_REQUESTS") or (STRESSED and "1000" or "4000")
local SEED = os.getenv("RILLE_STRESS_SEED") or tostring(os.time() ~ math.random(0))

describe("random requests to a server that misbehaves", function()
  it("each end in one of response, error and cancellation, and leave nothing behind", function()
    io.stdout:write("\nstress: RILLE_STRESS_REQUESTS=", REQUESTS, " RILLE_STRESS_SEED=", SEED, "\n")
    local _ <close>, url = perl_server "fault_server"
    local child <close> = process.start(process.host("spec/http_stress.lua", url, REQUESTS, SEED))
    local result = child:wait(PATIENCE)
    assert.equal(0, result.status, result.stdout .. result.stderr)
    assert.is_truthy(result.stdout:find("\n" .. REQUESTS .. " requests\n$"), result.stdout)
  end)
end)
