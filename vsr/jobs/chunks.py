"""The chunk plan: which frames make a chunk, what is decoded around them, and from which keyframe on.

Chunks partition the job's span at times of frames. Each is decoded from a keyframe before its context, and the
decoded frames are those of a decode of the whole file: same pixels, same times, same places.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterator, Sequence
from itertools import pairwise

from vsr.core.errors import DecodeError
from vsr.core.job import Chunk
from vsr.core.media import MediaInfo, Span
from vsr.core.sampling import Sampling
from vsr.temporal.shots import MEMORY
from vsr.temporal.window import reach

SMALLEST = 8  # frames; below it starting a chunk costs more than a kill could lose
MANY_STEPS = 20  # of a diffusion model that is left to its own number
MOST_REPEATS = 16  # chunks in a stretch without keyframes: half of it is decoded anew for each


def times(info: MediaInfo) -> tuple[int, ...]:
    """Give the pts of every frame as a decode from the start shows them, strictly rising; of images, their numbers.

    Where the file repeats a pts, the later frames stand a tick after the one before (`io.timing.Clock`).
    """
    if info.kind != "video":
        return tuple(range(info.frame_count))
    shown: list[int] = []
    for pts in info.packets.pts:
        shown.append(max(pts, shown[-1] + 1) if shown else pts)
    return tuple(shown)


def first_place(info: MediaInfo, span: Span) -> int:
    """Give the index in the source of the span's first frame."""
    return 0 if span.start is None else bisect.bisect_left(times(info), span.start)


def default_length(info: MediaInfo, *, keyframe_interval: int, sampling: Sampling | None, seeks: bool) -> int:
    """Give how many frames a chunk holds where the user does not say.

    One keyframe interval of the result, so that chunks cost no keyframe beyond the usual; with a diffusion model of
    many steps fewer, so that a chunk is about as much work as with any other. Where keyframes of the source are far
    apart or there is no way to them (not `seeks`), more: each chunk is decoded from the one before it.
    """
    steps = 1 if sampling is None else MANY_STEPS if sampling.steps is None else sampling.steps
    usual = max(SMALLEST, keyframe_interval // max(1, steps))
    if info.kind != "video":
        return usual
    shown = times(info)
    places = [0, *_entries(info, shown, seeks=seeks), len(shown)]
    return max(usual, -(-max(b - a for a, b in pairwise(places)) // MOST_REPEATS))


def chunks(
    info: MediaInfo,
    span: Span,
    *,
    frames_per_window: int,
    stride: int,
    shots: bool,
    length: int,
    seeks: bool,
    memory: int = 0,
) -> tuple[Chunk, ...]:
    """Cut the frames of `span` into chunks of even size, none longer than `length`.

    The first begins where `span` does and the last ends where it does; between them one ends where the next begins.
    shots: cuts are looked for, which takes more context. seeks: the decoder can begin at a keyframe.
    memory: frames before a frame that its own picture depends on, once it is decoded.

    Raises:
        DecodeError: the span holds no frame.
    """
    shown = times(info)
    first = 0 if span.start is None else bisect.bisect_left(shown, span.start)
    last = len(shown) if span.stop is None else bisect.bisect_left(shown, span.stop)
    if first >= last:
        raise DecodeError(f"{info.path} shows no frame", hint="The file is damaged; fetch it again.")
    entries = [shown[place] for place in _entries(info, shown, seeks=seeks)]
    tail = reach(frames_per_window, stride)
    lead = tail + memory + (MEMORY if shots and frames_per_window > 1 else 0)
    count = -(-(last - first) // length)
    bounds = [first + (last - first) * number // count for number in range(count + 1)]
    made = []
    for index, (begin, end) in enumerate(pairwise(bounds)):
        before, after = max(0, begin - lead), min(len(shown), end + tail)
        start = shown[before] if before else None
        made.append(
            Chunk(
                index=index,
                span=Span(
                    start=span.start if begin == first else shown[begin],
                    stop=span.stop if end == last else shown[end],
                ),
                frames=end - begin,
                decode=Span(start=start, stop=shown[after] if after < len(shown) else None),
                seek=_last_before(entries, start),
                lead=begin - before,
                tail=after - end,
            )
        )
    return tuple(made)


def shortened(info: MediaInfo, chunk: Chunk, count: int) -> Chunk:
    """Give a chunk cut down to its first `count` frames (or all it has), with as much context as it has itself."""
    if count >= chunk.frames:
        return chunk
    shown = times(info)
    end = first_place(info, chunk.span) + count
    after = end + chunk.tail
    return dataclasses.replace(
        chunk,
        span=Span(start=chunk.span.start, stop=shown[end]),
        frames=count,
        decode=Span(start=chunk.decode.start, stop=shown[after] if after < len(shown) else None),
    )


def remarks(info: MediaInfo, planned: Sequence[Chunk]) -> Iterator[str]:
    """Say what is worth knowing of a plan: where chunks cost more than they should."""
    if info.kind == "video" and len(planned) > 1 and all(chunk.seek is None for chunk in planned):
        yield f"decoding {info.path.name} can begin at its start alone: so it does for each of {len(planned)} chunks"


def _entries(info: MediaInfo, shown: Sequence[int], *, seeks: bool) -> list[int]:
    """Give the places of the keyframes, but the first frame's, that a decode can begin at and time every frame right.

    That is not so where a keyframe's own pts is repeated or was moved: the moves begin before it.
    """
    packets = info.packets
    if not seeks or packets.has_decoding_times:
        return []
    places = []
    for key in packets.keyframes:
        at = bisect.bisect_left(packets.pts, key)
        if at > 0 and packets.pts[at : at + 2].count(key) == 1 and shown[at] == key:
            places.append(at)
    return places


def _last_before(entries: Sequence[int], start: int | None) -> int | None:
    """Give the last entry at or before `start`; None where that is the start of the stream."""
    at = bisect.bisect_right(entries, start) if start is not None else 0
    return entries[at - 1] if at else None
