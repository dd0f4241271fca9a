-- SPDX-License-Identifier: MIT
-- The ways around rules about names: other name servers, DNS over HTTPS and TLS, QUIC, echoes.
local lab = require("spec.support.lab")

describe("where rules speak of names,", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" },
      "doh.test A 0 203.0.113.54\ndoh.test AAAA 0 2001:db8:2::54\n"
      .. "*.test A 0 203.0.113.1\n*.test AAAA 0 2001:db8:2::1\n")
    L:serve_authority("other", { "203.0.113.54", "2001:db8:2::54" },
      "*.evil A 0 203.0.113.2\n*.evil TXT 0 command\n")
    L:host({ "bash", "-ec", [[
      cd /run/lab
      openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 \
        -subj /CN=lab -keyout secure.pem -out ca.pem -addext subjectAltName=DNS:doh.test,$(:
        )DNS:x.evil,DNS:dns.google,IP:203.0.113.54,IP:2001:db8:2::54
      cat ca.pem >>secure.pem]] }):exits(0)
    L:serve("secure", { "python3", "-BS", "/run/repo/spec/support/secure.py", "secure", "other",
      "203.0.113.1", "203.0.113.2", "203.0.113.54", "2001:db8:2::1", "2001:db8:2::54" })
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local deny = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow }, "
  local allow = "nsnet.rules { { domain = '.evil', nsnet.deny }, "
  local function run(code, words) return L:run(words, { args = { "-v", "-e", code .. "}" } }) end
  local function dig(code, ...) return run(code, { "dig", "+tries=1", "+time=2", ... }) end

  for what, code in pairs({ deny = deny, allow = allow,
    ["deny, with broad rules"] = deny .. "{ cidr = '0.0.0.0/0', nsnet.allow },"
      .. "{ cidr = '::/0', nsnet.allow },{ network = 'tcp', nsnet.allow }," }) do
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
      for _, address in ipairs({ "203.0.113.1", "2001:db8:2::1" }) do
        run(code, { "sh", "-c", "getent ahosts a.test >&2; exec python3 "
          .. "/run/repo/spec/support/client.py udp " .. address .. " 443 3 3" })
          :says("ECONNREFUSED")
      end
      run(code, { "python3", "/run/repo/spec/support/client.py", "connect", "8.8.8.8", "443", "5" })
        :says("ECONNREFUSED")
    end)
  end

  -- Asks for x.evil over TLS, as a stub resolver with DoT does; gives the address.
  local dot = [[
import socket, ssl, struct, sys
context = ssl.create_default_context(cafile="/run/lab/ca.pem")
context.check_hostname = False
try:
    sock = context.wrap_socket(socket.create_connection((sys.argv[1], 853), 20))
    question = bytes.fromhex("123401000001000000000000") + b"\1x\4evil\0\0\1\0\1"
    sock.sendall(struct.pack(">H", len(question)) + question)
    print(socket.inet_ntoa(sock.makefile("rb").read(48)[-4:]))
except OSError as error:
    print(type(error).__name__)
]]
  local both = { "203.0.113.54", "2001:db8:2::54" }

  local function curl(code, ...)
    return L:run({ "curl", "-sS", "-m", "20", "--cacert", "/run/lab/ca.pem", ... },
      { args = { "-e", code .. "}" } })
  end

  it("DNS over TLS does not come through, to whomever", function()
    for _, code in ipairs({ deny, allow }) do
      for _, to in ipairs({ "203.0.113.54", "2001:db8:2::54", "doh.test" }) do
        run(code, { "python3", "-BSc", dot, to }):says("ConnectionRefusedError")
      end
    end
  end)

  it("DNS over HTTPS does not come through to a server that is not named", function()
    for _, to in ipairs({ "203.0.113.54", "[2001:db8:2::54]", "doh.evil" }) do
      curl(deny, "--doh-insecure", "--doh-url", "https://" .. to .. "/dns-query",
        "https://x.evil/where"):exits(6)
    end
    for _, at in ipairs({ "203.0.113.54", "[2001:db8:2::54]" }) do -- which no list knows
      curl(allow, "--resolve", "dns.google:443:" .. at,
        "https://dns.google/dns-query?dns=EjQBAAABAAAAAAAAAXgEZXZpbAAAAQAB"):exits(35)
    end
    curl(allow, "--doh-url", "https://dns.google/dns-query", "https://x.evil/where"):exits(6)
  end)

  it("they heard nothing", function()
    assert.equal(0, L:asked("other", nil, "."))
    assert.is_nil(L:read("secure.log"):match("hello"))
    assert.is_nil(L:read("secure.log"):match("udp"))
  end)

  it("a rule that names the port opens DNS over TLS, and what it says opens nothing", function()
    for _, to in ipairs(both) do
      local code = deny .. "{ port = 853, cidr = '" .. to .. "', nsnet.allow }"
      run(code, { "python3", "-BSc", dot, to }):says("203.0.113.2")
      run(code, { "sh", "-c", "python3 -BSc \"$0\" $1 >&2; exec python3 "
        .. "/run/repo/spec/support/client.py connect 203.0.113.2 443", dot, to })
        :says("ECONNREFUSED")
    end
  end)

  it("DNS over HTTPS in an allowed name is its server's matter, and opens nothing", function()
    local before = L:asked("other", "x.evil")
    curl(deny, "--doh-url", "https://doh.test/dns-query", "https://x.evil/where"):exits(7)
    assert.is_true(L:asked("other", "x.evil") > before)
    assert.is_nil(L:read("secure.log"):match("sni=x.evil"))
  end)

  it("a rule that names UDP opens what may be QUIC", function()
    for _, address in ipairs({ "203.0.113.1", "2001:db8:2::1" }) do
      run(deny .. "{ network = 'udp', port = 443, nsnet.allow }", { "python3",
        "/run/repo/spec/support/client.py", "udp", address, "443", "3", "3" }):says("echo")
    end
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
