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

  it("change with a list that they read under --watch", function()
    os.remove(L:path("stop"))
    L:write("list.txt", "198.51.100.77\n")
    L:script("nsnet.default(nsnet.deny)\n"
      .. "nsnet.rules { { cidr = nsnet.cidrs 'list.txt', nsnet.allow } }\n", "listing.lua")
    local job = L:spawn({ "sh", "-c", asker },
      { args = { "--watch", "-s", "/run/lab/listing.lua" } })
    local function last(word)
      return lab.eventually(function()
        return (L:read(job.name .. ".out") or ""):match("(%w+)\n$") == word
      end)
    end
    assert.is_truthy(last("shut"))
    L:write("list.txt", "203.0.113.1\n")
    assert.is_truthy(last("open"))
    L:write("list.txt", "198.51.100.77\n")
    assert.is_truthy(last("shut"))
    L:write("stop", "")
    job:wait():exits(0)
  end)

  it("change on SIGHUP", function()
    scenario({}, function(text, job)
      L:script(text, "changing.lua")
      L:host({ "kill", "-HUP", (L:read(job.name .. ".pid"):gsub("%s", "")) }):exits(0)
    end)
  end)

  it("keep tables and files over a reload, from inside the cage", function()
    local code = [[
local kept = nsnet.persist "kept"
local log = nsnet.append "/run/lab/home/asked.jsonl"
nsnet.on_connect({ observe = true }, function(conn)
  kept.count = (kept.count or 0) + 1
  log:write(nsnet.json.encode { n = kept.count, to = conn.address, by = "%s" })
end)
]]
    os.remove(L:path("stop"))
    L:script(code:format("first"), "keeping.lua")
    local job = L:spawn({ "sh", "-c", asker }, { args = { "-s", "/run/lab/keeping.lua" } })
    local function has(file, text)
      return lab.eventually(function() return (L:read(file) or ""):find(text, 1, true) end)
    end
    assert.is_truthy(has("home/asked.jsonl", '{"by":"first","n":2,"to":"203.0.113.1:80"}\n'))
    -- As logrotate does it.
    assert(os.rename(L:path("home/asked.jsonl"), L:path("home/asked.jsonl.1")))
    L:script(code:format("second"), "keeping.lua")
    L:host({ "kill", "-HUP", (L:read(job.name .. ".pid"):gsub("%s", "")) }):exits(0)
    assert.is_truthy(has("home/asked.jsonl", '"by":"second"'))
    L:write("stop", "")
    job:wait():exits(0)
    -- The count goes on where it was, without a gap.
    local n = 0
    for _, file in ipairs({ "home/asked.jsonl.1", "home/asked.jsonl" }) do
      for number in L:read(file):gmatch('"n":(%d+)') do
        n = n + 1
        assert.equal(n, tonumber(number))
      end
    end
  end)
end)
