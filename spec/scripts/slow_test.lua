-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("slow.lua", function()
  local rules = t.load "../../scripts/slow.lua"

  t.it("makes every connection slow, and decides nothing", function()
    local c = t.allowed(rules:connect { dst = "198.51.100.7:80" }, "default")
    t.same(c.limits, { up = 48000, down = 200000, latency = 0.15, jitter = 0.05 })
  end)

  t.it("looks at no packet where nothing is to be lost", function()
    t.eq(rules:packet { proto = "udp", dst = "198.51.100.7:80" }, "pass")
  end)
end)
