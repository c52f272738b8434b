"""Interlaced frames made whole (FFmpeg's bwdif): of each frame's two fields one picture, or a picture of each.

Every line of the field that a picture stands for stays as it is; the lines between are made from it and from the
fields before and after. A frame's pictures depend on the frame before it and the frame after it, and on no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Literal

import av
import av.error
from av.filter import Graph

from vsr.core.errors import DecodeError
from vsr.core.media import FieldOrder
from vsr.io.decoding.timing import Timing

Merging = Literal["off", "frame", "field"]
_PARITY = {"tff": "tff", "bff": "bff", "": "auto"}


def memory(merging: Merging) -> int:
    """Give how many pictures of the source, before a picture, its own samples depend on; after it none is asked for.

    Of fields a frame is two. The frame after is read by the source itself.
    """
    return {"off": 0, "frame": 1, "field": 2}[merging]


def deinterlaced(
    frames: Iterator[tuple[Timing, av.VideoFrame]],
    *,
    merging: Literal["frame", "field"] = "frame",
    order: FieldOrder = "",
) -> Iterator[tuple[Timing, av.VideoFrame]]:
    """Yield a picture a frame with the frame's own time, or with `field` two, whose times count half ticks.

    order: which field is shown first; "" takes it from each frame's own flags, and top first where they are silent.
    One frame later than they come in. A frame of another size or format than the first ends it, and is handed on as it
    is: the reader knows what to say.

    Raises:
        DecodeError: the filter does not take the frames, or loses one.
    """
    waiting: list[Timing] = []
    given = 0
    graph: Graph | None = None
    kind: tuple[int, int, str] | None = None
    other: tuple[Timing, av.VideoFrame] | None = None
    each = 2 if merging == "field" else 1
    try:
        for timing, frame in frames:
            if graph is None:
                graph, kind = _graph(frame, merging, order), _kind(frame)
            elif _kind(frame) != kind:
                other = timing, frame
                break
            waiting.append(timing)
            # The filter counts frames, not ticks: times come back from `waiting`.
            frame.pts, frame.time_base = timing.index, Fraction(1, 1)
            graph.push(frame)
            for made in _pulled(graph, kind):
                yield _time(waiting, given % each, merging), made
                given += 1
                del waiting[: given % each == 0]
        if graph is not None:
            graph.push(None)
            for made in _pulled(graph, kind):
                yield _time(waiting, given % each, merging), made
                given += 1
                del waiting[: given % each == 0]
    except av.error.FFmpegError as error:
        raise DecodeError(f"the frames cannot be deinterlaced: {error.strerror}") from error
    if waiting:
        raise DecodeError(f"{len(waiting)} frames were lost in deinterlacing, the first at pts {waiting[0].pts}")
    if other is not None:
        yield other


def _kind(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def _graph(frame: av.VideoFrame, merging: Literal["frame", "field"], order: FieldOrder) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
    merge = graph.add("bwdif", f"mode=send_{merging}:parity={_PARITY[order]}:deint=all")
    sink = graph.add("buffersink")
    source.link_to(merge)
    merge.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph, kind: tuple[int, int, str] | None) -> Iterator[av.VideoFrame]:
    """Yield what the filter gives up."""
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if _kind(frame) != kind:
            # FFmpeg would convert what bwdif does not take (gray10, 4:4:0 in 10 bits), and not without loss.
            raise DecodeError(
                f"frames of {kind[2] if kind else 'this format'} cannot be deinterlaced", hint="Use --deinterlace off."
            )
        yield frame


def _time(waiting: list[Timing], number: int, merging: Literal["frame", "field"]) -> Timing:
    """Give the time of what came out: the frame's, or that of its field `number`, half the frame's time each.

    With half ticks the two halves are equal. A frame whose time runs into the next one's ends there.
    """
    if not waiting:
        raise DecodeError("deinterlacing gave more frames than it took")
    timing = waiting[0]
    if merging == "frame":
        return timing
    half = min(timing.duration, waiting[1].pts - timing.pts) if len(waiting) > 1 else timing.duration
    return Timing(index=2 * timing.index + number, pts=2 * timing.pts + number * half, duration=half)
