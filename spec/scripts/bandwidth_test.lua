-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.it("bandwidth.lua limits every connection, and decides nothing", function()
  local want = { up = 48000, down = 200000 }
  local rules = t.load "../../scripts/bandwidth.lua"
  t.same(t.allowed(rules:connect { dst = "198.51.100.7:80" }, "default").limits, want)
  t.same(t.allowed(rules:connect { dst = "[2001:db8::7]:80" }, "default").limits, want)
end)
