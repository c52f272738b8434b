"""Segments read back: which frame each of their packets is, and the packets with the times of the result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from vsr.core.errors import MuxError
from vsr.core.media import OutputSpec
from vsr.io.timeline import decode_times, rescale, ticks

_H264_SEI = 6  # nal_unit_type (ITU-T H.264 table 7-1): x264's words about its settings
_HEVC_PREFIX_SEI = 39  # nal_unit_type PREFIX_SEI_NUT (ITU-T H.265 table 7-1); x265 tells its options and the CPU in one


def open_segment(path: Path) -> InputContainer:
    """Open a file that this program wrote; the caller closes it.

    Raises:
        MuxError: it cannot be read.
    """
    try:
        return av.open(f"file:{path.absolute()}", "r")
    except av.FFmpegError as error:
        raise MuxError(f"segment {path} cannot be read: {error.strerror}") from error


def with_frames(segments: Sequence[Path]) -> list[Path]:
    """Give the segments that are not empty files: those of which a frame could be decoded.

    Raises:
        MuxError: there is none, or one is gone.
    """
    try:
        kept = [path for path in segments if path.stat().st_size]
    except OSError as error:
        raise MuxError(f"segment {error.filename} cannot be read: {error.strerror}") from error
    if not kept:
        raise MuxError(f"{len(segments)} segments hold no frame: nothing of the source could be decoded")
    return kept


def decoding_order(segments: Sequence[Path], spec: OutputSpec, pts: Sequence[int]) -> list[int]:
    """Give, for every packet of the segments in decoding order, which frame of `pts` it is.

    Raises:
        MuxError: a segment holds other times than the job's (apart from a shift of its own, which NUT needs where
            times are negative), all together hold another number of frames, the times do not rise, or one was
            written by another encoder than the first: one header must do for all.
    """
    if any(before >= after for before, after in pairwise(pts)):
        raise MuxError("the times of the segments do not rise: two of them hold the same frames")
    order: list[int] = []
    first: bytes | None = None
    for path in segments:
        with open_segment(path) as segment:
            stream = segment.streams.video[0]
            header = _header(stream, spec)
            if header != (first := header if first is None else first):
                raise _other_encoder(path)
            times = _times(segment, spec, pts[len(order) :])
        ranks = sorted(range(len(times)), key=times.__getitem__)
        wanted = pts[len(order) : len(order) + len(times)]
        shifts = {times[place] - time for place, time in zip(ranks, wanted, strict=False)}
        if len(wanted) < len(times) or len(shifts) != 1:
            raise MuxError(f"segment {path} does not hold the frames that were planned: {len(times)} of other times")
        place_of = {place: rank for rank, place in enumerate(ranks)}
        order += [len(order) + place_of[place] for place in range(len(times))]
    if len(order) != len(pts):
        raise MuxError(f"{len(segments)} segments hold {len(order)} frames, {len(pts)} were planned")
    return order


def _times(segment: InputContainer, spec: OutputSpec, wanted: Sequence[int]) -> list[Fraction]:
    """Give the times of a segment's packets in decoding order, in ticks of the job's.

    In a Matroska segment the n-th packet has the time n (see `encode`) and stands for the n-th of those `wanted`.
    """
    stream = segment.streams.video[0]
    tick = Fraction(stream.time_base or 1) / spec.time_base
    times = [packet.pts or 0 for packet in segment.demux(stream) if packet.size]
    if "matroska" not in segment.format.name:
        return [time * tick for time in times]
    return [Fraction(wanted[place] if place < len(wanted) else place) for place in times]


def refuse_other_encoder(path: Path, first: Path, spec: OutputSpec) -> None:
    """Hold one segment's header against another's, long before they are joined.

    Raises:
        MuxError: they were written by different encoders, or one cannot be read.
    """
    with open_segment(path) as segment, open_segment(first) as other:
        if _header(segment.streams.video[0], spec) != _header(other.streams.video[0], spec):
            raise _other_encoder(path)


def video_packets(
    segments: Sequence[Path],
    stream: VideoStream,
    *,
    order: Sequence[int],
    pts: Sequence[int],
    durations: Sequence[int],
    time_base: Fraction,
    shift: Fraction,
    floor: int | None,
    in_band: bool,
) -> Iterator[Packet[VideoStream]]:
    """Yield the packets of all segments for `stream`, in decoding order, with times of their own over the whole.

    pts, durations: in `time_base`, in order of presentation; `order` from `decoding_order`. shift: seconds that all
    is moved by. floor: the lowest dts there may be. in_band: parameter sets stand before each keyframe, for a container
    that has no header for them.
    """
    target = Fraction(stream.time_base or 1)
    shown = [ticks(time * time_base + shift, target) for time in pts]
    dts = decode_times([shown[index] for index in order], floor=floor)
    place = 0
    for path in segments:
        with open_segment(path) as segment:
            template = segment.streams.video[0]
            prepare = _with_parameter_sets(template) if in_band else _as_it_is
            for packet in segment.demux(template):
                if not packet.size:
                    continue
                made = prepare(packet)
                index = order[place]
                made.time_base = target
                made.pts, made.dts = shown[index], dts[place]
                made.duration = rescale(durations[index], time_base, target)
                made.stream = stream
                place += 1
                yield made


def _header(stream: VideoStream, spec: OutputSpec) -> bytes:
    """Give what decoders are told once for all segments, without the encoder's words about itself."""
    header = stream.codec_context.extradata or b""
    if spec.codec not in ("h264", "hevc"):
        return header
    units = [unit for unit in re.split(rb"\x00{2,3}\x01", header) if unit]
    if spec.codec == "h264":
        return b"".join(unit for unit in units if unit[0] & 0x1F != _H264_SEI)
    return b"".join(unit for unit in units if unit[0] >> 1 & 0x3F != _HEVC_PREFIX_SEI)


def _other_encoder(path: Path) -> MuxError:
    return MuxError(
        f"segment {path} has another header than the first one: it was written by another encoder",
        hint="Use one version of the encoder, that which the job was begun with, or begin anew with --restart.",
    )


def _as_it_is(packet: Packet[VideoStream]) -> Packet[VideoStream]:
    return packet


def _with_parameter_sets(template: VideoStream) -> Callable[[Packet[VideoStream]], Packet[VideoStream]]:
    extend = BitStreamFilterContext("dump_extra=freq=keyframe", template)

    def prepare(packet: Packet[VideoStream]) -> Packet[VideoStream]:
        (made,) = extend.filter(packet)
        return made

    return prepare
