-- SPDX-License-Identifier: MIT
-- nsnet-host explain: who was asked, what each said, the verdict, the status.

local build = assert(os.getenv("NSNET_BUILD"), "NSNET_BUILD is not set: run by make")

describe("nsnet-host explain", function()
  local function run(code, args)
    local command = "timeout -k 2 60 '%s/nsnet-host' explain %s %s 2>&1; echo $?"
    local script = code and ("-e '%s'"):format(code) or ""
    local pipe = assert(io.popen(command:format(build, script, args)))
    local output, status = pipe:read("*a"):match("^(.-)(%d+)\n$")
    pipe:close()
    return output, tonumber(status)
  end

  local function tells(want, status, code, args)
    local output, got = run(code, args)
    assert.equal(want, (output:gsub(" +", " ")))
    assert.equal(status, got)
  end

  it("tells what the reference shows", function()
    local text = require("spec.lint.files").read("lua/README.md")
    local args, want = text:match("\n    %$ nsnet%-host explain ([^\n]+)\n(.-)\n\n")
    local output = run(nil, args)
    assert.equal(want:gsub("^    ", ""):gsub("\n    ", "\n") .. "\n", output)
  end)

  it("is of the version that scripts see", function()
    local pipe = assert(io.popen(("'%s/nsnet-host' --version"):format(build)))
    local version = pipe:read("*a"):match("^nsnet%-host (%S+)\n$")
    pipe:close()
    local output = run("nsnet.log.error(nsnet.version)", "tcp 192.0.2.1:1")
    assert.equal(version, output:match("^nsnet%-host: (%S+)\n"))
  end)

  it("tells of everybody in their order", function()
    tells([[
guard -e:1 no match
on_connect -e:2 no opinion
rule a (-e:3) no match
rule b (-e:4) deny: no
guard of host 192.0.2.1 open
deny (unreachable) by b (-e:4): no
]], 1, [[nsnet.guard({ port = 9 }, function() end)
nsnet.on_connect(function() nsnet.sleep(0.01) end)
nsnet.rules { { name = "a", port = 80, nsnet.allow },
  { name = "b", port = 25, nsnet.deny { style = "unreachable", reason = "no" } } }
]], "tcp 192.0.2.1:25")
  end)

  it("tells where functions of ours were handed over", function()
    tells("on_connect -e:1 no opinion\non_connect -e:2 no opinion\nguard of host 192.0.2.1 open\n"
      .. "allow by default\ngoes to 192.0.2.1:80\n", 0,
      "nsnet.on_connect({ observe = true }, nsnet.log.conn)\nnsnet.on_connect(print)",
      "tcp 192.0.2.1:80")
  end)

  it("tells one -e from another", function()
    local output = run("nsnet.rules { { port = 1, nsnet.allow } }",
      "-e 'nsnet.rules { { port = 2, nsnet.allow } }' -e 'nsnet.rules { { port = 3,\n"
      .. "nsnet.deny } }' tcp 192.0.2.1:3")
    assert.is_truthy(output:find("\ndeny (refuse) by rule 1 (-e#3:1)\n", 1, true), output)
    output = run("nsnet.default(nsnet.deny)", "-e 'nsnet.default(nsnet.allow)' tcp 192.0.2.1:3")
    assert.is_truthy(output:find("-e#2:1: nsnet.default(nsnet.allow) contradicts the one at -e:1;",
      1, true), output)
  end)

  it("tells where it goes", function()
    local code = [[nsnet.rules { { cidr = "192.0.2.1", port = 80,
      nsnet.redirect("127.0.0.1:8080", { host_loopback = true }) } }]]
    tells("rule rule 1 (-e:1) redirect\nguard of host 127.0.0.1 host loopback, opened by the rule\n"
      .. "redirect by rule 1 (-e:1)\ngoes to 127.0.0.1:8080\n", 0, code, "tcp 192.0.2.1:80")
  end)

  it("tells of dialers, around which no echo goes", function()
    local dialer = "nsnet.dialer({ network = \"tcp\" }, function() end)\n"
    tells("guard of host 192.0.2.1 open\nallow by default\ngoes to 192.0.2.1:80 through a dialer\n",
      0, dialer, "tcp 192.0.2.1:80")
    tells("guard of host 192.0.2.1 open\nallow by default\ngoes to 192.0.2.1:80\n", 0, dialer,
      "udp 192.0.2.1:80")
    local _, status = run("nsnet.rules { { port = 80, nsnet.via(function() end) } }",
      "tcp 192.0.2.1:80")
    assert.equal(0, status)
    local output
    output, status = run(dialer, "icmp 192.0.2.1")
    assert.is_truthy(output:find("refused: an echo would go around the dialer", 1, true), output)
    assert.equal(1, status)
    _, status = run(dialer .. "nsnet.rules { { cidr = \"192.0.2.1\", network = \"icmp\", "
      .. "nsnet.allow } }", "icmp 192.0.2.1")
    assert.equal(0, status)
  end)

  it("asks the guard", function()
    local own = "note: the command's own loopback stays in its namespace and asks nobody, "
      .. "but for ports of -L\n"
    tells("guard of host 127.0.0.1 host loopback, closed\n"
      .. "deny (refuse) by guard: host loopback\nremedy: a rule with this address in its cidr "
      .. "opens it, and -L or --allow-host lead there\n" .. own, 1, "", "tcp 127.0.0.1:80")
    tells("guard of host 127.0.0.1 host loopback, opened by --allow-host\nallow by default\n"
      .. "goes to 127.0.0.1:80\n", 0, "", "--allow-host tcp 10.0.0.100:80")
  end)

  it("tells for each class what opens it, and that is true", function()
    local remedies = {
      { "tcp 169.254.169.254:80", "", "a rule with this address in its cidr opens it",
        "nsnet.rules { { cidr = \"169.254.169.254\", nsnet.allow } }", "" },
      { "udp '[fd00:ec2::254]:80'", "", "a rule with this address in its cidr opens it",
        "nsnet.rules { { cidr = \"fd00:ec2::254\", nsnet.allow } }", "" },
      { "tcp '[64:ff9b::7f00:1]:80'", "", "a rule with this address in its cidr opens it",
        "nsnet.rules { { cidr = \"127.0.0.1\", nsnet.allow } }", "" },
      { "icmp 10.0.0.100", "", "--allow-host makes this address the host's loopback", "",
        "--allow-host" },
      { "tcp 10.0.0.7:80", "", "move the namespace's by --net4 or --net6", "",
        "--net4 10.9.0.1/24" },
      { "tcp 192.0.2.1:80", [[nsnet.rules { { nsnet.redirect "127.0.0.1:80" } }]],
        "{ host_loopback = true } in the redirect opens it",
        [[nsnet.rules { { nsnet.redirect("127.0.0.1:80", { host_loopback = true }) } }]], "" },
    }
    for _, r in ipairs(remedies) do
      local output, status = run(r[2], r[1])
      assert.equal(1, status, output)
      assert.is_truthy(output:find("\nremedy: [^\n]*" .. r[3]:gsub("%p", "%%%0")), output)
      output, status = run(r[4], r[5] .. " " .. r[1])
      assert.equal(0, status, output)
    end
    local output, status = run("", "udp 224.0.0.251:5353")
    assert.is_falsy(output:find("remedy", 1, true), output) -- nothing opens it
    assert.equal(1, status)
  end)

  it("takes -L, as the program does", function()
    local deny = "--default deny"
    tells("guard of host 127.0.0.1 host loopback, opened by -L\nallow by -L\n"
      .. "goes to 127.0.0.1:15432\n", 0, "", deny .. " -L 5432:15432 tcp 127.0.0.1:5432")
    tells("guard of host ::1 host loopback, opened by -L\nallow by -L\ngoes to [::1]:5432\n", 0,
      "", deny .. " tcp '[::1]:5432' -L 5432")
    tells("guard of host 192.0.2.9 open\nallow by -L\ngoes to 192.0.2.9:80\n", 0, "",
      deny .. " -L 80:192.0.2.9:80 tcp 127.0.0.1:80")
    local _, status = run("", deny .. " -L 5432 tcp 127.0.0.1:5433")
    assert.equal(1, status)
    _, status = run("", deny .. " -L 5432 udp 127.0.0.1:5432")
    assert.equal(1, status)
    local output
    output, status = run([[nsnet.rules { { name = "no", cidr = "127.0.0.1", nsnet.deny } }]],
      "-L 5432 tcp 127.0.0.1:5432")
    assert.is_truthy(output:find("deny (reset) by no", 1, true), output)
    assert.equal(1, status)
    output, status = run([[nsnet.on_connect(function(c) c:limit { up = 9 } end)]],
      "-L 5432 tcp 127.0.0.1:5432")
    assert.is_truthy(output:find("which -L cannot", 1, true), output)
    assert.equal(1, status)
    output, status = run([[nsnet.dialer(function() end)]], "-L 5432 tcp 127.0.0.1:5432")
    assert.is_truthy(output:find("goes to 127.0.0.1:5432\n", 1, true), output)
    assert.equal(0, status)
    for _, case in ipairs { { "bogus:x", "names no port" }, { "80 -L 80:81", "already" } } do
      output, status = run("", "-L " .. case[1] .. " tcp 127.0.0.1:80")
      assert.is_truthy(output:find("^nsnet%-host: explain: %-L [^\n]*" .. case[2]), output)
      assert.equal(2, status)
    end
  end)

  it("takes what else changes a verdict, or says that it cannot", function()
    tells("rule no (-e:1) deny\nguard of host 192.0.2.1 open\n"
      .. "deny (refuse) by no (-e:1), but --dry-run allows it\ngoes to 192.0.2.1:80\n", 0,
      [[nsnet.rules { { name = "no", nsnet.deny } }]], "--dry-run tcp 192.0.2.1:80")
    local _, status = run([[nsnet.on_connect(function(c)
      if c.src_ip == "10.9.0.1" then return nsnet.allow end
      return nsnet.deny
    end)]], "--net4 10.9.0.1/24 tcp 192.0.2.1:80")
    assert.equal(0, status)
    local caller = "--default deny --inbound --src 203.0.113.9 tcp 10.0.0.1:80"
    assert.equal(0, select(2, run("", caller .. " -p 80")))
    assert.equal(1, select(2, run("", caller .. " -p auto")))
    local cases = {
      { "--dns=synthetic tcp 192.0.2.1:80", "^nsnet%-host: explain %-%-dns 'synthetic': " },
      { caller .. " -p auto -p 80", "^nsnet%-host: explain %-%-inbound: leave out" },
    }
    for _, case in ipairs(cases) do
      local output
      output, status = run("", case[1])
      assert.is_truthy(output:find(case[2]), output)
      assert.equal(2, status)
    end
  end)

  it("lets nothing of a name go past the dialer of its rule", function()
    local via = [[nsnet.rules { { name = "office", domain = "a.test", %snsnet.via(function() end) },
  { network = "udp", nsnet.allow } }]]
    for _, other in ipairs { "udp 192.0.2.1:123", "udp [2001:db8::1]:123", "udp 192.0.2.1:443",
      "icmp 192.0.2.1" } do
      local output, status = run(via:format(""), other .. " --name a.test")
      assert.matches("\ndeny %(refuse%) by office %(%-e:1%): by a name only TCP goes via a dialer; "
        .. "network= in the rule takes the rest\n", output)
      assert.equal(1, status)
      output, status = run(via:format(""), other .. " --name b.test")
      assert.equal(other:find("icmp") and 1 or 0, status, output) -- echo goes around no dialer
      assert.is_nil(output:find("by office", 1, true))
    end
    assert.matches("\nvia by office", (run(via:format(""), "tcp 192.0.2.1:80 --name a.test")))
    assert.matches("\nvia by office", (run(via:format([[network = { "tcp", "udp" }, ]]),
      "udp 192.0.2.1:123 --name a.test")))
  end)

  it("knows an address in both of its spellings, as it was and as what it stands for", function()
    local function verdict(rule, address)
      local output = run(("nsnet.rules { { cidr = %s, nsnet.%s } }"):format(rule,
        "deny"), "tcp " .. address .. ":80")
      local opened = run(("nsnet.rules { { cidr = %s, nsnet.%s } }"):format(rule, "allow"),
        "--default=deny tcp " .. address .. ":80")
      return (output:match("\ndeny %(refuse%) by rule 1") and "closes" or "-") .. " "
        .. (opened:match("\nallow by rule 1") and "opens" or "-")
    end
    for _, row in ipairs {
      { '"2002:c633:6400::/40"', "[2002:c633:6407::1]", "closes opens" },
      { '"2002::/16"', "[2002:c633:6407::1]", "closes opens" },
      { '"2000::/3"', "[2002:c633:6407::1]", "closes -" },
      { '"::/0"', "[64:ff9b::198.51.100.7]", "closes -" },
      { '"::/0"', "[::ffff:198.51.100.7]", "- -" },
      { '"::ffff:198.51.100.0/120"', "[::ffff:198.51.100.7]", "closes opens" },
      { '"::ffff:198.51.100.0/120"', "198.51.100.7", "closes opens" },
      { 'nsnet.cidrs { "::ffff:0:0/96" }', "198.51.100.7", "closes opens" },
      { '"198.51.100.0/24"', "[2002:c633:6407::1]", "closes opens" },
      { '"198.51.100.0/24"', "[::ffff:198.51.100.7]", "closes opens" },
      { '"198.51.100.0/24"', "[64:ff9b::198.51.100.7]", "closes opens" },
      { '"64:ff9b::/96"', "[64:ff9b::198.51.100.7]", "closes opens" },
      { '"64:ff9b::/96"', "198.51.100.7", "- -" },
      { '"2002::/16"', "[2002:7f00:1::1]", "closes -" }, -- the guard's, and not named
      { '"2002:7f00::/24"', "[2002:7f00:1::1]", "closes opens" },
      { 'nsnet.cidrs { "2002:c633:6400::/40" }', "[2002:c633:6407::1]", "closes opens" },
    } do
      assert.equal(row[3], verdict(row[1], row[2]), row[1] .. " " .. row[2])
    end
    assert.equal(0, select(2, run([[
assert(nsnet.cidrs { "2002:c633:6400::/40" }:has "2002:c633:6407::1")]], "tcp 192.0.2.1:80")))
  end)

  it("has no dialer for calls from outside", function()
    tells("rule rule 1 (-e:1) via\nvia by rule 1 (-e:1)\ngoes to 10.0.0.1:80\n", 0,
      "nsnet.rules { { nsnet.via(function() end) } }",
      "--inbound --src 203.0.113.9 tcp 10.0.0.1:80")
  end)

  it("tells what only the first bytes can tell, and takes them", function()
    local code = [[nsnet.default(nsnet.deny)
nsnet.rules { { name = "n", domain = ".a.example", port = 443, nsnet.allow } }]]
    local to = "tcp 192.0.2.1:443"
    local output, status = run(code, to .. " --name www.a.example")
    assert.is_truthy(output:find("for now: the first bytes decide", 1, true), output)
    assert.equal(3, status)
    output, status = run(code, to .. " --name www.a.example --sni www.a.example")
    assert.is_truthy(output:find("\nallow by n (-e:2)\n", 1, true), output)
    assert.equal(0, status)
    output, status = run(code, to .. " --name www.a.example --sni evil.example")
    assert.is_truthy(output:find("deny (reset) by", 1, true), output)
    assert.equal(1, status)
    output, status = run(code, to .. " --name www.a.example --http-host evil.example")
    assert.is_truthy(output:find("deny (reset) by", 1, true), output)
    assert.equal(1, status)
    output, status = run(code, to) -- nobody was told that this address is of that name
    assert.is_truthy(output:find("deny (refuse) by default", 1, true), output)
    assert.equal(1, status)
  end)

  it("takes UDP and echo, and --default", function()
    local output, status = run("", "--default deny udp 192.0.2.1:53")
    assert.is_truthy(output:find("deny (refuse) by default\n", 1, true), output)
    assert.equal(1, status)
    output, status = run("", "icmp 2001:db8::1")
    assert.is_truthy(output:find("allow by default\ngoes to 2001:db8::1\n", 1, true), output)
    assert.equal(0, status)
  end)

  it("takes the program that connects", function()
    local code = [[nsnet.rules { { process = "curl", nsnet.deny "a" },
      { process = "/usr/bin/wget", nsnet.deny "b" } }
nsnet.on_connect(function(conn)
  if conn.process and conn.process.exe == "/opt/a-very-long-program" then
    return nsnet.deny(conn.process.name)
  end
end)]]
    for args, want in pairs { ["curl"] = "a", ["/usr/bin/curl"] = "a", ["/usr/bin/wget"] = "b",
      ["wget"] = false, ["/opt/a-very-long-program"] = "a-very-long-pro" } do
      local output, status = run(code, "tcp 192.0.2.1:80 --process " .. args)
      assert.equal(want and 1 or 0, status, output)
      assert.is_truthy(not want or output:find(": " .. want .. "\n", 1, true), output)
    end
    assert.equal(0, select(2, run(code, "tcp 192.0.2.1:80")))
    for _, name in ipairs { "bin/curl", "''", "/usr/bin/", "a-name-too-long-" } do
      local output, status = run("", "tcp 192.0.2.1:80 --process " .. name)
      assert.is_truthy(output:find("^nsnet%-host: explain: %-%-process"), output)
      assert.equal(2, status)
    end
  end)

  it("takes who connects, and calls from outside", function()
    local code = [[nsnet.default(nsnet.deny)
nsnet.rules { { name = "caller", inbound = true, cidr = "203.0.113.0/24", nsnet.deny } }
nsnet.on_connect(function(conn)
  if conn.src_ip == "10.0.0.7" then return nsnet.allow end
end)]]
    local _, status = run(code, "tcp 192.0.2.1:80 --src 10.0.0.7")
    assert.equal(0, status)
    _, status = run(code, "tcp 192.0.2.1:80 --src 10.0.0.8:4711")
    assert.equal(1, status)
    tells("rule caller (-e:2) deny\ndeny (reset) by caller (-e:2)\n", 1, code,
      "--inbound --src 203.0.113.9 tcp 10.0.0.1:8080")
    tells("rule caller (-e:2) no match\non_connect -e:3 no opinion\nallow by -p\n"
      .. "goes to 10.0.0.1:8080\n", 0, code, "--inbound --src 198.51.100.9 tcp 10.0.0.1:8080")
    tells("rule caller (-e:2) no match\non_connect -e:3 no match\nallow by -p\n"
      .. "goes to [fd6e:736e:6574::1]:53\n", 0, code,
      "udp '[fd6e:736e:6574::1]:53' --inbound --src 2001:db8::9")
  end)

  it("dials nothing, not by a dialer either", function()
    local output, status = run([[nsnet.dialer(function() error "dialed" end)]], "tcp 192.0.2.1:80")
    assert.is_falsy(output:find("dialed", 1, true), output)
    assert.equal(0, status)
  end)

  it("shows errors, and denies for them", function()
    local code = [[nsnet.on_connect(function() error "boom" end)]]
    local output, status = run(code, "tcp 192.0.2.1:80")
    assert.is_truthy(output:find("nsnet-host: -e:1: boom (in on_connect", 1, true), output)
    assert.is_truthy(output:find("error: error in a script", 1, true), output)
    assert.equal(1, status)
  end)

  it("ends with 2, 66 and 70 for what cannot be asked", function()
    local cases = {
      { 2, "", "" }, { 2, "", "tcp" }, { 2, "", "sctp 192.0.2.1:80" }, { 2, "", "tcp 192.0.2.1" },
      { 2, "", "icmp 192.0.2.1:80" }, { 2, "", "tcp www.example:80" },
      { 2, "", "tcp 192.0.2.1:80 more" }, { 2, "", "udp 192.0.2.1:80 --sni a.example" },
      { 2, "", "tcp 192.0.2.1:80 --src x" }, { 2, "", "tcp 192.0.2.1:80 --src 2001:db8::1" },
      { 2, "", "icmp 192.0.2.1 --src 192.0.2.2:1" }, { 2, "", "tcp 192.0.2.1:80 --inbound" },
      { 2, "", "tcp 10.0.0.1:80 --inbound --src 192.0.2.1 --name a.example" },
      { 2, "", "tcp 192.0.2.1:80 --name 'no name'" }, { 66, nil, "-s /none.lua tcp 192.0.2.1:80" },
      { 70, "nsnet.on_conect()", "tcp 192.0.2.1:80" },
      { 70, "nsnet.on_start(function() return nil, \"no\" end)", "tcp 192.0.2.1:80" },
    }
    for _, case in ipairs(cases) do
      local output, status = run(case[2], case[3])
      assert.equal(case[1], status, case[3] .. ": " .. output)
      assert.is_truthy(output:find("^nsnet%-host: "), output)
    end
  end)
end)
