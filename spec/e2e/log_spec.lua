-- SPDX-License-Identifier: MIT
-- The logs: what they say is what happened, whatever it was called, and nothing is missing.
local lab = require("spec.support.lab")

if lab.direct then return end

describe("the log", function()
  local L
  lazy_setup(function()
    L = lab.start()
    L:serve_dns({ "203.0.113.53" }, "203.0.113.1")
    L:host({ "sh", "-c", "rm -f /etc/resolv.conf; echo nameserver 203.0.113.53 >/etc/resolv.conf" },
      { who = "root" }):exits(0)
  end)
  lazy_teardown(function() L:stop() end)

  local JSON = "/run/lab/home/log.jsonl"

  -- What jq, a foreign parser, makes of the whole log, without a final newline.
  local function jq(program)
    local r = L:host({ "jq", "-rs", program, JSON }):exits(0)
    return (r.out:gsub("\n$", ""))
  end

  local function client(words, options)
    options = options or {}
    local args = { "--log-json", JSON }
    for _, arg in ipairs(options.args or {}) do args[#args + 1] = arg end
    return L:client(words, { args = args, bound = options.bound })
  end

  local function flow(where, what)
    return jq((".[] | select(.type == \"flow\" and %s) | %s"):format(where, what))
  end

  describe("in JSON lines", function()
    it("begins with the command and ends with its status", function()
      L:run({ "sh", "-c", "exit 7" }, { args = { "--log-json", JSON } }):exits(7)
      assert.equal("start sh -c exit 7", jq '.[0] | [.type] + .command | join(" ")')
      assert.equal("end 7 0", jq '.[-1] | [.type, .status, .lost] | join(" ")')
      assert.equal("true", jq "all(.v == 1 and (.time | type) == \"number\")")
    end)

    it("has each connection with its bytes, its phases and who made it", function()
      lab.both(function(_, names)
        client({ "upload", names.world, tostring(lab.port.sum), "1000000" })
          :shows("^1000000 ")
        local sum = #"1000000 " + 64 -- COUNT SHA256
        assert.equal("tcp allow closed 1000000", flow("true",
          [["\(.network) \(.verdict) \(.end) \(.up)"]]))
        assert.is_true(math.abs(tonumber(flow("true", ".down")) - sum) <= 1)
        assert.equal("true", flow("true", [[.t |
          (0 <= .decided and .decided <= .dialing and .dialing <= .opened
          and .opened <= .first_up and .first_up <= .first_down and .first_down <= .ended)]]))
        assert.equal("python3 true upload", flow("true",
          [[.process | "\(.name) \(.pid > 1) \(.argv[3])"]]))
        assert.equal("/run/lab/home", flow("true", ".process.cwd"))
      end)
    end)

    it("knows the ancestors of who made it", function()
      L:run({ "sh", "-c", "sh -c 'curl -s -o /dev/null http://203.0.113.1/; true'; true" },
        { args = { "--log-json", JSON } }):exits(0)
      assert.equal("curl sh sh", flow("true",
        [[.process | [.name, .parents[].name] | join(" ")]]))
    end)

    it("has what failed, what was denied and what was turned away", function()
      client({ "connect", "203.0.113.1", tostring(lab.port.closed) }):says("ECONNREFUSED")
      assert.equal("dial failed: Connection refused 0 0", flow("true",
        [["\(.end): \(.error) \(.up) \(.down)"]]))
      client({ "connect", "203.0.113.1", "7001" }, { args = { "-e",
        "nsnet.rules { { port = 7001, nsnet.deny 'no \"echo\"' } }" } }):says("ECONNREFUSED")
      assert.equal([[deny rule 1 (-e:1) no "echo" denied python3]], flow("true",
        [["\(.verdict) \(.rule) \(.reason) \(.end) \(.process.name)"]]))
      client({ "connect", "127.0.0.1", "7001" }):says("ECONNREFUSED")
      client({ "connect", "169.254.169.254", "80" })
      assert.equal("deny guard", flow("true", [["\(.verdict) \(.rule)"]]))
      L:run({ "sh", "-c", "python3 -BS /run/repo/spec/support/client.py hold 203.0.113.1 7001 3 "
        .. "</dev/null; true" }, { args = { "--log-json", JSON, "--max-conns", "1" } })
      assert.equal("2 too many connections", jq [[map(select(.type == "refused")) |
        "\(length) \(.[0].why)"]])
    end)

    it("has what a dialer said of its failure", function()
      lab.both(function(_, names)
        client({ "connect", names.world, "7001" }, { args = { "--log", "/run/lab/home/log.txt",
          "-e", "nsnet.dialer(function() return nil, 'proxy: \27[31mno' end)" } })
          :says("ECONNREFUSED")
        assert.equal('["dial failed","proxy: \\u001b[31mno"]',
          flow("true", "[.end, .error] | tojson"))
        assert.matches("dial failed proxy: \\x1b%[31mno\n$", L:read("home/log.txt"))
      end)
    end)

    it("tells what a dry run would have denied", function()
      client({ "connect", "203.0.113.1", "7001" }, { args = { "--dry-run", "--default",
        "deny" } }):says("connected")
      assert.equal("allow deny default", flow("true", [["\(.verdict) \(.would) \(.rule)"]]))
      client({ "connect", "203.0.113.1", "7001" }, { args = { "--dry-run", "--default",
        "deny", "--no-who" } })
        :complains("would be denied: tcp %S+ %-> 203.0.113.1:7001 by default")
    end)

    it("tells what nobody had ended when the command did", function()
      L:run({ "bash", "-c", "exec 3<>/dev/tcp/203.0.113.1/7001; echo x >/dev/udp/203.0.113.1/7001; "
        .. "echo y >&3; read line <&3" }, { args = { "--log-json", JSON } }):exits(0)
      assert.equal("left open", flow([[.network == "udp"]], ".end"))
    end)

    it("says at the end how many denials it did not tell of", function()
      local r = L:run({ "bash", "-c", "for i in {1..200}; do (: </dev/tcp/203.0.113.1/$i); done" },
        { args = { "--default", "deny", "--no-who" } })
      local told, rest = select(2, r.err:gsub(": denied tcp", "")), 0
      for n in r.err:gmatch("nsnet%-host: (%d+) more denials are not shown") do rest = rest + n end
      assert.equal(200, told + rest)
    end)

    it("has datagrams and echoes", function()
      client({ "udp", "203.0.113.1", "7001", "300" }):says("echo")
      assert.equal("udp 300 300 python3", flow("true",
        [["\(.network) \(.up) \(.down) \(.process.name)"]]))
      L:run({ "ping", "-c", "3", "-i", "0.2", "203.0.113.1" },
        { args = { "--log-json", JSON } }):exits(0)
      assert.equal("icmp 10.0.0.1 203.0.113.1 168 168", flow("true",
        [["\(.network) \(.src) \(.dst) \(.up) \(.down)"]]))
    end)

    it("has questions, and the names that connections go by", function()
      L:run({ "curl", "-s", "-o", "/dev/null", "-4", "http://a.test/" },
        { args = { "--log-json", JSON } }):exits(0)
      assert.equal("a.test A allow NOERROR 203.0.113.1 curl", jq [[.[] | select(.type == "dns") |
        "\(.name) \(.qtype) \(.verdict) \(.rcode) \(.answers[0]) \(.process.name)"]])
      assert.equal("a.test", flow("true", ".host"))
      L:run({ "dig", "+time=5", "+tries=1", "no.test" }, { args = { "--log-json", JSON,
        "--default", "deny" } })
      assert.equal("no.test deny REFUSED", jq [[.[] | select(.type == "dns") |
        "\(.name) \(.verdict) \(.rcode)"]])
    end)

    it("says of a question, too, that the default denied it", function()
      L:run({ "sh", "-c", "curl -s http://a.test/; true" },
        { args = { "--log-json", JSON, "--default=deny" } }):exits(0)
        :complains("^nsnet%-host: dns: a%.test [^\n]* by default; { domain = \"a%.test\", ")
      assert.equal("deny default REFUSED", jq([[first(.[] | select(.type == "dns"))
        | "\(.verdict) \(.rule) \(.rcode)"]]))
    end)

    it("has the name that the first bytes were judged by", function()
      for _, name in ipairs { "b.test", "c.test" } do
        L:run({ "curl", "-s", "-o", "/dev/null", "-4", "-H", "Host: " .. name, "http://a.test/" },
          { args = { "--log-json", JSON, "-e", [[nsnet.rules {
            { http_host = "b.test", nsnet.allow }, { http_host = "c.test", nsnet.deny } }]] } })
        assert.equal(name, flow("true", ".host"))
      end
    end)

    it("is valid whatever the command calls itself", function()
      local evil = 'x"\\\n\27[31m\255\254\192'
      L:run({ "python3", "-BSc", [[
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, b'\xff"\\\n\x1b]0;\xc3', 0, 0, 0)
socket.create_connection(("203.0.113.1", 7001), 10).close()
]], evil }, { args = { "--log-json", JSON, "--log", "/run/lab/home/log.txt" } }):exits(0)
      assert.equal("true", flow("true",
        [[.process.argv[3] | startswith("x\"\\\n\u001b[31m\ufffd")]]))
      assert.equal("true", flow("true", [[.process.name | startswith("\ufffd\"\\\n\u001b")]]))
      local text = L:read("home/log.txt")
      assert.is_truthy(text:find([[\xff"\\x0a\x1b]0;\xc3[]], 1, true))
      assert.is_nil(text:match("[^\n\32-\126]"))
      assert.equal(1, select(2, text:gsub("\n", "")))
    end)

    it("misses none of 10 000 connections, and no byte", function()
      local many, each = 10000, 32
      client({ "serial", "203.0.113.1", "7001", tostring(many) }, { bound = 300 })
        :says("ok " .. many)
      local sums = jq [[map(select(.type == "flow")) | [length, (map(.up) | add),
        (map(.down) | add), (map(.id) | unique | length),
        (map(select(.verdict == "allow" and .end == "closed")) | length),
        (map(select(.process.name == "python3")) | length)] | join(" ")]]
      local total = many * each
      assert.equal(table.concat({ many, total, total, many, many, many }, " "), sums)
      assert.equal("0", jq ".[-1].lost")
    end)
  end)

  describe("for people", function()
    it("has a line at the end of each, and with -v at the start", function()
      local path = "/run/lab/home/log.txt"
      L:client({ "fetch", "203.0.113.1", tostring(lab.port.source), "5000", "fin" },
        { args = { "--log", path } }):exits(0)
      local text = L:read("home/log.txt")
      assert.is_truthy(text:match("^%d%d:%d%d:%d%d%.%d%d%d python3%[%d+%] +tcp +203%.0%.113%.1:7003"
        .. " +allow +%S+ up +5%.0k down +[%d.]+ m?s +closed\n$"), text)
      local r = L:client({ "connect", "203.0.113.1", tostring(lab.port.closed) },
        { args = { "-v" } }):says("ECONNREFUSED")
      assert.is_truthy(r.err:match("tcp +203%.0%.113%.1:7099 +allow +begins\n"), r.err)
      assert.is_truthy(r.err:match("dial failed Connection refused\n"), r.err)
      assert.is_nil(r.err:match("\27"))
    end)

    it("is quiet unless asked, but for denials", function()
      local r = L:client({ "connect", "203.0.113.1", "7001" }):says("connected")
      assert.equal("", r.err)
      L:client({ "connect", "203.0.113.1", "7001" }, { args = { "-e",
        "nsnet.rules { { name = 'echo', port = 7001, nsnet.deny 'why' } }" } })
        :says("ECONNREFUSED")
        :complains("^nsnet%-host: denied tcp 10%.0%.0%.1:%d+ %-> 203%.0%.113%.1:7001 "
          .. "by [^\n]*why\n$")
    end)

    it("tells of drops, which a command only waits for, but not of the guard's", function()
      lab.both(function(_, names)
        local code = [[import socket
for to in "%s", "224.0.0.251", "ff02::fb":
  s = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET, socket.SOCK_DGRAM)
  s.sendto(b"x", (to, 7009))]]
        local r = L:run({ "python3", "-c", code:format(names.world) },
          { args = { "-e", "nsnet.rules { { name = 'hole', cidr = '" .. names.world
            .. "', nsnet.drop 'why' } }" } }):exits(0)
        assert.matches("^nsnet%-host: dropped udp %S+ %-> %S+:7009 by hole[^\n]*: why\n$", r.err)
      end)
    end)

    it("cannot be written by the command", function()
      local r = L:run({ "sh", "-c", "ls -l /proc/self/fd" },
        { args = { "--log", "/run/lab/home/log.txt", "--log-json", JSON } }):exits(0)
      assert.is_nil(r.out:match("log%.txt") or r.out:match("log%.jsonl"))
    end)

    it("says why it cannot be written", function()
      L:run({ "true" }, { args = { "--log", "/nowhere/log" } }):exits(73)
        :complains("nsnet%-host: %-%-log /nowhere/log: No such file or directory; ")
      L:run({ "true" }, { args = { "--log-json", "fd:77" } }):exits(73)
        :complains("nsnet%-host: %-%-log%-json fd:77: Bad file descriptor; ")
      L:run({ "true" }, { args = { "--log", JSON, "--log-json", "log.jsonl" } }):exits(2)
        :complains("that is the file of %-%-log; give each its own")
    end)

    it("shares its file with no other output, old or new, and an old one stays", function()
      local option = { "--log", "--log-json", "--pcap", "--learn" }
      L:write("home/old", "kept\n", "666")
      for i = 2, #option do
        for j = 1, i - 1 do
          for _, name in ipairs({ "old", "new" }) do
            L:host({ "rm", "-f", "/run/lab/home/new" })
            L:run({ "true" }, { args = { option[i], "/run/lab/home/" .. name,
              option[j], "/run/lab/home/../home/" .. name } }):exits(2)
              :complains(option[i]:gsub("%-", "%%-") .. " '/run/lab/home/" .. name
                .. "': that is the file of " .. option[j]:gsub("%-", "%%-") .. "; give each")
          end
        end
      end
      L:run({ "true" }, { args = { "--log", "-", "--pcap", "/proc/self/fd/2" } }):exits(2)
        :complains("%-%-pcap '/proc/self/fd/2': that is the file of %-%-log; give each")
      assert.equal("kept\n", L:read("home/old"))
    end)

    it("goes into no descriptor that came to be where standard error was closed", function()
      lab.both(function(_, names)
        local words = L:wrap({ "python3", "-BS", "/run/repo/spec/support/client.py", "connect",
          names.world, "7001" }, { args = { "--log", "-" } })
        for i, word in ipairs(words) do words[i] = lab.quote(word) end
        L:host({ "sh", "-c", table.concat(words, " ") .. " 2>&-" }):exits(0):says("connected")
      end)
    end)
  end)

  describe("of a script", function()
    -- The reader begins when the command has ended, so it is no matter how fast either is.
    local LATE = [[
      cd /run/lab/home; rm -f err out; mkfifo err; exec 3<>err
      { %s; } 2>err >out 3>&- &
      until [ -s out ]; do
        [ $((n += 1)) -lt 1200 ] || { echo "the command waits"; kill $!; exit 1; }
        sleep 0.05
      done
      exec 4<err 3>&-
      cat out; awk '{ print $1, $2, length($3) }' <&4; wait $!]]

    it("makes nobody wait for who reads it late, and is whole", function()
      lab.both(function(_, names)
        local words = L:wrap({ "python3", "-BS", "/run/repo/spec/support/client.py", "serial",
          names.world, "7001", "300" }, { args = { "-e", [[local n = 0
          nsnet.on_close(function() n = n + 1 nsnet.log.info("%d %s", n, ("x"):rep(1000)) end)]],
        } })
        for i, word in ipairs(words) do words[i] = lab.quote(word) end
        local r = L:host({ "sh", "-c", LATE:format(table.concat(words, " ")) }):exits(0)
          :shows("^ok 300\n")
        local n = 0
        for i in r.out:gmatch("nsnet%-host: (%d+) 1000\n") do
          n = n + 1
          assert.equal(n, tonumber(i))
        end
        assert.equal(300, n)
      end)
    end)

    it("stands before what the command says of it", function()
      local r = L:run({ "sh", "-c",
        "for i in 1 2 3 4 5; do curl -sS http://203.0.113.1:700$i; done; true" }, { args = { "-e",
        "nsnet.on_connect(function(c) nsnet.log.info('no %d', c.dst_port) return nsnet.deny end)",
      } })
      local order = {}
      for port in r.err:gmatch("%f[%d]700(%d)") do order[#order + 1] = port end
      assert.equal("111222333444555", table.concat(order), r.err)
    end)
  end)

  describe("as a summary", function()
    it("adds up by destination and process, at the end", function()
      local r = L:run({ "sh", "-c", "for i in 1 2 3; do curl -s -o /dev/null -4 http://a.test/; "
        .. "done; curl -s http://203.0.113.1:7099/; curl -s http://203.0.113.1:7002/; true" },
        { args = { "--summary", "-e",
          "nsnet.rules { { name = 'no sums', port = 7002, nsnet.deny } }" } })
      r:exits(0):complains("nsnet%-host: summary\n")
        :complains("tcp a%.test:80 +curl +3 +%d+ +%d+\n")
        :complains("tcp a%.test:7099 +curl +1 +0 +0  1 failed\n")
        :complains("tcp a%.test:7002 +curl +1 +0 +0  1 denied by no sums[^\n]*\n")
        :complains("all together +%- +5 ")
        :complains("slowest to connect:\n +[%d.]+ m?s to tcp ")
        :complains("\n +[%d.]+ m?s to tcp a%.test:80\n")
        :complains("\n +[%d.]+ m?s to tcp a%.test:7099, failed\n")
        :complains("3 questions for names, 0 of them denied\n")
    end)

    it("is written on SIGUSR1, which the command does not get", function()
      local job = L:spawn({ "sh", "-c", "curl -s -o /dev/null http://203.0.113.1/; echo ready; "
        .. "exec sleep 60" }, { args = { "--summary" }, bound = 60 })
      job:expect("ready")
      job:kill("USR1")
      assert.is_truthy(lab.eventually(function()
        return job:err():match("tcp 203%.0%.113%.1:80 +curl +1 ")
      end), job:err())
      job:kill("TERM")
      assert.equal(143, job:wait().code)
    end)
  end)
end)
