-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("redirect.lua", function()
  local rules = t.load "../../scripts/redirect.lua"

  t.it("goes where its table says, the host's loopback too", function()
    t.redirected(rules:connect { dst = "203.0.113.10:443" }, "127.0.0.1:8443")
    t.redirected(rules:connect { dst = "198.51.100.9:80" }, "198.51.100.80:8080")
  end)

  t.it("leaves the rest alone", function()
    t.eq(t.allowed(rules:connect { dst = "203.0.113.10:80" }).target, "203.0.113.10:80")
    t.denied(rules:connect { dst = "127.0.0.1:8443" }, "guard")
  end)

  t.it("carries bytes to who is there", function()
    t.peer("127.0.0.1:8443"):expect("ping"):send "pong"
    local c = rules:connect { dst = "203.0.113.10:443" }
    t.eq(c:say "ping", "ping")
    t.eq(c:hear(), "pong")
  end)
end)
