-- SPDX-License-Identifier: MIT
-- loss.lua - loses packets to and from the networks of this table: TCP has to send again, UDP and
-- echo lose datagrams. Copy it and edit the table; each entry works for itself.
--
--   nsnet-host -s loss.lua -- COMMAND
--
-- out, back: this part of the packets from and to the command. The same seed loses the same ones,
-- and the luck of one direction does not depend on the other. A packet of a TCP stream may be up to
-- 64 KiB long.

local SEED = 1

local TABLE = {
  { to = { "0.0.0.0/0", "2000::/3", "fc00::/7" }, out = 0.02, back = 0.02 },
}

-- Park and Miller's generator, whose numbers are the same everywhere and belong to nobody else.
local function luck(seed)
  local x = seed * 2654435761 % 2147483646 + 1
  return function()
    x = x * 16807 % 2147483647
    return x / 2147483647
  end
end

local function lose(dir, networks, part, seed)
  local draw = luck(seed)
  if part > 0 then
    nsnet.on_packet({ dir = dir, cidr = networks }, function()
      if draw() < part then
        return nsnet.drop "loss.lua"
      end
    end)
  end
end

for i, entry in ipairs(TABLE) do
  lose("out", entry.to, entry.out, SEED + 2 * i)
  lose("in", entry.to, entry.back, SEED + 2 * i + 1)
end
