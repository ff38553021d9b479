#!/usr/bin/env python3
"""Restarts every replica behind the proxy while it is under load; no request may fail.

    deploy/rolling_restart.py [--rounds 2] [--replicas 2] [--rate 3] [--binary build/release/server/quire]

Starts replicas on the loopback, HAProxy (Debian's package) with compose/haproxy.cfg, and one load
generator for each of four API keys, which the proxy spreads over the replicas. Exit status 0 when
every stream of every generator ended as it must.
"""

import argparse
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROXY_PORT, FIRST_PORT = 18400, 18401
CLIENTS = 4
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
    def __init__(self, binary: str, port: int, keys: Path):
        self.command = [binary, "serve", "--port", str(port), "--api-key-file", str(keys),
                        "--log-level", "warning", "--kv-cache-memory", "128MiB"]
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


def write_keys(folder: Path) -> Path:
    keys = folder / "keys"
    lines = []
    for number in range(CLIENTS):
        (folder / f"key-{number}").write_text(f"client-{number}")
        lines.append(f"c{number}:{hashlib.sha256(f'client-{number}'.encode()).hexdigest()}\n")
    with os.fdopen(os.open(keys, os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.writelines(lines)
    return keys


def start_load(options, folder: Path, number: int, requests: int) -> subprocess.Popen:
    return subprocess.Popen(
        [options.binary, "bench", "--url", f"http://127.0.0.1:{PROXY_PORT}", "--api-key-file",
         str(folder / f"key-{number}"), "--request-rate", str(options.rate), "--num-prompts",
         str(requests), "--input-len", "64", "--output-len", "64", "--seed", str(number), "--json",
         str(folder / f"load-{number}.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(options, folder: Path) -> int:
    keys = write_keys(folder)
    replicas = [Replica(options.binary, FIRST_PORT + n, keys) for n in range(options.replicas)]
    proxy = subprocess.Popen(["/usr/sbin/haproxy", "-q", "-db", "-f",
                              str(proxy_config(folder, options.replicas))])
    started = [*replicas]
    try:
        for replica in replicas:
            wait_for(lambda r=replica: healthy(r.port), "the replicas")
        wait_for(lambda: healthy(PROXY_PORT), "the proxy")
        seconds = 8 * options.rounds * options.replicas + 10
        loads = [start_load(options, folder, n, int(options.rate * seconds))
                 for n in range(CLIENTS)]
        statuses = []
        for _ in range(options.rounds):
            for replica in replicas:
                time.sleep(4)
                statuses.append(replica.restart())
                time.sleep(2)  # the proxy sees it within a second
        under_load = sum(load.poll() is None for load in loads)
        for load in loads:
            load.wait(600)
    finally:
        for process in (proxy, *(r.process for r in started)):
            process.terminate()
            process.wait(PATIENCE)
    results = [json.loads((folder / f"load-{n}.json").read_text()) for n in range(CLIENTS)]
    completed, failed = (sum(r[name] for r in results) for name in ("completed", "failed"))
    print(f"{len(statuses)} restarts, exit statuses {statuses}, {under_load} of {CLIENTS} loads "
          f"outlasted them; {completed} requests ok, {failed} failed "
          f"{[r['failures'] for r in results if r['failures']] or ''}")
    return 0 if failed == 0 and completed > 0 and set(statuses) == {0} and under_load else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3, help="requests per second of each key")
    parser.add_argument("--binary", default=str(ROOT / "build/release/server/quire"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quire-rolling-") as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
