-- SPDX-License-Identifier: MIT
-- A dialer makes the connection for the command. This one connects 203.0.113.20:5432 to a database
-- on the host that listens only on a unix socket.
local SOCKET = "/run/postgresql/.s.PGSQL.5432"

nsnet.dialer({ network = "tcp", cidr = "203.0.113.20", port = 5432 }, function()
  return nsnet.dial("unix", SOCKET)
end)
