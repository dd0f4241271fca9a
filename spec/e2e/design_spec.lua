-- SPDX-License-Identifier: MIT
-- The scripts that the Lua interface was designed with, run for real. Addresses and names are the
-- lab's; else they are as a user would write them.
local lab = require("spec.support.lab")
if lab.direct then return end

local port = lab.port

describe("the script of the design that", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53" }, "world")
    L:serve("micro", { "microsocks", "-i", "203.0.113.4", "-b", "203.0.113.4", "-p", "1080" },
      { listening = 1080, address = "203.0.113.4" })
    L:serve("tiny", { "tinyproxy", "-d", "-c", L:write("tiny.conf",
      "Port 3128\nListen 203.0.113.5\nBind 203.0.113.5\nLogLevel Connect\n") },
      { listening = 3128, address = "203.0.113.5" })
  end)
  lazy_teardown(function() L:stop() end)

  local function script(code) return { args = { "-s", L:script(code) } } end

  -- The address that the world's web server saw, for a request that must succeed.
  local function fetch(url, options)
    local before = #L:log()
    local result = L:run({ "curl", "-sS", "-m", "20", url }, options):exits(0)
    return L:log():sub(before + 1):match("http %S+ (%S+):%d+ GET /where"), result
  end

  it("logs connections", function()
    local _, result = fetch("http://a.test/where", script([[
-- observe=true: cannot return a verdict, and an error in here never blocks traffic.
nsnet.on_connect({ observe = true }, function(conn)
  nsnet.log.info("%s -> %s (%s)", conn.network, conn.address, conn.host or "no name")
end)

nsnet.on_close(function(conn)
  nsnet.log.info("closed %s up=%d down=%d %.2fs %s", conn.host or conn.address,
    conn.bytes_up, conn.bytes_down, conn.duration, conn.close_reason)
end)
]]))
    result:complains("tcp %-> 203%.0%.113%.1:80 %(a%.test%)\n")
    result:complains("closed a%.test up=%d+ down=%d+ %d+%.%d%ds closed\n")
  end)

  it("logs connections, in one line", function()
    local _, result = fetch("http://203.0.113.1/where",
      { args = { "-e", "nsnet.on_connect({observe=true}, nsnet.log.conn)" } })
    result:complains("tcp %S+ %-> 203%.0%.113%.1:80")
  end)

  it("allows some names and denies all else", function()
    L:write("mirrors.txt", "# of the project\nv6only.test\n")
    local options = script([[
nsnet.default(nsnet.deny)

nsnet.rules {
  { name = "metadata", cidr = "169.254.169.254/32",                nsnet.deny "cloud metadata" },
  { name = "project", domain = { "a.test", "*.a.test" }, port = { 80, 443 }, nsnet.allow },
  { name = "mirrors", domain = nsnet.domains("mirrors.txt"), port = 80, nsnet.allow },
}
]])
    assert.is_truthy((fetch("http://a.test/where", options)))
    assert.is_truthy((fetch("http://v6only.test/where", options)))
    for _, words in ipairs({
      { "curl", "-sS", "-m", "9", "http://other.test/where" }, -- the name is not answered
      { "curl", "-sS", "-m", "9", "http://203.0.113.2/where" }, -- an address without a name
      { "curl", "-sS", "-m", "9", "--resolve", "a.test:80:203.0.113.2", "http://a.test/where" },
      { "curl", "-sS", "-m", "9", "http://a.test:7001/where" }, -- the name, another port
      { "curl", "-sS", "-m", "9", "http://169.254.169.254/where" },
    }) do
      local before = L:log()
      assert.is_true(L:run(words, options).code ~= 0, table.concat(words, " "))
      assert.equal(before, L:log())
    end
  end)

  it("redirects a name and port to a server on the host", function()
    L:serve("dev", { "python3", "-BSc", [[
import http.server
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"dev server, asked for " + self.headers["Host"].encode())
s = http.server.HTTPServer(("127.0.0.1", 8443), H)
print("ready", flush=True)
s.serve_forever()]] }, { where = "host", who = "user" })
    local options = script([[
local DEV = "127.0.0.1:8443"

nsnet.on_dns({ domain = "api.example.com" }, function(q)
  if q.type == "A" then return q:answer { a = { "10.0.0.200" }, ttl = 5 } end -- no real lookup
  return nsnet.deny "no AAAA for the dev server"
end)

nsnet.on_connect({ cidr = "10.0.0.200/32", port = 443 }, function(conn)
  conn:tag("dev")
  return nsnet.redirect(DEV, { host_loopback = true })
end)

nsnet.on_close(function(conn) nsnet.log.info("%s %s", conn.tags or "-", conn.target) end)
]])
    L:run({ "curl", "-sS", "-m", "20", "http://api.example.com:443/" }, options)
      :shows("^dev server, asked for api%.example%.com:443$"):complains("dev 127%.0%.0%.1:8443\n")
    -- Without the script the host's loopback is closed.
    L:client({ "connect", "127.0.0.1", 8443 }):says("ECONNREFUSED")
  end)

  it("dials through SOCKS5 in ordinary Lua", function()
    local options = script([[
local PROXY = "203.0.113.4:1080"
local REPLY = { "general failure", "not allowed by ruleset", "network unreachable",
  "host unreachable", "connection refused" }

local function u16(n) return string.char(math.floor(n / 256), n % 256) end

local function handshake(s, host, port)
  local ok, err = s:write("\5\1\0")
  if not ok then return nil, err end
  local r
  r, err = s:read_exact(2)
  if not r then return nil, err end
  if r ~= "\5\0" then return nil, "SOCKS5 proxy offers no usable method" end
  ok, err = s:write("\5\1\0\3" .. string.char(#host) .. host .. u16(port))
  if not ok then return nil, err end
  r, err = s:read_exact(4)
  if not r then return nil, err end
  local code, atyp = r:byte(2), r:byte(4)
  if code ~= 0 then return nil, "SOCKS5: " .. (REPLY[code] or "code " .. code) end
  r, err = s:read_exact((atyp == 4 and 16 or 4) + 2) -- bound address and port, unused
  if not r then return nil, err end
  return true
end

nsnet.dialer({ network = "tcp" }, function(_, _, conn)
  local s, err = nsnet.dial("tcp", PROXY, { timeout = 5 })
  if not s then return nil, "proxy: " .. err end
  s:set_timeout(10)
  local ok
  ok, err = handshake(s, conn.host or conn.dst_ip, conn.dst_port)
  if not ok then
    s:close()
    return nil, err
  end
  return s -- ownership moves to the C relay; bytes never pass through Lua again
end)

nsnet.on_flow(function()
  return nsnet.deny "no UDP through the proxy"
end)

nsnet.on_close(function(conn)
  if conn.dial_error then nsnet.log.info("%s: %s", conn.address, conn.dial_error) end
end)
]])
    assert.equal("203.0.113.4", (fetch("http://a.test/where", options)))
    L:client({ "fetch", lab.v4.world, port.source, 300000, "fin" }, options)
      :says("300000 " .. L:sum(300000) .. " end=eof")
    L:client({ "connect", lab.v4.world, port.closed }, options):says("ECONNREFUSED")
      :complains("203%.0%.113%.1:7099: SOCKS5: connection refused\n")
    L:client({ "udp-closed", lab.v4.world, port.record }, options):says("ECONNREFUSED")
  end)

  it("dials through HTTP CONNECT, chosen per connection", function()
    local options = script([[
local PROXY = "203.0.113.5:3128"
local LAN = nsnet.cidrs { "10.0.0.0/8", "203.0.113.2/32" }

local function via_proxy(_, _, conn)
  local s, err = nsnet.dial("tcp", PROXY, { timeout = 5 })
  if not s then return nil, err end
  local target = ("%s:%d"):format(conn.host or conn.dst_ip, conn.dst_port)
  local ok
  ok, err = s:write(("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n"):format(target, target))
  if not ok then return nil, err end
  local head
  head, err = s:read_until("\r\n\r\n", 16384)
  if not head then return nil, "proxy: " .. err end
  local status = tonumber(head:match("^HTTP/1%.[01] (%d%d%d)"))
  if status ~= 200 then return nil, "proxy answered " .. tostring(status) end
  return s
end

nsnet.on_connect({ network = "tcp" }, function(conn)
  if LAN:has(conn.dst_ip) then return nsnet.allow end
  return nsnet.via(via_proxy)
end)
]])
    assert.equal("203.0.113.5", (fetch("http://203.0.113.1/where", options)))
    assert.equal("198.51.100.2", (fetch("http://203.0.113.2/where", options)))
    L:client({ "connect", lab.v4.world, port.closed }, options):says("ECONNREFUSED")
  end)

  it("limits rate and latency by destination", function()
    local options = script([[
local MBIT = 1000 * 1000 / 8
local cdn = nsnet.bucket { rate = 2 * MBIT, burst = 64 * 1024 } -- shared by all its connections

nsnet.on_connect({ domain = "a.test" }, function(conn)
  conn:limit { down = 0.5 * MBIT, up = 0.1 * MBIT, latency = 0.150, jitter = 0.050 }
end) -- returns nil: later rules still decide

nsnet.on_connect({ domain = "other.test" }, function(conn)
  conn:limit { down = cdn }
end)
]])
    local function timed(words, wanted)
      local start = lab.now()
      L:client(words, options):says(wanted)
      return lab.now() - start
    end
    assert.is_true(timed({ "trickle", "a.test", port.echo, 3, 0 }, "3 echoes") >= 4 * 0.15)
    assert.is_true(timed({ "fetch", "other.test", port.source, 400000, "fin" },
      "400000 " .. L:sum(400000) .. " end=eof") >= (400000 - 2 * 65536) / 250000)
  end)

  it("blocks by the first bytes, and counts and filters packets", function()
    local options = script([[
local blocked = nsnet.domains { ".ads.test", ".tracker.test" }

nsnet.on_first_bytes({ port = 80 }, function(_, bytes)
  local name = bytes:match("\r\nHost: ([^\r:]+)")
  if name and blocked:match(name) then return nsnet.deny("host " .. name) end
end)

nsnet.rules { { name = "no-quic", network = "udp", port = 443, nsnet.deny "not visible in QUIC" } }

local n, bytes, syn = 0, 0, 0
nsnet.on_packet({ dir = "out", proto = "tcp" }, function(pkt) -- pkt is only valid in here
  n, bytes = n + 1, bytes + pkt.len
  if bit.band(pkt.tcp_flags, 0x12) == 0x02 then syn = syn + 1 end
  if pkt.len > 40 and pkt.dst_port == 25 then return nsnet.drop "smtp" end
end)

nsnet.on_exit(function()
  nsnet.log.info("packets=%d bytes=%d syn=%d", n, bytes, syn)
end)
]])
    local _, result = fetch("http://203.0.113.1/where", options)
    local n, bytes, syn = result.err:match("packets=(%d+) bytes=(%d+) syn=(%d+)\n")
    assert.is_true(tonumber(n) >= 4 and tonumber(bytes) > 200)
    assert.equal("1", syn)
    local before = L:log()
    L:run({ "curl", "-sS", "-m", "9", "-H", "Host: x.ads.test", "http://203.0.113.1/where" },
      options):exits(56) -- reset
    assert.equal(before, L:log()) -- not a byte of the request has left
    L:client({ "udp-closed", lab.v4.world, 443 }, options):says("ECONNREFUSED")
    L:client({ "connect", lab.v4.world, 25, 1 }, options):says("silence")
  end)
end)
