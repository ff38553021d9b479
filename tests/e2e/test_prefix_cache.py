"""The prefix cache on the wire: cached_tokens, who shares with whom, and the same answer."""

import hashlib
import os
import tempfile
import unittest

from tests.e2e.daemon import Daemon

PROMPT = "Once upon a time there was a small fox who lived near the river. " * 4


class PrefixCache(unittest.TestCase):
    def ask(self, client, prompt=PROMPT, **extra):
        model = client.models.list().data[0].id
        answer = client.completions.create(model=model, prompt=prompt, max_tokens=4, temperature=0,
                                           n=extra.pop("n", 1), extra_body=extra)
        return answer.choices[0].text, answer.usage

    def test_a_prompt_asked_again_is_a_hit_and_answers_the_same(self):
        with Daemon() as daemon:
            client = daemon.client()
            text, first = self.ask(client)
            again, second = self.ask(client)
            self.assertEqual(text, again)
            self.assertEqual(first.prompt_tokens_details.cached_tokens, 0)
            self.assertEqual(second.prompt_tokens_details.cached_tokens, second.prompt_tokens - 1)
            _, longer = self.ask(client, PROMPT + " And then")
            self.assertGreater(longer.prompt_tokens_details.cached_tokens, 16)

    def test_n_choices_count_the_prompt_once(self):
        with Daemon() as daemon:
            client = daemon.client()
            _, usage = self.ask(client, n=3)
            self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0)
            _, usage = self.ask(client, n=3)
            self.assertEqual(usage.prompt_tokens_details.cached_tokens, usage.prompt_tokens - 1)

    def test_cache_salt_narrows(self):
        with Daemon() as daemon:
            client = daemon.client()
            self.ask(client)
            for salt in ("a", "b"):
                _, usage = self.ask(client, cache_salt=salt)
                self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0)
            _, usage = self.ask(client, cache_salt="a")
            self.assertGreater(usage.prompt_tokens_details.cached_tokens, 0)

    def test_tenants_share_nothing_whatever_they_send(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys")
            with open(path, "w", opener=lambda p, f: os.open(p, f, 0o600)) as file:
                for name in ("alice", "bob"):
                    digest = hashlib.sha256(f"key-of-{name}".encode()).hexdigest()
                    file.write(f"{name}:{digest}\n")
            with Daemon("--api-key-file", path) as daemon:
                alice, bob = (daemon.client().with_options(api_key=f"key-of-{name}") for name in ("alice", "bob"))
                for salt in ({}, {"cache_salt": "same"}):
                    _, usage = self.ask(alice, **salt)
                    self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0)
                    _, usage = self.ask(bob, **salt)
                    self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0)
                    _, usage = self.ask(alice, **salt)  # not for want of a cache
                    self.assertGreater(usage.prompt_tokens_details.cached_tokens, 0)

    def test_it_can_be_switched_off(self):
        with Daemon("--no-enable-prefix-caching") as daemon:
            client = daemon.client()
            for _ in range(2):
                _, usage = self.ask(client)
                self.assertEqual(usage.prompt_tokens_details.cached_tokens, 0)


if __name__ == "__main__":
    unittest.main()
