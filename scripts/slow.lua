-- SPDX-License-Identifier: MIT
-- slow.lua - a bad network: rate, latency, jitter and connections that break, as this table says.
-- Copy it and edit the table; the first entry that has the address counts.
--
--   nsnet-host -s slow.lua -- COMMAND
--
-- up, down: bytes a second of each connection; share = true: of all of the entry's together.
-- latency, jitter: seconds added to each round trip. reset_after: the connection breaks after so
-- many bytes to the command. loss: this part of its packets is lost. seed: the same luck each run.

local KBIT = 1000 / 8
local SEED = 1

local TABLE = {
  -- { to = nsnet.cidrs { "203.0.113.0/24" }, reset_after = 100000 },
  -- { to = nsnet.cidrs { "198.51.100.0/24" }, down = 2000 * KBIT, share = true },
  {
    to = nsnet.cidrs { "0.0.0.0/0", "::/0" },
    up = 384 * KBIT,
    down = 1600 * KBIT,
    latency = 0.15,
    jitter = 0.05,
    loss = 0,
  },
}

local lossy = false
for _, entry in ipairs(TABLE) do
  if entry.share then
    entry.up = entry.up and nsnet.bucket { rate = entry.up }
    entry.down = entry.down and nsnet.bucket { rate = entry.down }
  end
  lossy = lossy or (entry.loss or 0) > 0
end

local function entry_of(ip)
  for _, entry in ipairs(TABLE) do
    if entry.to:has(ip) then
      return entry
    end
  end
end

nsnet.on_connect(function(conn)
  local entry = entry_of(conn.dst_ip)
  if entry then
    conn:limit {
      up = entry.up,
      down = entry.down,
      latency = entry.latency,
      jitter = entry.jitter,
      reset_after = entry.reset_after,
      seed = SEED + conn.id,
    }
  end
end) -- nil: whether it is allowed, others decide

-- Only if some entry asks for it: a hook for each packet is not free.
if lossy then
  math.randomseed(SEED)
  nsnet.on_packet(function(pkt)
    local entry = entry_of(pkt.dir == "out" and pkt.dst_ip or pkt.src_ip)
    if entry and entry.loss and math.random() < entry.loss then
      return nsnet.drop "lost"
    end
  end)
end
