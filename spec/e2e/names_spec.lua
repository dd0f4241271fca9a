-- SPDX-License-Identifier: MIT
-- A rule that says a name means it: which connections the answers of name servers open.
local lab = require("spec.support.lab")

describe("a rule about a name", function()
  local L
  local zone = [[
a.test A 0 203.0.113.1
a.test AAAA 0 2001:db8:2::1
b.test A 0 203.0.113.1
alias.test CNAME 0 far.example
far.example A 0 203.0.113.2
far.example AAAA 0 2001:db8:2::2
private.test A 0 10.99.0.1
private.test AAAA 0 fdbb:99::1
loop.test A 0 127.0.0.1
host.test A 0 198.51.100.2
host.test AAAA 0 2001:db8:1::2
meta.test A 0 169.254.169.254
meta.test AAAA 0 fd00:ec2::254
mapped.test AAAA 0 ::ffff:10.99.0.1
nat64.test AAAA 0 64:ff9b::a63:1
turn.test A 0 203.0.113.1 | 10.99.0.1
turn6.test AAAA 0 2001:db8:2::1 | fdbb:99::1
turnmeta.test A 0 203.0.113.1 | 169.254.169.254
spelled1.test AAAA 0 2002:a63:1::1
spelled2.test AAAA 0 64:ff9b:1::a63:1
spelled3.test AAAA 0 ::10.99.0.1
spelled4.test AAAA 0 64:ff9b::a9fe:a9fe
spelled5.test AAAA 0 ::ffff:127.0.0.1
spelled6.test AAAA 0 ::ffff:198.51.100.2
spelled7.test AAAA 0 ::ffff:10.99.0.1
spelled8.test AAAA 0 ::1
spelled9.test A 0 0.0.0.0
here.test A 0 10.0.0.53
here6.test AAAA 0 fd6e:736e:6574::53
hidden.test HTTPS 0 00010000010003026832 00040004cb007101 00050004abcdef00
evil.example A 0 203.0.113.3
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local allow = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow } }"

  -- Looks the name up and connects to what is said (7001 is an echo), with python's own resolver.
  local function connect(code, ...)
    local script = [[
import socket, sys
for name in sys.argv[1:]:
    try:
        where = socket.getaddrinfo(name, 7001, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(where[0], where[1])
        sock.settimeout(5)
        sock.connect(where[4])
        print(name, "connected")
    except OSError as error:
        print(name, type(error).__name__)
]]
    return L:run({ "python3", "-c", script, ... }, { args = { "-e", code } })
  end

  it("opens the addresses that its name was answered with, and no other", function()
    connect(allow, "a.test", "203.0.113.1", "203.0.113.2", "2001:db8:2::2", "evil.example")
      :says("a.test connected\n203.0.113.1 connected\n203.0.113.2 ConnectionRefusedError\n"
        .. "2001:db8:2::2 ConnectionRefusedError\nevil.example gaierror")
  end)

  -- Ways to write an IPv4 address as an IPv6 one, of which the kernel, a router or a proxy could
  -- make the former again.
  local spellings = { "%s", "::ffff:%s", "::%s", "::ffff:0:%s", "64:ff9b::%s", "64:ff9b:1::%s",
    "2002:cb00:71%02x::1", "2001:0:cb00:71%02x::1", "fe80::5efe:%s", "2001:db8:2::%s" }

  local function spelled(last)
    local all = {}
    for i, text in ipairs(spellings) do
      all[i] = text:match("%%s") and text:format("203.0.113." .. last) or text:format(last)
    end
    return table.concat(all, " ")
  end

  for kind, good in pairs({ tcp = "connected", udp = "echo" }) do
    local client = "getent ahosts a.test >&2; exec python3 -BS /run/repo/spec/support/client.py"
      .. " scan " .. kind .. " 1 7001 "
    local open = "nsnet.default(nsnet.deny) nsnet.rules { { domain = 'a.test', network = '"
      .. kind .. "', nsnet.allow } }"

    it("opens no other address in whatever spelling, by " .. kind, function()
      local r = L:run({ "sh", "-c", client .. spelled(2) .. " 2001:db8:2::2" },
        { args = { "-e", open } }):exits(0)
      assert.is_nil(r.out:match(" " .. good), r.out)
      assert.is_nil(L:log():match("%S+ [^ ]*203.0.113.2%p"), L:log())
      assert.is_nil(L:log():match("2001:db8:2::2%p"), L:log())
    end)

    it("opens and closes its own address in each spelling that leads there, by " .. kind, function()
      local r = L:run({ "sh", "-c", client .. spelled(1) .. " 2001:db8:2::1" },
        { args = { "-e", open } }):exits(0)
      assert.is_truthy(r.out:match("^203.0.113.1 " .. good .. "\n"), r.out)
      assert.is_truthy(r.out:match("\n2001:db8:2::1 " .. good .. "\n"), r.out)
      r = L:run({ "sh", "-c", client .. spelled(1) }, { args = { "-e",
        "nsnet.rules { { domain = 'a.test', nsnet.deny },"
          .. " { cidr = '203.0.113.1', network = '" .. kind .. "', nsnet.deny } }" } }):exits(0)
      assert.is_nil(r.out:match(" " .. good), r.out)
    end)
  end

  -- A 6to4 address has a whole network behind its IPv4 address; and where a translator of
  -- 64:ff9b:1::/48 finds the IPv4 address only itself knows: here also 203.0.113.2.
  it("opens no other host whose address has its own within", function()
    local others = { "64:ff9b:1:cb00:71:200:cb00:7101", "2002:cb00:7101::66" }
    for i, address in ipairs(others) do
      L:world({ "ip", "addr", "add", address .. "/128", "dev", "lo" }):exits(0)
      L:host({ "ip", "route", "add", address .. "/128", "via", "2001:db8:1::1" },
        { who = "root" }):exits(0)
      L:serve("within" .. i, { "python3", "-BS", "/run/repo/spec/support/world.py", "within" .. i,
        address })
    end
    for _, kind in ipairs({ "tcp", "udp" }) do
      local function scan(more)
        return L:run({ "sh", "-c", "getent ahosts a.test >&2; exec python3 -BS"
          .. " /run/repo/spec/support/client.py scan " .. kind .. " 20 7001 "
          .. table.concat(others, " ") }, { args = { "-e", "nsnet.default(nsnet.deny) nsnet.rules {"
          .. "{ domain = 'a.test', network = '" .. kind .. "', nsnet.allow }," .. more .. "}" } })
      end
      scan(""):says(others[1] .. " ECONNREFUSED\n" .. others[2] .. " ECONNREFUSED")
      local good = kind == "tcp" and "connected" or "echo"
      scan("{ cidr = '203.0.113.1', nsnet.allow }") -- means that address, however it is spelled
        :says(others[1] .. " " .. good .. "\n" .. others[2] .. " " .. good)
    end
  end)

  it("opens nothing before the name was asked", function()
    connect(allow, "203.0.113.1", "2001:db8:2::1"):says("203.0.113.1 ConnectionRefusedError\n"
      .. "2001:db8:2::1 ConnectionRefusedError")
  end)

  it("counts what the name stands for as the name", function()
    connect(allow, "alias.test"):says("alias.test connected")
    connect(allow, "far.example"):says("far.example gaierror")
  end)

  it("knows all names of an address, not the last", function()
    local code = "nsnet.default(nsnet.deny) nsnet.rules { { domain = 'a.test', nsnet.allow },"
      .. "{ network = 'dns', nsnet.allow } }"
    connect(code, "a.test", "b.test", "203.0.113.1")
      :says("a.test connected\nb.test connected\n203.0.113.1 connected")
  end)

  it("never opens what is the host's or private", function()
    for _, name in ipairs({ "private.test", "host.test", "meta.test", "mapped.test",
      "nat64.test" }) do
      local r = connect(allow, name)
      assert.is_nil(r.out:match("connected"), r.out)
    end
    assert.is_nil((L:read("world.log") or ""):match("%[?10%.99%.0%.1"))
    assert.is_nil((L:read("world.log") or ""):match("fdbb:99"))
    connect(allow, "private.test"):complains("private.test is said to be at [%x:.]+, which is no "
      .. "public address: no rule about its name opens it without cidr = ")
  end)

  -- Asks for each name anew before it sends; TCP and UDP.
  local rebound = [[
import socket, sys
for name in sys.argv[1:]:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        try:
            where = socket.getaddrinfo(name, 7001, type=kind)[0]
            sock = socket.socket(where[0], kind)
            sock.settimeout(20)
            sock.connect(where[4])
            sock.sendall(b"hello\n")
            print(name, sock.recv(6).decode().strip())
        except OSError as error:
            print(name, type(error).__name__)
]]
  local closed = { "private.test", "host.test", "meta.test", "here.test", "here6.test",
    "spelled1.test", "spelled2.test", "spelled3.test", "spelled4.test", "spelled5.test",
    "spelled6.test", "spelled7.test", "spelled8.test", "spelled9.test" }
  for _, way in ipairs({ "host", "synthetic" }) do
    it("is no way to the host or a private network, by TCP or UDP, --dns=" .. way, function()
      local r = L:run({ "python3", "-BSc", rebound, "a.test", unpack(closed) }, { args = {
        "--dns=" .. way, "-e", "nsnet.default(nsnet.deny) nsnet.rules {"
          .. " { domain = '.test', network = { 'tcp', 'udp' }, nsnet.allow } }" } })
      r:shows("^a.test hello\na.test hello\n")
      assert.equal(2, select(2, r.out:gsub("hello", "")), r.out)
      assert.equal(2 + 2 * #closed, select(2, r.out:gsub("\n", "")), r.out)
    end)

    it("that leads elsewhere does so for its own name alone, --dns=" .. way, function()
      local before = #L:log()
      local curl = "curl -sS -m 20 -o /dev/null -w '%{http_code}\\n' "
      L:run({ "sh", "-c", curl .. "http://a.test/bytes/11;" .. curl
        .. "-H 'Host: evil.example' http://a.test/bytes/12;" .. curl
        .. "http://203.0.113.2/bytes/13; " .. curl .. "http://b.test/bytes/14; true" },
        { args = { "--dns=" .. way, "-e", "nsnet.default(nsnet.deny) nsnet.rules {"
          .. " { domain = 'a.test', nsnet.redirect '203.0.113.2:80' } }" } })
        :says("200\n000\n000\n000")
      local log = L:log():sub(before + 1)
      assert.is_truthy(log:match("203.0.113.2:80 %S+ GET /bytes/11"), log)
      assert.is_nil(log:match("GET /bytes/1[^1]"), log)
    end)
  end

  it("opens a private network that it names by address", function()
    connect("nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test',"
      .. " cidr = { '10.99.0.0/24', 'fdbb:99::/32' }, nsnet.allow } }", "private.test")
      :says("private.test connected")
  end)

  it("does not believe an answer that turns", function()
    for _, name in ipairs({ "turn.test", "turn6.test", "turnmeta.test" }) do
      connect(allow, name, name):shows("^" .. name .. " connected\n" .. name .. " Con?n?%w*Err")
    end
  end)

  it("takes from answers what would hide names or give addresses", function()
    local all = L:run({ "dig", "+short", "hidden.test", "HTTPS" }).out
    assert.is_truthy(all:match("ech=") and all:match("ipv4hint="))
    local r = L:run({ "dig", "+short", "hidden.test", "HTTPS" }, { args = { "-e", allow } })
    r:says('1 . alpn="h2"')
  end)

  it("believes the host's own file of names", function()
    L:host({ "sh", "-c", "echo '203.0.113.1 known.test' >>/etc/hosts" }, { who = "root" }):exits(0)
    connect("nsnet.default(nsnet.deny) nsnet.rules { { domain = 'known.test', nsnet.allow } }",
      "known.test", "203.0.113.1", "203.0.113.2")
      :says("known.test connected\n203.0.113.1 connected\n203.0.113.2 ConnectionRefusedError")
    L:run({ "dig", "+short", "inhosts.test" }, { args = { "-e", allow } }):says("203.0.113.7")
    L:run({ "dig", "inhosts.test", "AAAA" }, { args = { "-e", allow } })
      :shows("status: NOERROR.*ANSWER: 0")
    assert.equal(0, L:asked("names", "inhosts.test") + L:asked("names", "known.test"))
  end)
end)
