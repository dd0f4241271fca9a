-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("socks5.lua", function()
  local rules = t.load "../../scripts/socks5.lua"

  t.it("asks the proxy for the name, and hands over what follows its answer", function()
    t.peer("127.0.0.1:1080")
      :expect("\5\1\0"):send("\5\0")
      :expect("\5\1\0\3\11example.com\1\187"):send("\5\0\0\1\0\0\0\0\0\0early")
    local c = t.allowed(rules:connect { dst = "198.51.100.7:443", name = "example.com" })
    t.ok(c.open)
    t.eq(c:hear(), "early")
    t.same(t.dialed(), { "tcp 127.0.0.1:1080" })
  end)

  t.it("asks for the address where no name is known", function()
    t.peer("127.0.0.1:1080")
      :expect("\5\1\0"):send("\5\0")
      :expect("\5\1\0\1\198\51\100\7\0\80"):send("\5\0\0\1\0\0\0\0\0\0")
    t.ok(rules:connect({ dst = "198.51.100.7:80" }).open)
  end)

  t.it("tells of a target that is refused", function()
    t.peer("127.0.0.1:1080")
      :expect("\5\1\0"):send("\5\0"):expect("\5\1\0\1"):send("\5\5\0\1\0\0\0\0\0\0")
    local c = rules:connect { dst = "198.51.100.7:80" }
    t.ok(not c.open)
    t.has(c.dial_error, "refused")
    t.eq(c.error, "Connection refused")
  end)

  t.it("fails closed when the proxy is silent, gone or says nonsense", function()
    t.peer("127.0.0.1:1080"):silent()
    local c = rules:connect { dst = "198.51.100.7:80" }
    t.has(c.dial_error, "timeout")
    t.clock_at_most(31)
    t.peer("127.0.0.1:1080"):refuse()
    t.has(rules:connect({ dst = "198.51.100.7:80" }).dial_error, "refused")
    t.peer("127.0.0.1:1080"):send "HTTP/1.1 400 Bad Request\r\n\r\n"
    t.ok(not rules:connect({ dst = "198.51.100.7:80" }).open)
  end)

  t.it("lets nothing go around the proxy", function()
    t.peer("127.0.0.1:1080")
      :expect("\5\1\0"):send("\5\0"):expect("\5\3"):send "\5\7\0\1\0\0\0\0\0\0"
    local udp = rules:flow { network = "udp", dst = "198.51.100.7:53" }
    t.ok(not udp.open)
    t.ok(not rules:flow({ network = "icmp", dst = "198.51.100.7" }).open)
    t.same(t.dialed(), { "tcp 127.0.0.1:1080" })
  end)
end)
