-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("connlog.lua", function()
  local rules = t.load "../../scripts/connlog.lua"

  t.it("tells of each connection at its end", function()
    local c = t.allowed(rules:connect { dst = "198.51.100.7:443", name = "a.example" })
    c:say(("x"):rep(999))
    c:hear(("x"):rep(60000))
    t.not_logged "198.51.100.7:443 (a.example) allow"
    t.sleep(1.5)
    c:close()
    t.logged "12:00:01 tcp 198.51.100.7:443 (a.example) allow 999 up, 60.0k down, 1.50 s, closed"
  end)

  t.it("tells who denied, and why", function()
    local strict = t.load({
      "../../scripts/connlog.lua",
      { name = "x.lua", code = "nsnet.rules { { name = 'mail', port = 25, nsnet.deny 'no' } }" },
    })
    t.denied(strict:connect { dst = "198.51.100.7:25" }, "mail")
    t.logged "tcp 198.51.100.7:25 deny by mail (x.lua:1): no 0 up, 0 down, 0.00 s, denied"
  end)

  t.it("tells why a destination could not be reached", function()
    t.peer("198.51.100.7:443"):refuse()
    t.allowed(rules:connect { dst = "198.51.100.7:443" })
    t.logged "allow 0 up, 0 down, 0.00 s, Connection refused"
  end)

  t.it("tells where a redirect goes", function()
    local both = t.load { "../../scripts/connlog.lua", "../../scripts/redirect.lua" }
    both:connect({ dst = "198.51.100.9:80" }):close "reset by world"
    t.logged "tcp 198.51.100.9:80 redirect to 198.51.100.80:8080 0 up"
  end)
end)
