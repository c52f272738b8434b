"""Fields as frames of their own: exact times, twice as many, and the file's own description back."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.core.frame import ColorSpec
from vsr.core.media import MediaInfo, PacketIndex, VideoInfo
from vsr.io.base import DecodeTally
from vsr.io.decoding.fields import fields_of, file_of
from vsr.io.decoding.timing import Clock, Timing
from vsr.jobs import chunks


def video(pts: list[int], last: int, keyframes: tuple[int, ...] = ()) -> MediaInfo:
    steps = [max(1, b - a) for a, b in pairwise(pts)]
    return MediaInfo(
        path=Path("a.mkv"),
        kind="video",
        container="matroska,webm",
        video=VideoInfo(
            index=0,
            codec="h264",
            width=64,
            height=48,
            pixel_format="yuv420p",
            coded_pixel_format="yuv420p",
            color=ColorSpec(),
            time_base=Fraction(1001, 30000),
            rate=Fraction(30000, 1001),
            header_frames=len(pts),
        ),
        packets=PacketIndex(pts=tuple(pts), durations=(*steps, last) if pts else (), keyframes=keyframes),
    )


def test_every_time_stays_an_exact_integer() -> None:
    fields = fields_of(video([-3, 0, 7, 8], 5, keyframes=(-3, 7)))
    assert fields.video.time_base == Fraction(1001, 60000)
    assert (fields.video.rate, fields.video.header_frames) == (Fraction(60000, 1001), 8)
    assert fields.packets.pts == (-6, -3, 0, 7, 14, 15, 16, 21)
    assert fields.packets.durations == (3, 3, 7, 7, 1, 1, 5, 5)
    assert fields.packets.keyframes == (-6, 14)
    assert fields.frame_count == 8


def test_what_the_header_does_not_say_is_not_said() -> None:
    info = video([0, 1], 1)
    silent = replace(info, video=replace(info.video, rate=None, header_frames=None))
    assert (fields_of(silent).video.rate, fields_of(silent).video.header_frames) == (None, None)
    assert file_of(fields_of(silent)) == silent


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), max_size=20), st.integers(-50, 50), st.integers(0, 9))
def test_fields_tile_the_time_of_their_frames(steps: list[int], start: int, last: int) -> None:
    """Steps of 0 are times that the file repeats: the fields stand where `Clock` moves their frames."""
    pts = [start]
    for step in steps:
        pts.append(pts[-1] + step)
    info = video(pts, last, keyframes=tuple(sorted(set(pts))))
    fields = fields_of(info)
    tally = DecodeTally()
    clock = Clock(info.packets, tally)
    shown = [clock.tick(at, 0).pts for at in pts]
    assert fields.packets.pts[::2] == tuple(2 * at for at in shown)
    ends = [at + duration for at, duration in zip(fields.packets.pts, fields.packets.durations, strict=True)]
    assert ends[:-1] == list(fields.packets.pts[1:])
    assert fields.packets.durations[::2] == fields.packets.durations[1::2]
    assert all(duration > 0 for duration in fields.packets.durations)
    assert chunks.times(fields) == fields.packets.pts

    file = file_of(fields)
    again = Clock(file.packets, DecodeTally())
    assert [again.tick(at, 0) for at in pts] == [
        Timing(index=place, pts=at, duration=half)
        for place, (at, half) in enumerate(zip(shown, fields.packets.durations[::2], strict=True))
    ]
    if 0 not in steps and last:
        assert file == info


def test_a_keyframe_at_a_repeated_or_moved_time_is_no_place_to_begin() -> None:
    assert fields_of(video([0, 4, 4, 5, 9], 1, keyframes=(0, 4, 5, 9))).packets.keyframes == (0, 18)


@pytest.mark.parametrize("info", [video([], 0)])
def test_of_nothing_nothing(info: MediaInfo) -> None:
    assert fields_of(info).packets.pts == ()
