"""Who reaches the daemon and what is told of it: TLS and its new certificate, the listener for
scrapers, the log's lines, requests by their id, a flood of one key beside another."""

import hashlib
import json
import os
import re
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

from tests.e2e.daemon import HOST, Daemon, binary, free_port, model_folder
from tests.e2e.wire import Connection, ask, get, post

PATIENCE = 120  # seconds until a change must have been seen; a fault, never a measure


def eventually(condition):
    """The condition's first true value, or its last false one when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return value


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}\r\n"


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="quire-access-")))

    def key_file(self, *lines: str) -> str:
        """Lines of name or name:admin; the key of each is k-NAME."""
        path = self.folder / "keys"
        text = ""
        for line in lines:
            name, _, kind = line.partition(":")
            digest = hashlib.sha256(f"k-{name}".encode()).hexdigest()
            text += f"{name}:{digest}{':' + kind if kind else ''}\n"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(text)
        return str(path)


class Tls(Folder):
    def make_certificate(self, name: str) -> None:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=IP:{HOST}", "-keyout", self.folder / "key.pem",
                        "-out", self.folder / "cert.pem"], check=True, capture_output=True)

    def get(self, port: int, certificate: str) -> int:
        """The status of /livez for a client that trusts this certificate alone; 0: it does not."""
        context = ssl.create_default_context(cadata=certificate)
        try:
            url = f"https://{HOST}:{port}/livez"
            with urllib.request.urlopen(url, timeout=PATIENCE, context=context) as answer:
                return answer.status
        except urllib.error.URLError as error:
            self.assertIsInstance(error.reason, ssl.SSLCertVerificationError)
            return 0

    def test_a_hangup_brings_a_new_certificate_and_the_official_client_is_served(self):
        import httpx2 as httpx
        import openai
        self.make_certificate("first")
        first = (self.folder / "cert.pem").read_text()
        daemon = Daemon("--ssl-certfile", str(self.folder / "cert.pem"),
                        "--ssl-keyfile", str(self.folder / "key.pem"), "--metrics-port", "0")
        try:
            daemon.launch()
            self.assertTrue(eventually(lambda: "the model is loaded" in daemon.log_text()),
                            daemon.log_text())
            self.assertEqual(self.get(daemon.port, first), 200)
            plain_port = int(re.search(r"metrics host=\S+ port=(\d+)", daemon.log_text()).group(1))
            self.assertEqual(ask(plain_port, get("/health")).status, 200)
            self.assertIn(b"quire_build_info", ask(plain_port, get("/metrics")).body)
            self.assertEqual(ask(plain_port, get("/v1/models")).status, 404)
            for url, status, said in ((f"http://{HOST}:{plain_port}", 0, "healthy"),
                                      (f"https://{HOST}:{daemon.port}", 2, "--metrics-port")):
                done = subprocess.run([binary(), "health", "--url", url], capture_output=True,
                                      text=True, timeout=PATIENCE)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertIn(said, done.stdout + done.stderr)
            with Connection(daemon.port) as plain:  # no TLS: not a word in return
                plain.send(get("/livez"))
                self.assertTrue(plain.is_closed())

            context = ssl.create_default_context(cadata=first)
            client = openai.OpenAI(base_url=f"https://{HOST}:{daemon.port}/v1", api_key="none",
                                   max_retries=0, http_client=httpx.Client(verify=context))
            chunks = list(client.completions.create(model=None, prompt="Once", max_tokens=5,
                                                    stream=True))
            self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

            self.make_certificate("second")
            second = (self.folder / "cert.pem").read_text()
            daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: self.get(daemon.port, second) == 200))
            self.assertEqual(self.get(daemon.port, first), 0)
            (self.folder / "key.pem").write_text("no key\n")
            daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: "the certificate is unchanged" in daemon.log_text()))
            self.assertEqual(self.get(daemon.port, second), 200)
        finally:
            status = daemon.stop()
        self.assertEqual(status, 0, daemon.log_text())

    def test_half_of_it_or_a_broken_file_stops_the_start(self):
        self.make_certificate("one")
        certificate, key = str(self.folder / "cert.pem"), str(self.folder / "key.pem")
        for flags, named in ((["--ssl-certfile", certificate], "--ssl-certfile"),
                             (["--ssl-keyfile", key], "--ssl-certfile"),
                             (["--ssl-certfile", key, "--ssl-keyfile", key], key)):
            done = subprocess.run([binary(), "serve", "--model", model_folder(), "--port",
                                   str(free_port()), *flags],
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertIn(done.returncode, (1, 2), done.stderr)
            self.assertIn(named, done.stderr)


class Told(Folder):
    SECRET = "mellon-speak-friend"

    def test_a_line_for_each_request_and_no_word_of_a_client(self):
        keys = self.key_file("ann", "bob")
        with Daemon("--api-key-file", keys, "--log-format", "json") as daemon:
            body = {"prompt": self.SECRET, "max_tokens": 7, "temperature": 0}
            headers = bearer("k-ann") + "X-Request-Id: line-1\r\n"
            answer = ask(daemon.port, post("/v1/completions", body, headers=headers))
            self.assertEqual((answer.status, answer.headers["x-request-id"]), (200, "line-1"))
            line = eventually(lambda: self.line(daemon, "line-1"))
            self.assertEqual((line["key"], line["status"], line["finish_reason"], line["tokens"]),
                             ("ann", 200, "length", 7))
            self.assertEqual(line["model"], answer.json()["model"])
            self.assertEqual(line["prompt_tokens"], answer.json()["usage"]["prompt_tokens"])
            self.assertLessEqual(0, line["queue_ms"])
            self.assertLessEqual(line["queue_ms"], line["first_token_ms"])
            self.assertLessEqual(line["first_token_ms"], line["ms"])

            told = ask(daemon.port, get("/v1/requests/line-1", headers=bearer("k-ann")))
            self.assertEqual(told.status, 200)
            self.assertEqual(told.json()["answer_id"], answer.json()["id"])
            other = ask(daemon.port, get("/v1/requests/line-1", headers=bearer("k-bob")))
            self.assertEqual(other.status, 404)

            refused = ask(daemon.port, post("/v1/completions", {"prompt": 5}, headers=bearer(
                "k-bob") + "X-Request-Id: line-2\r\n"))
            self.assertEqual(refused.status, 400)
            line = eventually(lambda: self.line(daemon, "line-2"))
            self.assertEqual((line["key"], line["status"]), ("bob", 400))
            text = daemon.log_text()
            for word in (self.SECRET, answer.json()["choices"][0]["text"], "k-ann", "k-bob"):
                self.assertNotIn(json.dumps(word)[1:-1], text)

    def test_content_is_logged_where_the_operator_asks_for_it(self):
        with Daemon("--log-content", "--log-format", "json") as daemon:
            body = {"prompt": self.SECRET, "max_tokens": 7}
            ask(daemon.port, post("/v1/completions", body))
            self.assertTrue(eventually(lambda: self.SECRET in daemon.log_text()))
            self.assertIn("prompts and outputs are written to the log", daemon.log_text())

    @staticmethod
    def line(daemon: Daemon, request_id: str) -> dict | None:
        for line in daemon.log_text().splitlines():
            if f'"id":"{request_id}"' in line and line.endswith("}"):
                return json.loads(line)
        return None


class Fairness(Folder):
    FLOOD = 60
    BODY = {"prompt": "Once", "max_tokens": 64, "ignore_eos": True}

    def test_a_flood_of_one_key_does_not_starve_another(self):
        keys = self.key_file("flood", "other")
        with Daemon("--api-key-file", keys, "--max-num-seqs", "2") as daemon:
            ended = []
            flood = [threading.Thread(target=self.one, args=(daemon.port, "k-flood", ended))
                     for _ in range(self.FLOOD)]
            for thread in flood:
                thread.start()
            self.assertTrue(eventually(lambda: len(ended) >= 2))
            for _ in range(3):
                self.one(daemon.port, "k-other", ended)
            before = ended.index("k-other"), len(ended)
            for thread in flood:
                thread.join()
            self.assertEqual(ended.count("k-flood"), self.FLOOD)
            # In the order of arrival all of the flood would have ended first.
            self.assertLess(before[1], self.FLOOD, f"the first came at {before[0]}")

    def one(self, port: int, key: str, ended: list) -> None:
        answer = ask(port, post("/v1/completions", self.BODY, headers=bearer(key)))
        assert answer.status == 200, answer.body
        ended.append(key)


if __name__ == "__main__":
    unittest.main(verbosity=2)
