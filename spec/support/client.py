# SPDX-License-Identifier: MIT
"""A small socket client that says exactly what happened: client.py COMMAND ARGUMENT...

    connect HOST PORT [LIMIT]    "connected", an errno name, or "silence" after LIMIT seconds
    talk HOST PORT TEXT          sends TEXT, FIN, prints all that comes, then "end=eof" or an errno
    upload HOST PORT N           sends N bytes, FIN; prints the answer
    fetch HOST PORT N HOW [SLOW] asks the source service; prints "COUNT SHA256 end=..."
    abort HOST PORT N            sends N bytes, then RST
    leave HOST PORT N            asks the source for N bytes, reads some, then RST
    half HOST PORT N             reads to the end first, then sends N bytes and FIN
    exchange HOST PORT N         echo service: sends N bytes while reading them; prints checksum
    many HOST PORT COUNT N       COUNT connections at once, each exchanging N bytes; prints "ok COUNT"
    serial HOST PORT COUNT       COUNT connections one after another, each exchanging 32 bytes
    hold HOST PORT COUNT         opens COUNT, prints "held K ERRNO...", holds until stdin ends
    udp HOST PORT N [LIMIT]      one datagram of N bytes; prints "echo" if it comes back the same,
                                 an errno name or "silence"
    udp-text HOST PORT TEXT [LIMIT]   one datagram; prints every answer within LIMIT
    udp-sized HOST PORT N        asks for a datagram of N bytes; prints "COUNT SHA256"
    udp-closed HOST PORT         sends until a call fails; prints that errno
    udp-many HOST PORT COUNT     COUNT sockets send and read an echo; prints "ok COUNT"
    udp-again HOST PORT PAUSE    an echo, a pause, an echo from the same socket; prints both
    fetch-idle HOST PORT         connects, says nothing, waits; prints how it ended
    trickle HOST PORT COUNT PAUSE     COUNT bytes to the echo, one each PAUSE; prints "COUNT echoes"
    udp-hold HOST PORT COUNT     as udp-many, then prints "held" and stays until killed
    scan KIND LIMIT PORT HOST... tries each ("tcp", or "udp": one echo); prints "HOST RESULT" lines
    sum N...                     checksum of the pattern's first N bytes
"""
import errno
import hashlib
import os
import select
import socket
import struct
import sys
import time

import pattern

BOUND = 60  # a client that hangs is a failure, not a hang


def os_name(error):
    return errno.errorcode.get(error.errno, "silence" if error.errno is None else str(error))


def opened(kind, host, port, limit=BOUND):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.settimeout(float(limit))
    sock.connect((host, int(port)))
    return sock


def tcp(host, port, limit=BOUND):
    return opened(socket.SOCK_STREAM, host, port, limit)


def udp(host, port, limit=5):
    sock = opened(socket.SOCK_DGRAM, host, port, limit)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return sock


def read_all(sock, pause=0.0, size=65536):
    digest, count, kept = hashlib.sha256(), 0, b""
    while True:
        try:
            data = sock.recv(size)
        except OSError as error:
            return count, digest.hexdigest(), kept, os_name(error)
        if not data:
            return count, digest.hexdigest(), kept, "eof"
        count += len(data)
        digest.update(data)
        if count <= 65536:
            kept += data
        if pause:
            time.sleep(pause)


def read_exactly(sock, count):
    """That many bytes, or fewer if they end before."""
    data = b""
    while len(data) < count and (more := sock.recv(count - len(data))):
        data += more
    return data


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def do_connect(host, port, limit=BOUND):
    tcp(host, port, limit)
    return "connected"


def do_talk(host, port, text):
    sock = tcp(host, port)
    sock.sendall(text.encode())
    try:
        sock.shutdown(socket.SHUT_WR)
    except OSError as error:
        if error.errno != errno.ENOTCONN:  # a reset came first: reading tells
            raise
    _, _, kept, end = read_all(sock)
    return "%send=%s" % (kept.decode(), end)


def do_upload(host, port, total):
    sock = tcp(host, port)
    for block in pattern.blocks(int(total)):
        sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)
    _, _, kept, end = read_all(sock)
    return "%send=%s" % (kept.decode(), end)


def do_fetch(host, port, total, how, slow=None):
    if slow:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        sock.settimeout(BOUND)
        sock.connect((host, int(port)))
    else:
        sock = tcp(host, port)
    sock.sendall(("%s %s\n" % (total, how)).encode())
    count, digest, _, end = read_all(sock, float(slow or 0), 16384 if slow else 65536)
    return "%d %s end=%s" % (count, digest, end)


def do_abort(host, port, total):
    sock = tcp(host, port)
    for block in pattern.blocks(int(total)):
        sock.sendall(block)
    reset(sock)
    return "reset"


def do_leave(host, port, total):
    sock = tcp(host, port)
    sock.sendall(("%s fin\n" % total).encode())
    sock.recv(1000)
    reset(sock)
    return "reset"


def do_half(host, port, total):
    sock = tcp(host, port)
    _, _, kept, end = read_all(sock)
    for block in pattern.blocks(int(total)):
        sock.sendall(block)
    sock.shutdown(socket.SHUT_WR)
    return "%send=%s" % (kept.decode(), end)


