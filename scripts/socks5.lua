-- SPDX-License-Identifier: MIT
-- socks5.lua - everything through a SOCKS5 proxy, TCP and UDP. The proxy resolves names where they
-- are known.
--
--   nsnet-host -s socks5.lua -- COMMAND
--
-- Nothing goes around the proxy: UDP that it does not carry is refused, echo is dropped. Only the
-- command's DNS questions are answered by the host's resolver, so that there are names to send.

local socks5 = require "nsnet.socks5"

nsnet.dialer(socks5.dialer {
  proxy = "127.0.0.1:1080",
  -- user = "me", password = os.getenv "SOCKS_PASS",   -- start with --env=SOCKS_PASS
})

-- A proxy that is known to carry no UDP need not be asked each time:
-- nsnet.rules { { network = "udp", nsnet.deny "not through the proxy" } }
