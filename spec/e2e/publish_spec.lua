-- SPDX-License-Identifier: MIT
-- The way in: servers run as the command, callers come from W, and from the host itself.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("a published port", function()
  local L, server
  local port = lab.port
  local outside = { IPv4 = lab.v4.host, IPv6 = lab.v6.host }
  local loopback = { IPv4 = "127.0.0.1", IPv6 = "::1" }
  local caller = { IPv4 = "198.51.100.1", IPv6 = "2001:db8:1::1" }
  local own = { IPv4 = "10.0.0.1", IPv6 = "fd6e:736e:6574::1" }
  local alias = { IPv4 = "10.0.0.100", IPv6 = "fd6e:736e:6574::100" }
  local env = { XDG_RUNTIME_DIR = "/run/lab/home" }
  local client = "/run/repo/spec/support/client.py"

  local function publish(args, spec)
    args[#args + 1] = "-p"
    args[#args + 1] = spec
  end

  -- A job whose command is world.py on every address inside; it says when it is ready.
  local function serve(name, args, addresses)
    local words = { "python3", "-BS", "/run/repo/spec/support/world.py", name }
    for _, address in ipairs(addresses or { "0.0.0.0", "::" }) do words[#words + 1] = address end
    local job = L:spawn(words, { args = args, env = env, bound = 300 })
    job:expect("ready", 20)
    return job
  end

  local function stop(job)
    job:kill("TERM")
    job:wait()
  end

  local function from_world(words, options)
    local all = { "python3", "-BS", client }
    for _, word in ipairs(words) do all[#all + 1] = tostring(word) end
    return L:world(all, options)
  end

  local function from_host(words, options)
    local all = { "python3", "-BS", client }
    for _, word in ipairs(words) do all[#all + 1] = tostring(word) end
    return L:host(all, options)
  end

  local function log_has(name, pattern)
    return lab.eventually(function() return (L:read(name .. ".log") or ""):match(pattern) end)
  end

  local tcp_ports = { 7001, 7002, 7003, 7004, 7005, 7006, 7008, 7009, 7099 }

  lazy_setup(function()
    L = lab.start({ world = false })
    local args = {}
    for _, address in ipairs({ outside.IPv4, outside.IPv6, "127.0.0.1", "::1" }) do
      for _, p in ipairs(tcp_ports) do
        publish(args, ("%s:%d:%d"):format(lab.bracket(address), p, p))
      end
      publish(args, lab.bracket(address) .. ":8080:80")
      for _, p in ipairs({ 7001, 7003, 7008, 7099 }) do
        publish(args, ("%s:%d:%d/udp"):format(lab.bracket(address), p, p))
      end
    end
    publish(args, "/run/lab/home/web.sock:80")
    server = serve("in", args)
  end)
  lazy_teardown(function()
    if server then stop(server) end
    L:stop()
  end)

  for _, version in ipairs({ "IPv4", "IPv6" }) do
    local host = outside[version]

    describe("over " .. version, function()
      it("shows the server the caller's own address", function()
        from_world({ "talk", host, port.who, "" })
          :shows(("^%s:%%d+ %s:7008\n"):format(lab.bracket(caller[version]):gsub("%p", "%%%0"),
            lab.bracket(own[version]):gsub("%p", "%%%0")))
      end)

      it("shows the host's alias for callers from loopback", function()
        from_host({ "talk", loopback[version], port.who, "" })
          :shows(("^%s:%%d+ %s:7008\n"):format(lab.bracket(alias[version]):gsub("%p", "%%%0"),
            lab.bracket(own[version]):gsub("%p", "%%%0")))
      end)

      it("serves curl", function()
        L:world({ "curl", "-sS", "-g", "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
          ("http://%s:8080/bytes/1000000"):format(lab.bracket(host)) }):shows("^200 1000000$")
      end)

      for _, size in ipairs({ 0, 1, 65536, 268435456 }) do
        it(("takes %d bytes in, a half-close, and answers"):format(size), function()
          from_world({ "upload", host, port.sum, size }, { bound = 120 })
            :says(("%d %s\nend=eof"):format(size, L:sum(size)))
        end)

        it(("gives %d bytes out"):format(size), function()
          from_world({ "fetch", host, port.source, size, "fin" }, { bound = 120 })
            :says(("%d %s end=eof"):format(size, L:sum(size)))
        end)
      end

      it("carries both directions at once", function()
        from_world({ "exchange", host, port.echo, 20000000 }, { bound = 60 }):says(L:sum(20000000))
      end)

      it("waits for a slow server and a slow caller, and loses nothing", function()
        from_world({ "upload", host, port.slow, 4000000 }, { bound = 60 })
          :says(("4000000 %s\nend=eof"):format(L:sum(4000000)))
        from_world({ "fetch", host, port.source, 4000000, "fin", 0.001 }, { bound = 60 })
          :says("4000000 " .. L:sum(4000000) .. " end=eof")
      end)

      it("lets the caller go on after the server's half-close", function()
        from_world({ "half", host, port.half, 3000000 }):says("bye\nend=eof")
        assert(log_has("in", "tcp_watch %S+ %S+ end=eof bytes=3000000")
          or log_has("in", "tcp_half %S+ %S+ end=eof bytes=3000000"))
      end)

      it("lets the server speak first", function()
        from_world({ "talk", host, port.banner, "hello" }):says("220 ready\r\nhelloend=eof")
      end)

      it("passes a reset on in both directions", function()
        from_world({ "abort", host, port.watch, 0 }):says("reset")
        assert(log_has("in", "tcp_watch " .. lab.bracket(own[version]):gsub("%p", "%%%0")
          .. "%S+ %S+ end=ECONNRESET bytes=0"))
        from_world({ "fetch", host, port.source, 100000, "rst" }):shows("end=ECONNRESET")
      end)

      it("resets where nobody listens inside", function()
        from_world({ "talk", host, port.closed, "x" }):shows("ECONNRESET")
      end)

      it("serves a thousand at once", function()
        from_world({ "many", host, port.echo, 1000, 2000 }, { bound = 120 }):says("ok 1000")
      end)

      it("carries datagrams of every size", function()
        for _, size in ipairs({ 0, 1, 1472, 9000, 65000 }) do
          from_world({ "udp", host, 7001, size }):says("echo")
        end
        from_world({ "udp-sized", host, 7003, 60000 }):says("60000 " .. L:sum(60000))
      end)

      it("shows the server the caller's own address by UDP, too", function()
        from_world({ "udp-text", host, 7008, "x", 5 })
          :shows((lab.bracket(caller[version]):gsub("%p", "%%%0")))
        from_host({ "udp-text", loopback[version], 7008, "x", 5 })
          :shows((lab.bracket(alias[version]):gsub("%p", "%%%0")))
      end)

      it("keeps callers by UDP apart", function()
        from_world({ "udp-many", host, 7001, 200 }):says("ok 200")
      end)

      it("is silent by UDP where nobody listens inside", function()
        from_world({ "udp", host, 7099, 10, 0.5 }):says("silence")
      end)
    end)
  end

  it("may be a unix socket", function()
    L:host({ "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
      "--unix-socket", "/run/lab/home/web.sock", "http://x/bytes/1000000" }):shows("^200 1000000$")
  end)

  it("takes its unix socket away at the end", function()
    local path = "/run/lab/home/gone.sock"
    local one = serve("gone", { "-p", path .. ":80" })
    L:host({ "test", "-S", path }):exits(0)
    stop(one)
    L:host({ "test", "-e", path }):exits(1)
  end)

  it("is listed, comes and goes at run time", function()
    local function ctl(...)
      return L:run({}, { args = { "ctl", ... }, env = env })
    end
    ctl("published"):shows("/run/lab/home/web.sock:80 +tcp +/run/lab/home/web.sock +80")
    from_host({ "connect", "127.0.0.1", 7301 }):says("ECONNREFUSED")
    ctl("publish", "7301:7008"):shows("published: 7301:7008")
    from_host({ "talk", "127.0.0.1", 7301, "" }):shows("10.0.0.100:%d+ 10.0.0.1:7008")
    ctl("publish", "7301:7008"):exits(1):complains("published already")
    ctl("publish", "127.0.0.1:7301:7009"):exits(1):complains("somebody listens there already")
    ctl("publish", "nonsense"):exits(1):complains("names no port")
    ctl("unpublish", "7301:7008"):exits(0)
    ctl("unpublish", "7301:7008"):exits(1):complains("no such port")
    from_host({ "connect", "127.0.0.1", 7301 }):says("ECONNREFUSED")
  end)

  it("listens nowhere else", function()
    local listening = L:host({ "ss", "-Hlntu" }).out
    assert.falsy(listening:match("0%.0%.0%.0:7") or listening:match("%[::%]:7"), listening)
  end)

  it("fails the start if somebody listens there", function()
    L:run({ "true" }, { args = { "-p", "127.0.0.1:7001:7001" } }):exits(71)
      :complains("cannot publish 127.0.0.1:7001:7001: somebody listens there already")
    L:run({ "true" }, { args = { "-p", "0:0" } }):exits(2):complains("names no port")
    L:run({ "true" }, { args = { "-p", "192.0.2.77:7001:7001" } }):exits(71)
      :complains("it is no address of this host")
  end)

  it("does not show what listens on the namespace's loopback", function()
    local job = serve("lo", { "-p", "7401:7008", "-p", "[::1]:7401:7008", "-p", "7401:7001/udp" },
      { "127.0.0.1", "::1" })
    from_host({ "talk", "127.0.0.1", 7401, "" }):shows("ECONNRESET")
    from_host({ "talk", "::1", 7401, "" }):shows("ECONNRESET")
    from_host({ "udp", "127.0.0.1", 7401, 10, 0.5 }):says("silence")
    assert.equal("", L:read("lo.log"))
    stop(job)
  end)

  describe("under rules", function()
    local function with(rules, fn, args)
      local all = { "-e", rules }
      for _, arg in ipairs(args or {}) do all[#all + 1] = arg end
      for _, spec in ipairs({ "198.51.100.2:7501:7008", "[2001:db8:1::2]:7501:7008",
        "7501:7008", "198.51.100.2:7501:7001/udp", "7501:7001/udp" }) do
        publish(all, spec)
      end
      local job = serve("ruled", all)
      local ok, why = pcall(fn, job)
      stop(job)
      assert(ok, why)
    end

    it("is open although the default is to deny: the user named it", function()
      with("nsnet.default(nsnet.deny)", function()
        from_world({ "talk", outside.IPv4, 7501, "" }):shows("^198.51.100.1:")
        from_world({ "udp", outside.IPv4, 7501, 10 }):says("echo")
      end)
    end)

    it("is closed by a rule for the caller, IPv4 and IPv6, TCP and UDP", function()
      with([[nsnet.rules {
        { cidr = { "198.51.100.0/24", "2001:db8:1::/64" }, nsnet.deny "not from there" } }]],
        function(job)
          from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
          from_world({ "talk", outside.IPv6, 7501, "" }):shows("ECONNRESET")
          from_world({ "udp", outside.IPv4, 7501, 10, 0.5 }):says("silence")
          from_host({ "talk", "127.0.0.1", 7501, "" }):shows("^10.0.0.100:")
          from_host({ "udp", "127.0.0.1", 7501, 10 }):says("echo")
          assert.is_truthy(job:err():match(
            "tcp +198%.51%.100%.1:%d+ .- deny by rule .-: not from there"), job:err())
        end, { "-v" })
    end)

    it("is closed by a rule for the port inside", function()
      with("nsnet.rules { { port = 7008, network = 'tcp', nsnet.deny } }", function()
        from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
        from_world({ "udp", outside.IPv4, 7501, 10 }):says("echo")
      end)
    end)

    it("asks handlers, who see which way it goes and may take their time", function()
      with([[nsnet.on_connect(function(c)
          nsnet.sleep(0.05)
          nsnet.log.warn("%s %s %s %s %s", tostring(c.inbound), c.src_ip, c.dst_ip, c.dst_port,
            c.address)
          if c.inbound and c.src_ip == "198.51.100.1" then return nsnet.deny end
        end)
        nsnet.on_flow(function(c)
          nsnet.sleep(0.05)
          if c.inbound and c.src_ip ~= "198.51.100.1" then return nsnet.drop end
        end)]], function(job)
          from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
          from_host({ "talk", "127.0.0.1", 7501, "" }):shows("^10.0.0.100:")
          from_world({ "udp", outside.IPv4, 7501, 10 }):says("echo")
          from_host({ "udp", "127.0.0.1", 7501, 10, 0.5 }):says("silence")
          assert.is_truthy(job:err():match("true 198.51.100.1 10.0.0.1 7008 10.0.0.1:7008"),
            job:err())
        end)
    end)

    it("asks guards", function()
      with("nsnet.guard(function(c) if c.inbound then return nsnet.deny end end)", function()
        from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
        from_world({ "udp", outside.IPv4, 7501, 10, 0.5 }):says("silence")
      end)
    end)

    it("tells rules for one direction from those for the other", function()
      with([[nsnet.default(nsnet.deny) nsnet.rules {
          { inbound = false, nsnet.deny "out" },
          { inbound = true, cidr = "198.51.100.1", nsnet.deny "in" } }]], function()
        from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
        from_host({ "talk", "127.0.0.1", 7501, "" }):shows("^10.0.0.100:")
      end)
    end)

    it("goes past dialers, and nowhere by a redirect", function()
      with([[nsnet.dialer(function() return nil, "no dialer is asked" end)
        nsnet.rules { { inbound = true, cidr = "198.51.100.1", nsnet.redirect("192.0.2.1:80") },
          { nsnet.via(function() return nil, "nor this one" end) } }]], function()
        from_world({ "talk", outside.IPv4, 7501, "" }):shows("ECONNRESET")
        from_host({ "talk", "127.0.0.1", 7501, "" }):shows("^10.0.0.100:")
      end)
    end)

    it("is limited like any other", function()
      with([[nsnet.on_connect(function(c) c:limit { reset_after = 5 } end)]], function()
        -- Not the one that tells the caller's address: it does not wait for a byte, so its FIN may
        -- be first.
        from_world({ "talk", outside.IPv4, 7502, "more than five" }):shows("ECONNRESET")
      end, { "-p", "198.51.100.2:7502:7001" })
    end)
  end)
end)
