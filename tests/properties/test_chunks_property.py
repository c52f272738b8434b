"""Chunks partition a job's span, whatever the times of its frames; what each decodes tells the right times."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vsr.core.frame import ColorSpec
from vsr.core.job import Chunk
from vsr.core.media import WHOLE, MediaInfo, PacketIndex, Span, VideoInfo
from vsr.io.base import DecodeTally
from vsr.io.decoding.timing import Clock
from vsr.jobs.chunks import chunks, default_length, first_place, times
from vsr.temporal.shots import MEMORY

VIDEO = VideoInfo(
    index=0,
    codec="h264",
    width=64,
    height=48,
    pixel_format="yuv420p",
    coded_pixel_format="yuv420p",
    color=ColorSpec(),
    time_base=Fraction(1, 1000),
    rate=Fraction(25),
)


@st.composite
def sources(draw: st.DrawFn) -> MediaInfo:
    """Draw a video: times with gaps, holds and repeats, any of them a keyframe's."""
    steps = draw(st.lists(st.sampled_from([0, 1, 2, 40, 41, 3000]), min_size=0, max_size=60))
    first = draw(st.integers(-500, 500))
    pts = [first + sum(steps[:k]) for k in range(len(steps) + 1)]
    keyframes = draw(st.sets(st.sampled_from(pts)))
    durations = tuple(max(1, b - a) for a, b in pairwise([*pts, pts[-1] + 1]))
    packets = PacketIndex(pts=tuple(pts), durations=durations, keyframes=tuple(sorted(keyframes)))
    return MediaInfo(path=Path("in.mp4"), kind="video", container="mov", video=VIDEO, packets=packets)


def shown(info: MediaInfo, since: int | None = None) -> list[tuple[int, int]]:
    """Give (place, time) of the frames as the decoder's clock tells them, begun at the keyframe `since`."""
    clock = Clock(info.packets, DecodeTally())
    ticks = [clock.tick(pts, 0) for pts in info.packets.pts if since is None or pts >= since]
    return [(tick.index, tick.pts) for tick in ticks]


@given(sources())
def test_times_are_those_of_the_clock(info: MediaInfo) -> None:
    assert [pts for _, pts in shown(info)] == list(times(info))


@given(sources(), st.data())
def test_chunks_partition_the_span_evenly(info: MediaInfo, data: st.DataObject) -> None:
    every = times(info)
    start = data.draw(st.none() | st.integers(every[0] - 5, every[-1]))
    stop = data.draw(st.none() | st.integers((every[0] if start is None else max(start, every[0])) + 1, every[-1] + 9))
    span = Span(start=start, stop=stop)
    inside = [pts for pts in every if pts in span]
    if not inside:
        return
    length = data.draw(st.integers(1, 70))
    made = _chunks(info, span, length=length)

    assert made[0].span.start == span.start and made[-1].span.stop == span.stop
    assert all(a.span.stop == b.span.start for a, b in pairwise(made))
    assert [chunk.index for chunk in made] == list(range(len(made)))
    assert [[pts for pts in every if pts in chunk.span] for chunk in made] == _split(inside, made)
    sizes = [chunk.frames for chunk in made]
    assert max(sizes) <= length and max(sizes) - min(sizes) <= 1
    assert len(sizes) == -(-len(inside) // length)
    assert first_place(info, span) == every.index(inside[0])


@given(sources(), st.integers(1, 20), st.sampled_from([1, 3, 5]), st.integers(1, 3), st.booleans())
def test_context_is_what_windows_and_the_shot_detector_reach(
    info: MediaInfo, length: int, size: int, stride: int, shots: bool
) -> None:
    every = times(info)
    for chunk in _chunks(info, WHOLE, length=length, size=size, stride=stride, shots=shots):
        decoded = [place for place, pts in enumerate(every) if pts in chunk.decode]
        own = [place for place, pts in enumerate(every) if pts in chunk.span]
        around = size // 2 * stride
        lead = around + MEMORY if shots and size > 1 else around
        assert decoded == list(range(max(0, own[0] - lead), min(len(every), own[-1] + 1 + around)))
        assert (chunk.lead, chunk.tail) == (own[0] - decoded[0], decoded[-1] - own[-1])


@given(sources(), st.integers(1, 20), st.sampled_from([1, 3]))
def test_a_decode_from_a_chunks_keyframe_tells_the_times_of_one_from_the_start(
    info: MediaInfo, length: int, size: int
) -> None:
    whole = shown(info)
    for chunk in _chunks(info, WHOLE, length=length, size=size):
        there = [frame for frame in shown(info, chunk.seek) if frame[1] in chunk.decode]
        assert there == [frame for frame in whole if frame[1] in chunk.decode]
        if chunk.seek is not None:
            assert chunk.decode.start is not None and chunk.seek <= chunk.decode.start
            assert chunk.seek in info.packets.keyframes


@given(sources(), st.integers(1, 600), st.booleans())
def test_usual_chunks_bound_what_is_decoded_again(info: MediaInfo, interval: int, seeks: bool) -> None:
    length = default_length(info, keyframe_interval=interval, sampling=None, seeks=seeks)
    made = _chunks(info, WHOLE, length=length, seeks=seeks)

    assert length >= 8
    assert all(sum(other.seek == chunk.seek for other in made) <= 17 for chunk in made)


def _chunks(
    info: MediaInfo,
    span: Span,
    *,
    length: int,
    size: int = 1,
    stride: int = 1,
    shots: bool = True,
    seeks: bool = True,
) -> tuple[Chunk, ...]:
    return chunks(info, span, frames_per_window=size, stride=stride, shots=shots, length=length, seeks=seeks)


def _split(inside: list[int], made: tuple[Chunk, ...]) -> list[list[int]]:
    rest = iter(inside)
    return [[next(rest) for _ in range(chunk.frames)] for chunk in made]
