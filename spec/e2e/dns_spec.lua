-- SPDX-License-Identifier: MIT
-- Names: the command asks, the host's own resolvers answer.
local lab = require("spec.support.lab")

describe("names", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53", "2001:db8:2::53" }, "203.0.113.1")
    L:serve_dns({ "203.0.113.54" }, "203.0.113.2")
  end)
  lazy_teardown(function() L:stop() end)

  -- Each spec has a resolv.conf of its own, in place before nsnet-host starts.
  local function host_file(text)
    L:host({ "sh", "-c", "rm -f /etc/resolv.conf; printf '%b' \"$0\" >/etc/resolv.conf", text },
      { who = "root" }):exits(0)
  end
  before_each(function() host_file("nameserver 203.0.113.53\n") end)

  local function dig(...)
    return L:run({ "dig", "+time=5", "+tries=1", ... })
  end

  for _, way in ipairs({ "+notcp", "+tcp" }) do
    describe("asked by dig " .. way, function()
      it("have addresses of both families", function()
        dig(way, "+short", "a.test", "A"):says("203.0.113.1")
        dig(way, "+short", "a.test", "AAAA"):says("2001:db8:2::1")
        dig(way, "+short", "cname.test", "A"):says("a.test.\n203.0.113.1")
      end)

      it("may not exist, or not have that type", function()
        dig(way, "nothing.test"):shows("status: NXDOMAIN")
        dig(way, "v6only.test", "A"):shows("status: NOERROR.*ANSWER: 0")
      end)
    end)
  end

  it("with an answer too long for UDP are truncated there", function()
    dig("+notcp", "+ignore", "+noedns", "big.test", "TXT"):shows("flags:[^;]* tc[ ;]")
  end)

  it("with an answer too long for UDP arrive whole over TCP, as dig does by itself", function()
    local answer = dig("+noedns", "+short", "big.test", "TXT"):exits(0).out
    assert.equal(15, select(2, answer:gsub("\n", "")))
  end)

  it("with an answer of 3 KB arrive whole over UDP with EDNS", function()
    dig("+notcp", "+ignore", "+bufsize=4096", "big.test", "TXT"):shows("ANSWER: 15")
  end)

  it("are found by the C library", function()
    L:run({ "getent", "ahostsv4", "a.test" }):shows("^203%.0%.113%.1 ")
    L:run({ "getent", "ahostsv6", "v6only.test" }):shows("^2001:db8:2::1 ")
    L:run({ "getent", "hosts", "nothing.test" }):exits(2)
  end)

  it("of the host's file of hosts are found too", function()
    L:run({ "getent", "hosts", "inhosts.test" }):shows("^203%.0%.113%.7 ")
    L:run({ "dig", "+short", "-x", "203.0.113.7" }):says("inhosts.test.")
  end)

  it("are completed by the host's search list", function()
    host_file("search test\nnameserver 203.0.113.53\noptions ndots:1\n")
    L:run({ "getent", "ahostsv4", "a" }):shows("^203%.0%.113%.1 ")
  end)

  it("lead curl to the server", function()
    L:run({ "curl", "-sSf", "-m", "20", "-4", "http://a.test/where" }):says("203.0.113.1:80")
    L:run({ "curl", "-sSf", "-m", "20", "-6", "http://a.test/where" }):says("[2001:db8:2::1]:80")
  end)

  it("are answered by an IPv6 resolver of the host", function()
    host_file("nameserver 2001:db8:2::53\n")
    dig("+short", "a.test"):says("203.0.113.1")
    dig("+short", "+tcp", "a.test"):says("203.0.113.1")
  end)

  it("are answered by the second resolver when the first one refuses", function()
    host_file("nameserver 203.0.113.7\nnameserver 203.0.113.53\n")
    L:run({ "getent", "ahostsv4", "a.test" }):shows("^203%.0%.113%.1 ")
  end)

  it("are answered by the second resolver when the first one is silent", function()
    host_file("nameserver 203.0.113.203\nnameserver 203.0.113.53\noptions timeout:1\n")
    L:run({ "getent", "ahostsv4", "a.test" }):shows("^203%.0%.113%.1 ")
  end)

  it("are asked of a resolver on the host's loopback", function()
    L:serve_dns({ "127.0.0.53" }, "203.0.113.9", { where = "host" })
    host_file("nameserver 127.0.0.53\noptions edns0 trust-ad\n")
    dig("+short", "where.test"):says("203.0.113.9")
    dig("+short", "+tcp", "where.test"):says("203.0.113.9")
  end)

  it("wait for a slow resolver without holding up the others", function()
    L:serve("slow", { "python3", "-BS", "/run/repo/spec/support/slow_dns.py", "203.0.113.9", "2",
      "203.0.113.99" })
    host_file("nameserver 203.0.113.9\n")
    L:run({ "sh", "-c", "for i in $(seq 9); do dig +short +time=10 +tries=1 $i.test & done;"
      .. " wait" }):says(("203.0.113.99\n"):rep(9):sub(1, -2))
  end)

  it("fail, and are asked of nobody else, when the host has no resolver", function()
    host_file("")
    local answer = L:run({ "dig", "+time=2", "+tries=1", "a.test" })
    assert.is_nil(answer.out:match("status: NOERROR"))
  end)

  it("go to another server when the command asks it by address", function()
    dig("+short", "@203.0.113.54", "where.test"):says("203.0.113.2")
    dig("+short", "+tcp", "@203.0.113.54", "where.test"):says("203.0.113.2")
  end)

  describe("while the command runs, after the host's file", function()
    -- The command asks until the answer is the second server's.
    local script = "dig +short where.test; echo asked; until [ \"$(dig +short +time=1 +tries=1"
      .. " where.test)\" = 203.0.113.2 ]; do sleep 0.05; done; dig +short where.test;"
      .. " getent ahostsv4 where.test | head -n 1"

    local function changes(how)
      local job = L:spawn({ "bash", "-c", script })
      job:expect("203%.0%.113%.1\nasked\n")
      L:host({ "sh", "-c", how }, { who = "root" }):exits(0)
      job:wait():shows("^203%.0%.113%.1\nasked\n203%.0%.113%.2\n203%.0%.113%.2 ")
    end

    it("was written anew, they come from the new resolver", function()
      changes("echo nameserver 203.0.113.54 >/etc/resolv.conf")
    end)

    it("was replaced by a rename, they come from the new resolver", function()
      changes("echo nameserver 203.0.113.54 >/etc/r.new; mv /etc/r.new /etc/resolv.conf")
    end)

    it("became a link to another, they come from the new resolver", function()
      changes("mkdir -p /run/net; echo nameserver 203.0.113.54 >/run/net/resolv.conf;"
        .. " ln -sf /run/net/resolv.conf /etc/r.new; mv -T /etc/r.new /etc/resolv.conf")
    end)
  end)
end)
