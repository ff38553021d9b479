"""--device: the plug-in's absence, another version's, a machine without a GPU, and a device that is
lost while it serves. The device is the fake one of tests/backend/cuda, $FAKE_CUDA_PLUGIN, put beside
a copy of the binary, which is where the daemon looks for it. The plug-in proper, $CUDA_PLUGIN, is
opened too where it was built.
"""

import os
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from tests.e2e import daemon as daemons
from tests.e2e.daemon import Daemon
from tests.e2e.test_tiers import ask, counts
from tests.e2e.wire import Connection, parse_stream, post

SAME_ANSWER = os.environ["SAME_ANSWER"]
PLUGIN = os.environ["FAKE_CUDA_PLUGIN"]
REAL_PLUGIN = os.environ.get("CUDA_PLUGIN", "")
GPU = Path("/dev/nvidiactl")


class Installed(unittest.TestCase):
    """A folder with a copy of the binary, and with the plug-in where a test wants it."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="quire-cuda-")
        self.addCleanup(self.folder.cleanup)
        original = daemons.binary()
        self.binary = str(Path(self.folder.name, "quire"))
        shutil.copy2(original, self.binary)
        os.environ["TEST_BINARY"] = self.binary
        self.addCleanup(os.environ.__setitem__, "TEST_BINARY", original)

    def install_plugin(self, plugin=PLUGIN):
        shutil.copy2(plugin, Path(self.folder.name, "libquire_cuda.so"))

    def refused(self, environment=None) -> str:
        """Starts with --device cuda and returns what it said in refusing."""
        daemon = Daemon("--device", "cuda", environment=environment).launch()
        self.assertIn(daemon.process.wait(daemons.START_SECONDS), (1, 2))
        return daemon.log_text()


def streamed(port: int, max_tokens: int):
    """One greedy completion as a stream, read to its end."""
    connection = Connection(port)
    connection.send(post("/v1/completions", {"prompt": "Once upon a time", "temperature": 0,
                                             "max_tokens": max_tokens, "stream": True,
                                             "ignore_eos": True}))
    status = connection.read_head()[0]
    return status, parse_stream(b"".join(connection.chunks()))


class DeviceFlag(Installed):
    def test_without_a_plugin(self):
        self.assertIn("libquire_cuda.so is not in", self.refused())
        with Daemon("--device", "auto") as daemon:
            self.assertEqual(daemon.log_text().count("running on the CPU"), 1)

    def test_another_version(self):
        self.install_plugin()
        self.assertIn("another version", self.refused({"FAKE_CUDA_VERSION": "1"}))

    def test_without_a_gpu(self):
        self.install_plugin()
        absent = {"FAKE_CUDA_ABSENT": "1"}
        self.assertIn("no usable GPU", self.refused(absent))
        with Daemon("--device", "auto", environment=absent) as daemon:
            self.assertEqual(daemon.log_text().count("running on the CPU"), 1)

    @unittest.skipUnless(REAL_PLUGIN and not GPU.exists(), "needs the plug-in, and no GPU")
    def test_the_real_plugin_without_a_gpu(self):
        self.install_plugin(REAL_PLUGIN)
        self.assertIn("no usable GPU", self.refused())
        with Daemon("--device", "auto") as daemon:
            status, stream = streamed(daemon.port, 4)
            self.assertEqual((status, stream.error), (200, None))

    def test_more_pages_than_memory(self):
        self.install_plugin()
        daemon = Daemon("--device", "cuda", "--kv-cache-memory", "100GiB").launch()
        self.assertEqual(daemon.process.wait(daemons.START_SECONDS), 1)
        self.assertIn("are too much", daemon.log_text())

    def test_serves(self):
        self.install_plugin()
        with Daemon("--device", "cuda", "--max-num-batched-tokens", "64") as daemon:
            self.assertIn("backend cuda", daemon.log_text())
            status, stream = streamed(daemon.port, 12)
            self.assertEqual(status, 200)
            self.assertIsNone(stream.error)
            self.assertEqual(stream.finish[0], "length")


class LostDevice(Installed):
    """A stream ends with an error, health turns, and the process ends with status 1."""

    def test_lost_in_a_stream(self):
        self.install_plugin()
        daemon = Daemon("--device", "cuda", environment={"FAKE_CUDA_OPS": "2000"}).launch()
        daemon.wait_ready()
        status, stream = streamed(daemon.port, 1500)
        self.assertEqual(status, 200)
        self.assertIsNotNone(stream.error)
        self.assertNotEqual(daemon.health(), 200)  # 503, or nobody there any more
        self.assertEqual(daemon.process.wait(daemons.START_SECONDS), 1)
        self.assertIn("the fake device is lost", daemon.log_text())


class Tiers(Installed):
    def test_pages_of_before_a_restart(self):
        """Out of the device's memory into a file, and from there into another one's."""
        self.install_plugin()
        flags = ("--device", "cuda", "--kv-disk-path", self.folder.name, "--kv-disk-size", "64MiB")
        with Daemon(*flags) as daemon:
            text, cached = ask(daemon.client())
            self.assertEqual(cached, 0)
        with Daemon(*flags) as daemon:
            again, cached = ask(daemon.client())
            self.assertEqual(text, again)
            self.assertGreater(cached, 64)
            self.assertGreater(counts(daemon)["quire_store_hits_total:disk"], 3)


class SameAnswer(Installed):
    def run_mix(self, *flags):
        """same_answer's table, in which nothing may differ."""
        self.install_plugin()
        program = str(Path(self.folder.name, "same_answer"))
        shutil.copy2(SAME_ANSWER, program)
        done = subprocess.run([program, "--model", daemons.model_folder(), "--device", "cuda",
                               *flags], capture_output=True, text=True)
        # So few requests may lack some event, for which it would end with 1; the table says what
        # differs.
        rows = [line.split() for line in done.stdout.splitlines() if re.search(r"\d\s+\d+$", line)]
        self.assertGreaterEqual(len(rows), 15, done.stdout + done.stderr)
        self.assertEqual([row[-1] for row in rows], ["0"] * len(rows), done.stdout)

    def test_same_answer(self):
        """The engine's law over the adapter, its graphs, the emulated schedules and the tiers."""
        self.run_mix("--requests", "4")

    def test_same_answer_with_codes(self):
        self.run_mix("--requests", "2", "--kv-cache-dtype", "int8")
        self.run_mix("--requests", "2", "--kv-cache-dtype", "fp8")


del Installed

if __name__ == "__main__":
    unittest.main()
