"""Frames as hardware encoders take them, against swscale."""

from __future__ import annotations

import av
import numpy as np
import pytest

from tests.media import picture
from vsr.core.frame import Frame, pixel_format
from vsr.io.encoding.packing import filled, native_format


def frame_of(name: str, width: int, height: int) -> Frame:
    format = pixel_format(name)
    return Frame(index=0, pts=0, duration=1, planes=picture(5, format, width, height), format=format)


@pytest.mark.parametrize("size", [(64, 48), (66, 50)])
@pytest.mark.parametrize(
    ("name", "native"), [("yuv420p", "nv12"), ("yuv420p10le", "p010le"), ("yuv422p10le", "p210le")]
)
def test_interleaved_samples_are_those_that_were_planar(name: str, native: str, size: tuple[int, int]) -> None:
    frame = frame_of(name, *size)
    assert native_format("hevc_nvenc", name) == native
    back = filled(frame, native).reformat(format=name, src_color_range=2, dst_color_range=2, threads=1)
    planar = filled(frame, name)
    for number, plane in enumerate(frame.planes):
        for made in (back, planar):
            target = made.planes[number]
            rows = np.frombuffer(memoryview(target), plane.dtype).reshape(-1, target.line_size // plane.itemsize)
            assert np.array_equal(rows[: plane.shape[0], : plane.shape[1]], plane)


def test_software_takes_frames_as_they_travel() -> None:
    assert native_format("libx264", "yuv420p") == "yuv420p"
    assert native_format("ffv1", "gbrap") == "bgra"


def test_packed_rgb_is_the_planes_in_turn() -> None:
    frame = frame_of("gbrap", 33, 17)
    array = filled(frame, "bgra").to_ndarray()
    green, blue, red, alpha = frame.planes
    assert np.array_equal(array, np.dstack([blue, green, red, alpha]))
    assert isinstance(filled(frame, "bgra"), av.VideoFrame)
