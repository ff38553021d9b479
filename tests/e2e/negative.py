"""schemathesis in negative mode against a daemon, with a control stream beside it.

    python -m tests.e2e.negative [--requests 10000] [--seed 1]

Bodies that break proto/openapi.yaml, spread over the POST routes. None may bring a status of 500 or
more or take longer than 30 s; meanwhile one stream is asked for again and again and must say the
same, byte for byte but for its id and time. schemathesis is installed by hand
(tests/e2e/requirements-clients.txt). Exit status 1 where anything of it does not hold.
"""

import argparse
import re
import subprocess
import sys
import threading
from pathlib import Path

from tests.e2e.daemon import Daemon
from tests.e2e.wire import ask, post

CONTROL = {"prompt": "Once upon a time", "max_tokens": 64, "temperature": 0.8, "seed": 5,
           "stream": True, "logprobs": 2}
NUM_ROUTES = 4  # those that take a body


def control_text(port: int) -> bytes:
    answer = ask(port, post("/v1/completions", CONTROL))
    assert answer.status == 200, answer.body
    return re.sub(rb'"id":"[^"]*"|"created":\d+', b"", answer.body)


class Control(threading.Thread):
    def __init__(self, port: int):
        super().__init__()
        self.port, self.expected = port, control_text(port)
        self.rounds = self.differing = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            try:
                same = control_text(self.port) == self.expected
            except (AssertionError, OSError, EOFError):
                same = False
            self.rounds += 1
            self.differing += not same
            self.stop.wait(0.05)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    schemathesis = Path(sys.executable).parent / "schemathesis"
    with Daemon("--log-level", "warning") as daemon:
        control = Control(daemon.port)
        control.start()
        done = subprocess.run(
            [schemathesis, "run", daemon.url + "/openapi.json", "--url", daemon.url, "--mode",
             "negative", "--phases", "fuzzing", "--include-method", "POST", "--checks",
             "not_a_server_error", "--max-examples", str(options.requests // NUM_ROUTES),
             "--workers", "2", "--request-timeout", "30", "--continue-on-failure", "--no-shrink",
             "--suppress-health-check", "all", "--seed", str(options.seed)], check=False)
        control.stop.set()
        control.join()
        healthy = daemon.health() == 200
    print(f"schemathesis: status {done.returncode}; control: {control.rounds} streams, "
          f"{control.differing} differing; healthy at the end: {healthy}")
    return 0 if done.returncode == 0 and control.differing == 0 and healthy else 1


if __name__ == "__main__":
    sys.exit(main())
