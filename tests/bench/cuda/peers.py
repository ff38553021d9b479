"""PyTorch's products (cuBLAS) and attention on the shapes of benchmarks.cpp, as lines of its table."""

import time

import torch

REPEATS = 20


def seconds(op) -> float:
    for repeats in (3, REPEATS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(repeats):
            op()
        torch.cuda.synchronize()
        taken = (time.perf_counter() - begin) / repeats
    return taken


def line(what: str, taken: float, figure: float, unit: str) -> None:
    print(f"| {what:<52} | {taken * 1e6:10.1f} us | {figure:9.1f} {unit:<8} |", flush=True)


def tensor(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, device="cuda", dtype=torch.bfloat16)


def products() -> None:
    large = tensor(8192, 8192)
    taken = seconds(lambda: large @ large)
    line("torch: product of 8192 x 8192 x 8192", taken, 2 * 8192**3 / taken / 1e12, "TFLOP/s")
    for n, k in ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336), (128256, 4096)):
        weight = tensor(n, k)
        for rows in (1, 16, 64, 256, 4096):
            if n > 100000 and rows > 256:
                continue
            x = tensor(rows, k)
            taken = seconds(lambda: torch.nn.functional.linear(x, weight))
            name = f"torch: product, M {rows}, N {n}, K {k}"
            if rows <= 64:
                line(name, taken, 2 * n * k / taken / 1e9, "GB/s")
            else:
                line(name, taken, 2 * n * k * rows / taken / 1e12, "TFLOP/s")


def attention() -> None:
    q, k, v = tensor(1, 32, 8192, 128), tensor(1, 8, 8192, 128), tensor(1, 8, 8192, 128)
    k, v = (x.repeat_interleave(4, 1) for x in (k, v))
    taken = seconds(lambda: torch.nn.functional.scaled_dot_product_attention(q, k, v,
                                                                             is_causal=True))
    line("torch: attention, causal, 8192 tokens", taken, 2 * 32 * 128 * 8192**2 / taken / 1e12,
         "TFLOP/s")


products()
attention()
