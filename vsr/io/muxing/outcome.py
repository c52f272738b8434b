"""A finished file opened again: does it hold the frames at their times, and what of the source has it lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.video.stream import VideoStream

from vsr.core.errors import MuxError
from vsr.core.frame import UNSPECIFIED
from vsr.io.encoding.segments import open_segment
from vsr.io.metadata.orientation import is_mirrored
from vsr.io.muxing.copying import Route
from vsr.io.muxing.labels import kept_metadata
from vsr.io.muxing.layout import Layout
from vsr.io.muxing.tracks import Seen, track_losses, watched, written_tracks
from vsr.io.tags import MATRICES, RANGES


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the result says of itself when it is opened again."""

    sar: Fraction
    matrix: str
    range: str
    tags: frozenset[str]  # names of its metadata, in small letters
    tracks: tuple[str, ...] = ()  # what its other streams lack, in words


def check(target: Path, plan: Layout, times: Sequence[Fraction], routes: Mapping[int, Route]) -> Told:
    """Hold the result's video packets against the times (s) asked for, to half a tick; give what it tells of itself.

    Raises:
        MuxError: another number of frames, or other times.
    """
    ours = plan.source.video.index
    with open_segment(target) as result:
        made = written_tracks(result, ours, routes, plan.rule.name)
        stream = made.get(ours)
        if not isinstance(stream, VideoStream):
            raise MuxError(f"{target} does not hold the picture where it was written, as stream {ours} of the source")
        seen = {other.index: Seen() for other in watched(made, ours)}
        found = []
        for packet in result.demux([result.streams[index] for index in seen]):
            if packet.size:
                seen[packet.stream_index].note(packet)
                if packet.stream_index == stream.index:
                    found.append(packet.pts or 0)
        found.sort()
        tick, context = Fraction(stream.time_base or 1), stream.codec_context
        told = Told(
            sar=Fraction(stream.sample_aspect_ratio or 1),
            matrix=MATRICES.get(int(context.colorspace), UNSPECIFIED),
            range=RANGES.get(int(context.color_range), UNSPECIFIED),
            tags=frozenset(name.lower() for tags in (result.metadata, stream.metadata) for name in tags),
            tracks=tuple(
                track_losses(
                    plan.rule.name,
                    routes,
                    made,
                    {index: seen[other.index] for index, other in made.items() if other.index in seen},
                )
            ),
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


def lift_in_words(container: str, later: Fraction) -> str:
    """Say that everything starts so many seconds later than in the source."""
    return f"{container} holds no times before zero: everything starts {float(later):.3f} s later"


def losses(plan: Layout, told: Told) -> Iterator[str]:
    """Say what of the source the result does not tell, and how to keep it."""
    name, tags = plan.rule.name, plan.spec.tags
    kept = kept_metadata(dict(plan.source.metadata))
    missing = sorted(tag for tag in kept if tag.lower() not in told.tags and not tag.lower().startswith("location-"))
    if missing:
        yield f"{name} does not hold the metadata {', '.join(missing)}"
    yield from told.tracks
    # Silence about the range is taken for limited, so that only full range is lost by it.
    known = {"matrix": tags.matrix, "range": UNSPECIFIED if tags.range == "tv" else tags.range}
    unsaid = [word for word, value in known.items() if getattr(told, word) == UNSPECIFIED != value]
    if unsaid:
        yield f"{name} with {plan.spec.codec} does not keep the colour {' and '.join(unsaid)}: players will guess"
    if (later := plan.timing.shift + (plan.timing.start or 0)) > 0:
        yield lift_in_words(name, later)
    if told.sar != plan.spec.sar:
        shape = f"the sample aspect ratio {plan.spec.sar}: shown as {told.sar}"
        yield f"{name} with {plan.spec.codec} does not keep {shape}; an .mkv output does, or --square-pixels"
    if plan.source.chapters and not plan.rule.has_chapters:
        yield f"{name} holds no chapters: {len(plan.source.chapters)} left out"
    if (plan.spec.rotation or plan.spec.display_matrix) and not plan.rule.has_rotation:
        turn = f"{plan.spec.rotation} degrees{', mirrored' if is_mirrored(plan.spec.display_matrix) else ''}"
        yield f"{name} holds no rotation: the picture will be shown unturned ({turn}); --autorotate turns the pixels"
