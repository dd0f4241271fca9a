-- SPDX-License-Identifier: MIT
-- socks5.lua - all TCP through a SOCKS5 proxy. The proxy resolves names where they are known.
--
--   nsnet-host -s socks5.lua -- COMMAND
--
-- UDP is denied and echo dropped, so that nothing goes around the proxy.

local socks5 = require "nsnet.socks5"

nsnet.dialer({ network = "tcp" }, socks5.dialer {
  proxy = "127.0.0.1:1080",
  -- user = "me", password = os.getenv "SOCKS_PASS",   -- start with --env=SOCKS_PASS
})

nsnet.rules {
  { name = "no way around", network = { "udp", "icmp" }, nsnet.deny "not through the proxy" },
}
