"""Frames and their times: how many, when each is shown, how long the last one stays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from vsr.io.witness.reading import FileFacts, Trail
from vsr.jobs.verify.comparison import Comparison, asked, broken, by, clock, lost, same
from vsr.jobs.verify.expected import Finding
from vsr.jobs.verify.holding import holds_last_duration
from vsr.jobs.verify.packets import rhythm

_GUESS = Fraction(1, 1000)  # seconds: a duration that nobody wrote down is held no closer


@dataclass(slots=True)
class Diary:
    """What was seen of the frames of both files while they were decoded side by side.

    wanted: when the result must show each frame that has a counterpart in it, shown: when it does, in seconds (None
    where only places are known). missing: (place, time) of the source's frames that have none. extra: places of the
    result's frames that are not the source's. captions: frames of the source that carry some; uncaptioned: those that
    carry others, or none, in the result. has_profile, has_exif: of the source's first image.
    """

    wanted: list[Fraction | None] = field(default_factory=list)
    shown: list[Fraction | None] = field(default_factory=list)
    missing: list[tuple[int, Fraction | None]] = field(default_factory=list)
    extra: list[int] = field(default_factory=list)
    captions: int = 0
    uncaptioned: list[tuple[int, Fraction | None]] = field(default_factory=list)
    has_profile: bool = False
    is_profile_kept: bool = True
    has_exif: bool = False
    is_exif_kept: bool = True
    retimed: int = 0  # of the source's frames: times that did not rise


def check_count(held: Comparison, diary: Diary) -> Finding:
    """Hold the number of frames."""
    there = len(diary.wanted) + len(diary.missing)
    made = len(diary.shown) + len(diary.extra)
    what = f"{made} frames" + (f", two for each of {there // 2}" if held.expected.fields == 2 else "")
    if not diary.missing and not diary.extra:
        if not made:
            return broken("frames", "neither file shows any frame")
        return asked("frames", what) if held.expected.fields == 2 or held.begin is not None else same("frames", what)
    said = [f"{made} frames, {there} expected"]
    if diary.missing:
        place, time = diary.missing[0]
        is_tail = len(diary.missing) > 1 and diary.missing[-1][0] - place == len(diary.missing) - 1
        is_end = is_tail and (not diary.wanted or place >= len(diary.wanted))
        where = f"frame {place} ({clock(time)})"
        said.append(
            f"the last {len(diary.missing)} are missing, from {where} on"
            if is_end
            else f"{len(diary.missing)} missing, the first is {where}"
        )
    if diary.extra:
        said.append(f"{len(diary.extra)} that the source has not, the first is the result's frame {diary.extra[0]}")
    return broken("frames", "; ".join(said))


def check_times(held: Comparison, diary: Diary) -> Finding:
    """Hold the time of each frame, to half a tick of the coarser clock: errors never add up."""
    both = [
        (place, want, time)
        for place, (want, time) in enumerate(zip(diary.wanted, diary.shown, strict=True))
        if want is not None and time is not None
    ]
    if not both:
        return same("times", "images are told by their places")
    tolerance = tick(held) / 2
    told = rhythm([time - want for _, want, time in both], tolerance)
    if told is not None:
        place, want, _ = both[told[1]]
        return broken("times", f"{told[0]}; from frame {place} ({clock(want)}) on")
    worst = max(abs(time - want) for _, want, time in both)
    exact = "exact" if not worst else f"within {float(worst) * 1e6:.0f} us, half a tick is {float(tolerance) * 1e6:.0f}"
    if diary.retimed:
        exact += f"; {diary.retimed} times of the source do not rise: they come one tick after the one before"
    if held.lift:
        return lost("times", f"{held.container} holds no times before zero: everything is {by(held.lift)}")
    return asked("times", exact) if held.begin is not None else same("times", exact)


def check_ends(held: Comparison, diary: Diary) -> Iterator[Finding]:
    """Hold how long the last frame stays, and with it the whole."""
    if held.source.images is not None or held.result.images is not None or not diary.wanted or diary.missing:
        return
    want, got = diary.wanted[-1], diary.shown[-1]
    begin, start = diary.wanted[0], diary.shown[0]
    if want is None or got is None or begin is None or start is None:
        return
    before, after = _lasts(held.source.video.trail, want, held.shift), _lasts(held.result.video.trail, got, Fraction(0))
    previous = diary.wanted[-2] if len(diary.wanted) > 1 else None
    usual = want - previous if previous is not None else before
    # Some files give each packet a duration that its own frames do not keep: then the step before tells as much.
    is_kept = previous is None or abs(_lasts(held.source.video.trail, previous, held.shift) - usual) <= tick(held)
    is_doubtful = not before or _guesses(held) or (held.expected.fields == 1 and not is_kept)
    known = {before / held.expected.fields if before else usual, *([usual] if is_doubtful else [])}
    told = {after}
    if held.stop is None:
        known |= {left / held.expected.fields for left in _left(held.source, want - held.shift)}
    told |= _left(held.result, got)
    off, stays = min((abs(one - other), one) for one in told for other in known)
    room = max(tick(held), _GUESS) if _guesses(held) else tick(held)
    if not after or not holds_last_duration(held.container):
        state = lost if not after or off > room else same
        yield state("last frame", f"{held.container} does not store how long it stays")
        return
    if off > room:
        yield broken("last frame", f"it stays {clock(stays)}, not {clock(before or usual)}")
    else:
        yield same("last frame", f"it stays {clock(stays)}; the whole lasts {clock(got + stays - start)}")


def tick(held: Comparison) -> Fraction:
    """Give the coarser tick of the two."""
    result = held.result.video.trail.time_base
    if held.source.images is not None:
        return result
    return max(held.source.video.trail.time_base, result)


def _guesses(held: Comparison) -> bool:
    """Whether the source stores no durations: FFmpeg makes them from a rate that its frames need not keep."""
    return not held.source.container.startswith(("mov", "matroska"))


def _left(facts: FileFacts, shown: Fraction) -> set[Fraction]:
    """Give how long MP4 and MOV still show the frame of a time, the last one, in two readings; none for other files.

    A packet's duration is the step to the next that is decoded: where frames are reordered, the sum of all counts, or
    the end of the track, which an edit list may tell alone.
    """
    trail = facts.video.trail
    if not facts.container.startswith("mov") or trail.first is None:
        return set()
    ends = {trail.first + sum(trail.durations) * trail.time_base}
    return {end - shown for end in (ends | ({facts.video.until} if facts.video.until is not None else set()))}


def _lasts(trail: Trail, shown: Fraction | None, shift: Fraction) -> Fraction:
    """Give how long the packet that is shown at a time lasts, 0 where the file does not say."""
    if shown is None:
        return Fraction(0)
    near: Sequence[tuple[Fraction, int]] = [
        (abs(time * trail.time_base + shift - shown), length)
        for time, length in zip(trail.times, trail.durations, strict=True)
        if time is not None
    ]
    return min(near, default=(Fraction(0), 0))[1] * trail.time_base
