-- SPDX-License-Identifier: MIT
-- Whoever is refused a name does not get a question out: the name server counts.
local lab = require("spec.support.lab")

describe("rules about names", function()
  local L
  local zone = [[
*.test A 0 203.0.113.1
*.test AAAA 0 2001:db8:2::1
*.test TXT 0 data
*.evil A 0 203.0.113.2
*.evil TXT 0 command
in.test CNAME 0 x.out.evil
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("names", { "203.0.113.53", "2001:db8:2::53" }, zone)
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local allow = "nsnet.default(nsnet.deny) nsnet.rules { { domain = '.test', nsnet.allow } }"
  local servers = { "@10.0.0.53", "@fd6e:736e:6574::53" }

  local function run(code, words)
    return L:run(words, { args = { "-e", code } })
  end

  -- The data of a tunnel is in the names: each question carries some out, the answers some in.
  local tunnel = [[
    for i in 1 2 3 4 5; do
      for type in TXT NULL CNAME A AAAA MX SRV HTTPS TYPE4711 ANY; do
        dig +tries=1 +time=2 $0 $1 secret$i.out.evil $type | grep -o "status: [A-Z]*"
      done
    done | sort | uniq -c]]

  for _, server in ipairs(servers) do
    for _, way in ipairs({ "+notcp", "+tcp" }) do
      it("stop a tunnel by " .. way .. " " .. server, function()
        run(allow, { "sh", "-c", tunnel, way, server }):shows("^ *50 status: REFUSED\n$")
      end)
      it("let what is named through by " .. way .. " " .. server, function()
        run(allow, { "dig", "+short", way, server, "a.test", "TXT" }):says('"data"')
        run(allow, { "dig", "+short", way, server, "a.test", "AAAA" }):says("2001:db8:2::1")
      end)
    end
  end

  it("count what a name stands for as the name", function()
    run(allow, { "dig", "+short", "in.test" }):says("x.out.evil.\n203.0.113.2")
    run(allow, { "dig", "x.out.evil" }):shows("status: REFUSED")
  end)

  it("tell once what was refused, and how to allow it", function()
    local r = run(allow, { "sh", "-c", "getent hosts a.evil; dig a.evil TXT >&2; true" }):exits(0)
    local _, count = r.err:gsub("a%.evil A+ denied %(REFUSED%) by default; { domain = .a%.evil", "")
    assert.equal(1, count)
  end)

  it("refuse hostile spellings", function()
    for _, name in ipairs({ [[a\.test.evil]], [[x\000.test]], [[x\032y.test]], [[\255.test]],
      [[a\.b.test]], "test.evil", "xtest", "test\\.", ".", "a@b.test", "a/b.test", "a:80.test" }) do
      run(allow, { "dig", "+tries=1", "+time=2", name, "TXT" }):shows("status: REFUSED")
    end
    for _, name in ipairs({ "TEST", "a.TeSt.", "_x._tcp.test", "xn--4ca.test" }) do
      run(allow, { "dig", "+tries=1", "+time=2", name, "TXT" }):shows("status: N[OX]")
    end
  end)

  -- Every byte that no host name has, in front of a name that is allowed; then what is no name.
  local bytes = [[
import socket, struct, sys
host, way = sys.argv[1:]
sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET,
                     socket.SOCK_DGRAM if way == "udp" else socket.SOCK_STREAM)
sock.settimeout(20)
sock.connect((host, 53))

def ask(name):
    question = b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + name + b"\0\x10\0\1"
    if way == "udp":
        sock.send(question)
        return sock.recv(4096)[3] & 15
    sock.sendall(struct.pack(">H", len(question)) + question)
    size, = struct.unpack(">H", sock.recv(2, socket.MSG_WAITALL))
    return sock.recv(size, socket.MSG_WAITALL)[3] & 15

answers = {}
for byte in range(256):
    code = ask(bytes((3, 97, byte, 98)) + b"\4test\0")
    answers[code] = answers.get(code, b"") + bytes((byte,))
print(sorted(answers), len(answers[5]), answers[0].decode(), end="")
for name in (b"\xc0\x0c", b"\xc0\xff", b"\x41a\4test\0", b"", b"\4test",
             (b"\x3f" + b"a" * 63) * 4 + b"\4test\0") if way == "udp" else ():
    print(" %d" % ask(name), end="")
print()
]]
  for _, server in ipairs(servers) do
    for way, rest in pairs({ udp = " 1 1 1 1 1 1", tcp = "" }) do
      it("refuse each of 192 hostile bytes, by " .. way .. " " .. server, function()
        run(allow, { "python3", "-BSc", bytes, server:sub(2), way }):says("[0, 5] 192 "
          .. "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz" .. rest)
      end)
    end
  end

  -- Messages with a denied name beside or within what is allowed; gives the RCODE of each answer.
  local messages = [[
import socket, struct, sys
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET

def name(text):
    return b"".join(bytes([len(part)]) + part.encode() for part in text.split(".")) + b"\0"

def message(names, flags=0x0100, kind=1, number=0, counts=(0, 0, 0), rest=b"", count=None):
    head = struct.pack(">HHHHHH", number, flags, len(names) if count is None else count, *counts)
    return head + b"".join(name(text) + struct.pack(">HH", 1, kind) for text in names) + rest

sock = socket.socket(family, socket.SOCK_DGRAM)
sock.settimeout(20)
sock.connect((host, 53))

def ask(*args, **more):
    sock.send(message(*args, **more))
    return sock.recv(65536)[3] & 15

record = name("in.evil") + struct.pack(">HHIH", 16, 1, 0, 4) + b"\3abc"
print(*(ask(names) for names in (["a.test", "q.evil"], ["q.evil", "a.test"])),
      ask(["q.evil"], count=0), ask(["a.test"], counts=(1, 0, 0), rest=record))
print(*(ask([text], flags=0x0100 | code << 11) for code in (1, 2, 4, 5, 6)
        for text in ("a.test", "op.evil")))
print(*(ask([text], kind=kind) for kind in (3, 4, 255) for text in ("a.test", "class.evil")))

# Five questions in one segment, then a byte in each.
texts = ["a.test", "pipe.evil", "b.test", "line.evil", "A.tEST"]
for pace in (999, 1):
    data = b"".join(struct.pack(">H", len(one)) + one for one in
                    (message([text], number=i) for i, text in enumerate(texts)))
    conn = socket.create_connection((host, 53), 20)
    conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(data), pace):
        conn.sendall(data[at:at + pace])
    answers, file = {}, conn.makefile("rb")
    for _ in texts:
        one = file.read(struct.unpack(">H", file.read(2))[0])
        number = one[1]
        answers[number] = one[3] & 15
    print(*(answers[i] for i in range(len(texts))))
]]
  for _, server in ipairs(servers) do
    it("judge every question of a message and of a connection " .. server, function()
      run(allow, { "python3", "-BSc", messages, server:sub(2) }):says(
        "1 1 1 1\n4 4 4 4 4 4 4 4 4 4\n0 5 0 5 0 5\n0 5 0 5 0\n0 5 0 5 0")
    end)
  end

  it("that only deny leave other names alone", function()
    local deny = "nsnet.rules { { domain = '.evil', nsnet.deny } }"
    run(deny, { "dig", "+short", "a.test", "A" }):says("203.0.113.1")
    run(deny, { "dig", "b.out.evil", "TXT" }):shows("status: REFUSED")
    run(deny, { "dig", [[b\.c.out.evil]], "TXT" }):shows("status: REFUSED")
  end)

  it("send no question for a denied name to anybody", function()
    assert.equal(0, L:asked("names", nil, "evil %w+$"))
    assert.equal(0, L:asked("names", nil, "[^%w%s._-]"))
    assert.is_true(L:asked("names", "a.test") > 0)
  end)
end)
