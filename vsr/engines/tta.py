"""Ensemble: an Engine that runs another one on all eight turns and mirrors of a picture and gives their mean.

Geometric self-ensemble (Lim et al. 2017, section 3.4): eight times the work, no new weights.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from vsr.engines.base import Batch, Engine

COUNT = 8


class Ensemble:
    """Wraps `engine`. Put it inside `Tiled`, not around it: a turned picture would be cut at other places."""

    def __init__(self, engine: Engine) -> None:
        self.card = engine.card
        self._engine = engine

    @property
    def scale(self) -> int:
        return self._engine.scale

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`."""
        total: Tensor | None = None
        for number in range(COUNT):
            turned = replace(
                batch,
                frames=turn(batch.frames, number).contiguous(),
                aligned=None if batch.aligned is None else turn(batch.aligned, number).contiguous(),
            )
            result = turn_back(self._engine.restore(turned), number)
            total = result if total is None else total + result
        assert total is not None
        return total / COUNT

    def close(self) -> None:
        self._engine.close()


def turn(planes: Tensor, number: int) -> Tensor:
    """Give planes (..., H, W) turned by `number` % 4 quarters, mirrored first where `number` is 4 to 7."""
    mirrored = planes.flip(-1) if number >= 4 else planes
    return mirrored.rot90(number % 4, (-2, -1))


def turn_back(planes: Tensor, number: int) -> Tensor:
    """Undo `turn`."""
    upright = planes.rot90(-(number % 4), (-2, -1))
    return upright.flip(-1) if number >= 4 else upright
