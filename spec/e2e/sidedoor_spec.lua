-- SPDX-License-Identifier: MIT
-- The ways around rules about names: other name servers, DNS over HTTPS and TLS, QUIC, echoes.
local lab = require("spec.support.lab")

describe("where rules speak of names,", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" },
      "*.test A 0 203.0.113.1\n*.test AAAA 0 2001:db8:2::1\n")
    L:serve_authority("other", { "203.0.113.54", "2001:db8:2::54" },
      "*.evil A 0 203.0.113.2\n*.evil TXT 0 command\n")
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local deny = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow }, "
  local allow = "nsnet.rules { { domain = '.evil', nsnet.deny }, "
  local function run(code, words) return L:run(words, { args = { "-v", "-e", code .. "}" } }) end
  local function dig(code, ...) return run(code, { "dig", "+tries=1", "+time=2", ... }) end

  for what, code in pairs({ deny = deny, allow = allow,
    ["deny, with broad rules"] = deny .. "{ cidr = '0.0.0.0/0', nsnet.allow },"
      .. "{ cidr = '::/0', nsnet.allow },{ network = { 'tcp', 'udp' }, nsnet.allow }," }) do
    for _, server in ipairs({ "@203.0.113.54", "@2001:db8:2::54" }) do
      for _, way in ipairs({ "+notcp", "+tcp" }) do
        it("another server is out of reach: default " .. what .. " " .. server .. way, function()
          local r = dig(code, server, way, "x.evil", "TXT")
          assert.is_nil(r.out:match("status: NOERROR"))
          r:complains(":53 +deny by names: another name server")
        end)
      end
    end
    it("so are TLS and QUIC ports: default " .. what, function()
      for _, port in ipairs({ "853", "53" }) do
        run(code, { "python3", "/run/repo/spec/support/client.py", "connect", "203.0.113.1", port,
          "5" }):says("ECONNREFUSED")
      end
      run(code, { "python3", "/run/repo/spec/support/client.py", "udp", "203.0.113.1", "443", "3",
        "3" }):says("ECONNREFUSED")
      run(code, { "python3", "/run/repo/spec/support/client.py", "connect", "8.8.8.8", "443", "5" })
        :says("ECONNREFUSED")
    end)
  end

  it("they heard nothing", function()
    assert.equal(0, L:asked("other", nil, "."))
  end)

  it("a rule that names another server opens it", function()
    for _, code in ipairs({ deny .. "{ port = 53, nsnet.allow }",
      deny .. "{ cidr = '203.0.113.54', nsnet.allow }",
      allow .. "{ cidr = { '203.0.113.0/24' }, nsnet.allow }" }) do
      dig(code, "+short", "@203.0.113.54", "a.evil", "A"):says("203.0.113.2")
      dig(code, "+short", "+tcp", "@203.0.113.54", "a.evil", "A"):says("203.0.113.2")
    end
  end)

  it("names of resolvers are refused, and what announces them does not exist", function()
    dig(allow, "dns.google"):shows("status: REFUSED")
    dig(allow, "mozilla.cloudflare-dns.com"):shows("status: REFUSED")
    dig(allow, "use-application-dns.net"):shows("status: NXDOMAIN")
    dig(allow, "_dns.resolver.arpa", "SVCB"):shows("status: NXDOMAIN")
    dig(allow .. "{ domain = 'dns.google', nsnet.allow }", "dns.google"):shows("status: NXDOMAIN")
    assert.equal(1, L:asked("names", "dns.google"))
  end)

  it("no echo comes back from where no rule leads", function()
    local r = run(deny, { "ping", "-c", "1", "-W", "1", "203.0.113.2" })
    assert.equal(1, r.code)
    r = run(deny, { "sh", "-c", "getent hosts a.test; ping -c 1 -W 1 203.0.113.1" })
    assert.is_truthy(r.out:match(" 0 received"))
  end)
end)
