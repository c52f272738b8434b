"""DiffusionEngine: an Engine that samples sr3, step by step on one canvas, in tiles that change nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from vsr.core.card import ModelCard, Precision
from vsr.core.sampling import Sampling
from vsr.engines import noise
from vsr.engines.archs.sr3 import GRID, PATCH, Sr3
from vsr.engines.base import Batch
from vsr.engines.color_fix import backproject
from vsr.engines.cuda import Call, Given, Replayed, exact_float32
from vsr.engines.diffusion import fuller, grid, sample
from vsr.engines.memory import bytes_per_pixel, memory_errors
from vsr.engines.net import DTYPES, check_batch
from vsr.engines.tiling import Part, cut

STEPS = 1  # the default; docs/sr3.md says why
CONSISTENCY = 2  # back-projections, where nobody says how clean the input is


class DiffusionEngine:
    """Samples an Sr3: `sampling.steps` network calls a frame, from noise that is a function of `Batch.keys`.

    tile: largest side of a tile's own part in low-resolution pixels; None: whole pictures. At each step the network
    runs tile by tile into one canvas, and the step is done on the canvas: the tiles' context is paid for one call, not
    for all of them, and the result is the untiled one but for the rounding of float arithmetic. The network runs in
    `precision`; the canvas, the sampler and the back-projection in float32. Safe to call from several threads.
    """

    def __init__(
        self,
        net: Sr3,
        *,
        card: ModelCard,
        device: str = "cpu",
        precision: Precision = "fp32",
        sampling: Sampling | None = None,
        tile: int | None = None,
    ) -> None:
        self.card = card
        self.device = torch.device(device)
        self.sampling = sampling or Sampling()
        self._scale = net.scale
        self._tile = tile
        self._deviation = net.deviation(net.scale)
        with memory_errors(f"the weights of {card.id} do not fit on {device}"):
            self._net: Sr3 | None = net.to(self.device).eval().requires_grad_(False)
            for part in net.children():
                part.to(dtype=DTYPES[precision], memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._trunk: Call = self._called
        if self.device.type == "cuda":
            exact_float32()
            self._trunk = Replayed(card.id, self._called)  # every tile and every step has one shape

    @property
    def scale(self) -> int:
        return self._scale

    def tiled(self, tile: int) -> DiffusionEngine:
        """Give the same engine at another tile side; it shares the weights, and need not be closed."""
        other = copy.copy(self)
        other._tile = tile
        return other

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`.

        Raises:
            OutOfMemory: the batch does not fit.
            IncompatibleModel: the window's size or channels are not the card's.
        """
        *_, result = self.refine(batch)
        return result

    def refine(self, batch: Batch) -> Iterator[Tensor]:
        """Yield the picture (B, C, s*H, s*W) as it is after each step; the last one is the result.

        Raises:
            As `restore`.
        """
        assert self._net is not None, "restore after close"
        check_batch(self.card, batch, self._scale)
        size = "x".join(str(n) for n in batch.frames.shape)
        with memory_errors(f"{self.card.id} on windows of {size}"):
            yield from self._refine(self._net, batch)

    @torch.inference_mode()  # of a generator: while it runs, not while its caller looks at a step
    def _refine(self, net: Sr3, batch: Batch) -> Iterator[Tensor]:
        base = net.enlarged(batch.frames)
        height, width = base.shape[-2:]
        context = self._context(net, base, batch.aligned)
        chosen = self.sampling
        times = grid(chosen.steps or STEPS)
        rounds = CONSISTENCY if chosen.consistency is None else chosen.consistency
        centre = batch.frames[:, batch.frames.shape[1] // 2]

        def velocity(noisy: Tensor | None, time: float) -> Tensor:
            return self._velocity(net, noisy, time, context)

        def drawn() -> Tensor:
            return torch.stack([_noise(key.seed, key.frame, key.offset) for key in batch.keys])

        def _noise(seed: int, frame: int, offset: tuple[int, int]) -> Tensor:
            own = noise.seed_of(seed, frame) if chosen.noise == "frame" else seed
            return noise.field(own, height, width, base.shape[1], offset=offset, device=base.device)

        first: Tensor | None = None
        for number, residual in enumerate(sample(velocity, drawn, times), start=1):
            first = residual if first is None else first
            is_last = number == len(times)
            shown = torch.lerp(first, fuller(first, residual), chosen.detail) if is_last and number > 1 else residual
            picture = base + self._deviation / 2 * shown
            yield backproject(picture, centre, rounds=rounds) if is_last else picture

    def _context(self, net: Sr3, base: Tensor, aligned: Tensor | None) -> Tensor:
        def call(rows: Part, columns: Part) -> Tensor:
            window = aligned if aligned is None else _seen(aligned, rows, columns)
            return net.context(_seen(base, rows, columns), window, self._deviation)

        return self._over_tiles(call, base, net.layout.context_reach, PATCH)

    def _velocity(self, net: Sr3, noisy: Tensor | None, time: float, context: Tensor) -> Tensor:
        count, _, height, width = context.shape
        whole = context.new_empty((1, 1, 1, 1)).expand(count, 1, height * PATCH, width * PATCH)
        times = torch.full((count,), time, dtype=torch.float32, device=context.device)

        def call(rows: Part, columns: Part) -> Tensor:
            window = noisy if noisy is None else _seen(noisy, rows, columns)
            return self._trunk((window, times, _seen(context, rows, columns, PATCH)))

        return self._over_tiles(call, whole, net.layout.trunk_reach, 1)

    def _called(self, given: Given) -> Tensor:
        noisy, times, context = given
        assert self._net is not None and times is not None and context is not None
        return self._net.velocity(noisy, times, context).float()

    def _over_tiles(self, call: Callable[[Part, Part], Tensor], whole: Tensor, reach: int, cell: int) -> Tensor:
        """Put the parts that `call` gives together; they are on a grid `cell` times coarser than `whole`'s."""
        height, width = whole.shape[-2:]
        halo = -(-reach // GRID) * GRID
        tile = max(GRID, (self._tile or max(height, width)) * self._scale // GRID * GRID)
        rows, columns = cut(height, tile, halo, GRID), cut(width, tile, halo, GRID)
        if len(rows) == len(columns) == 1:
            return call(rows[0], columns[0])
        canvas: Tensor | None = None
        for row in rows:
            for column in columns:
                part = call(row, column)
                if canvas is None:
                    size = (*part.shape[:2], height // cell, width // cell)
                    canvas = torch.empty(size, dtype=part.dtype, device=part.device)
                down, across = (slice(p.core_start // cell, p.core_stop // cell) for p in (row, column))
                canvas[..., down, across] = _core(part, row, column, cell)
        assert canvas is not None
        return canvas

    def bytes_per_pixel(self) -> float:
        """Give the working memory of a network call in bytes per input pixel and window, from a small one."""
        assert self._net is not None, "measured after close"
        side = 64 // self.card.divisor * self.card.divisor
        channels = self._net.layout.channels
        frames = torch.zeros((1, self.card.frames, channels, side, side), device=self.device)
        full = (1, self.card.frames - 1, channels, side * self._scale, side * self._scale)
        aligned = None if self.card.alignment == "none" else torch.zeros(full, device=self.device)
        return bytes_per_pixel(self._net, frames, *(() if aligned is None else (aligned,)))

    def close(self) -> None:
        self._net = None
        if isinstance(self._trunk, Replayed):
            self._trunk.forget()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _seen(planes: Tensor, rows: Part, columns: Part, cell: int = 1) -> Tensor:
    return planes[..., rows.start // cell : rows.stop // cell, columns.start // cell : columns.stop // cell]


def _core(part: Tensor, rows: Part, columns: Part, cell: int) -> Tensor:
    top, bottom = (rows.core_start - rows.start) // cell, (rows.core_stop - rows.start) // cell
    left, right = (columns.core_start - columns.start) // cell, (columns.core_stop - columns.start) // cell
    return part[..., top:bottom, left:right]
