"""Points in time as people write them, exactly."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from vsr.core.errors import UsageError
from vsr.core.media import MediaInfo, Span

_CLOCK = re.compile(r"(?:(?:(?P<h>\d+):)?(?P<m>\d{1,2}):)?(?P<s>\d+(?:\.\d+)?)")


def seconds(text: str, option: str) -> Fraction:
    """Read `12.5`, `1:30` or `01:02:03.250` as seconds.

    Raises:
        UsageError: it is none of these.
    """
    match = _CLOCK.fullmatch(text.strip())
    if match is None or (match["m"] and Fraction(match["s"]) >= 60) or (match["h"] and int(match["m"]) >= 60):
        raise UsageError(f"{option} {text!r} is no time", hint="Write seconds (12.5) or [HH:]MM:SS[.mmm] (01:02:03.5).")
    return int(match["h"] or 0) * 3600 + int(match["m"] or 0) * 60 + Fraction(match["s"])


def span(info: MediaInfo, start: str | None, end: str | None) -> Span:
    """Give the pts span of [start, end), counted from the source's first frame.

    Raises:
        UsageError: no time, nothing between them, or nothing of the source in it.
    """
    if start is None and end is None:
        return Span()
    base = info.video.time_base
    origin = info.packets.pts[0] if info.packets.pts else 0
    first = origin + math.ceil(seconds(start, "--start") / base) if start is not None else None
    stop = origin + math.ceil(seconds(end, "--end") / base) if end is not None else None
    if first is not None and stop is not None and stop <= first:
        raise UsageError(f"--end {end} does not lie after --start {start}")
    wanted = Span(start=first, stop=stop) if stop is None or stop > origin else None
    every = info.packets.pts or range(info.frame_count)
    if wanted is None or not any(pts in wanted for pts in every):
        until = f"--end {end}" if end is not None else "its end"
        raise UsageError(f"there is no frame of {info.path} between --start {start or 0} and {until}")
    return wanted
