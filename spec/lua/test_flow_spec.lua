-- SPDX-License-Identifier: MIT
-- nsnet-host test: what a test lets appear before the rules, from its first packet to its end.

local scratch = require("spec.support.scratch")
local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host test", function()
  local root

  -- One test of @body, whose "rules" are those of @rules, must pass.
  local function passes(body, rules)
    root = scratch.new({
      ["rules.lua"] = rules,
      ["x_test.lua"] = 'local t = require "nsnet.test"\nlocal rules = t.load "rules.lua"\n'
        .. 't.it("name", function()\n' .. body .. "\nend)\n",
    })
    local command = "cd '%s' && timeout -k 2 120 '%s/nsnet-host' test x_test.lua 2>&1"
    local pipe = assert(io.popen(command:format(root, build)))
    local output = pipe:read("*a")
    pipe:close()
    assert.equal("x_test.lua: 1 passed, 0 failed\n1 passed, 0 failed\n", output)
  end

  after_each(function()
    scratch.remove(root)
  end)

  it("has the process that connects", function()
    passes([[
      local c = rules:connect { dst = "192.0.2.1:80", process = "/usr/bin/curl" }
      t.eq(t.allowed(c, "rules.lua:2").limits.down, 1000)
      t.denied(rules:connect { dst = "192.0.2.1:80", process = "wget" }, "no wget")
      t.denied(rules:flow { network = "udp", dst = "192.0.2.1:80", process = "wget" }, "no wget")
      t.eq(t.allowed(rules:connect { dst = "192.0.2.1:80" }, "default").limits.down, nil)
      for _, name in ipairs { "bin/curl", "", "/usr/bin/", "a-name-too-long-" } do
        t.raises(function()
          rules:connect { dst = "192.0.2.1:80", process = name }
        end, "process= is a short name of at most 15 bytes, or an executable's path")
      end]], [[
nsnet.rules { { name = "no wget", process = "wget", nsnet.deny } }
nsnet.on_connect({ process = "curl" }, function(conn)
  conn:limit { down = 1000 }
  if conn.process.exe == "/usr/bin/curl" then return nsnet.allow end
end)]])
  end)

  it("has calls from outside", function()
    passes([[
      local c = rules:connect { inbound = true, src = "203.0.113.9:4000", dst = "10.0.0.1:8080" }
      t.eq(t.denied(c, "no strangers").address, "10.0.0.1:8080")
      c = t.allowed(rules:connect { inbound = true, src = "198.51.100.9:4000",
        dst = "10.0.0.1:8080" }, "default")
      t.eq(c.target, "10.0.0.1:8080")
      t.eq(c:say "hello", "hello")
      t.logged "tcp from 198.51.100.9:4000 to 10.0.0.1:8080"
      t.denied(rules:connect { inbound = true, auto = true, src = "198.51.100.9:4000",
        dst = "10.0.0.1:8080" }, "default")
      t.allowed(rules:flow { network = "udp", inbound = true, src = "[2001:db8::9]:53",
        dst = "[fd6e:736e:6574::1]:53" }, "default")
      t.denied(rules:connect { src = "203.0.113.9:4000", dst = "10.0.0.1:8080" }, "default")
      t.same(t.dialed(), {})
      t.raises(function()
        rules:connect { inbound = true, dst = "10.0.0.1:1" }
      end, "inbound=true needs src=, the caller outside")
      t.raises(function()
        rules:connect { auto = true, dst = "10.0.0.1:1" }
      end, "auto= belongs to inbound=true")]], [[
nsnet.default(nsnet.deny)
nsnet.rules { { name = "no strangers", inbound = true, cidr = "203.0.113.0/24", nsnet.deny } }
nsnet.on_connect(function(conn)
  if conn.inbound then
    nsnet.log.info("%s from %s:%d to %s", conn.network, conn.src_ip, conn.src_port, conn.address)
  end
end)]])
  end)

  it("judges each request of a kept-alive connection, and what stands behind another", function()
    local rules = [[nsnet.default(nsnet.deny)
nsnet.rules { { name = "a", domain = ".a.example", nsnet.allow } }]]
    passes([[
      local function get(host, more)
        return "GET / HTTP/1.1\r\nHost: " .. host .. "\r\n" .. (more or "") .. "\r\n"
      end
      local function new()
        return t.allowed(rules:connect { dst = "192.0.2.1:80", name = "a.example" }, "a")
      end
      local c = new()
      t.ok(c.waits)
      t.eq(c:say(get "a.example"), get "a.example")
      t.eq(c:say(get "x.a.example"), get "x.a.example")
      t.ok(c.open)
      t.eq(c:say(get "b.example"), nil)
      t.eq(c.close_reason, "denied")
      t.has(c.reason, "b.example")
      -- A body is no request, however it comes and whatever it looks like.
      c = new()
      local body = get "b.example"
      local post = get("a.example", "Content-Length: " .. #body .. "\r\n")
      t.eq(c:say(post .. body:sub(1, 9)), post .. body:sub(1, 9))
      t.eq(c:say(body:sub(10)), body:sub(10))
      t.eq(c:say(get "a.example"), get "a.example")
      -- Two in one piece.
      c = new()
      t.eq(c:say(get "a.example" .. get "b.example"), nil)
      c = new()
      t.eq(#c:say(get "a.example" .. get "x.a.example"), #(get "a.example" .. get "x.a.example"))
      -- A head in pieces is held; the end of the child is no way out.
      c = new()
      t.eq(c:say "GET / HT", "")
      t.ok(c.waits)
      t.eq(c:say(get("b.example"):sub(9)), nil)
      c = new()
      t.eq(c:say "GET / HT", "")
      t.eq(c:finish(), nil)
      -- What cannot be a request any more goes, all of it, at any length.
      c = new()
      local long = "SSH-2.0-x\r\n" .. ("x"):rep(200000)
      t.eq(c:say "SSH-2.0-y\r\n", "SSH-2.0-y\r\n")
      t.eq(c:say(long), long)
      t.eq(c:finish(), "")
      t.ok(c.open)]], rules)
  end)

  it("has questions to the name server, judged by rules and handlers", function()
    passes([[
      t.resolves("www.a.example", { "198.51.100.7", "2001:db8::7" })
      local q = t.allowed(rules:ask { name = "www.a.example" }, "names")
      t.same(q.a, { "198.51.100.7" })
      t.eq(q.aaaa, nil)
      t.eq(q.rcode, "NOERROR")
      t.eq(q.where, "rules.lua:3")
      t.same(rules:ask({ name = "WWW.a.example.", type = "AAAA" }).aaaa, { "2001:db8::7" })
      -- What is said to be the address is proof of the name.
      t.allowed(rules:connect { dst = "198.51.100.7:443" }, "names")
      t.allowed(rules:connect { dst = "[2001:db8::7]:443" }, "names")
      t.denied(rules:connect { dst = "198.51.100.8:443" }, "default")
      q = t.denied(rules:ask { name = "other.example" }, "default")
      t.eq(q.rcode, "REFUSED")
      t.eq(q.style, "refuse")
      t.logged "dns: other.example A denied (REFUSED) by default"
      q = t.denied(rules:ask { name = "ads.a.example", network = "tcp" }, "no ads")
      t.eq(q.reason, "no ads here")
      t.eq(q.rcode, "NXDOMAIN")
      t.redirected(rules:ask { name = "b.test", type = "TXT" }, "192.0.2.53:53")
      t.eq(rules:ask({ name = "c.a.example" }).rcode, nil) -- nobody said what it is
      t.eq(rules:hits "no ads", 1)
      t.eq(rules:hits "names", 2) -- connections]], [[
nsnet.default(nsnet.deny)
nsnet.rules { { name = "no ads", network = "dns", domain = "ads.a.example",
  nsnet.deny { style = "unreachable", reason = "no ads here" } }, { name = "names",
  domain = ".a.example", nsnet.allow },
  { name = "there", network = "dns", domain = "b.test", nsnet.redirect "192.0.2.53" } }]])
  end)

  it("has the answers of on_dns, and what they prove", function()
    passes([[
      local q = rules:ask { name = "printer.lan" }
      t.eq(q.action, "answer")
      t.same(q.a, { "198.51.100.9", "198.51.100.10" })
      t.eq(q.ttl, 30)
      t.eq(q.rule, "rules.lua:2")
      t.allowed(rules:connect { dst = "198.51.100.10:631" }, "printer")
      t.same(rules:ask({ name = "printer.lan", type = "TXT" }).txt, { "one", ("x"):rep(300) })
      t.eq(rules:ask({ name = "alias.lan" }).cname, "printer.lan")
      t.dropped(rules:ask { name = "quiet.lan" })
      q = t.denied(rules:ask { name = "late.lan", src = "10.0.0.1:4000" })
      t.eq(q.reason, "udp 10.0.0.1:4000 to 10.0.0.53 A")
      t.near(q.elapsed, 3)
      t.denied(rules:ask { name = "v6.lan", src = "fd6e:736e:6574::1", type = "HTTPS" })
      t.allow_error "boom"
      q = t.denied(rules:ask { name = "bad.lan" })
      t.eq(q.rcode, "SERVFAIL")
      t.raises(function() return q.rcod end, 'a question has no field "rcod"')
      t.raises(function() rules:ask { type = "A" } end, "rules:ask needs name=")
      t.raises(function() rules:ask { name = "a..b" } end, 'name="a..b" is no name')
      t.raises(function() rules:ask { name = "a.b", type = "X" } end, 'type="X" is no type')
      t.raises(function() rules:ask { name = "a.b", network = "icmp" } end, 'is "udp" or "tcp"')]],
    [[
nsnet.default(nsnet.deny)
nsnet.on_dns({ domain = "printer.lan" }, function(query)
  return query:answer { a = { "198.51.100.9", "198.51.100.10" }, ttl = 30,
    txt = { "one", ("x"):rep(300) } }
end)
nsnet.on_dns({ domain = "alias.lan" }, function(query)
  return query:answer { cname = "printer.lan" }
end)
nsnet.on_dns(function(query)
  if query.name == "quiet.lan" then return nsnet.drop end
  if query.name == "bad.lan" then error "boom" end
  nsnet.sleep(3)
  return nsnet.deny(("%s %s:%d to %s %s"):format(query.network, query.src_ip, query.src_port,
    query.server, query.type))
end)
nsnet.rules { { name = "printer", domain = "printer.lan", port = 631, nsnet.allow } }]])
  end)

  it("ends with a step of a connection about to begin", function()
    passes([[
      local conn = rules:connect { dst = "192.0.2.1:80" }
      nsnet.spawn(function() for _ = 1, 50 do conn:say "x" end end)
      t.ok(true)]], "nsnet.default(nsnet.allow)")
  end)

  it("ends with a question and a connection under way", function()
    passes([[
      nsnet.spawn(function() rules:ask { name = "slow.lan" } end)
      nsnet.spawn(function() rules:connect { dst = "192.0.2.1:80" } end)
      t.sleep(1)
      t.ok(true)]], [[
nsnet.on_dns(function() nsnet.sleep(4) end)
nsnet.on_connect(function() nsnet.sleep(4) end)]])
  end)
end)
