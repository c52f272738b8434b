"""Tiled: an Engine that runs another one tile by tile.

All tiles of a picture have one size, so that kernels and graphs are chosen once. A tile at the picture's edge lies
against it: the network's own padding meets the true border there, exactly as in the untiled run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vsr.core.errors import IncompatibleModel
from vsr.engines.base import Batch, Engine
from vsr.engines.memory import memory_errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One tile along one axis, in low-resolution pixels: what the engine reads, and what of it is its own."""

    start: int
    stop: int
    core_start: int
    core_stop: int


class Tiled:
    """Runs `engine` on tiles of `tile` x `tile` pixels; the context around each comes on top.

    tile: side of a tile's own part, in low-resolution pixels, rounded to the divisor. overlap: context on each side
    (None: the card's halo). Where the card says `exact` and the overlap is at least the halo, the tiles' own parts are
    put together and the result is the untiled one but for the rounding of float arithmetic; else neighbouring tiles
    are blended linearly over their common part.

    Raises:
        IncompatibleModel: the card says `never`.
    """

    def __init__(self, engine: Engine, tile: int, overlap: int | None = None) -> None:
        card = engine.card
        if card.tiling == "never":
            raise IncompatibleModel(f"{card.id} needs the whole picture, it cannot be tiled", hint="Leave out --tile.")
        wanted = card.halo if overlap is None else overlap
        self.card = card
        self.overlap = -(-wanted // card.divisor) * card.divisor
        least = -(-max(1, card.minimum - 2 * self.overlap) // card.divisor) * card.divisor
        self.tile = max(least, tile // card.divisor * card.divisor)
        self.is_exact = card.tiling == "exact" and self.overlap >= card.halo
        self._engine = engine

    @property
    def scale(self) -> int:
        return self._engine.scale

    def restore(self, batch: Batch) -> Tensor:
        height, width = batch.frames.shape[-2:]
        rows = cut(height, self.tile, self.overlap, self.card.divisor)
        columns = cut(width, self.tile, self.overlap, self.card.divisor)
        if len(rows) == len(columns) == 1:
            return self._engine.restore(batch)
        return self._crop(batch, rows, columns) if self.is_exact else self._blend(batch, rows, columns)

    def close(self) -> None:
        self._engine.close()

    def _crop(self, batch: Batch, rows: list[Part], columns: list[Part]) -> Tensor:
        canvas = self._canvas(batch)
        s = self.scale
        for row in rows:
            for column in columns:
                result = self._engine.restore(window(batch, row, column, s))
                top, left = (row.core_start - row.start) * s, (column.core_start - column.start) * s
                high, wide = (row.core_stop - row.core_start) * s, (column.core_stop - column.core_start) * s
                core = result[..., top : top + high, left : left + wide]
                canvas[..., row.core_start * s : row.core_stop * s, column.core_start * s : column.core_stop * s] = core
        return canvas

    def _blend(self, batch: Batch, rows: list[Part], columns: list[Part]) -> Tensor:
        canvas = self._canvas(batch).zero_()
        total = torch.zeros_like(canvas[:1, :1])
        s = self.scale
        ramp = max(1, 2 * self.overlap * s)
        for row in rows:
            down = _trapezoid(row, rows[-1].stop, s, ramp).to(canvas.device)[:, None]
            for column in columns:
                weight = down * _trapezoid(column, columns[-1].stop, s, ramp).to(canvas.device)
                result = self._engine.restore(window(batch, row, column, s))
                place = (..., slice(row.start * s, row.stop * s), slice(column.start * s, column.stop * s))
                canvas[place] += result * weight
                total[place] += weight
        return canvas.div_(total)

    def _canvas(self, batch: Batch) -> Tensor:
        count, _, channels, height, width = batch.frames.shape
        shape = (count, channels, height * self.scale, width * self.scale)
        with memory_errors(f"{self.card.id}: a picture of {shape[3]}x{shape[2]}"):
            return torch.empty(shape, dtype=torch.float32, device=batch.frames.device)


def cut(size: int, tile: int, overlap: int, divisor: int = 1) -> list[Part]:
    """Cut an axis into parts of one size, spread evenly; cores partition it, starts are multiples of `divisor`.

    All arguments but `size` are multiples of the divisor, or 0. Each core has `overlap` pixels of context on either
    side, or all there are up to the edge; it is at most `tile` long, but for the first and the last, whose context on
    the outer side does not exist and is theirs.
    """
    length = tile + 2 * overlap
    if size <= length:
        return [Part(start=0, stop=size, core_start=0, core_stop=size)]
    count = -(-(size - 2 * overlap) // tile)
    starts = [(size - length) * i // (count - 1) // divisor * divisor for i in range(count - 1)] + [size - length]
    borders = [0] + [start + overlap for start in starts[1:]] + [size]
    return [
        Part(start=start, stop=start + length, core_start=borders[i], core_stop=borders[i + 1])
        for i, start in enumerate(starts)
    ]


def window(batch: Batch, row: Part, column: Part, scale: int) -> Batch:
    """Give the part of a batch that a tile reads; the noise field's offset moves with the tile."""
    aligned = batch.aligned
    if aligned is not None:
        aligned = aligned[
            ..., row.start * scale : row.stop * scale, column.start * scale : column.stop * scale
        ].contiguous()
    moved = (row.start * scale, column.start * scale)
    keys = tuple(replace(key, offset=(key.offset[0] - moved[0], key.offset[1] - moved[1])) for key in batch.keys)
    frames = batch.frames[..., row.start : row.stop, column.start : column.stop].contiguous()
    return Batch(frames=frames, keys=keys, aligned=aligned)


def _trapezoid(part: Part, size: int, scale: int, ramp: int) -> Tensor:
    """Give a tile's weights along one axis: 1 inside, falling linearly over `ramp` towards a neighbour."""
    at = torch.arange((part.stop - part.start) * scale, dtype=torch.float32) + 0.5
    weight = torch.ones_like(at)
    if part.start > 0:
        weight = torch.minimum(weight, at / ramp)
    if part.stop < size:
        weight = torch.minimum(weight, at.flip(0) / ramp)
    return weight
