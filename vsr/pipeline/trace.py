"""Traced: an Engine that also writes how chosen frames came about, one PNG strip a frame.

From left to right: the frames of the window as the model got them, enlarged without smoothing, framed in blue; the
picture after each step; the result, framed in red. A strip wider than `WIDEST` is shrunk as a whole; of many steps
`MOST_STEPS` are shown, spread evenly, the first among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsr.core.card import ModelCard
from vsr.core.frame import pixel_format
from vsr.engines.base import Batch, Engine, Refining, SelfTiling
from vsr.engines.tiling import Tiled
from vsr.io.atomic import translate
from vsr.io.images.files import encode_image, write_whole

Bytes = NDArray[np.uint8]

WIDEST = 4000  # px of a strip
MOST_STEPS = 8  # pictures between the window and the result
FRAME, BAND = 4, 24  # px: the coloured line around a picture, the band above it that names it
BLUE, RED, BLACK = (255, 96, 32), (48, 48, 240), (0, 0, 0)  # in OpenCV's order: blue, green, red


class Traced:
    """Wraps an engine that refines. `chosen`: index of a frame in the source -> the number that its file bears.

    height, width: of the source; what the runner pads is left out of the pictures. Safe to call from several threads.
    """

    def __init__(self, engine: Engine, *, folder: Path, chosen: dict[int, int], height: int, width: int) -> None:
        self.card: ModelCard = engine.card
        self._engine = engine
        self._folder = folder
        self._chosen = chosen
        self._size = (height, width)

    @property
    def scale(self) -> int:
        return self._engine.scale

    def tiled(self, tile: int) -> Engine:
        """See `SelfTiling.tiled`. Of an engine that does not tile itself the result alone is shown."""
        height, width = self._size
        engine = self._engine
        tiled = engine.tiled(tile) if isinstance(engine, SelfTiling) else Tiled(engine, tile=tile)
        return Traced(tiled, folder=self._folder, chosen=self._chosen, height=height, width=width)

    def restore(self, batch: Batch) -> Tensor:
        """See `Engine.restore`.

        Raises:
            OutputError, DiskFull: a strip cannot be written.
        """
        numbers = {at: self._chosen[key.frame] for at, key in enumerate(batch.keys) if key.frame in self._chosen}
        if not numbers:
            return self._engine.restore(batch)
        engine = self._engine
        steps = list(engine.refine(batch)) if isinstance(engine, Refining) else [engine.restore(batch)]
        for at, number in numbers.items():
            window = [_image(frame) for frame in self._cropped(batch.frames[at], 1)]
            made = [_image(self._cropped(step[at], self.scale)) for step in steps]
            target = strip_path(self._folder, number)
            picture = strip(window, made, self.scale)
            self._make_folder()
            write_whole(target, encode_image(_planes(picture), pixel_format("gbrp"), target))
        return steps[-1]

    def _make_folder(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise translate(error, self._folder) from error

    def _cropped(self, data: Tensor, scale: int) -> Tensor:
        height, width = self._size
        return data[..., : height * scale, : width * scale].cpu()

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def strip_path(folder: Path, number: int) -> Path:
    """Give the file of a traced frame."""
    return folder / f"frame_{number:06d}.png"


def strip(window: list[Bytes], steps: list[Bytes], scale: int) -> Bytes:
    """Give one picture (rows, columns, 3) of a window's frames and the steps at `scale` times their size."""
    return _joined(list(_named(window, steps, scale)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    picture: Bytes
    name: str
    color: tuple[int, int, int]


def _named(window: list[Bytes], steps: list[Bytes], scale: int) -> Iterator[_Panel]:
    center = len(window) // 2
    for at, low in enumerate(window):
        large = np.repeat(np.repeat(low, scale, axis=0), scale, axis=1)
        yield _Panel(picture=large, name="t" if at == center else f"t{at - center:+d}", color=BLUE)
    between = len(steps) - 1
    shown = {round(k * between / MOST_STEPS) for k in range(MOST_STEPS)} if between > MOST_STEPS else range(between)
    for at in sorted(shown):
        yield _Panel(picture=steps[at], name=f"step {at + 1}", color=BLACK)
    yield _Panel(picture=steps[-1], name="result", color=RED)


def _joined(panels: list[_Panel]) -> Bytes:
    height, width = panels[0].picture.shape[:2]
    share = min(1.0, (WIDEST / len(panels) - 2 * FRAME) / width)
    size = max(1, int(width * share)), max(1, int(height * share))
    return np.hstack([_drawn(panel, size) for panel in panels])


def _drawn(panel: _Panel, size: tuple[int, int]) -> Bytes:
    picture = panel.picture
    if size != picture.shape[1::-1]:
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    framed = cv2.copyMakeBorder(
        picture, BAND + FRAME, FRAME, FRAME, FRAME, borderType=cv2.BORDER_CONSTANT, value=panel.color
    )
    framed[:BAND] = 255
    cv2.putText(framed, panel.name, (FRAME, BAND - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.5, BLACK, 1, cv2.LINE_AA)
    return np.asarray(framed, np.uint8)


def _image(picture: Tensor) -> Bytes:
    """Give a picture (1 or 3, H, W), black 0 and white 1, as (H, W, 3) in OpenCV's order; luma is grey."""
    codes = (picture.float() * 255).round().clamp(0, 255).to(torch.uint8).flip(0).permute(1, 2, 0)
    return np.ascontiguousarray(codes.expand(-1, -1, 3).numpy())


def _planes(picture: Bytes) -> tuple[Bytes, Bytes, Bytes]:
    """Give the planes in the order of `gbrp`."""
    blue, green, red = (np.ascontiguousarray(picture[..., k]) for k in range(3))
    return green, blue, red
