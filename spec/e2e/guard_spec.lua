-- SPDX-License-Identifier: MIT
-- What the command may not reach unless a rule names it: the host itself and its neighborhood.
-- Servers listen at every one of these addresses; what counts is that they are never asked.
local lab = require("spec.support.lab")

describe("the guard", function()
  local L
  local own_link_local
  lazy_setup(function()
    L = lab.start()
    own_link_local = L:host({ "sh", "-c",
      "ip -6 -o addr show h0 scope link | sed 's/.*inet6 //; s,/.*,,'" }).out:match("%S+")
    L:serve("inner", { "python3", "-BS", "/run/repo/spec/support/world.py", "inner", "127.0.0.1",
      "127.0.0.2", "::1", lab.v4.host, lab.v6.host }, { where = "host" })
  end)
  lazy_teardown(function() L:stop() end)

  -- Spellings of the host's loopback, own addresses, neighbors and metadata services. The namespace
  -- has a loopback of its own, so the first few are refused by the namespace's kernel.
  local forbidden = {
    "127.0.0.1", "127.0.0.2", "127.255.255.254", "0.0.0.0", "0.0.0.1",
    "10.0.0.1", "10.0.0.2", "10.0.0.53", "10.0.0.100", "10.0.0.255",
    lab.v4.host, "198.51.100.255", "255.255.255.255", "224.0.0.1", "239.255.255.250",
    "169.254.169.254", "169.254.0.1", "100.100.100.200", "168.63.129.16",
    "::1", "::", lab.v6.host, "fe80::1", "fd00:ec2::254", "ff02::1",
    "fd6e:736e:6574::1", "fd6e:736e:6574::2", "fd6e:736e:6574::53", "fd6e:736e:6574::100",
    "::ffff:127.0.0.1", "::ffff:" .. lab.v4.host, "::ffff:169.254.169.254",
    "::127.0.0.1", "::" .. lab.v4.host, "::169.254.169.254",
    "64:ff9b::127.0.0.1", "64:ff9b::" .. lab.v4.host, "64:ff9b::169.254.169.254",
    "64:ff9b:1::127.0.0.1", "64:ff9b:1::" .. lab.v4.host, "64:ff9b:1:ffff:ffff:ffff:7f00:1",
    "2002:7f00:1::", "2002:7f00:1::1", "2002:c633:6402::1", "2002:a9fe:a9fe::1",
    "::ffff:0:127.0.0.1", "::ffff:0.0.0.0", "64:ff9b::0.0.0.0",
  }

  -- The lines of a scan that say that somebody answered, and what the servers on the host saw.
  local function answered(answer, word, before)
    local found = {}
    for line in answer.out:gmatch("[^\n]+") do
      if line:match(" " .. word .. "$") then found[#found + 1] = line end
    end
    if not found[1] and (L:read("inner.log") or "") == before then return "" end
    return ("%s\nthe host's servers saw:\n%s\nthe program said:\n%s"):format(
      table.concat(found, "\n"), (L:read("inner.log") or ""):sub(#before + 1), answer.err)
  end

  local function scan(kind, options, hosts)
    local words = { "scan", kind, kind == "tcp" and 2 or 0.2, 7001 }
    for _, host in ipairs(hosts or forbidden) do words[#words + 1] = host end
    if own_link_local and not hosts then words[#words + 1] = own_link_local end
    return L:client(words, options)
  end

  it("would have let all of this through without a guard", function()
    local answer = L:host({ "python3", "-BS", "/run/repo/spec/support/client.py", "scan", "tcp",
      "1", "7001", "127.0.0.1", "127.0.0.2", "::1", "0.0.0.0", "::", lab.v4.host, lab.v6.host,
      "169.254.169.254", "fd00:ec2::254", "::ffff:127.0.0.1", "::ffff:" .. lab.v4.host })
    assert.equal(11, select(2, answer.out:gsub(" connected", "")))
    -- The servers write a line when such a connection has ended, by and by: not during the next
    -- specs, which look for new ones.
    assert.is_truthy(lab.eventually(function()
      local lines = (L:read("inner.log") or "") .. L:log()
      return select(2, lines:gsub("tcp_echo [^\n]*end=[^\n]*\n", "")) == 11
    end))
  end)

  if lab.direct then return end

  local ways = {
    { "by default", {} },
    { "by a rule that allows everything", { "-e",
      "nsnet.on_connect(function() return nsnet.allow end)"
        .. " nsnet.on_flow(function() return nsnet.allow end)" } },
    { "with --root", { "--root" } },
    { "with --default allow and -v", { "--default", "allow", "-v" } },
    { "with --dry-run", { "--dry-run", "--default", "deny" } },
    { "with --linger and --mtu 1280", { "--linger", "--mtu", "1280" } },
  }
  for _, way in ipairs(ways) do
    it("lets nothing through " .. way[1] .. ", TCP or UDP", function()
      local before = L:read("inner.log") or ""
      local world = select(2, L:log():gsub("\n", ""))
      local tcp = scan("tcp", { args = way[2], bound = 90 }):exits(0)
      assert.equal("", answered(tcp, "connected", before))
      local udp = scan("udp", { args = way[2], bound = 90 }):exits(0)
      assert.equal("", answered(udp, "echo", before))
      assert.equal(world, select(2, L:log():gsub("\n", "")), "metadata service was asked")
    end)
  end

  it("refuses visibly, at once", function()
    L:client({ "connect", lab.v4.host, 7001 }):says("ECONNREFUSED")
    L:client({ "connect", lab.v6.host, 7001 }):says("ECONNREFUSED")
    L:client({ "connect", "169.254.169.254", 80 }):says("ECONNREFUSED")
    L:client({ "udp-closed", lab.v4.host, 7001 }):says("ECONNREFUSED")
    L:client({ "udp-closed", lab.v6.host, 7001 }):says("ECONNREFUSED")
  end)

  it("says with -v what it refused and why", function()
    L:client({ "connect", "169.254.169.254", 80 }, { args = { "-v" } })
      :complains("169%.254%.169%.254")
  end)

  it("says what opens it", function()
    L:client({ "connect", "169.254.169.254", 80 }):complains(
      "link%-local address is closed to the command; a rule with this address in its cidr opens it")
    L:client({ "connect", lab.v6.host, 7001 }):complains(
      "the host's own address is closed to the command; a rule with this address in its cidr")
    L:client({ "connect", "10.0.0.100", 7001 })
      :complains("closed to the command; %-%-allow%-host makes this address the host's loopback")
    L:client({ "connect", "10.0.0.7", 7001 })
      :complains("closed to the command; nobody is there; .*%-%-net4")
    L:client({ "connect", "203.0.113.9", 80 }, { args = { "-e",
      "nsnet.rules { { nsnet.redirect '127.0.0.1:7001' } }" } })
      :complains("host loopback is closed to the command; { host_loopback = true } in the redirect")
  end)

  it("holds for pings", function()
    for _, host in ipairs({ lab.v4.host, lab.v6.host, "169.254.169.254", "fd00:ec2::254",
      "10.0.0.100", "64:ff9b::" .. lab.v4.host }) do
      L:run({ "ping", "-c", "1", "-W", "1", host }):shows(" 0 received", 1)
    end
  end)

  it("follows the host's addresses when they change", function()
    local job = L:spawn({ "sh", "-c", "echo ready;"
      .. " until [ -e /run/lab/home/go ]; do sleep 0.02; done;"
      .. " exec python3 -BS /run/repo/spec/support/client.py connect 203.0.113.77 7001" })
    job:expect("ready")
    L:host({ "ip", "addr", "add", "203.0.113.77/32", "dev", "lo" }, { who = "root" }):exits(0)
    L:host({ "touch", "/run/lab/home/go" })
    L:serve("new", { "python3", "-BS", "/run/repo/spec/support/world.py", "new", "203.0.113.77" },
      { where = "host" })
    job:wait():says("ready\nECONNREFUSED")
    L:client({ "connect", "203.0.113.77", 7001 }):says("ECONNREFUSED")
    L:host({ "ip", "addr", "del", "203.0.113.77/32", "dev", "lo" }, { who = "root" })
  end)

  -- An address that becomes the host's own while somebody is on the way to it: gives it to the
  -- host, and somebody listens there.
  local function become(address)
    L:host({ "ip", "addr", "add", address .. "/32", "dev", "lo" }, { who = "root" }):exits(0)
    finally(function()
      L:host({ "ip", "addr", "del", address .. "/32", "dev", "lo" }, { who = "root" })
    end)
    local name = "became" .. address:match("%d+$")
    local server = L:serve(name, { "python3", "-BS", "/run/repo/spec/support/world.py", name,
      address }, { where = "host" })
    return function()
      server:kill("KILL")
      return L:read(name .. ".log") or ""
    end
  end

  it("holds for a connection that is being made when the address becomes the host's", function()
    local job = L:spawn_client({ "connect", lab.v4.silent, 7001, 8 })
    assert.is_truthy(lab.eventually(function()
      return L:host({ "ss", "-Htn", "state", "syn-sent" }).out:match(lab.v4.silent .. ":7001")
    end))
    local seen = become(lab.v4.silent)
    assert.equal("ECONNREFUSED\n", job:wait().out)
    assert.equal("", seen())
  end)

  it("holds for datagrams of a flow that was there before", function()
    -- Nobody listens at this address of the world: it answers each datagram with an ICMP error.
    local job = L:spawn({ "python3", "-BSc", "import socket, time\n"
      .. "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
      .. "for i in range(60):\n"
      .. "    s.sendto(b'x', ('203.0.113.9', 7004))\n"
      .. "    if i == 10: print('ready', flush=True)\n"
      .. "    time.sleep(0.05)\n" })
    job:expect("ready")
    local seen = become("203.0.113.9")
    job:wait():exits(0)
    assert.equal("", seen())
  end)

  it("is not passed by a redirect that does not say so", function()
    for _, target in ipairs({ "127.0.0.1:7001", "[::1]:7001", lab.v4.host .. ":7001",
      "169.254.169.254:80", "[::ffff:127.0.0.1]:7001" }) do
      local before = L:read("inner.log") or ""
      L:client({ "connect", lab.v4.world, 7001 }, { args = { "-e",
        ("nsnet.on_connect(function() return nsnet.redirect(%q) end)"):format(target) } })
        :says("ECONNREFUSED")
      assert.equal(before, L:read("inner.log") or "")
    end
  end)

  it("is passed by a redirect with host_loopback", function()
    local args = { "-e", "nsnet.on_connect(function(c) return nsnet.redirect("
      .. "c.dst_ip:find(':') and '[::1]:7008' or '127.0.0.1:7008', {host_loopback = true}) end)" }
    L:client({ "talk", lab.v4.world, 7008, "" }, { args = args })
      :shows("^127%.0%.0%.1:%d+ 127%.0%.0%.1:7008\n")
    L:client({ "talk", lab.v6.world, 7008, "" }, { args = args }):shows("%[::1%]:7008\n")
  end)

  describe("with --allow-host", function()
    local args = { "--allow-host" }

    it("lets 10.0.0.100 and its twin reach the host's loopback, TCP and UDP", function()
      L:client({ "talk", "10.0.0.100", 7008, "" }, { args = args })
        :shows("^127%.0%.0%.1:%d+ 127%.0%.0%.1:7008\n")
      L:client({ "talk", "fd6e:736e:6574::100", 7008, "" }, { args = args })
        :shows("^%[::1%]:%d+ %[::1%]:7008\n")
      L:client({ "udp", "10.0.0.100", 7001, 2000 }, { args = args }):says("echo")
      L:client({ "udp", "fd6e:736e:6574::100", 7001, 2000 }, { args = args }):says("echo")
      L:client({ "connect", "10.0.0.100", 7099 }, { args = args }):says("ECONNREFUSED")
    end)

    it("lets nothing else through", function()
      local others = {}
      for _, host in ipairs(forbidden) do
        if host ~= "10.0.0.100" and host ~= "fd6e:736e:6574::100" then
          others[#others + 1] = host
        end
      end
      local before = L:read("inner.log") or ""
      local answer = scan("tcp", { args = args, bound = 90 }, others):exits(0)
      assert.equal("", answered(answer, "connected", before))
    end)
  end)

  it("does not hide the world", function()
    lab.both(function(_, net) L:client({ "connect", net.world, 7001 }):says("connected") end)
    L:client({ "connect", "::ffff:" .. lab.v4.world, 7001 }):says("connected")
  end)
end)
