-- SPDX-License-Identifier: MIT
-- --dns=synthetic: names have private addresses inside, and are resolved when they are dialed.
local lab = require("spec.support.lab")

describe("a synthetic address", function()
  local L
  local zone = [[
a.test A 0 203.0.113.1
a.test AAAA 0 2001:db8:2::1
b.test A 0 203.0.113.2
four.test A 0 203.0.113.1
six.test AAAA 0 2001:db8:2::1
dead6.test A 0 203.0.113.1
dead6.test AAAA 0 2001:db8:2::203
refused6.test A 0 203.0.113.1
refused6.test AAAA 0 2001:db8:2::202
dead.test A 0 203.0.113.201
dead.test AAAA 0 2001:db8:2::201
alias.test CNAME 0 a.test
turn.test A 0 203.0.113.1 | 127.0.0.1 | 203.0.113.1
loop.test A 0 127.0.0.1
loop.test AAAA 0 ::1
meta.test A 0 169.254.169.254
private.test A 0 10.99.0.1
mixed.test A 0 127.0.0.1
mixed.test AAAA 0 2001:db8:2::1
self.test A 0 198.18.0.1
x.test TXT 0 text
hidden.test HTTPS 0 00010000010003026832 00040004cb007101
h.many.test A 0 203.0.113.1
*.many.test A 0 203.0.113.1
*.evil A 0 203.0.113.1
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local allow = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow } }"

  local function run(words, code, more)
    local args = { "--dns=synthetic" }
    if code then args[2], args[3] = "-e", code end
    for _, word in ipairs(more or {}) do args[#args + 1] = word end
    return L:run(words, { args = args })
  end

  -- Looks names up and connects to what is said (7001 is an echo); a name may end in "/4" or "/6".
  local function connect(code, ...)
    return run({ "python3", "-c", [[
import errno, socket, sys
for word in sys.argv[1:]:
    name, _, version = word.partition("/")
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}.get(version, 0)
    try:
        where = socket.getaddrinfo(name, 7001, family, socket.SOCK_STREAM)[0]
        sock = socket.socket(where[0], where[1])
        sock.settimeout(10)
        sock.connect(where[4])
        sock.sendall(b"hello\n")
        print(word, sock.recv(5).decode())
    except OSError as error:
        print(word, errno.errorcode.get(error.errno, type(error).__name__))
]], ... }, code)
  end

  it("is what a name gets, and always the same", function()
    run({ "sh", "-c", "for i in 1 2; do dig +short a.test; dig +short a.test AAAA; done;"
      .. "dig +short b.test" }):says("198.18.0.1\nfd6e:736e:6573::1\n198.18.0.1\n"
      .. "fd6e:736e:6573::1\n198.18.0.2")
    assert.equal(0, L:asked("names", "a.test") + L:asked("names", "b.test"))
  end)

  it("leads to the name, for either version", function()
    connect(nil, "a.test/4", "a.test/6", "four.test/6", "six.test/4", "alias.test")
      :says("a.test/4 hello\na.test/6 hello\nfour.test/6 hello\nsix.test/4 hello\n"
        .. "alias.test hello")
    connect(allow, "a.test", "four.test"):says("a.test hello\nfour.test hello")
  end)

  it("works for curl", function()
    run({ "curl", "-sSf", "-m", "20", "http://a.test/where" }, allow)
      :shows("^%[2001:db8:2::1%]:80\n$")
  end)

  it("is not dialed before a name server answers, and fails as a name that is not there", function()
    local r = connect(nil, "dead.test/4", "dead.test/6", "nothing.test/4", "x.test/6")
    r:says("dead.test/4 EHOSTUNREACH\ndead.test/6 EHOSTUNREACH\nnothing.test/4 EHOSTUNREACH\n"
      .. "x.test/6 EHOSTUNREACH")
  end)

  it("goes to the version that answers", function()
    connect(nil, "dead6.test/6", "refused6.test/6")
      :says("dead6.test/6 hello\nrefused6.test/6 hello")
    connect(allow, "dead6.test", "refused6.test"):says("dead6.test hello\nrefused6.test hello")
  end)

  it("asks nobody for a name that is denied, nor before it is dialed", function()
    connect(allow, "a.evil", "b.evil/6"):says("a.evil gaierror\nb.evil/6 gaierror")
    run({ "sh", "-c", "for t in A AAAA ANY TXT HTTPS MX; do dig +tries=1 c.evil $t; done" }, allow)
      :shows("status: REFUSED.*status: REFUSED")
    run({ "sh", "-c", "for t in A AAAA ANY; do dig +tries=1 d.evil $t; done" })
      :shows("198%.18%.0%.1.*fd6e:736e:6573::1")
    assert.equal(0, L:asked("names", nil, "evil %w+$"))
  end)

  it("leads nowhere that policy has not seen", function()
    connect(nil, "loop.test", "meta.test", "self.test")
      :says("loop.test ECONNREFUSED\nmeta.test ECONNREFUSED\nself.test EHOSTUNREACH")
      :complains("denied tcp %S+ %-> [%[:1%]27.0]+:7001 %(loop.test%): host loopback is closed")
    connect(allow, "loop.test", "meta.test", "private.test", "self.test")
      :says("loop.test ECONNREFUSED\nmeta.test ECONNREFUSED\nprivate.test ECONNREFUSED\n"
        .. "self.test ECONNREFUSED")
    connect(nil, "mixed.test"):says("mixed.test hello")
    connect("nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test',"
      .. " cidr = '10.99.0.0/24', nsnet.allow } }", "private.test", "a.test")
      :says("private.test hello\na.test ECONNREFUSED")
  end)

  it("does not follow an answer that turns", function()
    connect(allow, "turn.test", "turn.test", "turn.test")
      :says("turn.test hello\nturn.test ECONNREFUSED\nturn.test hello")
  end)

  it("is judged by the address that it goes to", function()
    local deny = "nsnet.rules { { cidr = '203.0.113.0/24', nsnet.deny },"
      .. " { cidr = '2001:db8:2::/48', nsnet.deny } }"
    connect(deny, "a.test", "b.test"):says("a.test ECONNREFUSED\nb.test ECONNREFUSED")
    -- One version denied: the other is open.
    local six = "nsnet.rules { { cidr = '203.0.113.0/24', nsnet.deny } }"
    connect(six, "a.test", "b.test", "refused6.test")
      :says("a.test hello\nb.test ECONNREFUSED\nrefused6.test EACCES")
    connect("nsnet.default(nsnet.deny) nsnet.rules { { cidr = '203.0.113.0/24', nsnet.allow } }",
      "a.test"):says("a.test gaierror") -- no rule opens the name
  end)

  it("leaves a literal address a literal address", function()
    connect(allow, "a.test", "203.0.113.1"):says("a.test hello\n203.0.113.1 ECONNREFUSED")
    connect(nil, "203.0.113.1", "198.18.0.1", "198.19.255.255", "fd6e:736e:6573::9")
      :says("203.0.113.1 hello\n198.18.0.1 EHOSTUNREACH\n198.19.255.255 EHOSTUNREACH\n"
        .. "fd6e:736e:6573::9 EHOSTUNREACH")
  end)

  it("asks a script once for each address that is tried, and tells which", function()
    local code = "nsnet.on_connect(function(c) nsnet.log.info('ask %s %s %s', c.host, c.dst_ip,"
      .. " c.dst_literal) nsnet.sleep(0.01) return nsnet.allow end)"
      .. "nsnet.on_close(function(c) nsnet.log.info('end %s %s', c.host, c.target) end)"
    local r = run({ "curl", "-sSf", "http://a.test/where" }, code, { "-v" })
    assert.equal("[2001:db8:2::1]:80\n", r.out)
    r:complains("ask a.test 2001:db8:2::1 fd6e:736e:6573::1")
    r:complains("end a.test %[2001:db8:2::1%]:80")
    assert.is_nil(r.err:match("ask a.test 203"))
    r = run({ "curl", "-sSf6", "http://dead6.test/where" }, code, { "-v" })
    assert.equal("203.0.113.1:80\n", r.out)
    r:complains("ask dead6.test 2001:db8:2::203.*ask dead6.test 203.0.113.1.*"
      .. "end dead6.test 203.0.113.1:80")
    assert.is_nil(r.err:match("end.*end"))
  end)

  it("carries UDP and echo", function()
    local client = [[
import socket, sys
for word in sys.argv[1:]:
    name, _, version = word.partition("/")
    family = {"4": socket.AF_INET, "6": socket.AF_INET6}[version]
    where = socket.getaddrinfo(name, 7001, family, socket.SOCK_DGRAM)[0]
    sock = socket.socket(where[0], where[1])
    sock.settimeout(10)
    sock.connect(where[4])
    try:
        for i in range(5):
            sock.send(b"%d" % i)
        print(word, *sorted(sock.recv(9).decode() for i in range(5)))
    except OSError as error:
        print(word, type(error).__name__)
]]
    run({ "python3", "-c", client, "a.test/4", "a.test/6", "four.test/6", "six.test/4",
      "loop.test/4" })
      :says("a.test/4 0 1 2 3 4\na.test/6 0 1 2 3 4\nfour.test/6 0 1 2 3 4\n"
        .. "six.test/4 0 1 2 3 4\nloop.test/4 ConnectionRefusedError")
    run({ "python3", "-c", client, "a.test/4" },
      "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', network = 'udp',"
        .. " nsnet.allow } }")
      :says("a.test/4 0 1 2 3 4")
    run({ "sh", "-c", "ping -n -4 -c 2 -i 0.2 a.test && ping -n -6 -c 1 a.test" })
      :shows("198%.18%.0%.1.*2 received.*fd6e:736e:6573::1.*1 received")
  end)

  it("is told by its name", function()
    run({ "sh", "-c", "dig +short a.test; dig +short -x 198.18.0.1;"
      .. "dig +short -x fd6e:736e:6573::1; dig -x 198.18.0.9 | grep -o NXDOMAIN" }, allow)
      :says("198.18.0.1\na.test.\na.test.\nNXDOMAIN")
    assert.equal(0, L:asked("names", nil, "arpa PTR"))
  end)

  it("does not come beside true ones", function()
    run({ "dig", "+short", "hidden.test", "HTTPS" }):says('1 . alpn="h2"')
    run({ "dig", "+short", "x.test", "TXT" }):says('"text"')
    run({ "dig", "+noall", "+answer", "a.test", "ANY" })
      :shows("^a.test.\t+60\tIN\tA\t198.18.0.1\na.test.\t+60\tIN\tAAAA\tfd6e:736e:6573::1\n$")
    run({ "dig", "use-application-dns.net" }):shows("status: NXDOMAIN")
  end)

  it("honors the host's file of names", function()
    L:host({ "sh", "-c", "echo '203.0.113.2 known.test' >>/etc/hosts" }, { who = "root" }):exits(0)
    run({ "sh", "-c", "dig +short known.test; curl -sS -m 20 -H Host:known.test"
      .. " http://198.18.0.1/where" }, allow)
      :says("198.18.0.1\n203.0.113.2:80")
    connect(allow, "known.test"):says("known.test hello") -- libc reads the file by itself
    assert.equal(0, L:asked("names", "known.test"))
  end)

  it("shows in logs with the address that was dialed", function()
    local r = run({ "curl", "-sSf", "http://four.test/where" }, nil, { "--log", "-" })
    r:complains("four.test %[fd6e:736e:6573::1%]:80 %-> 203.0.113.1:80")
    r = run({ "curl", "-sSf", "http://four.test/where" }, nil, { "--log-json", "-" })
    r:complains('"target":"203.0.113.1:80"')
    r:complains('"host":"four.test","resolved":"203.0.113.1"')
    r:complains('"by":"dial","name":"four.test","qtype":"A"')
  end)

  describe("under a dialer", function()
    local micro
    lazy_setup(function()
      micro = L:serve("microsocks", { "microsocks", "-i", "203.0.113.4", "-p", "1080" },
        { listening = 1080, address = "203.0.113.4" })
    end)
    local tell = "nsnet.dialer(function(network, address, c) nsnet.log.info('dial %s %s %s %s',"
      .. " network, address, c.host, c.dst_ip) return nil, 'no way', 'refused' end)"

    it("is a name, and nobody else is asked for it", function()
      local before = L:asked("names", "b.test")
      local r = connect(tell, "b.test/4", "b.test/6", "203.0.113.9")
      r:says("b.test/4 ECONNREFUSED\nb.test/6 ECONNREFUSED\n203.0.113.9 ECONNREFUSED")
      r:complains("dial tcp b.test:7001 b.test 198.18.0.1.*dial tcp b.test:7001 b.test fd6e:.*"
        .. "dial tcp 203.0.113.9:7001 nil")
      assert.equal(before, L:asked("names", "b.test"))
    end)

    it("is a name in a rule's nsnet.via", function()
      local before = L:asked("names", "b.test")
      connect("nsnet.rules { { domain = 'b.test', nsnet.via(function(network, address)"
        .. " nsnet.log.info('via ' .. address)"
        .. " return nsnet.dial('tcp', '203.0.113.1:7001') end) } }",
        "b.test", "a.test"):says("b.test hello\na.test hello"):complains("via b.test:7001")
      assert.equal(before, L:asked("names", "b.test"))
    end)

    it("is resolved for those that go directly", function()
      connect("nsnet.dialer({ domain = 'b.test' }, function() return nil, 'no', 'refused' end)",
        "a.test", "b.test"):says("a.test hello\nb.test ECONNREFUSED")
      connect(tell .. "nsnet.rules { { domain = 'a.test', nsnet.redirect '203.0.113.2:7099' } }",
        "a.test"):says("a.test ECONNREFUSED")
    end)

    it("goes through a SOCKS5 proxy by its name, which the proxy resolves", function()
      L:world({ "sh", "-c", "echo '203.0.113.1 proxied.test' >>/etc/hosts" }):exits(0)
      local socks = "nsnet.dialer(require('nsnet.socks5').dialer { proxy = '203.0.113.4:1080' })"
      for _, code in ipairs({ socks, socks .. allow }) do
        run({ "sh", "-c", "dig +short proxied.test;"
          .. " curl -sS -m 20 -H Host:proxied.test http://198.18.0.1/where" }, code)
          :says("198.18.0.1\n203.0.113.1:80")
      end
      assert.is_truthy((micro:out() .. micro:err()):match("connected to proxied%.test:80"))
      assert.equal(0, L:asked("names", "proxied.test"))
    end)
  end)

  it("waits for scripts that think", function()
    local code = "nsnet.on_connect(function(c) nsnet.sleep(0.4)"
      .. " if c.dst_ip:match('203') then return nsnet.deny end end)"
    connect(code, "a.test", "b.test"):says("a.test hello\nb.test ECONNREFUSED")
    connect("nsnet.on_connect(function() error('oops') end)", "a.test"):says("a.test ECONNREFUSED")
  end)

  it("connects to the first address while a script thinks about the second", function()
    local code = "nsnet.on_connect(function(c) if c.dst_ip:match('203') then"
      .. " nsnet.log.info 'thinking' nsnet.sleep(20) end end)"
      .. "nsnet.on_close(function(c) nsnet.log.info('end ' .. c.target) end)"
    -- What W answers by IPv6 is lost, until the script thinks; then a SYN is repeated.
    local lose = { "ip", "-6", "route", "add", "blackhole", "2001:db8:1::2/128" }
    L:world(lose):exits(0)
    local job = L:spawn({ "curl", "-sSf6", "-m", "20", "http://a.test/where" },
      { args = { "--dns=synthetic", "-e", code } })
    local thinks = lab.eventually(function() return job:err():match("thinking") end)
    lose[4] = "del"
    L:world(lose):exits(0)
    assert.is_truthy(thinks)
    assert.is_truthy(lab.eventually(function() return job:done() end))
    assert.equal("[2001:db8:2::1]:80\n", job:out())
    assert.is_truthy(job:err():match("end %[2001:db8:2::1%]:80"))
  end)

  it("is refused by new rules before its name is asked for", function()
    local path = L:script(allow)
    local words = { "sh", "-c", "dig +short late.many.test; echo; read line;"
      .. " curl -sS -m 20 http://198.18.0.1/where; echo $?" }
    local fifo = L:path("synthetic.fifo")
    os.execute(("mkfifo -m 666 %s; sleep 30 >%s & echo $! >%s.pid"):format(fifo, fifo, fifo))
    words[3] = words[3]:gsub("read line", "read line </run/lab/synthetic.fifo")
    local job = L:spawn(words, { args = { "--dns=synthetic", "-s", path } })
    assert.is_truthy(lab.eventually(function() return job:out():match("198.18.0.1\n\n") end))
    L:write(path:match("[^/]+$"), "nsnet.default(nsnet.deny)")
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function() return job:err():match("loaded again") end))
    os.execute("echo go >" .. fifo .. "; kill $(cat " .. fifo .. ".pid)")
    assert.is_truthy(lab.eventually(function() return job:done() end))
    assert.equal("198.18.0.1\n\n7\n", job:out())
    assert.equal(0, L:asked("names", "late.many.test"))
  end)

  it("gives way to what a script answers or sends elsewhere", function()
    local code = "nsnet.on_dns({ domain = 'b.test' }, function(q)"
      .. " return q:answer { a = { '203.0.113.1' } } end)"
      .. "nsnet.on_dns({ domain = 'a.test' }, function(q)"
      .. " return q:forward('203.0.113.53') end)"
    run({ "sh", "-c", "dig +short b.test; dig +short a.test; dig +short four.test" }, code)
      :says("203.0.113.1\n203.0.113.1\n198.18.0.1")
  end)

  it("is not given to what a search list makes up", function()
    local function host_file(text)
      L:host({ "sh", "-c", 'printf %s "$0" >/etc/resolv.conf', text }, { who = "root" }):exits(0)
    end
    host_file("search none.test many.test\nnameserver 203.0.113.53\noptions ndots:5\n")
    -- The first domain has nothing; with ndots it is tried for every name.
    local r = connect(nil, "h", "four.test", "six.test")
    local dug = run({ "sh", "-c", "dig +short h.many.test AAAA; dig h.none.test | grep -o NXDOMAIN;"
      .. "dig +short h.many.test; dig +short deep.v.w.x.y.z.many.test" })
    host_file("nameserver 203.0.113.53\n")
    r:says("h hello\nfour.test hello\nsix.test hello")
    dug:says("NXDOMAIN\n198.18.0.1\n198.18.0.2")
    assert.equal(0, L:asked("names", "deep.v.w.x.y.z.many.test"))
  end)

  it("cannot share its range with the namespace", function()
    for _, words in ipairs({ { "--net4", "198.18.7.1/24" }, { "--net4", "198.0.0.1/8" },
      { "--net6", "fd00::1/8" } }) do
      run({ "true" }, nil, words):exits(2):complains("choose another")
    end
  end)

  it("is there for a thousand at a time", function()
    run({ "python3", "-c", [[
import asyncio
async def one(i):
    reader, writer = await asyncio.open_connection("n%d.many.test" % (i % 500), 7001)
    writer.write(b"%d\n" % i)
    line = await reader.readline()
    writer.close()
    return line == b"%d\n" % i
async def main():
    print(sum(await asyncio.gather(*(one(i) for i in range(1000)))))
asyncio.run(main())
]] }, nil, { "--max-conns", "4000" }):says("1000")
  end)
end)
