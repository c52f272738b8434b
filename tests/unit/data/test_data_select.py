"""Which frames are taken, against the plain definitions."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import MediaInfo, PacketIndex, Span, VideoInfo
from vsr.data import select
from vsr.data.select import Mark

GRAY = pixel_format("gray")
PLANE = np.zeros((1, 1), np.uint8)


def frames(pts, *, last=1, opens=(0,)):
    steps = [b - a for a, b in pairwise(pts)] + [last]
    return [
        Frame(index=k, pts=p, duration=d, planes=(PLANE,), format=GRAY, opens_shot=k in opens)
        for k, (p, d) in enumerate(zip(pts, steps, strict=True))
    ]


def info(pts, base, *, last=1):
    steps = [b - a for a, b in pairwise(pts)] + [last]
    video = VideoInfo(
        index=0, codec="x", width=1, height=1, pixel_format="gray", coded_pixel_format="gray", color=ColorSpec(),
        time_base=base, rate=None,
    )  # fmt: skip
    packets = PacketIndex(pts=tuple(pts), durations=tuple(steps))
    return MediaInfo(path=Path("x"), kind="video", container="x", video=video, packets=packets)


TIMES = st.lists(st.integers(1, 90), min_size=1, max_size=30).map(lambda s: list(np.cumsum(s).tolist()))


@settings(max_examples=60)
@given(
    pts=TIMES, last=st.integers(1, 60), rate=st.fractions(Fraction(1, 9), 40), base=st.sampled_from([(1, 25), (7, 90)])
)
def test_at_a_rate_the_frames_shown_at_those_times_are_taken_once(pts, last, rate, base):
    base = Fraction(*base)
    taken = [c.frame.pts for c in select.at_rate(select.in_shots(frames(pts, last=last)), rate, base)]
    expected, number = set(), 0
    while (at := pts[0] + number / rate / base) < pts[-1] + last:
        expected.add(max(p for p in pts if p <= at))
        number += 1
    assert taken == sorted(expected)


@settings(max_examples=60)
@given(pts=TIMES, last=st.integers(1, 60), times=st.lists(st.fractions(0, 50), min_size=1, max_size=6))
def test_at_a_time_the_frame_shown_then_is_taken(pts, last, times):
    base = Fraction(1, 25)
    found, beyond = select.moments(times, info(pts, base, last=last))
    at = [pts[0] + time / base for time in times]
    assert found == sorted({max(p for p in pts if p <= t) for t in at if t < pts[-1] + last})
    assert beyond == [time for time, t in zip(times, at, strict=True) if t >= pts[-1] + last]


def test_every_nth_counts_places_in_the_source_not_what_could_be_decoded():
    some = [frame for frame in frames(range(10)) if frame.index not in (3, 4)]
    assert [c.frame.index for c in select.every_nth(select.in_shots(some), 4)] == [0, 8]


def test_shots_are_numbered():
    assert [c.shot for c in select.in_shots(frames(range(6), opens=(0, 2, 3)))] == [0, 0, 1, 2, 2, 2]


def test_only_what_lies_behind_the_keyframes_in_question_is_decoded():
    assert select.spans([3, 5, 40, 90], [4, 30, 60]) == [
        (Span(start=3, stop=4), None),
        (Span(start=5, stop=6), 4),
        (Span(start=40, stop=41), 30),
        (Span(start=90, stop=91), 60),
    ]


MARKS = st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 2)), max_size=50)


@settings(max_examples=60)
@given(drawn=MARKS, size=st.integers(1, 5), stride=st.integers(1, 3), count=st.none() | st.integers(1, 6))
def test_windows_hold_good_moving_frames_of_one_shot_and_do_not_overlap(drawn, size, stride, count):
    marks, index, shot = [], -1, 0
    for opens, is_bad, is_still, step in drawn:
        index, shot = index + (step if is_still and is_bad else 1), shot + (opens and is_bad)
        marks.append(Mark(index=index, shot=shot, is_bad=is_bad, is_still=is_still and not is_bad))
    of = {mark.index: mark for mark in marks}
    window_of = select.choose_windows(marks, size=size, stride=stride, count=count)
    windows = {number: [i for i, n in window_of.items() if n == number] for number in window_of.values()}
    assert list(windows) == list(range(len(windows)))
    assert count is None or len(windows) <= count
    for indices in windows.values():
        assert indices == list(range(indices[0], indices[0] + size * stride, stride))
        assert len({of[i].shot for i in indices}) == 1
        assert not any(of[i].is_bad for i in indices)
        for i in indices[1:]:
            assert not all(of[k].is_still for k in range(i - stride + 1, i + 1))
    firsts = [indices[0] for indices in windows.values()]
    assert all(b - a > (size - 1) * stride for a, b in pairwise(firsts))


@pytest.mark.parametrize(
    ("count", "starts"), [(None, [0, 2, 4, 6, 8, 10]), (2, [2, 8]), (1, [6]), (9, [0, 2, 4, 6, 8, 10])]
)
def test_a_count_is_spread_evenly(count, starts):
    marks = [Mark(index=k, shot=0) for k in range(12)]
    chosen = select.choose_windows(marks, size=2, stride=1, count=count)
    assert list(chosen)[::2] == starts
