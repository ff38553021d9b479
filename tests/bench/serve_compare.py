"""Our server beside llama.cpp's on the same weights, in one run, measured by the same client.

usage: serve_compare.py --model FOLDER --peer LLAMA_SERVER --gguf FILE.gguf [--gguf ...]
                        [--quire build/release/server/quire] [--quantization int8] [--threads 2]
                        [--clients 1,8,32,64] [--rounds 1] [--json FILE] [--markdown FILE]
       serve_compare.py --json FILE            the table of what FILE holds

128 tokens in, 64 out, distinct prompts, greedy, end tokens ignored, streamed; `quire bench` is the
client for both. At each number of clients the servers run one after the other: ours, then for each
GGUF file the peer at its defaults and with -ub 128, flash attention off (its faster settings on a
CPU); its best counts, for each figure by itself. Each server starts afresh and answers a small load
before it is measured. A run is added to FILE, and the table shows medians over all that it holds.

The folder is made by random_llama.py, the GGUF by write_gguf.py, the peer by peer_llama_cpp.sh.
Standard library only.
"""

import argparse
import datetime
import json
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HOST = "127.0.0.1"
INPUT, OUTPUT = 128, 64  # tokens
CONTEXT = 256  # of one of the peer's slots
WAVES = 2  # requests per client
FEWEST = 6  # requests of a measurement
START_SECONDS = 120
OURS = "quire"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def quire_command(options, port: int) -> list[str]:
    command = [options.quire, "serve", "--model", options.model, "--port", port,
               "--num-threads", options.threads, "--log-level", "warning"]
    if options.quantization:
        command += ["--quantization", options.quantization]
    return command + options.quire_flags.split()


def peer_command(options, gguf: Path, clients: int, port: int, extra: list[str]) -> list[str]:
    return [options.peer, "-m", gguf, "--host", HOST, "--port", port, "-t", options.threads,
            "-tb", options.threads, "-fa", "off", "-np", clients, "-c", clients * CONTEXT,
            "--cache-ram", "0", "--log-disable", *extra]


def servers(options, clients: int) -> dict:
    """Name to a function from a port to a command."""
    table = {OURS: lambda port: quire_command(options, port)}
    for gguf in options.gguf:
        for extra in ([], ["-ub", "128"]):
            name = " ".join(["llama.cpp", gguf.stem.rpartition("-")[2], *extra])
            table[name] = lambda port, g=gguf, e=extra: peer_command(options, g, clients, port, e)
    return table


class Server:
    """A running server; its log is shown where it does not start."""

    def __init__(self, command: list, port: int):
        self.port = port
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=subprocess.STDOUT)

    def __enter__(self) -> "Server":
        deadline = time.monotonic() + START_SECONDS
        while not self.ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.log.seek(0)
                self.__exit__()
                sys.exit(f"did not start: {self.process.args}\n{self.log.read().decode()}")
            time.sleep(0.02)
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{HOST}:{self.port}/health", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.HTTPError, OSError):
            return False


