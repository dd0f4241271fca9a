-- SPDX-License-Identifier: MIT
-- A test of deny-with-reason.lua:
--   nsnet-host test -v --coverage examples/tests/deny-with-reason_test.lua
-- No namespace, no network, no waiting: the rules are asked, and connections are played.
local t = require "nsnet.test"

t.describe("deny-with-reason.lua", function()
  local rules = t.load "../deny-with-reason.lua"

  t.it("says no in four ways", function()
    t.eq(t.denied(rules:connect { dst = "198.51.100.7:25" }).reason, "no mail")
    t.eq(t.denied(rules:connect { dst = "198.51.100.7:23" }).style, "unreachable")
    t.eq(t.dropped(rules:connect { dst = "198.51.100.7:135" }).reason, "stealth")
  end)

  t.it("lets through what it does not know", function()
    local c = t.allowed(rules:connect { dst = "198.51.100.7:443" })
    t.eq(c:say "hello", "hello")
  end)
end)
