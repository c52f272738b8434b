"""One source, opened: its frames decoded, chosen and sieved, and what was met on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import UnsupportedInput
from vsr.core.frame import Frame
from vsr.core.media import WHOLE, MediaInfo, Span
from vsr.data import quality, select
from vsr.data.extraction import Extraction
from vsr.data.select import Chosen, Mark
from vsr.data.stills import StillMaker, losses, still_maker, weaving
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import open_source
from vsr.io.probe import probe
from vsr.pipeline.pictures import frames


@dataclass(slots=True, kw_only=True)
class Looked:
    """How far one decoding lane has come. Written by that lane alone; whoever reads it sees some recent state."""

    frames: int = 0
    total: int = 0  # of the sources opened so far
    sources: int = 0  # opened, or found unusable


@dataclass(slots=True, kw_only=True)
class Footage:
    """A source and the choice of its frames. Used by one thread; counts and warnings are complete at the end."""

    wish: Extraction
    info: MediaInfo
    maker: StillMaker
    looked: Looked
    tally: DecodeTally = field(default_factory=DecodeTally)
    dropped: Counter[str] = field(default_factory=Counter)
    warnings: list[str] = field(default_factory=list)
    decoded: int = 0

    def chosen(self) -> Iterator[Chosen]:
        """Yield the frames that are taken, in order.

        Raises:
            UnsupportedInput: there is no window in it, or no frame at the times asked for.
            DecodeError, InputMissing: from the source.
        """
        if self.wish.windows is not None:
            yield from self._in_windows(self.wish.windows)
        elif self.wish.at:
            yield from self._sieved(self._at_moments())
            self.decoded = self.tally.frames
        else:
            every = select.in_shots(self._frames(shots=True))
            if self.wish.rate is not None:
                yield from self._sieved(select.at_rate(every, self.wish.rate, self.info.video.time_base))
            else:
                yield from self._sieved(select.every_nth(every, self.wish.every))
            self._account()

    def _frames(self, span: Span = WHOLE, *, seek: int | None = None, shots: bool = False) -> Iterator[Frame]:
        for frame in frames(open_source(self.info), span, seek=seek, shots=shots, tally=self.tally):
            self.looked.frames += 1
            yield frame

    def _sieved(self, items: Iterator[Chosen]) -> Iterator[Chosen]:
        sieve = Sieve(wish=self.wish, maker=self.maker)
        for item in items:
            reason = sieve.reason(item.frame)
            if reason is None:
                yield item
            else:
                self.dropped[reason] += 1

    def _at_moments(self) -> Iterator[Chosen]:
        wanted, beyond = select.moments(self.wish.at, self.info)
        late = ", ".join(f"{float(time):g} s" for time in beyond)
        if not wanted:
            raise UnsupportedInput(
                f"{self.info.path} has ended before {late}", hint="Times count from its first frame."
            )
        if beyond:
            self.warnings.append(f"it has ended before {late}: no picture of that")
        missing = set(wanted)
        for span, seek in select.spans(wanted, self.info.packets.keyframes):
            for frame in self._frames(span, seek=seek):
                if frame.pts in missing:
                    missing.remove(frame.pts)
                    yield Chosen(frame=frame)
        if missing:
            self.warnings.append(f"{len(missing)} of {len(wanted)} frames asked for could not be decoded")

    def _in_windows(self, size: int) -> Iterator[Chosen]:
        """Decode twice: shots and quality of all frames first, then the frames of the windows that fit."""
        marks = self._survey()
        self._account()
        wish = self.wish
        window_of = select.choose_windows(marks, size=size, stride=wish.stride, count=wish.count)
        if not window_of:
            apart = f", {wish.stride} apart," if wish.stride > 1 else ""
            raise UnsupportedInput(
                f"{self.info.path} holds no window of {size} frames{apart} in one shot ({len(marks)} frames in all, "
                f"{sum(mark.is_bad or mark.is_still for mark in marks)} of them left out)",
                hint="Ask for shorter windows, or leave out the limits on what frames are kept.",
            )
        if wish.count is not None and len(set(window_of.values())) < wish.count:
            self.warnings.append(f"it holds {len(set(window_of.values()))} windows, not {wish.count}")
        shot_of = {mark.index: mark.shot for mark in marks}
        self.tally = DecodeTally()
        for frame in self._frames():
            if frame.index in window_of:
                yield Chosen(frame=frame, shot=shot_of[frame.index], window=window_of[frame.index])

    def _survey(self) -> list[Mark]:
        sieve = Sieve(wish=self.wish, maker=self.maker)
        marks = []
        for item in select.in_shots(self._frames(shots=True)):
            assert item.shot is not None
            reason = sieve.reason(item.frame)
            if reason is not None:
                self.dropped[reason] += 1
            is_still = reason == DUPLICATE
            is_bad = reason is not None and not is_still
            marks.append(Mark(index=item.frame.index, shot=item.shot, is_bad=is_bad, is_still=is_still))
        return marks

    def _account(self) -> None:
        """Say what decoding the whole source met."""
        tally = self.tally
        self.decoded = tally.frames
        if tally.errors:
            self.warnings.append(f"it is damaged: {tally.errors} packets refused (first: {tally.first_error})")
        if tally.retimed:
            self.warnings.append(f"{tally.retimed} frames had the time of the one before: moved one tick after it")
        missing = self.info.frame_count - tally.frames
        if missing > 0:
            self.warnings.append(f"{missing} of {self.info.frame_count} frames that it announces could not be decoded")


DUPLICATE = "duplicate"


@dataclass(slots=True, kw_only=True)
class Sieve:
    """Tells frames worth keeping from others, in order: a duplicate is one of the last frame that was kept."""

    wish: Extraction
    maker: StillMaker
    _last: NDArray[np.float32] | None = field(default=None, init=False)

    def reason(self, frame: Frame) -> str | None:
        """Give why a frame is left out; None keeps it. What the decoder concealed is always left out."""
        wish = self.wish
        if frame.is_corrupt:
            return "corrupt"
        if wish.black is None and wish.blurred is None and wish.duplicates is None:
            return None
        luma = self.maker.luma(frame)
        if wish.black is not None and quality.blackness(luma) >= wish.black:
            return "black"
        if wish.blurred is not None and quality.blurriness(luma) >= wish.blurred:
            return "blurred"
        if wish.duplicates is not None:
            if self._last is not None and quality.change(self._last, luma) <= wish.duplicates:
                return DUPLICATE
            self._last = luma
        return None


def open_footage(path: Path, wish: Extraction, looked: Looked) -> Footage:
    """Probe a source and prepare its choice.

    Raises:
        InputError: it cannot be used; see `io.probe` and `stills.still_maker`.
    """
    info = probe(path)
    maker = still_maker(info, wish)
    passes = 2 if wish.windows is not None else 1
    looked.total += len(wish.at) or passes * info.frame_count
    warnings = [*info.damage, *info.warnings, *losses(info, maker), *weaving(info)]
    return Footage(wish=wish, info=info, maker=maker, looked=looked, warnings=warnings)
