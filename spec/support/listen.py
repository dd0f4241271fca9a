# SPDX-License-Identifier: MIT
"""Servers that come and go: listen.py FILE.

FILE has lines "tcp ADDRESS PORT" or "udp ADDRESS PORT" (":: both" for IPv4 callers, too), and at its
end "done ID". Each time it has become another, what it names is opened, what it names no more is
closed, and "done ID" is printed. A TCP caller is told both ends of the connection; a datagram is
sent back.
"""
import select
import socket
import sys


def name(address):
    host, port = address[0].replace("::ffff:", ""), address[1]
    return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)


def opened(kind, address, port, both):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    if kind == "tcp":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(not both))
    sock.bind((address, port))
    if kind == "tcp":
        sock.listen(64)
    return sock


def answer(kind, sock):
    if kind == "udp":
        data, peer = sock.recvfrom(65536)
        sock.sendto(data, peer)
        return
    conn, peer = sock.accept()
    with conn:
        conn.sendall(("%s %s\n" % (name(peer), name(conn.getsockname()))).encode())
        conn.shutdown(socket.SHUT_WR)
        conn.recv(65536)


def main(path):
    now, said = {}, None
    while True:
        with open(path, encoding="ascii") as file:
            lines = file.read().splitlines()
        if lines and lines[-1].startswith("done") and lines[-1] != said:
            wanted = {tuple(line.split()) for line in lines[:-1]}
            for gone in set(now) - wanted:
                now.pop(gone).close()
            for new in sorted(wanted - set(now)):
                now[new] = opened(new[0], new[1], int(new[2]), len(new) > 3)
            said = lines[-1]
            print(said, flush=True)
        by_sock = {sock: key for key, sock in now.items()}
        for sock in select.select(list(by_sock), [], [], 0.01)[0]:
            answer(by_sock[sock][0], sock)


main(sys.argv[1])
