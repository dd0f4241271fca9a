# SPDX-License-Identifier: MIT
"""The lab's servers that speak TLS: secure.py LABEL ZONE ADDRESS...

They listen at every address with the key and certificate in /run/lab/secure.pem, print "ready" and
run until killed. Each event is one line in /run/lab/LABEL.log; "hello" is the first, and tells that
a whole ClientHello has come, so what nsnet-host held back has left no line but "accept".

TCP 443  HTTPS: what world.py serves at port 80; /files/... below /run/lab/www; /dns-query, DNS over
         HTTPS (RFC 8484) with the zone of the name server ZONE (authority.py)
    853  DNS over TLS (RFC 7858) with the same zone
UDP 443  echo, where QUIC would be
"""
import base64
import os
import select
import socket
import ssl
import sys
import threading

import authority
import world


class Https(world.Http):
    zone = None

    def tell(self, *words):
        super().tell("host=%s" % self.headers.get("Host"), *words)

    def give(self, kind, data):
        self.tell()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self):
        if self.path.startswith("/dns-query?dns="):
            text = self.path.split("=", 1)[1]
            return self.resolve(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not self.path.startswith("/files/") or ".." in self.path:
            return super().do_GET()
        path = "/run/lab/www/" + self.path[len("/files/"):].rstrip("/")
        if os.path.isdir(path):
            path += "/index.html"
        if not os.path.exists(path):
            self.tell("status=404")
            return self.answer(404, "nothing here\n")
        with open(path, "rb") as file:
            return self.give("text/html" if path.endswith(".html") else
                             "application/octet-stream", file.read())

    do_HEAD = do_GET

    def do_POST(self):
        if self.path == "/dns-query":
            return self.resolve(b"".join(self.pieces()))
        return super().do_POST()

    def resolve(self, question):
        return self.give("application/dns-message",
                         authority.answer(self.zone, question, "doh"))


def serve(context, zone, conn, peer):
    try:
        world.log("accept", world.name(conn.getsockname()), world.name(peer))
        with context.wrap_socket(conn, server_side=True) as secure:
            if secure.getsockname()[1] == 853:
                authority.serve_tcp(zone, secure)
            else:
                Https(secure, peer, world.Nothing())
    except OSError:
        pass  # the client went away: the spec looks at what the client says
    finally:
        conn.close()


def on_name(secure, name, _):
    world.log("hello", world.name(secure.getsockname()), "sni=%s" % (name or ""))


def main(label, zone, addresses):
    world.log_file = os.open("/run/lab/%s.log" % label,
                             os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    Https.zone = zone
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/run/lab/secure.pem")
    context.set_alpn_protocols(["http/1.1"])
    context.sni_callback = on_name
    poll, tcp, udp = select.poll(), {}, {}
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        for port in (443, 853):
            sock = world.bound(family, socket.SOCK_STREAM, address, port)
            sock.listen(64)
            tcp[sock.fileno()] = sock
        sock = world.bound(family, socket.SOCK_DGRAM, address, 443)
        udp[sock.fileno()] = sock
    for number in list(tcp) + list(udp):
        poll.register(number, select.POLLIN)
    print("ready", flush=True)
    while True:
        for number, _ in poll.poll():
            if number in udp:
                data, peer = udp[number].recvfrom(65536)
                world.log("udp", world.name(udp[number].getsockname()), world.name(peer))
                udp[number].sendto(data, peer)
                continue
            conn, peer = tcp[number].accept()
            threading.Thread(target=serve, args=(context, zone, conn, peer), daemon=True).start()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
