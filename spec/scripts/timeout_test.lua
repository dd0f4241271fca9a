-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.it("timeout.lua drops one in five, and decides nothing else", function()
  local rules = t.load "../../scripts/timeout.lua"
  local dropped = 0
  for _ = 1, 200 do
    local c = rules:connect { dst = "198.51.100.7:80" }
    if c.action == "drop" then
      t.eq(c.reason, "timeout.lua")
      dropped = dropped + 1
    else
      t.allowed(c, "default")
    end
  end
  t.near(dropped, 40, 25)
end)
