-- SPDX-License-Identifier: MIT
-- Over a cable that loses, doubles, reorders and delays frames, every byte arrives, once and in its
-- place, in both directions; and so it does if everybody stops for seconds.
local lab = require("spec.support.lab")

describe("over a bad cable", function()
  local L, cable
  lazy_setup(function()
    L = lab.start()
    cable = L:impair(7, 20, 20, 30, 3)
  end)
  lazy_teardown(function() L:stop() end)
  local port = lab.port

  lab.both(function(version, net)
    it("each byte arrives once, in its place, over " .. version, function()
      local size = 2000000
      L:client({ "fetch", net.world, port.source, size, "fin" })
        :says(size .. " " .. L:sum(size) .. " end=eof")
      L:client({ "upload", net.world, port.sum, size })
        :says(("%d %s\nend=eof"):format(size, L:sum(size)))
      L:client({ "exchange", net.world, port.echo, size }):says(L:sum(size))
      L:client({ "many", net.world, port.echo, 10, 50000 }):says("ok 10")
      L:client({ "connect", net.world, port.closed }):says("ECONNREFUSED")
    end)

    it("a datagram is lost, doubled or whole, over " .. version, function()
      for _ = 1, 5 do
        local said = L:client({ "udp", net.world, port.echo, 5000, 1 }).out
        assert.is_truthy(said == "echo\n" or said == "silence\n", said)
      end
    end)

    it("a second without a cable costs no byte, over " .. version, function()
      local job = L:spawn_client({ "trickle", net.world, port.echo, 30, 0.03 })
      lab.sleep(0.3)
      cable:kill("USR1")
      job:wait(60):says("30 echoes")
    end)
  end)

  it("it was bad indeed", function()
    cable:kill("TERM")
    local did = cable:wait():exits(0).out
    for _, what in ipairs({ "lost", "doubled", "late" }) do
      assert.is_true(tonumber(did:match(what .. "=(%d+)")) > 10, did)
    end
  end)
end)
