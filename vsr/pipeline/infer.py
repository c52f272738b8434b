"""Windows of Pictures in, restored Pictures out: the one runner around every engine.

It stacks windows into a batch, aligns neighbours where the card asks for it, pads to the engine's divisor, tiles where
memory asks for it, shrinks batch and tile when the device runs out of memory, runs a window again in float32 when the
network gives infinities or NaN, and brings the result to the exact size that was asked for.
"""

from __future__ import annotations

import bisect
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.errors import ChunkFailed, OutOfMemory
from vsr.core.frame import Picture
from vsr.engines.base import Batch, Engine, Key, SelfTiling
from vsr.engines.memory import memory_errors
from vsr.engines.tiling import Tiled
from vsr.filters import LANCZOS, Kernel, resize
from vsr.temporal.align import differences
from vsr.temporal.window import Window

log = logging.getLogger(__name__)

SMALLEST_TILE = 32  # input pixels a side; below it the halo costs more than the tile
BLACK = 1 / 255  # every sample below it: nothing that an 8-bit picture shows
LIT = 4 / 255  # mean above it: a picture that shows something


@dataclass(slots=True, kw_only=True)
class InferTally:
    """What the runner had to do beyond running; lists, because appending is safe from several lanes."""

    widened: list[int] = field(default_factory=list)  # frames run again in float32
    blackened: list[int] = field(default_factory=list)  # those of them that came out black, and are not
    shrunk: list[str] = field(default_factory=list)  # what was made smaller for want of memory


