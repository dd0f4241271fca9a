-- SPDX-License-Identifier: MIT
-- The questions that the command asks of its name server: one is answered here, one kind is sent to
-- another server, and what is on a list does not exist. All others go to the host's resolvers.
local unwanted = nsnet.domains { ".tracker.example", ".ads.example" }

nsnet.on_dns({ domain = unwanted }, function()
  return nsnet.deny { style = "unreachable", reason = "unwanted" }
end)

nsnet.on_dns({ domain = "printer.lan", type = { "A", "AAAA" } }, function(query)
  return query:answer { a = "192.0.2.7", ttl = 30 }
end)

nsnet.on_dns({ domain = ".corp.example" }, function(query)
  return query:forward "192.0.2.53"
end)
