-- SPDX-License-Identifier: MIT
-- iperf3: many streams, both ways. What it measures is the business of `make bench`.
local lab = require("spec.support.lab")

describe("iperf3", function()
  local L
  lazy_setup(function()
    L = lab.start({ world = false })
    L:serve("iperf4", { "iperf3", "-s", "-B", lab.v4.world }, { listening = 5201,
      address = lab.v4.world })
    L:serve("iperf6", { "iperf3", "-s", "-B", lab.v6.world }, { listening = 5201,
      address = lab.v6.world })
  end)
  lazy_teardown(function() L:stop() end)

  lab.both(function(version, net)
    for _, case in ipairs({
      { "up", "-n", "200M" },
      { "down", "-n", "200M", "-R" },
      { "both ways at once", "-t", "1", "--bidir" },
      { "up in 8 streams", "-n", "200M", "-P", "8" },
      { "down in 8 streams", "-n", "200M", "-P", "8", "-R" },
      { "UDP up", "-u", "-b", "50M", "-t", "1", "-l", "1400" },
      { "UDP down", "-u", "-b", "50M", "-t", "1", "-l", "1400", "-R" },
    }) do
      it(("sends %s over %s"):format(case[1], version), function()
        local all = { "iperf3", "-J", "-c", net.world }
        for i = 2, #case do all[#all + 1] = case[i] end
        local answer = L:run(all, { bound = 60 }):exits(0)
        local bytes = tonumber(answer.out:match('"sum_received".-"bytes":%s*(%d+)')
          or answer.out:match('"sum".-"bytes":%s*(%d+)'))
        assert.is_true(bytes and bytes > 1e6, "received: " .. tostring(bytes))
      end)
    end
  end)
end)
