# SPDX-License-Identifier: MIT
"""A name server that takes its time: slow_dns.py ADDRESS DELAY ANSWER. Every A question gets ANSWER."""
import socket
import struct
import sys
import threading
import time


def answer(sock, data, peer, delay, address):
    time.sleep(delay)
    end = data.index(b"\0", 12) + 5  # the question: name, type, class
    head = data[:2] + struct.pack(">HHHHH", 0x8180, 1, 1, 0, 0)
    record = struct.pack(">HHHIH", 0xc00c, 1, 1, 1, 4) + socket.inet_aton(address)
    sock.sendto(head + data[12:end] + record, peer)


def main(local, delay, address):
    sock = socket.socket(socket.AF_INET6 if ":" in local else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((local, 53))
    print("ready", flush=True)
    while True:
        data, peer = sock.recvfrom(4096)
        threading.Thread(target=answer, args=(sock, data, peer, float(delay), address),
                         daemon=True).start()


main(*sys.argv[1:])
