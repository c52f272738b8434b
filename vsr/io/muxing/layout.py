"""What is joined into which container, and how it counts there: start, time bases, the muxer's options."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition, Stream

from vsr.core.media import MediaInfo, OutputSpec, Span, StreamPlan
from vsr.io.inputs import open_input
from vsr.io.muxing.cut import Timing
from vsr.io.muxing.labels import file_metadata, needs_free_tags
from vsr.io.muxing.matroska import PADDING_BYTES
from vsr.io.muxing.muxers import ContainerRule
from vsr.io.muxing.timecode import advanced
from vsr.io.muxing.transcode import PRIMING

_FIRST_PACKETS = 256
_LARGEST_TIMESCALE = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """crop: samples of the result that are not to be shown, at left, right, top and bottom; () where all are."""

    rule: ContainerRule
    source: MediaInfo
    spec: OutputSpec
    streams: Sequence[StreamPlan]
    timing: Timing = field(default_factory=Timing)
    crop: tuple[int, ...] = ()

    @property
    def kept(self) -> dict[int, StreamPlan]:
        return {plan.index: plan for plan in self.streams if plan.action != "drop"}


def lift(plan: Layout, pts: Sequence[int], span: Span) -> Fraction:
    """Give the seconds by which everything must start later, because the container holds no time before zero.

    No container shows a picture before zero: mp4 and mov cut it off, readers of Matroska take its time away.
    """
    if plan.rule.counts_frames:
        return Fraction(0)
    starts = [(pts[0] - (span.start or 0)) * plan.spec.time_base]
    if not plan.rule.has_negative_times and plan.source.kind == "video" and plan.kept:
        starts += _first_times(plan, span)
    return max(Fraction(0), -min(starts))


def _first_times(plan: Layout, span: Span) -> Iterator[Fraction]:
    """Yield the times of the first packets: headers do not count sound that stands before zero to prime a decoder.

    In a span nothing but an encoder's own priming stands before zero.
    """
    with open_input(plan.source.path) as container:
        wanted = [stream for stream in container.streams if stream.index in plan.kept and stream.type != "attachment"]
        primed = {stream.index: _priming(stream, plan.kept[stream.index]) for stream in wanted}
        if span.start is not None:
            yield -max(primed.values(), default=Fraction(0))
            return
        for packet in islice(container.demux(wanted), _FIRST_PACKETS) if wanted else ():
            if packet.pts is not None and not packet.stream.disposition & Disposition.attached_pic:
                yield packet.pts * packet.time_base - primed[packet.stream_index]


def _priming(stream: Stream, plan: StreamPlan) -> Fraction:
    if plan.action != "convert" or not isinstance(stream, AudioStream):
        return Fraction(0)
    return Fraction(PRIMING.get(plan.codec, 0), stream.codec_context.sample_rate)


def with_timecode(plan: Layout, tags: dict[str, str]) -> dict[str, str]:
    """Give tags with the timecode of the first frame that is kept; without one where it cannot be told."""
    key = next((key for key in tags if key.lower() == "timecode"), None)
    if key is None or plan.timing.start is None or plan.timing.is_floored:
        return tags
    video, packets = plan.source.video, plan.source.packets
    skipped = bisect.bisect_left(packets.pts, plan.timing.start / video.time_base)
    is_counted = video.rate is not None and not packets.is_variable
    moved = advanced(tags[key], skipped, video.rate) if is_counted and video.rate is not None else None
    others = {name: value for name, value in tags.items() if name != key}
    return others if moved is None else {**others, key: moved}


def muxer_options(plan: Layout, original: InputContainer | None, faststart: bool) -> dict[str, str]:
    options = {"avoid_negative_ts": "disabled"}  # the muxer would move everything where a dts lies before zero
    if plan.rule.muxer in ("mp4", "mov"):
        options["movie_timescale"] = str(_movie_timescale(plan, original))
        flags = ["faststart"] if faststart else []
        flags += ["use_metadata_tags"] if _has_free_tags(plan, original) else []
        options |= {"movflags": "+" + "+".join(flags)} if flags else {}
    if plan.rule.muxer in ("matroska", "webm"):
        options["metadata_header_padding"] = str(PADDING_BYTES)
    if plan.rule.muxer == "mpegts":
        options["mpegts_copyts"] = "1"
    return options


def _has_free_tags(plan: Layout, original: InputContainer | None) -> bool:
    """Say whether tags are written under free names; a cover has a place only among those of iTunes."""
    has_cover = any(stream.is_cover and stream.index in plan.kept for stream in plan.source.streams)
    return original is not None and not has_cover and needs_free_tags(file_metadata(original), plan.rule.muxer)


def _movie_timescale(plan: Layout, original: InputContainer | None) -> int:
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


def video_time_base(plan: Layout) -> Fraction:
    """Give the finest the container may count in: mov and mp4 count whole ticks of 1/den, AVI whole frames."""
    tick = plan.spec.time_base
    if plan.rule.counts_frames:
        # The header's rate, by which `carriage` counts too; the spec's is the mean, which a gap makes another.
        rate = plan.source.video.rate or plan.spec.rate
        return 1 / rate if rate else tick
    return Fraction(1, tick.denominator)
