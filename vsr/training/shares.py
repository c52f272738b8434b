"""Where an update's time goes: how much of it is convolution, how much is making the batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of an update's wall time, 0..1: convolutions forward and backward (CPU only), drawing the batch."""

    convolution: float
    data: float


class _Convolutions(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own are not annotated
    """Adds up the seconds spent in convolutions, forward and backward. torch's profiler writes to stderr by itself."""

    seconds = 0.0

    def __torch_dispatch__(
        self,
        func: OpOverload,
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        began = time.perf_counter()
        result = func(*args, **(kwargs or {}))
        if "convolution" in str(func):
            self.seconds += time.perf_counter() - began
        return result


def measure(draw: Callable[[], object], update: Callable[[], object], *, times: int = 3) -> Shares:
    """Time a few updates. draw: makes a batch and nothing else; update: does a whole update, batch included."""
    began = time.perf_counter()
    for _ in range(times):
        draw()
    drawing = time.perf_counter() - began
    with _Convolutions() as convolutions:  # type: ignore[no-untyped-call]
        began = time.perf_counter()
        for _ in range(times):
            update()
        spent = time.perf_counter() - began
    return Shares(convolution=min(1.0, convolutions.seconds / spent), data=min(1.0, drawing / spent))
