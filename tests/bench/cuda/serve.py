"""The daemon with a Llama-3-8B on a GPU under load, as a table.

usage: serve.py QUIRE MODEL LOAD... [--flags "--device cuda ..."]

LOAD: IN/OUT/REQUESTS/AT_ONCE, tokens. QUIRE is the daemon's command; where the plug-in beside it is
watching_plugin.so, the last column is the share of time that the device was idle between steps.
decode/s: AT_ONCE over the median gap between tokens, what decoding reaches while no prompt is read.
`quire bench` is the client: greedy, distinct prompts, end tokens ignored, streamed, over HTTP.
Standard library only.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import serve_compare  # noqa: E402

COLUMNS = ("what", "tokens/s", "decode/s", "TTFT p50", "ITL p50", "ITL p99", "device idle")
MOST_IDLE = 0.03


def row(name: str, *cells: str) -> None:
    widths = (44, 10, 10, 9, 9, 9, 11)
    words = [f"{name:<44}"] + [f"{cell:>{width}}" for cell, width in zip(cells, widths[1:])]
    print("| " + " | ".join(words) + " |", flush=True)


def watched(path: str) -> list[float]:
    """Waits, busy, idle and paused seconds so far (watching_plugin.cpp)."""
    lines = Path(path).read_text(encoding="ascii").splitlines()
    complete = [line.split() for line in lines if len(line.split()) == 4]
    return [float(word) for word in complete[-1]] if complete else [0.0] * 4


def idle_share(before: list[float], after: list[float]) -> str:
    busy, idle = after[1] - before[1], after[2] - before[2]
    if busy + idle <= 0.0:
        return ""
    share = idle / (busy + idle)
    return f"{share:.1%} {'met' if share < MOST_IDLE else 'SHORT'}"


def bench(options, port: int, load: str, watch: str, counted: bool = True) -> None:
    inputs, outputs, requests, at_once = (int(word) for word in load.split("/"))
    before = watched(watch)
    result = serve_compare.bench(options, port, at_once, requests, seed=inputs * 1000 + at_once,
                                 lengths=(inputs, outputs))
    if not counted:
        return
    if result["total_output_tokens"] != requests * outputs:
        print(f"{load}: {result['total_output_tokens']} tokens instead of {requests * outputs}")
    row(f"quire: {inputs} in, {outputs} out, {at_once} at once",
        f"{result['output_throughput']:.0f}", f"{1000 * at_once / result['p50_itl_ms']:.0f}",
        f"{result['p50_ttft_ms']:.0f} ms",
        f"{result['p50_itl_ms']:.1f} ms", f"{result['p99_itl_ms']:.1f} ms",
        idle_share(before, watched(watch)))


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("quire")
    parser.add_argument("model")
    parser.add_argument("loads", nargs="+")
    parser.add_argument("--flags", default="--device cuda --max-num-batched-tokens 2048")
    options = parser.parse_args()
    with tempfile.NamedTemporaryFile(suffix=".watch") as watch:
        os.environ["CUDA_WATCH_FILE"] = watch.name
        port = serve_compare.free_port()
        command = [options.quire, "serve", "--model", options.model, "--port", port,
                   "--log-level", "warning", *options.flags.split()]
        row(*COLUMNS)
        row(*["---"] * len(COLUMNS))
        with serve_compare.Server(command, port):
            bench(options, port, "64/64/8/8", watch.name, counted=False)
            for load in options.loads:
                bench(options, port, load, watch.name)


if __name__ == "__main__":
    main()
