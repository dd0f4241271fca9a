# SPDX-License-Identifier: MIT
"""A ClientHello as OpenSSL makes it, said in other ways: each line of standard input is
HOST PORT NAME WAY, each line of output what became of it: "answered" if the server said
ServerHello, "EOF", or the error. NAME "-": none. WAY:

    whole      as it is
    bytes      a segment for each byte
    records    a TLS record for every 3 bytes
    big        20 KB of it, in two records
    ech        with the extension for hidden names, of which NAME is the outer one
    late       half a second after the connection was made
    twice      a second ClientHello for evil.example behind the first, in one write
"""
import concurrent.futures
import socket
import ssl
import struct
import sys
import time


def made(name):
    """The handshake message."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    out = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()[5:]


def extended(message, kind, size):
    """With one extension more, of zeros."""
    at = 4 + 2 + 32
    at += 1 + message[at]  # the session's id
    at += 2 + struct.unpack(">H", message[at:at + 2])[0]  # the ciphers
    at += 1 + message[at]  # the compressions
    more = struct.pack(">HH", kind, size) + bytes(size)
    exts = more + message[at + 2:]
    body = message[4:at] + struct.pack(">H", len(exts)) + exts
    return b"\1" + struct.pack(">I", len(body))[1:] + body


def records(message, size):
    return b"".join(b"\x16\3\1" + struct.pack(">H", len(message[at:at + size])) +
                    message[at:at + size] for at in range(0, len(message), size))


def pieces(name, way):
    message = made(None if name == "-" else name)
    if way == "bytes":
        return [bytes([byte]) for byte in records(message, 16384)]
    if way == "records":
        return [records(message, 3)]
    if way == "big":
        return [records(extended(message, 0x0a0a, 20000), 16384)]
    if way == "ech":
        return [records(extended(message, 0xfe0d, 200), 16384)]
    if way == "twice":
        return [records(message, 16384) + records(made("evil.example"), 16384)]
    return [records(message, 16384)]


def said(line):
    try:
        return talk(*line.split())
    except OSError as error:
        return type(error).__name__


def talk(host, port, name, way):
    sock = socket.create_connection((host, int(port)), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if way == "late":
        time.sleep(0.5)
    for piece in pieces(name, way):
        sock.sendall(piece)
    head = b""
    while len(head) < 6:
        data = sock.recv(6 - len(head))
        if not data:
            return "EOF"
        head += data
    return "answered" if head[0] == 22 and head[5] == 2 else "alert"


with concurrent.futures.ThreadPoolExecutor(8) as pool:
    for answer in pool.map(said, sys.stdin):
        print(answer)
