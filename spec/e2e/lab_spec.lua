-- SPDX-License-Identifier: MIT
-- The lab itself: if it lies, every other spec here does.
local lab = require("spec.support.lab")

describe("the lab", function()
  it("has no way from the host to anywhere but its own world", function()
    local L = lab.start()
    finally(function() L:stop() end)
    local routes = L:host({ "ip", "route" }).out .. L:host({ "ip", "-6", "route" }).out
    assert.is_nil(routes:match("default"))
    assert.equal("connected\n", L:host({ "python3", "-BS", "/run/repo/spec/support/client.py",
      "connect", lab.v4.world, lab.port.echo }).out)
  end)

  it("runs commands of the host side as an ordinary user", function()
    local L = lab.start({ world = false })
    finally(function() L:stop() end)
    assert.equal(lab.uid .. "\n", L:host({ "id", "-u" }).out)
    assert.matches("CapEff:%s+0+\n", L:host({ "cat", "/proc/self/status" }).out)
  end)

  it("leaves no process, namespace or folder behind", function()
    local L = lab.start()
    local job = L:spawn_host({ "sleep", "1000" }, { bound = 1000 })
    assert(job:pid())
    local init, dir = L.init, L.dir
    local net = io.popen(("readlink /proc/%d/ns/net"):format(init)):read("*l")
    L:stop()
    local left = io.popen(("readlink /proc/[0-9]*/ns/net | grep -cF '%s'"):format(net)):read("*l")
    assert.equal("0", left)
    assert.is_nil(io.open(dir))
  end)
end)
