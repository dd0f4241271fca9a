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
    tells("guard of host 127.0.0.1 host loopback, closed\n"
      .. "deny (refuse) by guard: host loopback\n", 1, "", "tcp 127.0.0.1:80")
    local _, status = run("", "--allow-host tcp 10.0.0.100:80")
    assert.equal(0, status)
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
    tells("rule caller (-e:2) deny\ndeny (refuse) by caller (-e:2)\n", 1, code,
      "--inbound --src 203.0.113.9 tcp 10.0.0.1:8080")
    tells("rule caller (-e:2) no match\non_connect -e:3 no opinion\nallow by default\n"
      .. "goes to 10.0.0.1:8080\n", 0, code, "--inbound --src 198.51.100.9 tcp 10.0.0.1:8080")
    tells("rule caller (-e:2) no match\non_connect -e:3 no match\nallow by default\n"
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
