"""A part of a picture beside the same part of another one, and which part is worth looking at."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsr.color.convert import to_frame, to_picture
from vsr.color.tables import output_color
from vsr.core.errors import UsageError
from vsr.core.frame import Frame, pixel_format
from vsr.core.job import Job
from vsr.io.muxing.containers import image_pixel_format

Plane = NDArray[np.uint8] | NDArray[np.uint16]

SHARE = 3  # the square is a third of the shorter side
SMALLEST = 64  # source pixels: below it little is to be seen
_BLOCK = 8  # result pixels a side, whose variance counts as one


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """A part of the source, in its pixels."""

    x: int
    y: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if min(self.x, self.y) < 0 or min(self.width, self.height) < 1:
            raise ValueError(f"crop {self.x},{self.y},{self.width},{self.height}")


def crop_of(text: str) -> Crop:
    """Read `X,Y,W,H`.

    Raises:
        UsageError: it is no such thing.
    """
    parts = text.split(",")
    try:
        x, y, width, height = (int(part) for part in parts)
        return Crop(x=x, y=y, width=width, height=height)
    except ValueError:
        raise UsageError(f"--crop {text!r} is no part of a picture", hint="Write X,Y,W,H: 100,50,320,240.") from None


def shown_size(job: Job) -> tuple[int, int]:
    """Give width and height of the source, turned as the result is."""
    video = job.source.video
    return (video.height, video.width) if job.turn.swaps else (video.width, video.height)


def refuse_outside(crop: Crop, width: int, height: int) -> None:
    """Refuse a crop that does not lie in the source.

    Raises:
        UsageError: it does not.
    """
    if crop.x + crop.width > width or crop.y + crop.height > height:
        said = f"--crop {crop.x},{crop.y},{crop.width},{crop.height}"
        raise UsageError(f"{said} does not lie in the source's {width}x{height} pixels")


def most_detailed(frame: Frame, width: int, height: int) -> Crop:
    """Give the square of a source of this size where the variance of small blocks is largest; `frame` is enlarged.

    The mean over many blocks finds texture; the variance of the square itself would find the one strongest edge.
    """
    side = min(width, height, max(SMALLEST, min(width, height) // SHARE))
    across, down = frame.width / width, frame.height / height
    luma = frame.planes[0].astype(np.float32)  # Y, grey, or G
    rows, columns = luma.shape[0] // _BLOCK, luma.shape[1] // _BLOCK
    if min(rows, columns) < 1:
        return Crop(x=0, y=0, width=side, height=side)
    blocks = luma[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    sums = np.zeros((rows + 1, columns + 1))
    sums[1:, 1:] = blocks.var(axis=(1, 3), dtype=np.float64).cumsum(axis=0).cumsum(axis=1)
    high = min(rows, max(1, round(side * down / _BLOCK)))
    wide = min(columns, max(1, round(side * across / _BLOCK)))
    found = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    top, left = np.unravel_index(int(found.argmax()), found.shape)
    return Crop(
        x=min(round(int(left) * _BLOCK / across), width - side),
        y=min(round(int(top) * _BLOCK / down), height - side),
        width=side,
        height=side,
    )


def in_rgb(frame: Frame) -> Frame:
    """Give a frame of resolved colours as a PNG file holds it: RGB or grey, 8 or 16 bits, with alpha where it has it.

    Raises:
        UnsupportedInput: its matrix cannot be turned into RGB.
    """
    name = image_pixel_format(frame.format.name, "png")
    if name == frame.format.name:
        return frame
    fmt = pixel_format(name)
    return to_frame(
        to_picture(frame, frame.color, "y" if frame.format.family == "gray" else "rgb"),
        fmt,
        output_color(frame.color, fmt),
        source_format=frame.format,
        source_color=frame.color,
        source_size=(frame.height, frame.width),
    )


def beside(left: Frame, right: Frame, crop: Crop, width: int, height: int) -> Frame:
    """Give one part of two frames of the same size and format, side by side, with a thin white line between them.

    crop: in pixels of the source, which is `width` x `height`.
    """
    rows = _scaled(crop.y, crop.height, right.height, height)
    columns = _scaled(crop.x, crop.width, right.width, width)
    line = max(2, (columns.stop - columns.start) // 200)
    planes: list[Plane] = []
    for one, other in zip(left.planes, right.planes, strict=True):
        between = np.full((rows.stop - rows.start, line), right.format.peak, one.dtype)
        planes.append(np.hstack([one[rows, columns], between, other[rows, columns]]))
    return dataclasses.replace(right, planes=tuple(planes))


def _scaled(start: int, length: int, made: int, source: int) -> slice:
    first = min(made - 1, start * made // source)
    return slice(first, max(first + 1, min(made, (start + length) * made // source)))
