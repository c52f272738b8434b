"""Frames laid out as an encoder takes them: planar as they travel, or interleaved where it knows no other way."""

from __future__ import annotations

import av
import numpy as np
from numpy.typing import NDArray

from vsr.core.frame import Frame
from vsr.io.encoding.encoders import family

# FFmpeg's ffv1 takes 8-bit RGB only interleaved; the frame travels planar like every other.
_PACKED = {("ffv1", "gbrp"): "bgr0", ("ffv1", "gbrap"): "bgra"}
_ON_HARDWARE = {"yuv420p": "nv12", "yuv420p10le": "p010le", "yuv422p10le": "p210le"}

Plane = NDArray[np.uint8] | NDArray[np.uint16]


def native_format(encoder: str, name: str) -> str:
    """Give the format in which `encoder` takes frames that travel in `name`."""
    if family(encoder) is not None:
        return _ON_HARDWARE.get(name, name)
    return _PACKED.get((encoder, name), name)


def filled(frame: Frame, name: str) -> av.VideoFrame:
    """Copy a frame's planes into a new frame of FFmpeg's, in the format `name` of `native_format`."""
    picture = av.VideoFrame(frame.width, frame.height, name)
    planes = frame.planes
    if name == frame.format.name:
        for number, plane in enumerate(planes):
            _rows(picture, number, plane.dtype)[: plane.shape[0], : plane.shape[1]] = plane
    elif name in ("bgr0", "bgra"):
        # G B R (A) as they travel, to B G R and A or nothing as they are packed.
        _interleave(picture, 0, 4, dict(zip((1, 0, 2, 3), planes, strict=False)))
    else:  # luma, then Cb and Cr in turn; deep samples in the high bits
        luma, *chroma = planes if name == "nv12" else tuple(_high(plane) for plane in planes)
        _rows(picture, 0, luma.dtype)[: luma.shape[0], : luma.shape[1]] = luma
        _interleave(picture, 1, 2, dict(enumerate(chroma)))
    return picture


def _rows(picture: av.VideoFrame, number: int, dtype: np.dtype[np.uint8] | np.dtype[np.uint16]) -> Plane:
    target = picture.planes[number]
    samples: Plane
    if dtype.itemsize == 1:
        samples = np.frombuffer(memoryview(target), np.uint8)
    else:
        samples = np.frombuffer(memoryview(target), np.uint16)
    return samples.reshape(-1, target.line_size // dtype.itemsize)


def _interleave(picture: av.VideoFrame, number: int, step: int, planes: dict[int, Plane]) -> None:
    """Write samples of several planes in turn, each at its place among `step`."""
    height, width = planes[0].shape
    rows = _rows(picture, number, planes[0].dtype)
    pixels = rows[:, : rows.shape[1] // step * step].reshape(len(rows), -1, step)
    for place, plane in planes.items():
        pixels[:height, :width, place] = plane


def _high(plane: Plane) -> Plane:
    """Give 10-bit samples in the high bits of 16: ten zeros and ones, then six zeros."""
    return plane.astype(np.uint16) << np.uint16(6)
