-- SPDX-License-Identifier: MIT
-- examples/busybox-root.sh: a small root, made by an ordinary user, with a network.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("the example of a busybox root", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  local function root(...)
    local host = L:wrap({})
    local shim = host[#host]:gsub("[^/]+$", "container-shim") -- beside the program
    return L:run({ "env", "CONTAINER_SHIM=" .. shim, "/run/repo/examples/busybox-root.sh", ... },
      { args = { "--keep-caps" } })
  end

  lab.both(function(version, net)
    it("reaches the world over " .. version, function()
      root("wget", "-q", "-O-", ("http://%s/where"):format(lab.bracket(net.world)))
        :says(lab.bracket(net.world) .. ":80")
    end)
  end)

  it("is a root of its own, and leaves nothing", function()
    local before = L:host({ "ls", "-a", "/mnt" }).out
    root("sh", "-c", "echo $(ls /) $(ls /old | wc -l) $(id -u) $(test -x /usr/bin/env || echo no)")
      :says("bin dev etc old proc tmp 0 0 no")
    assert.equal(before, L:host({ "ls", "-a", "/mnt" }).out)
  end)

  it("has the tun node, for another of its kind", function()
    root("sh", "-c", "test -c /dev/net/tun && : <>/dev/net/tun && echo there"):says("there")
  end)

  it("has the name server that answers inside", function()
    root("sh", "-c", "grep -c '^nameserver 10.0.0.53' /etc/resolv.conf"):says("1")
  end)
end)
