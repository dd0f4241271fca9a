# SPDX-License-Identifier: MIT
"""Floods the tun device with raw packets while an honest connection goes on: flood.py KIND COUNT

Run with --keep-caps. COUNT packets are half IPv4, half IPv6, of KIND

    syn        to a closed, a silent and an open port; one in two from an address that is not ours
    udp        of as many tuples, to a closed port and to a silent host
    fragment   firsts, middles and lasts of datagrams of which nothing else ever comes
    dns        questions to the resolver, each another name
    slow       no packets, but connections that ask for 4 MB and read nothing, or send to a
               server that reads nothing

The device is never given more than it holds. Meanwhile another process exchanges blocks with an
echo server and checks them. At the end prints one line: sent, lost (by the device), rounds of the
other process, its longest round in ms, and what works afterwards, which may take a minute; then
waits to be killed.
"""
import os
import select
import socket
import struct
import sys
import time

import client
import pattern

WORLD = {4: "203.0.113.1", 6: "2001:db8:2::1"}
SILENT = {4: "203.0.113.203", 6: "2001:db8:2::203"}
OURS = {4: "10.0.0.1", 6: "fd6e:736e:6574::1"}
RESOLVER = {4: "10.0.0.53", 6: "fd6e:736e:6574::53"}
SPOOFED = {4: "10.0.0.77", 6: "fd6e:736e:6574::77"}
STRANGER = {4: "192.0.2.66", 6: "2001:db8:66::1"}
STUCK, UNREAD = 7100, 7101  # ports of the spec: their servers never accept
BURST = 128  # less than the device's queue


def raw(version, address):
    return socket.inet_pton(socket.AF_INET if version == 4 else socket.AF_INET6, address)


