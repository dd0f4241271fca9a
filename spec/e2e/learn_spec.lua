-- SPDX-License-Identifier: MIT
-- --learn: one run becomes rules that allow the same again, and nothing else.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("what --learn writes", function()
  local L
  local zone = [[
a.test A 0 203.0.113.1
a.test AAAA 0 2001:db8:2::1
b.a.test A 0 203.0.113.1
mail.test A 0 203.0.113.1
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("learn", { "203.0.113.53", "2001:db8:2::53" }, zone)
  end)
  lazy_teardown(function() L:stop() end)

  local client = "python3 -BS /run/repo/spec/support/client.py "
  local fetch = "curl -s -m 5 -o /dev/null http://%s/small && echo %s\n"

  local function learn(name, command, args)
    local words = { "--learn", "/run/lab/home/" .. name }
    for _, word in ipairs(args or {}) do words[#words + 1] = word end
    local r = L:run({ "sh", "-c", command }, { args = words })
    return r, L:read("home/" .. name) or ""
  end

  local function again(name, command)
    return L:run({ "sh", "-c", command }, { args = { "-s", "/run/lab/home/" .. name } })
  end

  it("allows what was seen, by name, address, process and port, and nothing else", function()
    local seen = fetch:format("a.test", "a") .. fetch:format("b.a.test", "b")
      .. fetch:format("[2001:db8:2::2]", "six") .. client .. "connect 203.0.113.2 7001\n"
      .. client .. "udp 203.0.113.1 7001 10\n" .. "getent hosts mail.test >/dev/null && echo mail\n"
    local first, rules = learn("seen.lua", seen)
    first:exits(0)
    assert.is_truthy(rules:find('{ process = "curl", network = "tcp", port = 80, '
      .. 'domain = { "a.test", "b.a.test" }, nsnet.allow },\n', 1, true), rules)
    assert.is_truthy(rules:find('{ network = "dns", domain = "mail.test", nsnet.allow },\n', 1,
      true), rules)
    again("seen.lua", seen):exits(0):says(first.out:gsub("\n$", ""))
    again("seen.lua", fetch:format("mail.test", "name") .. fetch:format("203.0.113.2", "address")
      .. client .. "connect 203.0.113.1 80\n" .. client .. "connect 203.0.113.2 7002\n"
      .. client .. "udp 203.0.113.2 7001 10\ngetent hosts evil.test || echo none")
      :says("ECONNREFUSED\nECONNREFUSED\nECONNREFUSED\nnone")
  end)

  it("leaves out what was denied", function()
    local _, rules = learn("part.lua", fetch:format("a.test", "a") .. fetch:format("203.0.113.2",
      "two"), { "-e", "nsnet.rules { { cidr = '203.0.113.2', nsnet.deny } }" })
    assert.is_truthy(rules:find("a.test", 1, true), rules)
    assert.is_nil(rules:find("203.0.113.2\"", 1, true), rules)
  end)

  it("denies all if nothing was seen", function()
    local _, rules = learn("nothing.lua", "true")
    assert.is_truthy(rules:find("nsnet.default(nsnet.deny)", 1, true), rules)
    again("nothing.lua", client .. "connect 203.0.113.1 80"):says("ECONNREFUSED")
  end)

  it("says hostile names of processes as text, never as code", function()
    local hostile = [[exec python3 -BSc '
import ctypes, socket
ctypes.CDLL(None).prctl(15, b"\"]] .. "]]" .. [[}\n\\ os()", 0, 0, 0)
print(socket.create_connection(("203.0.113.1", 7001)) and "connected")']]
    learn("hostile.lua", hostile):says("connected")
    again("hostile.lua", hostile):says("connected")
    again("hostile.lua", client .. "connect 203.0.113.1 7001"):says("ECONNREFUSED")
  end)

  it("knows no process under --no-who", function()
    local _, rules = learn("nobody.lua", client .. "connect 203.0.113.1 80", { "--no-who" })
    assert.is_nil(rules:find("process =", 1, true), rules)
    again("nobody.lua", fetch:format("203.0.113.1", "any")):says("any")
  end)

  it("replaces only what was learned, and is said to be impossible where it is", function()
    L:write("home/mine.lua", "-- mine\n", "666")
    local r = learn("mine.lua", "true")
    r:exits(73):complains("there is a file that was not learned; name another one")
    assert.equal("-- mine\n", L:read("home/mine.lua"))
    learn("no/such/place.lua", "true"):exits(73):complains("No such file or directory")
    learn("twice.lua", client .. "connect 203.0.113.1 80"):exits(0)
    local _, rules = learn("twice.lua", "true")
    assert.is_nil(rules:find("203.0.113.1", 1, true), rules)
  end)
end)
