"""Chroma planes from one grid to another: subsampling, siting and scale in one resampling.

Cb and Cr are moved as planes, never through RGB. `filters` does the resampling; here is where the samples lie.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vsr.color.tables import SITINGS
from vsr.core.frame import PixelFormat
from vsr.filters import BICUBIC, Axis, resize


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where chroma samples lie in a picture of `width` x `height` luma samples: sample k at luma offset + k * step."""

    width: int
    height: int
    step_x: int = 1
    step_y: int = 1
    offset_x: float = 0.0
    offset_y: float = 0.0

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a chroma plane; odd sizes round up."""
        return -(-self.height // self.step_y), -(-self.width // self.step_x)


def grid(fmt: PixelFormat, siting: str, width: int, height: int) -> Grid:
    """Give the chroma grid of a picture of this format; `siting` is FFmpeg's name, resolved."""
    step_x, step_y = 1 << fmt.chroma_shift_x, 1 << fmt.chroma_shift_y
    across, down = SITINGS[siting]
    return Grid(
        width=width,
        height=height,
        step_x=step_x,
        step_y=step_y,
        offset_x=across * (step_x - 1),
        offset_y=down * (step_y - 1),
    )


def resample(planes: Tensor, source: Grid, target: Grid) -> Tensor:
    """Move planes (..., h, w) from one grid to another, whatever the ratio of the two pictures' sizes.

    Bicubic, antialiased where the grid becomes coarser. The outer edges of both luma pictures coincide, so a target
    sample at luma x lies at (x + 1/2) * source.width / target.width - 1/2 in the source. The same grid gives the
    planes themselves, exactly.
    """
    rows, columns = target.shape
    vertical = _axis(source.height / target.height, source.step_y, source.offset_y, target.step_y, target.offset_y)
    horizontal = _axis(source.width / target.width, source.step_x, source.offset_x, target.step_x, target.offset_x)
    return resize(planes, rows, columns, BICUBIC, vertical=vertical, horizontal=horizontal)


def _axis(ratio: float, from_step: int, from_offset: float, to_step: int, to_offset: float) -> Axis:
    first = (to_offset + 0.5) * ratio - 0.5
    return Axis(step=to_step * ratio / from_step, origin=(first - from_offset) / from_step)
