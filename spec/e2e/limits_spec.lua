-- SPDX-License-Identifier: MIT
-- Limits are options, and what they end they end visibly.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("limits:", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)
  local port = lab.port

  lab.both(function(version, net)
    describe("over " .. version, function()
      it("--max-conns refuses the connection too many, and only it", function()
        local job = L:spawn_client({ "hold", net.world, port.echo, 7 },
          { args = { "--max-conns", "5" }, stdin = "" })
        local answer = job:wait():shows("held 5 ECONNREFUSED ECONNREFUSED\n")
        answer:shows("alive 5\n")
      end)

      it("--max-conns counts those that are there, not those that were", function()
        L:client({ "serial", net.world, port.echo, 50 }, { args = { "--max-conns", "3" } })
          :says("ok 50")
      end)

      it("--tcp-idle ends a silent connection on both sides", function()
        L:client({ "fetch-idle", net.world, port.watch }, { args = { "--tcp-idle", "1" } })
          :says("ECONNRESET")
        assert(L:logged("tcp_watch " .. lab.bracket(net.world):gsub("%p", "%%%0")
          .. ":%d+ %S+ end=ECONNRESET"))
      end)

      it("--tcp-idle leaves alone a connection that moves", function()
        L:client({ "trickle", net.world, port.echo, 12, 0.25 }, { args = { "--tcp-idle", "1" } })
          :says("12 echoes")
      end)

      it("--udp-idle forgets a flow: the next datagram comes from another port", function()
        local seen = L:client({ "udp-again", net.world, port.who, 3 },
          { args = { "--udp-idle", "1" } }).out
        local first, second = seen:match("^(%S+) [^|]*|(%S+) ")
        assert.is_truthy(first, seen)
        assert.are_not.equal(first, second)
      end)

      it("without it the flow stays, and so does its port", function()
        local seen = L:client({ "udp-again", net.world, port.who, 1.5 }).out
        local first, second = seen:match("^(%S+) [^|]*|(%S+) ")
        assert.is_truthy(first, seen)
        assert.equal(first, second)
      end)

      it("--max-flows makes room for new flows by ending old ones", function()
        L:client({ "udp-many", net.world, port.echo, 50 }, { args = { "--max-flows", "10" } })
          :says("ok 50")
        local job = L:spawn_client({ "udp-hold", net.world, port.echo, 50 },
          { args = { "--max-flows", "10" }, bound = 60 })
        job:expect("held")
        local open = L:host({ "sh", "-c", "ss -Hun | wc -l" }).out
        job:kill("TERM")
        job:wait()
        assert.is_true(tonumber(open) <= 10, open .. " sockets for 10 flows")
      end)

      it("--dial-timeout gives up a silent destination", function()
        L:client({ "connect", net.silent, port.closed, 20 }, { args = { "--dial-timeout", "1" } })
          :says("EHOSTUNREACH")
      end)
    end)
  end)

  it("hundreds of connections pass under a low limit of open files, or are refused", function()
    local words = L:wrap({ "python3", "-BS", "/run/repo/spec/support/client.py", "hold",
      lab.v4.world, tostring(port.echo), "100" })
    local answer = L:host({ "sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", unpack(words) },
      { stdin = "" })
    answer:shows("held %d+"):shows("alive %d+")
    local held, alive = answer.out:match("held (%d+)"), answer.out:match("alive (%d+)")
    assert.equal(held, alive)
  end)

  it("UDP flows leave the descriptors that the control socket and callers need", function()
    local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
    local words = L:wrap({ "python3", "-BSc", "import socket, time\n"
      .. "server = socket.create_server(('0.0.0.0', 9000))\n"
      .. "sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
      .. "for n in range(200): sock.sendto(b'x', ('203.0.113.203', 20000 + n))\n"
      .. "print('held', flush=True)\ntime.sleep(60)" }, { args = { "-p", "8080:9000" } })
    local job = L:spawn_host({ "sh", "-c", "ulimit -n 64; exec \"$@\"", "sh", unpack(words) },
      { env = env })
    job:expect("held")
    local answer = L:run({}, { env = env, bound = 5,
      args = { "ctl", "--pid", tostring(job:pid()), "stats" } }):exits(0).out
    local open, evicted = answer:match("udp%.open: (%d+).-udp%.evicted: (%d+)")
    assert.equal(200, open + evicted, answer)
    assert.is_true(open + 0 >= 4, answer)
    L:host({ "python3", "-BS", "/run/repo/spec/support/client.py", "connect", "127.0.0.1", "8080",
      "5" }):says("connected")
    assert.equal("", job:err())
    job:kill("TERM")
    job:wait()
  end)
end)
