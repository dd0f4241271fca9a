-- SPDX-License-Identifier: MIT
-- --pcap as Wireshark's own programs read it.
local lab = require("spec.support.lab")

describe("a capture", function()
  local L, file
  local port = lab.port

  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
  end)
  lazy_teardown(function() L:stop() end)
  before_each(function() file = nil end)

  local function read(command)
    local pipe = assert(io.popen(command .. " 2>&1"))
    local text = pipe:read("*a")
    pipe:close()
    return (text:gsub("[^\n]*This could be dangerous%.\n", ""))
  end

  -- The lines of `tshark -T fields`: a table of fields for each packet that fits the filter.
  local function packets(filter, fields, name)
    local words = { "tshark", "-n", "-N", "n", "-r", lab.quote(L:path("home/" .. (name or file))),
      "-o tcp.check_checksum:TRUE -o udp.check_checksum:TRUE -o ip.check_checksum:TRUE",
      "-o tcp.desegment_tcp_streams:FALSE", "-T fields -E separator=/t", "-Y", lab.quote(filter) }
    for _, field in ipairs(fields) do words[#words + 1] = "-e " .. field end
    local text = read(table.concat(words, " "))
    assert(not text:match("tshark:"), text)
    local list = {}
    for line in text:gmatch("([^\n]*)\n") do
      local row = {}
      for field in (line .. "\t"):gmatch("([^\t]*)\t") do row[#row + 1] = field end
      list[#list + 1] = row
    end
    return list
  end

  local function capinfos(name)
    return read("capinfos " .. lab.quote(L:path("home/" .. (name or file))))
  end

  -- Runs a shell line behind nsnet-host with a capture in home/.
  local function capture(name, line, args, rules)
    file = name
    local all = { "--pcap", "/run/lab/home/" .. name }
    for _, word in ipairs(args or {}) do all[#all + 1] = word end
    if rules then
      all[#all + 1] = "-s"
      all[#all + 1] = L:script(rules, "pcap.lua")
    end
    return L:run({ "sh", "-c", line }, { args = all, bound = 60 })
  end

  local client = "python3 -BS /run/repo/spec/support/client.py "

  it("has every protocol, both ways, in order, with good checksums", function()
    capture("all.pcapng", table.concat({
      client .. "talk 203.0.113.1 7006 hello", client .. "talk 2001:db8:2::1 7006 hello",
      "ping -c1 203.0.113.1", "ping -c1 2001:db8:2::1", "dig +short a.test",
      "python3 -c \"import socket; s = socket.socket(2, 2); s.sendto(b'x' * 3000,"
        .. " ('203.0.113.1', 7001)); print(len(s.recv(9999)))\"" }, " >/dev/null && "))
      :exits(0)
    local infos = capinfos()
    assert.matches("Strict time order: +True", infos)
    assert.matches("Time precision = nanoseconds", infos)
    assert.matches("Name = tun0", infos)
    for _, filter in ipairs({ "tcp.flags.syn == 1 && ip", "tcp.flags.fin == 1 && ipv6", "icmp",
      "icmpv6.type >= 128 && icmpv6.type <= 129", "dns", "udp.port == 7001" }) do
      assert.is_true(#packets(filter, { "frame.number" }) >= 2, filter)
    end
    assert.same({}, packets("tcp.checksum.status == \"Bad\" || udp.checksum.status == \"Bad\" ||"
      .. " ip.checksum.status == \"Bad\" || icmp.checksum.status == \"Bad\" || _ws.malformed ||"
      .. " tcp.analysis.lost_segment || tcp.analysis.ack_lost_segment", { "frame.number" }))
    assert.is_true(#packets("tcp.checksum.status == \"Good\"", { "frame.number" }) > 10)
    for _, row in ipairs(packets("tcp.dstport == 7006", { "frame.packet_flags_direction" })) do
      assert.equal("0x00000002", row[1])
    end
    for _, row in ipairs(packets("tcp.srcport == 7006", { "frame.packet_flags_direction" })) do
      assert.equal("0x00000001", row[1])
    end
  end)

  it("tells at a connection's first packet what was decided, and by whom", function()
    capture("rules.pcapng", table.concat({ "curl -s -o /dev/null http://a.test/;",
      "curl -s http://203.0.113.1:7099/;", client .. "talk 203.0.113.2 7006 hello;",
      client .. "talk 203.0.113.1 7006 hello" }, " "), nil, [[
      nsnet.on_connect(function(conn)
        if conn.dst_port == 7099 then return nsnet.deny "closed today" end
        if conn.dst_ip == "203.0.113.2" then
          nsnet.sleep(0.1)
          return nsnet.redirect("203.0.113.1:7006")
        end
        return nsnet.allow
      end)]]):exits(0)
    local function comment(filter)
      local rows = packets(filter .. " && tcp.flags.syn == 1 && tcp.flags.ack == 0",
        { "frame.comment" })
      assert.equal(1, #rows)
      return rows[1][1]
    end
    assert.matches("^curl%[%d+%] tcp a%.test 203%.0%.113%.1:80: allow, rule /run/lab/pcap%.lua:%d+",
      comment("tcp.dstport == 80"))
    assert.matches("7099: deny, rule /run/lab/pcap%.lua:%d+: closed today",
      comment("tcp.dstport == 7099"))
    assert.matches("203%.0%.113%.2:7006 %-> 203%.0%.113%.1:7006: redirect, rule ",
      comment("ip.dst == 203.0.113.2"))
    assert.equal("a.test", packets("tcp.dstport == 80", { "ip.dst_host" })[1][1])
    assert.matches("Number of resolved IPv4 addresses in file: 1", capinfos())
  end)

  it("has each byte of a transfer, super-segments whole and noted", function()
    local size = 5000000
    capture("bulk.pcapng", client .. "upload 203.0.113.1 " .. port.sum .. " " .. size,
      { "--mtu", "1500" }):shows(L:sum(size))
    -- Counted by sequence number: on a slow machine the command's kernel sends a tail twice (RFC
    -- 8985, tail loss probe), and the capture rightly shows both.
    local next_byte, noted = 1, 0
    for _, row in ipairs(packets("tcp.dstport == " .. port.sum .. " && tcp.len > 0",
      { "tcp.len", "tcp.seq", "frame.comment" })) do
      local len, seq = tonumber(row[1]), tonumber(row[2])
      assert.is_true(seq <= next_byte, ("bytes %d to %d are missing"):format(next_byte, seq))
      next_byte = math.max(next_byte, seq + len)
      if len > 1460 then
        assert.matches("super%-segment: %d+ TCP segments of at most 1460 bytes", row[3])
        noted = noted + 1
      end
    end
    assert.equal(size, next_byte - 1)
    assert.is_true(noted > 10)
    assert.same({}, packets("tcp.checksum.status == \"Bad\"", { "frame.number" }))
  end)

  it("keeps so much of each packet as it was told", function()
    capture("cut.pcapng", client .. "upload 203.0.113.1 " .. port.sum .. " 1000000",
      { "--snaplen", "96" }):exits(0)
    for _, row in ipairs(packets("tcp", { "frame.cap_len", "frame.len" })) do
      assert.equal(math.min(96, tonumber(row[2])), tonumber(row[1]))
    end
    assert.is_true(#packets("frame.len > 10000", { "frame.number" }) > 5)
    assert.matches("Packet size limit: +inferred: 96 bytes", capinfos())
  end)

  it("goes on in numbered files and keeps the last ones", function()
    capture("ring.pcapng", client .. "upload 203.0.113.1 " .. port.sum .. " 7000000",
      { "--pcap-size", "1", "--pcap-files", "3" }):exits(0)
    local names = {}
    for name in read("ls " .. L:path("home") .. " | grep ^ring"):gmatch("%S+") do
      names[#names + 1] = name
      assert.matches("Number of packets: +[1-9]", capinfos(name))
      local size = tonumber(read("stat -c %s " .. L:path("home/" .. name)))
      assert.is_true(size <= 1000000 + 2000, name .. " has " .. size)
    end
    assert.equal(3, #names)
    assert.is_true(tonumber(names[3]:match("%-(%d+)")) >= 7)
  end)

  it("goes through a pipe to a reader", function()
    L:host({ "mkfifo", "/run/lab/home/pipe" }):exits(0)
    local reader = L:spawn_host({ "cat", "/run/lab/home/pipe" })
    assert(lab.eventually(function()
      return not capture("pipe", "true").err:match("nobody reads that pipe")
    end))
    reader:wait():shows("tun0")
    reader = L:spawn_host({ "sh", "-c", "cat pipe >piped.pcapng" })
    assert(lab.eventually(function()
      return not capture("pipe", client .. "upload 203.0.113.1 " .. port.sum .. " 3000000").err
        :match("nobody reads that pipe")
    end))
    reader:wait():exits(0)
    local sum = 0
    for _, row in ipairs(packets("tcp.dstport == " .. port.sum, { "tcp.len" }, "piped.pcapng")) do
      sum = sum + tonumber(row[1])
    end
    assert.equal(3000000, sum)
  end)

  it("ends with one line when the disk is full, and the command goes on", function()
    local result = L:run({ "sh", "-c", client .. "upload 203.0.113.1 " .. port.sum .. " 3000000" },
      { args = { "--pcap", "/dev/full" } }):shows(L:sum(3000000))
    assert.equal("nsnet-host: the capture ends here: cannot write /dev/full: "
      .. "No space left on device\n", result.err)
  end)

  it("that cannot be written is told before the command runs", function()
    L:run({ "touch", "/run/lab/home/ran" }, { args = { "--pcap", "/nonexistent/x" } }):exits(73)
      :complains("^nsnet%-host: cannot write /nonexistent/x: No such file or directory\n$")
    assert.is_nil(L:read("home/ran"))
    L:run({ "true" }, { args = { "--pcap", "/run/lab/home/x", "--pcap-files", "2" } }):exits(2)
  end)
end)
