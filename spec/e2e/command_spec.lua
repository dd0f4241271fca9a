-- SPDX-License-Identifier: MIT
-- The command behind the program is what it is without it: status, signals, streams, identity.
local lab = require("spec.support.lab")

describe("the command", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  describe("ends", function()
    for _, code in ipairs({ 0, 1, 2, 42, 70, 71, 125, 126, 127, 128, 200, 255 }) do
      it("with status " .. code, function()
        L:run({ "sh", "-c", "exit " .. code }):exits(code)
      end)
    end
    for name, number in pairs({ HUP = 1, INT = 2, QUIT = 3, ABRT = 6, KILL = 9, SEGV = 11,
      PIPE = 13, TERM = 15 }) do
      it(("with status %d after SIG%s"):format(128 + number, name), function()
        L:run({ "sh", "-c", "ulimit -c 0; kill -" .. name .. " $$" }):exits(128 + number)
      end)
    end
  end)

  it("that does not exist is status 127 and a message", function()
    L:run({ "/no/such/command" }):exits(127):complains("/no/such/command")
    L:run({ "no-such-command" }):exits(127):complains("no%-such%-command")
  end)

  it("that cannot be executed is status 126 and a message", function()
    local file = L:write("plain", "echo no\n", "644")
    L:run({ file }):exits(126):complains(file)
    L:run({ "/run/lab" }):exits(126):complains("/run/lab")
  end)

  it("may be a script without a first line, as execvp(3) allows", function()
    L:run({ L:write("bare", "echo ran\n", "755") }):says("ran")
  end)

  it("gets its words exactly", function()
    L:run({ "printf", "[%s]", "a b", "", "--", "-x", "$HOME", "'\"", "\\", "last" })
      :shows("^%[a b%]%[%]%[%-%-%]%[%-x%]%[%$HOME%]%['\"%]%[\\%]%[last%]$")
  end)

  it("keeps the environment and the working directory", function()
    L:run({ "sh", "-c", "echo $MARK; pwd" }, { env = { MARK = "kept" }, cwd = "/run/lab" })
      :says("kept\n/run/lab")
  end)

  it("has the caller's streams, byte for byte", function()
    L:host({ "sh", "-c", "head -c 20000000 /dev/urandom >/run/lab/random" }):exits(0)
    local sum = L:host({ "sha256sum", "/run/lab/random" }).out:match("%x+")
    local words = L:wrap({ "cat" })
    L:host({ "sh", "-c", 'exec "$@" </run/lab/random | sha256sum', "sh", unpack(words) })
      :says(sum .. "  -")
  end)

  it("keeps its own standard error clean: the program adds nothing", function()
    local answer = L:run({ "sh", "-c", "echo out; echo err >&2" }):says("out")
    assert.equal("err\n", answer.err)
  end)

  -- What nsnet-host must not change. Each is compared with the same command without it.
  for what, script in pairs({
    ["user and group"] = "id -u; id -g",
    ["limits"] = "ulimit -a; ulimit -Hn",
    ["file mode mask and niceness"] = "umask; nice",
    ["signals blocked and ignored"] = "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status",
    ["open files"] = "ls /proc/self/fd",
    ["scheduling and out-of-memory score"] = "cat /proc/self/oom_score_adj; chrt -p $$ | tail -n 2"
      .. " | sed 's/.*: //'",
    ["dumpability"] = "ls -ld /proc/self/fd | cut -d' ' -f1,3,4; cat /proc/self/coredump_filter",
    ["file systems"] = "ls /; ls -d /run/lab /tmp; cat /etc/hosts",
  }) do
    it("keeps " .. what, function()
      local direct = L:host({ "sh", "-c", script }):exits(0)
      L:run({ "sh", "-c", script }):says(direct.out:sub(1, -2))
    end)
  end

  it("keeps ignored signals ignored and open files open", function()
    local script = "grep SigIgn /proc/self/status; readlink /proc/self/fd/7"
    local words = L:wrap({ "sh", "-c", script })
    local function under(all)
      return L:host({ "sh", "-c", "trap '' HUP USR1; exec 7</etc/hosts; exec \"$@\"", "sh",
        unpack(all) }):exits(0).out
    end
    assert.equal(under({ "sh", "-c", script }), under(words))
  end)

  it("that reads nothing does not hold up the program", function()
    L:run({ "true" }, { stdin = ("x"):rep(1000000) }):exits(0)
  end)

  it("may close its streams and go on", function()
    L:run({ "sh", "-c", "exec <&- >&- 2>&-; sleep 0.1; exit 5" }):exits(5)
  end)

  if lab.direct then return end

  describe("gets the signal sent to the program:", function()
    for _, name in ipairs({ "TERM", "HUP", "INT", "QUIT", "USR1", "USR2" }) do
      it(name, function()
        local job = L:spawn({ "sh", "-c", ("trap 'echo got %s; exit 9' %s; echo ready;"
          .. " while :; do sleep 0.05; done"):format(name, name) })
        job:expect("ready")
        job:kill(name)
        job:wait():shows("ready\ngot " .. name .. "\n", 9)
      end)
    end

    it("TERM, and dies of it", function()
      local job = L:spawn({ "sh", "-c", "echo ready; exec sleep 100" })
      job:expect("ready")
      job:kill("TERM")
      job:wait():exits(143)
    end)

    it("STOP and CONT, after which both go on", function()
      local job = L:spawn({ "sh", "-c", "echo ready; sleep 0.5; cat /proc/net/tcp >/dev/null;"
        .. " exec python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1 7001" })
      job:expect("ready")
      job:kill("STOP")
      lab.sleep(0.1)
      job:kill("CONT")
      job:wait():shows("ready\nconnected\n")
    end)
  end)

  it("leaves no zombie, while it runs or afterwards", function()
    local job = L:spawn({ "sh", "-c", "for i in 1 2 3 4 5; do (sh -c 'sleep 0.05 & exit' &); done;"
      .. " sleep 0.3; echo ready; until [ -e /run/lab/home/done ]; do sleep 0.02; done" })
    job:expect("ready")
    assert.is_nil(L:world({ "ps", "-eo", "stat=" }).out:match("Z"))
    L:host({ "touch", "/run/lab/home/done" })
    job:wait():exits(0)
    assert.is_nil(L:world({ "ps", "-eo", "stat=" }).out:match("Z"))
  end)

  it("and the program leave no process behind", function()
    local before = L:world({ "sh", "-c", "ps -eo comm= | grep -c -e nsnet -e shim" }).out
    L:run({ "sh", "-c", "true" }):exits(0)
    assert.equal(before, L:world({ "sh", "-c", "ps -eo comm= | grep -c -e nsnet -e shim" }).out)
  end)

  describe("is confined:", function()
    it("no capability, no new privileges", function()
      local status = L:run({ "cat", "/proc/self/status" }):exits(0).out
      for _, set in ipairs({ "Inh", "Prm", "Eff", "Bnd", "Amb" }) do
        assert.matches("Cap" .. set .. ":%s+0+\n", status)
      end
      assert.matches("NoNewPrivs:%s+1\n", status)
    end)

    it("with --root it sees itself as root, still without a capability", function()
      L:run({ "id", "-u" }, { args = { "--root" } }):says("0")
      L:run({ "cat", "/proc/self/status" }, { args = { "--root" } })
        :shows("CapPrm:%s+0+\n"):shows("CapEff:%s+0+\n"):shows("NoNewPrivs:%s+1\n")
    end)

    it("with --keep-caps it is root of its namespaces only", function()
      local answer = L:run({ "sh", "-c", "id -u; cat /proc/self/status; ip link add d0 type dummy"
        .. " && echo made; date -s @0 || echo no clock" }, { args = { "--keep-caps" } })
      answer:shows("^0\n"):shows("CapEff:%s+%x*[1-9a-f]"):shows("no clock")
    end)

    it("it cannot change its network or make another tun", function()
      for _, words in ipairs({ { "ip", "link", "set", "lo", "down" },
        { "ip", "addr", "add", "198.51.100.9/24", "dev", "lo" },
        { "ip", "route", "del", "default" }, { "ip", "tuntap", "add", "mode", "tun", "t9" },
        { "mount", "-t", "tmpfs", "none", "/mnt" }, { "umount", "/etc/resolv.conf" } }) do
        local answer = L:run(words, { args = { "--root" } })
        assert.is_true(answer.code ~= 0, table.concat(words, " "))
      end
    end)

    it("the host's abstract sockets are not there", function()
      local server = L:serve("abstract", { "python3", "-BSc", "import socket\n"
        .. "s = socket.socket(socket.AF_UNIX)\ns.bind('\\0nsnet-e2e')\ns.listen()\n"
        .. "print('ready', flush=True)\nwhile True: s.accept()[0].close()\n" },
        { where = "host" })
      local connect = { "python3", "-BSc", "import socket\n"
        .. "print(socket.socket(socket.AF_UNIX).connect_ex('\\0nsnet-e2e'))\n" }
      L:host(connect):says("0")
      L:run(connect):says("111")
      server:kill("KILL")
    end)
  end)

  describe("sees a network of its own:", function()
    it("addresses, the largest MTU and two default routes", function()
      local answer = L:run({ "sh", "-c", "ip addr; ip route; ip -6 route" }):exits(0)
      answer:shows("inet 10%.0%.0%.1/24"):shows("inet6 fd6e:736e:6574::1/64"):shows("mtu 65520")
        :shows("default [^\n]*\n.*default [^\n]*\n")
    end)

    it("the MTU that --mtu says, and transfers work with it", function()
      for _, mtu in ipairs({ 1280, 1500, 9000 }) do
        local args = { "--mtu", tostring(mtu) }
        L:run({ "ip", "addr" }, { args = args }):shows("mtu " .. mtu .. " ")
        lab.both(function(_, net)
          L:client({ "fetch", net.world, lab.port.source, 3000000, "fin" }, { args = args })
            :says("3000000 " .. L:sum(3000000) .. " end=eof")
          L:client({ "upload", net.world, lab.port.sum, 3000000 }, { args = args })
            :says(("3000000 %s\nend=eof"):format(L:sum(3000000)))
          L:client({ "udp", net.world, lab.port.echo, 20000 }, { args = args }):says("echo")
        end)
      end
    end)

    it("another network with --net4 and --net6", function()
      local args = { "--net4", "172.20.0.1/24", "--net6", "fd00:77::1/64" }
      L:run({ "ip", "addr" }, { args = args }):shows("172%.20%.0%.1/24"):shows("fd00:77::1/64")
      L:run({ "cat", "/etc/resolv.conf" }, { args = args }):shows("172%.20%.0%.53")
      L:client({ "talk", "203.0.113.1", lab.port.echo, "x" }, { args = args }):says("xend=eof")
    end)
  end)

  describe("usage errors are status 2 with one line:", function()
    for _, words in ipairs({ {}, { "--mtu", "100" }, { "--mtu", "65521" }, { "--mtu", "x" },
      { "--no-such-option" }, { "--default", "maybe" }, { "--max-conns", "-1" },
      { "--udp-idle", "x" }, { "--net4", "10.0.0.1" }, { "-s" } }) do
      it("nsnet-host " .. table.concat(words, " "), function()
        local with_command = #words > 0 and words[#words] ~= "-s"
        L:run(with_command and { "true" } or {}, { args = words }):exits(2)
          :complains("^nsnet%-host: [^\n]+\n")
      end)
    end
  end)

  it("nsnet-host doctor finds nothing missing here", function()
    L:run({}, { args = { "doctor" } }):exits(0)
  end)

  describe("when the program is killed", function()
    local function killed(script)
      local job = L:spawn({ "bash", "-c", script })
      job:expect("ready")
      job:kill("KILL")
      job:wait()
      return job
    end

    it("goes on without a network: closed, never open", function()
      killed("echo ready; exec >/run/lab/after 2>&1; echo $$ >/run/lab/home/child.pid;"
        .. " until [ -e /run/lab/home/go ]; do sleep 0.02; done;"
        .. " python3 -BS /run/repo/spec/support/client.py scan tcp 1 7001 203.0.113.1"
        .. " 2001:db8:2::1; echo end")
      L:host({ "touch", "/run/lab/home/go" }):exits(0)
      assert.is_true(lab.eventually(function()
        return (L:read("after") or ""):match("end\n") ~= nil
          or L:world({ "sh", "-c", "kill -0 $(cat /run/lab/home/child.pid)" }).code ~= 0
      end))
      assert.is_nil((L:read("after") or ""):match("connected"))
    end)

    it("the host's mounts are as they were", function()
      local function mounts() return L:host({ "cat", "/proc/self/mountinfo" }).out end
      local before = mounts()
      L:run({ "cat", "/etc/resolv.conf" }):exits(0)
      assert.equal(before, mounts())
      killed("echo ready; sleep 1")
      assert.equal(before, mounts())
      L:host({ "grep", "-c", "203.0.113.53", "/etc/resolv.conf" }):says("1")
    end)
  end)

  describe("with --linger", function()
    local script = "(sleep 0.5; python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1"
      .. " 7001 5 >/run/lab/home/late 2>&1) </dev/null >/dev/null 2>&1 & exit 6"

    it("what it left behind keeps its network until it ends", function()
      L:run({ "sh", "-c", script }, { args = { "--linger" } }):exits(6)
      L:host({ "cat", "/run/lab/home/late" }):says("connected")
    end)

    it("left out, the network ends with the command", function()
      L:host({ "rm", "-f", "/run/lab/home/late" })
      L:run({ "sh", "-c", script }):exits(6)
      assert.is_true(lab.eventually(function()
        return (L:read("home/late") or ""):match("\n") ~= nil
      end))
      assert.is_nil(L:read("home/late"):match("connected"))
    end)
  end)

  it("that ends at once after its last bytes still has them delivered", function()
    for _ = 1, 3 do
      L:run({ "bash", "-c", "head -c 3000000 /dev/zero >/dev/tcp/203.0.113.1/7004" }):exits(0)
    end
    assert.is_true(lab.eventually(function()
      return select(2, L:log():gsub("tcp_watch %S+ %S+ end=eof bytes=3000000 ", "")) == 3
    end), L:log():sub(-500))
  end)
end)
