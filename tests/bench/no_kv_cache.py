"""What the KV cache is worth: a GPT-2-shaped model with and without it, in one run.

usage: no_kv_cache.py [--build build/release] [--new-tokens 1000] [--threads 0] [--model FOLDER]
                      [--every 1] [--svg no_kv_cache.svg]
       no_kv_cache.py --series CACHED PLAIN     what two earlier runs of decode_cost printed

A 7-token prompt, one request alone. Prints the ratio of the total times at 100, 500 and 1,000 new
tokens and the time per token against position; the plot needs no library. Build first:
cmake --build build/release --target decode_cost. Without the cache the work grows with the square:
the run takes minutes. --every 50 shortens that: a token without the cache costs what its position
says, so that it is measured at every 50th alone, and drawn straight between.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PROMPT_TOKENS = 7
MARKS = (100, 500, 1000)


def measure(build: Path, model: Path, mode: str, new_tokens: int, threads: int,
            prompt_tokens: int = PROMPT_TOKENS) -> list[float]:
    """Seconds of each generated token."""
    binary = next(build.rglob("decode_cost"))
    process = subprocess.Popen(
        [binary, model, mode, str(prompt_tokens), str(new_tokens), str(threads)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    seconds = []
    for line in process.stdout:
        seconds.append(float(line.split()[1]))
        if len(seconds) % 50 == 0:
            print(f"  {mode}: {len(seconds)} tokens, {sum(seconds):.1f} s", file=sys.stderr)
    if process.wait() != 0:
        sys.exit("decode_cost failed")
    return seconds


def measure_some(build: Path, model: Path, new_tokens: int, threads: int,
                 every: int) -> list[float]:
    """The same without the cache, from the medians of four tokens at every `every`th position."""
    begins = [*range(0, new_tokens, every), new_tokens]
    known = []
    for begin in begins:
        # The first token is left out: it also holds the request's way to the engine.
        known.append(statistics.median(
            measure(build, model, "no-cache", 5, threads, PROMPT_TOKENS + begin)[1:]))
        print(f"  no-cache: {known[-1] * 1e3:.1f} ms at {PROMPT_TOKENS + begin}", file=sys.stderr)
    seconds = []
    for i in range(new_tokens):
        left = i // every
        share = (i - begins[left]) / (begins[left + 1] - begins[left])
        seconds.append(known[left] * (1 - share) + known[left + 1] * share)
    return seconds


def print_tables(cached: list[float], plain: list[float]) -> None:
    print("\n| new tokens | with cache, s | without, s | ratio |\n| --- | --- | --- | --- |")
    for mark in MARKS:
        if mark <= len(plain):
            with_cache, without = sum(cached[:mark]), sum(plain[:mark])
            print(f"| {mark} | {with_cache:.2f} | {without:.2f} | {without / with_cache:.2f}x |")
    print("\n| position | with cache, ms per token | without, ms per token |\n| --- | --- | --- |")
    for begin in range(0, len(plain), 100):
        piece = slice(max(begin, 1), begin + 100)  # the first token holds the prefill
        print(f"| {begin + PROMPT_TOKENS} to {begin + 99 + PROMPT_TOKENS} "
              f"| {statistics.median(cached[piece]) * 1e3:.2f} "
              f"| {statistics.median(plain[piece]) * 1e3:.2f} |")


def polyline(seconds: list[float], most: float, colour: str) -> str:
    points = " ".join(f"{60 + 700 * i / len(seconds):.1f},{360 - 320 * s / most:.1f}"
                      for i, s in enumerate(seconds) if i)
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'


def svg(cached: list[float], plain: list[float]) -> str:
    most = sorted(plain)[len(plain) * 99 // 100] * 1.1
    clip = [[min(s, most) for s in series] for series in (cached, plain)]
    grid = "".join(
        f'<text x="54" y="{364 - 80 * i}" text-anchor="end">{most * i / 4 * 1e3:.0f}</text>'
        f'<line x1="60" x2="760" y1="{360 - 80 * i}" y2="{360 - 80 * i}" stroke="#ddd"/>'
        f'<text x="{60 + 175 * i}" y="378" text-anchor="middle">{len(plain) * i // 4}</text>'
        for i in range(5))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 410" '
            f'font-family="sans-serif" font-size="12"><rect width="800" height="410" fill="#fff"/>'
            f'{grid}{polyline(clip[1], most, "#c33")}{polyline(clip[0], most, "#36c")}'
            f'<text x="60" y="24">ms per token against generated tokens: '
            f'<tspan fill="#c33">without the KV cache</tspan>, '
            f'<tspan fill="#36c">with it</tspan></text></svg>\n')


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=Path("build/release"))
    parser.add_argument("--new-tokens", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--svg", type=Path, default=Path("no_kv_cache.svg"))
    parser.add_argument("--series", type=Path, nargs=2)
    arguments = parser.parse_args()
    if arguments.series:
        series = [read_series(path) for path in arguments.series]
    else:
        series = measure_both(arguments)
    print_tables(*series)
    arguments.svg.write_text(svg(*series))
    print(f"\nplot: {arguments.svg}")


def measure_both(arguments) -> list[list[float]]:
    with tempfile.TemporaryDirectory(prefix="quire-gpt2-") as made:
        model = arguments.model or Path(made)
        if not arguments.model:
            subprocess.run([sys.executable, Path(__file__).with_name("random_gpt2.py"), model],
                           check=True)
        run = (arguments.build, model)
        limits = (arguments.new_tokens, arguments.threads)
        cached = measure(*run, "cache", *limits)
        if arguments.every > 1:
            return [cached, measure_some(*run, *limits, arguments.every)]
        return [cached, measure(*run, "no-cache", *limits)]


def read_series(path: Path) -> list[float]:
    return [float(line.split()[1]) for line in path.read_text().splitlines()]


if __name__ == "__main__":
    main()