def bench(options, port: int, clients: int, requests: int, seed: int,
          lengths: tuple[int, int] = (INPUT, OUTPUT)) -> dict:
    """One load by quire bench; its JSON."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        command = [options.quire, "bench", "--url", f"http://{HOST}:{port}", "--concurrency",
                   clients, "--num-prompts", requests, "--input-len", lengths[0], "--output-len",
                   lengths[1], "--seed", seed, "--json", out.name]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"quire bench failed:\n{done.stdout}{done.stderr}")
        return json.loads(Path(out.name).read_text())


def measure(options, name: str, command_for, clients: int, number: int) -> dict:
    requests = max(FEWEST, WAVES * clients)
    port = free_port()
    with Server(command_for(port), port):
        bench(options, port, min(clients, 4), min(clients, 4), seed=1)
        result = bench(options, port, clients, requests, seed=1000 * number + clients)
    done = requests * OUTPUT
    if result["total_output_tokens"] != done:
        sys.exit(f"{name}: {result['total_output_tokens']} output tokens instead of {done}")
    row = {"server": name, "clients": clients, "requests": requests,
           "quantization": options.quantization or "none",
           "input_tokens": result["total_input_tokens"],
           "output_tokens_per_s": result["output_throughput"],
           "itl_p99_ms": result["p99_itl_ms"], "itl_p50_ms": result["p50_itl_ms"],
           "ttft_p50_ms": result["p50_ttft_ms"], "ttft_p99_ms": result["p99_ttft_ms"]}
    print(f"{clients:3} clients  {name:24} {row['output_tokens_per_s']:8.1f} tokens/s  "
          f"p99 {row['itl_p99_ms']:8.1f} ms  TTFT {row['ttft_p50_ms']:7.0f} ms", flush=True)
    return row


def check_same_input(rows: list[dict]) -> None:
    """The servers counted the same prompts: else their figures are not about the same work."""
    counts = {row["server"]: row["input_tokens"] for row in rows}
    if len(set(counts.values())) != 1:
        print(f"input tokens differ: {counts}", file=sys.stderr)


def medians(runs: list[dict], figure: str) -> dict:
    """(clients, server) to the median of a figure."""
    values: dict = {}
    for run in runs:
        values.setdefault((run["clients"], run["server"]), []).append(run[figure])
    return {key: statistics.median(found) for key, found in values.items()}


def best_peer(table: dict, clients: int, choose) -> tuple[float, str] | None:
    peers = [(value, name) for (c, name), value in table.items() if c == clients and name != OURS]
    return choose(peers) if peers else None


def table(runs: list[dict]) -> str:
    speed, gap = medians(runs, "output_tokens_per_s"), medians(runs, "itl_p99_ms")
    lines = ["| clients | quire, tokens/s | llama.cpp's best, tokens/s | ratio "
             "| quire, p99 ms | llama.cpp's best, p99 ms | ratio |",
             "| --- | --- | --- | --- | --- | --- | --- |"]
    for clients in sorted({c for c, _ in speed}):
        fastest, calmest = best_peer(speed, clients, max), best_peer(gap, clients, min)
        ours = (clients, OURS)
        if ours not in speed or not fastest:
            continue
        lines.append(f"| {clients} | {speed[ours]:.0f} | {fastest[0]:.0f} ({fastest[1][10:]}) "
                     f"| {speed[ours] / fastest[0]:.2f}x | {gap[ours]:.0f} "
                     f"| {calmest[0]:.0f} ({calmest[1][10:]}) | {gap[ours] / calmest[0]:.2f}x |")
    return "\n".join(lines) + "\n"


def run(options) -> list[dict]:
    runs = []
    first = int(time.time()) % 100000  # prompts that no server has seen
    for clients in (int(word) for word in options.clients.split(",")):
        for number in range(first, first + options.rounds):
            rows = [measure(options, name, command, clients, number)
                    for name, command in servers(options, clients).items()]
            check_same_input(rows)
            runs += rows
    return runs


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def parse():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--quire", type=Path, default=Path("build/release/server/quire"))
    parser.add_argument("--quire-flags", default="")
    parser.add_argument("--quantization", default="")
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--gguf", type=Path, action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clients", default="1,8,32,64")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    if not options.json and not options.model:
        parser.error("--model, or --json with results")
    if options.gguf and not options.peer:
        parser.error("--gguf needs --peer")
    return options


def main() -> None:
    options = parse()
    runs = []
    if options.json and options.json.exists():
        runs = json.loads(options.json.read_text())["runs"]
    if options.model:
        runs += run(options)
    body = {"date": datetime.date.today().isoformat(), "processor": processor(), "runs": runs}
    if options.json and options.model:
        options.json.write_text(json.dumps(body, indent=1) + "\n")
    text = f"\n{body['date']}, {body['processor']}, {options.threads} threads each\n\n{table(runs)}"
    print(text)
    if options.markdown:
        with options.markdown.open("a", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    main()
