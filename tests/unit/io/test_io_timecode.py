"""Timecode moved on by frames, against a clock that counts them one by one."""

from __future__ import annotations

from fractions import Fraction

import pytest

from vsr.io.muxing.timecode import advanced

NTSC = Fraction(30000, 1001)


def counted(timecode: str, frames: int, base: int, dropped: int) -> str:
    """Count one by one, and leave out the first numbers of every minute but the tenth."""
    mark = timecode[8]
    hours, minutes, seconds, count = (int(timecode[k : k + 2]) for k in (0, 3, 6, 9))
    for _ in range(frames):
        count += 1
        if count == base:
            count, seconds = 0, seconds + 1
        if seconds == 60:
            seconds, minutes = 0, minutes + 1
            if minutes == 60:
                minutes, hours = 0, (hours + 1) % 24
            if minutes % 10:
                count = dropped
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{count:02d}"


@pytest.mark.parametrize("frames", [0, 1, 29, 1799, 1800, 17981, 17982, 40000, 120000])
@pytest.mark.parametrize(
    ("timecode", "rate", "base", "dropped"),
    [
        ("01:00:00:00", Fraction(25), 25, 0),
        ("00:59:59:23", Fraction(24000, 1001), 24, 0),
        ("00:00:00;00", NTSC, 30, 2),
        ("23:58:59;29", NTSC, 30, 2),
        ("10:09:59;59", Fraction(60000, 1001), 60, 4),
        ("00:00:59:29", NTSC, 30, 0),
    ],
)
def test_timecode_counts_frames(timecode: str, rate: Fraction, base: int, dropped: int, frames: int) -> None:
    assert advanced(timecode, frames, rate) == counted(timecode, frames, base, dropped)


@pytest.mark.parametrize(
    ("timecode", "rate"),
    [
        ("soon", Fraction(25)),
        ("00:00:00:25", Fraction(25)),
        ("00:61:00:00", Fraction(25)),
        ("00:00:00;00", Fraction(25)),
    ],
)
def test_what_is_no_timecode_at_this_rate_is_not_told(timecode: str, rate: Fraction) -> None:
    assert advanced(timecode, 1, rate) is None
