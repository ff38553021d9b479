"""What operators do to a running daemon: keys changed under it, and file descriptors that run out."""

import hashlib
import os
import resource
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from tests.e2e.daemon import Daemon, binary, free_port, model_folder
from tests.e2e.wire import Connection, ask, get, post

PATIENCE = 120  # seconds until a change must have been seen; a fault, never a measure
ASK = {"prompt": "Once", "max_tokens": 2}


def with_key(key: str | None) -> bytes:
    headers = f"Authorization: Bearer {key}\r\n" if key else ""
    return post("/v1/completions", ASK, headers=headers)


def eventually(condition) -> bool:
    """Whether the condition comes true before patience ends."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class KeyFile(unittest.TestCase):
    def setUp(self):
        folder = Path(self.enterContext(tempfile.TemporaryDirectory(prefix="quire-keys-")))
        self.path = folder / "keys"

    def write(self, *keys: str) -> None:
        lines = [f"tenant{i}:{hashlib.sha256(key.encode()).hexdigest()}\n"
                 for i, key in enumerate(keys)]
        with os.fdopen(os.open(self.path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.writelines(lines)

    def test_hangup_reads_the_keys_again_and_keeps_the_old_ones_if_they_are_broken(self):
        self.write("sesame-one")
        with Daemon("--api-key-file", str(self.path)) as daemon:
            def status(key):
                return ask(daemon.port, with_key(key)).status
            self.assertEqual([status(None), status("sesame-two"), status("sesame-one")], [401, 401, 200])
            self.assertEqual(ask(daemon.port, get("/health")).status, 200)  # probes have no key

            self.write("sesame-two")
            daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: status("sesame-two") == 200))
            # 429 where the wait above took many tries.
            self.assertIn(status("sesame-one"), (401, 429))

            self.path.write_text("no key at all\n", encoding="ascii")
            daemon.process.send_signal(signal.SIGHUP)
            self.assertTrue(eventually(lambda: "API keys are unchanged" in daemon.log_text()))
            self.assertEqual(status("sesame-two"), 200)

            self.assertNotIn("sesame-one", daemon.log_text())  # a key is never logged
            self.assertNotIn("sesame-two", daemon.log_text())

    def test_a_file_that_others_can_read_is_refused(self):
        self.write("sesame-one")
        self.path.chmod(0o644)
        done = subprocess.run([binary(), "serve", "--model", model_folder(), "--port",
                               str(free_port()), "--api-key-file", str(self.path)],
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn(str(self.path), done.stderr)


class FileDescriptors(unittest.TestCase):
    ROOM = 8

    def test_running_out_of_them_sheds_connections_and_passes(self):
        with Daemon() as daemon:
            kept = Connection(daemon.port)
            self.assertEqual(kept.ask(post("/v1/completions", ASK)).status, 200)
            limit = daemon.open_files() + self.ROOM
            resource.prlimit(daemon.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
            crowd = [Connection(daemon.port) for _ in range(5 * self.ROOM)]
            # Who was there is served while the others press in.
            for _ in range(5):
                self.assertEqual(kept.ask(post("/v1/completions", ASK)).status, 200)
            shed = sum(self.was_shed(connection) for connection in crowd)
            self.assertGreater(shed, 0)
            for connection in crowd:
                connection.close()
            self.assertTrue(eventually(lambda: daemon.health() == 200))
            kept.close()

    @staticmethod
    def was_shed(connection: Connection) -> bool:
        try:
            return connection.ask(get("/livez")).status != 200
        except (EOFError, ConnectionError):
            return True


if __name__ == "__main__":
    unittest.main()
