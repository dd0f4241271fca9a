-- SPDX-License-Identifier: MIT
-- timeout.lua - destinations that do not answer: the command waits until it gives up by itself.
-- Copy it and edit the table; the first entry that has the address counts.
--
--   nsnet-host -s timeout.lua -- COMMAND
--
-- part: this part of the connections and flows, by the seed; 1 is all of them.

local SEED = 1

local TABLE = {
  -- { to = nsnet.cidrs { "198.51.100.7" }, part = 1 },
  { to = nsnet.cidrs { "0.0.0.0/0", "::/0" }, part = 0.2 },
}

math.randomseed(SEED)

local function decide(conn)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(conn.dst_ip) then
      return math.random() < entry.part and nsnet.drop "timeout.lua" or nil
    end
  end
end

nsnet.on_connect(decide)
nsnet.on_flow(decide)
