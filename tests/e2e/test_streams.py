"""Streams: how each ends, a thousand at once, and clients that go away."""

import asyncio
import json
import time
import unittest

from tests.e2e.daemon import HOST, Daemon
from tests.e2e.wire import (TIMEOUT, Connection, ask, complete, complete_stream, parse_stream,
                            post)

CLIENTS = 1000
GROWTH = 1 << 20  # bytes that a second round of as many clients may add


async def stream_once(port: int, number: int) -> tuple[int, str]:
    """One whole stream on a connection of its own; AssertionError where it breaks a rule."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        body = json.dumps({"prompt": f"Story {number % 50}:", "max_tokens": 24, "temperature": 0.8,
                           "seed": number % 50, "stream": True, "ignore_eos": True,
                           "stream_options": {"include_usage": True}})
        writer.write(post("/v1/completions", body, headers="Connection: close\r\n"))
        await writer.drain()
        answer = await asyncio.wait_for(reader.read(-1), TIMEOUT)
    finally:
        writer.close()
    head, _, chunks = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head[:200]
    stream = parse_stream(unchunk(chunks))
    assert stream.error is None, stream.error
    assert stream.finish[0] == "length", stream.finish
    assert stream.usage["completion_tokens"] == 24, stream.usage
    return number % 50, stream.texts[0]


def unchunk(data: bytes) -> bytes:
    body = bytearray()
    while True:
        line, _, data = data.partition(b"\r\n")
        size = int(line.split(b";")[0], 16)  # an empty line, where the body broke off, fails here
        if size == 0:
            assert data == b"\r\n", "bytes after the end"
            return bytes(body)
        body += data[:size]
        assert data[size:size + 2] == b"\r\n", "the body broke off"
        data = data[size + 2:]


async def round_of_clients(port: int, count: int) -> list:
    return await asyncio.gather(*(stream_once(port, i) for i in range(count)),
                                return_exceptions=True)


class Streams(unittest.TestCase):
    def test_each_ends_by_the_rules(self):
        with Daemon() as daemon:
            for fields in ({"max_tokens": 1}, {"max_tokens": 200, "temperature": 0},
                           {"max_tokens": 30, "stop": ["."]}, {"n": 4, "seed": 3},
                           {"prompt": ["a", "b", "c"], "n": 2},
                           {"max_tokens": 0, "echo": True}, {"echo": True, "logprobs": 3}):
                fields = {"prompt": "Once", **fields}
                prompts = fields["prompt"] if isinstance(fields["prompt"], list) else [0]
                complete_stream(daemon.port, len(prompts) * fields.get("n", 1), **fields)

    def test_text_is_whole_characters(self):
        # Token by token through a wild sampler: bytes of unfinished characters come often.
        with Daemon() as daemon:
            for seed in range(20):
                fields = {"prompt": "\U0001f600 caf\u00e9", "max_tokens": 60, "temperature": 2,
                          "repetition_penalty": 5,
                          "seed": seed}
                whole = complete(daemon.port, **fields).json()["choices"][0]["text"]
                stream = complete_stream(daemon.port, **fields)
                self.assertEqual(stream.texts[0], whole)
                for event in stream.events:
                    for choice in event["choices"]:
                        choice["text"].encode("utf-8")  # no lone surrogate

    def test_a_thousand_clients_twice(self):
        # A small pool, so that its pages, which are touched in the background, are all there soon.
        with Daemon("--max-queue-len", "2048", "--kv-cache-memory", "64MiB") as daemon:
            memory = []
            for turn in range(3):  # the first warms up: threads, buffers of connections
                begin = time.monotonic()
                results = asyncio.run(round_of_clients(daemon.port, CLIENTS))
                failed = [r for r in results if isinstance(r, BaseException)]
                self.assertEqual(failed[:3], [], f"{len(failed)} of {CLIENTS} failed")
                texts = {}
                for which, text in results:
                    self.assertEqual(texts.setdefault(which, text), text, "not the same answer")
                memory.append(daemon.memory())
                print(f"round {turn}: {CLIENTS} streams in {time.monotonic() - begin:.1f} s, "
                      f"resident {memory[-1] / 2**20:.2f} MiB")
            self.assertLessEqual(memory[2] - memory[1], GROWTH)


class Disconnects(unittest.TestCase):
    """max_num_seqs 1: whoever is not freed stands in everybody's way."""

    LONG = {"prompt": "Once", "max_tokens": 1500, "temperature": 1, "seed": 1, "ignore_eos": True}

    def test_a_client_that_goes_frees_its_place(self):
        with Daemon("--max-num-seqs", "1") as daemon:
            begin = time.monotonic()
            self.assertEqual(complete(daemon.port, **self.LONG).status, 200)
            one = time.monotonic() - begin
            left = [self.leave(daemon.port, i) for i in range(60)]
            for connection in left:
                connection.close()
            begin = time.monotonic()
            answer = complete(daemon.port, prompt="a", max_tokens=1)
            waited = time.monotonic() - begin
            self.assertEqual(answer.status, 200)
            # Had they gone on, the wait would be 60 times one; a tenth of that is slack enough.
            self.assertLess(waited, max(6 * one, 2.0), f"one takes {one:.2f} s")

    def leave(self, port: int, number: int) -> Connection:
        """Sends a long request, streaming or not, and perhaps reads its beginning."""
        connection = Connection(port)
        connection.send(post("/v1/completions", {**self.LONG, "stream": number % 2 == 0}))
        if number == 0:
            connection.reader.read(20)
        return connection

    def test_descriptors_come_back(self):
        with Daemon() as daemon:
            ask(daemon.port, post("/v1/completions", {"prompt": "a"}))
            before = daemon.open_files()
            for connection in [self.leave(daemon.port, i) for i in range(100)]:
                connection.close()
            deadline = time.monotonic() + 180
            while daemon.open_files() > before and time.monotonic() < deadline:
                time.sleep(0.05)
            self.assertLessEqual(daemon.open_files(), before)

    def test_half_closed_client_gets_its_answer_or_an_end(self):
        import socket
        with Daemon() as daemon, Connection(daemon.port) as connection:
            connection.send(post("/v1/completions", {"prompt": "a", "max_tokens": 4}))
            connection.socket.shutdown(socket.SHUT_WR)
            connection.reader.read()  # an answer or a close, but an end
            self.assertEqual(daemon.health(), 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
