"""One pass over the packets of a video stream, without decoding them: times, keyframes, damage."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.core.media import PacketIndex
from vsr.io.decoding.alpha import begins_layer, is_layered

_FALLBACK_RATE = Fraction(25)


@dataclass(slots=True, kw_only=True)
class Scan:
    """What the packets said, gathered while they pass."""

    shown: list[tuple[int | None, int]] = field(default_factory=list)  # (pts, duration), in decoding order
    keyframes: list[int] = field(default_factory=list)
    falls: list[int] = field(default_factory=list)  # places in `shown` where keyframes' times go back
    latest: int | None = None  # pts shown so far
    before_keyframe: int = 0
    has_keyframe: bool = False
    bytes: int = 0
    corrupt: int = 0
    without_pts: int = 0
    has_alpha_layer: bool = False
    content: hashlib.blake2b = field(default_factory=lambda: hashlib.blake2b(digest_size=16))

    @property
    def leading(self) -> int:
        """How many packets come before the first keyframe; 0 in a stream that marks none at all."""
        return self.before_keyframe if self.has_keyframe else 0


def packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of a stream in decoding order; empty ones (dropped frames of AVI, the flush) are passed over.

    Raises:
        av.error.FFmpegError: the demuxer gives up.
    """
    return (packet for packet in container.demux(stream) if packet.size)


def note(scan: Scan, packet: Packet[VideoStream]) -> None:
    """Add one packet to what is known."""
    scan.bytes += packet.size
    scan.content.update(packet)
    scan.corrupt += packet.is_corrupt
    # WebM keeps alpha as a second coded picture beside the first.
    scan.has_alpha_layer |= is_layered(packet)
    pts = packet.pts if packet.pts is not None else packet.dts
    if packet.is_keyframe:
        scan.has_keyframe = True
        if pts is not None:
            if scan.keyframes and pts <= scan.keyframes[-1] and scan.latest is not None and pts < scan.latest:
                scan.falls.append(len(scan.shown))
            if begins_layer(packet):
                scan.keyframes.append(pts)
    if packet.is_discard:
        return
    scan.before_keyframe += not scan.has_keyframe
    scan.without_pts += packet.pts is None
    scan.shown.append((pts, packet.duration or 0))
    if pts is not None:
        scan.latest = pts if scan.latest is None else max(scan.latest, pts)


def index(
    scan: Scan,
    *,
    time_base: Fraction,
    rate: Fraction | None,
    is_reordered: bool,
    has_durations: bool,
    has_marks: bool = True,
) -> PacketIndex:
    """Give what was found, in order of presentation.

    Packets before the first keyframe show nothing and are left out. Where packets have no times at all (raw streams)
    they are set `1 / rate` apart. is_reordered: the decoder shows frames in another order than it gets them; times
    that rise in decoding order all the same (AVI) cannot be those of showing. has_durations: the container stores the
    duration of every packet, so that the last one's is true. has_marks: a packet that is marked as a keyframe is one.

    There are no keyframes where a pts does not tell one place of the file: times begin anew in its middle (recordings
    put end to end), or packets lack theirs.
    """
    shown = scan.shown[scan.leading :]
    times = [pts for pts, _ in shown]
    rises = all(a is not None and b is not None and a < b for a, b in pairwise(times))
    has_decoding_times = (is_reordered and rises) or 2 * scan.without_pts > len(shown)
    if any(pts is None for pts, _ in shown):
        step = max(1, round(1 / (rate or _FALLBACK_RATE) / time_base))
        shown = [(place * step, step) for place in range(len(shown))]
    timed = [(pts, duration) for pts, duration in shown if pts is not None]
    is_jumping = bool(scan.falls) and not has_decoding_times
    ordered = _in_runs(timed, [fall - scan.leading for fall in scan.falls]) if is_jumping else sorted(timed)
    has_places = has_marks and not (has_decoding_times or is_jumping or scan.without_pts)
    return PacketIndex(
        pts=tuple(pts for pts, _ in ordered),
        durations=_durations(ordered, has_durations=has_durations),
        keyframes=tuple(sorted(set(scan.keyframes))) if has_places else (),
        bytes=scan.bytes,
        corrupt=scan.corrupt,
        without_pts=scan.without_pts,
        has_decoding_times=has_decoding_times,
        digest=scan.content.hexdigest(),
    )


def _in_runs(shown: Sequence[tuple[int, int]], falls: Sequence[int]) -> list[tuple[int, int]]:
    """Order each run of times by itself; those that do not rise over the runs are moved, as decoded frames will be."""
    ordered: list[tuple[int, int]] = []
    for begin, end in pairwise([0, *falls, len(shown)]):
        for pts, duration in sorted(shown[begin:end]):
            ordered.append((max(pts, ordered[-1][0] + 1) if ordered else pts, duration))
    return ordered


def _durations(ordered: Sequence[tuple[int, int]], *, has_durations: bool) -> tuple[int, ...]:
    """Give how long each frame is shown: until the next one.

    What packets say is no help: it is the step of decoding in MP4 and a guess by frame rate in Matroska and FLV. Only
    for the last one is there nothing else; it is believed where the container stores it or where most others are right.
    """
    steps = [b - a for (a, _), (b, _) in pairwise(ordered)]
    if not ordered:
        return ()
    own = ordered[-1][1]
    right = sum(abs(step - duration) <= 1 for step, (_, duration) in zip(steps, ordered, strict=False))
    is_believed = own > 0 and (has_durations or 2 * right >= len(steps))
    return (*(max(1, step) for step in steps), own if is_believed or not steps else max(1, steps[-1]))
