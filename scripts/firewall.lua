-- SPDX-License-Identifier: MIT
-- firewall.lua - nothing leaves but what this table allows. Copy it and edit the table.
--
--   nsnet-host -s firewall.lua -- COMMAND
--
-- The first rule that matches decides; what no rule matches is denied. Denials are said.

nsnet.default(nsnet.deny)

nsnet.rules {
  -- Never, whatever stands below: private networks and the addresses of the cloud's machinery.
  { name = "metadata", cidr = { "169.254.0.0/16", "fe80::/10" }, nsnet.deny "link-local" },
  {
    name = "private",
    cidr = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7" },
    nsnet.deny "private network",
  },

  -- Every name may be asked for: the web, below, is open to every address.
  { name = "names", network = "dns", nsnet.allow },

  -- The web, and time.
  { name = "web", network = "tcp", port = { 80, 443 }, nsnet.allow },
  { name = "ntp", network = "udp", port = 123, nsnet.allow },

  -- One machine, one service:
  -- { name = "git", network = "tcp", cidr = "203.0.113.22", port = { 22, 9418 }, nsnet.allow },

  -- Mail is refused in so many words, so that a program gives up at once.
  { name = "mail", network = "tcp", port = { 25, 465, 587 }, nsnet.deny "no mail from here" },
}
