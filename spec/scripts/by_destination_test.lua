-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

local function socks5(target)
  return t.peer("127.0.0.1:1080")
    :expect("\5\1\0"):send("\5\0")
    :expect("\5\1\0\1" .. target):send("\5\0\0\1\0\0\0\0\0\0")
end

t.describe("by_destination.lua", function()
  local rules = t.load "../../scripts/by_destination.lua"

  t.it("goes to local networks directly", function()
    t.allowed(rules:connect { dst = "192.168.1.1:80" })
    t.allowed(rules:connect { dst = "[fc00::1]:80" })
    t.same(t.dialed(), {})
  end)

  t.it("goes to the rest through the first proxy", function()
    socks5 "\203\0\113\7\0\80"
    local c = rules:connect { dst = "203.0.113.7:80" }
    t.eq(c.action, "via")
    t.ok(c.open)
  end)

  t.it("goes to one network through a chain of both", function()
    socks5("\203\0\113\80\12\56")
      :expect_until("\r\n\r\n"):send("HTTP/1.1 200 OK\r\n\r\n"):expect "hello"
    local c = rules:connect { dst = "198.51.100.7:80" }
    t.eq(c:say "hello", "hello")
    t.same(t.dialed(), { "tcp 127.0.0.1:1080" })
  end)

  t.it("lets no datagram go around", function()
    t.ok(not rules:flow({ network = "udp", dst = "198.51.100.7:53" }).open)
    t.allowed(rules:flow { network = "udp", dst = "192.168.1.1:53" })
  end)
end)
