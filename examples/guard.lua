-- SPDX-License-Identifier: MIT
-- A guard is asked before all rules and handlers of all scripts, and can only deny: put what nobody
-- may overrule into one, in a script of its own.
local forbidden = nsnet.cidrs { "192.0.2.0/24", "2001:db8:bad::/48" }

nsnet.guard(function(conn)
  if forbidden:has(conn.dst_ip) then
    return nsnet.deny "forbidden network"
  end
end)
