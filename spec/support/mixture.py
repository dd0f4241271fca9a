# SPDX-License-Identifier: MIT
"""Mixed traffic, every byte of it checked: mixture.py ORDERS RESOLVER4 RESOLVER6

Follows the file ORDERS, which others append to: a line "N" is N rounds of everything below, over
IPv4 and IPv6; "end" ends it. Answers each with "rounds=N bytes=B" (what was sent or received and
checked since the start), or "wrong: WHAT" and status 1. All the while two connections exchange
blocks, and it serves echo at TCP 9000 and UDP 9001 for callers from outside. Datagrams that a bad
cable lost are sent again, some times.
"""
import os
import socket
import struct
import sys
import threading
import time

import client
import pattern

WORLDS = [("203.0.113.1", "203.0.113.201"), ("2001:db8:2::1", "2001:db8:2::201")]
lock = threading.Lock()
total = 0  # bytes


def expect(what, got, wanted):
    if got != wanted:
        print("wrong: %s: %r instead of %r" % (what, got, wanted), flush=True)
        os._exit(1)  # from any thread


def failing(call, *words):
    """What a call of client.py says, the name of an error included."""
    try:
        return call(*words)
    except OSError as error:
        return client.os_name(error)


def again(call, *words):
    """The same, and once more while there is silence."""
    for _ in range(8):
        said = failing(call, *words)
        if said != "silence":
            break
    return said


def moved(what, count, got, wanted):
    global total
    expect(what, got, wanted)
    with lock:
        total += count


def tcp_whole(host, size):
    moved("exchange", 2 * size, client.do_exchange(host, 7001, size), pattern.sum_of(size))
    moved("many", 8 * 40000, client.do_many(host, 7001, 8, 20000), "ok 8")
    moved("upload", size, client.do_upload(host, 7002, size),
          "%d %s\nend=eof" % (size, pattern.sum_of(size)))
    moved("fetch", size, client.do_fetch(host, 7003, size, "fin"),
          "%d %s end=eof" % (size, pattern.sum_of(size)))
    moved("half", size, client.do_half(host, 7009, size), "bye\nend=eof")
    moved("redirected", 200, client.do_serial(host, 7097, 3), "ok 3")


def tcp_broken(host, unreachable, size):
    count, _, end = client.do_fetch(host, 7003, size, "rst").split()
    expect("fetch until reset", (int(count) <= size, end), (True, "end=ECONNRESET"))
    expect("abort", client.do_abort(host, 7004, 5000), "reset")
    expect("leave", client.do_leave(host, 7003, 1000000), "reset")
    expect("refused", failing(client.do_connect, host, 7099), "ECONNREFUSED")
    expect("denied", failing(client.do_connect, host, 7098), "ECONNREFUSED")
    expect("unreachable", failing(client.do_connect, unreachable, 7001), "EHOSTUNREACH")


def datagrams(host):
    for size in (1, 1400, 20000):
        moved("datagram", 2 * size, again(client.do_udp, host, 7001, size), "echo")
    moved("datagrams", 200, again(client.do_udp_many, host, 7001, 10), "ok 10")
    expect("datagram to a closed port", failing(client.do_udp_closed, host, 7099), "ECONNREFUSED")


def ping(host, number):
    body = b"ping %d" % number
    expect("ping", again(echo_request, host, number, body), body)


def echo_request(host, number, body):
    v6 = ":" in host
    sock = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM,
                         socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP)
    with sock:
        sock.settimeout(5)
        sock.connect((host, 0))
        sock.send(struct.pack(">BBHHH", 128 if v6 else 8, 0, 0, 0, number & 0xffff) + body)
        return sock.recv(1000)[8:]


def ask(resolver, name, number, over_tcp):
    """The code of the answer and the number of its records."""
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split("."))
    query = struct.pack(">HHHHHH", number & 0xffff, 0x100, 1, 0, 0, 0) + labels + b"\0\0\1\0\1"
    if over_tcp:
        sock = client.tcp(resolver, 53, 20)
        sock.sendall(struct.pack(">H", len(query)) + query)
        size, = struct.unpack(">H", client.read_exactly(sock, 2))
        answer = client.read_exactly(sock, size)
    else:
        sock = client.udp(resolver, 53, 20)
        sock.send(query)
        answer = sock.recv(1000)
    sock.close()
    ident, flags, _, records = struct.unpack(">HHHH", answer[:8])
    expect("the question's number", ident, number & 0xffff)
    return flags & 15, records


def questions(resolver, number):
    for over_tcp in (False, True):
        for name, wanted in ("a.test", (0, 1)), ("n%d.test" % number, (3, 0)):
            for _ in range(30):
                got = again(ask, resolver, name, number, over_tcp)
                if got[0] != 2:  # the host's name server is away, and says so
                    break
                time.sleep(0.3)
            expect(name, got, wanted)


def stream(host):
    """One connection for all the time."""
    block = b"".join(pattern.blocks(50000))
    sock = client.tcp(host, 7001)
    while True:
        try:
            sock.sendall(block)
            got = client.read_exactly(sock, len(block))
            said = "%d bytes, %s" % (len(got), "right" if got == block else "not those sent")
        except OSError as error:
            said = client.os_name(error)
        moved("stream", 2 * len(block), said, "%d bytes, right" % len(block))
        time.sleep(0.1)


def serve_tcp(sock):
    while True:
        conn = sock.accept()[0]
        threading.Thread(target=echo, args=(conn,), daemon=True).start()


def echo(conn):
    try:
        while data := conn.recv(65536):
            conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # callers are checked at their own end
    conn.close()


def serve_udp(sock):
    while True:
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)


def serve():
    for kind, port, loop in ((socket.SOCK_STREAM, 9000, serve_tcp),
                             (socket.SOCK_DGRAM, 9001, serve_udp)):
        sock = socket.socket(socket.AF_INET6, kind)
        sock.bind(("::", port))
        if kind == socket.SOCK_STREAM:
            sock.listen(64)
        threading.Thread(target=loop, args=(sock,), daemon=True).start()


def main(path, *resolvers):
    serve()
    for host, _ in WORLDS:
        threading.Thread(target=stream, args=(host,), daemon=True).start()
    done = 0
    with open(path, encoding="ascii") as orders:
        print("ready", flush=True)
        while True:
            line = orders.readline()
            if not line.endswith("\n"):
                time.sleep(0.01)
                continue
            if line == "end\n":
                return
            for _ in range(int(line)):
                done += 1
                for (host, unreachable), resolver in zip(WORLDS, resolvers):
                    tcp_whole(host, 200000 + 1009 * (done % 50))
                    tcp_broken(host, unreachable, 100000)
                    datagrams(host)
                    ping(host, done)
                    questions(resolver, done)
            print("rounds=%d bytes=%d" % (done, total), flush=True)


main(*sys.argv[1:])
