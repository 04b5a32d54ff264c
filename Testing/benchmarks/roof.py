"""What this machine can do now: the best rates of matrix products, convolutions and copying."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

#: What seconds are: of the clock; or of this process's processors, which says more on a busy machine, with one thread.
clock: Callable[[], float] = time.perf_counter


def by_processor() -> None:
    """Count seconds of the processor from now on, and compute on one thread."""
    global clock
    clock = time.process_time
    torch.set_num_threads(1)


def least_seconds(work: Callable[[], object], budget_s: float = 1.0, least: int = 3) -> float:
    """The shortest of as many calls as fit into a time."""
    work()
    found: list[float] = []
    end = time.perf_counter() + budget_s
    while len(found) < least or time.perf_counter() < end:
        begun = clock()
        work()
        found.append(clock() - begun)
    return min(found)


def flops(work: Callable[[], object]) -> float:
    """Floating point operations of matrix products and convolutions, two for each multiplication with addition."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        work()
    return float(counter.get_total_flops())


def rates(dtype: torch.dtype, budget_s: float = 0.7) -> dict[str, float]:
    """Best FLOP per second of "gemm", "linear" and "conv" in a number type."""
    tries: dict[str, list[Callable[[], Tensor]]] = {"gemm": [], "linear": [], "conv": []}
    # Where a processor has no such numbers a large product takes minutes, and the small ones tell it.
    for n in (768, 1024, 2048) if dtype == torch.float32 else (256,):
        a, b = torch.rand(n, n, dtype=dtype), torch.rand(n, n, dtype=dtype)
        tries["gemm"].append(lambda a=a, b=b: a @ b)
    for rows, n in ((4096, 384), (1024, 1024)):
        layer, x = nn.Linear(n, n).to(dtype), torch.rand(rows, n, dtype=dtype)
        tries["linear"].append(lambda layer=layer, x=x: layer(x))
    for channels, side in ((64, 128), (128, 64), (256, 32)):
        conv = nn.Conv2d(channels, channels, 3, padding=1).to(dtype).to(memory_format=torch.channels_last)
        x = torch.rand(1, channels, side, side, dtype=dtype).to(memory_format=torch.channels_last)
        tries["conv"].append(lambda conv=conv, x=x: conv(x))
    with torch.inference_mode():
        return {
            name: max(flops(work) / least_seconds(work, budget_s / len(works)) for work in works)
            for name, works in tries.items()
        }


def copy_rate() -> float:
    """Bytes read and written per second by a copy that is larger than the caches."""
    a = torch.zeros(64 * 1024**2, dtype=torch.float32)
    b = torch.empty_like(a)
    return 2 * a.numel() * 4 / least_seconds(lambda: b.copy_(a), 0.5)
