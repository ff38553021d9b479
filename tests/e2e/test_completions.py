"""/v1/completions with the official client: what is asked for is what comes."""

import unittest
from concurrent.futures import ThreadPoolExecutor

import openai

from tests.e2e.daemon import Daemon
from tests.e2e.wire import complete, complete_stream

PROMPT = "Once upon a time"


class Completions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())
        cls.client = cls.daemon.client()
        cls.model = cls.client.models.list().data[0].id

    def create(self, **fields):
        return self.client.completions.create(**{"model": self.model, "prompt": PROMPT,
                                                 "temperature": 0, **fields})

    def test_answer_has_text_and_usage(self):
        answer = self.create(max_tokens=12, extra_body={"ignore_eos": True})
        self.assertEqual(answer.object, "text_completion")
        self.assertTrue(answer.id.startswith("cmpl-"))
        self.assertTrue(answer.choices[0].text)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 12)
        self.assertGreater(answer.usage.prompt_tokens, 0)
        self.assertEqual(answer.usage.total_tokens,
                         answer.usage.prompt_tokens + answer.usage.completion_tokens)
        self.assertTrue(answer.system_fingerprint)

    def test_default_is_sixteen_tokens(self):
        for nothing in ({}, {"max_tokens": None}):
            answer = self.create(extra_body={"ignore_eos": True}, **nothing)
            self.assertEqual(answer.usage.completion_tokens, 16)

    def test_stream_says_the_same(self):
        whole = self.create(max_tokens=40)
        chunks = list(self.create(max_tokens=40, stream=True))
        self.assertEqual("".join(c.choices[0].text for c in chunks), whole.choices[0].text)
        reasons = [c.choices[0].finish_reason for c in chunks]
        self.assertEqual(reasons[-1], whole.choices[0].finish_reason)
        self.assertLessEqual(set(reasons[:-1]), {None})

    def test_stream_usage(self):
        chunks = list(self.create(max_tokens=5, stream=True, extra_body={"ignore_eos": True},
                                  stream_options={"include_usage": True}))
        self.assertEqual(chunks[-1].choices, [])
        self.assertEqual(chunks[-1].usage.completion_tokens, 5)
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))
        raw = complete_stream(self.daemon.port, prompt=PROMPT, max_tokens=5, temperature=0,
                              stream_options={"include_usage": True})
        self.assertTrue(all("usage" in e for e in raw.events))

    def test_continuous_usage(self):
        raw = complete_stream(
            self.daemon.port, prompt=PROMPT, max_tokens=6, temperature=0, ignore_eos=True,
            stream_options={"include_usage": True, "continuous_usage_stats": True})
        counts = [e["usage"]["completion_tokens"] for e in raw.events]
        self.assertEqual(counts, sorted(counts))
        self.assertEqual(counts[-1], 6)

    def test_several_prompts_and_choices(self):
        prompts = [PROMPT, "The cat", "One day"]
        many = self.create(prompt=prompts, n=2, max_tokens=10, temperature=1, seed=7)
        self.assertEqual([c.index for c in many.choices], list(range(6)))
        for i, prompt in enumerate(prompts):
            alone = self.create(prompt=prompt, n=2, max_tokens=10, temperature=1, seed=7)
            self.assertEqual([c.text for c in alone.choices],
                             [c.text for c in many.choices[2 * i:2 * i + 2]])
        single = [self.create(prompt=p, max_tokens=10).usage.prompt_tokens for p in prompts]
        self.assertEqual(many.usage.prompt_tokens, sum(single))
        stream = complete_stream(self.daemon.port, 6, prompt=prompts, n=2, max_tokens=10,
                                 temperature=1, seed=7)
        self.assertEqual([stream.texts[i] for i in range(6)], [c.text for c in many.choices])

    def test_token_prompts(self):
        tokens = complete_json(self.daemon.port, "/tokenize", prompt=PROMPT)["tokens"]
        as_text = self.create(max_tokens=8)
        self.assertEqual(self.create(prompt=tokens, max_tokens=8).choices[0].text,
                         as_text.choices[0].text)
        two = self.create(prompt=[tokens, tokens], max_tokens=8)
        self.assertEqual([c.text for c in two.choices], [as_text.choices[0].text] * 2)

    def test_tokenize_and_back(self):
        text = "Once upon a time, a caf\u00e9 \U0001f600\n\n  two  spaces"
        answer = complete_json(self.daemon.port, "/tokenize", prompt=text,
                               add_special_tokens=False)
        self.assertEqual(answer["count"], len(answer["tokens"]))
        back = complete_json(self.daemon.port, "/detokenize", tokens=answer["tokens"])
        self.assertEqual(back["prompt"], text)

    def test_seed_repeats_and_the_daemon_tells_its_own(self):
        hot = {"temperature": 1.5, "max_tokens": 24}
        first = self.create(seed=11, **hot).choices[0].text
        self.assertEqual(self.create(seed=11, **hot).choices[0].text, first)
        others = {self.create(seed=s, **hot).choices[0].text for s in range(20, 30)}
        self.assertGreater(len(others), 1)
        drawn = complete(self.daemon.port, prompt=PROMPT, **hot).json()
        again = complete(self.daemon.port, prompt=PROMPT, seed=drawn["seed"], **hot).json()
        self.assertEqual(again["choices"][0]["text"], drawn["choices"][0]["text"])

    def test_stop_string_across_tokens(self):
        text = self.create(max_tokens=60).choices[0].text
        for begin in range(4, min(len(text) - 12, 40), 5):
            stop = text[begin:begin + 9]
            expected = text[:text.index(stop)]
            answer = self.create(max_tokens=60, stop=stop).choices[0]
            self.assertEqual((answer.text, answer.finish_reason), (expected, "stop"), stop)
            stream = complete_stream(self.daemon.port, prompt=PROMPT, temperature=0, max_tokens=60,
                                     stop=["never said \u2603", stop])
            self.assertEqual((stream.texts[0], stream.finish[0]), (expected, "stop"))
        raw = complete(self.daemon.port, prompt=PROMPT, temperature=0, max_tokens=60, stop=[stop],
                       include_stop_str_in_output=True).json()["choices"][0]
        self.assertEqual(raw["text"], expected + stop)
        self.assertEqual(raw["stop_reason"], stop)

    def test_echo(self):
        plain = self.create(max_tokens=8)
        echoed = self.create(max_tokens=8, echo=True)
        self.assertEqual(echoed.choices[0].text, PROMPT + plain.choices[0].text)
        only = self.create(max_tokens=0, echo=True)
        self.assertEqual(only.choices[0].text, PROMPT)
        self.assertEqual(only.usage.completion_tokens, 0)

    def test_models(self):
        card = self.client.models.retrieve(self.model)
        self.assertEqual(card.object, "model")
        self.assertGreater(card.max_model_len, 0)
        with self.assertRaises(openai.NotFoundError):
            self.client.models.retrieve("no-such-model")
        with self.assertRaises(openai.NotFoundError):
            self.create(model="no-such-model", max_tokens=1)

    def test_context_length_is_refused_by_both_numbers(self):
        limit = self.client.models.retrieve(self.model).max_model_len
        with self.assertRaises(openai.BadRequestError) as caught:
            self.create(max_tokens=limit)
        self.assertIn(str(limit), caught.exception.message)

    def test_sixty_four_at_once(self):
        alone = [self.create(prompt=f"Story {i}:", max_tokens=20, temperature=0.9, seed=i)
                 for i in range(64)]
        with ThreadPoolExecutor(64) as pool:
            together = list(pool.map(
                lambda i: self.create(prompt=f"Story {i}:", max_tokens=20, temperature=0.9, seed=i),
                range(64)))
        self.assertEqual([a.choices[0].text for a in alone],
                         [t.choices[0].text for t in together])


