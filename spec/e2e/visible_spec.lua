-- SPDX-License-Identifier: MIT
-- What a connection says of a name must be what the rule about its address says.
local lab = require("spec.support.lab")

-- speak.py HOST PORT PACE WORDS...: connects, sends each word's bytes (in pieces of PACE bytes, 0:
-- whole), prints how many bytes came back for each, or the error, which ends it.
local speaker = [[
import socket, struct, sys, time

def ext(kind, data):
    return struct.pack(">HH", kind, len(data)) + data

def hello(name, hidden=False, pad=0):
    exts = ext(0x0a0a, b"")
    if name:
        name = name.encode("latin-1").decode("unicode_escape").encode("latin-1")
        exts += ext(0, struct.pack(">HBH", len(name) + 3, 0, len(name)) + name)
    if hidden:
        exts += ext(0xfe0d, b"x" * 200)
    exts = (ext(51, b"k" * pad) if pad else b"") + exts
    body = b"\3\3" + b"r" * 32 + b"\0" + b"\0\2\x13\1" + b"\1\0"
    body += struct.pack(">H", len(exts)) + exts
    body = b"\1" + struct.pack(">I", len(body))[1:] + body
    out = b""
    while body:
        out += b"\x16\3\1" + struct.pack(">H", len(body[:16000])) + body[:16000]
        body = body[16000:]
    return out

def bytes_of(word):
    kind, _, rest = word.partition("=")
    if kind in ("tls", "ech", "big"):
        return hello(rest, kind == "ech", 20000 if kind == "big" else 0)
    if kind == "http":
        host = rest.encode("latin-1").decode("unicode_escape").encode("latin-1")
        return b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    if kind == "post":
        head = "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 9\r\n\r\n" % rest
        return head.encode() + b"123456789"
    return rest.encode().decode("unicode_escape").encode("latin-1")

def talk(host, port, pace, words):
    where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(where[0], where[1])
    sock.settimeout(10)
    sock.connect(where[4])
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for word in words:
        if word.startswith("wait="):
            time.sleep(float(word[5:]))
            continue
        if word.startswith("read="):
            got = b""
            while len(got) < int(word[5:]):
                got += sock.recv(int(word[5:]) - len(got))
            continue
        data = bytes_of(word)
        for at in range(0, len(data), pace or len(data)):
            sock.send(data[at:at + (pace or len(data))])
        got = 0
        while got < len(data):
            some = sock.recv(65536)
            if not some:
                raise EOFError
            got += len(some)
    return "echoed"

for line in sys.stdin.read().split("\n"):
    if line:
        host, port, pace, *words = line.split(" ")
        try:
            print(talk(host, int(port), int(pace), words))
        except (OSError, EOFError) as error:
            print(type(error).__name__)
]]

-- Spellings that somebody could read as a.test; written as in python.
local hostile = { "", ".", "..", ".a.test", "a..test", "a.test..", [[evil.example\0.a.test]],
  [[a.test\0.evil.example]], [[a.test\0]], [[\0a.test]], [[\x20a.test\x20b]],
  [[evil.example\x20a.test]],
  [[a.test\tb]], [[a.test\rb]], [[a.test\x0bb]], "evil.example/.a.test", "evil.example/a.test",
  [[evil.example\\.a.test]], "evil.example#.a.test", "evil.example?.a.test",
  "evil.example@a.test", "a.test@evil.example", "a.test:b", "a.test:evil.example", "[a.test]",
  "a.test]", "*.a.test", "a.*",
  "a.test,evil.example", "a.test;evil.example", "a%2etest", "a.test%00.evil.example",
  [[a\\046test]],
  [[\xe4.test]], [[a\xe3\x80\x82test]], [[\xd0\xb0.test]], [[\xef\xbd\x81.test]],
  [[a\xc2\xad.test]], [[a.test\x7f]], [[a.test\x80]], [[\xff]], "'a.test'", "\"a.test\"",
  "a.test|evil.example", "http://a.test", ("a"):rep(64) .. ".test",
  ("a."):rep(130) .. "test", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "::1", "[::1]",
  "xa.test", "a.test.evil.example", "evil.example", "test", "b.test" }

