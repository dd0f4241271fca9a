# SPDX-License-Identifier: MIT
"""An authoritative name server: authority.py LABEL ADDRESS... It answers UDP and TCP at port 53.

The zone is /run/lab/LABEL.zone, read anew for each question: lines of NAME TYPE TTL DATA. NAME may
begin with "*." (all below); "DATA | DATA" is given in turns, one each time it is asked, the last one
from then on. A CNAME brings what its target has. HTTPS and others: DATA in hexadecimal. No such name: NXDOMAIN.

Every question is a line in /run/lab/LABEL.log: udp or tcp, the name in lower case, the type.
"""
import os
import select
import socket
import struct
import sys
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "TXT": 16, "AAAA": 28, "SRV": 33,
         "SVCB": 64, "HTTPS": 65, "ANY": 255}
NAMES = {number: name for name, number in TYPES.items()}
turns = {}
lock = threading.Lock()


def wire(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode("latin-1") for label in labels) + b"\0"


def rdata(kind, text):
    if kind in ("CNAME", "NS", "PTR"):
        return wire(text)
    if kind == "A":
        return socket.inet_pton(socket.AF_INET, text)
    if kind == "AAAA":
        return socket.inet_pton(socket.AF_INET6, text)
    if kind == "TXT":
        return bytes([len(text)]) + text.encode()
    return bytes.fromhex(text)


def zone(label):
    with open("/run/lab/%s.zone" % label, encoding="latin-1") as file:
        for line in file:
            words = line.split(None, 3)
            if len(words) == 4:
                yield words[0], words[1], int(words[2]), words[3].strip()


def turn(name, kind, text):
    parts = [part.strip() for part in text.split("|")]
    with lock:
        number = turns.get((name, kind), 0)
        turns[(name, kind)] = number + 1
    return parts[min(number, len(parts) - 1)]


def find(label, name, kind, depth=0):
    """Whether there is such a name, and its records for that type."""
    known, records = False, []
    lines = list(zone(label))
    exact = any(line[0] == name for line in lines)
    for owner, what, ttl, text in lines:
        if owner != name and (exact or not (owner.startswith("*.") and name.endswith(owner[1:]))):
            continue
        known = True
        if what == "CNAME" and depth < 8:
            target = turn(name, what, text)
            records.append((name, what, ttl, target))
            records += find(label, target.rstrip("."), kind, depth + 1)[1]
        elif kind in (what, "ANY"):
            records.append((name, what, ttl, turn(name, what, text)))
    return known, records


def answer(label, data, way):
    at, labels = 12, []
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin-1").lower())
        at += 1 + data[at]
    number, = struct.unpack(">H", data[at + 1:at + 3])
    name, kind = ".".join(labels), NAMES.get(number, "TYPE%d" % number)
    with open("/run/lab/%s.log" % label, "a", encoding="utf-8") as log:
        log.write("%s %s %s\n" % (way, name.encode("unicode_escape").decode(), kind))
    known, records = find(label, name, kind)
    out = b"".join(wire(owner) + struct.pack(">HHIH", TYPES[what], 1, ttl, len(rdata(what, text))) +
                   rdata(what, text) for owner, what, ttl, text in records)
    head = data[:2] + struct.pack(">HHHHH", 0x8580 if known else 0x8583, 1, len(records), 0, 0)
    return head + data[12:at + 5] + out


def serve_tcp(label, conn):
    with conn, conn.makefile("rwb") as file:
        while True:
            size = file.read(2)
            if len(size) < 2:
                return
            out = answer(label, file.read(struct.unpack(">H", size)[0]), "tcp")
            file.write(struct.pack(">H", len(out)) + out)
            file.flush()


def main(label, addresses):
    udp, tcp = {}, {}
    os.close(os.open("/run/lab/%s.log" % label, os.O_WRONLY | os.O_CREAT, 0o666))
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        sock.bind((address, 53))
        udp[sock.fileno()] = sock
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((address, 53))
        sock.listen(64)
        tcp[sock.fileno()] = sock
    poll = select.poll()
    for number in list(udp) + list(tcp):
        poll.register(number, select.POLLIN)
    print("ready", flush=True)
    while True:
        for number, _ in poll.poll():
            if number in udp:
                data, peer = udp[number].recvfrom(4096)
                udp[number].sendto(answer(label, data, "udp"), peer)
            else:
                conn, _ = tcp[number].accept()
                threading.Thread(target=serve_tcp, args=(label, conn), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
