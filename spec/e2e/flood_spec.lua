-- SPDX-License-Identifier: MIT
-- Floods from inside, by somebody who may send raw packets. Memory stays below the number that
-- core/README.md states, an honest connection goes on meanwhile and loses nothing, the counters
-- tell, and afterwards all works. How many: NSNET_FLOOD, else 100000, and less for sanitizers.
local lab = require("spec.support.lab")
if lab.direct then return end

-- Sanitizers and valgrind keep what was freed: their memory is no measure.
local measured = (os.getenv("NSNET_MODE") or "release") == "release"
local COUNT = tonumber(os.getenv("NSNET_FLOOD") or measured and 100000 or 20000)
local CONNS = measured and 16384 or 2048 -- at a time; fewer where the flood is slower
local BOUND_KB = 40 * 1024 -- resident

describe("a flood of", function()
  local L
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53", "2001:db8:2::53" }, "203.0.113.1")
    L:serve("stuck", { "python3", "-BSc", "import socket, time\nkept = []\n"
      .. "for port in 7100, 7101:\n"
      .. "    s = socket.socket(socket.AF_INET6)\n"
      .. "    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)\n"
      .. "    s.bind(('::', port))\n    s.listen(4096)\n    kept.append(s)\n"
      .. "print('ready', flush=True)\ntime.sleep(1000)" })
  end)
  lazy_teardown(function() L:stop() end)

  -- Runs flood.py; returns a function that reads a counter of the program's, and the peak in kB.
  local function flood(kind, count, args)
    args[#args + 1] = "--keep-caps"
    local job = L:spawn({ "python3", "-BS", "/run/repo/spec/support/flood.py", kind,
      tostring(count) }, { args = args, env = env, bound = 200 })
    finally(function()
      job:kill("TERM")
      job:wait()
    end)
    job:expect("after: ", 120)
    local peak = tonumber(L:world({ "cat", "/proc/" .. job:pid() .. "/status" })
      :shows("VmHWM").out:match("VmHWM:%s+(%d+)"))
    io.write("# ", job:out():gsub("\n", "\n# "), "peak ", peak, " kB\n")
    assert.matches("after: tcp udp fragments tcp udp fragments dns\n", job:out())
    assert.matches("sent=" .. count .. " lost=%d+ rounds=[1-9]%d* worst=", job:out())
    local lost = tonumber(job:out():match("lost=(%d+)"))
    assert.is_true(lost < count / 10, "the device did not take it: " .. job:out())
    local stats = L:run({}, { env = env,
      args = { "ctl", "--pid", tostring(job:pid()), "--json", "stats" } }):exits(0).out
    return function(group, key)
      return assert(tonumber(stats:match('"' .. group .. '":{[^}]*"' .. key .. '":(%d+)')), stats)
    end, peak
  end

  local function below(bound_kb, peak)
    if measured then assert.is_true(peak < bound_kb, peak .. " kB") end
  end

  it("SYNs, to where nobody answers or nobody accepts, of strangers as well", function()
    local counter, peak = flood("syn", COUNT, { "--dial-timeout", "2", "--max-conns",
      tostring(CONNS) })
    assert.is_true(counter("flows", "peak") <= CONNS + 10)
    assert.is_true(counter("tcp", "refused") > 0)
    below(BOUND_KB, peak)
  end)

  it("UDP tuples", function()
    local counter, peak = flood("udp", COUNT, {})
    assert.is_true(counter("flows", "peak") <= 1024 + 10)
    assert.is_true(counter("udp", "open") <= 1024)
    assert.is_true(counter("udp", "evicted") > COUNT / 2)
    below(BOUND_KB, peak)
  end)

  it("fragments that never become a packet", function()
    local counter, peak = flood("fragment", COUNT, {})
    assert.is_true(counter("fragments", "evicted") > COUNT / 2)
    assert.is_true(counter("fragments", "complete") > 0) -- those of an honest datagram
    below(BOUND_KB, peak)
  end)

  it("questions", function()
    local counter, peak = flood("dns", COUNT, {})
    assert.is_true(counter("dns", "answered") > 512)
    assert.is_true(counter("dns", "udp_in") >= COUNT * 0.9)
    assert.equal(counter("dns", "udp_in"), counter("dns", "udp_bad") + counter("dns", "asked"))
    below(BOUND_KB, peak)
  end)

  it("connections that do not read, above --memory", function()
    local counter, peak = flood("slow", 1000, { "--memory", "8" })
    assert.is_true(counter("memory", "in_flight") < 8 * 1024 * 1024)
    -- Twice what is allowed, and a buffer for each.
    below(BOUND_KB + 2 * 8 * 1024 + 1000 * 65, peak)
  end)
end)
