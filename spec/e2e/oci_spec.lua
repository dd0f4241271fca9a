-- SPDX-License-Identifier: MIT
-- examples/oci: what a container engine would do with the hook.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("the OCI hook", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  local function hook(pid, args)
    local host = L:wrap({}, {})
    host = host[#host]
    local words = { "env", "PATH=" .. host:match("^(.*)/") .. ":/usr/bin:/bin",
      "/run/repo/examples/oci/nsnet-hook", unpack(args or {}) }
    -- As crun writes it; who made the container may have put anything into the annotations.
    return L:host(words, { stdin = ('{"ociVersion":"1.0","id":"c1","pid":%s,"status":"created",' ..
      '"annotations":{"pid":"1","a":"\\"pid\\": 1"}}'):format(pid), env = {
      XDG_RUNTIME_DIR = "/run/lab/home" } })
  end

  it("gives a container its network before the command runs, and goes with it", function()
    local job = L:spawn_host({ "unshare", "-rn", "sh", "-c", "echo made; exec sleep 100" })
    job:expect("made")
    hook(job:pid(), { "--log", "/run/lab/home/log" }):exits(0)
    L:host({ "nsenter", "-t", job:pid(), "-U", "-n", "--preserve-credentials", "python3", "-BS",
      "/run/repo/spec/support/client.py", "exchange", lab.v6.world, lab.port.echo, 5000 })
      :says(L:sum(5000))
    job:kill("KILL")
    assert(lab.eventually(function()
      return L:host({ "pgrep", "-x", "nsnet-host" }).out == ""
    end))
    assert(L:read("home/log"):match("tcp .*:7001 +allow"))
  end)

  it("keeps a container from starting that has none", function()
    hook(999999):exits(1):complains("%-%-pid 999999: No such process")
    hook('"none"'):exits(1)
  end)

  it("is named by a file that is JSON, for the stage before the command", function()
    assert.equal(0, os.execute("jq -e '.stages == [\"createRuntime\"] and " ..
      ".when.annotations[\"^nsnet$\"] == \"^on$\"' examples/oci/nsnet.json >/dev/null"))
  end)
end)
