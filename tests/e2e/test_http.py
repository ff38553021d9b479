"""The HTTP surface over raw sockets: framing that must be refused, and headers that must be right."""

import json
import unittest

from tests.e2e.daemon import Daemon
from tests.e2e.wire import Connection, ask, get, post

BODY = json.dumps({"prompt": "The cat", "max_tokens": 2}).encode()


def raw(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


def head(*extra: str, target: str = "/v1/completions", version: str = "HTTP/1.1",
         host: str = "Host: x") -> tuple[str, ...]:
    return tuple(line for line in (f"POST {target} {version}", host,
                                   "Content-Type: application/json", *extra) if line)


def chunked(body: bytes, size: int = 7, trailer: bytes = b"") -> bytes:
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n" + trailer + b"\r\n"


LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = "Transfer-Encoding: chunked"

# name -> bytes that must be answered with a 4xx and the end of the connection
MALFORMED = {
    "gzip then length": raw(*head("Transfer-Encoding: gzip", LENGTH), body=BODY),
    "chunked and length": raw(*head(CHUNKED, LENGTH), body=chunked(BODY)),
    "length and chunked": raw(*head(LENGTH, CHUNKED), body=chunked(BODY)),
    "chunked in HTTP/1.0": raw(*head(CHUNKED, version="HTTP/1.0"), body=chunked(BODY)),
    "chunked twice": raw(*head(CHUNKED, CHUNKED), body=chunked(BODY)),
    "chunked, chunked": raw(*head("Transfer-Encoding: chunked, chunked"), body=chunked(BODY)),
    "xchunked": raw(*head("Transfer-Encoding: xchunked"), body=chunked(BODY)),
    "chunked with a tab": raw(*head("Transfer-Encoding:\tchunked\x0b"), body=chunked(BODY)),
    "two equal lengths": raw(*head(LENGTH, LENGTH), body=BODY),
    "a list of lengths": raw(*head(f"{LENGTH}, {len(BODY)}"), body=BODY),
    "two lengths": raw(*head(LENGTH, "Content-Length: 5"), body=BODY),
    "length +": raw(*head(f"Content-Length: +{len(BODY)}"), body=BODY),
    "length -1": raw(*head("Content-Length: -1"), body=BODY),
    "length 0x": raw(*head("Content-Length: 0x10"), body=BODY),
    "length beyond 2^64": raw(*head("Content-Length: 18446744073709551617"), body=BODY),
    "no host": raw(*head(LENGTH, host=""), body=BODY),
    "two hosts": raw(*head("Host: y", LENGTH), body=BODY),
    "folded header": raw(*head("X-A: 1", " folded", LENGTH), body=BODY),
    "space before the colon": raw(*head(f"Content-Length : {len(BODY)}"), body=BODY),
    "bad chunk size": raw(*head(CHUNKED), body=b"zz\r\n"),
    "negative chunk size": raw(*head(CHUNKED), body=b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size beyond 2^64": raw(*head(CHUNKED), body=b"fffffffffffffffff\r\n"),
    "chunk without an end": raw(*head(CHUNKED), body=b"5\r\nhelloXX0\r\n\r\n"),
    "endless chunk extension": raw(*head(CHUNKED), body=b"5;" + b"a" * 100000),
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"A" * 64 + b"\r\n\r\n",
    "no version": b"GET /health\r\n\r\n",
    "HTTP/2.0": raw("GET /health HTTP/2.0", "Host: x"),
    "NUL in a header": raw("GET /health HTTP/1.1", "Host: x", "X-A: a\0b"),
    "long target": raw("GET /" + "a" * 20000 + " HTTP/1.1", "Host: x"),
    "large header": raw("GET /health HTTP/1.1", "Host: x", "X-A: " + "a" * 70000),
    "many headers": raw("GET /health HTTP/1.1", "Host: x", *[f"X-{i}: 1" for i in range(2000)]),
    "trailer": raw(*head(CHUNKED), body=chunked(BODY, trailer=b"X-Tenant: evil\r\n")),
    "oversized trailer": raw(*head(CHUNKED),
                             body=chunked(BODY, trailer=b"X-T: " + b"a" * 66000 + b"\r\n")),
    "endless trailer": raw(*head(CHUNKED), body=chunked(BODY)[:-2] + b"X-T: " + b"a" * 3000000),
}


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def test_malformed_framing_is_refused_and_closes(self):
        for name, request in MALFORMED.items():
            with self.subTest(name), Connection(self.daemon.port) as connection:
                try:
                    connection.send(request)
                    status, _ = connection.read_head()
                except (ConnectionResetError, BrokenPipeError):
                    status = None  # closed while we still sent: the answer may be lost in the reset
                if status is not None:
                    self.assertIn(status, range(400, 500))
                    connection.reader.read()  # ends only when the server closes
            self.assertTrue(self.daemon.alive(), name)
            self.assertEqual(self.daemon.health(), 200, name)

    def test_oversized_trailer_does_not_kill(self):
        # The request that ends an ordinary Beast 1.81 server: 66,000 bytes in one trailer field.
        for _ in range(20):
            with Connection(self.daemon.port) as connection:
                connection.send(MALFORMED["oversized trailer"])
                try:
                    connection.reader.read()
                except ConnectionResetError:
                    pass
        self.assertEqual(ask(self.daemon.port, post("/v1/completions", BODY)).status, 200)

    def test_chunked_bodies_are_served(self):
        for size in (1, 7, 1000):
            answer = ask(self.daemon.port, raw(*head(CHUNKED), body=chunked(BODY, size)))
            self.assertEqual(answer.status, 200, answer.body)

    def test_bytes_may_come_one_by_one(self):
        with Connection(self.daemon.port) as connection:
            for byte in post("/v1/completions", BODY):
                connection.send(bytes((byte,)))
            self.assertEqual(connection.read_answer().status, 200)

    def test_keep_alive_and_pipelining(self):
        with Connection(self.daemon.port) as connection:
            for _ in range(5):
                self.assertEqual(connection.ask(post("/v1/completions", BODY)).status, 200)
            connection.send(get("/version") * 3)
            self.assertEqual([connection.read_answer().status for _ in range(3)], [200] * 3)

    def test_connection_close_is_honoured(self):
        with Connection(self.daemon.port) as connection:
            answer = connection.ask(get("/health", headers="Connection: close\r\n"))
            self.assertEqual(answer.status, 200)
            self.assertTrue(connection.is_closed())

    def test_http_1_0(self):
        with Connection(self.daemon.port) as connection:
            connection.send(b"GET /version HTTP/1.0\r\nHost: x\r\n\r\n")
            self.assertEqual(connection.read_answer().status, 200)
            self.assertTrue(connection.is_closed())

    def test_expect(self):
        with Connection(self.daemon.port) as connection:
            connection.send(raw(*head(LENGTH, "Expect: 100-continue")))
            self.assertEqual(connection.read_head()[0], 100)
            connection.send(BODY)
            self.assertEqual(connection.read_answer().status, 200)
        answer = ask(self.daemon.port, raw(*head(LENGTH, "Expect: something"), body=BODY))
        self.assertEqual(answer.status, 417)

    def test_statuses(self):
        cases = {
            404: [get("/nothing"), get("/v1/models/nobody"), post("/v1/nothing", BODY)],
            405: [get("/v1/completions"), post("/health", b"{}"), post("/v1/models", b"{}")],
            415: [raw("POST /v1/completions HTTP/1.1", "Host: x", "Content-Type: text/xml", LENGTH,
                      body=BODY),
                  raw(*head("Content-Encoding: gzip", LENGTH), body=BODY)],
            413: [raw(*head("Content-Length: 1000000000"))],
            200: [get("/health"), get("/livez"), get("/version"), get("/v1/models")],
        }
        for status, requests in cases.items():
            for request in requests:
                with self.subTest(status=status, request=request[:40]):
                    answer = ask(self.daemon.port, request)
                    self.assertEqual(answer.status, status, answer.body)
                    if status >= 400:
                        self.assertEqual(set(answer.json()["error"]),
                                         {"message", "type", "param", "code"})
                        self.assertLessEqual(len(answer.body), 1024)

    def test_body_beyond_the_limit(self):
        for request in (post("/v1/completions", b'{"prompt": "' + b"a" * (64 << 20) + b'"}'),
                        raw(*head(CHUNKED), body=b"1000000\r\n" + b"a" * 0x1000000)):
            with Connection(self.daemon.port) as connection:
                try:
                    connection.send(request)
                    self.assertEqual(connection.read_answer().status, 413)
                except (ConnectionResetError, BrokenPipeError):
                    pass  # closed while we still sent
            self.assertEqual(self.daemon.health(), 200)

    def test_request_id(self):
        answer = ask(self.daemon.port, get("/version", headers="X-Request-Id: abc-1.2_3\r\n"))
        self.assertEqual(answer.headers["x-request-id"], "abc-1.2_3")
        for bad in ("a b", "a" * 129, "caf\u00e9", "a;b", ""):
            made = ask(self.daemon.port, get("/version", headers=f"X-Request-Id: {bad}\r\n"))
            if made.status == 200:
                self.assertNotEqual(made.headers["x-request-id"], bad)
                self.assertRegex(made.headers["x-request-id"], r"^[A-Za-z0-9._-]{1,128}$")

    def test_no_cors_by_default(self):
        answer = ask(self.daemon.port, get("/version", headers="Origin: http://evil.test\r\n"))
        self.assertNotIn("access-control-allow-origin", answer.headers)


if __name__ == "__main__":
    unittest.main(verbosity=2)