def pump(socks, total):
    """Sends the pattern on every echo connection while reading it back; returns the checksums."""
    data = b"".join(pattern.blocks(total))
    poll = select.poll()
    state = {}
    for sock in socks:
        sock.setblocking(False)
        poll.register(sock, select.POLLIN | select.POLLOUT)
        state[sock.fileno()] = [sock, 0, hashlib.sha256()]
    sums = []
    while state:
        events = poll.poll(BOUND * 1000)
        if not events:
            raise TimeoutError("silence")
        for fd, event in events:
            sock, sent, digest = state[fd]
            if event & (select.POLLIN | select.POLLHUP | select.POLLERR):
                got = sock.recv(65536)
                if not got:
                    sums.append(digest.hexdigest())
                    poll.unregister(sock)
                    del state[fd]
                    sock.close()
                    continue
                digest.update(got)
            if event & select.POLLOUT and sent < total:
                sent += sock.send(data[sent:sent + 65536])
                state[fd][1] = sent
                if sent == total:
                    poll.modify(sock, select.POLLIN)
                    sock.shutdown(socket.SHUT_WR)
    return sums


def do_exchange(host, port, total):
    return pump([tcp(host, port)], int(total))[0]


def do_many(host, port, count, total):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    socks = []
    for _ in range(int(count)):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.connect_ex((host, int(port)))
        socks.append(sock)
    poll = select.poll()
    for sock in socks:  # wait for each: writable means connected, or failed
        poll.register(sock, select.POLLOUT)
        if not poll.poll(BOUND * 1000):
            raise TimeoutError("silence")
        poll.unregister(sock)
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, os.strerror(error))
    wanted = pattern.sum_of(int(total))
    return "ok %d" % sum(digest == wanted for digest in pump(socks, int(total)))


def do_serial(host, port, count):
    good = 0
    for number in range(int(count)):
        sock = tcp(host, port)
        text = b"connection %021d" % number
        sock.sendall(text)
        sock.shutdown(socket.SHUT_WR)
        good += read_all(sock)[2] == text
        sock.close()
    return "ok %d" % good


def do_hold(host, port, count):
    held, errors = [], []
    for _ in range(int(count)):
        try:
            held.append(tcp(host, port, 10))
        except OSError as error:
            errors.append(os_name(error))
    print("held", len(held), *errors, flush=True)
    sys.stdin.read()
    for sock in held:  # what became of them?
        sock.settimeout(5)
        sock.sendall(b"alive")
    alive = 0
    for sock in held:
        try:
            alive += sock.recv(5) == b"alive"
        except OSError as error:
            errors.append(os_name(error))
    return "alive %d" % alive


def do_udp(host, port, total, limit=5):
    data = b"".join(pattern.blocks(int(total)))
    sock = udp(host, port, limit)
    sock.send(data)
    got = sock.recv(65536)
    return "echo" if got == data else "%d other bytes" % len(got)


def do_udp_text(host, port, text, limit=1):
    sock = udp(host, port, limit)
    sock.send(text.encode())
    got = []
    try:
        while True:
            got.append(sock.recv(65536).decode().strip())
    except TimeoutError:
        pass
    return "|".join(got) if got else "silence"


def do_udp_sized(host, port, total):
    sock = udp(host, port)
    sock.send(str(total).encode())
    got = sock.recv(65536)
    return "%d %s" % (len(got), hashlib.sha256(got).hexdigest())


def do_udp_closed(host, port):
    sock = udp(host, port)
    for _ in range(50):
        sock.send(b"anybody?")
        time.sleep(0.05)
    return "no error"


def do_udp_many(host, port, count):
    socks = [udp(host, port) for _ in range(int(count))]
    good = 0
    for number, sock in enumerate(socks):
        sock.send(b"flow %d" % number)
        good += sock.recv(100) == b"flow %d" % number
    return "ok %d" % good


def do_udp_hold(host, port, count):
    socks = [udp(host, port) for _ in range(int(count))]
    for sock in socks:
        sock.send(b"x")
        sock.recv(100)
    print("held", flush=True)
    time.sleep(BOUND)


def do_fetch_idle(host, port):
    return read_all(tcp(host, port))[3]


def do_trickle(host, port, count, pause):
    sock = tcp(host, port)
    good = 0
    for _ in range(int(count)):
        sock.sendall(b"x")
        good += sock.recv(1) == b"x"
        time.sleep(float(pause))
    return "%d echoes" % good


def do_udp_again(host, port, pause):
    sock = udp(host, port)
    words = []
    for number in range(2):
        sock.send(b"%d" % number)
        words.append(sock.recv(1000).decode().strip())
        if number == 0:
            time.sleep(float(pause))
    return "|".join(words)


def do_scan(kind, limit, port, *hosts):
    lines = []
    for host in hosts:
        try:
            what = do_connect(host, port, limit) if kind == "tcp" else do_udp(host, port, 1, limit)
        except OSError as error:
            what = os_name(error)
        lines.append("%s %s" % (host, what))
    return "\n".join(lines)


def do_sum(*totals):
    return "\n".join(pattern.sum_of(int(total)) for total in totals)


if __name__ == "__main__":
    try:
        print(globals()["do_" + sys.argv[1].replace("-", "_")](*sys.argv[2:]), flush=True)
    except OSError as error:
        print(os_name(error), flush=True)
