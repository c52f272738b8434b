"""The picture check: both files decoded side by side, each frame of the result shrunk onto its frame of the source.

Where the result was deinterlaced only those lines are compared that were there before: of the field shown first, or
with `fields=2` of the top and the bottom field in turn.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

from vsr.core.frame import UNSPECIFIED, ColorSpec, pixel_format
from vsr.core.turn import UPRIGHT, Turn, turn_of
from vsr.evaluation.likeness import Drift, Likeness, View, distance, likeness, lines, side_by_side, view
from vsr.io.images.files import encode_image, write_whole
from vsr.io.witness.showing import Shown, shown
from vsr.jobs.verify.comparison import Comparison, broken, clock, same
from vsr.jobs.verify.expected import Finding, Look, luma_shift
from vsr.jobs.verify.holding import holds_tags
from vsr.jobs.verify.properties import wanted_tags
from vsr.jobs.verify.times import Diary, tick

_LOOK_AHEAD = 8  # frames of a hole that are told as missing
_LEAST_GAP = 4e-6  # mean square: neighbours that differ by less than half a code cannot be told apart
# Measured on generated clips and real ones, see tests: honest results stay clear of these, each planted fault crosses.
LEAST_PSNR = 20.0
MOST_ALPHA = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Room:
    """How far colours may move, in 8-bit codes: `base` for an encoder that keeps everything, and a share of its noise.

    noise: root mean square of luma's differences. doubt: standard error of the mean that is judged, which is large
    where a picture has few blocks and each is off another way: then the mean may be chance. Cutting codes off instead
    of rounding them moves luma by 0.58 and red and blue by about 1 against it, in all blocks; x264 from crf 18 to 28,
    x265, SVT-AV1, libvpx and ProRes moved luma by 0.02 to 0.13, red and blue by up to 0.3 (0.6 at crf 28 over grain),
    blocks by 0.1 to 1.1.
    """

    base: float
    share: float

    def within(self, moved: float, noise: float, doubt: float = 0.0) -> bool:
        return abs(moved) <= self.base + self.share * noise + _SURE * doubt


_SURE = 3.0  # standard errors: less may be chance
_LUMA_ROOM = _Room(base=0.2, share=0.015)
# What encoders round adds up from frame to frame: over dark grain in PQ x264 began a group of pictures at 0.02 and came
# to 0.35 within 54 frames, SVT-AV1 did alike. A fault of the samples is in every frame.
_DRIFT_ROOM = _Room(base=0.4, share=0.015)
_CHANNEL_ROOM = _Room(base=0.5, share=0.05)
_TINT_ROOM = _Room(base=2.0, share=0.1)


@dataclass(slots=True, eq=False)
class _Glance:
    """A frame that may be looked at: its view is made when it is first asked for."""

    shown: Shown
    time: Fraction | None
    color: ColorSpec
    size: tuple[int, int]
    turn: Turn = UPRIGHT
    line: int | None = None
    place: int = 0
    _view: View | None = None

    def view(self) -> View:
        if self._view is None:
            width, height = self.size
            self._view = view(self.shown.frame(), self.color, width=width, height=height, turn=self.turn)
            if self.line is not None:
                self._view = lines(self._view, self.line)
        return self._view


@dataclass(slots=True)
class _Sums:
    """What the clip adds up to."""

    frames: int = 0
    psnr: float = 0.0
    shift: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    tint: float = 0.0
    alpha: float = 0.0
    drift: Drift = field(default_factory=Drift)
    least_luma: float = math.inf  # of one frame, whatever its sign
    worst: tuple[float, int, Fraction | None, View, View] | None = None
    misplaced: list[tuple[int, Fraction | None, int]] = field(default_factory=list)

    def add(self, seen: Likeness, at: _Glance, after: View) -> None:
        self.frames += 1
        self.psnr += seen.psnr
        self.tint += seen.tint
        self.alpha += seen.alpha
        self.drift.add(seen)
        self.least_luma = min(self.least_luma, abs(luma_shift(seen.shift)))
        self.shift = [a + b for a, b in zip(self.shift, seen.shift, strict=True)]
        if self.worst is None or seen.psnr < self.worst[0]:
            self.worst = (seen.psnr, at.place, at.time, at.view(), after)


def compare(
    held: Comparison, diary: Diary, *, worst: Path | None, sample: int | None, threads: int
) -> tuple[list[Finding], Look | None]:
    """Decode both files, fill the diary with what is shown when, and compare pictures; the diary is told of all frames.

    sample: so many frames, spread over the file; None: every frame.

    Raises:
        InputError: a file cannot be decoded. OutputError: `worst` cannot be written.
    """
    sums = _Sums()
    chosen = _chosen(held, sample)
    window: deque[tuple[_Glance, _Glance]] = deque(maxlen=3)
    for before, after in _pairs(_wanted(held, diary, threads), _made(held, threads), tick(held)):
        _note(diary, before, after, held.expected.fields)
        if before is None or after is None:
            window.clear()
            continue
        after.line = before.line
        window.append((before, after))
        if chosen(before.place):
            seen = likeness(before.view(), after.view(), by_luma=before.line is not None)
            sums.add(seen, before, after.view())
        if len(window) > 1 and (chosen(before.place) or chosen(before.place - 1)):
            _check_order(sums, list(window), held.expected.fields)
    if sums.worst is None:
        return [], None
    if worst is not None:
        write_whole(worst, encode_image(side_by_side(*sums.worst[3:]), pixel_format("gbrp"), worst))
    made = _look(sums, worst)
    return [*_findings(sums, made)], made


def _chosen(held: Comparison, sample: int | None) -> _Every | _Spread:
    count = len(held.source.video.trail.times) if held.source.images is None else held.source.images.frame_count
    if sample is None or sample >= count:
        return _Every()
    return _Spread(count=count * held.expected.fields, sample=sample)


class _Every:
    def __call__(self, place: int) -> bool:
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spread:
    count: int
    sample: int

    def __call__(self, place: int) -> bool:
        return place >= 0 and place * self.sample // self.count != (place - 1) * self.sample // self.count


def _wanted(held: Comparison, diary: Diary, threads: int) -> Iterator[_Glance]:
    """Yield what the result must show: the source's frames that were taken, twice where fields become frames."""
    picture, fields = held.source.picture, held.expected.fields
    turn = (turn_of(picture.matrix) if held.expected.is_turned else UPRIGHT) or UPRIGHT
    size = (picture.height, picture.width) if turn.swaps else (picture.width, picture.height)
    first = _first_line(held)
    place, last = 0, None
    step = held.source.video.trail.time_base
    pending: _Glance | None = None
    half = Fraction(0)
    for frame in shown(held.source, threads=threads):
        time = frame.time
        if time is None and held.source.images is not None:
            time = frame.place * held.source.images.video.time_base
        if time is not None and last is not None and time <= last:
            time, diary.retimed = last + step, diary.retimed + 1
        if pending is not None:
            half = (time - last) / 2 if time is not None and last is not None else half
            yield _second(pending, half)
            pending = None
        last = time
        if time is not None and not held.takes(time):
            if held.stop is not None and time >= held.stop:
                break
            continue
        at = None if time is None else time + held.shift
        made = _Glance(shown=frame, time=at, color=picture.color, size=size, turn=turn, line=first, place=place)
        yield made
        place += fields
        pending = made if fields == 2 else None
    if pending is not None:
        yield _second(pending, half)


