-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("firewall.lua", function()
  local rules = t.load "../../scripts/firewall.lua"

  t.it("lets the web and time through", function()
    t.allowed(rules:connect { dst = "198.51.100.7:443" }, "web")
    t.allowed(rules:connect { dst = "[2001:db8::7]:80" }, "web")
    t.allowed(rules:flow { network = "udp", dst = "198.51.100.7:123" }, "ntp")
  end)

  t.it("refuses mail in so many words", function()
    t.eq(t.denied(rules:connect { dst = "198.51.100.7:25" }, "mail").reason, "no mail from here")
  end)

  t.it("keeps private networks closed, in any spelling", function()
    t.denied(rules:connect { dst = "10.1.2.3:443" }, "private")
    t.denied(rules:connect { dst = "[::ffff:10.1.2.3]:443" }, "private")
    t.denied(rules:connect { dst = "[fc00::1]:443" }, "private")
    t.denied(rules:connect { dst = "169.254.169.254:80" }, "metadata")
  end)

  t.it("denies everything else", function()
    t.denied(rules:connect { dst = "198.51.100.7:22" }, "default")
    t.denied(rules:flow { network = "udp", dst = "198.51.100.7:443" }, "default")
    t.dropped(rules:flow { network = "icmp", dst = "198.51.100.7" }, "default")
  end)
end)
