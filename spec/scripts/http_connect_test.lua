-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("http_connect.lua", function()
  local rules = t.load "../../scripts/http_connect.lua"

  t.it("connects through the proxy, by name, and hands over what follows the answer", function()
    t.peer("127.0.0.1:3128", function(s)
      local head = s:read_until "\r\n\r\n"
      t.match(head, "^CONNECT example%.com:443 HTTP/1%.1\r\n")
      t.has(head, "\r\nHost: example.com:443\r\n")
      s:write "HTTP/1.1 200 OK\r\n\r\nearly"
      s:read(1)
    end)
    local c = t.allowed(rules:connect { dst = "198.51.100.7:443", name = "example.com" })
    t.eq(c:hear(), "early")
  end)

  t.it("fails where the proxy refuses", function()
    t.peer("127.0.0.1:3128"):expect_until("\r\n\r\n"):send "HTTP/1.1 407 No\r\n\r\n"
    local c = rules:connect { dst = "198.51.100.7:443" }
    t.ok(not c.open)
    t.has(c.dial_error, "407")
  end)

  t.it("lets nothing go around the proxy", function()
    t.denied(rules:flow { network = "udp", dst = "198.51.100.7:53" }, "no way around")
    t.denied(rules:flow { network = "icmp", dst = "198.51.100.7" }, "no way around")
  end)
end)
