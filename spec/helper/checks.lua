-- busted's helper for every run. RILLE_SPEC_GC=stress makes the collector run all the time, RILLE_SPEC_GC=
-- generational or incremental selects its mode.

warn("@off") -- specs drop generators and raise in finalisers on purpose

local mode = os.getenv("RILLE_SPEC_GC")
if mode == "stress" then
  collectgarbage("incremental", 1, 1000, 1) -- no pause, and a step at every few allocations
elseif mode then
  collectgarbage(mode)
end
