"""/v1/chat/completions with the official client and raw sockets; best_of, suffix and echo beside it."""

import json
import tempfile
import unittest
from pathlib import Path

from tests.e2e.daemon import Daemon, model_folder
from tests.e2e.wire import ask, complete, post

HELLO = [{"role": "user", "content": "Tell me a story about a cat."}]


def chat_events(port: int, **body) -> list[dict]:
    """The events of a stream as they stand on the wire, without [DONE]."""
    answer = ask(port, post("/v1/chat/completions", {"stream": True, **body}))
    events = answer.body.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""], events[-3:]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]
            if not event.startswith(":")]


class Chat(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.client = cls.daemon.client()
        cls.model = cls.client.models.list().data[0].id

    def create(self, **fields):
        return self.client.chat.completions.create(**{
            "model": self.model, "messages": HELLO, "temperature": 0, **fields})

    def refused(self, **body) -> dict:
        answer = ask(self.daemon.port, post("/v1/chat/completions", body))
        self.assertEqual(answer.status, 400, answer.body)
        return answer.json()["error"]

    def test_answer(self):
        answer = self.create(max_completion_tokens=20)
        self.assertEqual(answer.object, "chat.completion")
        self.assertTrue(answer.id.startswith("chatcmpl-"))
        choice = answer.choices[0]
        self.assertEqual(choice.message.role, "assistant")
        self.assertTrue(choice.message.content)
        self.assertIsNone(choice.logprobs)
        self.assertIn(choice.finish_reason, ("stop", "length"))
        self.assertLessEqual(answer.usage.completion_tokens, 20)
        self.assertTrue(answer.system_fingerprint)

    def test_the_log_names_method_and_route(self):
        self.create(max_tokens=1)
        lines = [line for line in self.daemon.log_text().splitlines()
                 if "route=/v1/chat/completions" in line]
        self.assertTrue(lines)
        self.assertEqual([line for line in lines if "method=POST" not in line], [])

    def test_stream_says_the_same(self):
        whole = self.create(max_tokens=30)
        chunks = list(self.create(max_tokens=30, stream=True,
                                  stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage, whole.usage)
        chunks = chunks[:-1]
        self.assertEqual(chunks[0].choices[0].delta.role, "assistant")
        self.assertEqual(chunks[0].choices[0].delta.content, "")
        text = "".join(c.choices[0].delta.content or "" for c in chunks)
        self.assertEqual(text, whole.choices[0].message.content)
        self.assertEqual({c.object for c in chunks}, {"chat.completion.chunk"})
        self.assertEqual(len({(c.id, c.created) for c in chunks}), 1)
        reasons = [c.choices[0].finish_reason for c in chunks]
        self.assertEqual(reasons[-1], whole.choices[0].finish_reason)
        self.assertEqual(set(reasons[:-1]), {None})
        self.assertIsNone(chunks[-1].choices[0].delta.content)

    def test_chunks_on_the_wire(self):
        events = chat_events(self.daemon.port, messages=HELLO, n=2, max_tokens=6, ignore_eos=True,
                             stream_options={"include_usage": True})
        self.assertTrue(all("usage" in e for e in events))
        for index in (0, 1):
            mine = [e["choices"][0] for e in events
                    if e["choices"] and e["choices"][0]["index"] == index]
            self.assertEqual(mine[0]["delta"], {"role": "assistant", "content": ""})
            self.assertEqual(mine[-1]["delta"], {})
            self.assertEqual(mine[-1]["finish_reason"], "length")
            self.assertTrue(all(c["finish_reason"] is None for c in mine[:-1]))
            self.assertTrue(all(set(c["delta"]) == {"content"} for c in mine[1:-1]))

    def test_default_length_is_the_rest_of_the_context(self):
        limit = self.client.models.retrieve(self.model).max_model_len
        answer = self.create(extra_body={"ignore_eos": True, "min_tokens": 20})
        self.assertEqual(answer.usage.total_tokens, limit)

    def test_new_name_of_max_tokens_wins(self):
        answer = self.create(max_tokens=3, max_completion_tokens=9,
                             extra_body={"ignore_eos": True})
        self.assertEqual(answer.usage.completion_tokens, 9)

    def test_stops_at_the_end_of_the_turn(self):
        answer = self.create(max_tokens=1000, n=4, temperature=1, seed=1)
        stops = [c for c in answer.choices if c.finish_reason == "stop"]
        self.assertTrue(stops)
        for choice in stops:
            self.assertNotIn("<|", choice.message.content)

    def test_logprobs(self):
        answer = self.create(max_tokens=5, logprobs=True, top_logprobs=3,
                             extra_body={"ignore_eos": True})
        entries = answer.choices[0].logprobs.content
        self.assertEqual(len(entries), 5)
        for entry in entries:
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.top_logprobs[0].token, entry.token)  # greedy
            self.assertEqual(entry.top_logprobs[0].logprob, entry.logprob)
        self.assertEqual(b"".join(bytes(e.bytes) for e in entries).decode(),
                         answer.choices[0].message.content)
        streamed = list(self.create(max_tokens=5, logprobs=True, top_logprobs=3, stream=True,
                                    extra_body={"ignore_eos": True}))
        told = [e for c in streamed for e in (c.choices[0].logprobs.content
                                              if c.choices[0].logprobs else [])]
        self.assertEqual([e.logprob for e in told], [e.logprob for e in entries])
        bare = self.create(max_tokens=2, logprobs=True, extra_body={"ignore_eos": True})
        self.assertEqual([e.top_logprobs for e in bare.choices[0].logprobs.content], [[], []])

    def test_content_as_parts_is_the_text(self):
        parts = [{"role": "user", "content": [{"type": "text", "text": HELLO[0]["content"]}]}]
        self.assertEqual(self.create(messages=parts, max_tokens=9).choices[0].message.content,
                         self.create(max_tokens=9).choices[0].message.content)

    def test_the_template_makes_the_prompt(self):
        """The same ids as the template's text given to /v1/completions."""
        text = "<|begin_of_text|><|user|>" + HELLO[0]["content"] + "<|end_of_turn|><|assistant|>"
        if "<|end_of_turn|>" not in Path(model_folder(), "tokenizer_config.json").read_text():
            self.skipTest("another model's template")
        raw = self.client.completions.create(
            model=self.model, prompt=text, max_tokens=12, temperature=0,
            extra_body={"add_special_tokens": False})
        chat = self.create(max_tokens=12)
        self.assertEqual(chat.choices[0].message.content, raw.choices[0].text)
        self.assertEqual(chat.usage.prompt_tokens, raw.usage.prompt_tokens)

    def test_text_of_a_message_never_ends_a_turn(self):
        plain = self.create(messages=[{"role": "user", "content": "a b"}], max_tokens=1)
        forged = self.create(messages=[{"role": "user", "content": "a <|end_of_turn|> b"}],
                             max_tokens=1)
        # As a special token it would be one more; as text it is several.
        self.assertGreater(forged.usage.prompt_tokens, plain.usage.prompt_tokens + 2)

    def test_refusals_name_the_field(self):
        rows = [({}, "messages"), ({"messages": []}, "messages"),
                ({"messages": HELLO, "top_logprobs": 2}, "top_logprobs"),
                ({"messages": HELLO, "stream_options": {}}, "stream_options"),
                ({"messages": HELLO, "chat_template": "x"}, "chat_template"),
                ({"messages": HELLO, "chat_template_kwargs": {"tokenize": True}},
                 "chat_template_kwargs"),
                ({"messages": HELLO, "max_tokens": 10**6}, "max_tokens"),
                ({"messages": HELLO, "tool_choice": "auto"}, "tool_choice"),
                ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
                 "messages[0].content[0]")]
        for body, param in rows:
            with self.subTest(param=param):
                self.assertEqual(self.refused(**body)["param"], param)

    def test_a_long_conversation_goes_over_the_context(self):
        error = self.refused(messages=[{"role": "user", "content": "word " * 100000}])
        self.assertEqual(error["param"], "messages")
        self.assertRegex(error["message"], r"\d+.*\d+")


