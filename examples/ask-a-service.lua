-- SPDX-License-Identifier: MIT
-- A hook may ask somebody else and wait for the answer; only this connection waits with it. Here a
-- service on the host is asked for each address; if it cannot be, the connection is denied.
local SERVICE = "127.0.0.1:7000"

nsnet.on_connect({ port = { 80, 443 } }, function(conn)
  local stream, err = nsnet.dial("tcp", SERVICE, { timeout = 1 })
  if not stream then
    return nsnet.deny("nobody to ask: " .. err)
  end
  stream:set_timeout(1)
  local ok, answer = stream:write(conn.dst_ip .. "\n")
  if ok then
    answer = stream:read_line()
  end
  stream:close()
  if answer ~= "yes" then
    return nsnet.deny "the service said no"
  end
end)
