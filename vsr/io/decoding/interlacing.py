"""How the lines of a video's frames belong together: whole frames, two fields of two moments, or telecined film.

The frames' flags are the first witness, a look at the content of a bounded sample is the second: encoders lose flags,
and whole frames of film travel under the flags of interlaced video.

The look is that of FFmpeg's `idet` filter: each line is held against its neighbours in the frame itself, and against
the same neighbours after its field was swapped for that of the frame before or after. In frames of two moments, where
the top field is the earlier, the bottom lines of the frame before and the top lines of the frame after are one moment
away from the lines around them, the other lines three. `idet` sums over the whole picture, where a hard horizontal edge
that rises or falls looks the same, and so do noise and text at times; here only pixels count that move and stand in a
comb of six lines, and the fields must speak for one order in frame after frame.
"""

from __future__ import annotations

import bisect
import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from vsr.core.errors import DecodeError, InputLimits
from vsr.core.frame import Frame
from vsr.core.media import FieldOrder, Interlacing, MediaInfo, Span
from vsr.io.base import DecodeTally
from vsr.io.decoding.decode import PyavSource
from vsr.io.images.animations import CONTAINER as ANIMATION
from vsr.io.limits import MAX_PIXELS

FRAMES = 36  # looked at in all
MOST_LINES = 1152  # no interlaced system has more; taller pictures are not looked at
_PLACES = (Fraction(0), Fraction(1, 2), Fraction(3, 4))  # of the file, each from a keyframe on
_COLUMNS = 320  # looked at in a picture: lines matter, columns are as many samples of them
_LEAST_LINES = 16
_COMB = 16  # of 8 bits: how far 2 x line - line above - line below goes where a line stands out
_MOVED = 8  # of 8 bits: above the noise of a codec
_LEAST = 48  # pixels of evidence in a frame ...
_SHARE = 1 / 4000  # ... and of all its pixels
_ONE_SIDED = 1.1  # how much more three moments differ than one; where few pixels tell, more: noise has sides by chance

