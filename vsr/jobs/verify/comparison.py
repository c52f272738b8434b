"""Source and result side by side, with the rules that say what the one may make of the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from vsr.core.media import StreamPlan
from vsr.io.muxing.containers import ContainerRule
from vsr.io.muxing.transcode import PRIMING
from vsr.io.witness.reading import FileFacts, StreamFacts
from vsr.jobs.verify.expected import Expected, Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What every check is given. rule: of the result's container, None for images.

    plans: what becomes of each stream beside the video. begin, stop: what was taken of the source, in its own seconds.
    shift: how much later its times are in the result; lift: the part of it that the container is to blame for.
    """

    source: FileFacts
    result: FileFacts
    expected: Expected
    rule: ContainerRule | None = None
    plans: tuple[StreamPlan, ...] = ()
    begin: Fraction | None = None
    stop: Fraction | None = None
    shift: Fraction = Fraction(0)
    lift: Fraction = Fraction(0)

    def takes(self, time: Fraction) -> bool:
        """Whether a time of the source lies within what was taken."""
        return (self.begin is None or time >= self.begin) and (self.stop is None or time < self.stop)

    @property
    def is_images(self) -> bool:
        return self.result.images is not None

    @property
    def container(self) -> str:
        return self.rule.name if self.rule is not None else "images"


def bounds(source: FileFacts, expected: Expected) -> tuple[Fraction | None, Fraction | None]:
    """Give [begin, stop) in the source's own seconds: whole ticks from its first frame on, rounded up."""
    tick = source.images.video.time_base if source.images is not None else source.video.trail.time_base
    origin = source.picture.first or Fraction(0)

    def at(seconds: Fraction | None) -> Fraction | None:
        return None if seconds is None else origin + math.ceil(seconds / tick) * tick

    return at(expected.start), at(expected.stop)


def lift_of(
    source: FileFacts, plans: Sequence[StreamPlan], rule: ContainerRule | None, begin: Fraction | None
) -> Fraction:
    """Give how much later everything must be, because no container shows a picture before zero, and some hold no sound.

    Sound that is encoded anew begins with what primes its decoder; in a cut nothing else stands before zero.
    """
    if rule is None or rule.counts_frames or source.images is not None:
        return Fraction(0)
    starts = [source.picture.first or Fraction(0)] if begin is None else [Fraction(0)]
    if not rule.has_negative_times:
        actions = {plan.index: plan for plan in plans if plan.action != "drop"}
        for stream in source.streams:
            if stream.index not in actions or stream.is_cover or stream.kind == "attachment":
                continue
            primed, first = _priming(stream, actions[stream.index]), stream.trail.first
            starts += [-primed] if begin is not None else [first - primed] if first is not None else []
    return max(Fraction(0), -min(starts))


def _priming(stream: StreamFacts, plan: StreamPlan) -> Fraction:
    if plan.action != "convert" or not stream.sample_rate:
        return Fraction(0)
    return Fraction(PRIMING.get(plan.codec, 0), stream.sample_rate)


def same(check: str, detail: str = "") -> Finding:
    return Finding(check=check, state="same", detail=detail)


def asked(check: str, detail: str) -> Finding:
    return Finding(check=check, state="changed as asked", detail=detail)


def lost(check: str, detail: str) -> Finding:
    return Finding(check=check, state="lost by the container", detail=detail)


def broken(check: str, detail: str) -> Finding:
    return Finding(check=check, state="broken", detail=detail)


def clock(time: Fraction | float | None) -> str:
    """Give `12.345 s`."""
    return "?" if time is None else f"{float(time):.3f} s"


def by(difference: Fraction) -> str:
    """Give `40 ms later`, `0.5 ms earlier`."""
    return f"{abs(float(difference)) * 1000:.4g} ms {'later' if difference > 0 else 'earlier'}"