def _second(first: _Glance, half: Fraction) -> _Glance:
    """Give the second field of a frame, shown half way to the next frame."""
    assert first.line is not None
    return _Glance(
        shown=first.shown,
        time=None if first.time is None else first.time + half,
        color=first.color,
        size=first.size,
        turn=first.turn,
        line=1 - first.line,
        place=first.place + 1,
    )


def _first_line(held: Comparison) -> int | None:
    """Give the first line of the field that is shown first; None where whole frames are compared."""
    source, result, expected = held.source.picture, held.result.picture, held.expected
    is_asked = expected.fields == 2 or expected.is_deinterlaced
    if not is_asked and (not source.is_interlaced or result.is_interlaced):
        return None
    return 1 if (expected.field_order or source.field_order) == "bff" else 0


def _made(held: Comparison, threads: int) -> Iterator[_Glance]:
    source, turn = held.source.picture, turn_of(held.source.picture.matrix)
    is_swapped = held.expected.is_turned and turn is not None and turn.swaps
    size = (source.height, source.width) if is_swapped else (source.width, source.height)
    color = _meant(held)
    for frame in shown(held.result, threads=threads):
        yield _Glance(shown=frame, time=frame.time, color=color, size=size, place=frame.place)


def _meant(held: Comparison) -> ColorSpec:
    """Give the result's colour tags; where its container has no place for them, those that it would have: the loss is
    told by `check_tags`, and what players guess then is no fault of the samples. So where chroma lies, of any file.
    """
    told, wanted = held.result.picture.color, wanted_tags(held)
    if told.siting == UNSPECIFIED:
        told = replace(told, siting=wanted.siting)
    if held.rule is None or holds_tags(held.container):
        return told
    # Whether samples were made limited where nothing says their range, only who made them knows.
    unsaid = ("matrix", "range") if held.expected.tags is not None else ("matrix",)
    names = [name for name in unsaid if getattr(told, name) == UNSPECIFIED]
    return replace(told, **{name: getattr(wanted, name) for name in names})


