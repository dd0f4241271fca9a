-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("allowlist.lua", function()
  local rules = t.load "../../scripts/allowlist.lua"

  t.it("lets through what the file names, on every port and network", function()
    t.allowed(rules:connect { dst = "203.0.113.7:443" }, "allowlist.txt")
    t.allowed(rules:connect { dst = "[2001:db8:10::7]:22" }, "allowlist.txt")
    t.allowed(rules:flow { network = "udp", dst = "203.0.113.7:53" }, "allowlist.txt")
  end)

  t.it("denies everything else", function()
    t.denied(rules:connect { dst = "100.64.0.7:443" }, "default")
    t.denied(rules:connect { dst = "[2001:db9::7]:443" }, "default")
  end)
end)
