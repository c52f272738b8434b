"""The clock that gives frames their times, and the index that the packets of a stream make."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from av.packet import Packet
from av.video.stream import VideoStream
from hypothesis import given
from hypothesis import strategies as st

from vsr.core.media import PacketIndex
from vsr.io.base import DecodeTally
from vsr.io.decoding.timing import Clock
from vsr.io.scan import Scan, index, note

MS = Fraction(1, 1000)


def _scan(*shown: tuple[int | None, int], without_pts: int = 0) -> Scan:
    return Scan(shown=list(shown), has_keyframe=True, keyframes=[0], without_pts=without_pts)


def _index(scan: Scan, *, is_reordered: bool = False, has_durations: bool = False) -> PacketIndex:
    return index(scan, time_base=MS, rate=Fraction(25), is_reordered=is_reordered, has_durations=has_durations)


def test_packets_are_put_in_order_of_showing_and_last_until_the_next() -> None:
    found = _index(_scan((0, 40), (120, 40), (40, 40), (80, 40)))

    assert found.pts == (0, 40, 80, 120)
    assert found.durations == (40, 40, 40, 40)


@pytest.mark.parametrize(("has_durations", "last"), [(True, 1), (False, 33)])
def test_the_last_duration_is_believed_only_with_reason(has_durations: bool, last: int) -> None:
    # One millisecond a frame: what Matroska's reader guesses from a nonsense frame rate.
    found = _index(_scan((0, 1), (33, 1), (67, 1), (100, 1)), has_durations=has_durations)

    assert found.durations == (33, 34, 33, last)


def test_rising_times_of_a_reordering_decoder_are_times_of_decoding() -> None:
    shown = ((1, 1), (2, 1), (3, 1))

    assert _index(_scan(*shown), is_reordered=True).has_decoding_times
    assert not _index(_scan(*shown)).has_decoding_times
    assert not _index(_scan((1, 1), (3, 1), (2, 1)), is_reordered=True).has_decoding_times


def test_a_stream_without_times_is_set_by_its_rate() -> None:
    found = _index(_scan((None, 0), (None, 0), (None, 0), without_pts=3))

    assert found.pts == (0, 40, 80)
    assert found.has_decoding_times and found.keyframes == ()


def _times(known: PacketIndex, decoded: list[tuple[int | None, int]]) -> tuple[list[tuple[int, int, int]], DecodeTally]:
    tally = DecodeTally()
    clock = Clock(known, tally)
    ticks = [clock.tick(pts, duration) for pts, duration in decoded]
    return [(tick.index, tick.pts, tick.duration) for tick in ticks], tally


def test_a_frame_takes_its_place_from_its_pts_so_that_seeking_does_not_change_it() -> None:
    known = PacketIndex(pts=(0, 40, 80, 120), durations=(40, 40, 40, 7))

    assert _times(known, [(80, 1), (120, 1)])[0] == [(2, 80, 40), (3, 120, 7)]
    assert _times(known, [(0, 0), (80, 0)])[0] == [(0, 0, 40), (2, 80, 40)]


def test_times_that_do_not_rise_are_moved_by_one_tick_and_counted() -> None:
    known = PacketIndex(pts=(0, 40, 40, 41, 80), durations=(40, 1, 1, 39, 40))

    times, tally = _times(known, [(0, 0), (40, 0), (40, 0), (41, 0), (80, 0)])

    assert [pts for _, pts, _ in times] == [0, 40, 41, 42, 80]
    assert [place for place, _, _ in times] == [0, 1, 2, 3, 4]
    assert tally.retimed == 2


def test_the_nth_frame_takes_the_nth_time_where_the_file_knows_only_decoding() -> None:
    known = PacketIndex(pts=(1, 2, 3, 4), durations=(1, 1, 1, 1), has_decoding_times=True)

    times, tally = _times(known, [(1, 1), (3, 1), (4, 1), (2, 1)])

    assert times == [(0, 1, 1), (1, 2, 1), (2, 3, 1), (3, 4, 1)]
    assert tally.retimed == 0


def test_a_missing_pts_goes_one_step_on_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    times, _ = _times(PacketIndex(), [(0, 0), (40, 0), (None, 0)])

    assert [pts for _, pts, _ in times] == [0, 40, 80]
    assert "frame 2 has no pts" in caplog.text


@given(st.lists(st.integers(-1000, 1000) | st.none(), max_size=40))
def test_whatever_comes_times_rise_and_no_frame_is_lost(decoded: list[int | None]) -> None:
    known = PacketIndex(
        pts=tuple(sorted(pts for pts in decoded if pts is not None)),
        durations=tuple(1 for pts in decoded if pts is not None),
    )

    times, _ = _times(known, [(pts, 0) for pts in decoded])

    assert len(times) == len(decoded)
    assert all(a[1] < b[1] and a[0] < b[0] for a, b in pairwise(times))


def _noted(*shown: tuple[int | None, bool]) -> Scan:
    """Give what a scan notes of packets of 40 ms, in decoding order, each with its pts and whether it is marked."""
    scan = Scan()
    for pts, is_keyframe in shown:
        packet: Packet[VideoStream] = Packet(b"x")
        packet.pts, packet.dts, packet.duration, packet.is_keyframe = pts, pts, 40, is_keyframe
        note(scan, packet)
    return scan


def test_times_that_begin_anew_are_moved_as_the_clock_moves_them() -> None:
    found = _index(_noted((0, True), (80, False), (40, False), (0, True), (40, False), (500, False)))

    assert found.pts == (0, 40, 80, 81, 82, 500)
    assert found.durations[:-1] == (40, 40, 1, 1, 418)
    assert _times(found, [(0, 0), (40, 0), (80, 0), (0, 0), (40, 0), (500, 0)])[0] == [
        (place, pts, duration) for place, (pts, duration) in enumerate(zip(found.pts, found.durations, strict=True))
    ]


def test_no_keyframe_is_named_by_a_pts_that_tells_two_places() -> None:
    # With B-frames around an open group, and one pts twice: these do not begin anew.
    assert _index(_noted((0, True), (120, True), (40, False), (80, False), (120, True))).keyframes == (0, 120)
    assert _index(_noted((0, True), (120, True), (40, True))).keyframes == ()


def test_where_packets_lack_times_or_marks_there_are_no_keyframes() -> None:
    scan = _noted((0, True), (40, False), (80, True), (120, False))
    marked = index(scan, time_base=MS, rate=None, is_reordered=False, has_durations=False, has_marks=False)

    assert _index(scan).keyframes == (0, 80)
    assert marked.keyframes == () and marked.pts == (0, 40, 80, 120)
    scan.without_pts = 1
    assert _index(scan).keyframes == ()
