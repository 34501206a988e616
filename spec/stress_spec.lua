-- Random operations on generators and tasks, in a program of their own (spec/stress.lua). RILLE_STRESS_OPS
-- says how many, RILLE_STRESS_SEED repeats a run.
local process = require("spec.helper.process")

local PATIENCE = 500 -- seconds

local STRESSED = os.getenv("RILLE_SPEC_GC") == "stress"
local OPERATIONS = os.getenv("RILLE_STRESS_OPS") or (STRESSED and "10000" or "200000")
local SEED = os.getenv("RILLE_STRESS_SEED") or tostring(os.time() ~ math.random(0))

describe("random operations on generators and tasks", function()
  it("leave the order of items, every cleanup and every end as it must be, and nothing behind", function()
    io.stdout:write("\nstress: RILLE_STRESS_OPS=", OPERATIONS, " RILLE_STRESS_SEED=", SEED, "\n")
    local child <close> = process.start(process.host("spec/stress.lua", OPERATIONS, SEED))
    local result = child:wait(PATIENCE)
    local found = result.stderr:find("stress: ", 1, true) or -4000
    assert.equal(0, result.status, result.stdout .. result.stderr:sub(found))
    assert.is_truthy(result.stdout:find("%d+ operations\n$"), result.stdout .. result.stderr:sub(found))
  end)
end)
