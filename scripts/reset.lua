-- SPDX-License-Identifier: MIT
-- reset.lua - connections that break in the middle of a transfer: after so many bytes to the
-- command both sides are reset. Copy it and edit the table; the first entry that has the address
-- counts.
--
--   nsnet-host -s reset.lua -- COMMAND
--
-- after: bytes; spread: up to so many more, by the seed, so that each connection breaks elsewhere.

local SEED = 1

local TABLE = {
  { to = nsnet.cidrs { "0.0.0.0/0", "::/0" }, after = 100000, spread = 0 },
}

math.randomseed(SEED)

nsnet.on_connect(function(conn)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(conn.dst_ip) then
      conn:limit { reset_after = entry.after + math.floor(math.random() * (entry.spread or 0)) }
      return nil -- whether it is allowed, others decide
    end
  end
end)
