"""Daemon: one running `quire serve` for tests and benchmarks, on a free port of the loopback.

    with Daemon("--max-num-seqs", "4") as daemon:
        daemon.client().completions.create(...)

The binary is $TEST_BINARY, the model $TEST_MODEL; tests/e2e/CMakeLists.txt sets both. The daemon's
log goes to a file, which is printed when it ends in a way that the test did not ask for.
"""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
# Generous: a sanitizer build on a busy machine. No test depends on how long a start takes.
START_SECONDS = 120


def binary() -> str:
    return os.environ.get("TEST_BINARY") or str(REPOSITORY / "build/release/server/quire")


def model_folder() -> str:
    return os.environ.get("TEST_MODEL") or str(REPOSITORY / "deploy/model")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Daemon:
    def __init__(self, *flags: str, model: str | None = None, environment: dict | None = None):
        self.port = free_port()
        self.flags = flags
        self.model = model or model_folder()
        # A setting left in the environment of whoever runs the tests would change the daemon.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("QUIRE_")}
        self.environment = {**inherited, **(environment or {})}
        self.log = tempfile.NamedTemporaryFile(prefix="quire-", suffix=".log", delete=False)
        self.process = None

    def launch(self) -> "Daemon":
        """Starts the process and does not wait for it to be ready."""
        command = [binary(), "serve", "--model", self.model, "--port", str(self.port), *self.flags]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT, env=self.environment)
        return self

    def wait_ready(self) -> "Daemon":
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.log_text()}")
            if self.health() == 200:
                return self
            time.sleep(0.005)
        raise AssertionError(f"not ready after {START_SECONDS} s:\n{self.log_text()}")

    def __enter__(self) -> "Daemon":
        return self.launch().wait_ready()

    def __exit__(self, kind, error, trace) -> None:
        status = self.stop()
        if kind is not None:
            print(f"--- log of the daemon ---\n{self.log_text()}")
        elif status != 0:
            raise AssertionError(f"exit status {status}:\n{self.log_text()}")

    def stop(self) -> int:
        """SIGTERM and the exit status; kills what does not end."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=180)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return -int(signal.SIGKILL)

    def alive(self) -> bool:
        return self.process.poll() is None

    def log_text(self) -> str:
        return Path(self.log.name).read_text(encoding="utf-8", errors="replace")

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def health(self) -> int | None:
        """The status of /health; None where nobody listens."""
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=120) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def client(self, **settings):
        """The official client; it does not retry, so that every failure is seen."""
        import openai
        return openai.OpenAI(base_url=self.url + "/v1", api_key="none", max_retries=0, **settings)

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes, from /proc."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(re.search(rf"^{field}:\s+(\d+) kB", status, re.M).group(1)) * 1024

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))
