"""Packets of one stream held against those of another: which are lost, and which come at another time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from vsr.io.witness.reading import StreamFacts, Trail
from vsr.jobs.verify.comparison import Comparison, by, clock

_LOOK_AHEAD = 256  # packets: a longer hole is told as packets that differ
_GAP = hashlib.sha256(b"\0\0").digest()  # what mov_text shows while it shows nothing; a muxer makes these anew


def differences(held: Comparison, source: StreamFacts, result: StreamFacts) -> list[str]:
    """Say how the packets of a copied stream differ from the source's; nothing where they do not."""
    first, second = _taken(held, source), _shown(result)
    if source.codec.startswith("pcm_") and held.begin is None and held.stop is None:
        return _as_one(held, source.trail, result.trail)
    pairs, lost, extra = paired([source.trail.digests[at] for at in first], [result.trail.digests[at] for at in second])
    said = []
    if held.rule is not None and held.rule.counts_frames:  # sound begins with the picture: what primes it has no place
        times = {at: source.trail.seconds(first[at]) for at in lost}
        lost = [at for at in lost if (time := times[at]) is None or time + held.lift >= (held.begin or 0)]
    if lost:
        told = _named(source.trail, [first[at] for at in lost])
        said.append(f"{len(lost)} of {len(first)} packets are missing, the first {told}")
    if extra:
        told = _named(result.trail, [second[at] for at in extra])
        said.append(f"{len(extra)} packets are not the source's, the first {told}")
    matched = [(first[i], second[j]) for i, j in pairs]
    said += _times(held, source, result.trail, matched)
    if source.kind == "subtitle":
        said += _durations(held, source.trail, result.trail, matched)
    return said


def paired(first: Sequence[bytes], second: Sequence[bytes]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Match two rows of hashes in order: places that fit, places of `first` alone, places of `second` alone."""
    pairs: list[tuple[int, int]] = []
    lost: list[int] = []
    extra: list[int] = []
    i = j = 0
    while i < len(first) and j < len(second):
        if first[i] == second[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
            continue
        ahead = next((n for n in range(1, _LOOK_AHEAD) if first[i + n : i + n + 1] == second[j : j + 1]), None)
        behind = next((n for n in range(1, _LOOK_AHEAD) if second[j + n : j + n + 1] == first[i : i + 1]), None)
        if ahead is not None and (behind is None or ahead <= behind):
            lost += range(i, i + ahead)
            i += ahead
        elif behind is not None:
            extra += range(j, j + behind)
            j += behind
        else:
            lost.append(i)
            extra.append(j)
            i, j = i + 1, j + 1
    return pairs, [*lost, *range(i, len(first))], [*extra, *range(j, len(second))]


def rhythm(deltas: Sequence[Fraction], tolerance: Fraction) -> tuple[str, int] | None:
    """Say how times that lie apart by `deltas` differ, and at which place first; None where none leaves `tolerance`."""
    late = [place for place, delta in enumerate(deltas) if abs(delta) > tolerance]
    if not late:
        return None
    if max(deltas) - min(deltas) <= 2 * tolerance:
        return f"everything is {by(sorted(deltas)[len(deltas) // 2])}", late[0]
    worst = max(range(len(deltas)), key=lambda place: abs(deltas[place]))
    grows = all(abs(b) + 2 * tolerance >= abs(a) for a, b in pairwise(deltas))
    is_drift = grows and worst >= len(deltas) - 2 and len(late) > 2
    kind = "times drift" if is_drift else f"{len(late)} times differ"
    return f"{kind}: the first is {by(deltas[late[0]])}, the worst {by(deltas[worst])}", late[0]


def _taken(held: Comparison, stream: StreamFacts) -> list[int]:
    """Give the places of the source's packets that belong into the result."""
    trail = stream.trail
    found = []
    for at, ticks in enumerate(trail.times):
        if trail.digests[at] == _GAP and stream.codec == "mov_text":
            continue
        time = None if ticks is None else ticks * trail.time_base
        if time is None or held.takes(time):
            found.append(at)
        elif stream.kind == "subtitle" and held.begin is not None and time < held.begin:
            found += [at] * (time + trail.durations[at] * trail.time_base > held.begin)
    return found


def _shown(stream: StreamFacts) -> list[int]:
    is_text = stream.codec == "mov_text"
    return [at for at, digest in enumerate(stream.trail.digests) if not (is_text and digest == _GAP)]


def _as_one(held: Comparison, source: Trail, result: Trail) -> list[str]:
    """Compare sound that a container may cut into packets of other sizes."""
    said = []
    if source.bytes != result.bytes:
        said.append(f"{result.bytes} bytes of sound, the source has {source.bytes}")
    elif source.content != result.content:
        said.append("its bytes are not the source's")
    tolerance = max(source.time_base, result.time_base) / 2
    ends = [(source.first, result.first), (source.end, result.end)]
    deltas = [b - a - held.shift for a, b in ends if a is not None and b is not None]
    told = rhythm(deltas[:1], tolerance) or rhythm(deltas, 2 * tolerance)
    return [*said, told[0]] if told is not None else said


def _named(trail: Trail, places: Sequence[int]) -> str:
    time = trail.seconds(places[0])
    priming = " (before zero: it primes the decoder)" if time is not None and time < 0 else ""
    return f"packet {places[0]} at {clock(time)}{priming}"


def _times(held: Comparison, source: StreamFacts, result: Trail, pairs: Sequence[tuple[int, int]]) -> list[str]:
    deltas, places = [], []
    for i, j in pairs:
        before, after = source.trail.seconds(i), result.seconds(j)
        if before is None or after is None or _is_reckoned(held, result, j):
            continue
        if source.kind == "subtitle" and held.begin is not None:
            before = max(before, held.begin)
        deltas.append(after - before - held.shift)
        places.append(i)
    told = rhythm(deltas, max(source.trail.time_base, result.time_base) / 2)
    if told is None:
        return []
    at = places[told[1]]
    return [f"{told[0]} (from packet {at}, {clock(source.trail.seconds(at))}, on)"]


def _is_reckoned(held: Comparison, trail: Trail, place: int) -> bool:
    """Whether a time is not what the file says: of Matroska's sound before zero FFmpeg reckons it back from zero on.

    It takes each packet's nominal duration for the step to the next, so that errors of some milliseconds add up.
    """
    if not held.result.container.startswith("matroska") or place + 1 >= len(trail.times):
        return False
    time, following = trail.times[place], trail.times[place + 1]
    if time is None or following is None or time >= 0:
        return False
    return abs(following - time - trail.durations[place]) <= 1


def _durations(held: Comparison, source: Trail, result: Trail, pairs: Sequence[tuple[int, int]]) -> list[str]:
    tolerance = max(source.time_base, result.time_base)
    for i, j in pairs:
        start, length = source.seconds(i), source.durations[i] * source.time_base
        after = result.durations[j] * result.time_base
        if start is None or length <= 0 or after <= 0:
            continue
        begin, stop = start if held.begin is None else max(start, held.begin), start + length
        ends = {stop, stop if held.stop is None else min(stop, held.stop)}  # what lasts beyond a cut may end with it
        if min(abs(end - begin - after) for end in ends) > tolerance:
            return [f"packet {i} at {clock(start)} lasts {clock(after)} instead of {clock(min(ends) - begin)}"]
    return []
