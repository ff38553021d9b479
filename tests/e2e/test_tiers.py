"""Pages off the device: hits after a restart, whatever happens to the file, and with a remote store
that comes and goes."""

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request
from pathlib import Path

from tests.e2e.daemon import Daemon, free_port

PROMPT = "Once upon a time there was a small fox who lived near the river. " * 8


def ask(client, prompt=PROMPT, **extra):
    model = client.models.list().data[0].id
    answer = client.completions.create(model=model, prompt=prompt, max_tokens=8, temperature=0,
                                       extra_body=extra)
    return answer.choices[0].text, answer.usage.prompt_tokens_details.cached_tokens


def reused(daemon, prompt=PROMPT) -> dict:
    """Asks, and returns from where the blocks came, by /v1/requests/{id}."""
    model = daemon.client().models.list().data[0].id
    answer = daemon.client().completions.create(model=model, prompt=prompt, max_tokens=1)
    with urllib.request.urlopen(daemon.url + "/v1/requests/" + answer.id, timeout=120) as page:
        return json.load(page)["blocks_reused"]


def counts(daemon) -> dict:
    """Counters of /metrics by name and store."""
    found = {}
    with urllib.request.urlopen(daemon.url + "/metrics", timeout=120) as page:
        for line in page.read().decode().splitlines():
            if line.startswith("quire_"):
                name, value = line.rsplit(" ", 1)
                store = name.split('store="')[1].split('"')[0] if 'store="' in name else ""
                found[name.split("{")[0] + (":" + store if store else "")] = float(value)
    return found


class DiskTier(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quire-tiers-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.file = Path(self.folder) / "quire.pages"
        self.flags = ("--kv-disk-path", self.folder, "--kv-disk-size", "256MiB")

    def test_a_prompt_of_before_a_restart_is_a_hit(self):
        with Daemon(*self.flags) as daemon:
            text, cached = ask(daemon.client())
            self.assertEqual(cached, 0)
        for path in (self.file, Path(self.folder) / "quire.secret"):
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        with Daemon(*self.flags) as daemon:
            again, cached = ask(daemon.client())
            self.assertEqual(text, again)
            self.assertGreater(cached, 64)
            self.assertGreater(counts(daemon)["quire_store_hits_total:disk"], 3)
            _, salted = ask(daemon.client(), cache_salt="other")
            self.assertEqual(salted, 0)
        with Daemon(*self.flags) as daemon:
            first, second = reused(daemon), reused(daemon)
            self.assertGreater(first["disk"], 3)
            self.assertEqual([first[name] for name in ("memory", "host", "remote")], [0, 0, 0])
            self.assertEqual(second, {"memory": first["disk"], "host": 0, "disk": 0, "remote": 0})

    def test_after_a_kill_too(self):
        daemon = Daemon(*self.flags).launch().wait_ready()
        text, _ = ask(daemon.client())
        deadline = time.monotonic() + 180
        while counts(daemon)["quire_store_writes_total:disk"] < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        daemon.process.kill()
        daemon.process.wait()
        with Daemon(*self.flags) as daemon:
            again, cached = ask(daemon.client())
            self.assertEqual(text, again)
            self.assertGreater(cached, 64)

    def test_a_damaged_cut_or_foreign_file_is_a_miss(self):
        with Daemon(*self.flags) as daemon:
            text, _ = ask(daemon.client())
        good = self.file.read_bytes()
        flipped = bytearray(good)
        flipped[4096 + 3000::4096] = bytes(b ^ 0x55 for b in flipped[4096 + 3000::4096])
        for damage in (bytes(flipped), good[: len(good) // 2 + 17], b"x" * 100000, b""):
            self.file.write_bytes(damage)
            with Daemon(*self.flags) as daemon:
                again, _ = ask(daemon.client())
                self.assertEqual(text, again)
                if damage not in (b"", good[: len(good) // 2 + 17]):
                    self.assertGreater(counts(daemon)["quire_store_corrupt_total:disk"], 0)

    def test_the_second_daemon_goes_on_without(self):
        with Daemon(*self.flags) as first:
            with Daemon(*self.flags) as second:
                self.assertIn("in use", second.log_text())
                self.assertEqual(ask(first.client())[0], ask(second.client())[0])

    def test_a_secret_that_others_can_read_is_refused(self):
        secret = Path(self.folder) / "secret"
        secret.write_bytes(b"s" * 32)
        secret.chmod(0o644)
        daemon = Daemon(*self.flags, "--cache-secret-file", str(secret)).launch()
        self.assertEqual(daemon.process.wait(timeout=180), 2)
        self.assertIn("chmod 600", daemon.log_text())

    def test_another_secret_shares_nothing(self):
        with Daemon(*self.flags, "--cache-secret-file", self.folder + "/one") as daemon:
            ask(daemon.client())
        with Daemon(*self.flags, "--cache-secret-file", self.folder + "/two") as daemon:
            self.assertEqual(ask(daemon.client())[1], 0)


@unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
class RemoteTier(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="quire-tiers-")
        self.addCleanup(shutil.rmtree, self.folder, True)
        self.port = free_port()
        self.server = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             "--appendonly", "no", "--requirepass", "pass word"],
            stdout=subprocess.DEVNULL, cwd=self.folder)
        self.addCleanup(self.stop_server)
        self.flags = ("--kv-remote-url", f"redis://:pass%20word@127.0.0.1:{self.port}/1",
                      "--cache-secret-file", self.folder + "/secret")

    def stop_server(self):
        self.server.send_signal(signal.SIGKILL)
        self.server.wait()

    def test_replicas_share_pages(self):
        with Daemon(*self.flags) as first:
            text, cached = ask(first.client())
            self.assertEqual(cached, 0)
            self.assertNotIn("pass word", first.log_text())
            self.assertNotIn("pass%20word", first.log_text())
            deadline = time.monotonic() + 180
            while (counts(first)["quire_store_writes_total:remote"] < 5
                   and time.monotonic() < deadline):
                time.sleep(0.02)
            with Daemon(*self.flags) as second:
                again, cached = ask(second.client())
                self.assertEqual(text, again)
                self.assertGreater(cached, 64)
            with Daemon(*self.flags) as third:
                self.assertGreater(reused(third)["remote"], 3)

    def test_it_dies_in_mid_load_and_no_request_fails(self):
        with Daemon(*self.flags, "--max-num-seqs", "4") as daemon:
            answers, errors = [], []

            def client(number):
                for turn in range(6):
                    try:
                        answers.append(ask(daemon.client(), f"{number} {turn} " + PROMPT))
                    except Exception as error:  # whatever it is, it is this test's failure
                        errors.append(error)

            clients = [threading.Thread(target=client, args=(i,)) for i in range(6)]
            for thread in clients:
                thread.start()
            while len(answers) < 6 and not errors:
                time.sleep(0.01)
            self.stop_server()
            for thread in clients:
                thread.join()
            self.assertEqual(errors, [])
            self.assertEqual(len(answers), 36)
            self.assertGreater(counts(daemon)["quire_store_failures_total:remote"], 0)

    def test_a_remote_store_needs_a_secret(self):
        daemon = Daemon(*self.flags[:2]).launch()
        self.assertEqual(daemon.process.wait(timeout=180), 2)
        self.assertIn("--cache-secret-file", daemon.log_text())


if __name__ == "__main__":
    unittest.main()