def _pairs(
    wanted: Iterator[_Glance], made: Iterator[_Glance], room: Fraction
) -> Iterator[tuple[_Glance | None, _Glance | None]]:
    """Match frames in order; where times say that some are missing or too many, those stand alone."""
    first: deque[_Glance] = deque()
    second: deque[_Glance] = deque()
    while True:
        a, b = _at(first, wanted, 0), _at(second, made, 0)
        if a is None or b is None:
            break
        late = b.time - a.time if a.time is not None and b.time is not None else Fraction(0)
        skipped = _match(first, wanted, b.time, room) if late > room else 0
        added = _match(second, made, a.time, room) if late < -room else 0
        for _ in range(skipped):
            yield first.popleft(), None
        for _ in range(added):
            yield None, second.popleft()
        yield first.popleft(), second.popleft()
    yield from ((glance, None) for glance in (*first, *wanted))
    yield from ((None, glance) for glance in (*second, *made))


def _at(row: deque[_Glance], more: Iterator[_Glance], place: int) -> _Glance | None:
    while len(row) <= place:
        following = next(more, None)
        if following is None:
            return None
        row.append(following)
    return row[place]


def _match(row: deque[_Glance], more: Iterator[_Glance], time: Fraction | None, room: Fraction) -> int:
    """Give how many frames on the one is that is shown at `time`; 0 where none of the next few is."""
    for ahead in range(1, _LOOK_AHEAD + 1):
        glance = _at(row, more, ahead)
        if glance is None:
            return 0
        if glance.time is not None and time is not None and abs(glance.time - time) <= room:
            return ahead
    return 0


def _note(diary: Diary, before: _Glance | None, after: _Glance | None, fields: int) -> None:
    if before is None:
        diary.extra.append(after.shown.place if after is not None else 0)
        return
    if after is None:
        diary.missing.append((before.place, before.time))
        return
    diary.wanted.append(before.time)
    diary.shown.append(after.shown.time)
    one, other = before.shown, after.shown
    if before.place == 0:
        diary.is_profile_kept, diary.has_profile = one.icc == other.icc, bool(one.icc)
        diary.is_exif_kept, diary.has_exif = one.exif == other.exif or not one.exif, bool(one.exif)
    if fields == 2 and before.place % 2:
        return
    diary.captions += bool(one.captions)
    if one.captions != other.captions:
        diary.uncaptioned.append((before.place, before.time))


def _check_order(sums: _Sums, window: list[tuple[_Glance, _Glance]], fields: int) -> None:
    """Look whether a frame of the result is clearly its neighbour's picture, where the neighbours differ clearly.

    The next frame is known one step later: a frame is held against the one before when it comes, and against the
    next when that comes.
    """
    if fields == 2:
        return  # neighbours are fields of one frame: they hold different lines
    for here, there in ((-1, -2), (-2, -1)):
        before, after = window[here]
        neighbour = window[there][0]
        gap = distance(before.view(), neighbour.view())
        if gap < _LEAST_GAP:
            continue
        own, others = distance(before.view(), after.view()), distance(neighbour.view(), after.view())
        if others < own / 2 and others < gap / 4:
            sums.misplaced.append((before.place, before.time, neighbour.place))


def _look(sums: _Sums, worst: Path | None) -> Look:
    assert sums.worst is not None
    red, green, blue = (total / sums.frames for total in sums.shift)
    return Look(
        frames=sums.frames,
        psnr=sums.psnr / sums.frames,
        worst_psnr=sums.worst[0],
        worst_frame=sums.worst[1],
        shift=(red, green, blue),
        tint=sums.tint / sums.frames,
        picture=worst,
    )


def _findings(sums: _Sums, look: Look) -> Iterator[Finding]:
    assert sums.worst is not None
    frame = f"frame {look.worst_frame} ({clock(sums.worst[2])})"
    said = f"mean {look.psnr:.1f} dB over {look.frames} frames, worst {look.worst_psnr:.1f} dB at {frame}"
    yield (broken if look.worst_psnr < LEAST_PSNR else same)("pictures", said)
    if sums.misplaced:
        place, time, other = sums.misplaced[0]
        told = f"frame {place} ({clock(time)}) shows what the source shows at frame {other}"
        yield broken("order", f"{told}; {len({at for at, _, _ in sums.misplaced})} frames in all")
    else:
        yield same("order", "no frame shows its neighbour's picture")
    shift = ", ".join(f"{name} {value:+.2f}" for name, value in zip("RGB", look.shift, strict=True))
    told = f"luma {look.luma_shift:+.2f}, {shift} of 255 on the mean, {look.tint:.2f} in blocks"
    noise = 255 * 10 ** (-look.psnr / 20)
    unsure = sums.drift.doubts()
    is_kept = _LUMA_ROOM.within(look.luma_shift, noise, unsure[-1]) or (
        _LUMA_ROOM.within(sums.least_luma, noise) and _DRIFT_ROOM.within(look.luma_shift, noise)
    )
    is_kept &= _TINT_ROOM.within(look.tint, noise)
    for value, doubt in zip(look.shift, unsure[:-1], strict=True):
        is_kept &= _CHANNEL_ROOM.within(value - look.luma_shift, noise, doubt)
    yield (same if is_kept else broken)("colours", told)
    if sums.alpha > MOST_ALPHA * sums.frames:
        yield broken("alpha", f"it differs by {sums.alpha / sums.frames:.1f} of 255 on the mean")
