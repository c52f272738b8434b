"""Times of decoded frames: their place, their pts, their duration, whatever the file forgot to say."""

from __future__ import annotations

import bisect
import logging
from dataclasses import dataclass, field, replace

from vsr.core.media import PacketIndex
from vsr.io.base import DecodeTally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When a frame is shown; `duration` is 0 where the file does not say."""

    index: int
    pts: int
    duration: int

    def until(self, pts: int) -> Timing:
        """Give the same with the duration that ends at `pts`."""
        return replace(self, duration=max(1, pts - self.pts))


@dataclass(slots=True)
class Clock:
    """Gives decoded frames their times, in the order in which the decoder shows them; pts always rise.

    A pts that does not rise is moved to one tick after the one before it, and counted in `tally.retimed`: no frame is
    lost, and none changes its place.
    """

    packets: PacketIndex
    tally: DecodeTally
    _count: int = field(default=0, init=False)
    _last: Timing | None = field(default=None, init=False)
    _step: int = field(default=1, init=False)

    @property
    def is_untouched(self) -> bool:
        """Whether no frame has come yet."""
        return self._count == 0

    def tick(self, pts: int | None, duration: int) -> Timing:
        """Give the time of the next frame; `pts` and `duration` are what the decoder says (None, 0: nothing).

        The index of the packets knows durations better than the decoder does.
        """
        known = self.packets.pts
        if self.packets.has_decoding_times:
            pts = known[self._count] if self._count < len(known) else None
        before = self._last
        if pts is None:
            log.warning("frame %d has no pts: it is set one step after the one before", self._count)
            pts = before.pts + self._step if before is not None else (known[0] if known else 0)
        place = bisect.bisect_left(known, pts) if known else self._count
        if before is not None and pts <= before.pts:
            self.tally.retimed += 1
            pts, place = before.pts + 1, before.index + 1
        elif before is not None:
            place = max(place, before.index + 1)
        if before is not None:
            self._step = pts - before.pts
        if place < len(known) and known[place] == pts:
            duration = self.packets.durations[place]
        self._count += 1
        self._last = Timing(index=place, pts=pts, duration=duration)
        return self._last

    def last(self, timing: Timing) -> Timing:
        """Give the last frame, of which nothing tells a duration, that of the step before it."""
        return replace(timing, duration=self._step)
