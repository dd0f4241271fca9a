-- SPDX-License-Identifier: MIT
-- -L: ports of the namespace's loopback that lead to the host's. The servers run on the host's
-- loopback, the clients as the command.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("-L", function()
  local L
  local port = lab.port
  local loopback = { IPv4 = "127.0.0.1", IPv6 = "::1" }
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  local all = {}

  local function plain(text) return (text:gsub("%p", "%%%0")) end

  local function log_has(pattern)
    return lab.eventually(function() return (L:read("host.log") or ""):match(pattern) end)
  end

  local function client(words, options)
    local o = options or {}
    o.args = o.args or all
    return L:client(words, o)
  end

  lazy_setup(function()
    L = lab.start({ world = false })
    L:serve("host", { "python3", "-BS", "/run/repo/spec/support/world.py", "host", "127.0.0.1",
      "::1", "198.51.100.2" }, { where = "host" })
    for p = 7001, 7009 do
      all[#all + 1] = "-L"
      all[#all + 1] = tostring(p)
    end
    for _, spec in ipairs({ "7099", "8080:80" }) do
      all[#all + 1] = "-L"
      all[#all + 1] = spec
    end
  end)
  lazy_teardown(function() L:stop() end)

  for _, version in ipairs({ "IPv4", "IPv6" }) do
    local host = loopback[version]

    describe("over " .. version, function()
      it("reaches the host's loopback of that family", function()
        client({ "talk", host, port.who, "" }):shows(("^%s:%%d+ %s:7008\nend=eof"):format(
          plain(lab.bracket(host)), plain(lab.bracket(host))))
      end)

      it("serves curl, under another port", function()
        L:run({ "curl", "-sS", "-g", "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
          ("http://%s:8080/bytes/1000000"):format(lab.bracket(host)) }, { args = all })
          :shows("^200 1000000$")
      end)

      for _, size in ipairs({ 0, 1, 65536, 50000000 }) do
        it(("takes %d bytes to the host, a half-close, and its answer"):format(size), function()
          client({ "upload", host, port.sum, size }, { bound = 120 })
            :says(("%d %s\nend=eof"):format(size, L:sum(size)))
        end)

        it(("gives %d bytes from the host"):format(size), function()
          client({ "fetch", host, port.source, size, "fin" }, { bound = 120 })
            :says(("%d %s end=eof"):format(size, L:sum(size)))
        end)
      end

      it("carries both directions at once", function()
        client({ "exchange", host, port.echo, 20000000 }, { bound = 60 }):says(L:sum(20000000))
      end)

      it("waits for a slow server and a slow client, and loses nothing", function()
        client({ "upload", host, port.slow, 2000000 }, { bound = 60 })
          :says(("2000000 %s\nend=eof"):format(L:sum(2000000)))
        client({ "fetch", host, port.source, 2000000, "fin", 0.001 }, { bound = 60 })
          :says("2000000 " .. L:sum(2000000) .. " end=eof")
      end)

      it("lets the client go on after the server's half-close", function()
        client({ "half", host, port.half, 3000000 }):says("bye\nend=eof")
        assert(log_has("end=eof bytes=3000000"))
      end)

      it("lets the server speak first", function()
        client({ "talk", host, port.banner, "hello" }):says("220 ready\r\nhelloend=eof")
      end)

      it("passes a reset on in both directions, after the bytes before it", function()
        client({ "abort", host, port.watch, 0 }):says("reset")
        assert(log_has("tcp_watch " .. plain(lab.bracket(host))
          .. "%S+ %S+ end=ECONNRESET bytes=0"))
        client({ "fetch", host, port.source, 100000, "rst" })
          :says(("100000 %s end=ECONNRESET"):format(L:sum(100000)))
      end)

      it("resets where nobody listens on the host", function()
        client({ "talk", host, port.closed, "x" }):shows("ECONNRESET")
      end)

      it("serves a thousand at once", function()
        client({ "many", host, port.echo, 1000, 2000 }, { bound = 120 }):says("ok 1000")
      end)

      it("delivers what a client had sent when it ended", function()
        L:run({ "python3", "-BS", "-c", ("import socket\n"
          .. "s = socket.create_connection(('%s', 7004))\ns.sendall(b'z' * 123456)\n")
          :format(host) }, { args = all }):exits(0)
        assert(log_has("tcp_watch " .. plain(lab.bracket(host)) .. "%S+ %S+ end=eof bytes=123456"))
      end)
    end)
  end

  it("leaves the rest of the host's loopback closed", function()
    client({ "connect", "127.0.0.1", 7002 }, { args = { "-L", "7001" } }):says("ECONNREFUSED")
    client({ "connect", "10.0.0.100", 7001 }, { args = { "-L", "7001" } }):says("EHOSTUNREACH")
    client({ "connect", "198.51.100.2", 7001 }, { args = { "-L", "7001" } }):says("ECONNREFUSED")
  end)

  it("tries the host's other loopback if one refuses", function()
    L:write("one", "tcp 127.0.0.1 7021\ntcp ::1 7022\ndone 1\n")
    local job = L:spawn_host({ "python3", "-BS", "/run/repo/spec/support/listen.py",
      "/run/lab/one" })
    job:expect("done 1")
    local args = { "-L", "7021", "-L", "7022" }
    client({ "talk", "::1", 7021, "" }, { args = args }):shows("^127.0.0.1:%d+ 127.0.0.1:7021\n")
    client({ "talk", "127.0.0.1", 7022, "" }, { args = args }):shows("^%[::1%]:%d+ %[::1%]:7022\n")
    client({ "talk", "::1", 7023, "" }, { args = { "-L", "7023:127.0.0.1:7022" } })
      :shows("ECONNRESET") -- who names an address means it
    job:kill("TERM")
    job:wait()
  end)

  it("may name an address and a port of the host's side", function()
    client({ "talk", "127.0.0.1", 9000, "" }, { args = { "-L", "9000:198.51.100.2:7008" } })
      :shows("^198.51.100.2:%d+ 198.51.100.2:7008\n")
    client({ "talk", "::1", 9000, "" }, { args = { "-L", "9000:[::1]:7008" } })
      :shows("^%[::1%]:%d+ %[::1%]:7008\n")
    client({ "talk", "127.0.0.1", 80, "" }, { args = { "-L", "80:7008" } })
      :shows("^127.0.0.1:%d+ 127.0.0.1:7008\n")
  end)

  it("says what is wrong with its value", function()
    for _, bad in ipairs({ "", "65536", "80:1.2.3.4:0" }) do
      L:run({ "true" }, { args = { "-L", bad } }):exits(2):complains("%-L")
    end
    L:run({ "true" }, { args = { "-L", "80", "-L", "80:81" } }):exits(2)
      :complains("port 80 leads to the host already")
  end)

  it("is there in a namespace that somebody else made", function()
    local it_ = L:spawn_host({ "unshare", "-rn", "sh", "-c", "echo made; exec sleep 100" },
      { bound = 120 })
    it_:expect("made")
    local words = L:wrap({}, { args = { "--pid", it_:pid(), "-L", "7008" } })
    for i, word in ipairs(words) do words[i] = lab.quote(word) end
    local job = L:spawn_host({ "sh", "-c", "exec " .. table.concat(words, " ")
      .. " --ready-fd 5 5>&1 " }, { env = env, bound = 120 })
    assert(lab.eventually(function() return job:out() == "1" or job:done() end))
    for _, host in pairs(loopback) do
      L:host({ "nsenter", "-t", it_:pid(), "-U", "-n", "--preserve-credentials", "python3", "-BS",
        "/run/repo/spec/support/client.py", "talk", host, "7008", "" })
        :shows(("^%s:%%d+ %s:7008\n"):format(plain(lab.bracket(host)), plain(lab.bracket(host))))
    end
    for _, one in ipairs({ job, it_ }) do
      one:kill("TERM")
      one:wait()
    end
  end)

  it("leaves a port to whoever listens there already", function()
    local it_ = L:spawn_host({ "unshare", "-rn", "sh", "-c", "ip link set lo up\n"
      .. "exec python3 -BS -c \"import socket, time\ns = socket.create_server(('', 7008))\n"
      .. "print('made', flush=True)\ntime.sleep(100)\"" }, { bound = 120 })
    it_:expect("made")
    L:host(L:wrap({}, { args = { "--pid", it_:pid(), "-L", "7008" } })):exits(71)
      :complains("somebody there listens at that port already: choose another")
    it_:kill("TERM")
    it_:wait()
  end)

  describe("under rules", function()
    local function say(rules, more)
      local args = { "-e", rules, "-L", "7001", "-L", "7008", "-L", "8080:80" }
      for _, arg in ipairs(more or {}) do args[#args + 1] = arg end
      return args
    end

    it("is open although the default is to deny: the user named it", function()
      client({ "talk", "127.0.0.1", 7008, "" }, { args = say("nsnet.default(nsnet.deny)") })
        :shows("^127.0.0.1:")
    end)

    it("is closed by a rule for the port, and told of in the log", function()
      local args = say("nsnet.rules { { port = 7008, nsnet.deny 'not that' } }", { "-v" })
      local got = client({ "talk", "127.0.0.1", 7008, "" }, { args = args })
      got:shows("ECONNRESET")
      got:complains("tcp +%S+ 127%.0%.0%.1:7008 +deny by rule .-: not that")
      client({ "talk", "::1", 7008, "" }, { args = args }):shows("ECONNRESET")
      client({ "talk", "127.0.0.1", 7001, "x" }, { args = args }):says("xend=eof")
    end)

    it("asks handlers, who may take their time", function()
      local got = client({ "talk", "127.0.0.1", 7008, "" }, { args = say(
        [[nsnet.on_connect(function(c) nsnet.sleep(0.05)
          nsnet.log.warn("%s %s %d", tostring(c.inbound), c.dst_ip, c.dst_port) end)]]) })
      got:shows("^127.0.0.1:")
      got:complains("false 127.0.0.1 7008")
    end)

    it("goes past dialers, and where a rule redirects it", function()
      client({ "talk", "127.0.0.1", 7008, "" }, { args = say(
        "nsnet.dialer(function() return nil, 'no dialer is asked' end)") }):shows("^127.0.0.1:")
      client({ "talk", "127.0.0.1", 7008, "" }, { args = say(
        "nsnet.rules { { port = 7008, nsnet.redirect('198.51.100.2:7008') } }") })
        :shows("ECONNRESET"):complains("the host's own address is closed to the command")
      client({ "talk", "127.0.0.1", 7008, "" }, { args = say("nsnet.rules { { port = 7008, "
        .. "nsnet.redirect('127.0.0.1:7001', { host_loopback = true }) } }") }):says("end=eof")
    end)

    it("judges the first bytes", function()
      local args = say("nsnet.rules { { http_host = 'no.test', nsnet.deny }, { nsnet.allow } }")
      local function get(name)
        return L:run({ "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H",
          "Host: " .. name, "http://127.0.0.1:8080/bytes/5" }, { args = args })
      end
      get("yes.test"):shows("^200$")
      get("no.test"):shows("", 56):complains("reset")
      client({ "talk", "127.0.0.1", 7001, "no http" }, { args = args }):says("no httpend=eof")
    end)

    it("denies what a rule wants to limit: it cannot", function()
      client({ "talk", "127.0.0.1", 7008, "" }, { args = say(
        "nsnet.on_connect(function(c) c:limit { down = 1000 } end)") })
        :shows("ECONNRESET"):complains("which %-L cannot")
    end)
  end)

  it("is listed, and closed, like any other", function()
    local job = L:spawn_client({ "fetch-idle", "127.0.0.1", 7007 }, { args = { "-L", "7007" },
      env = env })
    local id = lab.eventually(function()
      return L:run({}, { args = { "ctl", "connections" }, env = env }).out
        :match("(%d+) +tcp +open +127%.0%.0%.1:%d+ +127%.0%.0%.1:7007")
    end)
    assert(id, L:run({}, { args = { "ctl", "connections" }, env = env }).out)
    L:run({}, { args = { "ctl", "close", id }, env = env }):exits(0)
    job:wait():shows("ECONNRESET")
  end)

  it("ends what is idle for too long", function()
    client({ "fetch-idle", "127.0.0.1", 7007 }, { args = { "-L", "7007", "--tcp-idle", "1" },
      bound = 60 }):shows("ECONNRESET")
  end)
end)
