"""Decoding from a keyframe in the middle of a file, whatever its container makes of a seek.

`av_seek_frame` promises little. Where a container has no index (MPEG-TS, MPEG-PS) it looks for a decoding time, and a
keyframe's lies before its pts where frames are reordered: it lands behind the keyframe asked for. Other files cannot
seek at all, and a keyframe may be damaged, or a point of gradual recovery that shows nothing for a while. So where a
seek has landed is looked at, and an earlier place is tried until the frame wanted comes out.
"""

from __future__ import annotations

import bisect
import itertools
import logging
from collections.abc import Iterator, Sequence

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream

from vsr.io.base import DecodeTally
from vsr.io.decoding.frames import Decoded
from vsr.io.scan import packets

log = logging.getLogger(__name__)


def decode_from(
    container: InputContainer,
    stream: VideoStream,
    keyframes: Sequence[int],
    wanted: int,
    counted: DecodeTally,
    *,
    context: VideoCodecContext | None = None,
) -> Iterator[Decoded] | None:
    """Give the frame at `wanted` (pts) and all after it, as a full decode shows them; None: decode from the start.

    keyframes: every pts where decoding can begin, rising. context: what decodes, where not the stream's own. What the
    decoder refuses is in `counted`, but for places that were tried in vain.
    """
    before = counted.errors, counted.first_error
    for target in _targets(keyframes, wanted):
        try:
            container.seek(target, stream=stream)
            if context is not None:
                context.flush_buffers()  # the stream's own is flushed by the seek
            arriving = _opening(container, stream, keyframes, wanted)
        except av.error.FFmpegError as error:
            log.debug("%s: no way to pts %d: %s", container.name, target, error)
            return None
        if arriving is None:
            continue
        decoded = decode(context or stream.codec_context, arriving, counted)
        first = next(decoded, None)
        # A keyframe that is damaged is concealed with what was shown before it, so that must have been decoded too.
        if first is not None and first[0] is not None and first[0] <= wanted and not first[2].is_corrupt:
            return itertools.dropwhile(
                lambda shown: shown[0] is not None and shown[0] < wanted, itertools.chain([first], decoded)
            )
        counted.errors, counted.first_error = before
    return None


def decode(
    context: VideoCodecContext, arriving: Iterator[Packet[VideoStream]], counted: DecodeTally
) -> Iterator[Decoded]:
    """Yield what the decoder gives; what it refuses is counted, and decoding goes on. Drained at the end."""
    while True:
        try:
            packet = next(arriving, None)
        except av.error.FFmpegError as error:
            _count(counted, error)
            packet = None  # the demuxer cannot go on; what the decoder still holds comes out below
        try:
            for frame in context.decode(packet):
                yield frame.pts, frame.duration or 0, frame
        except av.error.FFmpegError as error:
            _count(counted, error)
        if packet is None:
            return


def _targets(keyframes: Sequence[int], wanted: int) -> Iterator[int]:
    """Yield the last keyframe at or before `wanted`, then earlier ones, the step doubling.

    The first of all is never sought: decoding from the start does not rest on any seek, and is no dearer.
    """
    place = bisect.bisect_right(keyframes, wanted) - 1
    step = 1
    while place > 0:
        yield keyframes[place]
        place -= step
        step *= 2


def _opening(
    container: InputContainer, stream: VideoStream, keyframes: Sequence[int], wanted: int
) -> Iterator[Packet[VideoStream]] | None:
    """Give the packets from the first keyframe on, if that is a known one at or before `wanted`.

    Packets before it are left out: some decoders (MPEG-2, MPEG-4) would make pictures of them without their
    references, and take those for good.
    """
    arriving = packets(container, stream)
    for packet in arriving:
        if not packet.is_keyframe:
            continue
        pts = packet.pts if packet.pts is not None else packet.dts
        # A time that the scan did not see: the demuxer counts otherwise after a seek.
        if pts is None or pts > wanted or keyframes[bisect.bisect_left(keyframes, pts)] != pts:
            return None
        return itertools.chain([packet], arriving)
    return None


def _count(counted: DecodeTally, error: av.error.FFmpegError) -> None:
    said = error.strerror or str(error)
    log.debug("the decoder refuses a packet: %s", said)
    counted.errors += 1
    counted.first_error = counted.first_error or said
