"""The Engine interface: windows of pictures in, restored pictures out.

Everything above speaks to engines through this file alone. `tests/contracts/test_engine.py` holds every
implementation to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from vsr.core.card import ModelCard


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What an engine's noise may depend on: never call order, batch, tile or device."""

    frame: int  # absolute index of the centre frame in the source
    seed: int
    offset: tuple[int, int] = (0, 0)  # (dy, dx) of the noise field on the output grid


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Batch:
    """Windows for one engine call, on the engine's device.

    frames: (B, N, C, H, W) float32, black 0 and white 1; the window's centre is frames[:, N // 2].
    keys: one per window. aligned: (B, N-1, C, sH, sW) differences of the neighbours to the centre on the output grid
    where the card's alignment is `grid`, else None.
    """

    frames: Tensor
    keys: tuple[Key, ...]
    aligned: Tensor | None = None

    def __post_init__(self) -> None:
        if self.frames.dim() != 5:
            raise ValueError(f"frames must be (B, N, C, H, W), got {tuple(self.frames.shape)}")
        if len(self.keys) != self.frames.shape[0]:
            raise ValueError(f"{self.frames.shape[0]} windows, {len(self.keys)} keys")


class Engine(Protocol):
    """A network and how to run it. `restore` may be called from several threads at a time."""

    card: ModelCard

    def restore(self, batch: Batch) -> Tensor:
        """Give (B, C, s*H, s*W) float32 on the same device, s = card.scale (or the scale it was opened with).

        H and W are multiples of `card.divisor` and at least `card.minimum`. Values are not clipped.

        Raises:
            OutOfMemory: the device has too little memory for this batch; a smaller one may fit.
        """
        ...

    @property
    def scale(self) -> int:
        """Output size / input size of `restore`."""
        ...

    def close(self) -> None:
        """Give the device's memory back."""
        ...


@runtime_checkable
class SelfTiling(Protocol):
    """An engine that runs in tiles by itself: its steps need the whole picture, its network does not."""

    def tiled(self, tile: int) -> Engine:
        """Give the same engine at a tile side in low-resolution pixels; it shares the weights, and need not be closed.

        The result is the untiled one but for the rounding of float arithmetic.
        """
        ...


@runtime_checkable
class Refining(Protocol):
    """An engine that comes to its result in steps, each of which gives a picture."""

    def refine(self, batch: Batch) -> Iterator[Tensor]:
        """Yield (B, C, s*H, s*W) after each step; the last one is what `restore` gives.

        Raises:
            As `Engine.restore`.
        """
        ...


@runtime_checkable
class Weighed(Protocol):
    """An engine that knows the memory it takes."""

    def bytes_per_pixel(self) -> float:
        """Give the working memory of a call in bytes per low-resolution pixel and window."""
        ...
