-- SPDX-License-Identifier: MIT
-- A loop that has nothing to do sleeps, whatever state its connections are left in: half-closed,
-- full, reset while full, refused. A descriptor that is readable for ever, and that nobody reads,
-- would keep a whole processor busy.
local lab = require("spec.support.lab")
if lab.direct then return end

-- Does with each caller what its first byte says, and then nothing more.
local SERVER = [[
import socket, struct, sys, threading, time
kept = []
def serve(conn):
    kept.append(conn)
    what = conn.recv(1)
    if what in b"DRB":
        conn.settimeout(0.5)
        try:
            conn.sendall(bytes(100000000))
        except OSError:
            pass
    while what == b"S" and conn.recv(1000000):
        pass
    if what in b"FDB":
        conn.shutdown(socket.SHUT_WR)
    if what == b"R":
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()
def accept(sock):
    while True:
        threading.Thread(target=serve, args=(sock.accept()[0],), daemon=True).start()
for address in sys.argv[1:]:
    sock = socket.create_server((address, 7200),
        family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=100)
    threading.Thread(target=accept, args=(sock,), daemon=True).start()
print("ready", flush=True)
time.sleep(1000)
]]

-- Leaves connections in the states that its second argument names, says so and waits.
local CLIENT = [[
import socket, sys, time
sys.path.insert(0, "/run/repo/spec/support")
import client
kept, host = [], sys.argv[1]
for state in sys.argv[2].split(","):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                         socket.SOCK_DGRAM if state.startswith("udp") else socket.SOCK_STREAM)
    kept.append(sock)
    sock.settimeout(3)
    if state.startswith("udp"):
        sock.connect((host, 7001 if state == "udp empty" else 7099))
        try:
            for _ in range(3):
                sock.send(b"" if state == "udp empty" else b"x")
                time.sleep(0.05)
        except OSError:
            pass
        continue
    if state == "dialing":
        sock.setblocking(False)
        sock.connect_ex((sys.argv[3], 7200))
        continue
    sock.connect((host, 7200))
    if state == "mute":
        continue
    if state == "mute; client ended":
        sock.shutdown(socket.SHUT_WR)
        continue
    what, *more = state.split(" ")
    sock.sendall(what.encode())
    if "full" in more:
        try:
            sock.settimeout(0.3)
            sock.sendall(bytes(50000000))
        except OSError:
            pass
    if "ended" in more:
        sock.shutdown(socket.SHUT_WR)
    if "gone" in more:
        sock.close()
time.sleep(1)
print("left", flush=True)
time.sleep(100)
]]

describe("a loop sleeps with", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve("odd", { "python3", "-BSc", SERVER, "203.0.113.1", "2001:db8:2::1" })
  end)
  lazy_teardown(function() L:stop() end)

  -- The processor's time that a process has had, in ticks of 10 ms.
  local function ticks(pid)
    local stat = L:world({ "cat", "/proc/" .. pid .. "/stat" }):exits(0).out
    local user, system = stat:match("%) %a" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
    return user + system
  end

  local states = { "F", "F ended", "H", "H ended", "H full", "H full ended", "H full gone", "D",
    "D ended", "D full", "B full ended", "R", "R full", "F full", "S full", "mute",
    "mute; client ended", "dialing", "udp empty", "udp refused" }
  local ways = { IPv4 = {}, IPv6 = { "-e", -- waits for the first bytes of each connection
    "nsnet.rules { { sni = 'a.test', nsnet.deny 'no' } }" } }

  lab.both(function(version, net)
    it("connections that one side or both have left, over " .. version, function()
      local job = L:spawn({ "python3", "-BSc", CLIENT, net.world, table.concat(states, ","),
        net.silent }, { args = ways[version], bound = 60 })
      job:expect("left", 40)
      -- A slow machine, or valgrind, may still be at work; a loop that spins always is.
      local used
      local slept = lab.eventually(function()
        local before = ticks(job:pid())
        lab.sleep(0.5)
        used = ticks(job:pid()) - before
        return used <= 5
      end)
      job:kill("KILL")
      job:wait()
      assert.is_true(slept, used .. " of 50 ticks")
    end)
  end)
end)
