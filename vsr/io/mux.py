"""Segments and the source's other streams into the destination, by packet copy.

pts and durations of the video come from the job, never from adding durations; dts are derived anew over the whole.
What was written is opened again and counted before anybody calls it a result.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import av
import av.container
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.video.stream import VideoStream

from vsr.core.errors import MuxError, OutputError
from vsr.core.frame import UNSPECIFIED
from vsr.core.media import WHOLE, MediaInfo, OutputSpec, Span, StreamPlan
from vsr.io.atomic import translate
from vsr.io.containers import ContainerRule, rule_of
from vsr.io.copying import Route, Timing, add_route, attach_cover, copied_packets, kept_metadata
from vsr.io.encode import tag
from vsr.io.inputs import open_input
from vsr.io.segments import decoding_order, open_segment, video_packets, with_frames
from vsr.io.tags import MATRICES, RANGES
from vsr.io.timeline import ticks

_FIRST_PACKETS = 256
_NANOSECOND = Fraction(1, 10**9)
_LARGEST_TIMESCALE = 2**31 - 1


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
    plan = _Plan(rule=rule, source=source, spec=spec, streams=streams)
    timing = Timing.of(span, spec.time_base, _lift(plan, pts, span))
    plan = replace(plan, timing=timing)
    with ExitStack() as stack:
        original = stack.enter_context(open_input(source.path)) if source.kind == "video" else None
        first = stack.enter_context(open_segment(segments[0]))
        try:
            result = av.open(
                f"file:{target.absolute()}",
                "w",
                format=rule.muxer,
                container_options=_options(plan, original, faststart),
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
            result.close()
        except (av.FFmpegError, OSError) as error:
            raise _translated(error, target, container) from error
    told = _verify(target, plan, [time * spec.time_base + timing.shift for time in pts])
    return Muxed(
        frames=len(pts),
        packets={index: r.delivered for index, r in routes.items() if not isinstance(r.source, AttachmentStream)},
        warnings=(*_losses(plan, told), *_troubles(routes)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    rule: ContainerRule
    source: MediaInfo
    spec: OutputSpec
    streams: Sequence[StreamPlan]
    timing: Timing = field(default_factory=Timing)

    @property
    def kept(self) -> dict[int, StreamPlan]:
        return {plan.index: plan for plan in self.streams if plan.action != "drop"}


def _lift(plan: _Plan, pts: Sequence[int], span: Span) -> Fraction:
    """Give the seconds by which everything must start later, because the container holds no time before zero."""
    if plan.rule.has_negative_times:
        return Fraction(0)
    starts = [(pts[0] - (span.start or 0)) * plan.spec.time_base]
    if span.start is None and plan.source.kind == "video" and plan.kept:
        starts += _first_times(plan)
    return max(Fraction(0), -min(starts))


def _first_times(plan: _Plan) -> Iterator[Fraction]:
    """Yield the times of the first packets: headers do not count sound that stands before zero to prime a decoder."""
    with open_input(plan.source.path) as container:
        wanted = [stream for stream in container.streams if stream.index in plan.kept and stream.type != "attachment"]
        for packet in islice(container.demux(wanted), _FIRST_PACKETS) if wanted else ():
            if packet.pts is not None and not packet.stream.disposition & Disposition.attached_pic:
                yield packet.pts * packet.time_base


def _options(plan: _Plan, original: InputContainer | None, faststart: bool) -> dict[str, str]:
    options = {"avoid_negative_ts": "disabled"}  # the muxer would move everything where a dts lies before zero
    if plan.rule.muxer in ("mp4", "mov"):
        options["movie_timescale"] = str(_movie_timescale(plan, original))
        if faststart:
            options["movflags"] = "+faststart"
    if plan.rule.muxer == "mpegts":
        options["mpegts_copyts"] = "1"
    return options


def _movie_timescale(plan: _Plan, original: InputContainer | None) -> int:
    """Give a timescale in which every track's start is a whole number: edit lists count in it.

    With the default of 1000, a track that starts between two milliseconds is moved to one of them, and the last frame
    of an edit that is rounded down is not shown.
    """
    scale = _track_timescale(plan.spec.time_base.denominator)
    for stream in original.streams if original is not None else ():
        if stream.index in plan.kept and stream.time_base:
            rate = getattr(stream.codec_context, "sample_rate", 0) if stream.type == "audio" else 0
            common = math.lcm(scale, rate or _track_timescale(Fraction(stream.time_base).denominator))
            scale = common if common <= _LARGEST_TIMESCALE else scale
    return scale


def _track_timescale(denominator: int) -> int:
    """Double it up to 10000, as FFmpeg's mov muxer does for video."""
    while denominator < 10000:
        denominator *= 2
    return denominator


