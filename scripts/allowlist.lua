-- SPDX-License-Identifier: MIT
-- allowlist.lua - only the names in a file are reachable, on every port of TCP. One a line, '#'
-- begins a comment:
--
--   example.com         # this name
--   .example.org        # this name and all below it
--   *.example.net       # only what is below it
--
-- The file is "allowlist.txt" beside this script; a long one costs nothing per connection. What a
-- name means, and what else is closed so that it does: lua/README.md, "Names".
--
--   nsnet-host -s allowlist.lua -- COMMAND

nsnet.default(nsnet.deny)

nsnet.rules {
  { name = "allowlist.txt", domain = nsnet.domains "allowlist.txt", nsnet.allow },
  { name = "not in allowlist.txt", network = "tcp",
    nsnet.deny "add its name to allowlist.txt to allow it" },
  { name = "only TCP", network = "udp", -- it shows no name
    nsnet.deny "a rule with domain = and network = \"udp\" before this one would allow it" },
}
