-- SPDX-License-Identifier: MIT
local t = require "nsnet.test"

t.describe("allowlist.lua", function()
  local rules = t.load "../../scripts/allowlist.lua"
  local github = "203.0.113.7:443"

  t.it("lets through what the file names", function()
    t.allowed(rules:connect { dst = github, dns = "github.com", sni = "github.com" },
      "allowlist.txt")
    t.allowed(rules:connect { dst = "[2001:db8::7]:22", dns = "raw.githubusercontent.com" },
      "allowlist.txt")
  end)

  t.it("denies an address that was not asked for by a name", function()
    t.denied(rules:connect { dst = github, sni = "github.com" }, "not in allowlist.txt")
    t.denied(rules:connect { dst = github, dns = "api.github.com" }, "not in allowlist.txt")
  end)

  t.it("denies another name on the same address", function()
    t.denied(rules:connect { dst = github, dns = "github.com", sni = "evil.example" },
      "not in allowlist.txt")
  end)

  t.it("tells how to allow what is denied", function()
    local c = rules:connect { dst = github, dns = "api.github.com" }
    t.ok(c.reason:match("^add its name to allowlist%.txt"), c.reason)
  end)

  t.it("denies what shows no name, in the list or not, and tells what would allow it", function()
    for _, dst in ipairs { github, "203.0.113.7:53", "[2001:db8::7]:4433" } do
      for _, name in ipairs { "github.com", "api.github.com" } do
        local f = rules:flow { network = "udp", dst = dst, dns = name }
        t.denied(f, "only TCP")
        t.ok(f.reason:match('network = "udp"'), f.reason)
      end
    end
  end)
end)
