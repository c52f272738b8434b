"""One contract for every Source: PyAV, PyAV with threads, the ffmpeg program, image files."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.media import make_clip, make_images, picture, planes_of, read_number
from vsr.core.errors import InputMissing
from vsr.core.frame import Frame, pixel_format
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.io.base import DecodeTally, Source
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe

VFR = [0, 3, 4, 11, 40, 41, 60, 90, 200, 201, 202, 260]
STEPS = [*(b - a for a, b in pairwise(VFR)), 7]


def _images(folder: Path) -> MediaInfo:
    make_images(folder / "images", "shot_%04d.png", count=12, start=9)
    return probe(folder / "images")


def _video(folder: Path) -> MediaInfo:
    # B-frames, so that decoding order differs; keyframes at 0 and 6, so that there is something to seek to.
    clip = make_clip(
        folder / "clip.mp4", pts=VFR, durations=STEPS, time_base=Fraction(1, 1000), gop=6, options={"forced-idr": "1"}
    )
    return probe(clip)


SOURCES: dict[str, tuple[Callable[[Path], MediaInfo], str, int]] = {
    "pyav": (_video, "pyav", 1),
    "pyav threads": (_video, "pyav", 3),
    "ffmpeg": (_video, "ffmpeg", 1),
    "images": (_images, "pyav", 1),
}


@pytest.fixture(scope="module", params=SOURCES)
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Source:
    make, decoder, threads = SOURCES[request.param]
    return open_source(make(tmp_path_factory.mktemp("source")), decoder=decoder, threads=threads)


def _numbers(frames: list[Frame]) -> list[int]:
    return [read_number(frame.planes[0]) for frame in frames]


def _expected(source: Source) -> list[tuple[int, int]]:
    return list(zip(VFR, STEPS, strict=True)) if source.info.kind == "video" else [(k, 1) for k in range(12)]


def test_every_frame_comes_once_in_order_with_its_own_time(source: Source) -> None:
    frames = list(source.frames(WHOLE))

    assert _numbers(frames) == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert [(frame.pts, frame.duration) for frame in frames] == _expected(source)


def test_codes_are_those_of_an_independent_decoder_and_stay_while_frames_are_kept(source: Source) -> None:
    frames = list(source.frames(WHOLE))

    if source.info.kind == "video":
        oracle = [planes for _, planes in planes_of(source.info.path)]
    else:
        oracle = [picture(k, pixel_format("gbrp"), 64, 48) for k in range(12)]
    for frame, planes in zip(frames, oracle, strict=True):
        for ours, theirs in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_frames_say_the_format_and_colour_that_were_probed(source: Source) -> None:
    frame = next(iter(source.frames(WHOLE)))

    assert frame.format.name == source.info.video.pixel_format
    assert frame.color == source.info.video.color
    assert (frame.width, frame.height) == (source.info.video.width, source.info.video.height)
    assert frame.is_keyframe and not frame.is_corrupt


@pytest.mark.parametrize(("first", "last"), [(0, 1), (3, 8), (7, 12), (11, 12)])
def test_a_span_is_half_open_and_indices_count_the_whole_source(source: Source, first: int, last: int) -> None:
    times = [pts for pts, _ in _expected(source)]
    span = Span(start=times[first], stop=times[last] if last < 12 else None)

    frames = list(source.frames(span))

    assert [frame.index for frame in frames] == list(range(first, last))
    assert _numbers(frames) == list(range(first, last))
    assert [(frame.pts, frame.duration) for frame in frames] == _expected(source)[first:last]


def test_decoding_from_a_keyframe_gives_the_same_frames_as_from_the_start(source: Source) -> None:
    times = [pts for pts, _ in _expected(source)]
    keyframes = source.info.packets.keyframes or (times[6],)
    span = Span(start=times[8])

    sought = list(source.frames(span, seek=max(k for k in keyframes if k <= times[8])))

    for ours, plain in zip(sought, source.frames(span), strict=True):
        assert (ours.index, ours.pts, ours.duration) == (plain.index, plain.pts, plain.duration)
        np.testing.assert_array_equal(ours.planes[0], plain.planes[0])


def test_the_tally_counts_what_was_yielded(source: Source) -> None:
    tally = DecodeTally()

    yielded = len(list(source.frames(Span(start=_expected(source)[4][0]), tally=tally)))

    assert (tally.frames, tally.corrupt, tally.errors, tally.retimed) == (yielded, 0, 0, 0)


def test_frames_can_be_asked_for_again_and_left_early(source: Source) -> None:
    begun = source.frames(WHOLE)
    next(iter(begun))
    begun.close()  # type: ignore[attr-defined]

    assert _numbers(list(source.frames(WHOLE))) == list(range(12))


def test_planes_cannot_be_written_over_by_accident(source: Source) -> None:
    frame = next(iter(source.frames(WHOLE)))

    with pytest.raises(ValueError, match="read-only"):
        frame.planes[0][0, 0] = 1


@pytest.mark.parametrize("kind", SOURCES)
def test_a_file_that_has_gone_is_missing(kind: str, tmp_path: Path) -> None:
    make, decoder, threads = SOURCES[kind]
    info = make(tmp_path)
    for file in info.files or (info.path,):
        file.unlink()

    with pytest.raises(InputMissing):
        next(iter(open_source(info, decoder=decoder, threads=threads).frames(WHOLE)))
