"""Codes and colours through the whole job: what goes in as a code comes out as that code, with the same tags."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.media import planes_of
from vsr.core.frame import pixel_format

LIMITED = {10: (64, 940), 12: (256, 3760)}  # ITU-R BT.709-6 sec. 5, BT.2100-2 table 9: black and white of luma
MATRIX = {"bt709": 1, "smpte170m": 6, "bt2020nc": 9}


def make_ramp(path: Path, name: str, *, matrix: int = 2, levels: int = 1, frames: int = 2) -> Path:
    """A lossless clip whose luma holds every code from black to white, and chroma as many as it has room for."""
    fmt = pixel_format(name)
    low, high = LIMITED[fmt.depth] if levels == 1 else (0, fmt.peak)
    width, height = 64, -(-(high - low + 1) // 64 // 2) * 2 + 2
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, name
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, levels
        for number in range(frames):
            frame = av.VideoFrame(width, height, name)
            for index, plane in enumerate(frame.planes):
                rows, columns = fmt.plane_shape(index, width, height)
                codes = (low + np.arange(rows * columns) % (high - low + 1)).astype(np.uint16).reshape(rows, columns)
                lines = np.frombuffer(memoryview(plane), np.uint16).reshape(rows, plane.line_size // 2)
                lines[:, :columns] = codes
            frame.pts, frame.time_base = number, Fraction(1, 25)
            frame.colorspace, frame.color_range = matrix, levels
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le", "yuv444p12le"])
@pytest.mark.parametrize("levels", [1, 2])
def test_every_code_of_a_deep_ramp_survives(name, levels, tmp_path, vsr):
    """Peers A7: through 8 bits a ramp of 877 codes would come back with 220."""
    clip = make_ramp(tmp_path / "in.mkv", name, levels=levels)
    out = tmp_path / "out.mkv"
    ended = vsr("upscale", clip, "-o", out, "-m", "nearest", "-s", 1, "--codec", "ffv1", "-q")
    assert ended.code == 0, ended.err
    for (_, before), (_, after) in zip(planes_of(clip), planes_of(out), strict=True):
        if levels == 1 and name.endswith("10le"):
            assert len(np.unique(after[0])) == 877
        for plane, made in zip(before, after, strict=True):
            np.testing.assert_array_equal(plane, made)


@pytest.mark.parametrize(
    ("codec", "suffix"), [("h264", ".mp4"), ("hevc", ".mp4"), ("av1", ".mkv"), ("vp9", ".webm"), ("ffv1", ".mkv")]
)
@pytest.mark.parametrize(("matrix", "levels"), list(itertools.product(MATRIX, (1, 2))))
def test_tags_are_the_sources(codec, suffix, matrix, levels, tmp_path, vsr):
    clip = make_ramp(tmp_path / "in.mkv", "yuv420p10le", matrix=MATRIX[matrix], levels=levels, frames=1)
    out = tmp_path / f"out{suffix}"
    words = ["--codec", codec, "--width", 128, "--height", 96, "-m", "nearest", "-q"]
    ended = vsr("upscale", clip, "-o", out, *words)
    assert ended.code == 0, ended.err
    with av.open(str(out)) as found:
        frame = next(found.decode(video=0))
        assert (int(frame.colorspace), int(frame.color_range)) == (MATRIX[matrix], levels)
        assert frame.format.components[0].bits == (8 if codec == "vp9" else 10)