describe("the name that a connection says", function()
  local L
  local zone = [[
a.test A 60 203.0.113.1
b.test A 60 203.0.113.1
six.test AAAA 60 2001:db8:2::1
]]
  lazy_setup(function()
    L = lab.start()
    L:serve_authority("visible", { "203.0.113.53", "2001:db8:2::53" }, zone)
    L:write("speak.py", speaker)
  end)
  lazy_teardown(function() L:stop() end)
  if lab.direct then return end

  local allow = "nsnet.default(nsnet.deny) nsnet.rules {"
    .. "{ domain = { 'a.test', 'six.test' }, nsnet.allow } }"

  local function speak(code, lines)
    return L:run({ "python3", "-BS", "/run/lab/speak.py" },
      { args = { "-e", code }, stdin = table.concat(lines, "\n") .. "\n", bound = 120 })
  end

  local function names(fn)
    fn("IPv4", "a.test")
    fn("IPv6", "six.test")
  end

  -- Requests that some server reads as for evil.example; a line each, with the name for %s. What
  -- comes back is from an echo, so each says whether it got through.
  local twofold = {
    "GET / HTTP/1.1\r\nHost: %s\r\nHost: evil.example\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: %s\r\nHost : evil.example\r\n\r\n",
    "GET / HTTP/1.1\r\nX: y\r\n Host: evil.example\r\nHost: %s\r\n\r\n",
    "GET http://evil.example/ HTTP/1.1\r\nHost: %s\r\n\r\n",
    "GET http://%s@evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "CONNECT evil.example:443 HTTP/1.1\r\nHost: %s\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: evil.example:80\r\n\r\n",
    "get / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "PROPFIND / HTTP/1.1 x\r\nHost: evil.example\r\n\r\n",
    "PROPFIND / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: 44\r\nTransfer-Encoding: chunked\r\n\r\n"
      .. "0\r\n\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
  }
  -- The first request may go, the second never.
  local evil = "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
  local second = {
    "GET / HTTP/1.1\r\nHost: %s\r\nUpgrade: x\r\n\r\n",
    "CONNECT %s:443 HTTP/1.1\r\nHost: %s:443\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: %s\r\nContent-Length: 3\r\n\r\nabc",
    "POST / HTTP/1.1\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
  }

  -- As a word of speak.py.
  local function raw(text, name)
    return " raw=" .. text:gsub("%%s", name):gsub("[ \r\n]", { [" "] = "\\x20", ["\r"] = "\\r",
      ["\n"] = "\\n" })
  end

  names(function(family, name)
    it("is read as no server could read it otherwise, over " .. family, function()
      local lines, want = {}, {}
      for _, text in ipairs(twofold) do
        lines[#lines + 1] = name .. " 7001 0" .. raw(text, name)
        want[#want + 1] = "ConnectionResetError"
      end
      for _, text in ipairs(second) do
        lines[#lines + 1] = name .. " 7001 0" .. raw(text, name)
        lines[#lines + 1] = name .. " 7001 0" .. raw(text, name) .. raw(evil, name)
        lines[#lines + 1] = name .. " 7001 0" .. raw(text .. evil, name)
        want[#want + 1] = "echoed\nConnectionResetError\nConnectionResetError"
      end
      speak(allow, lines):says(table.concat(want, "\n"))
    end)

    it("may be the rule's, or none, over " .. family, function()
      speak(allow, { name .. " 7001 0 tls=" .. name, name .. " 7001 1 tls=" .. name:upper(),
        name .. " 7001 0 big=" .. name, name .. " 7001 0 tls=", name .. " 7001 0 text=hi\\r\\n",
        name .. " 7001 3 http=" .. name, name .. " 7001 0 wait=1 tls=" .. name })
        :says(("echoed\n"):rep(7):sub(1, -2))
    end)

    it("may not be another, over " .. family, function()
      speak(allow, { name .. " 7001 0 tls=evil.example", name .. " 7001 1 tls=evil.example",
        name .. " 7001 0 big=evil.example", name .. " 7001 0 tls=b.test",
        name .. " 7001 0 ech=" .. name, name .. " 7001 0 ech=cloudflare-ech.com",
        name .. " 7001 0 http=evil.example", name .. " 7001 1 http=evil.example",
        name .. " 7001 0 wait=1 tls=evil.example", name .. " 7006 0 read=5 tls=evil.example" })
        :says(("ConnectionResetError\n"):rep(10):sub(1, -2))
    end)

    it("is judged again in each request of a connection, over " .. family, function()
      speak(allow, { name .. " 7001 0 http=" .. name .. " post=" .. name .. " http=" .. name,
        name .. " 7001 0 http=" .. name .. " http=evil.example",
        name .. " 7001 0 post=" .. name .. " http=evil.example",
        name .. " 7001 5 post=" .. name .. " http=evil.example" })
        :says("echoed\nConnectionResetError\nConnectionResetError\nConnectionResetError")
    end)
  end)

  it("may still come while the first line has no end, so that is held", function()
    local partial = [[
import socket, sys
sock = socket.create_connection((sys.argv[1], 7001), 20)
sock.sendall(b"hi")
sock.settimeout(float(sys.argv[2]))
try:
    print(sock.recv(100))
except TimeoutError:
    sock.settimeout(20)
    sock.sendall(b" there\n")
    print("held", sock.makefile("rb").read(9))
]]
    local function talk(code, bound)
      return L:run({ "sh", "-c", 'getent hosts a.test >&2; exec python3 -c "$0" $1 $2', partial,
        "203.0.113.1", bound }, { args = { "-e", code } })
    end
    talk(allow, "0.8"):says("held b'hi there\\n'")
    talk("nsnet.default(nsnet.deny) nsnet.rules { { cidr = '203.0.113.1', nsnet.allow },"
      .. " { domain = 'a.test', nsnet.allow } }", "20"):says("b'hi'")
  end)

  it("may be of another rule for the same address", function()
    speak("nsnet.default(nsnet.deny) nsnet.rules { { domain = 'a.test', nsnet.allow },"
      .. " { domain = 'b.test', nsnet.allow } }", { "b.test 7001 0 tls=b.test",
      "a.test 7001 0 tls=b.test", "a.test 7001 0 tls=c.test" })
      :says("echoed\nechoed\nConnectionResetError")
  end)

  it("is one of fifty others, and none gets through", function()
    assert.is_true(#hostile >= 50)
    local lines, want = {}, {}
    for _, text in ipairs(hostile) do
      for _, to in ipairs({ "a.test", "six.test" }) do
        if text ~= "" then
          lines[#lines + 1] = to .. " 7001 0 tls=" .. text
          want[#want + 1] = "ConnectionResetError"
        end
        lines[#lines + 1] = to .. " 7001 0 http=" .. text
        want[#want + 1] = "ConnectionResetError"
      end
    end
    speak(allow, lines):says(table.concat(want, "\n"))
  end)

  it("does not open an address that was not answered", function()
    speak(allow, { "203.0.113.1 7001 0 tls=a.test", "::ffff:203.0.113.1 7001 0 tls=a.test",
      "203.0.113.2 7001 0 tls=a.test", "2001:db8:2::1 7001 0 tls=six.test",
      "64:ff9b::cb00:7101 7001 0 tls=a.test" })
      :says(("ConnectionRefusedError\n"):rep(5):sub(1, -2))
    L:run({ "curl", "-s", "--resolve", "a.test:80:203.0.113.2", "http://a.test/" },
      { args = { "-e", allow } }):exits(7)
  end)

  it("is told with who denied it", function()
    speak(allow, { "a.test 7001 0 tls=evil.example" })
      :complains("denied tcp .* by default: its first bytes name evil%.example")
  end)

  it("leaves a client as it is, and its connection for a second request", function()
    L:run({ "curl", "-s", "-w", "%{http_code} %{size_download} %{num_connects}\n",
      "-o", "/dev/null", "-o", "/dev/null",
      "http://a.test/bytes/1000", "http://a.test/bytes/70000" },
      { args = { "-e", allow } }):says("200 1000 1\n200 70000 0")
  end)
end)
