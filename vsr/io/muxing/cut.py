"""What is kept of a source, in seconds, and where its zero goes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vsr.core.media import Span
from vsr.io.timeline import ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What is kept of the source and where its zero goes, in seconds: packets in [start, stop), moved by `shift`.

    is_floored: nothing but the container asks for `start`, which has no place for what comes before.
    """

    start: Fraction | None = None
    stop: Fraction | None = None
    shift: Fraction = Fraction(0)
    is_floored: bool = False

    @classmethod
    def of(
        cls, span: Span, time_base: Fraction, lift: Fraction = Fraction(0), *, floor: Fraction | None = None
    ) -> Timing:
        """Give the timing of a span of the video: its start becomes 0. `lift` moves everything later on top.

        floor: where the source is cut in a container that cannot move the picture.
        """
        start = None if span.start is None else span.start * time_base
        stop = None if span.stop is None else span.stop * time_base
        shift = lift - (start or 0)
        return cls(start=floor if start is None else start, stop=stop, shift=shift, is_floored=start is None)

    def clipped(self, at: int, duration: int, tick: Fraction, *, can_clip: bool) -> int | None:
        """Give where a packet begins within [start, stop), None if it does not; `can_clip`: it may begin before it."""
        if self.stop is not None and at * tick >= self.stop:
            return None
        if self.start is None or at * tick >= self.start:
            return at
        if can_clip and (at + duration) * tick > self.start:
            return ticks(self.start, tick)
        return None
