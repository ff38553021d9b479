"""Many streams at once, by hand: how a daemon holds up, and what a stream costs.

    python -m tests.e2e.load_streams crowd [--streams 5000]      all at once, bytes of memory each
    python -m tests.e2e.load_streams stalled [--stalled 2000] [--good 100]
                                                                 readers that stand still beside good ones

Prints its figures as one line of JSON; exit status 1 where a stream failed. The daemon is started
with the default model unless $TEST_BINARY and $TEST_MODEL say otherwise, and with a queue
(--max-queue-len) that holds all of them; its own limit of file descriptors is the hard one
(`ulimit -Hn`), which must be some 50 above the number of streams, here too. Clients on the loopback
are not counted by --max-connections-per-address; elsewhere that would have to be raised as well.
"""

import argparse
import asyncio
import json
import multiprocessing
import re
import resource
import socket
import sys
import time

from tests.e2e.daemon import HOST, Daemon
from tests.e2e.test_streams import unchunk
from tests.e2e.wire import Connection, ask, get, parse_stream, post

PATIENCE = 240  # seconds for one stream; a fault, never a measure


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def body(number: int, max_tokens: int) -> str:
    return json.dumps({"prompt": f"Story {number % 50}:", "max_tokens": max_tokens, "seed": number,
                       "stream": True, "ignore_eos": True})


async def connect(port: int):
    return await asyncio.open_connection(HOST, port)


async def one_stream(port: int, number: int, max_tokens: int) -> None:
    """A whole stream, checked by WIRE's rules."""
    reader, writer = await connect(port)
    try:
        writer.write(post("/v1/completions", body(number, max_tokens),
                          headers="Connection: close\r\n"))
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    finally:
        writer.close()
    head, _, chunks = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    stream = parse_stream(unchunk(chunks))
    assert stream.error is None and stream.finish[0] == "length", stream.error


class Probe:
    """How long /health takes, ten times a second, asked from a process of its own: one that reads
    thousands of streams would measure itself."""

    def __init__(self, port: int):
        context = multiprocessing.get_context("spawn")
        self.stop, self.ready, self.times = context.Event(), context.Event(), context.SimpleQueue()
        self.process = context.Process(target=self.run, args=(port, self.ready, self.stop, self.times))
        self.process.start()
        self.ready.wait()

    @staticmethod
    def run(port: int, ready, stop, result) -> None:
        times = []
        with Connection(port) as connection:
            while not stop.wait(0.1):
                begin = time.monotonic()
                assert connection.ask(get("/health")).status == 200
                times.append(time.monotonic() - begin)
                ready.set()
        result.put(times)

    def finish(self) -> list[float]:
        self.stop.set()
        times = self.times.get()
        self.process.join()
        return times


async def crowd(daemon: Daemon, streams: int) -> dict:
    await one_stream(daemon.port, 0, 8)
    probe = Probe(daemon.port)
    before = daemon.memory()
    begin = time.monotonic()
    pending = {asyncio.create_task(one_stream(daemon.port, i, 16)) for i in range(streams)}
    tasks = list(pending)
    peak, most = before, 0
    while pending:
        _, pending = await asyncio.wait(pending, timeout=0.25)
        peak = max(peak, daemon.memory())
        most = max(most, daemon.open_files())
    seconds = time.monotonic() - begin
    times = probe.finish()
    failed = [t.exception() for t in tasks if t.exception() is not None]
    if failed:
        print(f"first failure: {failed[0]!r}", file=sys.stderr)
    return {"streams": streams, "failed": len(failed), "seconds": round(seconds, 1),
            "most_open_files": most, "bytes_per_stream": (peak - before) // streams,
            "health_asked": len(times),
            "health_p50_ms": round(percentile(times, 0.5) * 1e3, 1),
            "health_p99_ms": round(percentile(times, 0.99) * 1e3, 1)}


async def gaps_of_good(port: int, count: int, max_tokens: int) -> list[float]:
    """The times between events of `count` streams that are read as they come."""
    gaps: list[float] = []

    async def one(number: int) -> None:
        reader, writer = await connect(port)
        writer.write(post("/v1/completions", body(number, max_tokens)))
        last = None
        while (line := await asyncio.wait_for(reader.readline(), PATIENCE)) != b"data: [DONE]\n":
            assert line, "broke off"
            if line.startswith(b"data: "):
                now = time.monotonic()
                if last is not None:
                    gaps.append(now - last)
                last = now
        writer.close()

    await asyncio.gather(*(one(i) for i in range(count)))
    return gaps


def stand_still(port: int, number: int) -> socket.socket:
    """A client that asks for much (the prompt told again, 20 alternatives for each token) and never
    reads."""
    client = socket.socket()
    # A small buffer of its own, so that little is sent before the reader stands in the way.
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((HOST, port))
    asked = {**json.loads(body(number, 1500)), "logprobs": 20, "echo": True,
             "prompt": f"Story {number}: " + "the cat sat on the mat and " * 8}
    client.sendall(post("/v1/completions", json.dumps(asked)))
    return client


def tokens_generated(port: int) -> float:
    text = ask(port, get("/metrics")).body.decode()
    return float(re.search(r"^vllm:generation_tokens_total\S* (\S+)$", text, re.M).group(1))


def wait_until_all_stand(port: int) -> None:
    last = -1.0
    while (now := tokens_generated(port)) != last:
        last = now
        time.sleep(0.5)


def kernel_memory() -> int:
    """Of all TCP sockets of this machine, both ends."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return int(re.search(r"^TCP: .* mem (\d+)", file.read(), re.M).group(1)) * 4096


async def stalled(daemon: Daemon, num_stalled: int, good: int) -> dict:
    await gaps_of_good(daemon.port, 4, 16)
    idle = await gaps_of_good(daemon.port, good, 200)
    before, kernel_before = daemon.memory(), kernel_memory()
    begin = time.monotonic()
    clients = [stand_still(daemon.port, number) for number in range(num_stalled)]
    wait_until_all_stand(daemon.port)
    until_standing = time.monotonic() - begin
    still_there = daemon.open_files()
    kernel = kernel_memory()
    beside = await gaps_of_good(daemon.port, good, 200)
    peak = daemon.memory("VmHWM")
    for client in clients:
        client.close()
    return {"stalled": num_stalled, "good": good, "seconds_until_all_stood": round(until_standing, 1),
            "open_files_then": still_there, "open_files_after": daemon.open_files(),
            "idle_gap_p99_ms": round(percentile(idle, 0.99) * 1e3, 1),
            "beside_gap_p99_ms": round(percentile(beside, 0.99) * 1e3, 1),
            "ratio": round(percentile(beside, 0.99) / percentile(idle, 0.99), 2),
            "bytes_per_stalled": (peak - before) // num_stalled,
            "kernel_bytes_per_stalled": (kernel - kernel_before) // num_stalled}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("crowd", "stalled"))
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--stalled", type=int, default=2000)
    parser.add_argument("--good", type=int, default=100)
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    queue = str(max(options.streams, options.stalled + options.good))
    # Those that stand still are not to be cut off before the last one stands.
    with Daemon("--max-queue-len", queue, "--kv-cache-memory", "64MiB", "--log-level", "warning",
                "--write-stall-timeout", "30m") as daemon:
        if options.what == "crowd":
            figures = asyncio.run(crowd(daemon, options.streams))
        else:
            figures = asyncio.run(stalled(daemon, options.stalled, options.good))
    print(json.dumps(figures))
    return 1 if figures.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
