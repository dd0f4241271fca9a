-- SPDX-License-Identifier: MIT
-- UDP as the two ends see it: sizes, strangers, errors, and flows that fall idle.
local lab = require("spec.support.lab")

describe("UDP", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  local port = lab.port

  lab.both(function(version, net)
    describe("over " .. version, function()
      -- around one Ethernet frame, around the tun's largest packet, and the largest there is
      for _, size in ipairs({ 0, 1, 1472, 1473, 9000, 65452, 65473, 65507 }) do
        it(("carries a datagram of %d bytes there and back"):format(size), function()
          L:client({ "udp", net.world, port.echo, size }):says("echo")
        end)
      end

      for _, size in ipairs({ 1, 1472, 9000, 65507 }) do
        it(("carries %d bytes back for a short question"):format(size), function()
          L:client({ "udp-sized", net.world, port.sized, size })
            :says(("%d %s"):format(size, L:sum(size)))
        end)
      end

      it("says ECONNREFUSED on the next call when nobody listens", function()
        L:client({ "udp-closed", net.world, port.closed }):says("ECONNREFUSED")
      end)

      it("says nothing of an unreachable host, as the kernel says nothing", function()
        L:client({ "udp", net.unreachable, port.closed, 10, 1 }):says("silence")
      end)

      it("keeps a flow that nobody answers silent", function()
        L:client({ "udp", net.silent, port.closed, 10, 1 }):says("silence")
      end)

      it("never shows the command a datagram from another peer", function()
        L:client({ "udp-text", net.world, port.foreign, "x", 1 }):says("true x")
      end)

      it("carries 200 flows at once, each its own answer", function()
        L:client({ "udp-many", net.world, port.echo, 200 }):says("ok 200")
      end)

      it("keeps one flow one flow: the world sees one address and port", function()
        local seen = L:client({ "udp-again", net.world, port.who, 0.2 }).out
        local first, second = seen:match("^(%S+) %S+|(%S+) ")
        assert.is_truthy(first)
        assert.equal(first, second)
        assert.equal(lab.bracket(net.host), (first:match("^(.*):%d+$")))
      end)
    end)
  end)
end)
