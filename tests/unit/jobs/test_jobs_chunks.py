"""How long chunks are where the user does not say, and what is said of them."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest

from vsr.core.errors import DecodeError
from vsr.core.frame import ColorSpec
from vsr.core.job import Chunk
from vsr.core.media import WHOLE, MediaInfo, PacketIndex, Span, VideoInfo
from vsr.core.sampling import Sampling
from vsr.jobs.chunks import chunks, default_length, first_place, remarks, shortened, times

VIDEO = VideoInfo(
    index=0,
    codec="h264",
    width=64,
    height=48,
    pixel_format="yuv420p",
    coded_pixel_format="yuv420p",
    color=ColorSpec(),
    time_base=Fraction(1, 25),
    rate=Fraction(25),
)


def video(frames: int, *keyframes: int, has_decoding_times: bool = False) -> MediaInfo:
    packets = PacketIndex(
        pts=tuple(range(frames)),
        durations=(1,) * frames,
        keyframes=keyframes,
        has_decoding_times=has_decoding_times,
    )
    return MediaInfo(path=Path("in.mp4"), kind="video", container="mov", video=VIDEO, packets=packets)


def images(count: int) -> MediaInfo:
    files = tuple(Path(f"{k}.png") for k in range(count))
    return MediaInfo(path=Path("in"), kind="sequence", container="image2", video=VIDEO, files=files)


@pytest.mark.parametrize(("steps", "length"), [(1, 250), (2, 125), (4, 62), (None, 12), (20, 12), (50, 8), (1000, 8)])
def test_the_more_a_frame_costs_the_fewer_a_chunk_holds(steps: int | None, length: int) -> None:
    info = video(1000, *range(0, 1000, 100))

    assert default_length(info, keyframe_interval=250, sampling=Sampling(steps=steps), seeks=True) == length
    assert default_length(info, keyframe_interval=250, sampling=None, seeks=True) == 250


@pytest.mark.parametrize(
    ("info", "seeks"),
    [
        (video(90000, 0), True),
        (video(90000), True),
        (video(90000, has_decoding_times=True), True),
        (video(90000, *range(0, 90000, 250)), False),
    ],
)
def test_a_file_that_is_decoded_from_its_start_has_few_chunks(info: MediaInfo, seeks: bool) -> None:
    length = default_length(info, keyframe_interval=250, sampling=None, seeks=seeks)
    made = chunks(info, WHOLE, frames_per_window=1, stride=1, shots=True, length=length, seeks=seeks)

    assert len(made) == 16
    assert [chunk.frames for chunk in made] == [5625] * 16
    assert all(chunk.seek is None for chunk in made)
    (said,) = remarks(info, made)
    assert "in.mp4" in said and "each of 16 chunks" in said


def test_far_keyframes_make_chunks_longer_but_not_as_long() -> None:
    info = video(20000, 0, 12000, 16000)

    assert default_length(info, keyframe_interval=250, sampling=None, seeks=True) == 750


def test_images_need_no_keyframes() -> None:
    info = images(1000)
    made = chunks(info, WHOLE, frames_per_window=3, stride=1, shots=True, length=250, seeks=True)

    assert default_length(info, keyframe_interval=250, sampling=None, seeks=True) == 250
    assert [(chunk.span.start, chunk.span.stop) for chunk in made] == [(None, 250), (250, 500), (500, 750), (750, None)]
    assert made[1].decode == Span(start=247, stop=501)
    assert list(remarks(info, made)) == []


def test_one_image_is_one_chunk() -> None:
    (only,) = chunks(images(1), WHOLE, frames_per_window=3, stride=2, shots=True, length=8, seeks=True)

    assert (only.span, only.decode, only.frames, only.lead, only.tail) == (WHOLE, WHOLE, 1, 0, 0)


def test_sizes_are_even() -> None:
    made = chunks(video(251, 0), WHOLE, frames_per_window=1, stride=1, shots=True, length=250, seeks=True)

    assert [chunk.frames for chunk in made] == [125, 126]


def test_no_chunk_begins_at_a_moved_time_without_those_before_it() -> None:
    # Shown at 0 40 41 42 80 120: the keyframe at 41 is not shown there, and the one at 40 stands for two frames.
    packets = PacketIndex(pts=(0, 40, 40, 41, 80, 120), durations=(40, 1, 1, 39, 40, 40), keyframes=(0, 40, 41, 80))
    info = dataclasses.replace(video(1), packets=packets)
    made = chunks(info, WHOLE, frames_per_window=1, stride=1, shots=True, length=1, seeks=True)

    assert times(info) == (0, 40, 41, 42, 80, 120)
    assert [chunk.span.start for chunk in made] == [None, 40, 41, 42, 80, 120]
    assert [chunk.seek for chunk in made] == [None, None, None, None, 80, 80]
    assert first_place(info, Span(start=41)) == 2


def test_a_span_of_no_frame_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"in\.mp4 shows no frame"):
        chunks(video(3, 0), Span(start=7), frames_per_window=1, stride=1, shots=True, length=8, seeks=True)


@pytest.mark.parametrize("info", [video(100, *range(0, 100, 10)), images(100)], ids=["video", "images"])
def test_a_chunk_cut_short_is_the_chunk_that_would_have_been_planned(info: MediaInfo) -> None:
    def planned(stop: int) -> tuple[Chunk, ...]:
        span = Span(start=20, stop=stop)
        return chunks(info, span, frames_per_window=3, stride=2, shots=True, length=1000, seeks=True)

    (whole,), (short,) = planned(90), planned(25)
    assert shortened(info, whole, 5) == short
    assert shortened(info, whole, 70) == whole
