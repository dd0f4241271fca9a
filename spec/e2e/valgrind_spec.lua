-- SPDX-License-Identifier: MIT
-- One run of the program under valgrind: transfers, names, datagrams, rules, a reload, the end. No
-- error, and every byte of the heap is given back. (make valgrind runs this and
-- the unit tests in C.)
local lab = require("spec.support.lab")
if lab.direct or os.getenv("NSNET_WRAP") then return end
if os.getenv("NSNET_MODE") == "asan" then return end -- the two do not mix

describe("under valgrind", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  it("nothing is used or lost that should not be", function()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    local rules = L:script([[
local set = nsnet.cidrs { "203.0.113.2/32" }
nsnet.rules { { domain = "other.test", nsnet.deny "no" } }
nsnet.on_connect(function(c)
  if set:has(c.dst_ip) then return nsnet.deny "listed" end
  if c.dst_port == 7097 then return nsnet.redirect "203.0.113.1:7001" end
end)
nsnet.on_flow(function() return nil end)
nsnet.on_dns(function() return nil end)
nsnet.every(0.2, function() nsnet.persist("p").n = 1 end)]])
    local client = "python3 -BS /run/repo/spec/support/client.py "
    local lines = { "echo ready; until [ -e /run/lab/home/on ]; do sleep 0.05; done" }
    for _, words in ipairs({ "exchange 203.0.113.1 7001 300000",
      "fetch 2001:db8:2::1 7003 300000 fin", "fetch 203.0.113.1 7003 100000 rst",
      "upload 2001:db8:2::1 7002 300000",
      "many 203.0.113.1 7001 10 5000", "connect 203.0.113.1 7099", "connect 203.0.113.201 7001",
      "connect 203.0.113.2 7001", "exchange 203.0.113.9 7097 1000", "udp 2001:db8:2::1 7001 20000",
      "udp-closed 203.0.113.1 7099", "udp-many 203.0.113.1 7001 5" }) do
      lines[#lines + 1] = client .. words
    end
    lines[#lines + 1] = "getent ahosts a.test; getent ahosts none.test; ping -c 1 203.0.113.1"
    lines[#lines + 1] = "curl -s http://a.test/where; curl -s http://other.test/; exit 7"
    local words = L:wrap({ "sh", "-c", table.concat(lines, "\n") }, { args = { "--no-sandbox", "-s",
      rules, "--summary", "--log", "/run/lab/home/log", "--log-json", "/run/lab/home/json",
      "--pcap", "/run/lab/home/pcap", "-p", "8080:9000" } })
    local job = L:spawn_host({ "valgrind", "--leak-check=full",
      "--log-file=/run/lab/home/valgrind.log", unpack(words) }, { bound = 120 })
    job:expect("ready", 60)
    job:kill("HUP")
    assert.is_truthy(lab.eventually(function() return job:err():match("loaded again") end, 30))
    L:host({ "touch", "/run/lab/home/on" }):exits(0)
    local answer = job:wait(120)
    answer:exits(7):shows("ready\n" .. L:sum(300000) .. "\n300000 " .. L:sum(300000)
      .. " end=eof\n.*ok 10\nECONNREFUSED\nEHOSTUNREACH\nECONNREFUSED\n" .. L:sum(1000)
      .. "\necho\nECONNREFUSED\nok 5\n203%.0%.113%.1 .* 1 received, .*203%.0%.113%.1:80\n$", 7)
    local said = L:read("home/valgrind.log")
    assert.matches("All heap blocks were freed", said, 1, true)
    assert.matches("ERROR SUMMARY: 0 errors", said, 1, true)
  end)
end)
