"""What the prefix cache is worth: a shared prompt of 1,500 tokens and 32 clients at once.

usage: shared_prompt.py [--quire build/release/server/quire] [--model deploy/model] [--tokens 1500]
                        [--clients 32] [--own 16] [--output 16] [--flags "--num-threads 2"]

Each client sends the shared prompt and `own` tokens of its own, and times its first token. Three
daemons in one run: without the prefix cache; with it and an empty disk tier (one request first, so
that the prompt is known); and after a restart, with nothing but what the disk tier kept. Prints
medians and p99, the mean of cached_tokens, and whether all answered the same. Standard library only.
"""

import argparse
import json
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

HOST = "127.0.0.1"
START_SECONDS = 120


def tokens_of(seed: int, count: int) -> list[int]:
    """Ids that every model has, the same on every machine."""
    state, ids = seed * 2654435761 + 1, []
    for _ in range(count):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        ids.append(10 + (state >> 33) % 240)
    return ids


class Daemon:
    def __init__(self, arguments, *flags: str):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            self.port = probe.getsockname()[1]
        command = [arguments.quire, "serve", "--model", arguments.model, "--port", str(self.port),
                   "--log-level", "error", *flags, *shlex.split(arguments.flags)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def __enter__(self) -> "Daemon":
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit("the daemon ended at once")
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self.port}/health", timeout=5):
                    return self
            except OSError:
                time.sleep(0.01)
        sys.exit("the daemon is not ready")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def ask(self, prompt: list[int], output: int) -> tuple[float, str, int]:
        """Seconds to the first token, the text, and cached_tokens."""
        body = {"prompt": prompt, "max_tokens": output, "temperature": 0, "ignore_eos": True,
                "stream": True, "stream_options": {"include_usage": True}, "model": self.name()}
        request = urllib.request.Request(f"http://{HOST}:{self.port}/v1/completions",
                                         json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        begin, first, text, cached = time.perf_counter(), None, "", 0
        with urllib.request.urlopen(request, timeout=600) as answer:
            for line in answer:
                if not line.startswith(b"data: {"):
                    continue
                chunk = json.loads(line[6:])
                if chunk["choices"]:
                    first = first or time.perf_counter() - begin
                    text += chunk["choices"][0]["text"]
                if chunk.get("usage"):
                    cached = chunk["usage"]["prompt_tokens_details"]["cached_tokens"]
        return first, text, cached

    def name(self) -> str:
        if not hasattr(self, "model"):
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/v1/models", timeout=5) as page:
                self.model = json.load(page)["data"][0]["id"]
        return self.model


def all_at_once(daemon: Daemon, arguments) -> list[tuple[float, str, int]]:
    shared = tokens_of(0, arguments.tokens)
    results = [None] * arguments.clients
    start = threading.Barrier(arguments.clients)
    daemon.name()

    def client(i: int) -> None:
        prompt = shared + tokens_of(i + 1, arguments.own)
        start.wait()
        results[i] = daemon.ask(prompt, arguments.output)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(arguments.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def measure(arguments, *flags: str, prime: bool) -> list[tuple[float, str, int]]:
    with Daemon(arguments, *flags) as daemon:
        if prime:
            daemon.ask(tokens_of(0, arguments.tokens) + tokens_of(99, arguments.own), 1)
        return all_at_once(daemon, arguments)


def print_row(name: str, results) -> None:
    seconds = sorted(first for first, _, _ in results)
    p99 = seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))]
    cached = statistics.mean(c for _, _, c in results)
    print(f"| {name} | {statistics.median(seconds) * 1e3:.0f} ms | {p99 * 1e3:.0f} ms "
          f"| {cached:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    root = Path(__file__).resolve().parents[2]
    parser.add_argument("--quire", default=str(root / "build/release/server/quire"))
    parser.add_argument("--model", default=str(root / "deploy/model"))
    parser.add_argument("--tokens", type=int, default=1500)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--own", type=int, default=16)
    parser.add_argument("--output", type=int, default=16)
    parser.add_argument("--flags", default="", help="more flags of quire serve")
    arguments = parser.parse_args()
    print(f"{arguments.clients} clients, {arguments.tokens} shared tokens and {arguments.own} of "
          f"each one's own\n\n| | TTFT, median | p99 | cached tokens |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        disk = ("--kv-disk-path", folder)
        runs = [("without the prefix cache", ("--no-enable-prefix-caching",), False),
                ("with it, the prompt known", disk, True),
                ("after a restart, from disk", disk, False)]
        answers = []
        for name, flags, prime in runs:
            results = measure(arguments, *flags, prime=prime)
            print_row(name, results)
            answers.append([text for _, text, _ in results])
    if any(a != answers[0] for a in answers):
        sys.exit("\nthe answers differ")
    print("\nall answers are the same")


if __name__ == "__main__":
    main()
