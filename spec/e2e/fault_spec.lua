-- SPDX-License-Identifier: MIT
-- The scripts that make a network worse do so, and by how much they say. Where time is measured, it
-- is the least that the effect must take: a slow machine only makes it longer.
local lab = require("spec.support.lab")
if lab.direct then return end

local port = lab.port

describe("a finished script", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  -- scripts/NAME as it is, or with its table's line changed, which must be there once.
  local function with(name, from, to)
    local path = "scripts/" .. name
    if not from then return { args = { "-s", "/run/repo/" .. path } } end
    local file = assert(io.open(path))
    local text = file:read("*a")
    file:close()
    local start, stop = text:find(from, 1, true)
    assert(start and not text:find(from, stop, true), "not once in " .. path .. ": " .. from)
    return { args = { "-s", L:script(text:sub(1, start - 1) .. to .. text:sub(stop + 1)) } }
  end

  -- What a client says, and how long it took, the program's start included.
  local function timed(words, options)
    local start = lab.now()
    local result = L:client(words, options):exits(0)
    return result, lab.now() - start
  end

  lab.both(function(version, net)
    it("makes each round trip longer over " .. version .. ": latency.lua", function()
      local result, seconds = timed({ "trickle", net.world, port.echo, 5, 0 }, with("latency.lua"))
      result:says("5 echoes")
      assert.is_true(seconds >= 6 * 0.15, "only " .. seconds) -- the handshake's and five more
    end)

    it("keeps to a rate over " .. version .. ": bandwidth.lua", function()
      -- 200 kB/s down; what a bucket may let go at once is a quarter of a second's, or less.
      local result, seconds = timed({ "fetch", net.world, port.source, 500000, "fin" },
        with("bandwidth.lua"))
      result:says("500000 " .. L:sum(500000) .. " end=eof")
      assert.is_true(seconds >= (500000 - 50000 - 65536) / 200000, "only " .. seconds)
    end)

    it("breaks connections in the middle over " .. version .. ": reset.lua", function()
      local words = { "fetch", net.world, port.source, 1000000, "fin" }
      local result = L:client(words, with("reset.lua"))
      local count, sum = result:shows("^%d+ %x+ end=ECONNRESET\n").out:match("^(%d+) (%x+)")
      count = tonumber(count)
      assert.is_true(count > 0 and count <= 100000, count)
      assert.equal(L:sum(count), sum)
      -- What is shorter is whole.
      L:client({ "fetch", net.world, port.source, 99000, "fin" }, with("reset.lua"))
        :says("99000 " .. L:sum(99000) .. " end=eof")
    end)
  end)

  it("resets the world's side as well: reset.lua", function()
    local before = #L:log()
    L:client({ "fetch", lab.v4.world, port.source, 5000000, "fin" }, with("reset.lua"))
      :shows("end=ECONNRESET\n")
    assert.is_truthy(lab.eventually(function()
      return L:log():sub(before + 1):match("tcp_source %S+ %S+ end=E%u+")
    end))
  end)

  it("shares one rate among connections: bandwidth.lua", function()
    local options = with("bandwidth.lua", "up = 384 * KBIT, down = 1600 * KBIT }",
      "down = 1600 * KBIT, share = true }")
    local start = lab.now()
    local jobs = {}
    local script = [[
for i in 1 2 3 4; do
  python3 -BS /run/repo/spec/support/client.py fetch 203.0.113.1 7003 100000 fin &
done; wait]]
    jobs[1] = L:run({ "sh", "-c", script }, options):exits(0)
    local _, whole = jobs[1].out:gsub("100000 %x+ end=eof\n", "")
    assert.equal(4, whole)
    assert.is_true(lab.now() - start >= (400000 - 50000 - 65536) / 200000)
  end)

  it("lets some destinations never answer, the same ones each time: timeout.lua", function()
    local words = { "scan", "tcp", "0.7", port.echo }
    for _ = 1, 20 do words[#words + 1] = lab.v4.world end
    local options = with("timeout.lua")
    local first = L:client(words, options):exits(0).out
    local _, silent = first:gsub(" silence\n", "")
    local _, open = first:gsub(" connected\n", "")
    assert.equal(20, silent + open)
    assert.is_true(silent > 0 and silent < 12, first)
    L:client(words, options):says((first:gsub("\n$", "")))
    L:client({ "udp", lab.v4.world, port.echo, 1, 1 },
      with("timeout.lua", "part = 0.2", "part = 1")):says("silence")
  end)

  -- Sends 200 datagrams one by one and says which came back.
  local CLIENT = [[
import socket, sys
host = sys.argv[1]
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.connect((host, 7001))
got = []
for n in range(200):
    s.send(b"%d" % n)
s.settimeout(1)
try:
    while len(got) < 200:
        got.append(int(s.recv(100)))
except TimeoutError:
    pass
print(len(got), *got)]]

  lab.both(function(version, net)
    it("loses packets by its seed over " .. version .. ": loss.lua", function()
      local function run(seed, part)
        local options = with("loss.lua", "out = 0.02, back = 0.02",
          ("out = %g, back = %g"):format(part, part))
        local path = options.args[2]:match("[^/]+$")
        L:script((L:read(path):gsub("local SEED = 1", "local SEED = " .. seed)), path)
        return L:run({ "python3", "-BSc", CLIENT, net.world }, options):exits(0).out
      end
      local first = run(1, 0.3)
      assert.is_true(math.abs(tonumber(first:match("^%d+")) - 200 * 0.7 * 0.7) < 40, first)
      assert.equal(first, run(1, 0.3))
      assert.not_equal(first, run(2, 0.3))
      assert.equal("200", run(1, 0):match("^%d+"))
    end)

    it("loses nothing of a TCP stream but time over " .. version .. ": loss.lua", function()
      L:client({ "fetch", net.world, port.source, 2000000, "fin" },
        with("loss.lua", "out = 0.02, back = 0.02", "out = 0.05, back = 0.05"))
        :says("2000000 " .. L:sum(2000000) .. " end=eof")
    end)
  end)
end)
