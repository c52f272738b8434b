"""SMPTE timecode of the first frame, moved on by frames: `01:00:00:00`, with a semicolon where numbers are dropped."""

from __future__ import annotations

import re
from fractions import Fraction

_FORM = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.])(\d\d)")


def advanced(timecode: str, frames: int, rate: Fraction) -> str | None:
    """Give the timecode `frames` later at `rate` frames a second; None where it cannot be told.

    Drop-frame counts leave out two numbers (four at 60 a second) a minute, but not in every tenth: SMPTE ST 12-1.
    """
    match = _FORM.fullmatch(timecode.strip())
    base = -(-rate.numerator // rate.denominator)  # 30 for 30000/1001
    if match is None or rate <= 0 or base > 99:
        return None
    hours, minutes, seconds, count = (int(match[group]) for group in (1, 2, 3, 5))
    if minutes > 59 or seconds > 59 or count >= base:
        return None
    dropped = base // 15 if match[4] != ":" else 0
    if dropped and (base % 30 or rate.denominator == 1):
        return None
    number = _number(hours, minutes, seconds, count, base, dropped) + frames
    return _written(number, base, dropped, match[4])


def _number(hours: int, minutes: int, seconds: int, count: int, base: int, dropped: int) -> int:
    whole = hours * 60 + minutes
    return (whole * 60 + seconds) * base + count - dropped * (whole - whole // 10)


def _written(number: int, base: int, dropped: int, mark: str) -> str:
    in_ten = 600 * base - 9 * dropped
    number %= 144 * in_ten  # a day
    tens, left = divmod(number, in_ten)
    if dropped and left >= 60 * base:
        later = (left - 60 * base) // (60 * base - dropped) + 1
        left += dropped * later
    number = tens * 600 * base + left
    whole, count = divmod(number, base)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{mark}{count:02d}"
