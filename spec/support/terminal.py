# SPDX-License-Identifier: MIT
"""Runs a command on a terminal of its own and talks to it: terminal.py STEPS WORD...

STEPS is a file of lines, done in order:
    expect REGEX      waits until what was printed since the last match has it
    send TEXT         types it; escapes as in Python: \\r is Enter, \\x03 Ctrl-C, \\x1a Ctrl-Z
    press TEXT REGEX  types it again and again until what is printed has it (no spaces in TEXT);
                      a shell takes a while to hand the terminal over after it said so
    size ROWS COLS    changes the window
    end CODE          waits for the end of the command with that status (128 + n for a signal)
Exits 0 if all of it happened; else prints the step and the whole transcript, and exits 1.
"""
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

BOUND = 20 * float(os.environ.get("NSNET_SLOW", 1))


class Terminal:
    def __init__(self, words):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(words[0], words)
        self.all = b""
        self.fresh = b""
        self.size(24, 80)

    def read(self, limit):
        """Reads what comes within limit; False at the end of the terminal."""
        if not select.select([self.fd], [], [], limit)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the last process has closed it
            return False
        self.all += data
        self.fresh += data
        return bool(data)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", int(rows), int(columns), 0, 0))

    def expect(self, regex, bound=BOUND):
        limit = time.monotonic() + bound
        alive = True
        while True:
            found = re.search(regex.encode(), self.fresh)
            if found:
                self.fresh = self.fresh[found.end():]
                return True
            if not alive or time.monotonic() > limit:
                return False
            alive = self.read(0.1)

    def press(self, rest):
        text, _, regex = rest.partition(" ")
        return any(self.send(text) and self.expect(regex, 0.5) for _ in range(int(BOUND * 2)))

    def send(self, text):
        os.write(self.fd, text.encode().decode("unicode_escape").encode())
        return True

    def end(self, code):
        limit = time.monotonic() + BOUND
        while time.monotonic() < limit:
            self.read(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                value = os.waitstatus_to_exitcode(status)
                self.all += b"\n[ended with %d]" % value
                return (value if value >= 0 else 128 - value) == int(code)
        return False


def main(steps, words):
    terminal = Terminal(words)
    with open(steps, encoding="utf-8") as lines:
        for line in lines.read().splitlines():
            verb, _, rest = line.strip().partition(" ")
            if not verb:
                continue
            if verb == "size":
                terminal.size(*rest.split())
            elif not getattr(terminal, verb)(rest):
                print("did not happen: %s\n--- transcript\n%s" % (
                    line, terminal.all.decode(errors="replace")))
                return 1
    return 0


sys.exit(main(sys.argv[1], sys.argv[2:]))
