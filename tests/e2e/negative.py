"""Bodies that break proto/openapi.yaml, made by schemathesis in negative mode, on a live daemon.

    python -m tests.e2e.negative [--requests 10000] [--mutants 0] [--seed 1]

Spread over the routes that take a body; after each so many mutants of it: bytes changed, cut out,
doubled, or put in from the body before. No answer may have a status of 500 or more, take longer
than 30 s or break the rules for error bodies (WIRE.md 17); meanwhile one stream is asked for again
and again and must say the same, byte for byte. Exit status 1 where anything of it does not hold.
"""

import argparse
import collections
import hashlib
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
from dataclasses import dataclass, field

from tests.e2e.daemon import REPOSITORY, Daemon
from tests.e2e.wire import Connection, ask, parse_stream, post

# What share of the requests a route gets: a chat's body takes schemathesis five times as long.
SHARES = {"/v1/completions": 0.5, "/v1/chat/completions": 0.1, "/tokenize": 0.2,
          "/detokenize": 0.2}
PER_JOB = 500
PATIENCE = 120  # seconds for one answer; more is a hang
MAX_ERROR_BODY = 1024
CONTROL = {"prompt": "Once upon a time", "max_tokens": 64, "temperature": 0.8, "seed": 5,
           "stream": True, "logprobs": 2}


@dataclass
class Tally:
    statuses: collections.Counter = field(default_factory=collections.Counter)
    distinct: set[bytes] = field(default_factory=set)  # digests of the requests
    faults: list[str] = field(default_factory=list)


def fault_in(answer, fields: str) -> str | None:
    # Who asks for a few milliseconds may be answered that they are over.
    over = "x-request-timeout-ms" in fields.lower() and b"deadline" in answer.body
    if answer.status >= 500 and not (answer.status == 503 and over):
        return f"status {answer.status}"
    if answer.status < 400:
        return None
    if len(answer.body) > MAX_ERROR_BODY:
        return f"an error body of {len(answer.body)} bytes"
    error = answer.json().get("error", {})
    return None if set(error) == {"message", "type", "param", "code"} else "an odd error body"


class Sender:
    """One connection, made anew where the daemon closed it."""

    def __init__(self, port: int):
        self.port, self.connection = port, None

    def ask(self, request: bytes):
        fresh = self.connection is None
        if fresh:
            self.connection = Connection(self.port)
            self.connection.socket.settimeout(PATIENCE)
        try:
            answer = self.connection.ask(request)
        except (EOFError, ConnectionError):
            self.close()
            if fresh:
                raise
            return self.ask(request)
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def as_request(case) -> tuple[bytes, str]:
    """Its body, and its header fields as they are sent."""
    body = case.body if isinstance(case.body, bytes) else json.dumps(case.body).encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in (case.headers or {}).items()
                     if not set(f"{name}{value}") & set("\r\n"))
    return body, fields


# What parsers stumble over, put in at any place.
SPLINTERS = (b'"', b"{", b"}", b"[", b"]", b",", b":", b"\\", b"\\ud800", b"\x00", b"\xff", b"1e999",
             b"-1", b"9223372036854775808", b"null", b"NaN", b"[" * 40, b'"n":2,', b'"stream":true,')


def mutant(body: bytes, before: bytes, dice: random.Random) -> bytes:
    at, end = sorted((dice.randrange(len(body) + 1), dice.randrange(len(body) + 1)))
    piece = before[dice.randrange(len(before) + 1):][:dice.randrange(64)]
    return dice.choice((
        body[:at] + dice.choice(SPLINTERS) + body[at:],
        body[:at] + dice.choice(SPLINTERS) + body[at + 1:],
        body[:at] + body[at + dice.randrange(1, 9):],
        body[:at] + body[at:end] * 2 + body[end:],
        body[:at] + piece + body[at:],
        body[:end],
    ))


def check(sender: Sender, path: str, body: bytes, fields: str, tally: Tally) -> None:
    request = post(path, body, headers=fields)
    try:
        answer = sender.ask(request)
    except (OSError, EOFError, ValueError) as error:
        sender.close()
        tally.faults.append(f"{path} {error!r}: {body[:300]!r}")
        return
    tally.statuses[answer.status] += 1
    tally.distinct.add(hashlib.blake2b(request, digest_size=8).digest())
    if fault := fault_in(answer, fields):
        tally.faults.append(f"{path} {fault}: {body[:300]!r}")


def run_job(job: tuple[str, int, int, int, int]) -> Tally:
    """`count` bodies for one route, and the mutants of each."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, seed, settings
    path, count, mutants, number, port = job
    document = json.loads((REPOSITORY / "proto/openapi.yaml").read_text(encoding="utf-8"))
    route = schemathesis.openapi.from_dict(document)[path]["POST"]
    tally, sender, dice, before = Tally(), Sender(port), random.Random(number), b""

    @seed(number)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(case=route.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE))
    def send(case):
        nonlocal before
        body, fields = as_request(case)
        check(sender, path, body, fields, tally)
        for _ in range(mutants):
            check(sender, path, mutant(body, before, dice), "", tally)
        before = body

    send()
    sender.close()
    return tally


def control_says(port: int):
    """What of the control stream does not change; where it is cut into chunks is a matter of time."""
    answer = ask(port, post("/v1/completions", CONTROL))
    assert answer.status == 200, answer.body
    stream = parse_stream(answer.body)
    return stream.texts, stream.tokens, stream.logprobs, stream.finish


class Control(threading.Thread):
    def __init__(self, port: int):
        super().__init__()
        self.port, self.expected = port, control_says(port)
        self.rounds = self.differing = 0
        self.stop = threading.Event()

    def run(self):
        while not self.stop.is_set():
            try:
                same = control_says(self.port) == self.expected
            except (AssertionError, OSError, EOFError):
                same = False
            self.rounds += 1
            self.differing += not same
            self.stop.wait(0.25)


def jobs(requests: int, mutants: int, seed: int, port: int) -> list[tuple]:
    made = []
    for path, share in SHARES.items():
        left = round(requests * share)
        while left > 0:
            made.append((path, min(PER_JOB, left), mutants, seed * 1_000_000 + len(made), port))
            left -= PER_JOB
    return sorted(made, key=lambda job: "chat" not in job[0])  # the slow ones first


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--mutants", type=int, default=0, help="of each body, besides")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    total = Tally()
    folder = tempfile.TemporaryDirectory(prefix="quire-hypothesis-")
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder.name  # else in the working directory
    # A short context: bodies that fit after all (max_tokens absent or null) must not generate long.
    with Daemon("--log-level", "warning", "--max-model-len", "256") as daemon:
        control = Control(daemon.port)
        control.start()
        with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
            for tally in pool.imap_unordered(
                    run_job, jobs(options.requests, options.mutants, options.seed, daemon.port),
                    chunksize=1):
                total.statuses += tally.statuses
                total.distinct |= tally.distinct
                total.faults += tally.faults
        control.stop.set()
        control.join()
        healthy = daemon.health() == 200
    for fault in total.faults[:20]:
        print(fault)
    print(f"{total.statuses.total()} answers to {len(total.distinct)} distinct requests, by status: "
          f"{dict(sorted(total.statuses.items()))}; faults: {len(total.faults)}; "
          f"control: {control.rounds} streams, {control.differing} differing; "
          f"healthy at the end: {healthy}")
    return 0 if not total.faults and control.differing == 0 and healthy else 1


if __name__ == "__main__":
    sys.exit(main())
