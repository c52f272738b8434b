"""From the user's wish for a size to the model's scale and the exact output size."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vsr.core.errors import UsageError
from vsr.core.media import VideoInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """wanted: the ratio that a model must reach. width, height: of the result. sar: so that it is shown alike."""

    wanted: Fraction
    width: int
    height: int
    sar: Fraction


def target(video: VideoInfo, *, scale: float, width: int | None, height: int | None) -> Target:
    """Give the output size for `scale`, or for an exact width and / or height.

    With one of width and height the other follows by the ratio, rounded to the nearest even number; with both, the
    sample aspect ratio changes so that the picture is shown in the same shape.

    `width` and `height` are those of the picture as it is shown: of a source that players turn by a quarter they are
    swapped, since the result is stored unturned with the same turn in its header.

    Raises:
        UsageError: the result would have no pixels.
    """
    if video.rotation % 180 == 90:
        width, height = height, width
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
