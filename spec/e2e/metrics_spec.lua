-- SPDX-License-Identifier: MIT
-- The metrics: text that Prometheus' own parser takes, with what the command did in it.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("the metrics", function()
  local L
  local SOCK = "/run/lab/home/m.sock"
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    L:host({ "sh", "-c", "rm -f /etc/resolv.conf; echo nameserver 203.0.113.53 >/etc/resolv.conf" },
      { who = "root" }):exits(0)
  end)
  lazy_teardown(function() L:stop() end)

  local jobs = {}
  -- A running nsnet-host whose command runs the script and waits.
  local function running(script, args)
    local all = { "--metrics", SOCK }
    for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
    local job = L:spawn({ "sh", "-c", script .. "; echo ready; exec sleep 60" },
      { args = all, env = env, bound = 60 })
    jobs[#jobs + 1] = job
    job:expect("ready")
    return job
  end

  local function stop()
    for _, job in ipairs(jobs) do
      job:kill("TERM")
      job:wait()
    end
    jobs = {}
  end

  local function curl(words)
    local all = { "curl", "-sS", "--max-time", "20", "--unix-socket", SOCK }
    for _, word in ipairs(words) do all[#all + 1] = word end
    return L:host(all)
  end

  after_each(stop)

  -- The exposition as the parser understands it.
  local function parsed(source)
    return L:host({ "sh", "-c", "set -e; " .. source .. " >/run/lab/home/text; "
      .. "PYTHONPATH=/usr/lib/python3/dist-packages /usr/bin/python3 -BS "
      .. "/run/repo/spec/support/openmetrics.py </run/lab/home/text" }, { env = env }):exits(0)
  end

  local SCRAPE = "curl -sS --max-time 20 --unix-socket " .. SOCK .. " http://localhost/metrics"
  local client = "python3 -BS /run/repo/spec/support/client.py "

  it("say what happened", function()
    local path = L:script([[
      nsnet.rules { { port = 7, nsnet.deny } }
      nsnet.on_dns(function(q) if q.name == "fail.test" then error("oops") end end)
    ]], "metrics.lua")
    running(table.concat({
      client .. "connect " .. lab.v4.world .. " 7",
      client .. "connect " .. lab.v4.world .. " 9", -- nobody there
      client .. "upload " .. lab.v4.world .. " " .. lab.port.sum .. " 100000",
      client .. "udp " .. lab.v6.world .. " 7001 10",
      "getent hosts fail.test",
    }, "; "), { "-s", path, "--log-json", "/run/lab/home/m.jsonl" })
    L:script("nsnet.rules {", "metrics.lua")
    L:run({}, { args = { "ctl", "reload" }, env = env }):exits(1)
    local said = parsed(SCRAPE)
    said:shows("# nsnet_verdicts counter \n")
    said:shows("# nsnet_payload_bytes counter bytes\n")
    said:shows("# nsnet_buffer_limit_bytes gauge bytes\n")
    said:shows("# nsnet_build info \n")
    said:shows("nsnet_verdicts_total network=tcp verdict=deny = 1\n")
    said:shows("nsnet_verdicts_total network=tcp verdict=allow = 2\n")
    said:shows("nsnet_verdicts_total network=udp verdict=allow = 1\n")
    said:shows("nsnet_dial_failures_total network=tcp = 1\n")
    said:shows("nsnet_flows_ended_total cause=closed network=tcp = 1\n")
    said:shows("nsnet_flows_open network=udp = 1\n")
    said:shows("nsnet_flows_open network=tcp = 0\n")
    said:shows("nsnet_payload_bytes_total direction=up network=tcp = 1000%d%d\n")
    said:shows("nsnet_payload_bytes_total direction=up network=udp = 10\n")
    said:shows("nsnet_payload_bytes_total direction=down network=udp = 10\n")
    said:shows("nsnet_dns_questions_total verdict=deny = [1-9]%d*\n")
    said:shows("nsnet_script_errors_total = [1-9]%d*\n")
    said:shows("nsnet_reloads_total result=failed = 1\n")
    said:shows("nsnet_log_lines_total log=json = %d+\n")
    said:shows("nsnet_log_lines_dropped_total log=json = 0\n")
    said:shows("nsnet_lua_memory_bytes = %d")
  end)

  it("are the same on request", function()
    running(":")
    local bin = table.concat(L:wrap({}, { args = { "ctl", "openmetrics" } }), " ")
    local said = parsed(bin)
    said:shows("nsnet_flows_open network=tcp = 0\n")
    said:shows("nsnet_buffer_limit_bytes = ")
  end)

  describe("at the socket", function()
    before_each(function() running(":") end)

    it("are HTTP", function()
      curl({ "-i", "http://localhost/metrics?x=1" })
        :shows("^HTTP/1.1 200 OK\r\nContent%-Type: application/openmetrics%-text; "
          .. "version=1.0.0; charset=utf%-8\r\n.*# EOF\n$")
      local head = curl({ "-I", "http://localhost/metrics" }):shows("^HTTP/1.1 200 OK\r\n")
      assert.falsy(head.out:match("# EOF"))
      curl({ "-o", "/dev/null", "-w", "%{http_code}\n", "http://localhost/" }):says("404")
      curl({ "-o", "/dev/null", "-w", "%{http_code}\n", "-d", "x", "http://localhost/metrics" })
        :says("405")
      curl({ "-o", "/dev/null", "-w", "%{http_code}\n", "-H", "X: " .. ("x"):rep(9000),
        "http://localhost/metrics" }):says("431")
      curl({ "-0", "http://localhost/metrics" }):shows("# EOF\n$")
      L:host({ "sh", "-c", "printf 'GET\\n\\n' | curl -sS --max-time 9 -T - telnet://x "
        .. "--unix-socket " .. SOCK .. " | head -1" }):shows("^HTTP/1.1 400")
    end)

    it("are for their user alone", function()
      L:host({ "stat", "-c", "%a %F", SOCK }):says("600 socket")
    end)

    it("do not wait for who says nothing", function()
      L:write("hold.py", [[
import socket, subprocess, sys, time
def call():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    return s
idle = [call() for _ in range(12)]  # more than are served at a time
s = call()
s.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
data = b""
while part := s.recv(65536):
    data += part
print(data[:15].decode(), data[-6:].decode())
]])
      L:host({ "python3", "-BS", "/run/lab/hold.py", SOCK }, { bound = 60 })
        :shows("HTTP/1.1 200 OK # EOF")
    end)
  end)

  it("are not for the command", function()
    local ask = "curl -sS --max-time 9 --unix-socket %s http://localhost/metrics"
    for _, args in ipairs({ {}, { "--root" }, { "--keep-caps" } }) do
      local all = { "--metrics", SOCK, unpack(args) }
      L:run({ "sh", "-c", "ls -l " .. SOCK .. "; " .. ask:format(SOCK) }, { args = all })
        :shows("^c.* 1, +3 ", 7)
    end
    L:host({ "sh", "-c", "ls " .. SOCK }):exits(2)
  end)

  it("do not hear the command by another path", function()
    L:host({ "mkdir", "-p", "/run/lab/home/one" }):exits(0)
    L:world({ "mkdir", "-p", "/run/other" }):exits(0)
    L:world({ "mount", "--bind", "/run/lab/home/one", "/run/other" }):exits(0)
    local answer = L:run({ "curl", "-sS", "--max-time", "9", "--unix-socket", "/run/other/m.sock",
      "http://localhost/metrics" }, { args = { "--metrics", "/run/lab/home/one/m.sock" } })
    answer:complains("%-%-metrics: refused process %d+")
    assert.equal("", answer.out)
  end)

  it("take the place of what was killed, and of nothing else", function()
    local job = running(":")
    jobs = {}
    job:kill("KILL")
    job:wait()
    L:host({ "stat", "-c", "%F", SOCK }):says("socket")
    running(":")
    L:run({ "true" }, { args = { "--metrics", SOCK } }):exits(73)
      :complains("%-%-metrics " .. SOCK .. ": Address already in use; give a path")
    curl({ "http://localhost/metrics" }):shows("# EOF\n$")
    L:run({ "true" }, { args = { "--metrics", "/run/lab/home/m.jsonl" } }):exits(73)
    L:run({ "true" }, { args = { "--metrics", "/nowhere/m" } }):exits(73)
      :complains("No such file or directory")
  end)
end)
