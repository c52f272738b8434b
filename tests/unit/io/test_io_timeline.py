"""Decoding times that rise and never pass the presentation times, whatever the order."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from vsr.io.timeline import decode_times, reorder_delay, rescale, ticks


def test_without_reordering_dts_are_pts() -> None:
    assert decode_times([0, 40, 90, 100]) == [0, 40, 90, 100]


def test_a_pyramid_of_b_frames_begins_two_steps_early() -> None:
    pts = [0, 160, 80, 40, 120, 200]  # I P B b b P, as x264 orders them
    assert reorder_delay(pts) == 2
    assert decode_times(pts) == [-80, -40, 0, 40, 80, 120]


def test_a_floor_keeps_pts_and_squeezes_only_the_first_dts() -> None:
    assert decode_times([0, 160, 80, 40, 120, 200], floor=0) == [0, 13, 26, 40, 80, 120]


def test_a_late_start_needs_no_floor() -> None:
    assert decode_times([900, 1060, 980, 940, 1020], floor=0) == [820, 860, 900, 940, 980]


def test_nothing_gives_nothing() -> None:
    assert decode_times([]) == []


@st.composite
def decoding_orders(draw: st.DrawFn) -> list[int]:
    """Distinct pts, shuffled within a few places, as encoders do."""
    steps = draw(st.lists(st.integers(1, 50), min_size=1, max_size=40))
    start = draw(st.integers(-100, 1000))
    shown = [start + sum(steps[:count]) for count in range(len(steps))]
    keys = [index + draw(st.integers(0, 3)) for index in range(len(shown))]
    return [shown[index] for index in sorted(range(len(shown)), key=lambda i: (keys[i], -i))]


@given(decoding_orders())
def test_dts_rise_and_stay_below_pts(pts: list[int]) -> None:
    dts = decode_times(pts)
    assert all(a < b for a, b in itertools.pairwise(dts))
    assert all(d <= p for d, p in zip(dts, pts, strict=True))


@given(decoding_orders())
def test_a_decoder_of_the_stated_delay_never_starves(pts: list[int]) -> None:
    """The oracle plays the decoder: holding back `delay` packets, it shows frames in order."""
    delay = reorder_delay(pts)
    held: list[int] = []
    shown: list[int] = []
    for time in pts:
        held.append(time)
        if len(held) > delay:
            held.sort()
            shown.append(held.pop(0))
    assert shown + sorted(held) == sorted(pts)


@given(st.integers(-(10**12), 10**12), st.sampled_from([1, 25, 1000, 48000, 90000]), st.sampled_from([1, 600, 30000]))
def test_rescaling_is_to_the_nearest_tick(time: int, source: int, target: int) -> None:
    got = rescale(time, Fraction(1, source), Fraction(1, target))
    assert abs(Fraction(got, target) - Fraction(time, source)) <= Fraction(1, 2 * target)


def test_halves_go_away_from_zero() -> None:
    assert [ticks(Fraction(n, 2), Fraction(1)) for n in (-3, -1, 1, 3)] == [-2, -1, 1, 2]
