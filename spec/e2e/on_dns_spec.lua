-- SPDX-License-Identifier: MIT
-- Scripts that look at the command's questions: on_dns.
local lab = require("spec.support.lab")

describe("on_dns", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, "a.test A 60 203.0.113.1\n"
      .. "a.test AAAA 60 2001:db8:2::1\nother.test A 60 203.0.113.2\nlong.test TXT 60 hello\n")
    L:serve_authority("second", { "203.0.113.54" }, "a.test A 60 203.0.113.2\n")
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local function dig(code, ...)
    return L:run({ "dig", "+time=5", "+tries=1", ... }, { args = { "-e", code } })
  end

  for _, way in ipairs({ "+notcp", "+tcp" }) do
    for _, server in ipairs({ "@10.0.0.53", "@fd6e:736e:6574::53" }) do
      it("answers, denies, forwards by " .. way .. " " .. server, function()
        local code = [[
          nsnet.on_dns({ domain = "mine.test" }, function(q)
            return q:answer { a = "203.0.113.9", aaaa = "2001:db8:2::9", txt = "text", ttl = 3 }
          end)
          nsnet.on_dns({ domain = ".gone.test" }, function()
            return nsnet.deny { style = "unreachable" }
          end)
          nsnet.on_dns({ domain = "no.test" }, function() return nsnet.deny "why" end)
          nsnet.on_dns({ domain = "a.test", type = "A" }, function(q)
            nsnet.sleep(0.01)
            return q:forward "203.0.113.54"
          end)]]
        dig(code, way, server, "+short", "mine.test", "A"):says("203.0.113.9")
        dig(code, way, server, "+short", "mine.test", "AAAA"):says("2001:db8:2::9")
        dig(code, way, server, "+short", "mine.test", "TXT"):says('"text"')
        dig(code, way, server, "mine.test", "HTTPS"):shows("status: NOERROR.*ANSWER: 0")
        dig(code, way, server, "x.gone.test"):shows("status: NXDOMAIN")
        dig(code, way, server, "no.test"):shows("status: REFUSED")
          :complains("dns: no%.test A denied %(REFUSED%) by %-e:7: why")
        dig(code, way, server, "+short", "a.test", "A"):says("203.0.113.2")
        dig(code, way, server, "+short", "a.test", "AAAA"):says("2001:db8:2::1")
        dig(code, way, server, "+short", "other.test", "A"):says("203.0.113.2")
        assert.equal(0, L:asked("names", "mine.test") + L:asked("names", "x.gone.test")
          + L:asked("names", "no.test"))
      end)
    end
  end

  it("tells who chose a name server that does not answer", function()
    dig([[nsnet.rules { { name = "office", network = "dns", domain = "a.test",
      nsnet.redirect "203.0.113.1" } }]], "a.test"):shows("status: SERVFAIL")
      :complains("dns: no answer from 203%.0%.113%.1, which office %(%-e:1%) chose")
    dig([[nsnet.on_dns(function(q) return q:forward "203.0.113.1" end)]], "a.test")
      :shows("status: SERVFAIL")
      :complains("dns: no answer from 203%.0%.113%.1, which %-e:1 chose")
  end)

  it("asks a service and gives its answer to the C library", function()
    L:run({ "getent", "ahostsv4", "alias.test" }, { args = { "-e", [[
      nsnet.on_dns({ domain = "alias.test", type = "A" }, function(q)
        local list, err = nsnet.resolve("a.test", "A")
        if not list then return nsnet.deny(err) end
        return q:answer { cname = "a.test", a = list }
      end)]] } }):shows("^203%.0%.113%.1 ")
  end)

  it("that fails is SERVFAIL, and the name is asked of nobody", function()
    dig("nsnet.on_dns(function(q) return q.nam end)", "secret.test"):shows("status: SERVFAIL")
      :complains("%-e:1: query has no field 'nam'; did you mean 'name'%? %(in on_dns%)")
    assert.equal(0, L:asked("names", "secret.test"))
  end)
end)
