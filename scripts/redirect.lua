-- SPDX-License-Identifier: MIT
-- redirect.lua - sends connections somewhere else, as this table says. Copy it and edit the table.
--
--   nsnet-host -s redirect.lua -- COMMAND
--
-- from: an address or network, with `port`, a number or "from-to"; to: where the connection really
-- goes. Without a port in `to` the port stays. A target on the host's own loopback must be
-- meant: write host = true.

local TABLE = {
  -- Whoever talks to 203.0.113.10:443 talks to a server that is being developed on this machine.
  { from = "203.0.113.10", port = 443, to = "127.0.0.1:8443", host = true },
  -- All plain HTTP of a test network goes to one machine of it.
  { from = "198.51.100.0/24", port = 80, to = "198.51.100.80:8080" },
}

local rules = {}
for i, entry in ipairs(TABLE) do
  rules[i] = {
    name = ("redirect %d"):format(i),
    cidr = entry.from,
    port = entry.port,
    network = entry.network,
    nsnet.redirect(entry.to, { host_loopback = entry.host }),
  }
end
nsnet.rules(rules)
