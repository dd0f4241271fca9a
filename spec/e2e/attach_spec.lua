-- SPDX-License-Identifier: MIT
-- A namespace that somebody else has made gets its network from nsnet-host.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("an attached namespace", function()
  local L
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  -- A process in a user and a network namespace of its own; its pid.
  local function container()
    local job = L:spawn_host({ "unshare", "-rn", "sh", "-c", "echo made; exec sleep 100" },
      { bound = 120 })
    job:expect("made")
    return job, job:pid()
  end

  -- nsnet-host for it, once it serves: it says so on descriptor 5.
  local function attach(args, redirections)
    local words = L:wrap({}, { args = args })
    for i, word in ipairs(words) do words[i] = lab.quote(word) end
    local job = L:spawn_host({ "sh", "-c", "exec " .. table.concat(words, " ")
      .. " --ready-fd 5 5>&1 " .. (redirections or "") }, { env = env, bound = 120 })
    assert(lab.eventually(function() return job:out() == "1" or job:done() end))
    return job
  end

  -- Runs client.py in the namespaces of the process.
  local function inside(pid, words)
    local all = { "nsenter", "-t", pid, "-U", "-n", "--preserve-credentials", "python3", "-BS",
      "/run/repo/spec/support/client.py" }
    for _, word in ipairs(words) do all[#all + 1] = tostring(word) end
    return L:host(all)
  end

  local function stop(job)
    job:kill("TERM")
    return job:wait()
  end

  lab.both(function(version, net)
    it("of a process reaches the world over " .. version, function()
      local it_, pid = container()
      inside(pid, { "connect", net.world, 7001, 2 }):shows("^E%u+\n$")
      local job = attach({ "--pid", pid })
      inside(pid, { "exchange", net.world, lab.port.echo, 3000000 }):says(L:sum(3000000))
      inside(pid, { "udp", net.world, 7001, 9000 }):says("echo")
      inside(pid, { "connect", net.world, lab.port.closed }):says("ECONNREFUSED")
      inside(pid, { "connect", net.host, 22 }):says("ECONNREFUSED")
      stop(job):exits(0)
      inside(pid, { "connect", net.world, 7001, 2 }):shows("^E%u+\n$")
      stop(it_)
    end)
  end)

  it("has no device when nsnet-host has ended, however it did", function()
    local it_, pid = container()
    for _, signal in ipairs({ "INT", "KILL" }) do
      local job = attach({ "--pid", pid })
      L:host({ "nsenter", "-t", pid, "-U", "-n", "--preserve-credentials", "ip", "-o", "link" })
        :shows("tun0")
      job:kill(signal)
      job:wait()
      assert(lab.eventually(function()
        return not L:host({ "nsenter", "-t", pid, "-U", "-n", "--preserve-credentials", "ip", "-o",
          "link" }).out:match("tun0")
      end))
    end
    stop(it_)
  end)

  it("may be named by its files", function()
    local it_, pid = container()
    local job = attach({ "--netns", ("/proc/%d/ns/net"):format(pid), "--userns",
      ("/proc/%d/ns/user"):format(pid) })
    inside(pid, { "udp", lab.v4.world, 7001, 10 }):says("echo")
    stop(job):exits(0)
    stop(it_)
  end)

  it("is under rules, can be called, and is asked about at the control socket", function()
    local it_, pid = container()
    local job = attach({ "--pid", pid, "-p", "7601:7008", "-e",
      "nsnet.rules { { port = 7001, nsnet.deny } }" })
    inside(pid, { "connect", lab.v4.world, 7001 }):says("ECONNREFUSED")
    inside(pid, { "connect", lab.v4.world, 7002 }):says("connected")
    L:run({}, { args = { "ctl", "published" }, env = env }):shows("7601:7008")
    L:host({ "python3", "-BS", "/run/repo/spec/support/client.py", "talk", "127.0.0.1", 7601, "" })
      :shows("ECONNRESET") -- nobody listens
    stop(job)
    stop(it_)
  end)

  it("is served until its process ends", function()
    local it_, pid = container()
    local job = attach({ "--pid", pid })
    stop(it_)
    job:wait():exits(0)
  end)

  it("is served until the other end of --exit-fd is closed", function()
    local it_, pid = container()
    L:host({ "mkfifo", "/run/lab/home/exit" }):exits(0)
    local holder = L:spawn_host({ "sh", "-c", "exec 3>/run/lab/home/exit; exec sleep 60" })
    local job = attach({ "--pid", pid, "--exit-fd", "6" }, "6</run/lab/home/exit")
    inside(pid, { "udp", lab.v4.world, 7001, 10 }):says("echo")
    stop(holder)
    job:wait():exits(0)
    stop(it_)
  end)

  it("is served until its device is taken away", function()
    local it_, pid = container()
    local job = attach({ "--netns", ("/proc/%d/ns/net"):format(pid), "--userns",
      ("/proc/%d/ns/user"):format(pid), "-e",
      "nsnet.on_exit(function() nsnet.log.warn('over') end)" })
    L:host({ "nsenter", "-t", pid, "-U", "-n", "--preserve-credentials", "ip", "link", "del",
      "tun0" }):exits(0)
    job:wait():exits(0):complains("over")
    stop(it_)
  end)

  it("is told what is wrong", function()
    L:run({}, { args = { "--pid", "999999" } }):exits(71)
      :complains("%-%-pid 999999: No such process")
    L:run({}, { args = { "--pid", "1" } }):exits(71)
    L:run({}, { args = { "--netns", "/nonexistent" } }):exits(71)
      :complains("join the namespace.*No such file")
    L:run({ "true" }, { args = { "--netns", "/x" } }):exits(2)
      :complains("with %-%-pid or %-%-netns")
    L:run({}, { args = { "--userns", "/x" } }):exits(2):complains("go with %-%-pid or %-%-netns")
    L:run({ "true" }, { args = { "--ready-fd", "5" } }):exits(2)
    L:run({}, { args = { "--pid", "1", "--netns", "/x" } }):exits(2)
    L:run({}, { args = { "--pid", "1", "--root" } }):exits(2)
    L:run({}, { args = { "--netns", "/proc/self/ns/net", "--ready-fd", "77" } }):exits(71)
      :complains("%-%-ready%-fd 77: Bad file descriptor")
  end)
end)
