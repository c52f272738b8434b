"""The source's other streams on their way into the result: packet by packet, or as converted text subtitles.

`mux` opens both ends and owns the writing; here a packet gets its stream, its times and its place in the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from vsr.core.errors import MuxError
from vsr.core.media import Span, StreamPlan
from vsr.io.timeline import rescale, ticks

# What the muxer that wrote the source said about its own packets and not about the content.
_NOISE = {
    "encoder", "major_brand", "minor_version", "compatible_brands", "vendor_id", "duration", "number_of_frames",
    "number_of_bytes", "bps", "rotate",
}  # fmt: skip
_IMAGE_SUFFIXES = {"mjpeg": "jpg", "png": "png", "bmp": "bmp", "gif": "gif", "webp": "webp", "tiff": "tiff"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What is kept of the source and where its zero goes, in seconds: packets in [start, stop), moved by `shift`."""

    start: Fraction | None = None
    stop: Fraction | None = None
    shift: Fraction = Fraction(0)

    @classmethod
    def of(cls, span: Span, time_base: Fraction, lift: Fraction = Fraction(0)) -> Timing:
        """Give the timing of a span of the video: its start becomes 0. `lift` moves everything later on top."""
        start = None if span.start is None else span.start * time_base
        stop = None if span.stop is None else span.stop * time_base
        return cls(start=start, stop=stop, shift=lift - (start or 0))


@dataclass(slots=True, kw_only=True)
class Route:
    """One stream of the source and the stream of the result that its packets go to. `delivered` counts them."""

    source: Stream
    target: Stream
    converter: SubtitleCodecContext | None = None
    is_strict: bool = True  # the container wants dts to rise; else they may stand still
    delivered: int = 0
    moved: int = 0  # packets whose dts had to be moved, because they did not rise
    broken: int = 0  # subtitles that could not be read for conversion
    last: int | None = field(default=None)


def add_route(result: OutputContainer, source: Stream, plan: StreamPlan, *, is_strict: bool) -> Route:
    """Add the stream of the result that `source` is copied or converted to.

    Raises:
        MuxError: the container refuses it.
    """
    converter = None
    try:
        if plan.action == "convert":
            target, converter = _converted(result, source, plan.codec)
        else:
            target = result.add_stream_from_template(source, opaque=True)
    except (ValueError, av.FFmpegError) as error:
        raise MuxError(
            f"{result.format.name} refuses {source.type} stream {source.index} ({plan.codec}): {error}",
            hint="Use an .mkv output.",
        ) from error
    target.disposition = source.disposition
    target.metadata.update(kept_metadata(source.metadata))
    return Route(source=source, target=target, converter=converter, is_strict=is_strict)


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Give metadata without what the source's own muxer added about itself."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower() not in _NOISE and not key.startswith("_STATISTICS") and not key.lower().startswith("bps-")
    }


def attach_cover(result: OutputContainer, source: Stream, picture: bytes) -> None:
    """Add a cover as an attachment, which is how Matroska holds one."""
    suffix = _IMAGE_SUFFIXES[source.codec_context.codec.canonical_name]
    name, mime = f"cover.{suffix}", f"image/{suffix.replace('jpg', 'jpeg')}"
    attached = result.add_attachment(name, mime, picture)
    attached.metadata.update(kept_metadata(source.metadata) | {"filename": name, "mimetype": mime})


def copied_packets(container: InputContainer, routes: Mapping[int, Route], timing: Timing) -> Iterator[Packet[Stream]]:
    """Yield the packets of the routed streams in the file's order, with the times and the stream of the result.

    Times are in the target stream's time_base, dts rising in each stream.
    """
    wanted = [route.source for route in routes.values() if not isinstance(route.source, AttachmentStream)]
    if not wanted:
        return
    for packet in container.demux(wanted):
        if packet.size == 0:
            continue
        route = routes[packet.stream_index]
        if not _retimed(packet, route, timing):
            continue
        made = _convert(packet, route) if route.converter is not None else packet
        if made is not None:
            made.stream = route.target
            route.delivered += 1
            yield made


def _converted(result: OutputContainer, source: Stream, codec: str) -> tuple[Stream, SubtitleCodecContext]:
    reader = source.codec_context
    assert isinstance(reader, SubtitleCodecContext)
    if not reader.is_open:
        reader.open()
    target = result.add_stream(codec)
    writer = target.codec_context
    assert isinstance(writer, SubtitleCodecContext)
    writer.subtitle_header = reader.subtitle_header
    writer.time_base = target.time_base = Fraction(1, 1000)
    return target, writer


def _convert(packet: Packet[Stream], route: Route) -> Packet[Stream] | None:
    """Give a text subtitle in the target's codec; None where it shows nothing (the gaps of mov_text)."""
    reader = route.source.codec_context
    assert isinstance(reader, SubtitleCodecContext) and route.converter is not None
    source_packet = packet
    try:
        shown = reader.decode2(source_packet)
        if shown is None or not len(shown):
            return None
        made = route.converter.encode_subtitle(shown)
    except av.FFmpegError:
        route.broken += 1
        return None
    made.time_base = packet.time_base
    made.pts, made.dts, made.duration = packet.pts, packet.dts, packet.duration
    return made


def _retimed(packet: Packet[Stream], route: Route, timing: Timing) -> bool:
    """Set a packet's times as the result counts them; False where it lies outside of what is kept."""
    source = Fraction(packet.time_base)
    at = packet.pts if packet.pts is not None else packet.dts
    if route.source.disposition & Disposition.attached_pic:
        packet.pts = packet.dts = 0
        return True
    duration = packet.duration or 0
    if at is not None:
        clipped = _clipped(at, duration, source, timing, can_clip=route.source.type == "subtitle")
        if clipped is None:
            return False
        if clipped != at:
            duration -= clipped - at
            packet.pts = packet.dts = clipped
    target = Fraction(route.target.time_base or source)
    pts = None if packet.pts is None else ticks(packet.pts * source + timing.shift, target)
    dts = pts if packet.dts is None else ticks(packet.dts * source + timing.shift, target)
    packet.time_base = target
    packet.duration = rescale(duration, source, target)
    if dts is not None and route.last is not None and dts < route.last + route.is_strict:
        dts = route.last + route.is_strict
        route.moved += 1
    if pts is not None and dts is not None and pts < dts:
        pts = dts
    packet.pts, packet.dts = pts, dts
    route.last = route.last if dts is None else dts
    return True


def _clipped(at: int, duration: int, tick: Fraction, timing: Timing, *, can_clip: bool) -> int | None:
    """Give where a packet begins within [start, stop), None if it does not; a subtitle may begin before it."""
    if timing.stop is not None and at * tick >= timing.stop:
        return None
    if timing.start is None or at * tick >= timing.start:
        return at
    if can_clip and (at + duration) * tick > timing.start:
        return ticks(timing.start, tick)
    return None
