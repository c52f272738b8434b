"""Segments and the source's other streams into the destination, by packet copy.

pts and durations of the video come from the job, never from adding durations; dts are derived anew over the whole.
What was written is opened again and counted before anybody calls it a result.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import av.container
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from vsr.core.errors import MuxError, OutputError
from vsr.core.media import WHOLE, MediaInfo, OutputSpec, Span, StreamPlan
from vsr.io.atomic import translate
from vsr.io.encoding.encode import tag
from vsr.io.encoding.segments import decoding_order, open_segment, video_packets, with_frames
from vsr.io.images.animations import CONTAINER as ANIMATION
from vsr.io.inputs import open_input
from vsr.io.muxing import carrier, shape
from vsr.io.muxing.copying import Route, add_route, attach_cover, copied_packets
from vsr.io.muxing.cut import Timing
from vsr.io.muxing.labels import file_metadata, stream_metadata
from vsr.io.muxing.layout import Layout, lift, muxer_options, video_time_base, with_timecode
from vsr.io.muxing.muxers import rule_of
from vsr.io.muxing.outcome import check, losses
from vsr.io.timeline import ticks

_NANOSECOND = Fraction(1, 10**9)


@dataclass(frozen=True, slots=True, kw_only=True)
class Muxed:
    """What the destination holds: video frames, packets of each copied stream by the source's index, what to say."""

    frames: int
    packets: Mapping[int, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def join(
    segments: Sequence[Path],
    target: Path,
    *,
    source: MediaInfo,
    spec: OutputSpec,
    container: str,
    streams: Sequence[StreamPlan],
    pts: Sequence[int],
    durations: Sequence[int],
    span: Span = WHOLE,
    faststart: bool = True,
) -> Muxed:
    """Join closed segments, in order, with the planned streams of `source` into the file `target`.

    pts, durations: of every frame in order of presentation, in `spec.time_base`; the segments must hold exactly
    these. An empty file is a segment of no frames. Other streams keep the source's times; of a span its own packets
    are taken, and its start becomes 0. A container without negative times (MPEG-TS, AVI) gets everything later by as
    much as is needed, and says so.

    Raises:
        MuxError: a segment does not hold its frames, the container refuses a stream or a packet, or what was written
            is not what was asked for.
        DiskFull: no space left.
        InputError: the source is gone.
    """
    rule = rule_of(container)
    segments = with_frames(segments)
    order = decoding_order(segments, spec, pts)
    plan = Layout(rule=rule, source=source, spec=spec, streams=streams)
    floor = Fraction(0) if rule.counts_frames else None
    timing = Timing.of(span, spec.time_base, lift(plan, pts, span), floor=floor)
    plan = replace(plan, timing=timing)
    with ExitStack() as stack:
        has_streams = source.kind == "video" and source.container != ANIMATION
        original = stack.enter_context(open_input(source.path)) if has_streams else None
        first = stack.enter_context(open_segment(segments[0]))
        plan = replace(plan, crop=shape.resized_crop(original, source.video, spec))
        try:
            result = av.open(
                f"file:{target.absolute()}",
                "w",
                format=rule.muxer,
                container_options=muxer_options(plan, original, faststart),
            )
            stack.callback(_give_up, result)
            video, routes = _add_streams(result, plan, first, original)
            _describe(result, plan, original)
            result.start_encoding()
            frames = video_packets(
                segments,
                video,
                order=order,
                pts=pts,
                durations=durations,
                time_base=spec.time_base,
                shift=timing.shift,
                floor=None if rule.has_negative_times else 0,
                in_band=rule.muxer == "mpegts" and spec.codec in ("h264", "hevc"),
            )
            others = copied_packets(original, routes, timing) if original is not None else iter(())
            for packet in _interleaved(frames, others):
                _write(result, packet, plan, target)
            place = sum(other.index < video.index for other in result.streams.video)
            result.close()
        except (av.FFmpegError, OSError) as error:
            raise _translated(error, target, container) from error
    shape.write_shape(target, plan, nth=place)
    told = check(target, plan, [time * spec.time_base + timing.shift for time in pts], routes)
    return Muxed(
        frames=len(pts),
        packets={index: r.delivered for index, r in routes.items() if not isinstance(r.source, AttachmentStream)},
        warnings=(*losses(plan, told), *_troubles(routes)),
    )


def _add_streams(
    result: OutputContainer, plan: Layout, segment: InputContainer, original: InputContainer | None
) -> tuple[VideoStream, dict[int, Route]]:
    """Add the streams in the source's order, the video at its place."""
    if original is None:
        return _add_video(result, plan, segment, None), {}
    made: VideoStream | None = None
    routes: dict[int, Route] = {}
    for stream in original.streams:
        if stream.index == plan.source.video.index:
            made = _add_video(result, plan, segment, original)
        elif stream.index not in plan.kept:
            continue
        elif stream.disposition & Disposition.attached_pic and plan.rule.has_attachments:
            attach_cover(result, stream, _cover(plan.source.path, stream.index))
        else:
            routes[stream.index] = add_route(
                result,
                stream,
                plan.kept[stream.index],
                timing=plan.timing,
                is_strict=plan.rule.muxer not in ("matroska", "webm", "mp4", "mov"),
                counts_samples=plan.rule.muxer in ("mp4", "mov", "avi"),
            )
    if made is None:
        raise MuxError(f"{plan.source.path} no longer has the video stream {plan.source.video.index}")
    return made, routes


def _add_video(
    result: OutputContainer, plan: Layout, segment: InputContainer, original: InputContainer | None
) -> VideoStream:
    spec, template = plan.spec, segment.streams.video[0]
    if (changes := shape.header_changes(plan)) and plan.rule.muxer in carrier.MUXERS:
        stream = carrier.add_carrying_stream(result, template, changes)
    else:
        stream = result.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    stream.time_base = video_time_base(plan)
    context.sample_aspect_ratio = spec.sar
    rate = spec.rate if not plan.source.packets.is_variable else None
    context.framerate = rate or Fraction(0)
    tag(context, spec.tags)
    if spec.codec == "hevc" and plan.rule.muxer in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # what Apple's players want; hev1 is FFmpeg's default
    if spec.codec == "prores":
        context.codec_tag = template.codec_context.codec_tag  # apch, ap4h, ...: the profile, which is nowhere else
    if spec.display_matrix and plan.rule.has_rotation:
        stream.set_display_matrix(shape.resized_matrix(plan.source.video, spec))
    elif spec.rotation and plan.rule.has_rotation:
        stream.set_display_rotation(spec.rotation)
    if original is not None:
        copied = original.streams[plan.source.video.index]
        stream.disposition = copied.disposition
        stream.metadata.update(with_timecode(plan, stream_metadata(copied, result.format.name)))
    return stream


def _cover(path: Path, index: int) -> bytes:
    with open_input(path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    raise MuxError(f"the cover picture (stream {index}) of {path} is empty")


def _describe(result: OutputContainer, plan: Layout, original: InputContainer | None) -> None:
    # No name of the muxer and no random ids: the same job gives the same bytes.
    result.flags |= cast(int, av.container.Flags.bitexact.value)
    if original is None:
        return
    result.metadata.update(with_timecode(plan, file_metadata(original)))
    if plan.rule.has_chapters:
        chapters = [kept for chapter in original.chapters() if (kept := _chapter(chapter, plan.timing)) is not None]
        result.set_chapters(chapters)


def _chapter(chapter: av.container.core.Chapter, timing: Timing) -> av.container.core.Chapter | None:
    """Give a chapter clipped to what is kept and moved with it."""
    tick = Fraction(chapter["time_base"] or 1)
    start, stop = chapter["start"] * tick, chapter["end"] * tick
    start = start if timing.start is None else max(start, timing.start)
    stop = stop if timing.stop is None else min(stop, timing.stop)
    is_before = timing.start is not None and chapter["end"] * tick <= timing.start and stop <= start
    if is_before or (timing.stop is not None and start >= timing.stop):
        return None
    moved = [ticks(time + timing.shift, tick) for time in (start, stop)]
    return {**chapter, "start": moved[0], "end": moved[1]}


def _interleaved(
    video: Iterator[Packet[VideoStream]], others: Iterator[Packet[Stream]]
) -> Iterator[Packet[VideoStream] | Packet[Stream]]:
    """Merge by decoding time, one packet of each side in hand."""
    sides: tuple[Iterator[Packet[VideoStream] | Packet[Stream]], ...] = (video, others)
    waiting = [(packets, packet) for packets in sides if (packet := next(packets, None)) is not None]
    while waiting:
        packets, packet = min(waiting, key=lambda pair: _moment(pair[1]))
        yield packet
        following = next(packets, None)
        waiting = [pair for pair in waiting if pair[0] is not packets]
        if following is not None:
            waiting.append((packets, following))


def _moment(packet: Packet[VideoStream] | Packet[Stream]) -> int:
    time = packet.dts if packet.dts is not None else packet.pts
    return ticks(time * packet.time_base, _NANOSECOND) if time is not None else 0


def _write(result: OutputContainer, packet: Packet[VideoStream] | Packet[Stream], plan: Layout, target: Path) -> None:
    stream = packet.stream
    try:
        result.mux_one(packet)
    except av.FFmpegError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise MuxError(
            f"{plan.rule.name} refuses a packet of {stream.type} stream {stream.index} at pts {packet.pts} "
            f"({float(packet.pts * packet.time_base) if packet.pts is not None else 0:.3f} s) for {target}: "
            f"{error.strerror}",
            hint="Use an .mkv output.",
        ) from error


def _give_up(result: OutputContainer) -> None:
    """Close what an error left open; a result that was closed stays as it is."""
    try:
        result.close()
    except (av.FFmpegError, OSError):
        return  # the first error is on its way already


def _translated(error: av.FFmpegError | OSError, target: Path, container: str) -> OutputError:
    if isinstance(error, OSError) and error.errno is not None:
        return translate(OSError(error.errno, error.strerror), target)
    return MuxError(f"{container} cannot be written to {target}: {error.strerror}")


def _troubles(routes: Mapping[int, Route]) -> Iterator[str]:
    for index, route in routes.items():
        if route.moved:
            yield f"stream {index}: {route.moved} packets had decoding times that did not rise; they were moved"
        if route.broken:
            yield f"stream {index}: {route.broken} packets could not be read for conversion and are left out"
        if route.headless:
            yield (
                f"stream {index}: {route.headless} packets cannot be decoded without the keyframe before --start, and "
                f"are left out"
            )
        if route.early:
            yield f"stream {index}: {route.early} packets before the first frame are left out; .mkv keeps them"
