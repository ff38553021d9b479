"""From the start of the process to the first /health 200 with the default model.

usage: python3 -m tests.bench.startup [--runs 20] [flags of quire serve]

Prints each run's milliseconds and the median. The binary is $TEST_BINARY (default: build/release).
"""

import argparse
import http.client
import statistics
import time

from tests.e2e.daemon import HOST, Daemon


def once(flags: list[str]) -> float:
    daemon = Daemon(*flags)
    begin = time.monotonic()
    daemon.launch()
    while True:
        try:
            connection = http.client.HTTPConnection(HOST, daemon.port, timeout=5)
            connection.request("GET", "/health")
            if connection.getresponse().status == 200:
                break
        except OSError:
            pass
        if not daemon.alive():
            raise SystemExit(daemon.log_text())
        time.sleep(0.0005)
    taken = time.monotonic() - begin
    connection.close()
    daemon.stop()
    return taken * 1e3


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=20)
    arguments, flags = parser.parse_known_args()
    runs = [once(flags) for _ in range(arguments.runs)]
    print(" ".join(f"{ms:.0f}" for ms in runs))
    print(f"start to first /health 200, {len(runs)} runs: median {statistics.median(runs):.0f} ms, "
          f"least {min(runs):.0f}, most {max(runs):.0f}")


if __name__ == "__main__":
    main()
