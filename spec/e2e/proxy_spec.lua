-- SPDX-License-Identifier: MIT
-- Dialers against real proxies of Debian: dante and microsocks (SOCKS5), tinyproxy (HTTP CONNECT).
local lab = require("spec.support.lab")
if lab.direct then return end

local port = lab.port
local DANTE = { v4 = "203.0.113.3", v6 = "2001:db8:2::3" }
local MICRO = "203.0.113.4" -- wants user and password, carries no UDP
local TINY = "203.0.113.5"
local TINY_AUTH = "203.0.113.6"

local function danted()
  local path = os.getenv("NSNET_DANTED") or "build/dante/usr/sbin/danted"
  assert(io.open(path), path .. " is missing: run make deps-test"):close()
  return path:sub(1, 1) == "/" and path or "/run/repo/" .. path
end

-- Returns the jobs by name.
local function start_proxies(L)
  local jobs = {}
  local conf = [[
logoutput: stderr
internal: %s port = 1080
internal: %s port = 1080
external: %s
external: %s
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: root
client pass {
  from: 0/0 to: 0/0
  log: error
}
socks pass {
  from: 0/0 to: 0/0
  command: connect udpassociate
  log: error connect
}
socks pass {
  from: 0/0 to: 0/0
  command: udpreply
  log: error
}
]]
  local path = L:write("danted.conf", conf:format(DANTE.v4, DANTE.v6, DANTE.v4, DANTE.v6))
  jobs.dante = L:serve("danted", { danted(), "-f", path },
    { listening = 1080, address = DANTE.v4 })
  jobs.micro = L:serve("microsocks",
    { "microsocks", "-i", MICRO, "-b", MICRO, "-u", "me", "-P", "secret" },
    { listening = 1080, address = MICRO })
  for name, address in pairs({ tiny = TINY, tiny_auth = TINY_AUTH }) do
    jobs[name] = L:serve(name, { "tinyproxy", "-d", "-c", L:write(name .. ".conf",
      ("Port 3128\nListen %s\nLogLevel Connect\n"):format(address) ..
      (name == "tiny" and "" or ("Bind %s\nBasicAuth me secret\n"):format(address))) },
      { listening = 3128, address = address })
  end
  return jobs
end

