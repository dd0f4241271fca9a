-- SPDX-License-Identifier: MIT
-- -p auto: servers of the command come and go, and so do the ports of the host.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("-p auto", function()
  local L, job
  local round = 0
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  local own = { ["127.0.0.1"] = "10.0.0.1", ["::1"] = "fd6e:736e:6574::1" }
  local alias = { ["127.0.0.1"] = "10.0.0.100", ["::1"] = "fd6e:736e:6574::100" }

  local function plain(text) return (text:gsub("%p", "%%%0")) end

  -- Lets the command's servers be these and no others; each is "tcp ADDRESS PORT" or "udp ...".
  local function serve(...)
    round = round + 1
    local lines = { ... }
    lines[#lines + 1] = ("done %d\n"):format(round)
    L:write("want", table.concat(lines, "\n"))
    job:expect("done " .. round .. "\n", 20)
  end

  local function start(args, ...)
    L:write("want", "")
    local all = { "-p", "auto" }
    for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
    job = L:spawn({ "python3", "-BS", "/run/repo/spec/support/listen.py", "/run/lab/want" },
      { args = all, env = env, bound = 300 })
    serve(...)
  end

  local function stop()
    if not job then return end
    job:kill("TERM")
    job:wait()
    job = nil
  end

  local function client(...)
    local words = { "python3", "-BS", "/run/repo/spec/support/client.py" }
    for _, word in ipairs({ ... }) do words[#words + 1] = tostring(word) end
    return L:host(words).out
  end

  local function talk(host, port) return client("talk", host, port, "") end

  -- Waits until a caller there is told who he is.
  local function reached(host, port)
    local wanted = ("^%s:%%d+ %s:%d\n"):format(plain(lab.bracket(alias[host])),
      plain(lab.bracket(own[host])), port)
    local said
    local ok = lab.eventually(function()
      said = talk(host, port)
      return said:match(wanted)
    end, 20)
    assert(ok, said)
  end

  local function refused(host, port)
    local said
    local ok = lab.eventually(function()
      said = client("connect", host, port)
      return said == "ECONNREFUSED\n"
    end, 20)
    assert(ok, said)
  end

  local function published()
    return L:run({}, { args = { "ctl", "published" }, env = env }).out
  end

  lazy_setup(function() L = lab.start({ world = false }) end)
  lazy_teardown(function() L:stop() end)
  after_each(stop)

  it("publishes what listens, on both loopbacks and nowhere else, while it does", function()
    start({}, "tcp 0.0.0.0 7601", "tcp :: 7602 both", "tcp :: 7603", "tcp 10.0.0.1 7604",
      "tcp fd6e:736e:6574::1 7605")
    reached("127.0.0.1", 7601)
    reached("127.0.0.1", 7602)
    reached("::1", 7602)
    reached("::1", 7603)
    reached("127.0.0.1", 7604)
    reached("::1", 7605)
    assert.equal("ECONNREFUSED\n", client("connect", "::1", 7601))
    assert.equal("ECONNREFUSED\n", client("connect", "127.0.0.1", 7603))
    assert.equal("ECONNREFUSED\n", client("connect", "198.51.100.2", 7601))
    assert.equal("ECONNREFUSED\n", client("connect", "2001:db8:1::2", 7602))
    serve("tcp 0.0.0.0 7602")
    refused("127.0.0.1", 7601)
    refused("::1", 7602)
    refused("::1", 7603)
    reached("127.0.0.1", 7602)
    serve("tcp 0.0.0.0 7601")
    reached("127.0.0.1", 7601)
    stop()
    refused("127.0.0.1", 7601)
  end)

  it("leaves what listens on the namespace's loopback invisible", function()
    start({}, "tcp 127.0.0.1 7611", "tcp 127.1.2.3 7612", "tcp ::1 7613",
      "udp 127.0.0.1 7611", "udp ::1 7613", "tcp ::ffff:127.0.0.1 7614 both", "tcp 0.0.0.0 7619")
    reached("127.0.0.1", 7619)
    local list = published()
    assert.is_truthy(list:match("127%.0%.0%.1:7619"), list)
    assert.falsy(list:match("761[1-4]"), list)
    for port = 7611, 7614 do
      assert.equal("ECONNREFUSED\n", client("connect", "127.0.0.1", port))
      assert.equal("ECONNREFUSED\n", client("connect", "::1", port))
    end
  end)

  it("publishes UDP servers, too", function()
    start({}, "udp 0.0.0.0 7621", "udp :: 7622 both", "udp 0.0.0.0 40000")
    for host, port in pairs({ ["127.0.0.1"] = 7621, ["::1"] = 7622 }) do
      assert(lab.eventually(function()
        return client("udp", host, port, 100, 1) == "echo\n"
      end, 20))
    end
    local list = published()
    assert.falsy(list:match("40000"), list) -- as a client would have
    serve()
    assert(lab.eventually(function()
      return client("udp", "127.0.0.1", 7621, 1, 1) == "ECONNREFUSED\n"
    end, 20))
  end)

  it("says that a port is taken, goes on, and has it when it is free", function()
    local other = L:spawn_host({ "python3", "-BS", "-c", "import socket, time\n"
      .. "s = socket.create_server(('127.0.0.1', 7631))\nprint('ready', flush=True)\n"
      .. "time.sleep(300)" })
    other:expect("ready")
    start({}, "tcp 0.0.0.0 7631", "tcp 0.0.0.0 7632", "tcp 0.0.0.0 79")
    reached("127.0.0.1", 7632)
    assert(lab.eventually(function()
      return select(2, job:err():gsub("cannot publish 127%.0%.0%.1:7631:7631: somebody listens "
        .. "there already: .-; %-p auto tries again\n", "")) == 1
    end))
    other:kill("TERM")
    other:wait()
    reached("127.0.0.1", 7631)
    -- Each port is told of once.
    assert.equal(1, select(2, job:err():gsub("7631:7631", "")), job:err())
    assert.equal(1, select(2, job:err():gsub("79:79", "")), job:err())
  end)

  it("leaves alone what was published by name", function()
    start({ "-p", "7642:7641", "-p", "198.51.100.2:7643:7643" }, "tcp 0.0.0.0 7641",
      "tcp 0.0.0.0 7643", "tcp 0.0.0.0 7649")
    reached("127.0.0.1", 7649)
    assert.is_truthy(talk("127.0.0.1", 7642):match("^10.0.0.100:%d+ 10.0.0.1:7641\n"))
    assert.equal("ECONNREFUSED\n", client("connect", "127.0.0.1", 7641))
    assert.equal("ECONNREFUSED\n", client("connect", "127.0.0.1", 7643))
    serve("tcp 0.0.0.0 7649")
    assert.is_truthy(talk("127.0.0.1", 7642):match("ECONNRESET")) -- open still, nobody inside
    assert.equal("", job:err())
  end)

  it("asks the rules about every caller, and the default, since nobody named the port", function()
    start({ "-e", "nsnet.rules { { inbound = true, port = 7651, nsnet.deny 'no' } }" },
      "tcp 0.0.0.0 7651", "tcp :: 7652 both", "udp 0.0.0.0 7651")
    reached("::1", 7652)
    assert.is_truthy(talk("127.0.0.1", 7651):match("ECONNRESET"))
    assert.equal("silence\n", client("udp", "127.0.0.1", 7651, 5, 0.5))
    stop()
    start({ "--default=deny", "-e",
      "nsnet.rules { { inbound = true, port = 7652, nsnet.allow } }" },
      "tcp 0.0.0.0 7651", "tcp :: 7652 both")
    reached("::1", 7652)
    reached("127.0.0.1", 7652)
    assert.is_truthy(talk("127.0.0.1", 7651):match("ECONNRESET"))
  end)
end)
