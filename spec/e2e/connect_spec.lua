-- SPDX-License-Identifier: MIT
-- connect() in the command fails exactly as it would have failed without the program.
local lab = require("spec.support.lab")

describe("a connect that fails", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  local closed = lab.port.closed

  local cases = {
    { "a closed port", "world", "ECONNREFUSED", "ECONNREFUSED" },
    { "an unreachable host", "unreachable", "EHOSTUNREACH", "EHOSTUNREACH" },
    { "a prohibited host", "prohibited", "EHOSTUNREACH", "EACCES" },
    { "a network the router does not know", "no_net", "ENETUNREACH", "ENETUNREACH" },
    { "a network the host does not know", "no_route", "ENETUNREACH", "ENETUNREACH" },
  }
  lab.both(function(version, net)
    for _, case in ipairs(cases) do
      local wanted = version == "IPv4" and case[3] or case[4]
      it(("to %s is %s over %s"):format(case[1], wanted, version), function()
        L:client({ "connect", net[case[2]], closed }):says(wanted)
      end)
    end

    it("to a silent host stays silent over " .. version, function()
      L:client({ "connect", net.silent, closed, 3 }):says("silence")
    end)

    it("is no failure at all where somebody listens, over " .. version, function()
      L:client({ "connect", net.world, lab.port.silent }):says("connected")
    end)

    it("gives a client that waits in poll the same errno, over " .. version, function()
      L:client({ "many", net.world, closed, 20, 1 }):says("ECONNREFUSED")
    end)

    it("gives up the host's own attempt when the client does, over " .. version, function()
      local job = L:spawn_client({ "connect", net.silent, closed, 1 })
      local trying = "dst " .. lab.bracket(net.silent)
      assert(lab.eventually(function()
        return L:host({ "ss", "-Htn", "state", "syn-sent", trying }).out ~= ""
      end))
      job:wait():says("silence")
      assert.equal("", L:host({ "ss", "-Htn", "state", "syn-sent", trying }).out)
    end)
  end)

  it("tells curl and wget what it tells everybody", function()
    L:run({ "curl", "-sS", "-m", "10", "http://203.0.113.1:7099/" }):exits(7)
    L:run({ "wget", "-T", "10", "-t", "1", "-O", "-", "http://203.0.113.1:7099/" }):exits(4)
      :complains("Connection refused")
    L:run({ "wget", "-T", "10", "-t", "1", "-O", "-", "http://203.0.113.201/" }):exits(4)
      :complains("No route to host")
  end)
end)
