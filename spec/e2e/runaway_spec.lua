-- SPDX-License-Identifier: MIT
-- A script that runs away costs the flow it was asked about; others live on.
local lab = require("spec.support.lab")
if lab.direct then return end

local RUNAWAYS = {
  "while true do end",
  "while true do pcall(function() while true do end end) end",
  "while true do pcall(error) end",
  "return ('a'):rep(200):find('.-.-.-.-.-b')",
  "while true do pcall(string.find, ('a'):rep(200), '.-.-.-.-.-b') end",
  "return ('x'):rep(1e9)",
  "local s = 'x' while true do s = s .. s end",
  "local t = {} while true do t[#t + 1] = {} end",
  "local t = {} for i = 1, 1e5 do t[i] = coroutine.create(print) end while true do end",
  "local t = {} for i = 1, 1e5 do t[i] = coroutine.wrap(function() coroutine.yield() end) t[i]() "
    .. "end while true do end",
  "local function f() return 1 + f() end f()",
  "local function f() coroutine.wrap(f)() end while true do pcall(f) end",
  "table.sort({ 1, 2, 3 }, function() while true do end end)",
  "('x'):gsub('x', function() while true do end end)",
  "xpcall(error, function() while true do end end)",
  "setmetatable({}, { __index = function() while true do end end }).x()",
  "while true do nsnet.json.decode(('['):rep(60) .. (']'):rep(60)) end",
  "local busy = os.clock() while true do if os.clock() > busy + 0.004 then nsnet.sleep(0) "
    .. "busy = os.clock() end end",
}

-- Connects to each port in turn, says what came of it, and after each one talks to an echo over
-- TCP and UDP, over a connection and a flow that were there before.
local CLIENT = [[
import errno, socket, sys
host, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
kept = socket.create_connection((host, 7001))
kept.settimeout(30)
flow = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
flow.connect((host, 7001))
flow.settimeout(30)
seen = {}
for port in range(first, first + count):
    try:
        s = socket.create_connection((host, port), 30)
        s.sendall(b"hello")
        what = "eof" if s.recv(100) == b"" else "bytes"
    except OSError as error:
        what = errno.errorcode.get(error.errno, str(error))
    seen[what] = seen.get(what, 0) + 1
    kept.sendall(b"ping")
    assert kept.recv(100) == b"ping"
    flow.send(b"ping")
    assert flow.recv(100) == b"ping"
print(*sorted("%s=%d" % item for item in seen.items()), flush=True)
]]

describe("a script that runs away", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  -- The script: run(conn) does what runaway number conn.dst_port - 9000 says.
  local function script(rest)
    local parts = { "local bodies = {\n" }
    for _, body in ipairs(RUNAWAYS) do
      parts[#parts + 1] = ("function() %s end,\n"):format(body)
    end
    parts[#parts + 1] = "}\nlocal function run(conn)\n  bodies[conn.dst_port - 9000]()\nend\n"
    parts[#parts + 1] = rest
    return { args = { "-s", L:script(table.concat(parts)) }, bound = 120 }
  end

  local function soak(rest, net, wanted)
    local options = script(rest)
    L:run({ "python3", "-BSc", CLIENT, net.world, "9001", tostring(#RUNAWAYS) }, options)
      :says(("%s=%d"):format(wanted, #RUNAWAYS))
  end

  it("in on_connect refuses that connection", function()
    lab.both(function(_, net)
      soak("nsnet.on_connect({ port = '9001-9999' }, run)", net, "ECONNREFUSED")
    end)
  end)

  it("in a dialer refuses that connection", function()
    soak("nsnet.dialer({ port = '9001-9999' }, run)", lab.v4, "ECONNREFUSED")
  end)

  it("in a rule's condition refuses that connection", function()
    soak("nsnet.rules { { port = '9001-9999', when = run, nsnet.allow } }", lab.v4,
      "ECONNREFUSED")
  end)

  -- The connection stands already: to the echo, so that it would say something.
  local TO_ECHO = ("nsnet.on_connect({ port = '9001-9999' }, function(c) "
    .. "return nsnet.redirect '%s:7001' end)\n"):format(lab.v4.world)

  it("in on_first_bytes resets that connection", function()
    soak(TO_ECHO .. "nsnet.on_first_bytes({ port = '9001-9999' }, run)", lab.v4, "ECONNRESET")
  end)

  it("in on_data resets that connection", function()
    soak(TO_ECHO .. "nsnet.on_data({ port = '9001-9999' }, run)", lab.v4, "ECONNRESET")
  end)

  it("in on_close costs nothing but a message", function()
    soak(TO_ECHO .. "nsnet.on_close({ port = '9001-9999' }, run)", lab.v4, "bytes")
  end)

  it("in on_flow drops that flow", function()
    local options = script("nsnet.on_flow({ port = 9001 }, run)\n"
      .. "nsnet.guard({ port = 9002 }, run)")
    for _, port in ipairs({ 9001, 9002 }) do
      L:client({ "udp", lab.v4.world, port, 1, 1 }, options):shows("^E?%w+\n")
        :complains("CPU budget")
    end
    L:client({ "udp", lab.v4.world, lab.port.echo, 10 }, options):says("echo")
  end)

  it("in timers and tasks does not keep connections from being served", function()
    local options = script("nsnet.every(0.02, bodies[1])\nnsnet.spawn(bodies[2])\n"
      .. "nsnet.after(0.01, bodies[3])")
    L:client({ "serial", lab.v4.world, lab.port.echo, 50 }, options):says("ok 50")
  end)
end)
