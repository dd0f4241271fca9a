-- SPDX-License-Identifier: MIT
-- nsnet-host test: what it tells of tests that pass, fail, are wrong or never end.

local scratch = require("spec.support.scratch")
local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host test", function()
  local root

  -- Runs @args in the folder of @files; returns the output, stderr too, and the status.
  local function run(files, args)
    root = scratch.new(files)
    local command = "cd '%s' && timeout -k 2 120 '%s/nsnet-host' test %s 2>&1; echo $?"
    local pipe = assert(io.popen(command:format(root, build, args or "x_test.lua")))
    local output, status = pipe:read("*a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return output, tonumber(status)
  end

  -- A test file with one test of @body. "rules" are those of @rules, if there are any.
  local function one(body, rules)
    return {
      ["rules.lua"] = rules or "",
      ["x_test.lua"] = 'local t = require "nsnet.test"\nlocal rules = t.load "rules.lua"\n'
        .. 't.it("name", function()\n' .. body .. "\nend)\n",
    }
  end

  local function has(output, text)
    assert.is_truthy(output:find(text, 1, true), ("no %q in:\n%s"):format(text, output))
  end

  local function lacks(output, text)
    assert.is_falsy(output:find(text, 1, true), ("%q is in:\n%s"):format(text, output))
  end

  local function passes(body, rules)
    local output, status = run(one(body, rules))
    assert.equal("x_test.lua: 1 passed, 0 failed\n1 passed, 0 failed\n", output)
    assert.equal(0, status)
  end

  -- The test must fail, and @text be told.
  local function fails(body, text, rules)
    local output, status = run(one(body, rules))
    has(output, "FAIL name\n")
    has(output, text)
    has(output, "\n0 passed, 1 failed\n")
    assert.equal(1, status)
  end

  after_each(function()
    scratch.remove(root)
  end)

  it("runs what the reference shows", function()
    local text = require("spec.lint.files").read("lua/README.md")
    local test = text:match("\n```text\n(local t = require.-\n)```\n")
    local output, status = run { ["x_test.lua"] = test, ["rules.lua"] = [[
nsnet.rules { { name = "mail", port = 25, nsnet.deny "no mail from here" } }
nsnet.dialer(require("nsnet.socks5").dialer { proxy = "127.0.0.1:1080" })]] }
    assert.equal("x_test.lua: 2 passed, 0 failed\n2 passed, 0 failed\n", output)
    assert.equal(0, status)
  end)

  it("takes no options for its rules but those that t.load gives", function()
    for _, args in ipairs { "--default=deny", "-s rules.lua", "--allow-host", "--dry-run",
      "-L 5432", "--env HOME", "--dns=synthetic" } do
      local output, status = run(one("t.ok(true)"), args .. " x_test.lua")
      has(output, "nsnet-host: --")
      has(output, "t.load(\"rules.lua\", { default = \"deny\" })")
      lacks(output, "passed")
      assert.equal(2, status)
    end
  end)

  describe("shows", function()
    it("each test with -v, and the sum on the last line", function()
      local output, status = run({
        ["a_test.lua"] = [[
          local t = require "nsnet.test"
          t.describe("outer", function()
            t.describe("inner", function()
              t.it("is good", function() t.eq(1, 1) end)
              t.it("is bad", function() t.eq(1, 2) end)
            end)
          end)]],
        ["b_test.lua"] = [[
          local t = require "nsnet.test"
          t.it("is plain", function() assert(true) end)]],
      }, "-v a_test.lua b_test.lua")
      assert.equal([[
a_test.lua
  ok   outer > inner > is good
  FAIL outer > inner > is bad
       a_test.lua:5: expected 2, got 1
a_test.lua: 1 passed, 1 failed
b_test.lua
  ok   is plain
b_test.lua: 1 passed, 0 failed
2 passed, 1 failed
]], output)
      assert.equal(1, status)
    end)

    it("what each rule said where a verdict is wrong", function()
      fails('t.allowed(rules:connect { dst = "192.0.2.1:25" })', [[
       x_test.lua:4: expected allow, got:
         rule           a (rules.lua:1)                no match
         on_connect     rules.lua:2                    no opinion
         rule           b (rules.lua:3)                deny: no mail
         deny (refuse) by b (rules.lua:3): no mail
]], [[nsnet.rules { { name = "a", port = 80, nsnet.allow } }
nsnet.on_connect(function() end)
nsnet.rules { { name = "b", port = 25, nsnet.deny "no mail" } }]])
    end)

    it("which rules and handlers were of use", function()
      local output = run(one([[
        t.allowed(rules:connect { dst = "192.0.2.1:80" })
        t.allowed(rules:connect { dst = "192.0.2.1:80" })]], [[
nsnet.rules {
  { name = "web", port = 80, nsnet.allow },
  { name = "mail", port = 25, nsnet.deny },
}
nsnet.on_connect(function() end)
nsnet.on_close(function() end)]]), "--coverage x_test.lua")
      has(output, "       2  rule           web (rules.lua:2)\n")
      has(output, "       0  rule           mail (rules.lua:3)  <- never\n")
      has(output, "       0  on_connect     rules.lua:5  <- never\n")
      has(output, "       2  on_close       rules.lua:6\n")
      has(output, "2 of 4 rules and handlers were of use\n")
    end)
  end)

  describe("fails", function()
    it("what asserts nothing", function()
      fails("rules:connect { dst = '192.0.2.1:80' }", "asserts nothing")
    end)

    it("what the scripts do wrong, though the verdict is the wanted one", function()
      fails('t.denied(rules:connect { dst = "192.0.2.1:80" })',
        "an error in the scripts: rules.lua:1: boom (in on_connect",
        "nsnet.on_connect(function() error 'boom' end)")
    end)

    it("an error that was expected and does not come", function()
      fails('t.allow_error "boom"', 'x_test.lua:4: no error with "boom"')
    end)

    it("a script that never ends, and goes on with the next", function()
      local output, status = run({
        ["rules.lua"] = "nsnet.on_connect(function() while true do end end)",
        ["x_test.lua"] = [[
          local t = require "nsnet.test"
          local rules = t.load "rules.lua"
          t.it("hangs", function() t.denied(rules:connect { dst = "192.0.2.1:80" }) end)
          t.it("hangs, too", function() while true do end end)
          t.it("goes on", function() t.eq(1, 1) end)]],
      })
      has(output, "rules.lua:1: CPU budget of 10 ms exceeded")
      has(output, "x_test.lua:4: CPU budget of 2000 ms exceeded")
      has(output, "\n1 passed, 2 failed\n")
      assert.equal(1, status)
    end)

    it("what waits for ever", function()
      fails("t.ok(true) while true do t.sleep(3600) end", "it waits for what never comes")
    end)

    it("a process that somebody kills, and runs the other files", function()
      root = scratch.new({
        ["x_test.lua"] = [[
          local t = require "nsnet.test"
          t.it("waits", function() t.ok(true) while true do t.sleep(0.01) end end)]],
        ["y_test.lua"] = 'local t = require "nsnet.test" t.it("y", function() t.eq(1, 1) end)',
        ["run"] = [[
          "$1" test x_test.lua y_test.lua >out 2>&1 & p=$!
          for i in $(seq 100); do c=$(cat /proc/$p/task/$p/children); [ -n "$c" ] && break
            sleep 0.1; done
          kill -KILL $c; wait $p; echo $? >>out]],
      })
      local command = ("cd '%s' && timeout -k 2 60 sh run '%s/nsnet-host'"):format(root, build)
      assert.equal(0, os.execute(command))
      local file = assert(io.open(root .. "/out"))
      local output = file:read("*a")
      file:close()
      has(output, "nsnet-host: x_test.lua: ended by signal 9\n")
      has(output, "y_test.lua: 1 passed, 0 failed\n1 passed, 1 failed\n70\n")
    end)

    it("a wrong field, key or call, with its place", function()
      fails('t.eq(rules:connect({ dst = "192.0.2.1:80" }).actoin, nil)',
        'x_test.lua:4: a connection has no field or method "actoin"')
      scratch.remove(root)
      fails('t.ok(rules:connect { dst = "192.0.2.1:80", prot = "tcp" })',
        'x_test.lua:4: rules:connect: unknown key "prot"')
      scratch.remove(root)
      fails('t.ok(rules:connect { dst = "192.0.2.1:80", proces = "curl" })',
        "x_test.lua:4: rules:connect: unknown key \"proces\"; did you mean 'process'?")
      scratch.remove(root)
      fails('t.alowed(rules:connect { dst = "192.0.2.1:80" })',
        "x_test.lua:4: nsnet.test has no \"alowed\"; did you mean 'allowed'?")
      scratch.remove(root)
      fails('t.ok(rules:connect { dst = "192.0.2.1" })', "x_test.lua:4: dst=\"192.0.2.1\" is no IP")
      scratch.remove(root)
      fails("local none t.eq(none.x, 1)", "x_test.lua:4: attempt to index local 'none'")
      scratch.remove(root)
      fails("t.eq(t.nothing.x, 1)", "x_test.lua:4: nsnet.test has no \"nothing\"")
      scratch.remove(root)
      fails("rules.connect { dst = '192.0.2.1:80' }", "x_test.lua:4: use rules:connect(...), with")
      scratch.remove(root)
      fails("t.it('x', function() end)", "x_test.lua:4: t.it cannot be used inside of t.it")
      scratch.remove(root)
      fails("t.ok(rules:hits 'nobody' > 0)", 'x_test.lua:4: these rules have no rule or')
    end)

    it("a connection that is used after its end", function()
      fails('local c = rules:connect { dst = "192.0.2.1:80" } c:close() c:say "x"',
        "x_test.lua:4: the connection is not open")
    end)

    it("on_start that fails", function()
      fails('t.allowed(rules:connect { dst = "192.0.2.1:80" })',
        "x_test.lua:4: on_start failed: rules.lua:1: on_start: not today",
        "nsnet.on_start(function() return nil, 'not today' end)")
    end)

    it("what dials and resolves where nobody is", function()
      local rules = [[nsnet.on_connect(function()
        nsnet.resolve "a.example"
        nsnet.dial("tcp", "127.0.0.1:7")
        return nsnet.deny end)]]
      fails('t.denied(rules:connect { dst = "192.0.2.1:80" })',
        "the scripts dial tcp 127.0.0.1:7, where no t.peer is", rules)
      scratch.remove(root)
      fails('t.denied(rules:connect { dst = "192.0.2.1:80" })',
        "the scripts resolve a.example, for which there is no t.resolves", rules)
    end)

    it("peers that hear something else, too little, or nobody", function()
      local rules = [[nsnet.on_connect(function()
        local s = nsnet.dial("tcp", "127.0.0.1:7")
        s:write "abc"
        return nsnet.deny end)]]
      local ask = ' t.denied(rules:connect { dst = "192.0.2.1:80" })'
      fails('t.peer("127.0.0.1:7"):expect "abd"' .. ask,
        'peer 127.0.0.1:7: x_test.lua:4: expected "abd", got "abc"', rules)
      scratch.remove(root)
      fails('t.peer("127.0.0.1:7"):expect "abcd"' .. ask, 'expected "abcd", got "abc"', rules)
      scratch.remove(root)
      fails('t.peer("127.0.0.1:7"):expect "abc" t.peer "127.0.0.1:8"' .. ask,
        "x_test.lua:4: nobody came to peer 127.0.0.1:8", rules)
      scratch.remove(root)
      fails('t.peer("127.0.0.1:7", function(s) t.eq(s:read(3), "xyz") end)' .. ask,
        'x_test.lua:4: expected "xyz", got "abc"', rules)
    end)
  end)

  describe("ends with", function()
    it("66 for a file that is not there", function()
      local output, status = run({}, "nothing_test.lua")
      has(output, "nsnet-host: nothing_test.lua: No such file or directory")
      has(output, "\n0 passed, 1 failed\n")
      assert.equal(66, status)
    end)

    it("66 for rules that are not there", function()
      local output, status = run({
        ["x_test.lua"] = 'local t = require "nsnet.test"\nt.load "none.lua"\n',
      })
      has(output, "x_test.lua:2: the rules could not be loaded: none.lua: No such file")
      assert.equal(66, status)
    end)

    it("70 for a file that does not parse, or raises, or has no test", function()
      local output, status = run({ ["x_test.lua"] = "local = 1" })
      has(output, "x_test.lua:1:")
      assert.equal(70, status)
      scratch.remove(root)
      output, status = run({ ["x_test.lua"] = "\nerror 'boom'" })
      has(output, "x_test.lua:2: boom")
      assert.equal(70, status)
      scratch.remove(root)
      output, status = run({ ["x_test.lua"] = "require 'nsnet.test'" })
      has(output, "there is no t.it in this file")
      assert.equal(70, status)
      scratch.remove(root)
      output, status = run({ ["x_test.lua"] = "while true do end" })
      has(output, "x_test.lua:1: CPU budget of 2000 ms exceeded")
      assert.equal(70, status)
    end)

    it("70 for rules that are wrong", function()
      local output, status = run(one("t.ok(true)", "nsnet.on_conect(function() end)"))
      has(output, "x_test.lua:2: the rules could not be loaded: rules.lua:1: there is no nsnet.on_")
      assert.equal(70, status)
    end)

    it("the worst of all files", function()
      local files = one("t.ok(false)")
      local output, status = run(files, "x_test.lua missing_test.lua x_test.lua")
      has(output, "\n0 passed, 3 failed\n")
      assert.equal(66, status)
    end)

    it("2 without a file", function()
      local output, status = run({}, "")
      has(output, "nsnet-host: test: name files of tests")
      assert.equal(2, status)
    end)
  end)

  it("gives each test fresh rules", function()
    local output, status = run({
      ["rules.lua"] = [[
        local n = 0
        nsnet.on_connect(function() n = n + 1 return nsnet.deny(tostring(n)) end)]],
      ["x_test.lua"] = [[
        local t = require "nsnet.test"
        local rules = t.load "rules.lua"
        for i = 1, 3 do
          t.it("test " .. i, function()
            t.eq(t.denied(rules:connect { dst = "192.0.2.1:80" }).reason, "1")
            t.eq(t.denied(rules:connect { dst = "192.0.2.1:80" }).reason, "2")
          end)
        end]],
    })
    has(output, "3 passed, 0 failed")
    assert.equal(0, status)
  end)

  it("lets time pass without any waiting", function()
    local started = os.time()
    passes([[
      t.clock "2031-05-06 23:59:50"
      local c = rules:connect { dst = "192.0.2.1:80" }
      t.eq(t.denied(c).reason, "07")
      t.near(c.elapsed, 25)
      t.sleep(86400)
      t.near(t.passed(), 86425)
      t.eq(rules:hits "rules.lua:1", 1)
      t.logged "it is 00:00"
      t.logged "tick 24"]], [[nsnet.on_connect(function()
        nsnet.sleep(25)
        nsnet.log.info("it is %s", os.date "%H:%M")
        return nsnet.deny(os.date "%d") end)
        local n = 0
        local timer
        timer = nsnet.every(3600, function()
          n = n + 1
          nsnet.log.info("tick %d", n)
          if n == 23 then
            timer:cancel()
            nsnet.after(1800, function() nsnet.log.info "tick 24" end)
          end
        end)]])
    assert.is_true(os.time() - started < 100)
  end)

  it("plays UDP, echo, first bytes, data, packets and the end", function()
    passes([[
      local u = t.denied(rules:flow { network = "udp", dst = "[2001:db8::1]:53" })
      t.eq(u.reason, "udp 2001:db8::1")
      t.dropped(rules:flow { network = "icmp", dst = "192.0.2.1" })
      local c = rules:connect { dst = "192.0.2.1:80" }
      t.ok(c.waits)
      t.eq(c:say "GE", "")
      t.eq(c:say "T / HTTP/1.1\r\n", "GET / HTTP/1.1\r\n")
      t.ok(not c.waits)
      t.eq(c:hear "hello", "HELLO")
      t.eq(c.bytes_down, 5)
      c:close "reset by child"
      t.logged "end reset by child"
      local bad = rules:connect { dst = "192.0.2.1:80", first = "PUT / HTTP/1.1\r\n" }
      t.eq(t.denied(bad).style, "reset")
      t.eq(bad.reason, "no PUT")
      t.eq(bad.open, false)
      t.eq(rules:packet { proto = "udp", dst = "192.0.2.1:7" }, "drop")
      t.eq(rules:packet { proto = "tcp", flags = "S", dst = "[2001:db8::1]:7" }, "pass")
      t.eq(rules:packet { dir = "in", proto = "icmp", dst = "10.0.0.1", src = "192.0.2.1" }, "pass")
      rules:exit(3)
      t.logged "exit 3"]], [[
      nsnet.on_flow({ network = "udp" }, function(f) return nsnet.deny("udp " .. f.dst_ip) end)
      nsnet.on_flow({ network = "icmp" }, function() return nsnet.drop end)
      nsnet.on_first_bytes(function(conn)
        if conn:peek(3):sub(1, 3) == "PUT" then return nsnet.deny "no PUT" end
      end)
      nsnet.on_data({ dir = "down" }, function(_, _, bytes) return bytes:upper() end)
      nsnet.on_packet({ proto = "udp", port = 7 }, function() return nsnet.drop end)
      nsnet.on_close(function(conn) nsnet.log.info("end %s", conn.close_reason) end)
      nsnet.on_exit(function(status) nsnet.log.info("exit %d", status) end)]])
  end)

  it("plays the destination, a dialer's proxy and names", function()
    passes([[
      t.resolves("proxy.example", { "192.0.2.9" })
      local proxy = t.peer "192.0.2.9:1"
      proxy:expect("to 198.51.100.1:80\n"):send("ok\nearly"):expect("abc"):send "def"
      local c = t.allowed(rules:connect { dst = "198.51.100.1:80" })
      t.eq(c:hear(), "early")
      t.eq(c:say "abc", "abc")
      t.eq(c:hear(), "def")
      t.same(t.dialed(), { "tcp proxy.example:1" })
      t.peer("198.51.100.2:81"):refuse()
      local r = t.allowed(rules:connect { dst = "198.51.100.2:81" })
      t.eq(r.open, false)
      t.eq(r.error, "Connection refused")
      t.peer("192.0.2.9:1"):blackhole()
      local s = rules:connect { dst = "198.51.100.1:80" }
      t.eq(s.dial_error, "timeout")
      t.near(s.elapsed, 10)
      t.eq(s.close_reason, "dial failed")]], [[
      nsnet.dialer({ port = 80 }, function(_, address)
        local s, err, code = nsnet.dial("tcp", "proxy.example:1")
        if not s then return nil, err, code end
        s:write("to " .. address .. "\n")
        return s:read_line() == "ok" and s
      end)]])
  end)

  it("has the guard, its exceptions and the options of the program", function()
    passes([[
      t.denied(rules:connect { dst = "127.0.0.1:80" }, "guard")
      t.denied(rules:connect { dst = "[::ffff:169.254.169.254]:80" }, "guard")
      t.allowed(rules:connect { dst = "192.0.2.7:80" })
      t.own { "192.0.2.7" }
      t.denied(rules:connect { dst = "192.0.2.7:80" }, "guard")
      t.redirected(rules:connect { dst = "192.0.2.1:81" }, "127.0.0.1:8080")
      local strict = t.load({ code = "" }, { default = "deny" })
      t.denied(strict:connect { dst = "192.0.2.1:80" }, "default")
      local dry = t.load({ code = "nsnet.default(nsnet.deny)" }, { dry_run = true })
      t.allowed(dry:connect { dst = "192.0.2.1:80" })
      local host = t.load({ code = "" }, { allow_host = true })
      t.eq(t.allowed(host:connect { dst = "10.0.0.100:80" }).target, "127.0.0.1:80")
      local guard = { code = "nsnet.guard(function() return nsnet.deny end)" }
      local both = t.load { "rules.lua", guard }
      t.denied(both:connect { dst = "192.0.2.1:81" })
      t.has(t.load_error { code = "nsnet.rules {" }, "rules.lua:1:")]],
      "nsnet.rules { { port = 81, nsnet.redirect('127.0.0.1:8080', { host_loopback = true }) } }")
  end)

  it("shows limits, tags and what a reload does", function()
    passes([[
      local c = t.allowed(rules:connect { dst = "192.0.2.1:80" })
      t.same(c.limits, { up = 1000, latency = 0.5, reset_after = 99 })
      t.eq(c.tags, "slow,b")
      t.ok(rules:reload())
      t.allowed(rules:connect { dst = "192.0.2.1:80" })]], [[
      nsnet.on_connect(function(conn)
        conn:limit { up = 1000, latency = 0.5, reset_after = 99 }
        conn:tag "slow" conn:tag "b"
      end)]])
  end)

  it("takes no memory for time that passes", function()
    passes([[
      t.eq(rules:connect({ dst = "192.0.2.1:80" }).reason, "flat")]], [[
      nsnet.on_connect(function()
        local before = collectgarbage "count"
        for _ = 1, 29000 do nsnet.sleep(0.001) end
        local grown = collectgarbage "count" - before
        return nsnet.deny(grown < 1000 and "flat" or tostring(grown))
      end)]])
  end)

  it("keeps the module from ordinary scripts", function()
    root = scratch.new { ["rules.lua"] = 'require "nsnet.test"' }
    local pipe = assert(io.popen(("'%s/nsnet-host' --check -s '%s/rules.lua' 2>&1; echo $?")
      :format(build, root)))
    local output = pipe:read("*a")
    pipe:close()
    has(output, "nsnet.test is for files that are run by: nsnet-host test FILE")
    has(output, "\n70\n")
    lacks(output, "traceback")
  end)
end)