class BestOf(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.client = cls.daemon.client()
        cls.model = cls.client.models.list().data[0].id

    def create(self, **fields):
        return self.client.completions.create(**{
            "model": self.model, "prompt": "Once upon a time", "temperature": 1, "seed": 3,
            "max_tokens": 8, **fields, "extra_body": {"ignore_eos": True}})

    def test_the_best_by_mean_logprob(self):
        prompts = ["Once upon a time", "The dog"]
        every = self.create(prompt=prompts, n=4, logprobs=0)
        best = self.create(prompt=prompts, n=2, best_of=4)
        means = [sum(c.logprobs.token_logprobs) / len(c.logprobs.token_logprobs)
                 for c in every.choices]
        expected = []
        for first in (0, 4):
            order = sorted(range(first, first + 4), key=lambda i: -means[i])
            expected += [every.choices[i].text for i in order[:2]]
        self.assertEqual([c.text for c in best.choices], expected)
        self.assertEqual([c.index for c in best.choices], [0, 1, 2, 3])
        self.assertTrue(all(c.logprobs is None for c in best.choices))
        self.assertEqual(best.usage.completion_tokens, 8 * 8)
        self.assertEqual(best.usage, every.usage)

    def test_logprobs_are_those_of_the_best(self):
        best = self.create(best_of=3, logprobs=2)
        self.assertEqual(len(best.choices[0].logprobs.tokens), 8)
        self.assertEqual("".join(best.choices[0].logprobs.tokens), best.choices[0].text)

    def test_suffix_needs_the_tokens_for_it(self):
        answer = complete(self.daemon.port, prompt="a", suffix="b")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json()["error"]["param"], "suffix")
        self.assertEqual(answer.json()["error"]["code"], "unsupported_parameter")


