"""HTTP and server-sent events by hand: what the official client hides is checked here."""

import json
import socket
from dataclasses import dataclass, field

from tests.e2e.daemon import HOST

TIMEOUT = 120  # seconds without a byte; a fault, never a measure


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    closed: bool = False  # the server closed after it

    def json(self):
        return json.loads(self.body)


def post(path: str, body: bytes | str | dict, *, headers: str = "") -> bytes:
    """One request as bytes."""
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode()
    head = (f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{headers}\r\n")
    return head.encode() + body


def get(path: str, *, headers: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{headers}\r\n".encode()


class Connection:
    """One TCP connection; reads answers one after the other."""

    def __init__(self, port: int):
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT)
        self.reader = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.reader.close()
        self.socket.close()

    def send(self, data: bytes):
        self.socket.sendall(data)

    def read_head(self) -> tuple[int, dict[str, str]]:
        line = self.reader.readline()
        if not line:
            raise EOFError("closed before an answer")
        status = int(line.split()[1])
        headers = {}
        while (line := self.reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        return status, headers

    def chunks(self):
        """The chunks of a chunked body, as they come; EOFError where it breaks off."""
        while True:
            line = self.reader.readline()
            if not line:
                raise EOFError("the body broke off")
            size = int(line.split(b";")[0], 16)
            data = self.reader.read(size)
            if len(data) < size or self.reader.readline() != b"\r\n":
                raise EOFError("the body broke off")
            if size == 0:
                return
            yield data

    def read_answer(self) -> Answer:
        status, headers = self.read_head()
        if status == 100:
            status, headers = self.read_head()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(self.chunks())
        elif "content-length" in headers:
            body = self.reader.read(int(headers["content-length"]))
        else:
            body = self.reader.read()
        return Answer(status, headers, body)

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.read_answer()

    def is_closed(self) -> bool:
        """Waits for the server's end of the connection."""
        try:
            return self.reader.read(1) == b""
        except ConnectionResetError:
            return True


def ask(port: int, request: bytes) -> Answer:
    with Connection(port) as connection:
        return connection.ask(request)


def complete(port: int, **fields) -> Answer:
    return ask(port, post("/v1/completions", fields))


@dataclass
class Stream:
    """A whole stream, checked against the rules that hold for each: WIRE 1 to 6."""

    events: list = field(default_factory=list)
    texts: dict[int, str] = field(default_factory=dict)
    finish: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, list] = field(default_factory=dict)
    logprobs: dict[int, list] = field(default_factory=dict)
    usage: dict | None = None
    error: dict | None = None


def parse_stream(body: bytes, num_choices: int = 1) -> Stream:
    """Fails with AssertionError where the stream breaks a rule."""
    text = body.decode("utf-8")  # strict: a split character would fail in its chunk below
    events = text.split("\n\n")
    assert events[-1] == "", "the last event is not ended"
    events = [e for e in events[:-1] if not e.startswith(":")]
    assert all(e.startswith("data: ") and "\n" not in e for e in events), "not one data line each"
    payloads = [e.removeprefix("data: ") for e in events]
    assert payloads and payloads[-1] == "[DONE]", "no [DONE] at the end"
    assert payloads.count("[DONE]") == 1, "more than one [DONE]"
    stream = Stream()
    for payload in payloads[:-1]:
        add_event(stream, json.loads(payload))
    if stream.error is None:
        assert sorted(stream.finish) == list(range(num_choices)), f"choices ended: {stream.finish}"
    return stream


def add_event(stream: Stream, event: dict) -> None:
    assert stream.error is None, "an event after an error"
    if "error" in event:
        stream.error = event["error"]
        return
    stream.events.append(event)
    assert event["object"] == "text_completion"
    for key in ("id", "created", "model"):
        assert event[key] == stream.events[0][key], f"{key} changed within the stream"
    assert stream.usage is None or event["choices"], "two usage chunks"
    if not event["choices"]:
        stream.usage = event["usage"]
    for choice in event["choices"]:
        add_choice(stream, choice)


def add_choice(stream: Stream, choice: dict) -> None:
    index = choice["index"]
    assert {"index", "text", "logprobs", "finish_reason"} <= set(choice), f"keys: {choice}"
    assert index not in stream.finish, "a chunk after the choice's end"
    stream.texts[index] = stream.texts.get(index, "") + choice["text"]
    if choice["logprobs"]:
        stream.tokens.setdefault(index, []).extend(choice["logprobs"]["tokens"])
        stream.logprobs.setdefault(index, []).extend(choice["logprobs"]["token_logprobs"])
    if choice["finish_reason"] is not None:
        stream.finish[index] = choice["finish_reason"]


def complete_stream(port: int, num_choices: int = 1, **fields) -> Stream:
    answer = complete(port, stream=True, **fields)
    assert answer.status == 200, answer.body
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.headers
    return parse_stream(answer.body, num_choices)
