-- SPDX-License-Identifier: MIT
-- After rounds of everything that a command, its callers and its master can do, the program holds
-- what it held before: descriptors, flows, memory; and the host its mounts and namespaces. No byte
-- is lost, with a bad cable and other faults meanwhile. NSNET_SOAK=1800 makes it half an hour.
local lab = require("spec.support.lab")
local mixture = require("spec.support.mixture")
if lab.direct then return end

local SOAK_S = tonumber(os.getenv("NSNET_SOAK") or 4)
-- A round opens some 80 flows and asks some 10 questions: 2 KB for each would show soon.
local GROWTH_KB = 1024
-- Sanitizers and valgrind keep what was freed.
local measured = (os.getenv("NSNET_MODE") or "release") == "release"

local function same(before, after)
  for _, key in ipairs({ "flows", "in_flight", "fds", "mounts", "spaces" }) do
    assert.equal(before[key], after[key], key)
  end
  if measured then
    assert.is_true(after.rss_kb - before.rss_kb < GROWTH_KB,
      ("%d kB, then %d kB"):format(before.rss_kb, after.rss_kb))
  end
end

describe("after rounds of mixed traffic", function()
  it("and faults the program holds what it held before, and no byte is lost", function()
    local L = lab.start()
    finally(function() L:stop() end)
    local cable = L:impair(11, 3, 3, 5, 1)
    local m = mixture.start(L, SOAK_S + 900)
    local faults = {
      function() cable:kill("USR1") end,
      function()
        m.job:kill("STOP")
        lab.sleep(1)
        m.job:kill("CONT")
      end,
      function()
        m.dns:kill("KILL")
        m.dns:wait()
        lab.sleep(0.5)
        m:serve_dns()
      end,
    }
    for i = 1, SOAK_S > 60 and 30 or 2 do m:round(faults[i % 6 + 1]) end
    local before = m:held()
    local start, last = lab.now(), 0
    while lab.now() - start < SOAK_S do
      m:round(faults[m.rounds % (2 * #faults) + 1])
      if lab.now() - last > 60 and SOAK_S > 60 then
        last = lab.now()
        print(("# %d s: round %d, %d kB"):format(last - start, m.rounds, m:rss_kb()))
        io.stdout:flush()
      end
    end
    local after = m:held()
    print(("# %d rounds, %s bytes; %d kB, then %d kB; %d descriptors, then %d"):format(m.rounds,
      m.job:out():match(".*bytes=(%d+)"), before.rss_kb, after.rss_kb, before.fds, after.fds))
    same(before, after)
    m:finish()
  end)
end)
