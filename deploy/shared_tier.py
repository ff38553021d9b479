#!/usr/bin/env python3
"""Two replicas that share pages by Valkey or Redis: is a prefix of one a hit on the other, and does
a request fail when the server of pages is killed in the middle of a load?

    deploy/shared_tier.py [--seconds 20] [--clients 8] [--binary build/release/server/quire]

Starts valkey-server or redis-server (Debian's packages) and two replicas on the loopback. Exit status
0: a hit with the same text, none across keys, and no failed request.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from replicas import BINARY, FIRST_PORT, PATIENCE, Replica, healthy, load_results, wait_for, write_keys

STORE_PORT = 18410
PROMPT = " ".join(f"Once upon a time there were {n} small dogs who liked to play." for n in range(60))


def answered(port: int, client: int):
    """A greedy completion: how many tokens of its prompt were found, and its text."""
    body = {"prompt": PROMPT, "max_tokens": 16, "temperature": 0}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer client-{client}"})
    with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
        done = json.load(answer)
    usage = done["usage"]
    return (usage["prompt_tokens"], usage["prompt_tokens_details"]["cached_tokens"],
            done["choices"][0]["text"])


def store_size() -> int:
    client = shutil.which("valkey-cli") or "redis-cli"
    done = subprocess.run([client, "-p", str(STORE_PORT), "dbsize"], capture_output=True,
                          text=True, check=False)
    return int(done.stdout) if done.stdout.strip().isdigit() else -1


def start_store(started: list) -> subprocess.Popen:
    server = shutil.which("valkey-server") or shutil.which("redis-server")
    if server is None:
        sys.exit("needs valkey-server or redis-server (Debian's package redis-server)")
    process = subprocess.Popen([server, "--port", str(STORE_PORT), "--bind", "127.0.0.1", "--save",
                                "", "--appendonly", "no", "--maxmemory", "512mb",
                                "--maxmemory-policy", "allkeys-lru"], stdout=subprocess.DEVNULL)
    started.append(process)
    wait_for(lambda: store_size() >= 0, "the server of pages")
    return process


def settled_size() -> int:
    """Records are written in the background: their number once it stands still."""
    sizes = [-1, 0]

    def stands() -> bool:
        time.sleep(1)
        sizes.append(store_size())
        return sizes[-1] == sizes[-2] > 0

    wait_for(stands, "records of the first replica")
    return sizes[-1]


def prefix_crosses() -> bool:
    total, before, text = answered(FIRST_PORT, 0)
    records = settled_size()
    _, found, same = answered(FIRST_PORT + 1, 0)
    _, foreign, _ = answered(FIRST_PORT + 1, 1)
    print(f"a prompt of {total} tokens: {before} found on the first replica, then {records} records "
          f"in the store; {found} found on the second, text {'equal' if same == text else 'DIFFERS'}; "
          f"{foreign} found for another key")
    return before == 0 and found > 0 and same == text and foreign == 0


def start_load(options, folder: Path, number: int) -> subprocess.Popen:
    requests = options.clients * options.seconds
    return subprocess.Popen(
        [options.binary, "bench", "--url", f"http://127.0.0.1:{FIRST_PORT + number}",
         "--api-key-file", str(folder / "key-0"), "--concurrency", str(options.clients),
         "--num-prompts", str(requests), "--input-len", "64", "--prefix-len", "512",
         "--num-prefixes", "16", "--output-len", "64", "--json", str(folder / f"load-{number}.json")],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def survives_its_end(options, folder: Path, store: subprocess.Popen) -> bool:
    loads = [start_load(options, folder, number) for number in range(2)]
    time.sleep(options.seconds / 4)
    under_load = sum(load.poll() is None for load in loads)
    store.kill()
    store.wait()
    for load in loads:
        load.wait(600)
    completed, failed, failures = load_results(folder, 2)
    print(f"the store killed under {under_load} of 2 loads: {completed} requests ok, {failed} failed "
          f"{failures or ''}")
    return under_load > 0 and completed > 0 and failed == 0


def run(options, folder: Path) -> int:
    keys = write_keys(folder, 2)
    secret = folder / "secret"
    with os.fdopen(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
        file.write(os.urandom(32))
    flags = ("--kv-remote-url", f"redis://127.0.0.1:{STORE_PORT}", "--cache-secret-file", str(secret))
    started = []
    try:
        store = start_store(started)
        replicas = []
        for number in range(2):
            replicas.append(Replica(options.binary, FIRST_PORT + number, keys, *flags))
            started.append(replicas[-1].process)
        for replica in replicas:
            wait_for(lambda r=replica: healthy(r.port), "the replicas")
        good = [prefix_crosses(), survives_its_end(options, folder, store)]
        statuses = []
        for replica in replicas:
            replica.process.terminate()
            statuses.append(replica.process.wait(PATIENCE))
        print(f"exit statuses {statuses}")
    finally:
        for process in started:
            process.kill()
            process.wait()
    return 0 if all(good) and set(statuses) == {0} else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=20, help="of load, roughly")
    parser.add_argument("--clients", type=int, default=8, help="of each replica")
    parser.add_argument("--binary", default=str(BINARY))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quire-shared-") as folder:
        return run(options, Path(folder))


if __name__ == "__main__":
    sys.exit(main())
