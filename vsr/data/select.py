"""Which frames of a source are taken: each n-th, at a rate, at given times, in windows. Times are integer pts.

Works on frames as they are decoded; windows are chosen from marks of all frames, taken on a first pass.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from vsr.core.frame import Frame
from vsr.core.media import MediaInfo, Span


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chosen:
    """A frame that is taken. shot: its number from 0, None where shots were not looked for. window: likewise."""

    frame: Frame
    shot: int | None = None
    window: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the first pass noted of a frame. is_still: nothing moved since the frame before it."""

    index: int
    shot: int
    is_bad: bool = False
    is_still: bool = False


def in_shots(frames: Iterable[Frame]) -> Iterator[Chosen]:
    """Yield every frame with the number of its shot; frames carry `opens_shot`."""
    shot = -1
    for frame in frames:
        shot += frame.opens_shot
        yield Chosen(frame=frame, shot=max(0, shot))


def every_nth(items: Iterable[Chosen], n: int) -> Iterator[Chosen]:
    """Yield frames 0, n, 2n, ... by their place in the source, whatever is missing between them."""
    return (item for item in items if item.frame.index % n == 0)


def at_rate(items: Iterable[Chosen], rate: Fraction, time_base: Fraction) -> Iterator[Chosen]:
    """Yield the frames shown at 0, 1/rate, 2/rate, ... seconds after the first; one shown at two of them once.

    A frame is shown from its pts until the next frame's.
    """
    ticks = rate * time_base  # a tick of the time base
    held: Chosen | None = None
    origin = 0

    def due(pts: int) -> int:
        """Give how many of the times lie before `pts`."""
        return math.ceil((pts - origin) * ticks)

    for item in items:
        if held is None:
            origin = item.frame.pts
        elif due(item.frame.pts) > due(held.frame.pts):
            yield held
        held = item
    if held is not None and due(held.frame.pts + max(1, held.frame.duration)) > due(held.frame.pts):
        yield held


def moments(times: Sequence[Fraction], info: MediaInfo) -> tuple[list[int], list[Fraction]]:
    """Give the pts of the frames shown at `times` (seconds after the first frame), rising, each once; and the times
    that lie after the end."""
    packets = info.packets
    pts = packets.pts or tuple(range(info.frame_count))
    last = max(1, packets.durations[-1]) if packets.durations else 1
    found, beyond = set(), []
    for time in times:
        at = pts[0] + time / info.video.time_base
        if at >= pts[-1] + last:
            beyond.append(time)
        else:
            found.add(pts[bisect_right(pts, at) - 1])
    return sorted(found), beyond


def spans(wanted: Sequence[int], keyframes: Sequence[int]) -> list[tuple[Span, int | None]]:
    """Give what must be decoded for these pts (rising): spans, each with the keyframe to begin at (None: the start)."""
    groups: dict[int | None, list[int]] = {}
    for pts in wanted:
        place = bisect_right(keyframes, pts)
        groups.setdefault(keyframes[place - 1] if place else None, []).append(pts)
    return [(Span(start=group[0], stop=group[-1] + 1), seek) for seek, group in groups.items()]


def choose_windows(marks: Sequence[Mark], *, size: int, stride: int, count: int | None) -> Mapping[int, int]:
    """Give the window's number for the index of each frame that is in one.

    A window has `size` frames, `stride` apart, of one shot, none of them bad, none the same as the one before it.
    Windows are laid as early as they fit and do not overlap; with `count`, that many of them, spread evenly.
    """
    laid = []
    start, reach = 0, (size - 1) * stride
    while start + reach < len(marks):
        places = range(start, start + reach + 1, stride)
        if _is_whole(marks, places):
            laid.append([marks[place].index for place in places])
            start += reach + 1
        else:
            start += 1
    if count is not None and count < len(laid):
        # The middle of each of `count` equal parts.
        laid = [laid[(2 * k + 1) * len(laid) // (2 * count)] for k in range(count)]
    return {index: number for number, window in enumerate(laid) for index in window}


def _is_whole(marks: Sequence[Mark], places: range) -> bool:
    first, last = marks[places[0]], marks[places[-1]]
    # A frame that could not be decoded leaves a gap in the indices: then the strides are not what they seem.
    if first.shot != last.shot or last.index - first.index != places[-1] - places[0]:
        return False
    if any(marks[place].is_bad for place in places):
        return False
    steps = (marks[place + 1 : place + places.step + 1] for place in places[:-1])
    return not any(all(mark.is_still for mark in step) for step in steps)