def checksum(data):
    total = sum(struct.unpack(">%dH" % (len(data) // 2), data[:len(data) & ~1]))
    if len(data) & 1:
        total += data[-1] << 8
    total = (total & 0xffff) + (total >> 16)
    return ~((total & 0xffff) + (total >> 16)) & 0xffff


def ip(version, src, dst, proto, body, ident=0, fragment=0):
    """fragment: offset in units of eight bytes, times 8, plus 1 if more follow, as in IPv6."""
    if version == 4:
        offset = fragment >> 3 | (fragment & 1) << 13
        head = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), ident & 0xffff, offset, 64,
                           proto, 0, src, dst)
        return head[:10] + struct.pack(">H", checksum(head)) + head[12:] + body
    if fragment or ident:
        body = struct.pack(">BBHI", proto, 0, fragment, ident) + body
        proto = 44
    return struct.pack(">IHBB16s16s", 0x60000000, len(body), proto, 64, src, dst) + body


def sealed(version, src, dst, proto, body, at):
    """The body with its checksum, which stands at that offset."""
    pseudo = src + dst + struct.pack(">IHBB", len(body), 0, 0, proto)
    return body[:at] + struct.pack(">H", checksum(pseudo + body)) + body[at + 2:]


class Flood:
    def __init__(self):
        self.addresses = {(v, name): raw(v, table[v]) for v in (4, 6) for name, table in (
            ("world", WORLD), ("silent", SILENT), ("ours", OURS), ("resolver", RESOLVER),
            ("spoofed", SPOOFED), ("stranger", STRANGER))}

    def syn(self, version, n):
        get = lambda name: self.addresses[version, name]
        dst, port = ((get("world"), 7099), (get("silent"), 80), (get("world"), STUCK))[n // 2 % 3]
        src = get(("ours", "spoofed", "ours", "stranger")[n // 2 % 4])
        body = struct.pack(">HHIIBBHHH", 1024 + n % 60000, port, n, 0, 0x50, 2, 65535, 0, 0)
        return ip(version, src, dst, 6, sealed(version, src, dst, 6, body, 16))

    def udp(self, version, n):
        src = self.addresses[version, "ours"]
        dst = self.addresses[version, "silent" if n & 2 else "world"]
        body = struct.pack(">HHHH", 1024 + n % 60000, 20000 + n // 60000, 12, 0) + b"data"
        return ip(version, src, dst, 17, sealed(version, src, dst, 17, body, 6))

    def fragment(self, version, n):
        src, dst = self.addresses[version, "ours"], self.addresses[version, "world"]
        body = struct.pack(">HHHH", 1024 + n % 60000, 7004, 4000, 0) + bytes(1192)
        return ip(version, src, dst, 17, body, n + 1, (1, 1200 + 1, 2400)[n // 2 % 3])

    def dns(self, version, n):
        src, dst = self.addresses[version, "ours"], self.addresses[version, "resolver"]
        label = b"q%d" % n
        query = struct.pack(">HHHHHHB", n & 0xffff, 0x100, 1, 0, 0, 0, len(label)) + label \
            + b"\4test\0\0\1\0\1"
        body = struct.pack(">HHHH", 1024 + n % 60000, 53, 8 + len(query), 0) + query
        return ip(version, src, dst, 17, sealed(version, src, dst, 17, body, 6))


def device():
    """Packets that the device has delivered, and lost."""
    with open("/proc/self/net/dev", encoding="ascii") as file:
        for line in file:
            name, _, rest = line.partition(":")
            if name.strip() == "tun0":
                words = rest.split()
                return int(words[9]), int(words[11])
    raise FileNotFoundError("no tun0")


def send(make, count):
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    lost, dropped = 0, device()[1]
    for start in range(0, count, BURST):
        before = sum(device())
        size = min(BURST, count - start)
        for n in range(start, start + size):
            version, kind = (6, 0x86dd) if n & 1 else (4, 0x800)
            try:
                sock.sendto(make(version, n), ("tun0", kind))
            except OSError:
                lost += 1
                size -= 1
        limit = time.monotonic() + 20
        while sum(device()) < before + size:  # other packets count as well: never more than is queued
            if time.monotonic() > limit:
                raise TimeoutError("the device takes no packet")
            time.sleep(0)
    return lost + device()[1] - dropped


def slow(count):
    """Half of the connections down, half up, each with a window as small as it gets."""
    socks = []
    for n in range(count):
        version = (4, 6)[n & 1]
        sock = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        sock.settimeout(20)
        sock.connect((WORLD[version], UNREAD if n & 2 else 7003))
        if not n & 2:
            sock.sendall(b"4000000 fin\n")
        sock.setblocking(False)
        socks.append((sock, n & 2))
    limit = time.monotonic() + 3
    block = bytes(65536)
    while time.monotonic() < limit:
        for sock, up in socks:
            try:
                if up:
                    sock.send(block)
            except BlockingIOError:
                pass
        time.sleep(0.02)
    for sock, _ in socks:
        client.reset(sock)
    return 0


def probe(stop):
    """Exchanges blocks until the pipe ends; "rounds=N worst=MS", or what went wrong."""
    block = b"".join(pattern.blocks(20000))
    sock = client.tcp(WORLD[4], 7001)
    rounds, worst = 0, 0.0
    while not select.select([stop], [], [], 0)[0]:
        start = time.monotonic()
        sock.sendall(block)
        got = client.read_exactly(sock, len(block))
        if got != block:
            return "wrong after %d rounds: %d bytes" % (rounds, len(got))
        worst = max(worst, time.monotonic() - start)
        rounds += 1
    return "rounds=%d worst=%.1f" % (rounds, worst * 1000)


def works():
    """What works now."""
    def attempt(call, *words):
        try:
            return call(*words)
        except OSError as error:
            return client.os_name(error)

    size = 300000
    for version in (4, 6):
        for name, got, wanted in (
                ("tcp", attempt(client.do_exchange, WORLD[version], 7001, size),
                 pattern.sum_of(size)),
                ("udp", attempt(client.do_udp, WORLD[version], 7001, 1000), "echo"),
                ("fragments", attempt(client.do_udp, WORLD[version], 7001, 65507), "echo")):
            yield name if got == wanted else "no %s: %s" % (name, got)
    try:
        yield "dns" if socket.getaddrinfo("a.test", 80) else "no dns"
    except OSError as error:
        yield "no dns: %s" % error


def main(kind, count):
    reading, writing = os.pipe()
    answer_reading, answer_writing = os.pipe()
    if os.fork() == 0:
        os.close(writing)
        try:
            text = probe(reading)
        except OSError as error:
            text = "wrong: %s" % client.os_name(error)
        os.write(answer_writing, text.encode())
        os._exit(0)
    lost = slow(int(count)) if kind == "slow" else send(getattr(Flood(), kind), int(count))
    os.close(writing)
    text = os.read(answer_reading, 1000).decode()
    print("sent=%s lost=%d %s" % (count, lost, text), flush=True)
    limit = time.monotonic() + 60
    while True:
        after = " ".join(works())
        if "no " not in after or time.monotonic() > limit:
            break
        time.sleep(0.2)
    print("after: " + after, flush=True)
    time.sleep(100)


if __name__ == "__main__":
    main(*sys.argv[1:])
