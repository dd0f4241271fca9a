# SPDX-License-Identifier: MIT
"""The servers of the lab: world.py NAME ADDRESS...

Every service listens at every address. Prints "ready", then runs until killed. Each event is one
line in /run/lab/NAME.log: service, local address, peer address, key=value ...

TCP  80   HTTP: /bytes/N, /upload (answers count and checksum), /git/ (git http-backend), /echo
     7001 echo            7002 sum: read to the end, answer "COUNT SHA256"
     7003 source: "N fin" or "N rst" on a line; sends N bytes, then ends that way
     7004 watch: reads, logs how it ended      7005 sum, but a slow reader with a small buffer
     7006 banner first, then echo              7007 accepts and says nothing
     7008 who: tells peer and local address    7009 half: says "bye", FIN, then reads and logs
UDP  7001 echo    7002 answers from another port, then from the right one
     7003 sized: "N" is answered by N bytes    7004 record: only logs    7008 who
"""
import errno
import hashlib
import http.server
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time

import pattern

LINGER_RST = struct.pack("ii", 1, 0)
log_file = None
log_lock = threading.Lock()


def log(*words):
    with log_lock:
        os.write(log_file, (" ".join(str(word) for word in words) + "\n").encode())


def name(address):
    return "[%s]:%d" % address[:2] if ":" in address[0] else "%s:%d" % address[:2]


def read_all(conn, pause=0.0):
    """Reads until the end: (count, sha256, "eof" or the name of the error)."""
    digest = hashlib.sha256()
    count = 0
    while True:
        try:
            data = conn.recv(65536)
        except OSError as error:
            return count, digest.hexdigest(), os_name(error)
        if not data:
            return count, digest.hexdigest(), "eof"
        count += len(data)
        digest.update(data)
        if pause:
            time.sleep(pause)


def os_name(error):
    return errno.errorcode.get(error.errno, str(error))


def tcp_echo(conn, tell):
    count = 0
    try:
        while True:
            data = conn.recv(65536)
            if not data:
                break
            count += len(data)
            conn.sendall(data)
        tell("end=eof", "bytes=%d" % count)
    except OSError as error:
        tell("end=" + os_name(error), "bytes=%d" % count)


def tcp_sum(conn, tell, pause=0.0):
    count, digest, end = read_all(conn, pause)
    tell("end=" + end, "bytes=%d" % count, "sha=" + digest)
    if end == "eof":
        conn.sendall(b"%d %s\n" % (count, digest.encode()))


def tcp_slow(conn, tell):
    tcp_sum(conn, tell, 0.002)


def tcp_source(conn, tell):
    line = b""
    while not line.endswith(b"\n"):
        data = conn.recv(1)
        if not data:
            return tell("end=early")
        line += data
    total, how = line.split()
    sent = 0
    try:
        for block in pattern.blocks(int(total)):
            conn.sendall(block)
            sent += len(block)
    except OSError as error:
        return tell("end=" + os_name(error), "bytes=%d" % sent)
    if how == b"rst":
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RST)
        conn.close()
        return tell("end=rst", "bytes=%d" % sent)
    conn.shutdown(socket.SHUT_WR)
    count, _, end = read_all(conn)
    tell("end=" + end, "bytes=%d" % sent, "more=%d" % count)


def tcp_watch(conn, tell):
    count, digest, end = read_all(conn)
    tell("end=" + end, "bytes=%d" % count, "sha=" + digest)


def tcp_banner(conn, tell):
    conn.sendall(b"220 ready\r\n")
    tcp_echo(conn, tell)


def tcp_silent(conn, tell):
    tcp_watch(conn, tell)


def tcp_who(conn, tell):
    tell("")
    conn.sendall(("%s %s\n" % (name(conn.getpeername()), name(conn.getsockname()))).encode())
    conn.shutdown(socket.SHUT_WR)
    read_all(conn)


def tcp_half(conn, tell):
    conn.sendall(b"bye\n")
    conn.shutdown(socket.SHUT_WR)
    tcp_watch(conn, tell)


TCP = {7001: tcp_echo, 7002: tcp_sum, 7003: tcp_source, 7004: tcp_watch, 7005: tcp_slow,
       7006: tcp_banner, 7007: tcp_silent, 7008: tcp_who, 7009: tcp_half}


def udp_echo(sock, data, peer, _):
    sock.sendto(data, peer)


def udp_foreign(sock, data, peer, other):
    other.sendto(b"foreign", peer)
    time.sleep(0.05)
    sock.sendto(b"true " + data, peer)


def udp_sized(sock, data, peer, _):
    sock.sendto(b"".join(pattern.blocks(int(data))), peer)


def udp_record(_sock, _data, _peer, _other):
    pass


