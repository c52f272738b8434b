"""A video of interlaced frames as a video of fields: twice as many pictures, each shown for half the time.

The time base is halved, so that every time stays an exact integer: a frame at p that lasts d becomes fields at 2p and
2p + d that last d each.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import av
import av.error
from av.filter import Graph

from vsr.core.media import FieldOrder, MediaInfo


def fields_of(info: MediaInfo) -> MediaInfo:
    """Describe the fields of a video's frames, in order of presentation, as if each were a frame.

    Where the file repeats a time, frames stand where `io.timing.Clock` moves them: one tick after the one before.
    Keyframes stand at their first fields.
    """
    packets, video = info.packets, info.video
    shown: list[int] = []
    for pts in packets.pts:
        shown.append(max(pts, shown[-1] + 1) if shown else pts)
    own = max(1, packets.durations[-1]) if shown else 0
    lasting = [stop - start for start, stop in zip(shown, [*shown[1:], shown[-1] + own], strict=True)] if shown else []
    repeated = {a for a, b in zip(packets.pts, packets.pts[1:], strict=False) if a == b}
    moved = {a for a, b in zip(packets.pts, shown, strict=True) if a != b}
    return replace(
        info,
        video=replace(
            video,
            time_base=video.time_base / 2,
            rate=None if video.rate is None else video.rate * 2,
            header_frames=None if video.header_frames is None else video.header_frames * 2,
        ),
        packets=replace(
            packets,
            pts=tuple(pts for p, d in zip(shown, lasting, strict=True) for pts in (2 * p, 2 * p + d)),
            durations=tuple(d for d in lasting for _ in range(2)),
            # A seek cannot tell which of several frames of one time it found.
            keyframes=tuple(2 * key for key in packets.keyframes if key not in repeated | moved),
        ),
    )


def file_of(fields: MediaInfo) -> MediaInfo:
    """Give the file's own description back from that of its fields."""
    packets, video = fields.packets, fields.video
    return replace(
        fields,
        video=replace(
            video,
            time_base=video.time_base * 2,
            rate=None if video.rate is None else video.rate / 2,
            header_frames=None if video.header_frames is None else video.header_frames // 2,
        ),
        packets=replace(
            packets,
            pts=tuple(pts // 2 for pts in packets.pts[::2]),
            durations=packets.durations[::2],
            keyframes=tuple(key // 2 for key in packets.keyframes),
        ),
    )


def field_order(frame: av.VideoFrame) -> FieldOrder:
    """Give the field order that a decoded frame is flagged with; "" where it is not flagged as interlaced."""
    if not frame.interlaced_frame:
        return ""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1))
    # PyAV hands on whether a frame is interlaced, but not which field is first: this filter sees it.
    only_top_first = graph.add("select", "eq(interlace_type,TOPFIRST)")
    sink = graph.add("buffersink")
    source.link_to(only_top_first)
    only_top_first.link_to(sink)
    graph.configure()
    try:
        graph.push(frame)
        graph.push(None)
        graph.vpull()
    except (av.error.BlockingIOError, av.error.EOFError):
        return "bff"
    return "tff"
