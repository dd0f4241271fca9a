-- SPDX-License-Identifier: MIT
-- Ways out that are no packet: sockets that no namespace holds, the user's other processes and
-- their namespaces, a namespace in which the command has every capability.
local lab = require("spec.support.lab")
if lab.direct then return end

local ways = { ["by default"] = {}, ["with --root"] = { "--root" },
  ["with --keep-caps"] = { "--keep-caps" } }

-- Tries every door to the process argv[1], of the same user; prints those that opened.
local DOORS = [[
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pid = int(sys.argv[1])
def setns(fd, kind):
    if libc.setns(fd, kind) == -1:
        raise OSError
word = ctypes.create_string_buffer(8)
iov = (ctypes.c_void_p * 2)(ctypes.addressof(word), 8)
def file(name): return lambda: open("/proc/%d/%s" % (pid, name), "rb").read(1)
def call(*words): return lambda: libc.syscall(*words) != -1 or 1 / 0
doors = {name: file(name) for name in ("environ", "maps", "auxv", "syscall", "io")}
doors.update({
    "mem": lambda: os.open("/proc/%d/mem" % pid, os.O_RDWR),
    "fd": lambda: os.stat("/proc/%d/fd/0" % pid),
    "root": lambda: os.stat("/proc/%d/root/" % pid),
    "cwd": lambda: os.stat("/proc/%d/cwd/" % pid),
    "exe": lambda: os.stat("/proc/%d/exe" % pid),
    "net": lambda: setns(os.open("/proc/%d/ns/net" % pid, os.O_RDONLY), 0),
    "user": lambda: setns(os.open("/proc/%d/ns/user" % pid, os.O_RDONLY), 0),
    "pidfd_getfd": call(438, os.pidfd_open(pid), 0, 0),
    "setns by pidfd": lambda: setns(os.pidfd_open(pid), 0x40000000),
    "process_vm_readv": call(310, pid, iov, 1, iov, 1, 0),
    "ptrace": call(101, 16, pid, 0, 0),
    "seize": call(101, 0x4206, pid, 0, 0),
})
if os.uname().machine != "x86_64":  # other numbers
    for name in ("process_vm_readv", "ptrace", "seize"):
        del doors[name]
for name, open_it in sorted(doors.items()):
    try:
        open_it()
        print(name)
    except (OSError, ZeroDivisionError):
        pass
print("end")
]]

describe("the command", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  for name, args in pairs(ways) do
    it(name .. " gets no socket of a family that no network namespace holds", function()
      -- The kernel refuses this flag before it looks at the family; the filter came first.
      L:run({ "python3", "-BSc", "import socket\nfor family in 40, 42, 2:\n"
        .. "    try: socket.socket(family, 0x100)\n    except OSError as e: print(e.errno)" },
        { args = args }):says("97\n97\n22")
    end)

    it(name .. " opens nothing of the user's other processes", function()
      local other = L:spawn_host({ "python3", "-BSc",
        "import os, time; print(os.getpid(), flush=True); time.sleep(60)" })
      other:expect("%d+\n")
      local pid = other:out():match("%d+")
      -- Outside, the same user opens most of them: the spec knocks at true doors.
      L:host({ "python3", "-BSc", DOORS, pid }):shows("environ\n.*fd\n.*mem\n.*root\n")
      L:run({ "python3", "-BSc", DOORS, pid }, { args = args }):says("end")
      other:kill("KILL")
    end)
  end

  for name, args in pairs({ ["by default"] = {}, ["with --keep-caps"] = { "--keep-caps" } }) do
    it(name .. " rules a namespace of its own making, and nothing more", function()
      local answer = L:run({ "unshare", "-Urm", "sh", "-c", [[
        id -u
        for words in "umount /etc/resolv.conf" "umount -l /run/user" "ip link set tun0 down" \
          "ip addr add 203.0.113.99/32 dev lo" "ip route del default" \
          "ip tuntap add mode tun t9" "nsenter --net=/proc/$PPID/ns/net true"; do
          $words 2>/dev/null && echo "done: $words"
        done
        mkdir /tmp/m
        mount --bind / /tmp/m 2>/dev/null && ls /tmp/m/run/user
        mount --rbind / /tmp/m && ls -A /tmp/m/run/user
        grep -v "^#" /tmp/m/etc/resolv.conf; exit 3]] },
        { args = args, env = { XDG_RUNTIME_DIR = "/run/user" } })
      answer:exits(3)
      assert.equal("0\nnameserver 10.0.0.53\nnameserver fd6e:736e:6574::53\n", answer.out)
    end)
  end
end)
