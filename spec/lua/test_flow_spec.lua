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
end)
