"""Where an update's time goes: how much of it is convolution, how much is making the batch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from torch.autograd.profiler import profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of an update's wall time, 0..1: convolutions forward and backward (CPU only), drawing the batch."""

    convolution: float
    data: float


def measure(draw: Callable[[], object], update: Callable[[], object], *, times: int = 3) -> Shares:
    """Profile a few updates. draw: makes a batch and nothing else; update: does a whole update, batch included."""
    began = time.perf_counter()
    for _ in range(times):
        draw()
    drawing = time.perf_counter() - began
    with profile(use_kineto=False) as profiler:  # kineto's writes lines of its own to stderr
        began = time.perf_counter()
        for _ in range(times):
            update()
        spent = time.perf_counter() - began
    convolving = sum(event.self_cpu_time_total for event in profiler.key_averages() if "conv" in event.key.lower())
    return Shares(convolution=min(1.0, convolving / 1e6 / spent), data=min(1.0, drawing / spent))
