-- SPDX-License-Identifier: MIT
-- A table that nsnet.persist returned has its values again when the scripts are loaded anew: here,
-- how many connections went to each port since the start.
local ports = nsnet.persist "ports"

nsnet.on_connect({ observe = true }, function(conn)
  local key = tostring(conn.dst_port) -- keys are texts: it is carried over as JSON
  ports[key] = (ports[key] or 0) + 1
end)

nsnet.on_exit(function()
  for port, n in pairs(ports) do
    nsnet.log.info("port %s: %d", port, n)
  end
end)
