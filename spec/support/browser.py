# SPDX-License-Identifier: MIT
#
# browser.py PAGE.html - opens the page in a headless Chromium and does what is read from stdin, a
# JSON array a line; what an "eval" gave is written as a line of JSON. Any error ends it with 1.
#
#   ["eval", "1 + 1"]          a promise is waited for
#   ["click", x, y]            with the mouse, in CSS pixels; ["click", x, y, 2]: double
#   ["move", x, y]             the mouse; or, as with click, an expression that gives [x, y]
#   ["drag", x, y, x2, y2]
#   ["wheel", x, y, dy]        with the control key
#   ["key", "ArrowDown"]
#   ["type", "text"]           into what has the focus
#   ["shot", "file.png"]       a picture of the window
#   ["errors"]                 writes all that the page complained about, and what it tried to load
#
# Chromium is spoken to through a pair of pipes (--remote-debugging-pipe), messages end with a zero
# byte: no port, no library.
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile

SIZE = os.environ.get("BROWSER_SIZE", "1280,800")


class Browser:
    def __init__(self):
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        if not program:
            sys.exit("chromium is missing: make deps-test")
        self.folder = tempfile.mkdtemp(prefix="nsnet-spec-")
        to_child, self.write_fd = os.pipe()
        self.read_fd, from_child = os.pipe()
        # A shell puts the pipes where Chromium wants them: 3 and 4.
        self.process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&%d 4>&%d' % (to_child, from_child), "sh", program,
             "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             "--no-first-run", "--hide-scrollbars", "--disable-background-networking",
             "--user-data-dir=" + self.folder, "--window-size=" + SIZE,
             "--remote-debugging-pipe", "about:blank"],
            pass_fds=(to_child, from_child), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env=dict(os.environ, HOME=self.folder, XDG_RUNTIME_DIR=self.folder))
        os.close(to_child)
        os.close(from_child)
        self.last = 0
        self.rest = b""
        self.session = None
        self.events = []
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(t for t in targets if t["type"] == "page")
        self.session = self.call("Target.attachToTarget",
                                 {"targetId": page["targetId"], "flatten": True})["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def receive(self):
        while b"\0" not in self.rest:
            got = os.read(self.read_fd, 1 << 20)
            if not got:
                sys.exit("chromium has ended")
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, params=None):
        self.last += 1
        message = {"id": self.last, "method": method, "params": params or {}}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_fd, json.dumps(message).encode() + b"\0")
        while True:
            got = self.receive()
            if got.get("id") == self.last:
                if "error" in got:
                    sys.exit("%s: %s" % (method, got["error"]["message"]))
                return got["result"]
            if "method" in got:
                self.events.append(got)

    def open(self, path):
        self.call("Page.navigate", {"url": "file://" + os.path.abspath(path)})
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())

    def eval(self, expression):
        got = self.call("Runtime.evaluate", {
            "expression": expression, "returnByValue": True, "awaitPromise": True})
        if "exceptionDetails" in got:
            sys.exit("eval: " + json.dumps(got["exceptionDetails"].get("exception", got)))
        return got["result"].get("value")

    def settle(self):
        """Two frames: what an event changed has been drawn."""
        self.eval("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame("
                  "() => done(0))))")

    def mouse(self, kind, x, y, count=1, **more):
        self.call("Input.dispatchMouseEvent", dict(
            {"type": kind, "x": x, "y": y, "button": "left", "clickCount": count,
             "buttons": 0 if kind == "mouseReleased" else 1}, **more))

    def errors(self):
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description"))
            elif event["method"] == "Log.entryAdded":
                found.append(params["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent":
                url = params["request"]["url"]
                if not url.startswith("file://") or not url.endswith(".html"):
                    found.append("load " + url[:200])
        return found

    def close(self):
        try:
            self.process.kill()
            self.process.wait(10)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def act(browser, words):
    what, args = words[0], words[1:]
    if what == "eval":
        print(json.dumps(browser.eval(args[0])), flush=True)
        return
    if what == "errors":
        print(json.dumps(browser.errors()), flush=True)
        return
    if what in ("click", "move") and isinstance(args[0], str):
        args = browser.eval(args[0]) + args[1:]
    if what == "click":
        count = args[2] if len(args) > 2 else 1
        for n in range(1, count + 1):
            browser.mouse("mousePressed", args[0], args[1], n)
            browser.mouse("mouseReleased", args[0], args[1], n)
    elif what == "move":
        browser.mouse("mouseMoved", args[0], args[1], 0, button="none", buttons=0)
    elif what == "drag":
        browser.mouse("mousePressed", args[0], args[1])
        browser.mouse("mouseMoved", (args[0] + args[2]) / 2, (args[1] + args[3]) / 2)
        browser.mouse("mouseMoved", args[2], args[3])
        browser.mouse("mouseReleased", args[2], args[3])
    elif what == "wheel":
        browser.call("Input.dispatchMouseEvent", {
            "type": "mouseWheel", "x": args[0], "y": args[1], "deltaX": 0, "deltaY": args[2],
            "modifiers": 2})
    elif what == "key":
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", {"type": kind, "key": args[0]})
    elif what == "type":
        browser.call("Input.insertText", {"text": args[0]})
    elif what == "shot":
        browser.settle()
        data = browser.call("Page.captureScreenshot")["data"]
        with open(args[0], "wb") as out:
            out.write(base64.b64decode(data))
    else:
        sys.exit("unknown: " + what)
    browser.settle()


def main():
    browser = Browser()
    try:
        browser.open(sys.argv[1])
        browser.settle()
        for line in sys.stdin:
            if line.strip():
                act(browser, json.loads(line))
    finally:
        browser.close()


main()
