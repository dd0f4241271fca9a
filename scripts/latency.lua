-- SPDX-License-Identifier: MIT
-- latency.lua - adds latency and jitter to TCP connections, as this table says. Copy it and edit
-- the table; the first entry that has the address counts.
--
--   nsnet-host -s latency.lua -- COMMAND
--
-- latency: seconds added to each round trip, the handshake's too; jitter: up to so much more,
-- evenly spread. seed: the same luck in each run.

local SEED = 1

local TABLE = {
  -- { to = nsnet.cidrs { "198.51.100.0/24" }, latency = 0.6 }, -- a satellite
  { to = nsnet.cidrs { "0.0.0.0/0", "::/0" }, latency = 0.15, jitter = 0.05 },
}

nsnet.on_connect(function(conn)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(conn.dst_ip) then
      conn:limit { latency = entry.latency, jitter = entry.jitter, seed = SEED + conn.id }
      return nil -- whether it is allowed, others decide
    end
  end
end)
