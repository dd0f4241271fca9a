-- SPDX-License-Identifier: MIT
-- Add up the bytes of each destination and print the sums when the command ends.
local sums = {}

nsnet.on_close(function(conn)
  local key = conn.host or conn.dst_ip
  sums[key] = (sums[key] or 0) + conn.bytes_up + conn.bytes_down
end)

nsnet.on_exit(function(status)
  for key, bytes in pairs(sums) do
    nsnet.log.info("%10d bytes  %s", bytes, key)
  end
  nsnet.log.info("the command ended with status %d", status)
end)