describe("a proxy", function()
  local L, proxy
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53" }, "world")
    proxy = start_proxies(L)
  end)
  lazy_teardown(function() L:stop() end)

  local tail = [[
nsnet.on_close(function(c)
  nsnet.log.info("end of %s: %s", c.address, c.dial_error or c.close_reason)
end)
]]

  -- Options that make nsnet-host dial through lua/nsnet/KIND.lua.
  local function through(kind, options)
    return { args = { "-s", L:script(
      ("nsnet.dialer(require('nsnet.%s').dialer { %s })\n"):format(kind, options) .. tail) } }
  end

  -- The address that the world's server saw.
  local function seen_by_http(url, options)
    local before = #L:log()
    local result = L:run({ "curl", "-sS", "-m", "20", url }, options):exits(0)
    assert(L:logged("GET /where"))
    return L:log():sub(before + 1):match("http %S+ (%S+):%d+ GET /where"), result
  end

  local function url(address) return ("http://%s/where"):format(lab.bracket(address)) end

  lab.both(function(version, net)
    local family = version == "IPv4" and "v4" or "v6"
    describe("for " .. version, function()
      it("of the SOCKS5 kind (dante) makes TCP connections", function()
        local options = through("socks5", ("proxy = '%s:1080'"):format(lab.bracket(DANTE[family])))
        assert.equal(lab.bracket(DANTE[family]), (seen_by_http(url(net.world), options)))
        L:client({ "exchange", net.world, port.echo, 1000000 }, options):says(L:sum(1000000))
        L:client({ "connect", net.world, port.closed }, options):says("ECONNREFUSED")
      end)

      it("of the SOCKS5 kind (dante) carries UDP, empty datagrams too", function()
        local options = through("socks5", ("proxy = '%s:1080'"):format(lab.bracket(DANTE[family])))
        for _, size in ipairs({ 0, 1, 1400, 8000 }) do
          L:client({ "udp", net.world, port.echo, size }, options):says("echo")
        end
        L:client({ "udp-many", net.world, port.echo, 20 }, options):says("ok 20")
        L:client({ "udp-text", net.world, port.foreign, "x", 1 }, options):says("true x")
        local seen = L:client({ "udp-again", net.world, port.who, 0.2 }, options).out
        local first, second = seen:match("^(%S+) %S+|(%S+) ")
        assert.equal(first, second) -- one flow is one association
        assert.equal(lab.bracket(DANTE[family]), (first:match("^(.*):%d+$")))
      end)
    end)
  end)

  it("of the HTTP kind (tinyproxy) makes TCP connections", function()
    lab.both(function(_, net)
      local options = through("http_connect", ("proxy = '%s:3128'"):format(TINY))
      assert.not_equal(lab.bracket(net.host), (seen_by_http(url(net.world), options)))
      -- Tinyproxy ends both ways when one ends, so there is no exchange here.
      L:client({ "fetch", net.world, port.source, 1000000, "fin" }, options)
        :says("1000000 " .. L:sum(1000000) .. " end=eof")
      L:client({ "connect", net.world, port.closed }, options):says("ECONNREFUSED")
    end)
  end)

  -- All that a server has written so far.
  local function said(job) return job:out() .. job:err() end

  it("is given the name where there is one", function()
    local socks = ("proxy = '%s:1080', user = 'me', password = 'secret'"):format(MICRO)
    seen_by_http("http://a.test/where", through("socks5", socks))
    assert.is_truthy(said(proxy.micro):match("connected to a%.test:80"))
    seen_by_http("http://a.test/where", through("http_connect", ("proxy = '%s:3128'"):format(TINY)))
    assert.is_truthy(said(proxy.tiny):match("CONNECT a%.test:80"))
    -- The command asks for the IPv4 address; dante resolves by itself and prefers IPv6.
    L:client({ "udp-text", "a.test", port.who, "x", 1 },
      through("socks5", ("proxy = '%s:1080'"):format(DANTE.v4))):shows("^%S+::3%]:%d+ "
        .. "%S+::1%]:7008\n")
  end)

  it("that wants user and password gets them, and refuses wrong ones", function()
    local cases = {
      { "socks5", ("proxy = '%s:1080', user = 'me'"):format(MICRO),
        "the proxy refused user and password", MICRO },
      { "http_connect", ("proxy = '%s:3128', user = 'me'"):format(TINY_AUTH),
        "the proxy answered 401", TINY_AUTH },
    }
    for _, case in ipairs(cases) do
      local kind, options, complaint, address = unpack(case)
      local right = through(kind, options .. ", password = 'secret'")
      assert.equal(address, (seen_by_http(url(lab.v4.world), right)))
      local before = L:log()
      L:client({ "connect", lab.v4.world, port.echo },
        through(kind, options .. ", password = 'wrong'")):says("EHOSTUNREACH"):complains(complaint)
      assert.equal(before, L:log())
    end
    L:client({ "connect", lab.v4.world, port.echo }, through("socks5",
      ("proxy = '%s:1080'"):format(MICRO))):says("EHOSTUNREACH"):complains("is not configured")
  end)

  it("that carries no UDP leaks none", function()
    local before = L:log()
    for kind, options in pairs({
      socks5 = ("proxy = '%s:1080', user = 'me', password = 'secret'"):format(MICRO),
      http_connect = ("proxy = '%s:3128'"):format(TINY),
    }) do
      lab.both(function(_, net)
        L:client({ "udp-closed", net.world, port.record }, through(kind, options))
          :shows("^E%u+\n"):complains("end of ")
      end)
    end
    assert.is_nil(L:log():sub(#before + 1):match("udp_"))
  end)

  it("of a rule for a name leaks none of the name's UDP", function()
    local before = L:log()
    lab.both(function(_, net)
      local rules = ([[nsnet.rules { { domain = "a.test", nsnet.via(require("nsnet.socks5").dialer {
        proxy = "%s:1080" }) } }]]):format(DANTE.v4)
      L:run({ "sh", "-c", ("getent ahosts a.test >/dev/null; exec python3 -BS "
        .. "/run/repo/spec/support/client.py udp-closed %s %d"):format(net.world, port.record) },
        { args = { "-e", rules } })
        :shows("^E%u+\n"):complains("by a name only TCP goes via a dialer")
    end)
    assert.is_nil(L:log():sub(#before + 1):match("udp_"))
  end)

  it("is reached through another one, as the last of a chain", function()
    local script = L:script(([[
local socks5, http_connect = require "nsnet.socks5", require "nsnet.http_connect"
local first = socks5.dialer { proxy = "%s:1080" }
local web = http_connect.dialer {
  proxy = "%s:3128", user = "me", password = "secret", dial = first,
}
local third = socks5.dialer { proxy = "%s:1080", user = "me", password = "secret", dial = web }
nsnet.dialer({ port = 80 }, web)
nsnet.dialer(third)
]]):format(DANTE.v4, TINY_AUTH, MICRO) .. tail)
    local options = { args = { "-s", script } }
    assert.equal(TINY_AUTH, (seen_by_http(url(lab.v4.world), options)))
    assert.is_truthy(said(proxy.tiny_auth):find(DANTE.v4, 1, true))
    L:client({ "fetch", lab.v4.world, port.source, 1000, "fin" }, options)
      :says("1000 " .. L:sum(1000) .. " end=eof")
    assert.is_truthy(L:logged("tcp_source %S+ " .. MICRO:gsub("%.", "%%.")))
    local before = L:log()
    L:client({ "udp-closed", lab.v4.world, port.record }, options):shows("^E%u+\n")
    assert.is_nil(L:log():sub(#before + 1):match("udp_"))
  end)

  it("is chosen by destination, for UDP too", function()
    local script = L:script(([[
local first = require("nsnet.socks5").dialer { proxy = "%s:1080" }
local LOCAL = nsnet.cidrs { "203.0.113.1", "2001:db8:2::1" }
local function decide(conn)
  return LOCAL:has(conn.dst_ip) and nsnet.allow or nsnet.via(first)
end
nsnet.on_connect(decide)
nsnet.on_flow(decide)
]]):format(DANTE.v4) .. tail)
    local options = { args = { "-s", script } }
    assert.equal(lab.v4.host, (seen_by_http(url(lab.v4.world), options)))
    assert.equal(DANTE.v4, (seen_by_http(url(lab.v4.other), options)))
    L:client({ "udp-text", lab.v4.world, port.who, "x", 1 }, options)
      :shows("^" .. lab.v4.host:gsub("%.", "%%.") .. ":%d+ ")
    L:client({ "udp-text", lab.v4.other, port.who, "x", 1 }, options)
      :shows("^" .. DANTE.v4:gsub("%.", "%%.") .. ":%d+ ")
  end)

  it("that dies in the middle of a UDP flow ends it; the next datagram asks anew", function()
    local conf = L:read("danted.conf"):gsub("1080", "1081")
    local function start(name)
      return L:serve(name, { "setsid", danted(), "-f", L:write("danted2.conf", conf) },
        { listening = 1081, address = DANTE.v4 })
    end
    local first = start("danted2")
    os.remove(L:path("go"))
    local job = L:spawn({ "python3", "-BSc", [[
import os, socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect(("203.0.113.1", 7008))
s.settimeout(10)
s.send(b"one")
print(s.recv(1000).decode().strip(), flush=True)
while not os.path.exists("/run/lab/go"):
    time.sleep(0.02)
for _ in range(200): # until the failed flow is forgotten
    try:
        s.send(b"two")
        print(s.recv(1000).decode().strip(), flush=True)
        break
    except OSError:
        time.sleep(0.05)]] }, through("socks5", ("proxy = '%s:1081'"):format(DANTE.v4)))
    job:expect("203%.0%.113%.3:%d+ ")
    L:world({ "kill", "-KILL", "--", "-" .. first:pid() }):exits(0) -- with its children
    assert.is_truthy(lab.eventually(function()
      return job:err():match("end of 203%.0%.113%.1:7008: reset by peer")
    end))
    start("danted3")
    L:write("go", "")
    job:wait():shows("^203%.0%.113%.3:%d+ %S+\n203%.0%.113%.3:%d+ ")
  end)

  it("on the host's own loopback is what the finished scripts expect", function()
    local micro = L:serve("micro_host", { "microsocks", "-i", "127.0.0.1" },
      { where = "host", who = "user", listening = 1080, address = "127.0.0.1" })
    local tiny = L:serve("tiny_host", { "tinyproxy", "-d", "-c",
      L:write("tiny_host.conf", "Port 3128\nListen 127.0.0.1\n") },
      { where = "host", who = "user", listening = 3128, address = "127.0.0.1" })
    for name, server in pairs({ socks5 = micro, http_connect = tiny }) do
      local options = { args = { "-s", "/run/repo/scripts/" .. name .. ".lua" } }
      seen_by_http(url(lab.v4.world), options)
      assert.is_truthy(said(server):find("203.0.113.1:80", 1, true))
      local before = L:log()
      L:client({ "udp-closed", lab.v4.world, port.record }, options):shows("^E%u+\n")
      assert.is_nil(L:log():sub(#before + 1):match("udp_"))
    end
  end)

  it("may be a unix socket", function()
    L:serve("unix", { "python3", "-BSc", [[
import os, socketserver
class H(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"unix " + self.rfile.readline())
s = socketserver.UnixStreamServer("/run/lab/home/socket", H)
print("ready", flush=True)
s.serve_forever()]] }, { where = "host", who = "user" })
    local options = { args = { "-e", "nsnet.dialer({ network = 'tcp' }, function() "
      .. "return nsnet.dial('unix', '/run/lab/home/socket') end)" } }
    L:client({ "talk", "192.0.2.77", 5432, "hello\n" }, options):shows("^unix hello\n")
  end)
end)
