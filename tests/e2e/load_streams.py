"""Many streams at once, by hand: how a daemon holds up, and what a stream costs.

    python -m tests.e2e.load_streams crowd [--streams 5000]      all at once, bytes of memory each
    python -m tests.e2e.load_streams stalled [--stalled 2000] [--good 100]
                                                                 readers that stand still beside good ones

Prints its figures as one line of JSON; exit status 1 where a stream failed. The daemon is started
with the default model unless $TEST_BINARY and $TEST_MODEL say otherwise.
"""

import argparse
import asyncio
import json
import resource
import sys
import time

from tests.e2e.daemon import HOST, Daemon
from tests.e2e.test_streams import unchunk
from tests.e2e.wire import get, parse_stream, post

PATIENCE = 240  # seconds for one stream; a fault, never a measure
WAIT_FOR_ALL = 120


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def body(number: int, max_tokens: int) -> str:
    return json.dumps({"prompt": f"Story {number % 50}:", "max_tokens": max_tokens, "seed": number,
                       "stream": True, "ignore_eos": True})


async def connect(port: int, limit: int = 1 << 16):
    return await asyncio.open_connection(HOST, port, limit=limit)


async def one_stream(port: int, number: int, max_tokens: int, begun: asyncio.Semaphore) -> None:
    """A whole stream, checked by WIRE's rules."""
    reader, writer = await connect(port)
    try:
        writer.write(post("/v1/completions", body(number, max_tokens),
                          headers="Connection: close\r\n"))
        await writer.drain()
        begun.release()
        answer = await asyncio.wait_for(reader.read(-1), PATIENCE)
    finally:
        writer.close()
    head, _, chunks = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    stream = parse_stream(unchunk(chunks))
    assert stream.error is None and stream.finish[0] == "length", stream.error


async def probe(port: int, times: list[float], stop: asyncio.Event) -> None:
    """How long /health takes, on one connection, ten times a second."""
    reader, writer = await connect(port)
    while not stop.is_set():
        begin = time.monotonic()
        writer.write(get("/health"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.split(b"\r\n")[0], head
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        times.append(time.monotonic() - begin)
        await asyncio.sleep(0.1)
    writer.close()


async def crowd(daemon: Daemon, streams: int) -> dict:
    await one_stream(daemon.port, 0, 8, asyncio.Semaphore(0))
    before = daemon.memory()
    begun, stop, times = asyncio.Semaphore(0), asyncio.Event(), []
    watcher = asyncio.create_task(probe(daemon.port, times, stop))
    begin = time.monotonic()
    tasks = [asyncio.create_task(one_stream(daemon.port, i, 16, begun)) for i in range(streams)]
    peak = before
    pending = set(tasks)
    while pending:
        _, pending = await asyncio.wait(pending, timeout=0.25)
        peak = max(peak, daemon.memory())
    seconds = time.monotonic() - begin
    stop.set()
    await watcher
    failed = [t.exception() for t in tasks if t.exception() is not None]
    if failed:
        print(f"first failure: {failed[0]!r}", file=sys.stderr)
    return {"streams": streams, "failed": len(failed), "seconds": round(seconds, 1),
            "bytes_per_stream": (peak - before) // streams,
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


async def stalled(daemon: Daemon, num_stalled: int, good: int) -> dict:
    await gaps_of_good(daemon.port, 4, 16)
    idle = await gaps_of_good(daemon.port, good, 200)
    before = daemon.memory()
    writers = []
    for number in range(num_stalled):
        # A small buffer, so that little is sent before the reader stands in the way.
        _, writer = await connect(daemon.port, limit=1024)
        writer.transport.pause_reading()
        writer.write(post("/v1/completions", body(number, 1500)))
        writers.append(writer)
    beside = await gaps_of_good(daemon.port, good, 200)
    peak = daemon.memory("VmHWM")
    for writer in writers:
        writer.transport.abort()
    return {"stalled": num_stalled, "good": good,
            "idle_gap_p99_ms": round(percentile(idle, 0.99) * 1e3, 1),
            "beside_gap_p99_ms": round(percentile(beside, 0.99) * 1e3, 1),
            "ratio": round(percentile(beside, 0.99) / percentile(idle, 0.99), 2),
            "bytes_per_stalled": (peak - before) // num_stalled}


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
    with Daemon("--max-queue-len", queue, "--kv-cache-memory", "64MiB", "--log-level",
                "warning") as daemon:
        if options.what == "crowd":
            figures = asyncio.run(crowd(daemon, options.streams))
        else:
            figures = asyncio.run(stalled(daemon, options.stalled, options.good))
    print(json.dumps(figures))
    return 1 if figures.get("failed") else 0


if __name__ == "__main__":
    sys.exit(main())
