-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

-- How many of 1000 packets are lost.
local function lost(rules, packet)
  local n = 0
  for _ = 1, 1000 do
    n = n + (rules:packet(packet) == "drop" and 1 or 0)
  end
  return n
end

t.it("loss.lua loses two in a hundred each way, the same ones each time", function()
  local rules = t.load "../../scripts/loss.lua"
  local out = lost(rules, { proto = "udp", dst = "198.51.100.7:53" })
  t.near(out, 20, 15)
  local back = { dir = "in", proto = "tcp", src = "198.51.100.7:80", dst = "10.0.0.1:40000" }
  t.near(lost(rules, back), 20, 15)
  t.ok(rules:reload())
  t.eq(lost(rules, { proto = "udp", dst = "198.51.100.7:53" }), out)
end)
