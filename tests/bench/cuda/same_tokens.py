"""Greedy tokens on the GPU beside the CPU's, both in float32, of one daemon after the other.

usage: same_tokens.py QUIRE MODEL...       QUIRE: the daemon, the plug-in beside it

Exit status 0: all tokens of all prompts are equal. Standard library only.
"""

import json
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from serve_compare import HOST, Server, free_port  # noqa: E402

TOKENS = 120
PROMPTS = ["Once upon a time", "The fox", "One day, a little", "In the forest there was", "She",
           "\n\n", "a b c d e f g h", "It was raining and the two friends stayed in the house. " * 4]


def ask(port: int, prompt: str) -> tuple[list[str], list[float]]:
    """The tokens of a greedy completion and their logprobs."""
    body = {"prompt": prompt, "max_tokens": TOKENS, "temperature": 0, "logprobs": 0,
            "ignore_eos": True}
    request = urllib.request.Request(f"http://{HOST}:{port}/v1/completions",
                                     json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        logprobs = json.load(answer)["choices"][0]["logprobs"]
    return logprobs["tokens"], logprobs["token_logprobs"]


def answers(quire: str, model: str, device: str) -> list[tuple[list[str], list[float]]]:
    port = free_port()
    with Server([quire, "serve", "--model", model, "--port", port, "--device", device, "--dtype",
                 "float32", "--kv-cache-memory", "256MiB", "--log-level", "warning"], port):
        return [ask(port, prompt) for prompt in PROMPTS]


def compare(model: str, expected: list, actual: list) -> bool:
    differing, widest = 0, 0.0
    for prompt, (tokens, logprobs), (others, their) in zip(PROMPTS, expected, actual):
        same = next((i for i, (a, b) in enumerate(zip(tokens, others)) if a != b), len(tokens))
        widest = max([widest, *(abs(a - b) for a, b in zip(logprobs[:same], their[:same]))])
        if tokens == others:
            continue
        differing += 1
        print(f"  {prompt[:30]!r}: token {same} is {others[same:same + 1]} with logprob "
              f"{their[same:same + 1]}, on the CPU {tokens[same:same + 1]} with "
              f"{logprobs[same:same + 1]}")
    total = sum(len(tokens) for tokens, _ in expected)
    print(f"{Path(model).name}: {len(PROMPTS)} prompts, {total} tokens, {differing} answers differ; "
          f"logprobs of equal tokens differ by at most {widest:.2g}", flush=True)
    return differing == 0 and total > 0


def main() -> None:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    quire, models = sys.argv[1], sys.argv[2:]
    good = [compare(model, answers(quire, model, "cpu"), answers(quire, model, "cuda"))
            for model in models]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
