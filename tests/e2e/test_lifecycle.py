"""Start, drain, end; and what cannot be started ends with one line and status 1 or 2."""

import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

from tests.e2e.daemon import Daemon, binary, free_port, model_folder
from tests.e2e.wire import Connection, ask, get, parse_stream, post


END_SECONDS = 180  # generous, as every wait here: no test depends on how long a thing takes


class Shutdown(unittest.TestCase):
    LONG = {"prompt": "Once", "max_tokens": 500, "ignore_eos": True, "stream": True, "seed": 1}

    def begin(self, port: int) -> Connection:
        """A stream whose first bytes have come."""
        connection = Connection(port)
        connection.send(post("/v1/completions", self.LONG))
        self.assertEqual(connection.read_head()[0], 200)
        return connection

    def test_drain_ends_what_is_in_flight_and_refuses_the_rest(self):
        daemon = Daemon("--shutdown-timeout", "150s").launch().wait_ready()
        streams = [self.begin(daemon.port) for _ in range(8)]
        idle = Connection(daemon.port)  # open before the signal: it can still ask, and is told no
        self.assertEqual(idle.ask(get("/health")).status, 200)
        daemon.process.send_signal(signal.SIGTERM)
        refused = self.ask_until_refused(idle)
        bodies = [b"".join(s.chunks()) for s in streams]
        for body in bodies:
            stream = parse_stream(body)
            self.assertIsNone(stream.error)
            self.assertEqual(stream.finish[0], "length")
        self.assertEqual(daemon.process.wait(timeout=END_SECONDS), 0, daemon.log_text())
        self.assertEqual(refused, 503)

    def test_who_watches_or_drips_does_not_hold_the_end(self):
        daemon = Daemon("--shutdown-timeout", "150s").launch().wait_ready()
        watcher = Connection(daemon.port)
        watcher.send(get("/pages?stream=1"))
        self.assertEqual(watcher.read_head()[0], 200)
        dripping = Connection(daemon.port)
        request = post("/v1/completions", self.LONG, headers="Expect: 100-continue\r\n")
        body = request.index(b"\r\n\r\n") + 4
        dripping.send(request[:body])
        self.assertEqual(dripping.read_head()[0], 100)  # read before the signal comes
        dripping.send(request[body:-1])
        daemon.process.send_signal(signal.SIGTERM)
        self.assertTrue(b"".join(watcher.chunks()).endswith(b"data: [DONE]\n\n"))
        self.assertEqual(dripping.read_head()[0], 503)
        self.assertEqual(daemon.process.wait(timeout=END_SECONDS), 0, daemon.log_text())
        self.assertNotIn("still in flight", daemon.log_text())

    @staticmethod
    def ask_until_refused(connection: Connection) -> int:
        """The first status that is not 200; 503 where the daemon has closed the connection."""
        while True:
            try:
                answer = connection.ask(post("/v1/completions", {"prompt": "a", "max_tokens": 1}))
            except (EOFError, ConnectionError):
                return 503
            if answer.status != 200:
                return answer.status

    def test_timeout_ends_streams_with_an_error_and_status_0(self):
        daemon = Daemon("--shutdown-timeout", "0s", "--max-num-seqs", "1").launch().wait_ready()
        streams = []
        for _ in range(4):  # three of them wait in the queue: their heads come at admission
            connection = Connection(daemon.port)
            connection.send(post("/v1/completions", {**self.LONG, "max_tokens": 1900}))
            streams.append(connection)
        streams[0].read_head()
        daemon.process.send_signal(signal.SIGTERM)
        for connection in streams:
            self.check_end(connection, headed=connection is streams[0])
        self.assertEqual(daemon.process.wait(timeout=END_SECONDS), 0, daemon.log_text())

    def check_end(self, connection: Connection, headed: bool) -> None:
        """A stream that began has an end of its own; one that did not is refused or closed."""
        try:
            status = 200 if headed else connection.read_head()[0]
        except (EOFError, ConnectionError):
            return
        if status != 200:
            self.assertEqual(status, 503)
            return
        stream = parse_stream(b"".join(connection.chunks()))
        self.assertTrue(stream.error or stream.finish)

    def test_sigterm_at_random_points_under_load(self):
        for delay in (0.0, 0.02, 0.1, 0.3):
            daemon = Daemon("--shutdown-timeout", "150s").launch().wait_ready()
            streams = [self.begin(daemon.port) for _ in range(8)]
            threading.Timer(delay, daemon.process.send_signal, (signal.SIGTERM,)).start()
            for connection in streams:
                stream = parse_stream(b"".join(connection.chunks()))
                self.assertIsNone(stream.error)
            self.assertEqual(daemon.process.wait(timeout=END_SECONDS), 0, daemon.log_text())

    def test_idle_end_and_sigint(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            daemon = Daemon().launch().wait_ready()
            daemon.process.send_signal(number)
            self.assertEqual(daemon.process.wait(timeout=END_SECONDS), 0, daemon.log_text())


class BadStart(unittest.TestCase):
    """Exit status 1 and one line that names the file and the field; within 2 s."""

    def setUp(self):
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="quire-model-")))
        for name in ("config.json", "generation_config.json", "tokenizer.json",
                     "tokenizer_config.json", "model.safetensors"):
            if (source := Path(model_folder(), name)).exists():
                shutil.copy(source, self.folder / name)

    def serve(self, *flags: str, model: Path | None = None) -> subprocess.CompletedProcess:
        return subprocess.run(
            [binary(), "serve", "--model", str(model or self.folder), "--port", str(free_port()),
             *flags], capture_output=True, text=True, timeout=END_SECONDS)

    def refuse(self, *names: str, status: int = 1, flags: tuple[str, ...] = ()):
        begin = time.monotonic()
        done = self.serve(*flags)
        print(f"{time.monotonic() - begin:.2f} s: {done.stderr.strip()[-160:]}")
        self.assertEqual(done.returncode, status, done.stderr)
        errors = [line for line in done.stderr.splitlines() if any(n in line for n in names)]
        self.assertEqual(len(errors), 1, f"one line that names {names}: {done.stderr}")
        for name in names:
            self.assertIn(name, errors[0])

    def edit_config(self, **fields):
        path = self.folder / "config.json"
        config = json.loads(path.read_text())
        for name, value in fields.items():
            if value is None:
                config.pop(name, None)
            else:
                config[name] = value
        path.write_text(json.dumps(config))

    def test_the_copy_itself_starts(self):
        with Daemon(model=str(self.folder)) as daemon:
            self.assertEqual(daemon.health(), 200)

    def test_no_folder(self):
        shutil.rmtree(self.folder)
        self.refuse(str(self.folder))
        self.folder.mkdir()

    def test_missing_files(self):
        for name in ("config.json", "tokenizer.json", "model.safetensors"):
            with self.subTest(name):
                kept = (self.folder / name).read_bytes()
                (self.folder / name).unlink()
                self.refuse(name)
                (self.folder / name).write_bytes(kept)

    def test_not_json(self):
        for name in ("config.json", "tokenizer.json"):
            with self.subTest(name):
                kept = (self.folder / name).read_bytes()
                for wrong in (b"", b"{", b"[]", kept[:len(kept) // 2], b"\xff\xfe{}"):
                    (self.folder / name).write_bytes(wrong)
                    self.refuse(name)
                (self.folder / name).write_bytes(kept)

    def test_unknown_architecture(self):
        self.edit_config(architectures=["MysteryForCausalLM"])
        self.refuse("config.json", "architectures")

    def test_bad_numbers(self):
        kept = (self.folder / "config.json").read_bytes()
        for field in ("hidden_size", "num_hidden_layers", "num_attention_heads", "vocab_size"):
            for value in (0, -1, 2**31, 2**63, 1.5, "8", []):
                with self.subTest(field=field, value=value):
                    self.edit_config(**{field: value})
                    self.refuse_any_of("config.json", "model.safetensors")
                    (self.folder / "config.json").write_bytes(kept)

    def refuse_any_of(self, *names: str):
        done = self.serve()
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertTrue(any(name in done.stderr for name in names), done.stderr)

    def test_truncated_weights(self):
        path = self.folder / "model.safetensors"
        whole = path.read_bytes()
        for keep in (0, 4, 8, 100, len(whole) // 2, len(whole) - 1):
            with self.subTest(keep=keep):
                path.write_bytes(whole[:keep])
                self.refuse("model.safetensors")

    def test_missing_and_misshapen_tensor(self):
        for change, name in ((self.rename_tensor, "mlp"), (self.reshape_tensor, "norm")):
            with self.subTest(name):
                path = self.folder / "model.safetensors"
                kept = path.read_bytes()
                tensor = change(path, name)
                self.refuse("model.safetensors", tensor)
                path.write_bytes(kept)

    @staticmethod
    def read_header(path: Path) -> tuple[dict, bytes]:
        data = path.read_bytes()
        size = int.from_bytes(data[:8], "little")
        return json.loads(data[8:8 + size]), data[8 + size:]

    @staticmethod
    def write_header(path: Path, header: dict, data: bytes) -> None:
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + data)

    def rename_tensor(self, path: Path, part: str) -> str:
        header, data = self.read_header(path)
        tensor = next(name for name in sorted(header) if part in name)
        self.write_header(path, {("x." + k if k == tensor else k): v for k, v in header.items()},
                          data)
        return tensor

    def reshape_tensor(self, path: Path, part: str) -> str:
        header, data = self.read_header(path)
        tensor = next(name for name in sorted(header) if part in name)
        header[tensor]["shape"] = [1, *header[tensor]["shape"]]
        self.write_header(path, header, data)
        return tensor

    def test_a_dtype_that_nobody_knows_is_the_weights_own(self):
        self.edit_config(dtype="float3")
        with Daemon(model=str(self.folder)) as daemon:
            self.assertEqual(ask(daemon.port, get("/health")).status, 200)

    def test_what_does_not_fit_is_refused_with_the_plans_figures(self):
        self.refuse("--kv-cache-memory", "weights take", "workspace", "a page",
                    flags=("--kv-cache-memory", "900TiB"))
        self.refuse("--kv-cache-memory", "a page", flags=("--kv-cache-memory", "1KiB"))

    def test_wrong_usage_is_status_2(self):
        for flags, name in ((("--no-such-flag",), "--no-such-flag"), (("--port", "70000"), "port"),
                            (("--block-size", "0"), "block-size"), (("--port", "x"), "port"),
                            (("--device", "abacus"), "device")):
            with self.subTest(flags):
                done = self.serve(*flags)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(name, done.stderr)

    def test_port_in_use(self):
        with Daemon(model=str(self.folder)) as daemon:
            for flag in ("--port", "--metrics-port"):  # a flag given twice: the last one counts
                with self.subTest(flag):
                    done = self.serve(flag, str(daemon.port))
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertIn(f"{flag}: cannot listen on", done.stderr)
                    self.assertIn(str(daemon.port), done.stderr)
            self.assertEqual(ask(daemon.port, get("/health")).status, 200)


if __name__ == "__main__":
    unittest.main(verbosity=2)
