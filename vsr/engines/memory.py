"""Memory of a call: how much it will take, and every way of failing to get it turned into OutOfMemory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vsr.core.errors import OutOfMemory

_NO_MEMORY = re.compile(
    r"can't allocate memory|not enough memory|bad_alloc"
    r"|CUDA out of memory|CUDA error: out of memory|STATUS_ALLOC_FAILED"
)


@contextmanager
def memory_errors(what: str) -> Iterator[None]:
    """Run a block; `what` is said to have failed when memory runs out in it.

    Raises:
        OutOfMemory: for torch's own error, its CPU allocator's RuntimeError and MemoryError.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _out_of_memory(what) from error
    except RuntimeError as error:
        if not _NO_MEMORY.search(str(error)):
            raise
        raise _out_of_memory(what) from error


def _out_of_memory(what: str) -> OutOfMemory:
    return OutOfMemory(f"out of memory: {what}", hint="Use a smaller --tile, --batch 1 or fewer --workers.")


# Measured on ESPCN: leaf operators account for 195 of 198 bytes a pixel of real peak; nets that keep features for later
# (skip connections, dense blocks) hold more than any single operator shows.
SAFETY = 2.0
GRAPH_BYTES = 2048.0  # bytes a pixel assumed of networks that OpenCV runs, whose operators cannot be watched: 64 float
# channels in and out, four times over


def bytes_per_pixel(net: nn.Module, frames: Tensor, *more: Tensor) -> float:
    """Give the working memory a call takes, in bytes per low-resolution pixel and window, from one small call.

    frames: (1, N, C, H, W); more: what else the network takes. The largest sum of what goes into and comes out of one
    operator, with a safety factor.
    """
    most = float(sum(given.nbytes for given in (frames, *more)))

    def look(_: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        nonlocal most
        here = [t for t in (*inputs, output) if isinstance(t, Tensor)]
        most = max(most, float(sum(t.nbytes for t in here)))

    hooks = [module.register_forward_hook(look) for module in net.modules()]
    try:
        with torch.inference_mode():
            net(frames, *more)
    finally:
        for hook in hooks:
            hook.remove()
    return SAFETY * most / (frames.shape[-2] * frames.shape[-1])


def tile_that_fits(per_pixel: float, height: int, width: int, budget_bytes: float, halo: int) -> int | None:
    """Give the largest tile side (a multiple of 32, at least 64) whose call stays in the budget; None: all fits."""
    if per_pixel * height * width <= budget_bytes:
        return None
    side = int((budget_bytes / per_pixel) ** 0.5) - 2 * halo
    return max(64, side // 32 * 32)
