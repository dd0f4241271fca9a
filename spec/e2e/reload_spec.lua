-- SPDX-License-Identifier: MIT
-- The scripts are loaded again on SIGHUP and by --watch; a wrong one changes nothing.
local lab = require("spec.support.lab")

describe("the rules", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local deny = "nsnet.on_connect(function() return nsnet.deny 'closed' end)\n"
  local allow = "nsnet.on_connect(function() return nsnet.allow end)\n"

  -- Asks again and again until the file "stop" is there, and says what it got.
  local asker = [[
    while ! [ -e /run/lab/stop ]; do
      curl -s -m 5 -o /dev/null http://203.0.113.1/small && echo open || echo shut
      sleep 0.05
    done]]

  local function scenario(args, change)
    os.remove(L:path("stop"))
    L:script(deny, "changing.lua")
    args[#args + 1] = "-s"
    args[#args + 1] = "/run/lab/changing.lua"
    local job = L:spawn({ "sh", "-c", asker }, { args = args })
    local function last(word)
      return lab.eventually(function()
        return (L:read(job.name .. ".out") or ""):match("(%w+)\n$") == word
      end)
    end
    local function says(text)
      return lab.eventually(function()
        return (L:read(job.name .. ".err") or ""):find(text, 1, true)
      end)
    end
    assert.is_truthy(last("shut"))
    change(allow, job)
    assert.is_truthy(says("loaded again"))
    assert.is_truthy(last("open"))
    change("nsnet.on_connect(function( return\n", job)
    assert.is_truthy(says("keeping the rules"))
    assert.is_truthy(last("open"))
    change(deny, job)
    assert.is_truthy(last("shut"))
    L:write("stop", "")
    job:wait():exits(0)
  end

  it("change with the file under --watch", function()
    scenario({ "--watch" }, function(text) L:script(text, "changing.lua") end)
  end)

  it("change with a file that is replaced, as editors do, under --watch", function()
    scenario({ "--watch" }, function(text)
      L:script(text, "other.lua")
      assert(os.rename(L:path("other.lua"), L:path("changing.lua")))
    end)
  end)

  it("change on SIGHUP", function()
    scenario({}, function(text, job)
      L:script(text, "changing.lua")
      L:host({ "kill", "-HUP", (L:read(job.name .. ".pid"):gsub("%s", "")) }):exits(0)
    end)
  end)
end)
