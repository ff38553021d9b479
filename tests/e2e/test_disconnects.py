"""Clients that go away at random points, thousands of them: no block stays behind.

    DISCONNECTS=10000 python3 -m unittest -v tests.e2e.test_disconnects

Prints how many blocks leaked (0, or the test fails) and how long a cancelled request's blocks were
still held: percentiles of quire_cancel_to_free_seconds, as the upper edges of its buckets.
"""

import asyncio
import os
import random
import unittest

from tests.e2e.daemon import HOST, Daemon
from tests.e2e.test_metrics import settled
from tests.e2e.wire import TIMEOUT, post

DISCONNECTS = int(os.environ.get("DISCONNECTS", "2000"))
AT_ONCE = 64
BEGINNINGS = ["Once upon a time there was a fox. ", "In a green forest, there lived an owl. "]


async def leave(port: int, rng: random.Random) -> str:
    """One request, and where its client left it: before or amid the answer, at its end, by FIN or by
    reset."""
    reader, writer = await asyncio.open_connection(HOST, port)
    body = {"prompt": rng.choice(BEGINNINGS) * rng.randint(1, 30), "stream": rng.random() < 0.8,
            "max_tokens": rng.randint(1, 300), "ignore_eos": True, "n": rng.choice([1, 1, 1, 3])}
    request = post("/v1/completions", body)
    point = rng.choice(["amid the request", "after the request", "amid the answer", "a moment later"])
    try:
        if point == "amid the request":
            writer.write(request[:rng.randrange(1, len(request))])
        else:
            writer.write(request)
        await writer.drain()
        if point == "amid the answer":
            await asyncio.wait_for(reader.read(rng.randint(1, 20000)), TIMEOUT)
        elif point == "a moment later":
            await asyncio.sleep(rng.random() * 0.2)
        if rng.random() < 0.5:
            writer.transport.abort()
    except ConnectionError:
        pass
    finally:
        writer.close()
    return point


async def leave_all(port: int, count: int) -> dict[str, int]:
    points: dict[str, int] = {}
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(number: int):
        async with gate:
            point = await leave(port, random.Random(number))
            points[point] = points.get(point, 0) + 1

    await asyncio.gather(*(one(i) for i in range(count)))
    return points


def percentile(scrape, name: str, share: float) -> str:
    """The upper edge of the bucket that holds it."""
    buckets = [(float(s.labels["le"]), s.value) for s in scrape.families[name].samples
               if s.name.endswith("_bucket")]
    total = max(count for _, count in buckets)
    edge = min(edge for edge, count in buckets if count >= share * total)
    return f"{edge * 1000:g} ms"


class Disconnects(unittest.TestCase):
    def test_nothing_stays_behind(self):
        with Daemon("--kv-cache-memory", "16MiB", "--max-num-seqs", "32") as daemon:
            points = asyncio.run(leave_all(daemon.port, DISCONNECTS))
            # Those that asked for little may have been answered in full: they count as ended, too.
            end = settled(daemon.port, 0)
            while end["vllm:num_requests_running"] + end["vllm:num_requests_waiting"] > 0:
                end = settled(daemon.port, 0)
            name = "quire_cancel_to_free_seconds"
            leaked = end["quire_kv_blocks"] - end["quire_kv_blocks_free"]
            print(f"\n{DISCONNECTS} clients left: {points}\n{end[name + '_count']:g} sequences "
                  f"cancelled, {leaked:g} blocks leaked; cancel to free: p50 within "
                  f"{percentile(end, name, 0.5)}, p99 within {percentile(end, name, 0.99)}")
            self.assertEqual(sum(points.values()), DISCONNECTS)
            self.assertEqual(leaked, 0)
            self.assertGreater(end[name + "_count"], DISCONNECTS // 10)
            self.assertTrue(end.adds_up())
            self.assertTrue(daemon.alive())


if __name__ == "__main__":
    unittest.main()
