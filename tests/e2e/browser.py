"""Browser: headless Chromium through its debugging pipe, with nothing but the standard library.

    with Browser("http://127.0.0.1:8000/") as page:
        page.wait_for("document.title === 'Quire'")
        page.screenshot("page.png")

$CHROMIUM or `chromium` on the path. Commands are Chrome DevTools Protocol messages, each ended by a
null byte, on the browser's file descriptors 3 (in) and 4 (out).
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

WAIT_SECONDS = 120  # generous: no test depends on how long a page takes


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


class Browser:
    def __init__(self, url: str, width: int = 1500, height: int = 1000, dark: bool = False):
        self.url, self.size, self.dark = url, (width, height), dark
        self.ids = itertools.count(1)
        self.problems: list[str] = []   # errors of the page's script and of its policy
        self.requested: list[str] = []  # addresses that the page asked for
        self.pending = b""

    def __enter__(self) -> "Browser":
        self.folder = tempfile.TemporaryDirectory(prefix="quire-browser-", ignore_cleanup_errors=True)
        to_browser, self.to = os.pipe()
        self.back, from_browser = os.pipe()
        script = 'exec "$0" "$@" 3<&%d 4>&%d' % (to_browser, from_browser)
        self.process = subprocess.Popen(
            ["bash", "-c", script, chromium(), "--headless=new", "--no-sandbox", "--disable-gpu",
             "--disable-dev-shm-usage", "--remote-debugging-pipe", "--hide-scrollbars",
             f"--user-data-dir={self.folder.name}", f"--window-size={self.size[0]},{self.size[1]}",
             "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(to_browser)
        os.close(from_browser)
        self.session = None
        targets = self.ask("Target.getTargets")["targetInfos"]
        target = next(t["targetId"] for t in targets if t["type"] == "page")
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.ask("Emulation.setDeviceMetricsOverride", width=self.size[0], height=self.size[1],
                 deviceScaleFactor=1, mobile=False)
        if self.dark:
            self.ask("Emulation.setEmulatedMedia",
                     features=[{"name": "prefers-color-scheme", "value": "dark"}])
        self.ask("Page.navigate", url=self.url)
        return self

    def __exit__(self, *_) -> None:
        os.close(self.to)
        try:
            self.process.wait(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        os.close(self.back)
        self.folder.cleanup()

    def receive(self) -> dict:
        while b"\0" not in self.pending:
            if not select.select([self.back], [], [], WAIT_SECONDS)[0]:
                raise AssertionError("the browser does not answer")
            got = os.read(self.back, 1 << 20)
            if not got:
                raise AssertionError("the browser has ended")
            self.pending += got
        message, self.pending = self.pending.split(b"\0", 1)
        return json.loads(message)

    def ask(self, method: str, **params) -> dict:
        number = next(self.ids)
        command = {"id": number, "method": method, "params": params}
        if self.session:
            command["sessionId"] = self.session
        os.write(self.to, json.dumps(command).encode() + b"\0")
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "error" in message:
                    raise AssertionError(f"{method}: {message['error']}")
                return message["result"]
            self.note(message)

    def note(self, message: dict) -> None:
        method, params = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.problems.append(params["exceptionDetails"].get("exception", {}).get("description", "?"))
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.problems.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method == "Tracing.dataCollected":
            self.traced += params["value"]
        elif method == "Tracing.tracingComplete":
            self.tracing = False

    def start_trace(self, *categories: str) -> None:
        self.traced: list[dict] = []
        self.tracing = True
        self.ask("Tracing.start", traceConfig={"includedCategories": list(categories)},
                 transferMode="ReportEvents")

    def stop_trace(self) -> list[dict]:
        """The events since start_trace, in Chromium's trace format."""
        self.ask("Tracing.end")
        while self.tracing:
            self.note(self.receive())
        return self.traced

    def run(self, script: str):
        """The value of an expression; awaits promises."""
        result = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise AssertionError(f"{script}: {result['exceptionDetails']}")
        return result["result"].get("value")

    def wait_for(self, script: str):
        """Until the expression is true; what is not there yet makes it false."""
        script = f"(() => {{ try {{ return {script}; }} catch {{ return false; }} }})()"
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end:
            if value := self.run(script):
                return value
            time.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    def move_to(self, selector: str) -> None:
        """The pointer to the middle of an element."""
        x, y = self.run(f"(() => {{ const b = document.querySelector({json.dumps(selector)})"
                        ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()")
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def press(self, key: str, code: int) -> None:
        for kind in ("keyDown", "keyUp"):
            self.ask("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def screenshot(self, path: str) -> None:
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))