@dataclass(slots=True, kw_only=True)
class Restorer:
    """Runs one engine over windows. Safe to call from several lanes at a time.

    height, width: of the result; when they differ from the engine's output it is resampled with `kernel`, antialiased.
    tile: largest tile side in input pixels, None for whole pictures. open_exact opens the same engine in float32,
    or is None where the engine already runs in float32. track: (pts, dy, dx), rising in pts, of noise that moves.
    """

    engine: Engine
    height: int
    width: int
    seed: int = 0
    tile: int | None = None
    track: tuple[tuple[int, int, int], ...] = ()
    open_exact: Callable[[], Engine] | None = None
    kernel: Kernel = LANCZOS
    check: bool = True  # what comes out; else the caller looks at `is_plausible` and asks again
    tally: InferTally = field(default_factory=InferTally)
    _exact: list[Engine] = field(default_factory=list)  # two lanes may open one at the same time
    _most: int | None = None  # windows in one call, once memory has run out

    @torch.inference_mode()
    def restore(self, windows: Sequence[Window[Picture]]) -> list[Picture]:
        """Restore the centres of windows of one size, in order.

        Raises:
            OutOfMemory: even one window in the smallest tiles does not fit.
            ChunkFailed: the network gives no finite numbers, or black for what is not, even in float32.
        """
        with memory_errors(f"{len(windows)} windows of pictures"):
            return self._restore(windows)

    def _restore(self, windows: Sequence[Window[Picture]]) -> list[Picture]:
        result = self._shrinking(windows)
        if self.check and not bool(is_plausible(result, windows).all()):
            result = self._again(windows, result)
        if result.shape[-2:] != (self.height, self.width):
            result = resize(result, self.height, self.width, self.kernel)
        return [self._picture(window.center, data) for window, data in zip(windows, result, strict=True)]

    def _batch(self, windows: Sequence[Window[Picture]]) -> Batch:
        frames = torch.stack([torch.stack([picture.data for picture in window.items]) for window in windows])
        aligned = None
        if self.engine.card.alignment == "grid":
            aligned = torch.stack([_aligned(window, self.engine.scale) for window in windows])
        keys = tuple(self._key(window.center) for window in windows)
        return Batch(frames=frames, keys=keys, aligned=aligned)

    def _key(self, center: Picture) -> Key:
        """Give what a frame's noise depends on. A frame that the track lacks lies where the one before it does."""
        at = bisect.bisect_right(self.track, center.pts, key=itemgetter(0))
        _, dy, dx = self.track[max(0, at - 1)] if self.track else (0, 0, 0)
        return Key(frame=center.index, seed=self.seed, offset=(dy, dx))

    def _picture(self, center: Picture, data: Tensor) -> Picture:
        alpha = center.alpha
        if alpha is not None and alpha.shape[-2:] != data.shape[-2:]:
            alpha = resize(alpha, data.shape[-2], data.shape[-1], LANCZOS).clamp_(0, 1)
        return Picture(
            index=center.index,
            pts=center.pts,
            duration=center.duration,
            data=data,
            domain=center.domain,
            chroma=center.chroma,
            alpha=alpha,
            opens_shot=center.opens_shot,
        )

    def _shrinking(self, windows: Sequence[Window[Picture]]) -> Tensor:
        """Run, with smaller batches and then smaller tiles each time memory runs out. What was shrunk stays so."""
        while True:
            count, (height, width) = len(windows), windows[0].center.data.shape[-2:]
            if self._most is not None and count > self._most:
                parts = [windows[at : at + self._most] for at in range(0, count, self._most)]
                return torch.cat([self._shrinking(part) for part in parts])
            tile = self.tile
            try:
                with memory_errors(f"{count} windows of {width}x{height}"):
                    batch = self._batch(windows)
                return self._padded(self.engine, batch, tile)
            except OutOfMemory as error:
                if count > 1:
                    self._most = count // 2
                    self._note(f"batch {count} -> {self._most}")
                    continue
                if self.engine.card.tiling == "never":
                    name = self.engine.card.id
                    raise OutOfMemory(
                        f"not enough memory for whole pictures, and {name} cannot be tiled: {error.message}",
                        hint="Use --device cpu, or a smaller source.",
                    ) from error
                side = min(tile or max(height, width), max(height, width))
                if side <= SMALLEST_TILE:
                    raise OutOfMemory(
                        f"not enough memory for a tile of {side} pixels: {error.message}",
                        hint="Close other programs that use the device, or run with --device cpu.",
                    ) from error
                smaller = max(SMALLEST_TILE, -(-side // 2))
                self.tile = min(smaller, self.tile or smaller)
                self._note(f"tile {side} -> {smaller}")

    def _note(self, what: str) -> None:
        log.warning("out of memory: %s", what)
        self.tally.shrunk.append(what)

    def _again(self, windows: Sequence[Window[Picture]], result: Tensor) -> Tensor:
        """Replace the windows that cannot be right by float32 runs of them."""
        kept = result.clone()
        for at, window in enumerate(windows):
            if bool(is_plausible(result[at : at + 1], [window])):
                continue
            fault = "black" if bool(torch.isfinite(result[at]).all()) else "not finite"
            if not self._exact and self.open_exact is not None:
                self._exact.append(self.open_exact())
            engine = self._exact[0] if self._exact else self.engine
            frame = window.center.index
            widened = self._padded(engine, self._batch([window]), self.tile)
            if not bool(is_plausible(widened, [window])):
                gives = "black" if fault == "black" else "no finite numbers"
                raise ChunkFailed(
                    f"the model {self.engine.card.id} gives {gives} for frame {frame}, even in float32",
                    hint="The weights may be damaged: try another model.",
                )
            log.warning("frame %d: %s, run again in float32", frame, fault)
            self.tally.widened.append(frame)
            if fault == "black":
                self.tally.blackened.append(frame)
            kept[at] = widened[0]
        return kept

    def _padded(self, engine: Engine, batch: Batch, tile: int | None) -> Tensor:
        """Run on a size the engine takes; the padding repeats the edge and is cropped away again."""
        height, width = batch.frames.shape[-2:]
        divisor, minimum = engine.card.divisor, engine.card.minimum
        below, right = (-(-max(d, minimum) // divisor) * divisor - d for d in (height, width))
        scale = engine.scale
        if below or right:
            aligned = batch.aligned
            if aligned is not None:
                aligned = _extended(aligned, below * scale, right * scale)
            batch = Batch(frames=_extended(batch.frames, below, right), keys=batch.keys, aligned=aligned)
        runner: Engine = engine
        if tile is not None and tile < max(batch.frames.shape[-2:]):
            runner = engine.tiled(tile) if isinstance(engine, SelfTiling) else Tiled(engine, tile=tile)
        return runner.restore(batch)[..., : height * scale, : width * scale]

    def close(self) -> None:
        """Close the float32 engine if one was opened. The main engine belongs to whoever opened it."""
        while self._exact:
            self._exact.pop().close()


def is_plausible(result: Tensor, windows: Sequence[Window[Picture]]) -> Tensor:
    """Give (B,) booleans: the restored (B, C, sH, sW) is finite, and not black where its centre is not.

    One sum a picture tells most: the samples of a picture that shows something add up to more than a black one's.
    """
    means = result.mean(dim=(1, 2, 3))
    finite = torch.isfinite(means)
    dark = finite & (means.abs() < BLACK)
    if result.device.type == "cpu" and not bool(dark.any()):
        return finite
    largest = torch.maximum(result.amax(dim=(1, 2, 3)), -result.amin(dim=(1, 2, 3)))
    black = dark & (largest < BLACK)
    lit = torch.stack([window.center.data.mean() > LIT for window in windows])
    return finite & ~(black & lit)


def _aligned(window: Window[Picture], scale: int) -> Tensor:
    """Give what a window's neighbours show that its centre does not; a picture that stands in twice is looked at once.

    A stand-in is looked at like a neighbour: where it is the centre itself the difference is exactly zero.
    """
    pictures = {picture.index: picture.data for picture in window.items}
    center = pictures.pop(window.center.index)
    frames = list(pictures.values())
    frames.insert((len(frames) + 1) // 2, center)
    found = dict(zip(pictures, differences(torch.stack(frames), scale=scale), strict=True))
    height, width = center.shape[-2:]
    found[window.center.index] = center.new_zeros((center.shape[0], height * scale, width * scale))
    at = len(window.items) // 2
    return torch.stack([found[picture.index] for k, picture in enumerate(window.items) if k != at])


def _extended(pictures: Tensor, below: int, right: int) -> Tensor:
    """Repeat the edges of (B, N, C, H, W) below and to the right."""
    flat = F.pad(pictures.flatten(0, 1), (0, right, 0, below), mode="replicate")
    return flat.reshape(*pictures.shape[:2], *flat.shape[1:])
