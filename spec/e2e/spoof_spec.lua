-- SPDX-License-Identifier: MIT
-- A command that may send raw packets, from any address, meets the same policy and the same guard
-- as one that has only sockets.
local lab = require("spec.support.lab")
if lab.direct then return end

-- Sends a SYN, a datagram and a ping from each source to each of the destinations; then tries the
-- first with a socket, so that what was sent before has been seen.
local SENDER = [[
import socket, struct, sys
sys.path.insert(0, "/run/repo/spec/support")
import client, flood
sources = ["10.0.0.1", "10.0.0.77", "192.0.2.66", "127.0.0.1", "203.0.113.1", "10.0.0.53",
           "0.0.0.0", "255.255.255.255", "fd6e:736e:6574::1", "fd6e:736e:6574::77",
           "2001:db8:66::1", "::1", "2001:db8:2::1", "fd6e:736e:6574::53", "::", "fe80::1"]
sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
port = 20000
for dst in sys.argv[1:]:
    version = 6 if ":" in dst else 4
    to = flood.raw(version, dst)
    for src in sources:
        if (":" in src) != (version == 6):
            continue
        port += 1
        by = flood.raw(version, src)
        syn = struct.pack(">HHIIBBHHH", port, 7001, port, 0, 0x50, 2, 65535, 0, 0)
        data = struct.pack(">HHHH", port, 7004, 12, 0) + b"data"
        echo = struct.pack(">BBHHH", 128 if version == 6 else 8, 0, 0, port, 1)
        parts = [(6, flood.sealed(version, by, to, 6, syn, 16)),
                 (17, flood.sealed(version, by, to, 17, data, 6)),
                 (58, flood.sealed(version, by, to, 58, echo, 2)) if version == 6 else
                 (1, echo[:2] + struct.pack(">H", flood.checksum(echo)) + echo[4:])]
        for proto, body in parts:
            sock.sendto(flood.ip(version, by, to, proto, body),
                        ("tun0", 0x86dd if version == 6 else 0x800))
print("sent", port - 20000)
try:
    print(client.do_connect(sys.argv[1], 7001, 10))
except OSError as error:
    print(client.os_name(error))
]]

describe("raw packets from any address", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve("inner", { "python3", "-BS", "/run/repo/spec/support/world.py", "inner", "127.0.0.1",
      "::1", lab.v4.host, lab.v6.host }, { where = "host" })
  end)
  lazy_teardown(function() L:stop() end)

  local function send(args, hosts)
    args[#args + 1] = "--keep-caps"
    local words = { "python3", "-BSc", SENDER }
    for _, host in ipairs(hosts) do words[#words + 1] = host end
    return L:run(words, { args = args })
  end

  -- A server has a line of every datagram, and of a connection when it has ended.
  local function seen()
    return (L:read("inner.log") or "") .. L:log()
  end

  it("are denied like others, and the denials are said", function()
    local before = seen()
    local answer = send({ "--default", "deny", "-v" }, { lab.v4.world, lab.v6.world })
    answer:shows("^sent 16\nECONNREFUSED\n")
    assert.equal(before, seen())
    -- One by one, and without a process, whoever they say they are; the socket's has one.
    for pattern, count in pairs({ ["%- +tcp [^\n]* deny by default"] = 16,
      ["%- +udp [^\n]* deny by default"] = 16, ["%- +icmp [^\n]* drop by default"] = 16,
      ["python3%[%d+%] +tcp [^\n]* deny by default"] = 1 }) do
      assert.equal(count, select(2, answer.err:gsub(pattern, "")), pattern)
    end
  end)

  it("are judged by rules, which see the address that they bear", function()
    local before = seen()
    local answer = send({ "-e", "nsnet.on_connect(function(c) if c.src_ip ~= '10.0.0.1' then "
      .. "return nsnet.deny 'stranger' end end) nsnet.on_flow(function() return nsnet.deny end)" },
      { lab.v4.world })
    answer:shows("^sent 8\nconnected\n"):complains("192%.0%.2%.66[^\n]*stranger")
    assert.is_truthy(lab.eventually(function() return #seen() > #before end))
    local _, lines = seen():sub(#before + 1):gsub("\n", "")
    assert.is_true(lines <= 2, seen():sub(#before + 1)) -- those of 10.0.0.1, raw and not
  end)

  it("do not pass the guard", function()
    local before = seen()
    send({}, { lab.v4.host, lab.v6.host, "127.0.0.1", "::1", "169.254.169.254", "fd00:ec2::254",
      "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "10.0.0.100", "fd6e:736e:6574::100", "0.0.0.0",
      "::" }):shows("^sent 96\nECONNREFUSED\n")
    assert.equal(before, seen())
  end)
end)
