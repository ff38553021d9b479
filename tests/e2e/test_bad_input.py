"""Every field of /v1/completions with every kind of wrong value: 400 that names the field.

Beside it a control stream runs again and again; each of its answers must be the same to the byte.
"""

import json
import threading
import unittest

from tests.e2e.daemon import Daemon
from tests.e2e.wire import Connection, ask, complete, parse_stream, post

# Raw JSON, so that values stand here which no encoder would write.
NUMBERS_BEYOND = ["1e999", "-1e999", "Infinity", "-Infinity", "NaN", "9223372036854775808",
                  "-9223372036854775809", "18446744073709551616", "1" + "0" * 400]
NOT_NUMBERS = ['""', '"1"', "[]", "{}", "true", "[1]"]
NOT_INTEGERS = ["0.5", "1e-3", *NOT_NUMBERS]
NOT_BOOLEANS = ["0", "1", '""', '"true"', "[]", "{}", "1e999"]

MARKER = "zyxmarker"
DEEP = "[" * 40 + "]" * 40

# field -> values that must be refused
WRONG = {
    "model": ["1", "[]", "{}", "true"],
    "prompt": ["1", "true", "{}", "[]", '""', "[[]]", '[""]', "[1.5]", "[true]", "[null]",
               '["a", 1]', '[1, "a"]', "[[1], [\"a\"]]", "[-1]", "[2147483647]", "[1e999]",
               "[9223372036854775808]", DEEP],
    "max_tokens": ["-1", "0", "1e9", "2147483648", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "min_tokens": ["-1", "2147483648", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "temperature": ["-0.1", "1e30", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "top_p": ["-0.1", "0", "1.1", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "top_k": ["-2", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "min_p": ["-0.1", "1.1", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "repetition_penalty": ["0", "-1", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "presence_penalty": ["-2.1", "2.1", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "frequency_penalty": ["-2.1", "2.1", *NOT_NUMBERS, *NUMBERS_BEYOND],
    "logit_bias": ["1", '""', "[]", "true", '{"a": 1}', '{"-1": 1}', '{"1": 101}', '{"1": -101}',
                   '{"1": "1"}', '{"1": null}', '{"99999999": 1}', '{"1": 1e999}', '{"1.5": 1}',
                   '{"9223372036854775808": 1}', '{"": 1}',
                   json.dumps({str(i): 1 for i in range(1025)})],
    "logprobs": ["-1", "21", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "n": ["0", "-1", "9", "2147483648", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "best_of": ["0", "-1", "9999", *NOT_INTEGERS, *NUMBERS_BEYOND],
    "seed": [*NOT_INTEGERS, *NUMBERS_BEYOND[:5], NUMBERS_BEYOND[-1]],
    "priority": [*NOT_INTEGERS, *NUMBERS_BEYOND],
    "stop": ["1", "true", "{}", "[1]", '[""]', '["a", null]', '["a","b","c","d","e"]',
             json.dumps("x" * 257), json.dumps(["y" * 257])],
    "stop_token_ids": ["1", '""', "{}", "[-1]", "[1.5]", '["1"]', "[null]", "[99999999]",
                       "[9223372036854775808]", "[1e999]"],
    "stream_options": ["1", '""', "[]", "true", '{"include_usage": 1}',
                       '{"continuous_usage_stats": "yes"}'],
    "cache_salt": ["1", "[]", "{}", "true"],
    "suffix": ["1", "[]", '"a tail"'],
    **{field: NOT_BOOLEANS for field in (
        "echo", "stream", "ignore_eos", "include_stop_str_in_output", "skip_special_tokens",
        "add_special_tokens")},
}

# Fields that are known and not served: refused by name whatever they hold.
UNSUPPORTED = {
    "response_format": '{"type": "json_object"}',
    "prompt_embeds": '"AAAA"',
    "lora_request": '{"name": "a"}',
}


def body_with(field: str, value: str, **others) -> str:
    fields = {"prompt": json.dumps("The cat"), "max_tokens": "1",
              **{k: json.dumps(v) for k, v in others.items()}, field: value}
    if field == "stream_options":
        fields["stream"] = "true"
    return "{" + ", ".join(f'"{k}": {v}' for k, v in fields.items()) + "}"


class ControlStream(threading.Thread):
    """One stream after another while the matrix runs; collects what differs from the first."""

    def __init__(self, port: int):
        super().__init__(daemon=True)
        self.request = post("/v1/completions", {
            "prompt": "Once upon a time", "temperature": 1, "seed": 5, "max_tokens": 48,
            "ignore_eos": True, "stream": True, "n": 2, "logprobs": 2})
        self.port, self.over, self.rounds, self.problems = port, threading.Event(), 0, []
        self.expected = self.once()

    def once(self):
        answer = ask(self.port, self.request)
        stream = parse_stream(answer.body, 2)
        return stream.texts, stream.tokens, stream.logprobs, stream.finish

    def run(self):
        while not self.over.is_set():
            try:
                if self.once() != self.expected:
                    self.problems.append("another answer")
            except Exception as error:  # whatever it is, it is what the test is about
                self.problems.append(repr(error))
            self.rounds += 1


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        # A pool that is in memory before ready: else its background touching reads as growth.
        cls.daemon = cls.enterClassContext(Daemon("--kv-cache-memory", "16MiB"))
        cls.control = ControlStream(cls.daemon.port)
        cls.control.start()
        cls.addClassCleanup(cls.check_control)

    @classmethod
    def check_control(cls):
        cls.control.over.set()
        cls.control.join(120)
        assert cls.control.rounds > 0, "the control stream never came round"
        assert not cls.control.problems, cls.control.problems[:3]

    def refuse(self, connection: Connection, body: str | bytes, field: str | None):
        answer = connection.ask(post("/v1/completions", body))
        shown = body[:120]
        self.assertEqual(answer.status, 400, (shown, answer.body))
        self.assertLessEqual(len(answer.body), 1024, shown)
        error = answer.json()["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"}, shown)
        self.assertEqual(error["type"], "invalid_request_error", shown)
        self.assertNotIn(MARKER.encode(), answer.body)
        if field is not None:
            self.assertTrue(error["param"] and error["param"].startswith(field),
                            (shown, answer.body))

    def test_every_field_with_every_wrong_value(self):
        count = 0
        for field, values in WRONG.items():
            with Connection(self.daemon.port) as connection:
                for value in values:
                    with self.subTest(field=field, value=value[:40]):
                        self.refuse(connection, body_with(field, value), field)
                        count += 1
        self.assertGreater(count, 250)
        print(f"{count} wrong values refused")

    def test_null_means_absent(self):
        for field in WRONG:
            if field == "prompt":
                continue
            with self.subTest(field=field):
                answer = ask(self.daemon.port, post("/v1/completions", body_with(field, "null")))
                self.assertEqual(answer.status, 200, answer.body)

    def test_boundaries_are_accepted(self):
        bounds = {"temperature": ["0", "2"], "top_p": ["1", "1e-3"], "top_k": ["0", "-1", "1"],
                  "min_p": ["0", "1"], "presence_penalty": ["-2", "2"],
                  "frequency_penalty": ["-2", "2"], "logprobs": ["0", "20"], "n": ["1", "8"],
                  "logit_bias": ['{"1": 100, "2": -100}', "{}"], "max_tokens": ["1", "1.0"],
                  "seed": ["0", "9223372036854775807"], "stop": ["[]", json.dumps("x" * 256)],
                  "user": ['"somebody"'], "metadata": ['{"a": [1]}'], "store": ["false"]}
        for field, values in bounds.items():
            for value in values:
                with self.subTest(field=field, value=value[:40]):
                    answer = ask(self.daemon.port,
                                 post("/v1/completions", body_with(field, value)))
                    self.assertEqual(answer.status, 200, answer.body)

    def test_unsupported_fields_are_named(self):
        for field, value in UNSUPPORTED.items():
            with self.subTest(field=field), Connection(self.daemon.port) as connection:
                self.refuse(connection, body_with(field, value), field)

    def test_duplicate_keys(self):
        with Connection(self.daemon.port) as connection:
            self.refuse(connection, '{"prompt": "a", "n": 1, "n": 99}', "n")
            self.refuse(connection, '{"prompt": "a", "prompt": "b"}', "prompt")
            self.refuse(connection, '{"prompt": "a", "logit_bias": {"1": 1, "1": 2}}', "logit_bias")

    def test_no_json(self):
        bodies = [b"", b"{", b"[]", b"1", b'"a"', b"null", b"{}", b'{"prompt"}', b"\xff\xfe",
                  b'{"prompt": "\xff"}', b'{"prompt": "\\ud800"}', b'{"prompt": "a",}',
                  b'{"prompt": "a"} x', b"\xef\xbb\xbf{}", b'{"prompt": "a", "user": ' +
                  b"[" * 100000 + b"]" * 100000 + b"}", b'{"a":' * 5000,
                  b'{"prompt": "a", "max_tokens": ' + b"9" * 100000 + b"}"]
        for body in bodies:
            with self.subTest(body=body[:40]), Connection(self.daemon.port) as connection:
                self.refuse(connection, body, None)

    def test_input_is_never_echoed(self):
        for field in ("n", "prompt", MARKER, "logit_bias", "stop"):
            body = body_with(field, json.dumps({MARKER: MARKER * 100}), nothing=MARKER)
            answer = ask(self.daemon.port, post("/v1/completions", body))
            self.assertNotIn(MARKER.encode(), answer.body if answer.status >= 400 else b"")

    def test_stream_options_without_stream(self):
        answer = complete(self.daemon.port, prompt="a", stream_options={"include_usage": True})
        self.assertEqual(answer.status, 400, answer.body)
        self.assertTrue(answer.json()["error"]["param"].startswith("stream_options"))

    def test_memory_stays(self):
        # A request for the most of everything that is refused costs no memory.
        before = self.daemon.memory()
        with Connection(self.daemon.port) as connection:
            for _ in range(200):
                self.refuse(connection, body_with("n", "2147483647", max_tokens=2000), "n")
                self.refuse(connection, body_with("logprobs", "21"), "logprobs")
        self.assertLess(self.daemon.memory() - before, 16 << 20)


if __name__ == "__main__":
    unittest.main(verbosity=2)
