"""One contract for every Sink: PyAV, the ffmpeg program, image files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import picture, read_number
from vsr.core.errors import EncodeError
from vsr.core.frame import ColorSpec, Frame, pixel_format
from vsr.core.media import OutputSpec
from vsr.io.base import Sink
from vsr.io.encoding.encode import PyavSink
from vsr.io.ffmpeg import FfmpegSink
from vsr.io.images.files import ImageSink

WIDTH, HEIGHT = 64, 48
# Steps from one tick to a second, in a time base that no frame rate divides.
TIMES = [5, 6, 3000, 3001, 9100, 9101, 9102, 99102, 99103, 100000, 180001]
DURATIONS = [1, 2994, 1, 6099, 1, 1, 90000, 1, 897, 80001, 3600]

VIDEO = OutputSpec(
    codec="h264",
    encoder="libx264",
    options=(("preset", "veryfast"), ("crf", "18"), ("x264-params", "open-gop=0")),
    width=WIDTH,
    height=HEIGHT,
    pixel_format="yuv420p",
    color=ColorSpec(matrix="bt709", range="tv", siting="left"),
    tags=ColorSpec(matrix="bt709", range="tv", primaries="bt709", transfer="bt709", siting="left"),
    time_base=Fraction(1, 90000),
    rate=Fraction(25),
    sar=Fraction(64, 45),
    threads=1,
)
IMAGES = replace(VIDEO, codec="png", encoder="png", options=(), pixel_format="gbrp")


def _pyav(folder: Path, spec: OutputSpec = VIDEO) -> Sink:
    return PyavSink(folder / "segment.nut", spec)


def _ffmpeg(folder: Path, spec: OutputSpec = VIDEO) -> Sink:
    return FfmpegSink(folder / "segment.nut", spec)


def _images(folder: Path, spec: OutputSpec = IMAGES) -> Sink:
    return ImageSink(folder / "images", spec, pattern="%06d.png")


SINKS: dict[str, Callable[[Path], Sink]] = {"pyav": _pyav, "ffmpeg": _ffmpeg, "images": _images}


@pytest.fixture(params=SINKS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def sink(kind: str, tmp_path: Path) -> Sink:
    return SINKS[kind](tmp_path)


def _frame(number: int, kind: str, pts: int, duration: int, *, width: int = WIDTH, name: str = "") -> Frame:
    format = pixel_format(name or ("gbrp" if kind == "images" else "yuv420p"))
    planes = picture(number, format, width, HEIGHT)
    return Frame(index=number, pts=pts, duration=duration, planes=planes, format=format)


def _frames(kind: str, times: Sequence[int] = TIMES) -> list[Frame]:
    return [_frame(k, kind, pts, step) for k, (pts, step) in enumerate(zip(times, DURATIONS, strict=True))]


def _numbers(path: Path) -> list[int]:
    if path.is_dir():
        with_cv2 = [np.asarray(_imread(file)) for file in sorted(path.iterdir())]
        return [read_number(array[..., 1]) for array in with_cv2]
    with av.open(str(path)) as container:
        return [
            read_number(np.frombuffer(frame.planes[0], np.uint8).reshape(-1, frame.planes[0].line_size)[:, :WIDTH])
            for frame in container.decode(video=0)
        ]


def _imread(file: Path) -> object:
    import cv2

    return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)


def test_frames_in_are_frames_out_with_their_own_times(sink: Sink, kind: str) -> None:
    for frame in _frames(kind):
        sink.write(frame)

    written = sink.close()

    assert written.frames == len(TIMES)
    assert list(written.pts) == TIMES
    assert list(written.durations) == DURATIONS
    assert _numbers(written.path) == list(range(len(TIMES)))


def test_bytes_are_those_on_disk(sink: Sink, kind: str) -> None:
    for frame in _frames(kind):
        sink.write(frame)

    written = sink.close()

    files = list(written.path.iterdir()) if written.path.is_dir() else [written.path]
    assert written.bytes == sum(file.stat().st_size for file in files)


@pytest.mark.parametrize("kind", ["pyav", "ffmpeg"])
def test_a_segment_carries_exact_pts_begins_with_a_keyframe_and_is_tagged(sink: Sink, kind: str) -> None:
    for frame in _frames(kind):
        sink.write(frame)
    path = sink.close().path

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.size]
        base = Fraction(stream.time_base or 0)
    with av.open(str(path)) as container:
        first = next(container.decode(video=0))
        sar = container.streams.video[0].sample_aspect_ratio

    assert sorted(packet.pts * base for packet in packets) == [pts * VIDEO.time_base for pts in TIMES]
    assert packets[0].is_keyframe and packets[0].pts * base == TIMES[0] * VIDEO.time_base
    assert (first.colorspace, first.color_range, first.color_primaries, first.color_trc) == (1, 1, 1, 1)
    assert sar == VIDEO.sar


@pytest.mark.parametrize("kind", ["pyav", "ffmpeg"])
def test_times_before_zero_are_kept(sink: Sink, kind: str) -> None:
    times = [pts - 4000 for pts in TIMES]
    for frame in _frames(kind, times):
        sink.write(frame)

    written = sink.close()

    assert list(written.pts) == times
    assert _numbers(written.path) == list(range(len(times)))


def test_a_frame_may_be_written_over_once_it_was_handed_in(sink: Sink, kind: str) -> None:
    for frame in _frames(kind):
        sink.write(frame)
        for plane in frame.planes:
            plane[:] = 0

    assert _numbers(sink.close().path) == list(range(len(TIMES)))


@pytest.mark.parametrize("wrong", ["size", "format"])
def test_a_frame_of_another_size_or_format_is_refused(sink: Sink, kind: str, wrong: str) -> None:
    sink.write(_frame(0, kind, 0, 1))
    odd = {"size": {"width": WIDTH + 2}, "format": {"name": "yuv444p10le"}}[wrong]

    with pytest.raises(EncodeError, match="frame 1 is"):
        sink.write(_frame(1, kind, 1, 1, **odd))  # type: ignore[arg-type]
    sink.abort()


def test_a_sink_without_frames_cannot_be_closed(sink: Sink) -> None:
    with pytest.raises(EncodeError, match="no frame was written"):
        sink.close()


def test_aborting_leaves_nothing_behind_at_any_time(sink: Sink, kind: str, tmp_path: Path) -> None:
    sink.abort()
    for frame in _frames(kind)[:3]:
        sink.write(frame)

    sink.abort()
    sink.abort()

    assert list(tmp_path.iterdir()) == []


def test_aborting_after_close_removes_the_result(sink: Sink, kind: str, tmp_path: Path) -> None:
    for frame in _frames(kind):
        sink.write(frame)
    sink.close()

    sink.abort()

    assert list(tmp_path.iterdir()) == []
