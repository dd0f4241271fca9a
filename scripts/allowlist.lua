-- SPDX-License-Identifier: MIT
-- allowlist.lua - only the networks in a file are reachable. One a line, '#' begins a comment:
--
--   203.0.113.0/24      # the office
--   2001:db8:10::/48
--
-- The file is "allowlist.txt" beside this script; a long one costs nothing per connection.
--
--   nsnet-host -s allowlist.lua -- COMMAND

nsnet.default(nsnet.deny)

nsnet.rules {
  { name = "allowlist.txt", cidr = nsnet.cidrs "allowlist.txt", nsnet.allow },
}
