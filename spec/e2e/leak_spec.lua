-- SPDX-License-Identifier: MIT
-- After rounds of everything that a command, its callers and its master can do, the program holds
-- what it held before: descriptors, flows, memory; and the host its mounts and namespaces.
local lab = require("spec.support.lab")
if lab.direct then return end

local WARM, ROUNDS = 3, 4

describe("after rounds of mixed traffic", function()
  local L, job
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  local done, reloads = 0, 0

  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53", "2001:db8:2::53" }, "203.0.113.1")
    L:write("orders", "", "666")
    local rules = L:script([[
nsnet.on_connect(function(c)
  if c.dst_port == 7098 then return nsnet.deny "closed" end
  if c.dst_port == 7097 then
    return nsnet.redirect(c.dst_ip:find(":") and "[2001:db8:2::1]:7001" or "203.0.113.1:7001")
  end
end)
nsnet.on_flow(function() return nil end)
nsnet.on_dns(function() return nil end)]])
    job = L:spawn({ "python3", "-BS", "/run/repo/spec/support/mixture.py", "/run/lab/orders",
      "10.0.0.53", "fd6e:736e:6574::53" }, { bound = 300, env = env,
      args = { "-s", rules, "--udp-idle", "1", "-p", "8080:9000", "-p", "8081:9001/udp",
        "-p", "[::1]:8080:9000", "-p", "[::1]:8081:9001/udp" } })
    job:expect("ready")
  end)
  lazy_teardown(function() L:stop() end)

  local function order(line)
    local file = assert(io.open(L:path("orders"), "a"))
    file:write(line, "\n")
    file:close()
  end

  local function ctl(...)
    return L:run({}, { env = env,
      args = { "ctl", "--pid", tostring(job:pid()), "--json", ... } }):exits(0).out
  end

  local function number(text, group, key)
    return tonumber(text:match('"' .. group .. '":{[^}]*"' .. key .. '":(%d+)'))
  end

  -- Traffic of the command, with callers, reloads and orders to the control socket meanwhile.
  local function round()
    order("1")
    for _, host in ipairs({ "127.0.0.1", "::1" }) do
      L:host({ "python3", "-BS", "/run/repo/spec/support/client.py", "exchange", host, "8080",
        "100000" }):says(L:sum(100000))
      L:host({ "python3", "-BS", "/run/repo/spec/support/client.py", "udp", host, "8081", "1000" })
        :says("echo")
    end
    reloads = reloads + 1
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function()
      return select(2, job:err():gsub("loaded again", "")) == reloads
    end), job:err())
    for id in ctl("connections", "icmp"):gmatch('"id":(%d+)') do ctl("close", id) end
    done = done + 1
    job:expect("rounds=" .. done .. " ", 60)
  end

  -- What is held when nothing goes on any more. Idle UDP flows have gone after a second, pings are
  -- ended here.
  local function held()
    local now = {}
    for id in ctl("connections", "icmp"):gmatch('"id":(%d+)') do ctl("close", id) end
    lab.eventually(function()
      now.text = ctl("stats")
      now.flows = number(now.text, "flows", "now")
      return now.flows == 0
    end, 20)
    -- The socket of the ctl that just asked closes by and by: the least of some looks.
    for _ = 1, 5 do
      local fds = L:world({ "sh", "-c", "ls /proc/" .. job:pid() .. "/fd | wc -l" }):exits(0).out
      now.fds = math.min(now.fds or 1e9, tonumber(fds))
    end
    now.in_flight = number(now.text, "memory", "in_flight")
    local status = L:world({ "cat", "/proc/" .. job:pid() .. "/status" }):exits(0).out
    now.rss_kb = tonumber(status:match("VmRSS:%s+(%d+)"))
    now.mounts = L:host({ "cat", "/proc/self/mountinfo" }):exits(0).out
    now.spaces = L:world({ "sh", "-c", "readlink /proc/[0-9]*/ns/* | sort -u | wc -l" }).out
    return now
  end

  it("descriptors, flows, memory, mounts and namespaces are as before", function()
    for _ = 1, WARM do round() end
    local before = held()
    assert.equal(0, before.flows, before.text)
    for _ = 1, ROUNDS do round() end
    local after = held()
    assert.equal(0, after.flows, after.text)
    assert.equal(before.in_flight, after.in_flight)
    assert.equal(before.fds, after.fds)
    assert.equal(before.mounts, after.mounts)
    assert.equal(before.spaces, after.spaces)
    -- A round opens some 80 flows and asks some 10 questions: 2 KB for each would show. Sanitizers
    -- and valgrind keep what was freed.
    if (os.getenv("NSNET_MODE") or "release") == "release" then
      assert.is_true(after.rss_kb - before.rss_kb < 1024,
        ("%d kB, then %d kB"):format(before.rss_kb, after.rss_kb))
    end
    order("end")
    job:wait():exits(0)
  end)
end)
