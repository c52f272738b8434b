"""What `vsr extract` is asked for: which frames, how each is cut and written, what is left out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from vsr.core.errors import UsageError

ImageFormat = Literal["png", "jpg", "webp"]
SUFFIXES: dict[str, str] = {"png": ".png", "jpg": ".jpg", "webp": ".webp"}
_LAYOUT = 1  # grows when the same settings give other pictures, names or records
_SIZE = re.compile(r"(\d+)(?:x(\d+))?")
_BOX = re.compile(r"(\d+)x(\d+)\+(\d+)\+(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A part of a picture in pixels of the stored, unturned frame: size, and its upper left corner."""

    width: int
    height: int
    x: int = 0
    y: int = 0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 1 or min(self.x, self.y) < 0:
            raise UsageError(f"a box of {self} holds no pixels")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}+{self.x}+{self.y}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extraction:
    """Everything that decides which pictures come out, and what is in them.

    every: each n-th frame, counted from the first. rate: pictures a second: those shown at 0, 1/rate, 2/rate, ...
    after the first frame. at: those shown at these times, in seconds after the first frame. windows: N frames
    `stride` apart, one folder a window, none across a cut; windows do not overlap; `count` of them a source, spread
    evenly over it, or all. shots: one folder a shot.
    crop, square: a box, or the largest square in the middle. size: (width, height) to resample to afterwards.
    format, depth, quality: PNG of 8 or 16 bits; JPEG or WebP of 8 bits, `quality` 1 to 100.
    duplicates, blurred, black: leave out frames beyond this limit (see `data/quality.py`); None keeps them. A window
    that holds such a frame is not taken.

    Raises:
        UsageError: wishes that exclude each other, or are out of bounds.
    """

    every: int = 1
    rate: Fraction | None = None
    at: tuple[Fraction, ...] = ()
    windows: int | None = None
    stride: int = 1
    count: int | None = None
    shots: bool = False
    crop: Box | None = None
    square: bool = False
    size: tuple[int, int] | None = None
    format: ImageFormat = "png"
    depth: Literal[8, 16] = 8
    quality: int | None = None
    duplicates: float | None = None
    blurred: float | None = None
    black: float | None = None

    def __post_init__(self) -> None:
        _check_choice(self)
        _check_picture(self)
        for name, value in (("duplicates", self.duplicates), ("blurred", self.blurred), ("black", self.black)):
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"the limit for {name} lies between 0 and 1, got {value}")

    @property
    def fingerprint(self) -> str:
        """A digest of every field: other settings, other pictures."""
        text = json.dumps({"layout": _LAYOUT, **self.as_record()}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def suffix(self) -> str:
        return SUFFIXES[self.format]

    def as_record(self) -> dict[str, object]:
        """Give the fields that differ from their defaults, as plain data."""
        record: dict[str, object] = {}
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                record[item.name] = _plain(value)
        return record


def read_box(text: str) -> Box:
    """Read `WxH+X+Y`.

    Raises:
        UsageError: it is none, or an empty one.
    """
    match = _BOX.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--crop {text!r} is no box", hint="Write WIDTHxHEIGHT+X+Y: 256x256+100+40.")
    width, height, x, y = (int(part) for part in match.groups())
    return Box(width=width, height=height, x=x, y=y)


def read_size(text: str) -> tuple[int, int]:
    """Read `WxH`, or `N` for N x N, as (width, height).

    Raises:
        UsageError: it is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or int(match[1]) < 1 or (match[2] and int(match[2]) < 1):
        raise UsageError(
            f"--size {text!r} is no size", hint="Write WIDTHxHEIGHT (256x128), or one number for a square."
        )
    return int(match[1]), int(match[2] or match[1])


def _check_choice(wish: Extraction) -> None:
    chosen = [
        name
        for name, is_given in (
            ("every", wish.every != 1),
            ("rate", wish.rate is not None),
            ("at", bool(wish.at)),
            ("windows", wish.windows is not None),
        )
        if is_given
    ]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen)} each choose the frames: give one of them")
    if wish.shots and (wish.at or wish.windows is not None):
        raise UsageError(f"shots cannot go with {chosen[0]}", hint="It goes with every and rate.")
    if wish.every < 1 or wish.stride < 1:
        raise UsageError(f"every and stride are 1 or more, got {wish.every} and {wish.stride}")
    if wish.rate is not None and wish.rate <= 0:
        raise UsageError(f"the rate is more than 0 pictures a second, got {wish.rate}")
    if any(time < 0 for time in wish.at):
        raise UsageError("times are counted from the first frame, none lies before it")
    if wish.windows is not None and wish.windows < 1:
        raise UsageError(f"a window has 1 frame or more, got {wish.windows}")
    if wish.windows is None and (wish.stride != 1 or wish.count is not None):
        raise UsageError("stride and count are for windows", hint="Say how many frames a window has: --windows 3.")
    if wish.count is not None and wish.count < 1:
        raise UsageError(f"count is 1 window a source or more, got {wish.count}")


def _check_picture(wish: Extraction) -> None:
    if wish.format not in SUFFIXES:
        raise UsageError(f"there is no format {wish.format!r}", hint=f"Formats: {', '.join(SUFFIXES)}.")
    if wish.depth not in (8, 16):
        raise UsageError(f"the depth is 8 or 16 bits, got {wish.depth}")
    if wish.depth == 16 and wish.format != "png":
        raise UsageError(f"{wish.format} holds 8 bits a sample, not 16", hint="Write PNG: --format png.")
    if wish.quality is not None and wish.format == "png":
        raise UsageError("PNG is lossless: it has no quality", hint="Leave out --quality, or write jpg or webp.")
    if wish.quality is not None and not 1 <= wish.quality <= 100:
        raise UsageError(f"the quality lies between 1 and 100, got {wish.quality}")
    if wish.crop is not None and wish.square:
        raise UsageError("crop and square each cut the picture: give one of them")
    if wish.size is not None and min(wish.size) < 1:
        raise UsageError(f"a size of {wish.size[0]}x{wish.size[1]} has no pixels")


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Fraction | Box | Path) else value
