"""Moving pictures as interlaced video shows them: two moments woven into a frame, film spread over fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

Plane = NDArray[np.uint8]
Scene = Callable[[float], NDArray[np.float64]]
"""A picture (H, W) at a time, which counts fields."""

HEIGHT, WIDTH = 96, 128
TOP, BOTTOM = 0, 1


def whole(scene: Scene, count: int) -> list[Plane]:
    """Give frames of one moment each."""
    return [_plane(scene(2 * number)) for number in range(count)]


def woven(scene: Scene, count: int, *, first: int) -> list[Plane]:
    """Give frames of two moments: the lines of parity `first` are of the earlier one."""
    return _paired([_plane(scene(number)) for number in range(2 * count)], first)


def telecined(scene: Scene, count: int, *, first: int, pattern: Sequence[int] = (2, 3)) -> list[Plane]:
    """Give film as frames of fields: each picture of it for as many fields as `pattern` says in turn."""
    fields: list[Plane] = []
    for number in range(count):
        fields += [_plane(scene(2.5 * number))] * pattern[number % len(pattern)]
    return _paired(fields[: 2 * count], first)


def write(
    path: Path, frames: Sequence[Plane], *, flag: str = "", codec: str = "libx264", gop: int = 12, **options: str
) -> Path:
    """Write frames as grey 4:2:0 video of 25 a second. flag: `tff` or `bff`, in each frame and in H.264's stream."""
    if flag and codec == "libx264":
        options["x264-params"] = ":".join(filter(None, [f"{flag}=1", options.get("x264-params", "")]))
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = frames[0].shape
        stream.pix_fmt, stream.gop_size, stream.time_base = "yuv420p", gop, Fraction(1, 25)
        for number, plane in enumerate(frames):
            grey = np.full((plane.shape[0] // 2, plane.shape[1]), 128, np.uint8)
            frame = av.VideoFrame.from_ndarray(np.concatenate([plane, grey]), format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            out.mux(stream.encode(_flagged(frame, flag) if flag else frame))
        out.mux(stream.encode(None))
    return path


def _flagged(frame: av.VideoFrame, flag: str) -> av.VideoFrame:
    """Give the frame with the flags of an interlaced one, which PyAV sets in no other way."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    setting, sink = graph.add("setfield", flag), graph.add("buffersink")
    source.link_to(setting)
    setting.link_to(sink)
    graph.configure()
    graph.push(frame)
    return graph.vpull()


def _paired(fields: Sequence[Plane], first: int) -> list[Plane]:
    frames = []
    for early, late in zip(fields[::2], fields[1::2], strict=True):
        frame = early.copy()
        frame[1 - first :: 2] = late[1 - first :: 2]
        frames.append(frame)
    return frames


def _plane(picture: NDArray[np.float64]) -> Plane:
    return picture.clip(0, 255).round().astype(np.uint8)
