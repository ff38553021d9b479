"""Replicas of the daemon on the loopback, keys for them, and HAProxy before them: what the scripts
beside this file measure."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BINARY = ROOT / "build/release/server/quire"
PROXY_PORT, FIRST_PORT = 18400, 18401
PATIENCE = 120  # seconds


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"gave up: {what}")
        time.sleep(0.05)


class Replica:
    def __init__(self, binary: str, port: int, keys: Path, *flags: str):
        self.command = [binary, "serve", "--port", str(port), "--api-key-file", str(keys),
                        "--log-level", "warning", "--kv-cache-memory", "128MiB", *flags]
        self.port = port
        self.process = subprocess.Popen(self.command)

    def restart(self) -> int:
        """SIGTERM, the exit status of what drained, and a new process that is healthy."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        self.process = subprocess.Popen(self.command)
        wait_for(lambda: healthy(self.port), f"a replica on {self.port}")
        return status


def proxy_config(folder: Path, replicas: int) -> Path:
    """The deployed configuration, with names and ports of this machine."""
    text = (ROOT / "deploy/compose/haproxy.cfg").read_text("utf-8")
    text = text.replace("bind :8080", f"bind 127.0.0.1:{PROXY_PORT}")
    text = re.sub(r" resolvers docker init-addr \S+", "", text)
    text = text[:text.index("resolvers docker")]
    text = re.sub(r"^  server .*\n", "", text, flags=re.M)
    for number in range(replicas):
        text += f"  server replica-{number} 127.0.0.1:{FIRST_PORT + number}\n"
    path = folder / "haproxy.cfg"
    path.write_text(text, "utf-8")
    return path


def write_keys(folder: Path, clients: int) -> Path:
    """The daemon's key file; client N's own key is in key-N."""
    keys = folder / "keys"
    lines = []
    for number in range(clients):
        (folder / f"key-{number}").write_text(f"client-{number}")
        lines.append(f"c{number}:{hashlib.sha256(f'client-{number}'.encode()).hexdigest()}\n")
    with os.fdopen(os.open(keys, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.writelines(lines)
    return keys


def load_results(folder: Path, loads: int) -> tuple[int, int, list]:
    """Of the generators that wrote load-N.json: requests that went well, that failed, and why."""
    results = [json.loads((folder / f"load-{n}.json").read_text()) for n in range(loads)]
    return (sum(r["completed"] for r in results), sum(r["failed"] for r in results),
            [r["failures"] for r in results if r["failures"]])
