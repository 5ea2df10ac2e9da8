"""A real Chromium, driven over a pipe in Chrome's own protocol: nothing but Chromium is needed."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = ["--headless=new", "--no-sandbox", "--hide-scrollbars", "--no-first-run", "--disable-extensions"]
OPTIONS += ["--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"]
WEBGL = ["--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
WITHOUT_WEBGL = ["--disable-gpu", "--disable-webgl", "--disable-3d-apis"]
TIMEOUT = 300


class Tab:
    """One page, what it asked for and what went wrong in it."""

    def __init__(self, process, write, read):
        self.process, self.write, self.read = process, write, read
        self.number, self.buffer, self.session = 0, b"", None
        self.asked, self.wrong = [], []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def message(self, deadline):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0, deadline - time.monotonic()))
            if not ready or not (more := os.read(self.read, 1 << 20)):
                raise TimeoutError(f"Chromium says nothing (it ended with {self.process.poll()}); wrong: {self.wrong}")
            self.buffer += more
        text, _, self.buffer = self.buffer.partition(b"\0")
        message = json.loads(text)
        self.note(message.get("method"), message.get("params", {}))
        return message

    def note(self, event, values):
        if event == "Network.requestWillBeSent" and not values["request"]["url"].startswith(("data:", "blob:")):
            self.asked.append(values["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.wrong.append(json.dumps(values["exceptionDetails"]))
        elif event == "Log.entryAdded" and "GPU stall" not in values["entry"]["text"]:  # of reading pixels, by software
            self.wrong.append(values["entry"]["text"])
        elif event == "Runtime.consoleAPICalled" and values["type"] in ("error", "warning", "assert"):
            self.wrong.append(json.dumps(values["args"]))

    def send(self, method, **values):
        self.number += 1
        message = {"id": self.number, "method": method, "params": values}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self.write, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + TIMEOUT
        while (answer := self.message(deadline)).get("id") != self.number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path, width, height=900):
        """Open a file in a window of some size; return the seconds until it was loaded."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.asked.clear()
        self.wrong.clear()
        before = time.monotonic()
        self.send("Page.navigate", url=f"file://{path}")
        self.until("document.readyState === 'complete' && location.protocol === 'file:'")
        return time.monotonic() - before

    def run(self, expression):
        """Evaluate JavaScript, waiting for a promise, and return its value."""
        done = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, expression):
        deadline = time.monotonic() + TIMEOUT
        while not self.run(expression):
            assert time.monotonic() < deadline, f"never came true: {expression}; wrong: {self.wrong}"
            time.sleep(0.05)

    def press(self, key):
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def picture(self, path=None, whole=True, **clip):
        """Return a picture of the page, or of a part of it, as PNG."""
        options = {"clip": clip | {"scale": 1}} if clip else {}
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole and not clip, **options)["data"]
        png = base64.b64decode(data)
        if path:
            path.write_bytes(png)
        return png

    def print(self, path):
        path.write_bytes(base64.b64decode(self.send("Page.printToPDF", printBackground=False)["data"]))


@contextmanager
def chromium(folder, webgl=True):
    """Start Chromium with a profile in a folder, and end it."""
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [FOUND, *OPTIONS, *(WEBGL if webgl else WITHOUT_WEBGL), f"--user-data-dir={folder}/profile"]
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    with subprocess.Popen(
        ["bash", "-c", script, "chromium", *command],
        pass_fds=[theirs_in, theirs_out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            yield Tab(process, ours_out, ours_in)
        finally:
            process.terminate()
            process.wait(20)
            os.close(ours_in)
            os.close(ours_out)