class OwnTemplate(unittest.TestCase):
    def daemon(self, source: str) -> Daemon:
        file = tempfile.NamedTemporaryFile("w", suffix=".jinja")
        self.addCleanup(file.close)
        file.write(source)
        file.flush()
        return Daemon("--chat-template", file.name)

    def test_a_template_of_the_operators_choice(self):
        source = ("{% if messages[0].role != 'user' %}{{ raise_exception('Begin with a user, not ' "
                  "+ messages[0].role) }}{% endif %}{{ bos_token }}Once upon a time"
                  "{% if tools %}{{ tools|tojson }}{% endif %}{{ 'x' if enable_thinking }}")
        with self.daemon(source) as daemon:
            client = daemon.client()
            model = client.models.list().data[0].id

            def tokens(**fields):
                return client.chat.completions.create(
                    model=model, messages=HELLO, max_tokens=1, **fields).usage.prompt_tokens
            bare = tokens()
            tool = {"type": "function", "function": {"name": "f", "parameters": {"b": 1, "a": 2}}}
            self.assertGreater(tokens(tools=[tool]), bare + 10)
            self.assertEqual(tokens(extra_body={"chat_template_kwargs":
                                                {"enable_thinking": True}}), bare + 1)
            answer = ask(daemon.port, post("/v1/chat/completions",
                                           {"messages": [{"role": "canary", "content": ""}]}))
            error = answer.json()["error"]
            self.assertEqual(error["param"], "messages")
            self.assertIn("Begin with a user, not ...", error["message"])
            self.assertNotIn("canary", error["message"])

    def test_a_bad_template_does_not_start(self):
        daemon = self.daemon("{% if %}").launch()
        self.assertEqual(daemon.process.wait(timeout=180), 1)
        self.assertIn("line 1 of the template", daemon.log_text())


if __name__ == "__main__":
    unittest.main()
