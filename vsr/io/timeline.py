"""Decoding times from presentation times, on integers alone.

Segments are encoded apart, each with decoding times of its own that begin before its first frame; joined they need one
run of decoding times over all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def reorder_delay(pts: Sequence[int]) -> int:
    """Give how many packets a decoder must hold back so that frames leave it in order; `pts` in decoding order.

    0 where no frame is predicted from a later one.
    """
    rank = {index: place for place, index in enumerate(sorted(range(len(pts)), key=lambda i: (pts[i], i)))}
    return max((place - rank[place] for place in range(len(pts))), default=0)


def decode_times(pts: Sequence[int], *, floor: int | None = None) -> list[int]:
    """Give dts for packets whose `pts` stand in decoding order: strictly rising, and dts <= pts everywhere.

    Each packet gets the pts of the frame that is shown `reorder_delay` places earlier; the first few, for which
    there is none, continue backward at the first step. With a `floor` (a container that holds no negative times)
    they are spread between the floor and the first regular dts instead: pts stay as they are.

    Where pts lie too close for the floor, the result may fall below it: the caller decides what that means.
    """
    if not pts:
        return []
    shown = sorted(pts)
    delay = reorder_delay(pts)
    step = max(1, shown[1] - shown[0]) if len(shown) > 1 else 1
    times = [shown[0] - (delay - i) * step for i in range(min(delay, len(pts)))] + shown[: len(pts) - delay]
    if floor is not None and times[0] < floor:
        times = _lifted(times, floor)
    limit = pts[-1] + 1
    for i in range(len(times) - 1, -1, -1):
        limit = min(times[i], pts[i], limit - 1)
        times[i] = limit
    return times


def rescale(time: int, source: Fraction, target: Fraction) -> int:
    """Give `time` counted in `target`, to the nearest; halves away from zero, as FFmpeg's AV_ROUND_NEAR_INF."""
    return ticks(time * source, target)


def ticks(seconds: Fraction, time_base: Fraction) -> int:
    """Give an exact time in ticks of `time_base`, rounded as `rescale` does."""
    exact = seconds / time_base
    whole = int(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def _lifted(times: list[int], floor: int) -> list[int]:
    """Spread the times that lie at or below the floor evenly up to the first that lies above it."""
    first = next((i for i, time in enumerate(times) if time > floor), len(times))
    above = times[first] if first < len(times) else floor + first
    return [floor + (above - floor) * i // first for i in range(first)] + times[first:]