Look = Literal["tff", "bff", "combed", "whole", "still"]
Repeated = Literal["top", "bottom", ""]
Luma = NDArray[np.int16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One frame between its neighbours.

    look: combed in one order, combed without one, whole although it moves, or nothing that tells. repeated: the field
    that is that of the frame before while the other moves on.
    """

    look: Look = "still"
    repeated: Repeated = ""


def detect(info: MediaInfo, *, max_pixels: int = MAX_PIXELS, frames: int = FRAMES) -> Interlacing:
    """Tell how the lines of a video belong together, by its flags and by `frames` of its frames, which are decoded.

    What cannot be decoded is not looked at: whoever decodes it says so. Flags decide where nothing moves. Whole frames
    under the flags of interlaced video are `progressive`, with the order that the flags claim.

    Raises:
        InputMissing, NotMedia: the file has gone or become another.
    """
    told = flagged(info)
    if info.kind != "video" or info.container == ANIMATION or not _LEAST_LINES <= info.video.height <= MOST_LINES:
        return told
    return decide([list(_seen(run)) for run in _runs(info, max_pixels, frames)], told, film=_film_by_times(info))


def flagged(info: MediaInfo) -> Interlacing:
    """Tell what the flags of the first frame say."""
    video = info.video
    if info.kind != "video" or not video.is_interlaced:
        return Interlacing()
    return Interlacing(
        kind="interlaced", order=video.field_order, evidence="flags", detail=f"flagged{_words(video.field_order)}"
    )


def decide(runs: Sequence[Sequence[Seen]], told: Interlacing, *, film: str = "") -> Interlacing:
    """Weigh what was seen in runs of consecutive frames against what flags say. film: how times tell of telecine."""
    count = Counter(seen.look for run in runs for seen in run)
    votes, whole = count["tff"] + count["bff"], count["whole"]
    order: FieldOrder = "tff" if count["tff"] >= count["bff"] else "bff"
    is_one = max(count["tff"], count["bff"]) >= 0.9 * votes
    moving = f"{votes} of {votes + whole + count['combed']} moving frames combed"
    is_flagged = told.kind == "interlaced"
    if votes >= 2 and is_one and _has_cadence(runs):
        detail = f"3:2 pulldown,{_words(order)}: {moving}"
        return Interlacing(kind="telecined", order=order, evidence="content", detail=detail)
    if votes >= (2 if is_flagged else 4) and is_one and (is_flagged or 4 * votes >= votes + whole):
        said = "" if told.order in ("", order) else f", although flagged{_words(told.order)}"
        detail = f"{moving},{_words(order)}{said}"
        return Interlacing(kind="interlaced", order=order, evidence="flags" if is_flagged else "content", detail=detail)
    if film and not is_flagged:
        return Interlacing(kind="telecined", evidence="flags", detail=film)
    repeats = any(seen.repeated for run in runs for seen in run)  # of one field alone: no whole frames do that
    if is_flagged and whole >= 6 and not votes and not repeats and whole >= 4 * count["combed"]:
        detail = f"flagged as interlaced, but all {whole} moving frames are whole"
        return Interlacing(kind="progressive", order=told.order, evidence="content", detail=detail)
    if is_flagged:
        return told
    return Interlacing(evidence="content" if whole else "none", detail=f"{whole} moving frames whole" if whole else "")


def look(before: Luma, luma: Luma, after: Luma) -> Seen:
    """Look at a frame between its neighbours, each (H, W) of luma in 8 bits."""
    around = luma[:-2] + luma[2:]
    comb = 2 * luma[1:-1] - around
    with_before = np.abs(2 * before[1:-1] - around)
    with_after = np.abs(2 * after[1:-1] - around)
    moved_before, moved_after = np.abs(luma - before) > _MOVED, np.abs(luma - after) > _MOVED
    moving = (moved_before | moved_after)[1:-1]
    least = max(_LEAST, int(luma.size * _SHARE))
    repeated = _repeated(moved_before, least)
    if np.count_nonzero(moving) < least:
        return Seen(repeated=repeated)
    combed = _combs(comb) & moving
    teeth = int(np.count_nonzero(combed))
    if teeth >= least:
        # No pixel speaks louder than its own comb: at a hard edge that passes, noise would speak with the edge's voice.
        most = np.abs(comb) + np.abs(comb) // 2
        early, late = _swapped(np.minimum(with_before, most), np.minimum(with_after, most), combed)
        is_far = max(early, late) > _COMB * teeth
        if is_far and max(early, late) >= (_ONE_SIDED + 6 / teeth**0.5) * min(early, late):
            return Seen(look="tff" if early > late else "bff", repeated=repeated)
        return Seen(look="combed", repeated=repeated)
    own = float(np.abs(comb)[moving].sum(dtype=np.int64))
    is_whole = own < 0.7 * min(_swapped(with_before, with_after, moving))
    return Seen(look="whole" if is_whole else "still", repeated=repeated)


def _combs(comb: Luma) -> NDArray[np.bool_]:
    """Mark the two middle lines wherever six lines in a row stand out, up and down in turn."""
    far = np.abs(comb) > _COMB
    turns = far[:-1] & far[1:] & ((comb[:-1] ^ comb[1:]) < 0)
    run = turns[:-4] & turns[1:-3] & turns[2:-2] & turns[3:-1] & turns[4:]
    marked = np.zeros(comb.shape, np.bool_)
    marked[2:-3] |= run
    marked[3:-2] |= run
    return marked


def _swapped(before: Luma, after: Luma, where: NDArray[np.bool_]) -> tuple[float, float]:
    """Give how far lines are from their neighbours after swaps, which are three moments for `tff` and for `bff`.

    Row 0 is line 1 of the picture, a line of the bottom field.
    """
    of_before, of_after = before * where, after * where
    tff = of_before[1::2].sum(dtype=np.int64) + of_after[0::2].sum(dtype=np.int64)
    bff = of_before[0::2].sum(dtype=np.int64) + of_after[1::2].sum(dtype=np.int64)
    return float(tff), float(bff)


def _repeated(moved: NDArray[np.bool_], least: int) -> Repeated:
    top, bottom = int(np.count_nonzero(moved[0::2])), int(np.count_nonzero(moved[1::2]))
    if 2 * max(top, bottom) < least or 8 * min(top, bottom) > max(top, bottom):
        return ""
    return "top" if top < bottom else "bottom"


def _has_cadence(runs: Sequence[Sequence[Seen]]) -> bool:
    """Whether fields are those of 3:2 pulldown: what is at one place of five frames is there in the next five too."""
    return _repeats_in_turn(runs) or _combs_in_turn(runs)


def _repeats_in_turn(runs: Sequence[Sequence[Seen]]) -> bool:
    """Whether one field of each parity is repeated in every five frames."""
    found = 0
    for run in runs:
        places = {field: [at for at, seen in enumerate(run) if seen.repeated == field] for field in ("top", "bottom")}
        if any(len({at % 5 for at in ats}) > 1 for ats in places.values()):
            return False
        found += min(len(ats) for ats in places.values())
    return found >= 2


def _combs_in_turn(runs: Sequence[Sequence[Seen]]) -> bool:
    """Whether of five frames one or two neighbours are combed and the others whole: codecs blur what is repeated."""
    found = 0
    for run in runs:
        combed = [at % 5 for at, seen in enumerate(run) if seen.look in ("tff", "bff")]
        whole = {at % 5 for at, seen in enumerate(run) if seen.look == "whole"}
        places = set(combed)
        if places & whole or len(places) > 2 or (len(places) == 2 and max(places) - min(places) not in (1, 4)):
            return False
        found += len(combed) if len(whole) >= 3 else 0
    return found >= 3


def _film_by_times(info: MediaInfo) -> str:
    """Tell of whole frames that are shown for three and two fields in turn ("soft" telecine of MPEG-2)."""
    steps = info.packets.durations[:-1]
    if info.video.codec not in ("mpeg2video", "mpeg1video") or len(steps) < 8:
        return ""
    pairs = list(pairwise(steps))
    fits = sum(min(pair) >= 16 and abs(2 * max(pair) - 3 * min(pair)) <= 4 for pair in pairs)
    is_film = 10 * fits >= 9 * len(pairs)
    return f"whole frames, shown for three and two fields in turn ({fits} of {len(pairs)} steps)" if is_film else ""


def _runs(info: MediaInfo, max_pixels: int, frames: int) -> Iterator[list[Luma]]:
    """Yield the luma of consecutive frames from a few places of the file."""
    keys = _keys(info)
    source = PyavSource(info=info, threads=min(4, os.cpu_count() or 1), max_pixels=max_pixels)
    for key in keys:
        taken: list[Luma] = []
        shown = source.frames(Span(start=key), seek=key, tally=DecodeTally())
        # What is broken here is broken for the run as well, which says so.
        with contextlib.suppress(DecodeError, InputLimits), contextlib.closing(shown):  # type: ignore[type-var]
            for frame in islice(shown, frames // len(keys)):
                if not frame.is_corrupt:
                    taken.append(_luma(frame))
        yield taken


def _keys(info: MediaInfo) -> list[int | None]:
    """Give the keyframes to begin at, None for the start; no two of them near enough to look at a frame twice."""
    packets = info.packets
    found: list[int | None] = [None]
    last = 0
    for place in _PLACES[1:] if packets.pts else ():
        key = bisect.bisect_right(packets.keyframes, packets.pts[int(len(packets.pts) * place)]) - 1
        at = bisect.bisect_left(packets.pts, packets.keyframes[key]) if key > 0 else 0
        if at >= last + FRAMES // len(_PLACES):
            found.append(packets.keyframes[key])
            last = at
    return found


def _luma(frame: Frame) -> Luma:
    plane = frame.planes[0][:, :: -(-frame.width // _COLUMNS)]
    return (plane >> max(0, frame.format.depth - 8)).astype(np.int16)


def _seen(run: Sequence[Luma]) -> Iterator[Seen]:
    for before, luma, after in zip(run, run[1:], run[2:], strict=False):
        yield look(before, luma, after)


def _words(order: FieldOrder) -> str:
    return {"tff": " top field first", "bff": " bottom field first", "": ""}[order]
