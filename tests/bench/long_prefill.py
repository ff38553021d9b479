"""/health while one long prompt is prefilled: python3 -m tests.bench.long_prefill [--tokens 100000]

The smallest Llama with random weights (random_llama.py; needs numpy) and a context of that length;
/health is asked ten times a second by another process until the prompt's one token has come. Prints
one line; exit status 1 where /health was not 200 each time.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.daemon import REPOSITORY, Daemon
from tests.e2e.load_streams import Probe, percentile
from tests.e2e.wire import ask, post

WORDS = 2048  # of the shape `speck`


def make_model(folder: str, context: int) -> None:
    subprocess.run([sys.executable, str(REPOSITORY / "tests/bench/random_llama.py"), folder,
                    "--shape", "speck"], check=True)
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text()) | {"max_position_embeddings": context}
    path.write_text(json.dumps(config))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quire-model-") as folder:
        make_model(folder, options.tokens + 64)
        with Daemon("--log-level", "warning", model=folder) as daemon:
            probe = Probe(daemon.port)
            prompt = [300 + i % (WORDS - 300) for i in range(options.tokens)]
            begin = time.monotonic()
            answer = ask(daemon.port, post("/v1/completions", {"prompt": prompt, "max_tokens": 1}))
            seconds = time.monotonic() - begin
            times = probe.finish()
    assert answer.status == 200, answer.body
    assert answer.json()["usage"]["prompt_tokens"] == options.tokens
    print(f"{options.tokens} tokens prefilled in {seconds:.1f} s; /health asked {len(times)} times, "
          f"200 each time, p50 {percentile(times, 0.5) * 1e3:.1f} ms, "
          f"p99 {percentile(times, 0.99) * 1e3:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
