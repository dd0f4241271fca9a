-- SPDX-License-Identifier: MIT
-- Rules that ask which process of the command it is.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("a rule about processes", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  local fetch = "curl -s -o /dev/null http://203.0.113.1/ && echo yes || echo no; "
    .. "python3 -BS /run/repo/spec/support/client.py connect 203.0.113.1 80"

  local function run(code, command)
    return L:run({ "sh", "-c", command or fetch }, { args = { "-e", code } })
  end

  it("lets one program through by its name, or by its path", function()
    local rules = "nsnet.default(nsnet.deny) nsnet.rules { { process = %s, nsnet.allow } }"
    run(rules:format("'curl'")):says("yes\nECONNREFUSED")
    run(rules:format("{ '/usr/bin/curl', '/bin/nothing' }")):says("yes\nECONNREFUSED")
    run(rules:format("'python3'")):says("no\nconnected")
    run(rules:format("'/bin/curl'")):says("no\nECONNREFUSED") -- not what /proc calls it
  end)

  it("stops one program", function()
    run("nsnet.rules { { process = 'curl', port = 80, nsnet.deny } }"):says("no\nconnected")
  end)

  it("is about datagrams, too", function()
    run("nsnet.rules { { process = 'python3', network = 'udp', nsnet.deny } }",
      "python3 -BS /run/repo/spec/support/client.py udp 203.0.113.1 7001 10")
      :says("ECONNREFUSED")
  end)

  it("filters handlers, and tells them who it is", function()
    local r = run([[
      nsnet.on_connect({ process = "curl" }, function(conn)
        local p = conn.process
        nsnet.log.warn("%s|%s|%s|%s|%d", p.name, p.exe, p.argv[2], p.parents[1].name,
          #p.parents)
      end)
      nsnet.on_close(function(conn) nsnet.log.warn("end of %s", conn.process.name) end)
    ]])
    r:says("yes\nconnected"):complains("curl|/usr/bin/curl|%-s|sh|1\n")
      :complains("end of curl\n"):complains("end of python3\n")
    assert.is_nil(r.err:match("python3|"))
  end)

  it("is refused if it makes no sense", function()
    for _, bad in ipairs { "{}", "7", "''", "{ 'a', true }" } do
      L:run({ "true" }, { args = { "-e",
        ("nsnet.rules { { process = %s, nsnet.deny } }"):format(bad) } }):exits(70)
        :complains("process=")
    end
  end)
end)
