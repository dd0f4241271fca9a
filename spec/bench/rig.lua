-- SPDX-License-Identifier: MIT
-- rig - the two hosts of the bench: H, where the programs under test run (this process's own
-- network namespace), and W, the world, where the server answers. One veth pair joins them:
--
--   H  198.51.100.1  2001:db8:1::1 ---- 198.51.100.254  2001:db8:1::fe  W  203.0.113.1
--                                                                          2001:db8:2::1
--
-- The server's address is behind W's gateway address, because pasta treats the gateway itself
-- in a special way. Nothing has a name outside this process: all goes when it ends.
local proc = require "proc"

local rig = {
  server_address = "203.0.113.1",
  server_address6 = "2001:db8:2::1",
  uid = 1000, -- without privileges; needs no entry in /etc/passwd
}

local keep = {} -- pids that outlive a run

local function read(path)
  local f = io.open(path)
  if not f then return "" end
  local text = f:read("*a"):gsub("%s+$", "")
  f:close()
  return text
end

local function make_tun()
  local ok = read("/proc/misc"):find("%d+ tun")
  if os.getenv("BENCH_SETUID") == "no" then
    local f = io.open("/dev/net/tun", "r+")
    if not f then
      error("bench: /dev/net/tun cannot be opened: run as root, or give it mode 0666", 0)
    end
    f:close()
    return
  end
  if not ok then error("bench: this kernel has no tun device (modprobe tun)", 0) end
  proc.must("mkdir -p /dev/net && { test -e /dev/net/tun || : > /dev/net/tun; }")
  local node = "'" .. rig.tmp .. "/tun'"
  proc.must("mknod " .. node .. " c 10 200 && chmod 0666 " .. node)
  proc.must("mount --bind " .. node .. " /dev/net/tun")
end

local function link(cc)
  local holder = proc.start({ "unshare", "--net", "sh", "-c", "echo made; exec sleep 86400" },
    rig.tmp .. "/world.err")
  if holder:line(proc.now() + 5) ~= "made" then
    error("bench: no second network namespace: " .. holder:errors(200), 0)
  end
  keep[holder.pid] = true
  rig.world = { "nsenter", "-t", tostring(holder.pid), "-n" }
  local inside = table.concat(rig.world, " ") .. " "
  local set = "net.ipv4.tcp_max_tw_buckets=4096 net.ipv4.ip_local_port_range='1024 65535' " ..
    "net.core.somaxconn=8192 net.ipv4.tcp_max_syn_backlog=8192"
  if cc then set = set .. " net.ipv4.tcp_congestion_control=" .. cc end
  proc.must("ip link add h0 type veth peer name w0 netns " .. holder.pid)
  for _, step in ipairs {
    "ip link set lo up",
    "ip addr add 198.51.100.1/24 dev h0",
    "ip addr add 2001:db8:1::1/64 dev h0 nodad",
    "ip link set h0 up",
    inside .. "ip link set lo up",
    inside .. "ip addr add 198.51.100.254/24 dev w0",
    inside .. "ip addr add 2001:db8:1::fe/64 dev w0 nodad",
    inside .. "ip addr add 203.0.113.1/32 dev lo",
    inside .. "ip addr add 2001:db8:2::1/128 dev lo nodad",
    inside .. "ip link set w0 up",
    "ip route add default via 198.51.100.254",
    "ip -6 route add default via 2001:db8:1::fe",
  } do
    proc.must(step)
  end
  -- Best effort: a kernel without one of these still gives a fair comparison.
  os.execute("sysctl -qw " .. set .. " 2>/dev/null")
  os.execute(inside .. "sysctl -qw " .. set .. " 2>/dev/null")
end

-- Builds everything and starts the server. options: load and out (paths), cc (or nil).
function rig.up(options)
  rig.load = options.load
  rig.tmp = options.out .. "/rig"
  proc.must("mount --make-rprivate / && mkdir -p '" .. rig.tmp .. "' && mount -t tmpfs " ..
    "-o mode=0755 bench '" .. rig.tmp .. "'")
  make_tun()
  link(options.cc)
  rig.files = proc.raise_files()
  rig.cc = read("/proc/sys/net/ipv4/tcp_congestion_control")
  rig.restart_server()
end

-- A fresh server for every run: a stuck or full one costs nobody else his figures.
function rig.restart_server()
  if rig.server then
    keep[rig.server.pid] = nil
    rig.server:kill()
    rig.server:wait(proc.now() + 5)
    rig.server:close()
  end
  local argv = {}
  for _, word in ipairs(rig.world) do argv[#argv + 1] = word end
  for _, word in ipairs { rig.load, "server", "--addr", rig.address() } do
    argv[#argv + 1] = word
  end
  rig.server = proc.start(argv, rig.tmp .. "/server.err")
  if not rig.server:line(proc.now() + 5) then
    error("bench: the server does not start: " .. rig.server:errors(200), 0)
  end
  keep[rig.server.pid] = true
end

function rig.address()
  return os.getenv("FAMILY") == "6" and rig.server_address6 or rig.server_address
end

-- The words that make a command one of an ordinary user: no capability, ever again.
function rig.user()
  if os.getenv("BENCH_SETUID") == "no" then
    return { "unshare", "--user", "--map-user=" .. rig.uid, "--map-group=" .. rig.uid, "--" }
  end
  return { "setpriv", "--reuid=" .. rig.uid, "--regid=" .. rig.uid, "--clear-groups",
    "--inh-caps=-all", "--" }
end

-- Whatever a run left behind ends here.
function rig.clean()
  if not proc.kill_others(keep) then
    error("bench: a process of the last run cannot be killed", 0)
  end
end

local function cpu_ticks()
  local words = {}
  for n in read("/proc/stat"):match("^cpu%s+([%d ]+)"):gmatch("%d+") do
    words[#words + 1] = tonumber(n)
  end
  local total = 0
  for i = 1, 8 do total = total + (words[i] or 0) end
  return total, words[4] + words[5], words[8] or 0
end

-- The share of the machine that somebody else uses now, or that the host of this virtual
-- machine takes away: it should be nothing while nothing is measured.
function rig.disturbance()
  local total, idle = cpu_ticks()
  proc.sleep(0.3)
  local total2, idle2 = cpu_ticks()
  return total2 > total and 1 - (idle2 - idle) / (total2 - total) or 0
end

-- Processor, cores, memory, kernel, congestion control: what a reader must know of the machine.
function rig.machine()
  local info = read("/proc/cpuinfo")
  local _, cores = info:gsub("processor%s*:", "")
  return {
    cpu = info:match("model name%s*:%s*([^\n]+)") or info:match("Model%s*:%s*([^\n]+)") or "?",
    cores = cores,
    memory_gb = math.floor((tonumber(read("/proc/meminfo"):match("MemTotal:%s*(%d+)")) or 0) /
      1e6 + 0.5),
    kernel = read("/proc/sys/kernel/osrelease"),
    congestion_control = rig.cc,
    open_files = rig.files,
    user = os.getenv("BENCH_SETUID") == "no" and "as an ordinary user" or
      "programs as uid " .. rig.uid .. " without capabilities",
  }
end

return rig
