-- SPDX-License-Identifier: MIT
-- At most four connections at a time to one address. conn.ctx is a table of yours that lives as
-- long as the connection.
local MOST = 4
local open = {}

nsnet.on_connect(function(conn)
  local n = open[conn.dst_ip] or 0
  if n >= MOST then
    return nsnet.deny "too many connections to this address"
  end
  open[conn.dst_ip] = n + 1
  conn.ctx.counted = true
end) -- nil: whether it is allowed at all, others decide

nsnet.on_close(function(conn)
  if conn.ctx.counted then
    local n = open[conn.dst_ip] - 1
    open[conn.dst_ip] = n > 0 and n or nil
  end
end)
