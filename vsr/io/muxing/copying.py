"""The source's other streams on their way into the result: packet by packet, or converted where nothing else will do.

`mux` opens both ends and owns the writing; here a packet gets its stream, its times and its place in the order.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.subtitles.codeccontext import SubtitleCodecContext

from vsr.core.errors import MuxError
from vsr.core.media import StreamPlan
from vsr.io.muxing.cut import Timing
from vsr.io.muxing.labels import Label, kept_metadata, label_of, stream_metadata
from vsr.io.muxing.subtitles import Events, add_text, dialogue_of, event_packet
from vsr.io.muxing.transcode import Transcoder, add_transcoder, silence
from vsr.io.timeline import rescale, ticks

_IMAGE_SUFFIXES = {"mjpeg": "jpg", "png": "png", "bmp": "bmp", "gif": "gif", "webp": "webp", "tiff": "tiff"}


@dataclass(slots=True, kw_only=True, repr=False)  # the streams of a closed file cannot even be shown
class Route:
    """One stream of the source and the stream of the result that its packets go to. `delivered` counts them."""

    source: Stream
    target: Stream
    label: Label  # what the source says of it; both streams are gone when the files are closed
    text: SubtitleCodecContext | None = None
    events: Events | None = None
    sound: Transcoder | None = None
    is_strict: bool = True  # the container wants dts to rise; else they may stand still
    is_filled: bool = False  # the container counts samples: missing ones must be there as silence
    delay: Fraction = Fraction(0)  # seconds before the sound itself that prime the decoder, where the stream tells them
    delivered: int = 0
    moved: int = 0  # packets whose dts had to be moved, because they did not rise
    broken: int = 0  # subtitles, sound that could not be read for conversion
    early: int = 0  # packets before the first time that the container holds
    headless: int = 0  # packets of a copied video that a cut took their keyframe from
    first: Fraction | None = None  # times (s) of the first and the last packet that were handed on
    latest: Fraction | None = None
    bytes: int = 0
    last: int | None = None
    _samples: int | None = None  # where the next sample of a filled stream belongs
    _end: Fraction = Fraction(0)  # where the packet before ends in the source (s): the place of one without a time
    _is_headless: bool = False  # the cut took the keyframe that the next packets of a copied video need
    _head: int | None = None  # pts, in the source's ticks, of the keyframe that a copied video begins with after a cut


def add_route(
    result: OutputContainer, source: Stream, plan: StreamPlan, *, timing: Timing, is_strict: bool, counts_samples: bool
) -> Route:
    """Add the stream of the result that `source` is copied or converted to.

    Raises:
        MuxError: the container refuses it.
    """
    text: SubtitleCodecContext | None = None
    sound: Transcoder | None = None
    try:
        if plan.action == "convert" and isinstance(source, AudioStream):
            sound = add_transcoder(result, source, plan.codec, timing)
            target: Stream = sound.target
        elif plan.action == "convert":
            target, text = add_text(result, source, plan.codec)
        else:
            target = result.add_stream_from_template(source, opaque=True)
    except (ValueError, av.FFmpegError) as error:
        raise MuxError(
            f"{result.format.name} refuses {source.type} stream {source.index} ({plan.codec}): {error}",
            hint="Use an .mkv output.",
        ) from error
    target.disposition = source.disposition
    if source.type != "attachment":
        target.metadata.update(stream_metadata(source, result.format.name))
    is_filled = counts_samples and sound is None and plan.codec.startswith("pcm_")
    label = replace(label_of(source), is_pcm=plan.codec.startswith("pcm_"))
    return Route(
        source=source,
        target=target,
        label=label,
        text=text,
        events=Events(is_single=plan.codec == "mov_text") if text is not None else None,
        sound=sound,
        is_strict=is_strict,
        is_filled=is_filled,
        delay=sound.delay if sound is not None else _priming(source),
    )


def attach_cover(result: OutputContainer, source: Stream, picture: bytes) -> None:
    """Add a cover as an attachment, which is how Matroska holds one."""
    suffix = _IMAGE_SUFFIXES[source.codec_context.codec.canonical_name]
    named = source.metadata.get("filename")
    name, mime = named or f"cover.{suffix}", f"image/{suffix.replace('jpg', 'jpeg')}"
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
        for made in _made(packet, route, timing):
            yield _sent(made, route)
    for route in routes.values():
        for made in _ended(route):
            yield _sent(made, route)


def _made(packet: Packet[Stream], route: Route, timing: Timing) -> Iterator[Packet[Stream]]:
    """Yield what becomes of one packet of the source: itself, what it is converted to, nothing."""
    if route.sound is not None:
        for encoded in route.sound.feed(packet):
            yield _counted(encoded, route)
        return
    if not _retimed(packet, route, timing):
        return
    if route.text is not None:
        yield from _converted(packet, route, route.text)
        return
    if route.is_filled:
        yield from _filled(packet, route)
    yield packet


def _ended(route: Route) -> Iterator[Packet[Stream]]:
    if route.sound is not None:
        for encoded in route.sound.flush():
            yield _counted(encoded, route)
        route.broken += route.sound.broken
    if route.text is not None and route.events is not None:
        for begin, end, dialogue in route.events.end():
            yield event_packet(route.text, begin, end, dialogue, Fraction(route.target.time_base or 1))


def _sent(packet: Packet[Stream], route: Route) -> Packet[Stream]:
    packet.stream = route.target
    if packet.size == 0:
        return packet
    route.delivered += 1
    if packet.pts is not None:
        time = packet.pts * Fraction(packet.time_base)
        route.first = time if route.first is None else min(route.first, time)
        route.latest = time if route.latest is None else max(route.latest, time)
    route.bytes += packet.size
    return packet


def _converted(packet: Packet[Stream], route: Route, writer: SubtitleCodecContext) -> Iterator[Packet[Stream]]:
    begin, length, tick = packet.pts, packet.duration or 0, Fraction(packet.time_base)
    try:
        dialogue = dialogue_of(packet, route.source)
        if dialogue is None or begin is None or route.events is None:
            return
        for event in route.events.add(begin, begin + length, dialogue):
            yield event_packet(writer, *event, tick)
    except av.FFmpegError:
        route.broken += 1


def _counted(packet: Packet[AudioStream], route: Route) -> Packet[Stream]:
    """Give an encoded packet in the ticks of the result."""
    target = Fraction(route.target.time_base or 1)
    made: Packet[Stream] = packet  # type: ignore[assignment]
    if packet.size == 0:  # what FLAC's encoder knows of the whole at the end, for the header: no sound
        packet.time_base = target
        packet.pts = packet.dts = (route.last or 0) + 1
        return made
    source = Fraction(packet.time_base)
    pts = _ticks((packet.pts or 0) * source, source, target, route.delay)
    duration = rescale(packet.duration or 0, source, target)
    packet.time_base = target
    packet.pts = packet.dts = pts
    packet.duration = duration
    route.last = pts
    return made


def _ticks(time: Fraction, source: Fraction, target: Fraction, delay: Fraction) -> int:
    """Give a time in ticks of the result.

    Writers of Matroska add what primes an Opus decoder, in whole ticks, and readers take as much away: it is the time
    with it that must be the nearest tick.
    """
    return ticks(time + ticks(delay, source) * source, target) - ticks(delay, target) if delay else ticks(time, target)


def _priming(stream: Stream) -> Fraction:
    """Give the pre-skip of an Opus stream (RFC 7845 sec. 5.1), in seconds."""
    header = stream.codec_context.extradata if isinstance(stream, AudioStream) else None
    is_opus = header is not None and header.startswith(b"OpusHead") and len(header) >= 12
    return Fraction(int.from_bytes(header[10:12], "little"), 48000) if is_opus and header is not None else Fraction(0)


def _filled(packet: Packet[Stream], route: Route) -> Iterator[Packet[Stream]]:
    """Yield silence where samples are missing before a packet of PCM: the container would close the gap."""
    source = route.source
    assert isinstance(source, AudioStream) and packet.pts is not None
    rate, channels = source.codec_context.sample_rate, source.codec_context.layout.nb_channels
    codec = str(source.codec_context.codec.canonical_name)
    tick = Fraction(packet.time_base)
    width = len(silence(codec, 1, channels))
    place = ticks(packet.pts * tick, Fraction(1, rate))
    if route._samples is None:
        route._samples = 0 if route.target.container.format.name == "avi" else place
    slack = math.ceil(Fraction(source.time_base or 1) * rate) + 1
    while place - route._samples > slack:
        count = min(rate, place - route._samples)
        blank: Packet[Stream] = Packet(silence(codec, count, channels))
        blank.time_base = tick
        blank.pts = blank.dts = ticks(Fraction(route._samples, rate), tick)
        blank.duration = ticks(Fraction(count, rate), tick)
        route._samples += count
        yield blank
    route._samples += packet.size // width


def _placed(packet: Packet[Stream], route: Route) -> int:
    """Give a packet's time in its own ticks, and set it where it has none: after the packet before it."""
    tick = Fraction(packet.time_base)
    if packet.pts is None and packet.dts is None:
        packet.pts = packet.dts = ticks(route._end, tick)
    elif packet.pts is None and route.source.type != "video":
        packet.pts = packet.dts  # nothing but pictures is shown in another order
    at = packet.pts if packet.pts is not None else packet.dts or 0
    route._end = (at + (packet.duration or 0)) * tick
    return at


