-- SPDX-License-Identifier: MIT
-- http_connect.lua - all TCP through an HTTP proxy, by CONNECT.
--
--   nsnet-host -s http_connect.lua -- COMMAND
--
-- UDP is denied and echo dropped, so that nothing goes around the proxy.

local http_connect = require "nsnet.http_connect"

nsnet.dialer({ network = "tcp" }, http_connect.dialer {
  proxy = "127.0.0.1:3128",
  -- user = "me", password = os.getenv "PROXY_PASS",   -- start with --env=PROXY_PASS
})

nsnet.rules {
  { name = "no way around", network = { "udp", "icmp" }, nsnet.deny "not through the proxy" },
}
