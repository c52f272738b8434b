"""Interlaced frames made whole: of each frame's two fields one picture, at the frame's own time (FFmpeg's bwdif).

Every line of the field that is shown first stays as it is; the lines between are made from it and from the fields
before and after. A frame's picture depends on the frame before it and the frame after it, and on no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import av
import av.error
from av.filter import Graph

from vsr.core.errors import DecodeError
from vsr.io.timing import Timing

MEMORY = 1  # frames before a frame that its picture depends on
_FILTER = ("bwdif", "mode=send_frame:parity=auto:deint=all")


def deinterlaced(frames: Iterator[tuple[Timing, av.VideoFrame]]) -> Iterator[tuple[Timing, av.VideoFrame]]:
    """Yield the same frames with both fields merged: as many as come in, with the same times, one frame later.

    Field order is what each frame's own flags say, top first where they say nothing.

    Raises:
        DecodeError: the filter does not take the frames, or loses one.
    """
    waiting: list[Timing] = []
    graph: Graph | None = None
    try:
        for timing, frame in frames:
            if graph is None:
                graph = _graph(frame)
            waiting.append(timing)
            # The filter counts frames, not ticks: times come back from `waiting`.
            frame.pts, frame.time_base = timing.index, Fraction(1, 1)
            graph.push(frame)
            yield from _pulled(graph, waiting)
        if graph is not None:
            graph.push(None)
            yield from _pulled(graph, waiting)
    except av.error.FFmpegError as error:
        raise DecodeError(f"the frames cannot be deinterlaced: {error.strerror}") from error
    if waiting:
        raise DecodeError(f"{len(waiting)} frames were lost in deinterlacing, the first at pts {waiting[0].pts}")


def _graph(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
    merge = graph.add(*_FILTER)
    sink = graph.add("buffersink")
    source.link_to(merge)
    merge.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Graph, waiting: list[Timing]) -> Iterator[tuple[Timing, av.VideoFrame]]:
    """Yield what the filter gives up, with the times of what went in."""
    while True:
        try:
            frame = graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        if not waiting:
            raise DecodeError("deinterlacing gave more frames than it took")
        yield waiting.pop(0), frame
