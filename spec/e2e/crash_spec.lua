-- SPDX-License-Identifier: MIT
-- Death at any moment: of the program, of the shim, of a client, of a server. Nothing is left
-- behind, and nothing else suffers. How many kills: NSNET_KILLS, else 40.
local lab = require("spec.support.lab")
if lab.direct then return end

local KILLS = tonumber(os.getenv("NSNET_KILLS") or 40)

describe("killed at any moment", function()
  local L
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  local port = lab.port
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  -- Starts the words that follow COUNT times, and kills it or its first child after 0 to 40 ms,
  -- by a seed; says how often which of them.
  local KILLER = [[
import os, random, signal, subprocess, sys, time
count, dice, killed = int(sys.argv[1]), random.Random(1), {"program": 0, "shim": 0}
for _ in range(count):
    job = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(dice.uniform(0, 0.04))
    pid, who = job.pid, "program"
    if dice.random() < 0.5:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as file:
            words = file.read().split()
        if words:
            pid, who = int(words[0]), "shim"
    try:
        os.kill(pid, signal.SIGKILL)
        killed[who] += 1
    except ProcessLookupError:
        pass
    job.wait(20)
print(killed["program"], killed["shim"])
]]

  local function left()
    return L:world({ "sh", "-c", "ps -eo comm= | sort | uniq -c | grep -v -e ps -e sort -e uniq"
      .. " -e grep -e sh$; readlink /proc/[0-9]*/ns/* | sort -u | wc -l; ls /sys/class/net"
      .. " | grep -c tun; ls -A /tmp /run/lab/home" }).out
      .. L:host({ "cat", "/proc/self/mountinfo" }).out
  end

  it("the program and the shim leave no process, mount, namespace, device or socket", function()
    local function run_once() L:run({ "true" }, { env = env }):exits(0) end
    run_once() -- makes the folder of the sockets
    local before = left()
    local words = L:wrap({ "sleep", "0.1" })
    local killed = L:host({ "python3", "-BSc", KILLER, tostring(KILLS), unpack(words) },
      { env = env, bound = 60 + KILLS }):exits(0)
    io.write("# killed, program and shim: ", killed.out)
    local programs, shims = killed:shows("^%d+ %d+\n").out:match("(%d+) (%d+)")
    assert.is_true(programs + shims > KILLS / 2 and shims + 0 > 0, killed.out)
    assert.is_truthy(lab.eventually(function() return left() == before end),
      before .. "became\n" .. left())
    -- A dead program's socket goes when the next one starts; if it had no name yet, after a minute.
    assert.equal("", lab.eventually(function()
      run_once()
      local names = L:host({ "ls", "-A", "/run/lab/home/nsnet-host" }).out
      lab.sleep(names == "" and 0 or 0.3)
      return names == "" and names
    end, 75))
  end)

  local function flows(job)
    local text = L:run({}, { env = env,
      args = { "ctl", "--pid", tostring(job:pid()), "--json", "stats" } }):exits(0).out
    return tonumber(text:match('"flows":{"now":(%d+)'))
  end

  -- Clients in every state of a connection.
  local function clients(net)
    return {
      { "connect", net.silent, port.echo },                           -- SYN, no answer
      { "fetch-idle", net.other, port.watch },                        -- open
      { "trickle", net.other, port.echo, 1000, 0.01 },                -- both ways
      { "upload", net.other, port.slow, 50000000 },                   -- full up
      { "fetch", net.other, port.source, 50000000, "fin", 0.002 },     -- full down
      { "half", net.other, port.half, 2000000000 },                     -- closed by the server
    }
  end

  -- A job whose command runs these and prints its children's pids, "all", and how each ended.
  local function start(list)
    local lines = {}
    for _, words in ipairs(list) do
      lines[#lines + 1] = "python3 -BS /run/repo/spec/support/client.py "
        .. table.concat(words, " ") .. " & echo pid $!"
    end
    lines[#lines + 1] = "echo all; wait; echo ended; exec sleep 100"
    local job = L:spawn({ "sh", "-c", table.concat(lines, "\n") }, { env = env, bound = 100,
      args = { "--memory", "8", "--dial-timeout", "2" } })
    job:expect("all\n")
    assert.is_truthy(lab.eventually(function() return flows(job) == #list end), flows(job))
    lab.sleep(0.2)
    return job
  end

  local function finish(job)
    job:expect("ended\n", 60)
    assert.is_truthy(lab.eventually(function() return flows(job) == 0 end), flows(job))
    job:kill("TERM")
    job:wait()
  end

  lab.both(function(version, net)
    it("a client, in each state, leaves no flow, and the server hears, " .. version, function()
      local before = #L:log()
      local job = start(clients(net))
      for pid in job:out():gmatch("pid (%d+)") do L:world({ "kill", "-KILL", pid }):exits(0) end
      finish(job)
      local host = lab.bracket(net.other):gsub("%p", "%%%0")
      for _, service in ipairs({ "tcp_watch", "tcp_echo", "tcp_slow", "tcp_source" }) do
        assert.is_truthy(lab.eventually(function()
          return L:log():sub(before + 1):match(service .. " " .. host .. ":%d+ %S+ end=")
        end), service)
      end
    end)

    it("a server, in each state, leaves no flow, and the client hears, " .. version, function()
      L:world({ "ip", "addr", "add", "203.0.113.60/32", "dev", "lo" })
      L:world({ "ip", "addr", "add", "2001:db8:2::60/128", "dev", "lo", "nodad" })
      local at = net.world:match(":") and "2001:db8:2::60" or "203.0.113.60"
      local server = L:serve("victim", { "python3", "-BS", "/run/repo/spec/support/world.py",
        "victim", at })
      local list = clients({ other = at, silent = net.silent })
      table.remove(list, 1)
      local job = start(list)
      server:kill("KILL")
      finish(job)
      -- What was read in time ends with the server's FIN, as without us; what was not, with RST.
      local _, ends = job:out():gsub("E[CP]%u+\n", "")
      local _, eofs = job:out():gsub("eof\n", "")
      assert.is_true(ends >= 2 and ends + eofs == #list, job:out())
      local count, sum = job:out():match("(%d+) (%x+) end=")
      assert.equal(L:sum(tonumber(count)), sum)
    end)
  end)
end)
