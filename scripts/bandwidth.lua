-- SPDX-License-Identifier: MIT
-- bandwidth.lua - limits the rate of TCP connections, as this table says. Copy it and edit the
-- table; the first entry that has the address counts.
--
--   nsnet-host -s bandwidth.lua -- COMMAND
--
-- up, down: bytes a second of each connection; share = true: of all of the entry's together.

local KBIT = 1000 / 8

local TABLE = {
  -- { to = nsnet.cidrs { "198.51.100.0/24" }, down = 8000 * KBIT, share = true },
  { to = nsnet.cidrs { "0.0.0.0/0", "::/0" }, up = 384 * KBIT, down = 1600 * KBIT },
}

for _, entry in ipairs(TABLE) do
  if entry.share then
    entry.up = entry.up and nsnet.bucket { rate = entry.up }
    entry.down = entry.down and nsnet.bucket { rate = entry.down }
  end
end

nsnet.on_connect(function(conn)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(conn.dst_ip) then
      conn:limit { up = entry.up, down = entry.down }
      return nil -- whether it is allowed, others decide
    end
  end
end)
