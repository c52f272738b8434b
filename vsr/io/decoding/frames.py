"""Decoded frames of FFmpeg's as our Frames: views of their planes, and their times."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import DecodeError
from vsr.core.frame import Frame, PixelFormat, pixel_format
from vsr.core.media import MediaInfo
from vsr.io.decoding.formats import Unpacker, travel_format
from vsr.io.decoding.timing import Clock, Timing
from vsr.io.metadata.sidedata import carried

Decoded = tuple[int | None, int, av.VideoFrame]  # pts and duration in the stream's time_base (None, 0: unknown)


def timed(frames: Iterator[Decoded], clock: Clock) -> Iterator[tuple[Timing, av.VideoFrame]]:
    """Give each frame its time. A frame without a duration waits for the next one, whose pts tells it."""
    waiting: tuple[Timing, av.VideoFrame] | None = None
    for pts, duration, frame in frames:
        timing = clock.tick(pts, duration)
        if waiting is not None:
            yield waiting[0].until(timing.pts), waiting[1]
            waiting = None
        if timing.duration > 0:
            yield timing, frame
        else:
            waiting = timing, frame
    if waiting is not None:
        yield clock.last(waiting[0]), waiting[1]


def to_frame(frame: av.VideoFrame, timing: Timing, info: MediaInfo, unpack: Unpacker) -> Frame:
    """Give a Frame over the decoder's memory, or over an unpacked copy where the format is packed.

    Raises:
        DecodeError: its size or pixel format is not the stream's any more.
    """
    video = info.video
    if (frame.width, frame.height) != (video.width, video.height):
        raise changed(info, timing.pts, f"the size becomes {frame.width}x{frame.height}")
    if travel_format(frame.format.name)[0] != video.pixel_format:
        raise changed(info, timing.pts, f"the pixel format becomes {frame.format.name}")
    format = pixel_format(video.pixel_format)
    return Frame(
        index=timing.index,
        pts=timing.pts,
        duration=timing.duration,
        planes=plane_views(unpack(frame), format),
        format=format,
        color=video.color,
        is_keyframe=bool(frame.key_frame),
        is_corrupt=frame.is_corrupt,
        side_data=carried(frame),
    )


def changed(info: MediaInfo, pts: int | None, what: str) -> DecodeError:
    """Give the error for a stream that becomes another in its middle."""
    video = info.video
    return DecodeError(
        f"{info.path}: {what} at pts {pts}, after {video.width}x{video.height} {video.pixel_format}",
        hint="Cut the file there, or end before with --end, and upscale the parts apart.",
    )


def plane_views(frame: av.VideoFrame, format: PixelFormat) -> tuple[NDArray[np.uint8] | NDArray[np.uint16], ...]:
    """Give read-only views of a planar frame's planes, with its strides; no copy. They keep the frame alive."""
    views = []
    sample = np.dtype(format.dtype)
    for number, plane in enumerate(frame.planes[: format.plane_count]):
        shape = format.plane_shape(number, frame.width, frame.height)
        strides = (abs(plane.line_size), sample.itemsize)
        view: NDArray[np.uint8] | NDArray[np.uint16]
        view = np.ndarray(shape, sample, buffer=memoryview(plane), strides=strides)
        if plane.line_size < 0:
            # A picture that lies bottom up; its memory still begins at the lowest address.
            view = view[::-1]
        view.flags.writeable = False
        views.append(view)
    return tuple(views)
