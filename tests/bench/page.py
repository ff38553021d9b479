"""What the live page map costs: python3 -m tests.bench.page [--blocks 100000] [--seconds 20]

One daemon with a pool of so many blocks, 64 clients that generate without end, and
1. the page in headless Chromium: script time per update, updates and bytes a second;
2. the engine's step time without and with 10 watchers, by turns in one run.
Prints one line per figure. Wants Chromium (tests/e2e/browser.py).
"""

import argparse
import http.client
import re
import statistics
import threading
import time

from tests.e2e.browser import Browser
from tests.e2e.daemon import HOST, Daemon
from tests.e2e.wire import ask, get, post

PAGE_BYTES = 20480  # of the default model, 16 tokens
CLIENTS = 64


def generate(port: int, number: int, stop: threading.Event) -> None:
    turn = 0
    while not stop.is_set():
        turn += 1
        prompt = f"Once upon a time number {number} and {turn} there was a " + "very " * (number % 40)
        ask(port, post("/v1/completions", {"prompt": prompt, "max_tokens": 150 + number, "ignore_eos": True}))


def metric(port: int, name: str) -> float:
    text = ask(port, get("/metrics")).body.decode()
    return sum(float(v) for v in re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", text, re.M))


def step_ms(port: int, seconds: float) -> float:
    steps, begin = metric(port, "quire_steps_total"), time.monotonic()
    time.sleep(seconds)
    return (time.monotonic() - begin) * 1000 / (metric(port, "quire_steps_total") - steps)


class Watcher(threading.Thread):
    """Reads the stream of changes and counts."""

    def __init__(self, port: int):
        super().__init__(daemon=True)
        self.connection = http.client.HTTPConnection(HOST, port)
        self.connection.request("GET", "/pages?stream=1")
        self.response = self.connection.getresponse()
        self.bytes = self.events = 0
        self.start()

    def run(self) -> None:
        try:
            while line := self.response.readline():
                self.bytes += len(line)
                self.events += line.startswith(b"data:")
        except (OSError, ValueError, AttributeError):
            pass

    def leave(self) -> None:
        self.connection.sock.close() if self.connection.sock else None
        self.response.close()


# So that the trace tells which tasks of the browser took an update; the page itself marks nothing.
MARK = """(() => { const live = quire.live, update = live.update;
  live.update = (event) => { performance.mark("update"); performance.clearMarks();
                             update.call(live, event); }; live.updateTimes.length = 0; })()"""


def script_tasks(trace: list[dict]) -> list[dict]:
    """The browser's tasks that took an update: reading the stream, parsing, and all script."""
    marks = [(e["tid"], e["ts"]) for e in trace if e["name"] == "update"]
    return [e for e in trace if e["name"] == "RunTask" and "tdur" in e
            and any(e["tid"] == thread and e["ts"] <= at < e["ts"] + e["dur"] for thread, at in marks)]


def tell(what: str, times: list[float]) -> None:
    times = sorted(times)
    print(f"  script time {what}: p50 {statistics.median(times):.2f} ms, "
          f"p95 {times[int(len(times) * 0.95)]:.2f} ms, most {times[-1]:.2f} ms")


def measure_page(port: int, seconds: float) -> None:
    with Browser(f"http://{HOST}:{port}/") as page:
        page.wait_for("document.querySelector('#health').textContent === 'live'")
        watcher = Watcher(port)
        page.start_trace("disabled-by-default-devtools.timeline", "blink.user_timing")
        page.run(MARK)
        time.sleep(seconds)
        times = page.run("quire.live.updateTimes")
        shown = page.run("quire.live.map.size")
        scripts = script_tasks(page.stop_trace())
        watcher.leave()
    print(f"page with {shown} blocks: {len(times)} updates, {len(scripts)} found in the trace "
          "(due: p95 at most 8 ms)")
    tell("of update() by the wall clock, waits for a core included", times)
    tell("of the whole task by the wall clock", [event["dur"] / 1000 for event in scripts])
    tell("of the whole task by the thread's own clock", [event["tdur"] / 1000 for event in scripts])
    print(f"one watcher: {watcher.events / seconds:.2f} updates a second (due: at most 4), "
          f"{watcher.bytes / seconds / 1000:.1f} KB/s (due: at most 200)")


def measure_steps(port: int, seconds: float) -> None:
    alone, watched = [], []
    for _ in range(4):
        alone.append(step_ms(port, seconds / 4))
        watchers = [Watcher(port) for _ in range(10)]
        watched.append(step_ms(port, seconds / 4))
        for watcher in watchers:
            watcher.leave()
    ratio = statistics.median(w / a for w, a in zip(watched, alone))
    print(f"step: {statistics.median(alone):.3f} ms alone, {statistics.median(watched):.3f} ms with 10 watchers, "
          f"ratio {ratio:.3f} (median of 4 turns)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--blocks", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    stop = threading.Event()
    with Daemon("--kv-cache-memory", str(options.blocks * PAGE_BYTES), "--log-level", "warning") as daemon:
        threads = [threading.Thread(target=generate, args=(daemon.port, i, stop)) for i in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            time.sleep(3)
            measure_page(daemon.port, options.seconds)
            measure_steps(daemon.port, options.seconds)
        finally:
            stop.set()
            for thread in threads:
                thread.join()


if __name__ == "__main__":
    main()
