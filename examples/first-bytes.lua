-- SPDX-License-Identifier: MIT
-- Decide by what the command says first. Nothing of it has left yet; the connection stands already,
-- so a denial is a reset. Here: port 443 is for TLS, whose first byte is 22.
nsnet.on_first_bytes({ port = 443 }, function(_, bytes)
  if bytes:byte(1) ~= 22 then
    return nsnet.deny "not TLS"
  end
end)

-- conn:peek(n) waits for more, and consumes nothing.
nsnet.on_first_bytes({ port = 22 }, function(conn)
  if conn:peek(4):sub(1, 4) ~= "SSH-" then
    return nsnet.deny "not SSH"
  end
end)