def udp_who(sock, _, peer, _other):
    sock.sendto(("%s %s\n" % (name(peer), name(sock.getsockname()))).encode(), peer)


UDP = {7001: udp_echo, 7002: udp_foreign, 7003: udp_sized, 7004: udp_record, 7008: udp_who}


class Http(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def tell(self, *words):
        log("http", name(self.connection.getsockname()), name(self.client_address),
            self.command, self.path, *words)

    def pieces(self):
        """The request's body."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while True:
                left = int(self.rfile.readline(), 16)
                if left == 0:
                    self.rfile.readline()
                    return
                yield self.rfile.read(left)
                self.rfile.readline()
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            data = self.rfile.read(min(left, 1 << 16))
            if not data:
                return
            left -= len(data)
            yield data

    def answer(self, status, text):
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        if self.path.startswith("/git/"):
            return self.git()
        if self.path.startswith("/bytes/"):
            total = int(self.path.split("/")[2])
            self.tell("bytes=%d" % total)
            self.send_response(200)
            self.send_header("Content-Length", str(total))
            self.end_headers()
            if self.command != "HEAD":
                for block in pattern.blocks(total):
                    self.wfile.write(block)
            return None
        self.tell()
        if self.path == "/where":
            return self.answer(200, name(self.connection.getsockname()) + "\n")
        return self.answer(404, "nothing here\n")

    do_HEAD = do_GET

    def do_POST(self):
        if self.path.startswith("/git/"):
            return self.git()
        digest, count = hashlib.sha256(), 0
        for data in self.pieces():
            digest.update(data)
            count += len(data)
        self.tell("bytes=%d" % count)
        return self.answer(200, "%d %s\n" % (count, digest.hexdigest()))

    do_PUT = do_POST

    def git(self):
        path, _, query = self.path.partition("?")
        body = b"".join(self.pieces())
        done = subprocess.run(["git", "http-backend"], input=body, stdout=subprocess.PIPE, env={
            "PATH": os.environ["PATH"], "GIT_PROJECT_ROOT": "/run/lab/git",
            "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path[4:], "QUERY_STRING": query,
            "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*", "REQUEST_METHOD": self.command, "REMOTE_ADDR": "lab",
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("Git-Protocol", "")}, check=False)
        head, _, rest = done.stdout.partition(b"\r\n\r\n")
        status, fields = 200, []
        for line in head.decode().split("\r\n"):
            key, _, value = line.partition(": ")
            if key == "Status":
                status = int(value.split()[0])
            elif key:
                fields.append((key, value))
        self.tell("status=%d" % status)
        self.send_response(status)
        for key, value in fields:
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest)


def bound(family, kind, address, port):
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    return sock


def serve_conn(handler, conn, peer):
    local = name(conn.getsockname())

    def tell(*words):
        log(handler.__name__, local, name(peer), *words)

    try:
        handler(conn, tell)
    except OSError as error:
        tell("error=" + os_name(error))
    finally:
        conn.close()


def serve_http(conn, server):
    try:
        Http(conn, conn.getpeername(), server)
        conn.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the client went away: the spec looks at what the client says
    finally:
        conn.close()


class Nothing:
    """What a request handler wants of its server."""


def loop(tcp, http_sockets, udp):
    poll = select.poll()
    by_fd = {}
    for sock in list(tcp) + list(http_sockets) + list(udp):
        by_fd[sock.fileno()] = sock
        poll.register(sock, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            sock = by_fd[fd]
            if sock in udp:
                data, peer = sock.recvfrom(65536)
                handler, other = udp[sock]
                log(handler.__name__, name(sock.getsockname()), name(peer),
                    "bytes=%d" % len(data), "sha=" + hashlib.sha256(data).hexdigest())
                handler(sock, data, peer, other)
                continue
            conn, peer = sock.accept()
            args = (tcp[sock], conn, peer) if sock in tcp else (conn, Nothing())
            threading.Thread(target=serve_conn if sock in tcp else serve_http, args=args,
                             daemon=True).start()


def main(label, addresses):
    global log_file
    log_file = os.open("/run/lab/%s.log" % label, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    threading.stack_size(256 * 1024)
    tcp, http_sockets, udp = {}, [], {}
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port, handler in TCP.items():
            sock = bound(family, socket.SOCK_STREAM, address, port)
            if handler is tcp_slow:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            sock.listen(512)
            tcp[sock] = handler
        sock = bound(family, socket.SOCK_STREAM, address, 80)
        sock.listen(512)
        http_sockets.append(sock)
        for port, handler in UDP.items():
            sock = bound(family, socket.SOCK_DGRAM, address, port)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
            other = bound(family, socket.SOCK_DGRAM, address, 0) if port == 7002 else None
            udp[sock] = (handler, other)
    print("ready", flush=True)
    loop(tcp, http_sockets, udp)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
