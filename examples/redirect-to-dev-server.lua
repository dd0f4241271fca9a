-- SPDX-License-Identifier: MIT
-- What talks to 203.0.113.10:443 talks to a server on this machine instead. The host's loopback is
-- closed to the command unless a script opens it in so many words.
nsnet.on_connect({ cidr = "203.0.113.10", port = 443 }, function(conn)
  conn:tag "dev"
  return nsnet.redirect("127.0.0.1:8443", { host_loopback = true })
end)
