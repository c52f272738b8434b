"""How many bits a second a result may take: a cap relative to its source, far above what ordinary pictures need.

Constant quality spends what a picture asks for. Grain and noise, once enlarged, ask for twenty or forty times the rate
of their source, of which nobody sees anything. The cap is the larger of two:

- the source's rate times (pixels of the result / pixels of the source)^0.75, so that a source rich in bits keeps them;
- 40 (pixels a second)^0.75 bits a second: 24 Mb/s for 1920x1080 at 24 frames a second, 67 for 3840x2160.

The exponent is the encoders' own: twice the pixels need less than twice the bits. Both numbers were chosen by
measuring: in clips of people, animals and drawings, from sources of x264's crf 18, 23 and 32, enlarged by 2 and by 4
(nearest, Lanczos, ESPCN) and written with the default quality, x264 spent at most 35 (pixels a second)^0.75 bits a
second, and the others less: none met the cap. A cap that is not met changes no bit of what x264, SVT-AV1 and libvpx
write (see `capping`), and x265's pictures by less than 0.02 dB.

The encoder holds the cap over two seconds, in each chunk by itself: what a chunk becomes does not depend on another.
"""

from __future__ import annotations

import math
import re
import statistics
from fractions import Fraction

from vsr.core.errors import SettingsError
from vsr.core.media import MediaInfo
from vsr.io.encoding.encoders import has_cap

_EXPONENT = 0.75
_FLOOR = 40.0
_SLOWEST, _FASTEST = 24.0, 240.0  # frames a second that the floor is made for, whatever the source's
_UNITS = {"": 1, "k": 1000, "m": 1000_000, "g": 1000_000_000}
_RATE = re.compile(r"(\d+(?:\.\d+)?)([kmg]?)", re.IGNORECASE)
_LEAST = 1000


def cap(info: MediaInfo, width: int, height: int, rule: str, *, encoder: str) -> int | None:
    """Give the most bits a second for a result of width x height; None where nothing is capped.

    rule: `auto`, `off`, or a rate (`8M`, `900k`, `1200000`). encoder: FFmpeg's name; by `auto` one that cannot keep a
    cap beside constant quality gets none. Images have no rate, and no cap by `auto`.

    Raises:
        SettingsError: `rule` is none of these, or a rate is asked of an encoder that keeps none.
    """
    if rule == "off":
        return None
    if rule != "auto":
        asked = _parsed(rule)
        if not has_cap(encoder):
            raise SettingsError(
                f"{encoder} keeps no cap of the bit rate, got {rule!r}", hint="Leave out --max-bitrate."
            )
        return asked
    if not has_cap(encoder) or info.kind != "video" or len(info.packets.pts) < 2:
        return None
    floor = _FLOOR * math.pow(width * height * _frame_rate(info), _EXPONENT)
    growth = width * height / (info.video.width * info.video.height)
    return 1000 * round(max(floor, float(source_rate(info)) * math.pow(growth, _EXPONENT)) / 1000)


def source_rate(info: MediaInfo) -> Fraction:
    """Give the source's video in bits a second: of its packets, never what a header says; 0 where nothing is known."""
    pts, durations = info.packets.pts, info.packets.durations
    seconds = (pts[-1] + durations[-1] - pts[0]) * info.video.time_base if pts else Fraction(0)
    return 8 * info.packets.bytes / seconds if seconds > 0 else Fraction(0)


def _frame_rate(info: MediaInfo) -> float:
    """Give the usual one, not the mean: a screen recording that rests is not slow where it moves."""
    step = statistics.median(info.packets.durations) * info.video.time_base
    return min(_FASTEST, max(_SLOWEST, float(1 / step))) if step > 0 else _SLOWEST


def _parsed(text: str) -> int:
    match = _RATE.fullmatch(text.strip())
    rate = round(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if rate < _LEAST:
        raise SettingsError(
            f"the most bits a second are auto, off or a rate from {_LEAST} on, got {text!r}",
            hint="Write 8M, 900k or 1200000.",
        )
    return rate