def _add_streams(
    result: OutputContainer, plan: _Plan, segment: InputContainer, original: InputContainer | None
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
            is_strict = plan.rule.muxer not in ("matroska", "webm", "mp4", "mov")
            routes[stream.index] = add_route(result, stream, plan.kept[stream.index], is_strict=is_strict)
    if made is None:
        raise MuxError(f"{plan.source.path} no longer has the video stream {plan.source.video.index}")
    return made, routes


def _add_video(
    result: OutputContainer, plan: _Plan, segment: InputContainer, original: InputContainer | None
) -> VideoStream:
    spec, template = plan.spec, segment.streams.video[0]
    stream = result.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    stream.time_base = _video_time_base(plan)
    context.sample_aspect_ratio = spec.sar
    rate = spec.rate if not plan.source.packets.is_variable else None
    context.framerate = rate or Fraction(0)
    tag(context, spec.tags)
    if spec.codec == "hevc" and plan.rule.muxer in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # what Apple's players want; hev1 is FFmpeg's default
    if spec.codec == "prores":
        context.codec_tag = template.codec_context.codec_tag  # apch, ap4h, ...: the profile, which is nowhere else
    if spec.rotation and plan.rule.has_rotation:
        stream.set_display_rotation(spec.rotation)
    if original is not None:
        copied = original.streams[plan.source.video.index]
        stream.disposition = copied.disposition
        stream.metadata.update(kept_metadata(copied.metadata))
    return stream


def _video_time_base(plan: _Plan) -> Fraction:
    """Give the finest the container may count in: mov and mp4 count whole ticks of 1/den, AVI whole frames."""
    tick = plan.spec.time_base
    if plan.rule.name == "avi":
        return 1 / plan.spec.rate if plan.spec.rate else tick
    return Fraction(1, tick.denominator)


def _cover(path: Path, index: int) -> bytes:
    with open_input(path) as container:
        for packet in container.demux(container.streams[index]):
            if packet.size:
                return bytes(packet)
    raise MuxError(f"the cover picture (stream {index}) of {path} is empty")


def _describe(result: OutputContainer, plan: _Plan, original: InputContainer | None) -> None:
    # No name of the muxer and no random ids: the same job gives the same bytes.
    result.flags |= cast(int, av.container.Flags.bitexact.value)
    if original is None:
        return
    metadata = kept_metadata(original.metadata)
    if plan.timing.shift:
        metadata.pop("timecode", None)  # of a frame that is no longer the first
    result.metadata.update(metadata)
    if plan.rule.has_chapters:
        chapters = [kept for chapter in original.chapters() if (kept := _chapter(chapter, plan.timing)) is not None]
        result.set_chapters(chapters)


def _chapter(chapter: av.container.core.Chapter, timing: Timing) -> av.container.core.Chapter | None:
    """Give a chapter clipped to what is kept and moved with it."""
    tick = Fraction(chapter["time_base"] or 1)
    start, stop = chapter["start"] * tick, chapter["end"] * tick
    start = start if timing.start is None else max(start, timing.start)
    stop = stop if timing.stop is None else min(stop, timing.stop)
    if stop < start or (timing.stop is not None and start >= timing.stop):
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


def _write(result: OutputContainer, packet: Packet[VideoStream] | Packet[Stream], plan: _Plan, target: Path) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the result says of itself when it is opened again."""

    sar: Fraction
    matrix: str
    range: str
    tags: frozenset[str]  # names of its metadata, in small letters


def _verify(target: Path, plan: _Plan, times: Sequence[Fraction]) -> _Told:
    """Hold the result's video packets against the times (s) asked for, to half a tick; give what it tells of itself.

    Raises:
        MuxError: another number of frames, or other times.
    """
    ours = plan.source.video.index
    before = sum(s.index < ours and s.index in plan.kept and s.kind == "video" for s in plan.source.streams)
    covers = sum(s.index < ours and s.is_cover for s in plan.source.streams if s.index in plan.kept)
    with open_segment(target) as result:
        videos = [s for s in result.streams.video if not s.disposition & Disposition.attached_pic]
        stream = videos[before - covers]
        found = sorted(packet.pts or 0 for packet in result.demux(stream) if packet.size)
        tick, context = Fraction(stream.time_base or 1), stream.codec_context
        told = _Told(
            sar=Fraction(stream.sample_aspect_ratio or 1),
            matrix=MATRICES.get(int(context.colorspace), UNSPECIFIED),
            range=RANGES.get(int(context.color_range), UNSPECIFIED),
            tags=frozenset(name.lower() for name in result.metadata),
        )
    if len(found) != len(times):
        raise MuxError(f"{target} holds {len(found)} frames, {len(times)} were written")
    for index, (got, wanted) in enumerate(zip(found, times, strict=True)):
        if abs(got * tick - wanted) > tick / 2:
            raise MuxError(
                f"{target} shows frame {index} at {float(got * tick):.6f} s instead of {float(wanted):.6f} s",
                hint="Its container does not hold these times; use an .mkv output.",
            )
    return told


def _losses(plan: _Plan, told: _Told) -> Iterator[str]:
    name, tags = plan.rule.name, plan.spec.tags
    kept = kept_metadata(dict(plan.source.metadata))
    missing = sorted(tag for tag in kept if tag.lower() not in told.tags and tag.lower() != "timecode")
    if missing:
        yield f"{name} does not hold the metadata {', '.join(missing)}"
    unsaid = [word for word in ("matrix", "range") if getattr(told, word) == UNSPECIFIED != getattr(tags, word)]
    if unsaid:
        yield f"{name} with {plan.spec.codec} does not keep the colour {' and '.join(unsaid)}: players will guess"
    if plan.timing.shift + (plan.timing.start or 0) > 0:
        later = float(plan.timing.shift + (plan.timing.start or 0))
        yield f"{name} holds no times before zero: everything starts {later:.3f} s later"
    if told.sar != plan.spec.sar:
        shape = f"the sample aspect ratio {plan.spec.sar}: shown as {told.sar}"
        yield f"{name} with {plan.spec.codec} does not keep {shape}"
    if plan.source.chapters and not plan.rule.has_chapters:
        yield f"{name} holds no chapters: {len(plan.source.chapters)} left out"
    if plan.spec.rotation and not plan.rule.has_rotation:
        yield f"{name} holds no rotation: the picture will be shown unturned ({plan.spec.rotation} degrees)"


def _troubles(routes: Mapping[int, Route]) -> Iterator[str]:
    for index, route in routes.items():
        if route.moved:
            yield f"stream {index}: {route.moved} packets had decoding times that did not rise; they were moved"
        if route.broken:
            yield f"stream {index}: {route.broken} subtitles could not be read and are left out"
