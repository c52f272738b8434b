"""From the user's wish for a size to the model's scale and the exact output size."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from vsr.core.errors import UsageError
from vsr.core.media import VideoInfo
from vsr.core.turn import UPRIGHT, Turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """wanted: the ratio that a model must reach. width, height: of the result. sar: so that it is shown alike."""

    wanted: Fraction
    width: int
    height: int
    sar: Fraction


def target(
    video: VideoInfo,
    *,
    scale: float,
    width: int | None,
    height: int | None,
    turn: Turn = UPRIGHT,
    has_square_pixels: bool = False,
) -> Target:
    """Give the output size for `scale`, or for an exact width and / or height.

    With one of width and height the other follows by the ratio, rounded to the nearest even number; with both, the
    sample aspect ratio changes so that the picture is shown in the same shape.

    `width` and `height` are those of the picture as it is shown: of a source that players turn by a quarter they are
    swapped, since the result is stored unturned with the same turn in its header. The size given is that of the result
    as it is stored, turned where `turn` turns it.

    has_square_pixels: the side along which the source's pixels are too short grows, so that none is thrown away.

    Raises:
        UsageError: the result would have no pixels.
    """
    if has_square_pixels and video.sar != 1:
        made = _squared(video, scale, width, height)
    else:
        if video.rotation % 180 == 90:
            width, height = height, width
        made = _stored(video, scale, width, height)
    if not turn.swaps:
        return made
    return replace(made, width=made.height, height=made.width, sar=1 / made.sar)


def _squared(video: VideoInfo, scale: float, width: int | None, height: int | None) -> Target:
    """Give the size of a result whose pixels are square: that of a source which had them, stretched on the way."""
    across, down = max(Fraction(1), video.sar), max(Fraction(1), 1 / video.sar)
    shown = replace(video, width=round(video.width * across), height=round(video.height * down), sar=Fraction(1))
    if video.rotation % 180 == 90:
        width, height = height, width
    made = _stored(shown, scale, width, height)
    wanted = max(Fraction(made.width, video.width), Fraction(made.height, video.height))
    exact = wanted if width is not None or height is not None else made.wanted
    return replace(made, wanted=exact, sar=Fraction(1))


def fitted(size: Target, multiple: tuple[int, int]) -> Target:
    """Give the size rounded to the nearest whole `multiple` (across, down), as an encoder wants it; never to nothing.

    The picture is resampled to it, all of it: none is cut off and no border is added.
    """
    width, height = (
        max(step, step * math.floor(Fraction(side, step) + Fraction(1, 2)))
        for side, step in zip((size.width, size.height), multiple, strict=True)
    )
    return replace(size, width=width, height=height)


def _stored(video: VideoInfo, scale: float, width: int | None, height: int | None) -> Target:
    if width is None and height is None:
        ratio = Fraction(scale).limit_denominator(1000)
        width, height = round(video.width * ratio), round(video.height * ratio)
        if min(width, height) < 1:
            raise UsageError(f"scale {scale:g} of {video.width}x{video.height} leaves no pixels")
        return Target(wanted=ratio, width=width, height=height, sar=video.sar)
    sar = video.sar
    if width is not None and height is not None:
        sar = video.sar * Fraction(video.width * height, video.height * width)
    elif height is not None:
        width = _even(Fraction(video.width * height, video.height))
    else:
        assert width is not None
        height = _even(Fraction(video.height * width, video.width))
    wanted = max(Fraction(width, video.width), Fraction(height, video.height))
    return Target(wanted=wanted, width=width, height=height, sar=sar.limit_denominator(10000))


def _even(value: Fraction) -> int:
    return max(2, 2 * round(value / 2))
