-- SPDX-License-Identifier: MIT
-- Ways to say no. The command sees what a network would show it:
--   deny                      connection refused
--   style = "unreachable"     no route to host
--   style = "prohibited"      administratively prohibited
--   drop                      nothing at all, until it gives up
nsnet.on_connect({ port = 25 }, function()
  return nsnet.deny "no mail"
end)

nsnet.on_connect({ port = 23 }, function()
  return nsnet.deny { style = "unreachable", reason = "telnet" }
end)

nsnet.on_connect({ port = 135 }, function()
  return nsnet.drop "stealth"
end)
