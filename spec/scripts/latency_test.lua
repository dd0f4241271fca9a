-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.it("latency.lua limits every connection, and decides nothing", function()
  local want = { latency = 0.15, jitter = 0.05 }
  local rules = t.load "../../scripts/latency.lua"
  t.same(t.allowed(rules:connect { dst = "198.51.100.7:80" }, "default").limits, want)
  t.same(t.allowed(rules:connect { dst = "[2001:db8::7]:80" }, "default").limits, want)
end)
