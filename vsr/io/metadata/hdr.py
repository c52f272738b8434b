"""Static HDR10 metadata: read from decoded frames, written through the encoders' own parameters.

SMPTE ST 2086 says what display a picture was mastered on, CTA-861.3 how bright its content gets. H.264 and H.265
carry both as SEI messages (ITU-T H.265 sec. D.3.28 and D.3.35), AV1 as metadata OBUs (sec. 6.7.3 and 6.7.4); VP9,
ProRes and FFV1 have no place of their own: there the container has to hold them (`carrier`).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from fractions import Fraction

from vsr.core.errors import EncodeError
from vsr.core.media import HdrMetadata

# AVMasteringDisplayMetadata of libavutil: x, y of R, G, B and white, then the smallest and the largest luminance, each
# a pair of ints (numerator, denominator); then two ints that say whether primaries and luminance are given.
_MASTERING = struct.Struct("=20i2i")
_LIGHT = struct.Struct("=2I")  # AVContentLightMetadata: MaxCLL, MaxFALL; 0 is unknown (CTA-861.3)

_SEI_GRID = (50000, 10000, 10000)  # steps of chromaticities, of the smallest and of the largest luminance, in one
_AV1_GRID = (1 << 16, 1 << 14, 1 << 8)
_IN_STREAM = ("h264", "hevc", "av1")


def read_hdr(side_data: Mapping[str, bytes]) -> HdrMetadata | None:
    """Give the HDR10 metadata among a frame's side data, by FFmpeg's names; None where there is none."""
    primaries: tuple[Fraction, ...] = ()
    luminance: tuple[Fraction, ...] = ()
    mastering = side_data.get("MASTERING_DISPLAY_METADATA", b"")
    if len(mastering) >= _MASTERING.size:
        *numbers, has_primaries, has_luminance = _MASTERING.unpack_from(mastering)
        values = [Fraction(a, b) if b else Fraction(0) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        primaries = tuple(values[:8]) if has_primaries else ()
        luminance = tuple(values[8:]) if has_luminance else ()
    light = side_data.get("CONTENT_LIGHT_LEVEL", b"")
    levels = _LIGHT.unpack_from(light) if len(light) >= _LIGHT.size else (0, 0)
    if not (primaries or luminance or any(levels)):
        return None
    return HdrMetadata(primaries=primaries, luminance=luminance, max_cll=levels[0] or None, max_fall=levels[1] or None)


def hdr_params(encoder: str, hdr: HdrMetadata) -> tuple[tuple[str, str], ...]:
    """Give the keys and values that belong into the encoder's own `x264-params`, `x265-params` or `svtav1-params`.

    () for an encoder that takes none: `in_stream` says so of a codec.
    """
    if encoder not in ("libx264", "libx265", "libsvtav1"):
        return ()
    light = f"{hdr.max_cll or 0},{hdr.max_fall or 0}" if hdr.max_cll or hdr.max_fall else ""
    shown = _mastering(encoder, hdr) if hdr.primaries or hdr.luminance else ""
    names = {
        "libx264": ("mastering-display", "cll"),
        "libx265": ("master-display", "max-cll"),
        "libsvtav1": ("mastering-display", "content-light"),
    }[encoder]
    said = tuple((name, value) for name, value in zip(names, (shown, light), strict=True) if value)
    return (("hdr10", "1"), *said) if encoder == "libx265" else said


def in_stream(codec: str) -> bool:
    """Say whether streams of a codec have a place for HDR10 metadata; of others the container has to hold it."""
    return codec in _IN_STREAM


def nearest(hdr: HdrMetadata, codec: str) -> HdrMetadata:
    """Give what comes back after a codec's own fixed-point numbers: AV1 counts in binary fractions, others decimal.

    What was read from a stream of the same kind stays exactly what it is.
    """
    grid = _AV1_GRID if codec == "av1" else _SEI_GRID
    return HdrMetadata(
        primaries=tuple(Fraction(_steps(value, grid[0]), grid[0]) for value in hdr.primaries),
        luminance=tuple(
            Fraction(_steps(value, steps), steps) for value, steps in zip(hdr.luminance, grid[1:], strict=False)
        ),
        max_cll=hdr.max_cll,
        max_fall=hdr.max_fall,
    )


def _mastering(encoder: str, hdr: HdrMetadata) -> str:
    """Write primaries, white point and luminance; what is not given is 0, which says nothing (H.265 sec. D.3.28)."""
    red, green, blue, white = (hdr.primaries[place : place + 2] or (Fraction(0), Fraction(0)) for place in (0, 2, 4, 6))
    low, high = hdr.luminance or (Fraction(0), Fraction(0))
    if encoder == "libsvtav1":
        points = [f"{name}({_decimal(x)},{_decimal(y)})" for name, (x, y) in _named(green, blue, red, white)]
        return "".join(points) + f"L({_decimal(high)},{_decimal(low)})"
    steps, *levels = _SEI_GRID
    points = [f"{name}({_steps(x, steps)},{_steps(y, steps)})" for name, (x, y) in _named(green, blue, red, white)]
    return "".join(points) + f"L({_steps(high, levels[1])},{_steps(low, levels[0])})"


def _named(*points: tuple[Fraction, ...]) -> list[tuple[str, tuple[Fraction, ...]]]:
    return list(zip(("G", "B", "R", "WP"), points, strict=True))


def _steps(value: Fraction, steps: int) -> int:
    """Round to the nearest step, halves up as encoders do.

    Raises:
        EncodeError: no 32-bit number of steps.
    """
    count = (2 * value * steps + 1) // 2
    if not 0 <= count < 1 << 32:
        raise EncodeError(f"the HDR10 metadata of the source holds {float(value):g}, which no stream can say")
    return int(count)


def _decimal(value: Fraction) -> str:
    return f"{float(value):.12g}"
