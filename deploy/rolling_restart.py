#!/usr/bin/env python3
"""Restarts every replica behind the proxy while it is under load; no request may fail.

    deploy/rolling_restart.py [--rounds 2] [--replicas 2] [--rate 3] [--binary build/release/server/quire]

Starts replicas on the loopback, HAProxy (Debian's package) with compose/haproxy.cfg, and one load
generator for each of four API keys, which the proxy spreads over the replicas. Exit status 0 when
every stream of every generator ended as it must.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from replicas import (BINARY, FIRST_PORT, PATIENCE, PROXY_PORT, Replica, healthy, load_results,
                      proxy_config, wait_for, write_keys)

CLIENTS = 4


def start_load(options, folder: Path, number: int, requests: int) -> subprocess.Popen:
    return subprocess.Popen(
        [options.binary, "bench", "--url", f"http://127.0.0.1:{PROXY_PORT}", "--api-key-file",
         str(folder / f"key-{number}"), "--request-rate", str(options.rate), "--num-prompts",
         str(requests), "--input-len", "64", "--output-len", "64", "--seed", str(number), "--json",
         str(folder / f"load-{number}.json")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def run(options, folder: Path) -> int:
    keys = write_keys(folder, CLIENTS)
    replicas = [Replica(options.binary, FIRST_PORT + n, keys) for n in range(options.replicas)]
    proxy = subprocess.Popen(["/usr/sbin/haproxy", "-q", "-db", "-f",
                              str(proxy_config(folder, options.replicas))])
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
        for process in (proxy, *(r.process for r in replicas)):
            process.terminate()
            process.wait(PATIENCE)
    completed, failed, failures = load_results(folder, CLIENTS)
    print(f"{len(statuses)} restarts, exit statuses {statuses}, {under_load} of {CLIENTS} loads "
          f"outlasted them; {completed} requests ok, {failed} failed "
          f"{failures or ''}")
    return 0 if failed == 0 and completed > 0 and set(statuses) == {0} and under_load else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--rate", type=float, default=3, help="requests per second of each key")
    parser.add_argument("--binary", default=str(BINARY))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quire-rolling-") as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
