-- SPDX-License-Identifier: MIT
-- Somebody sets the clock, by a day ahead or back: nothing that lasts for a while ends sooner for
-- that, or never.
local lab = require("spec.support.lab")
if lab.direct then return end
local mode = os.getenv("NSNET_MODE") or "release"
if mode ~= "release" then return end -- a sanitizer's library would have to come first

local CLIENT = [[
import os, socket, struct, time
def step(seconds):
    with open(os.environ["STEP_FILE"], "r+b") as file:
        file.write(struct.pack("q", seconds))
    before = time.monotonic()
    while time.monotonic() < before + 2.2: # all sweeps have come
        time.sleep(0.1)
def tries(name, call):
    try:
        print(name, call(), flush=True)
    except OSError as error:
        print(name, error, flush=True)
def echo(sock):
    sock.settimeout(5)
    sock.sendall(b"\0") # nothing that TLS or HTTP begin with
    return sock.recv(1) == b"\0"
def resolve(name):
    return socket.getaddrinfo(name, 7001, socket.AF_INET)[0][4]
address, other = resolve("a.test"), resolve("other.test")
world = socket.create_connection(address)
host = socket.create_connection(("127.0.0.1", 7001))
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.settimeout(5)
def who():
    udp.sendto(b"?", (address[0], 7008))
    return udp.recv(200)
first = who()
for day in 1, -1:
    step(day * 86400)
    print(day, round((time.time() - float(os.environ["NOW"])) / 86400))
    tries("open", lambda: echo(world))
    tries("-L", lambda: echo(host))
    tries("udp", lambda: who() == first)
    tries("name", lambda: echo(socket.create_connection(other, 5)))
    resolve("other.test")
]]

describe("a clock that is set", function()
  local L
  lazy_setup(function() L = lab.start() end)
  lazy_teardown(function() L:stop() end)

  it("ends no connection, no flow and no name", function()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    L:serve("inner", { "python3", "-BS", "/run/repo/spec/support/world.py", "inner", "127.0.0.1" },
      { where = "host" })
    L:host({ "sh", "-ec", "cc -shared -fPIC -Wall -Wextra -Werror -D_GNU_SOURCE"
      .. " -o /run/lab/home/step.so /run/repo/spec/e2e/step.c -ldl;"
      .. " head -c 8 /dev/zero >/run/lab/home/step" }):exits(0)
    local words = L:wrap({ "python3", "-BSc", CLIENT }, { args = { "--default", "deny",
      "--tcp-idle", "60", "-L", "7001", "-e", "nsnet.rules { { network = 'udp', nsnet.allow },"
      .. " { domain = '*.test', nsnet.allow } }" } })
    local answer = L:host(words, { env = { LD_PRELOAD = "/run/lab/home/step.so",
      STEP_FILE = "/run/lab/home/step", NOW = tostring(os.time()) } })
    assert.equal("", answer.err)
    local all = "open True\n-L True\nudp True\nname True\n"
    assert.equal("1 1\n" .. all .. "-1 -1\n" .. all, answer:exits(0).out)
  end)
end)
