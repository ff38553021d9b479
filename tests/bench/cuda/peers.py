"""PyTorch's products (cuBLAS) and attention on the shapes of benchmarks, as rows of its table.

usage: peers.py [ROWS]      ROWS: what `benchmarks --rows` wrote; ours stand beside then
"""

import sys
import time
from pathlib import Path

import torch

REPEATS = 20
MORE_THAN_CACHES = 256 << 20  # bytes
SHAPES = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096))
SCALES = {"GB/s": 1e9, "TFLOP/s": 1e12}


def seconds(op) -> float:
    """Of one op(i), of many after warm ones."""
    def measure(repeats: int) -> float:
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for i in range(repeats):
            op(i)
        torch.cuda.synchronize()
        return (time.perf_counter() - begin) / repeats

    measure(3)
    return measure(min(500, max(REPEATS, int(0.01 / measure(3)))))


def read_rows(path: str | None) -> dict[str, tuple[float, float]]:
    """Name to seconds and amount per second."""
    if path is None or not Path(path).exists():
        return {}
    rows = (line.split("\t") for line in Path(path).read_text(encoding="utf-8").splitlines())
    return {name: (float(taken), float(rate)) for name, taken, rate in rows}


OURS = read_rows(sys.argv[1] if len(sys.argv) > 1 else None)


def ceiling(name: str) -> float:
    return next((rate for row, (_, rate) in OURS.items() if row.startswith(name)), 0.0)


def line(what: str, taken: float, rate: float, unit: str, top: float) -> None:
    """`what` is the name of our row; the fifth column is ours as a share of PyTorch's speed."""
    share = f"{rate / top:.1%}" if top else ""
    beside = f"ours: {taken / OURS[what][0]:.1%}" if what in OURS else ""
    figure = f"{rate / SCALES[unit]:.1f} {unit}"
    print(f"| {'torch: ' + what:<52} | {taken * 1e6:10.1f} us | {figure:>16} | {share:<18} "
          f"| {beside:<21} | {'':<28} |", flush=True)


def tensor(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def products() -> float:
    """Returns the product's ceiling, operations per second."""
    large = tensor(8192, 8192)
    taken = seconds(lambda _: large @ large)
    top = max(2 * 8192**3 / taken, ceiling("ceiling: product"))
    line("product of 8192 x 8192 x 8192", taken, 2 * 8192**3 / taken, "TFLOP/s", top)
    copy = ceiling("ceiling: device copy")
    for n, k in SHAPES:
        weights = [tensor(n, k) for _ in range(MORE_THAN_CACHES // (2 * n * k) + 1)]
        for rows in (1, 16, 64, 256, 4096):
            if n > 100000 and rows > 256:
                continue
            x = tensor(rows, k)
            taken = seconds(lambda i: torch.nn.functional.linear(x, weights[i % len(weights)]))
            name = f"product, M {rows}, N {n}, K {k}"
            if rows <= 64:
                line(name, taken, 2 * n * k / taken, "GB/s", copy)
            else:
                line(name, taken, 2 * n * k * rows / taken, "TFLOP/s", top)
    return top


def attention(top: float) -> None:
    """4 x 32 heads x 128 operations for each of the T (T + 1) / 2 pairs of a query and its keys."""
    tokens = 8192
    q, k, v = (tensor(1, heads, tokens, 128) for heads in (32, 8, 8))
    k, v = (x.repeat_interleave(4, 1) for x in (k, v))
    taken = seconds(lambda _: torch.nn.functional.scaled_dot_product_attention(q, k, v,
                                                                               is_causal=True))
    operations = 4 * 32 * 128 * tokens * (tokens + 1) / 2
    line(f"prefill attention, {tokens} tokens, causal", taken, operations / taken, "TFLOP/s", top)


attention(products())
