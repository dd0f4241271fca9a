-- SPDX-License-Identifier: MIT
-- What is left of the program's rights while it serves (spec/core/cage_spec.c tries to break out).
local lab = require("spec.support.lab")

if lab.direct then return end

describe("the program itself", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  -- Builds for sanitizers and valgrind stay open: those make calls of their own.
  local closed = (os.getenv("NSNET_MODE") or "release") == "release"

  -- Runs a script beside a program that serves; $1 is the program's pid.
  local function beside(script, options)
    local job = L:spawn({ "sh", "-c", "echo ready; exec sleep 60" }, options)
    job:expect("ready")
    local answer = L:host({ "sh", "-c", script, "sh", tostring(job:pid()) })
    job:kill("TERM")
    job:wait()
    return answer, job
  end

  it("is locked up while it serves: filter, no new privileges, no capability", function()
    if not closed then pending("this build stays open") end
    local answer = beside("cat /proc/$1/status; cat /proc/$1/limits"):exits(0)
    answer:shows("\nSeccomp:%s+2\n"):shows("\nNoNewPrivs:%s+1\n"):shows("\nCapEff:%s+0+\n")
      :shows("\nCapPrm:%s+0+\n"):shows("\nMax core file size +0 +0 ")
  end)

  it("shows its memory and descriptors to nobody of its user, inside or out", function()
    if not closed then pending("this build stays open") end
    local script = "ls /proc/$1/fd; cat /proc/$1/environ; head -c 1 /proc/$1/mem; echo end"
    local answer = beside(script)
    assert.equal("end\n", answer.out)
    L:run({ "sh", "-c", "ls /proc/$PPID/fd; cat /proc/$PPID/environ; echo end" })
      :says("end"):complains("Permission denied")
  end)

  it("is as before with --no-sandbox, and says so loudly", function()
    local answer, job = beside("cat /proc/$1/status; ls /proc/$1/fd | wc -l",
      { args = { "--no-sandbox" } })
    answer:shows("\nSeccomp:%s+0\n")
    assert.matches("nsnet%-host: %-%-no%-sandbox: ", job:err())
  end)

  it("reads its scripts, modules and lists again after the start, wherever they were", function()
    L:host({ "mkdir", "-p", "/run/lab/home/rules/site", "/run/lab/home/lists" }):exits(0)
    L:write("home/rules/main.lua", "local m = require 'site.m'\n"
      .. "local set = nsnet.cidrs('/run/lab/home/lists/open.txt')\n"
      .. "nsnet.on_connect(function(c) if set:has(c.dst_ip) then return nsnet.allow end"
      .. " return nsnet.deny(m.why) end)\n")
    L:write("home/rules/site/m.lua", "return { why = 'not listed' }\n")
    L:write("home/lists/open.txt", "203.0.113.2/32\n")
    local client = "python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1 7001"
    local job = L:spawn({ "sh", "-c", client .. "; echo ready;"
      .. " until [ -e /run/lab/home/go ]; do sleep 0.02; done; " .. client },
      { args = { "-s", "/run/lab/home/rules/main.lua" } })
    job:expect("ready")
    L:write("home/lists/open.txt", "203.0.113.0/24\n")
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function() return job:err():match("loaded again") end),
      job:err())
    L:host({ "touch", "/run/lab/home/go" })
    job:wait():says("ECONNREFUSED\nready\nconnected")
  end)

  it("opens its files to add lines to again at a reload, and no other", function()
    local text = "local f = nsnet.append '/run/lab/home/%s'\n"
      .. "nsnet.on_connect(function(c) f:write('%s') return nsnet.deny end)\n"
    L:write("home/rules/add.lua", text:format("lines.txt", "first"))
    local connect = "python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1 7001; "
    local job = L:spawn({ "sh", "-c", connect .. "echo ready;"
      .. " until [ -e /run/lab/home/add ]; do sleep 0.02; done; " .. connect },
      { args = { "-s", "/run/lab/home/rules/add.lua" } })
    job:expect("ready")
    L:write("home/rules/add.lua", text:format("lines.txt", "second"))
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function() return job:err():match("loaded again") end),
      job:err())
    L:write("home/rules/add.lua", text:format("no/others.txt", "third"))
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function() return job:err():match("keeping the rules") end),
      job:err())
    L:host({ "touch", "/run/lab/home/add" }):exits(0)
    job:wait():shows("ECONNREFUSED\nready\nECONNREFUSED\n")
    assert.equal("first\nsecond\n", L:read("home/lines.txt"))
  end)

  it("keeps the rules in force if a reload wants a file from elsewhere", function()
    local version = L:host({ "python3", "-BSc", -- landlock_create_ruleset(2): its version
      "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))" }):exits(0).out
    if not closed or tonumber(version) < 1 then pending("no Landlock here") end
    L:host({ "mkdir", "-p", "/run/lab/home/secret" }):exits(0)
    L:write("home/secret/list.txt", "203.0.113.0/24\n")
    local file = L:write("home/rules/later.lua",
      "nsnet.on_connect(function() return nsnet.deny 'closed' end)\n")
    local job = L:spawn({ "sh", "-c", "echo ready;"
      .. " until [ -e /run/lab/home/on ]; do sleep 0.02; done;"
      .. " exec python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1 7001" },
      { args = { "-s", file } })
    job:expect("ready")
    L:write("home/rules/later.lua", "nsnet.cidrs('/run/lab/home/secret/list.txt')\n")
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function()
      return job:err():match("list%.txt: Permission denied: once the command runs, only")
        and job:err():match("keeping the rules")
    end), job:err())
    L:write("home/rules/later.lua", "nsnet.append('/run/lab/home/secret/new.log')\n")
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function()
      return job:err():match("new%.log: Permission denied: once the command runs, only")
    end), job:err())
    L:host({ "touch", "/run/lab/home/on" })
    job:wait():says("ready\nECONNREFUSED")
  end)
end)
