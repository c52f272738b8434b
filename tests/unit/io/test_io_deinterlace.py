"""Fields merged: the first field's lines stay, the second's moment goes, and no frame and no time with it."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsr.core.errors import SettingsError
from vsr.core.media import WHOLE
from vsr.io.decode import open_source
from vsr.io.deinterlace import deinterlaced
from vsr.io.probe import probe
from vsr.io.timing import Timing

HEIGHT, WIDTH, FRAMES = 48, 64, 10
Plane = NDArray[np.uint8]


def moment(time: int) -> Plane:
    """A pattern that moves by three pixels a field, the same in every line: any line of it tells all others."""
    x = np.arange(WIDTH) - 3 * time
    return np.tile((128 + 80 * np.sin(x / 4)).astype(np.uint8), (HEIGHT, 1))


def woven(number: int, *, first: int) -> Plane:
    """A frame of two moments: lines of parity `first` are of the earlier one."""
    plane = moment(2 * number)
    plane[1 - first :: 2] = moment(2 * number + 1)[1 - first :: 2]
    return plane


def shown(first: int) -> Iterator[tuple[Timing, av.VideoFrame]]:
    grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    for number in range(FRAMES):
        frame = av.VideoFrame.from_ndarray(np.concatenate([woven(number, first=first), grey]), format="yuv420p")
        frame.pts = 7 * number * number
        yield Timing(index=number, pts=7 * number * number, duration=7), frame


def luma(frame: av.VideoFrame) -> Plane:
    plane = frame.planes[0]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:HEIGHT, :WIDTH]


def test_the_second_moment_goes_and_the_first_fields_lines_stay():
    merged = list(deinterlaced(shown(first=0)))
    assert [timing.pts for timing, _ in merged] == [7 * number * number for number in range(FRAMES)]
    for number, (_, frame) in enumerate(merged):
        combed = abs(woven(number, first=0).astype(int) - moment(2 * number)).mean()
        assert np.array_equal(luma(frame)[::2], moment(2 * number)[::2])
        assert abs(luma(frame).astype(int) - moment(2 * number)).mean() < 0.01 * combed


@pytest.fixture(scope="module")
def interlaced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 of the bottom field first, with a keyframe every 5 frames."""
    path = tmp_path_factory.mktemp("fields") / "bff.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"x264-params": "bff=1:keyint=5:qp=1", "crf": "1"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        grey = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.concatenate([woven(number, first=1), grey]), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def test_field_order_is_the_files(interlaced):
    info = probe(interlaced)
    assert info.video.is_interlaced
    plain = list(open_source(info).frames(WHOLE))
    merged = list(open_source(info, deinterlace=True).frames(WHOLE))
    assert [(f.index, f.pts, f.duration) for f in merged] == [(f.index, f.pts, f.duration) for f in plain]
    for number, (before, after) in enumerate(zip(plain, merged, strict=True)):
        assert np.array_equal(before.planes[0][1::2], after.planes[0][1::2])
        assert abs(after.planes[0].astype(int) - moment(2 * number)).mean() < 2
        assert abs(before.planes[0].astype(int) - moment(2 * number)).mean() > 8


def test_the_ffmpeg_program_does_not_do_it(interlaced):
    with pytest.raises(SettingsError, match="deinterlace"):
        open_source(probe(interlaced), decoder="ffmpeg", deinterlace=True)


def test_in_chunks_as_in_one(interlaced, tmp_path):
    from vsr.core.presets import resolve
    from vsr.jobs.plan import plan
    from vsr.jobs.run import run

    results = []
    for length in (4, 5, 100):
        settings = {"model": "nearest", "codec": "ffv1", "deinterlace": "frame", "chunk_frames": length}
        out = tmp_path / f"{length}.mkv"
        run(plan(interlaced, out, resolve(settings)))
        with av.open(str(out)) as made:
            results.append([(frame.pts, frame.to_ndarray().tobytes()) for frame in made.decode(video=0)])
    assert results[0] == results[1] == results[2]
    assert len(results[0]) == FRAMES
