-- SPDX-License-Identifier: MIT
-- ICMP echo is truly forwarded, or visibly refused: never faked.
local lab = require("spec.support.lab")

describe("ping", function()
  local L
  lazy_setup(function() L = lab.start({ world = false }) end)
  lazy_teardown(function() L:stop() end)

  local function allow_ping(range)
    L:host({ "sh", "-c", "echo " .. range .. " >/proc/sys/net/ipv4/ping_group_range" },
      { who = "root" }):exits(0)
  end

  lab.both(function(version, net)
    local flag = version == "IPv4" and "-4" or "-6"

    it("is answered by the world over " .. version, function()
      L:run({ "ping", flag, "-c", "3", "-i", "0.2", "-W", "5", net.world })
        :shows("3 packets transmitted, 3 received, 0%% packet loss")
    end)

    it("carries 8000 bytes over " .. version, function()
      L:run({ "ping", flag, "-c", "1", "-W", "5", "-s", "8000", net.world }):shows("8008 bytes")
    end)

    it("is not answered for a silent host over " .. version, function()
      L:run({ "ping", flag, "-c", "1", "-W", "1", net.silent }):shows("0 received", 1)
    end)

    it("is not answered for an unreachable host over " .. version, function()
      L:run({ "ping", flag, "-c", "1", "-W", "2", net.unreachable }):shows(" 0 received", 1)
    end)
  end)

  it("of the own loopback is the namespace's own affair", function()
    L:run({ "ping", "-c", "1", "-W", "5", "127.0.0.1" }):shows("1 received")
  end)

  if not lab.direct then
    it("is refused visibly where the host forbids ping sockets", function()
      allow_ping("1 0")
      finally(function()
        allow_ping(lab.root and ("%d %d"):format(lab.uid, lab.uid) or "0 0")
      end)
      lab.both(function(family, net)
        L:run({ "ping", "-c", "1", "-W", "2", net.world })
          :shows(family == "IPv6" and "Administratively prohibited.* 0 received.*"
            or "[Ff]iltered.* 0 received.*", 1)
      end)
    end)
  end
end)
