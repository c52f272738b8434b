"""One pass over the packets of a video stream, without decoding them: times, keyframes, damage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
import av.error
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.core.media import PacketIndex


@dataclass(slots=True, kw_only=True)
class Scan:
    """What the packets said, gathered while they pass."""

    shown: list[tuple[int | None, int]] = field(default_factory=list)  # (pts, duration), in decoding order
    keyframes: list[int] = field(default_factory=list)
    before_keyframe: int = 0
    bytes: int = 0
    corrupt: int = 0
    without_pts: int = 0
    broken_off: str = ""
    has_decoding_times: bool = False


def packets(stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream in decoding order; empty ones (dropped frames of AVI, the flush) are passed over.

    Raises:
        av.error.FFmpegError: the demuxer gives up.
    """
    container = stream.container
    for packet in container.demux(stream):  # type: ignore[attr-defined]
        if packet.size:
            yield packet


def note(scan: Scan, packet: Packet[VideoStream]) -> None:
    """Add one packet to what is known."""
    scan.bytes += packet.size
    scan.corrupt += packet.is_corrupt
    # AVI and raw streams have no time of showing; what a packet lacks is taken from its time of decoding.
    pts = packet.pts if packet.pts is not None else packet.dts
    if packet.is_keyframe and pts is not None:
        scan.keyframes.append(pts)
    if packet.is_discard:
        return
    if not packet.is_keyframe and not scan.keyframes:
        scan.before_keyframe += 1
    scan.without_pts += packet.pts is None
    scan.shown.append((pts, packet.duration or 0))


def index(scan: Scan, *, time_base: Fraction, rate: Fraction | None) -> PacketIndex:
    """Give what was found, in order of presentation.

    Packets before the first keyframe show nothing and are left out, unless the stream marks no keyframe at all.
    """
    shown = scan.shown[scan.before_keyframe :] if scan.keyframes else scan.shown
    if any(pts is None for pts, _ in shown):
        step = max(1, round(1 / (rate or Fraction(25)) / time_base))
        shown = [(number * step, step) for number in range(len(shown))]
    ordered = sorted((pts, duration) for pts, duration in shown if pts is not None)
    found = PacketIndex(
        pts=tuple(pts for pts, _ in ordered),
        durations=tuple(duration for _, duration in ordered),
        keyframes=tuple(sorted(set(scan.keyframes))),
        bytes=scan.bytes,
        corrupt=scan.corrupt,
        without_pts=scan.without_pts,
    )
    return replace(found, has_decoding_times=scan.has_decoding_times)