def _is_headed(packet: Packet[Stream], at: int, route: Route) -> bool:
    """Say whether a packet of a copied video can be decoded after a cut: not before its first keyframe there."""
    if route._is_headless and packet.is_keyframe:
        route._is_headless, route._head = False, at
    return not route._is_headless and (route._head is None or at >= route._head)


def _retimed(packet: Packet[Stream], route: Route, timing: Timing) -> bool:
    """Set a packet's times as the result counts them; False where it lies outside of what is kept."""
    source = Fraction(packet.time_base)
    if route.source.disposition & Disposition.attached_pic:
        packet.pts = packet.dts = 0
        return True
    at, duration = _placed(packet, route), packet.duration or 0
    clipped = timing.clipped(at, duration, source, can_clip=route.source.type == "subtitle")
    if clipped is None:
        route.early += timing.is_floored and at * source < (timing.start or 0)
        if timing.start is not None and at * source < timing.start and (packet.is_keyframe or route._head is None):
            route._is_headless = True
        return False
    if route.source.type == "video" and not _is_headed(packet, at, route):
        route.headless += 1
        return False
    if clipped != at:
        duration -= clipped - at
        packet.pts = packet.dts = clipped
    if route.source.type == "subtitle" and duration and timing.stop is not None:
        duration = min(duration, max(1, ticks(timing.stop, source) - clipped))
    target = Fraction(route.target.time_base or source)
    pts = None if packet.pts is None else _ticks(packet.pts * source + timing.shift, source, target, route.delay)
    dts = pts if packet.dts is None else _ticks(packet.dts * source + timing.shift, source, target, route.delay)
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