class Logprobs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = cls.enterClassContext(Daemon())

    def create(self, **fields):
        answer = complete(self.daemon.port, prompt=PROMPT, temperature=0, **fields)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json()["choices"][0]

    def test_chosen_and_best(self):
        choice = self.create(max_tokens=10, logprobs=3, ignore_eos=True)
        logprobs = choice["logprobs"]
        self.assertEqual(len(logprobs["tokens"]), 10)
        self.assertEqual("".join(logprobs["tokens"]), choice["text"])
        for token, value, best in zip(logprobs["tokens"], logprobs["token_logprobs"],
                                      logprobs["top_logprobs"]):
            self.assertLessEqual(value, 0)
            self.assertAlmostEqual(best[token], value, places=6)
            self.assertEqual(max(best.values()), best[token], "greedy takes the best")
            self.assertGreaterEqual(len(best), 3)
            self.assertLessEqual(len(best), 4)

    def test_offsets_count_characters(self):
        logprobs = self.create(max_tokens=10, logprobs=0)["logprobs"]
        at = 0
        for offset, token in zip(logprobs["text_offset"], logprobs["tokens"]):
            self.assertEqual(offset, at)
            at += len(token)
        # The chosen token is always among the best, and with 0 of them alone.
        self.assertEqual(logprobs["top_logprobs"], [
            {token: value} for token, value in zip(logprobs["tokens"], logprobs["token_logprobs"])])

    def test_echo_scores_the_prompt(self):
        choice = self.create(max_tokens=2, logprobs=1, echo=True, ignore_eos=True)
        logprobs = choice["logprobs"]
        self.assertIsNone(logprobs["token_logprobs"][0])
        self.assertTrue(all(v <= 0 for v in logprobs["token_logprobs"][1:]))
        scored = self.create(max_tokens=0, logprobs=1, echo=True)["logprobs"]
        self.assertEqual(scored["tokens"], logprobs["tokens"][:-2])
        self.assertEqual(scored["token_logprobs"], logprobs["token_logprobs"][:-2])

    def test_prompt_scores_equal_generated_ones(self):
        generated = self.create(max_tokens=12, logprobs=0, ignore_eos=True)
        text = PROMPT + generated["text"]
        tokens = complete_json(self.daemon.port, "/tokenize", prompt=PROMPT)["tokens"]
        scored = complete(self.daemon.port, prompt=text, max_tokens=0, echo=True, logprobs=0,
                          temperature=0).json()["choices"][0]["logprobs"]
        if scored["tokens"][len(tokens):] != generated["logprobs"]["tokens"]:
            self.skipTest("the text is cut into other tokens when it is read back")
        self.assertEqual(scored["token_logprobs"][len(tokens):],
                         generated["logprobs"]["token_logprobs"])

    def test_stream_has_the_same_logprobs(self):
        whole = self.create(max_tokens=20, logprobs=2)["logprobs"]
        stream = complete_stream(self.daemon.port, prompt=PROMPT, temperature=0, max_tokens=20,
                                 logprobs=2)
        self.assertEqual(stream.tokens[0], whole["tokens"])
        self.assertEqual(stream.logprobs[0], whole["token_logprobs"])


def complete_json(port: int, path: str, **fields) -> dict:
    from tests.e2e.wire import ask, post
    answer = ask(port, post(path, fields))
    assert answer.status == 200, answer.body
    return answer.json()


if __name__ == "__main__":
    unittest.main(verbosity=2)
