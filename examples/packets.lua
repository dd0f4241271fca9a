-- SPDX-License-Identifier: MIT
-- Look at packets. The filter is checked in C; the function is called for what is left, must be
-- quick and cannot wait. `pkt` is valid only inside of it.
local syns = 0

nsnet.on_packet({ dir = "out", proto = "tcp" }, function(pkt)
  if not pkt.fragment and bit.band(pkt.tcp_flags, 0x12) == 0x02 then
    syns = syns + 1
  end
  if pkt.ttl <= 1 then
    return nsnet.drop "traceroute"
  end
end)

nsnet.on_exit(function()
  nsnet.log.info("%d connection attempts", syns)
end)
