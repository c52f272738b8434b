"""What of a source is not in its result, property by property, by `reading.py` alone. Imports nothing of vsr.

`checked` gives, for each property that the source has, how the result differs in it: "" where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.matrix.reading import Look, Plane, Shown, Track, look, rgb, sound

PROPERTIES = (
    "frames", "times", "start", "last duration", "picture", "size", "depth", "alpha", "colour tags", "HDR10 metadata",
    "aspect ratio", "rotation and mirror", "sound", "subtitles", "data and other video", "cover", "attachments",
    "in step", "languages", "titles", "dispositions", "chapters", "metadata", "timecode", "captions",
)  # fmt: skip

_TEXT = {"srt", "subrip", "ass", "ssa", "mov_text", "webvtt", "text"}
_LOSSLESS = ("pcm_", "flac", "alac", "wavpack", "tta")
_SHOWN_FLAGS = frozenset({"default", "forced"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for beside a larger picture.

    scale, size: of the picture. fields: frames of the result for each of the source. start, stop: seconds from the
    source's first frame. mean, bias: greatest mean error of a picture and mean shift of a plane, in 8-bit codes.
    """

    scale: Fraction = Fraction(2)
    size: tuple[int, int] | None = None
    fields: int = 1
    start: Fraction = Fraction(0)
    stop: Fraction | None = None
    is_turned: bool = False
    has_square_pixels: bool = False
    has_sound: bool = True
    mean: float = 2.0
    bias: float = 1.0


_PLAIN = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    a: Look
    b: Look
    paths: tuple[Path, Path]
    asked: Asked
    kept: tuple[Shown, ...]  # the source's frames that were asked for

    @property
    def half(self) -> Fraction:
        return max(self.a.tick, self.b.tick) / 2

    @property
    def cut(self) -> Fraction:
        """Seconds by which everything that is kept moves, because a part was cut off in front."""
        return (_begin(self.kept) or Fraction(0)) if self.asked.start else Fraction(0)

    @property
    def shift(self) -> Fraction:
        """Seconds by which the result's pictures are later than they were to be."""
        a, b = _begin(self.kept), _begin(self.b.frames)
        return b - (a - self.cut) if a is not None and b is not None else Fraction(0)


def checked(source: Path, result: Path, asked: Asked = _PLAIN) -> dict[str, str]:
    """Compare a result with its source."""
    a = look(source)
    b = look(result, a.grid if not asked.is_turned else a.grid[::-1])
    return compared(a, b, (source, result), asked)


def compared(a: Look, b: Look, paths: tuple[Path, Path], asked: Asked) -> dict[str, str]:
    """Compare two files that were looked at."""
    begin = _begin(a.frames) or Fraction(0)
    kept = tuple(
        frame
        for frame in a.frames
        if frame.time is None
        or (frame.time >= begin + asked.start and (asked.stop is None or frame.time < begin + asked.stop))
    )
    pair = _Pair(a=a, b=b, paths=paths, asked=asked, kept=kept)
    found = dict(_pictures(pair))
    found |= dict(_shape(pair))
    found |= dict(_streams(pair))
    found |= dict(_words(pair))
    return {name: found[name] for name in PROPERTIES if name in found}


def _pictures(pair: _Pair) -> Iterator[tuple[str, str]]:
    a, b, asked, kept = pair.a, pair.b, pair.asked, pair.kept
    want, got = len(kept) * asked.fields, len(b.frames)
    yield "frames", "" if want == got else f"{want} -> {got}"
    if want != got or not kept:
        return
    half = pair.half
    if all(frame.time is not None for frame in (*kept, *b.frames)):
        yield "start", "" if abs(pair.shift) <= half else f"{_seconds(pair.shift)} later"
        shift = pair.shift if abs(pair.shift) > half else Fraction(0)
        # Where a file knows only decoding times, what FFmpeg gives the frames does not rise: the n-th takes the n-th.
        mine = sorted(frame.time for frame in kept if frame.time is not None)
        theirs = [frame.time for frame in b.frames[:: asked.fields] if frame.time is not None]
        off = [abs(x - pair.cut + shift - y) for x, y in zip(mine, theirs, strict=True)]
        worst = max(off)
        yield "times", "" if worst <= half else f"frame {off.index(worst)} is {_seconds(worst)} off"
    if a.last_durations and asked.stop is None and not a.trouble:
        yield "last duration", _compare_ends(pair)
    yield "picture", _compare_pictures(pair)
    if any(frame.captions for frame in kept):
        same = [x.captions == y.captions for x, y in zip(kept, b.frames[:: asked.fields], strict=True)]
        yield "captions", "" if all(same) else f"gone or changed in {same.count(False)} frames"


def _compare_ends(pair: _Pair) -> str:
    a, b, fields = pair.a.last_durations, pair.b.last_durations, pair.asked.fields
    limit = 2 * pair.half + (a[0] / 2 if fields > 1 else 0)
    if any(abs(x / fields - y) <= limit for x in a for y in b):
        return ""
    return f"{_seconds(a[0] / fields)} -> {_seconds(b[0]) if b else 'none'}"


def _compare_pictures(pair: _Pair) -> str:
    """Hold each picture's means against its source's; in the samples as they are where both mean the same by them."""
    a, b, asked = pair.a, pair.b, pair.asked
    is_alike = a.meaning == b.meaning and not asked.is_turned
    worst, where, drift = 0.0, 0, 0.0
    for number, (x, y) in enumerate(zip(pair.kept, b.frames[:: asked.fields], strict=True)):
        if is_alike:
            mean = float(np.abs(y.fine - x.fine).mean()) * 256
            tints = [float((q - p).mean()) * 256 for p, q in zip(x.coarse, y.coarse, strict=True)]
        else:
            off = _rgb(y, b) - _turned(_rgb(x, a), a.turn if asked.is_turned else ())
            mean, tints = float(np.abs(off).mean()) * 256, [float(t) * 256 for t in off.mean(axis=(1, 2))]
        if mean > worst:
            worst, where = mean, number
        drift = max([drift, *map(abs, tints)])
    if worst > asked.mean:
        return f"frame {where} differs by {worst:.2f} codes in the mean"
    return f"colours shift by {drift:.2f} codes" if drift > asked.bias else ""


def _rgb(frame: Shown, seen: Look) -> Plane:
    return rgb(frame.coarse, seen)


def _turned(planes: NDArray[np.float64], turn: tuple[int, ...]) -> NDArray[np.float64]:
    """Show planes as a display matrix a b c d says: (x, y) goes to (a x + c y, b x + d y), y pointing down."""
    if not turn:
        return planes
    a, b, c, d = turn
    if a == d == 0:
        planes, a, d = planes.swapaxes(1, 2), c, b
    if a < 0:
        planes = planes[:, :, ::-1]
    return planes[:, ::-1] if d < 0 else planes


def _shape(pair: _Pair) -> Iterator[tuple[str, str]]:
    a, b, asked = pair.a, pair.b, pair.asked
    width, height = a.size
    is_quarter = bool(a.turn) and a.turn[0] == 0
    wide = a.sar if asked.has_square_pixels else Fraction(1)
    want = asked.size or (round(width * asked.scale * wide), round(height * asked.scale))
    if asked.is_turned and is_quarter and not asked.size:
        want = want[::-1]
    yield "size", "" if want == b.size else f"{want[0]}x{want[1]} -> {b.size[0]}x{b.size[1]}"
    shown_a, shown_b = a.sar * Fraction(width, height), b.sar * Fraction(*b.size)
    if asked.is_turned and is_quarter:
        shown_a = 1 / shown_a
    fits = abs(shown_a / shown_b - 1) < Fraction(1, 200)
    yield "aspect ratio", "" if fits else f"{float(shown_a):.4f} -> {float(shown_b):.4f}"
    yield "depth", "" if b.depth >= a.depth else f"{a.depth} -> {b.depth} bits"
    if a.has_alpha:
        yield "alpha", "" if b.has_alpha else "gone"
    if a.turn and a.turn != (1, 0, 0, 1):
        want_turn = () if asked.is_turned else a.turn
        same = b.turn == want_turn or (not want_turn and b.turn == (1, 0, 0, 1))
        yield "rotation and mirror", "" if same else f"{a.turn} -> {b.turn}"
    off = [
        f"{name} {getattr(a.colour, name)} -> {getattr(b.colour, name)}"
        for name, silent in (("matrix", 2), ("range", 0), ("primaries", 2), ("transfer", 2))
        if getattr(a.colour, name) not in (silent, getattr(b.colour, name))
        and not (name == "matrix" and getattr(a.colour, name) == 0)  # RGB: the result is Y'CbCr of some matrix
        and not (name == "matrix" and {a.colour.matrix, b.colour.matrix} == {5, 6})  # two names of one matrix
    ]
    yield "colour tags", ", ".join(off)
    if a.hdr:
        yield "HDR10 metadata", _compare_hdr(a, b)


def _compare_hdr(a: Look, b: Look) -> str:
    """The codecs count chromaticity in 1/50000 or 1/65536, luminance in 1/10000 or 1/256 and 1/16384."""
    said = []
    for name, numbers in a.hdr.items():
        other = b.hdr.get(name)
        if other is None:
            said.append(f"{name} is gone")
        elif max(abs(x - y) - abs(x) / 200 for x, y in zip(numbers, other, strict=True)) > Fraction(1, 4000):
            said.append(f"{name} is another")
    return ", ".join(said)


def _streams(pair: _Pair) -> Iterator[tuple[str, str]]:
    kinds = {"audio": "sound", "subtitle": "subtitles", "cover": "cover", "data": "data and other video"}
    moved: list[str] = []
    matches: list[tuple[Track, Track]] = []
    for kind, name in kinds.items():
        ours = [t for t in pair.a.tracks if _kind(t) == kind and t.packets and not t.is_timecode]
        if not ours or (kind == "audio" and not pair.asked.has_sound):
            continue
        theirs = [t for t in pair.b.tracks if _kind(t) == kind]
        said = []
        for track in ours:
            match = next((t for t in theirs if _is_same(track, t, pair)), None)
            if match is None:
                said.append(f"{track.codec} {track.language}".strip())
                continue
            theirs.remove(match)
            matches.append((track, match))
            moved += _moved(track, match, pair)
        yield name, f"not there as it was: {', '.join(said)}" if said else ""
    if any(not track.is_cover for track, _ in matches):
        yield "in step", "; ".join(moved)
    if pair.a.files:
        names = {name for _, name in pair.b.files}
        gone = [name for name, digest in pair.a.files if digest not in names]
        yield "attachments", f"gone: {', '.join(gone)}" if gone else ""
    yield from _called(pair, matches)


def _called(pair: _Pair, matches: Sequence[tuple[Track, Track]]) -> Iterator[tuple[str, str]]:
    spoken = [(x.language, y.language) for x, y in matches if x.language]
    if pair.a.language not in ("", "und"):
        spoken.append((pair.a.language, pair.b.language))
    if spoken:
        yield "languages", ", ".join(f"{x} -> {y or 'none'}" for x, y in spoken if x != y)
    titled = [(x.title, y.title) for x, y in matches if x.title]
    if titled:
        yield "titles", ", ".join(f"{x!r} -> {y!r}" for x, y in titled if x != y)
    flagged = [(x.flags, y.flags) for x, y in matches if x.flags and not x.is_cover]
    if flagged:
        yield "dispositions", ", ".join(f"{sorted(x)} -> {sorted(y)}" for x, y in flagged if not x <= y)


def _kind(track: Track) -> str:
    return "cover" if track.is_cover else "data" if track.kind in ("data", "video") else track.kind


def _is_same(ours: Track, theirs: Track, pair: _Pair) -> bool:
    """Whether all that was to be kept of a stream is in another: packet by packet, or in words, or in samples."""
    begin = _begin(pair.a.frames) or Fraction(0)
    is_cut = bool(pair.asked.start) or pair.asked.stop is not None
    mine, other = [p[2] for p in ours.packets], [p[2] for p in theirs.packets]
    if is_cut:
        first, last = begin + pair.asked.start, begin + pair.asked.stop if pair.asked.stop is not None else None
        sure = [
            p[2] for p in ours.packets if p[0] is not None and first <= p[0] and (last is None or p[0] + p[1] <= last)
        ]
        return _within(sure, other) and _within(other, mine)
    if mine == other:
        return True
    if ours.codec in _TEXT and theirs.codec in _TEXT and ours.codec != theirs.codec:
        return [p[3] for p in ours.packets if p[3]] == [p[3] for p in theirs.packets if p[3]]
    if ours.codec != theirs.codec and all(track.codec.startswith(_LOSSLESS) for track in (ours, theirs)):
        x, y = sound(pair.paths[0], ours.index), sound(pair.paths[1], theirs.index)
        return x.shape == y.shape and bool(np.abs(x - y).max(initial=0) <= 2.0**-23)
    return False


def _within(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether one run of packets lies in another without a break."""
    size = len(few)
    return any(list(many[k : k + size]) == list(few) for k in range(len(many) - size + 1))


def _moved(ours: Track, theirs: Track, pair: _Pair) -> list[str]:
    """Hold a stream's times against the pictures': what moved by more than half a tick of the coarser clock.

    The video's own first time is rounded by as much: the sum of both is the limit of what is between them.
    """
    limit = max(ours.tick, theirs.tick) / 2
    shift = pair.shift if abs(pair.shift) > pair.half else Fraction(0)
    places = {p[2]: p[0] for p in theirs.packets if p[0] is not None}
    if ours.codec in _TEXT and ours.codec != theirs.codec:
        places = {p[3]: p[0] for p in theirs.packets if p[0] is not None}
    elif ours.codec != theirs.codec:
        return _first_moved(ours, theirs, pair, limit)
    if ours.is_cover:
        return []
    off = []
    for time, _, digest, text in ours.packets:
        there = places.get(text if ours.codec != theirs.codec else digest)
        if time is not None and there is not None and len({p[2] for p in ours.packets}) == len(ours.packets):
            off.append(abs(time - pair.cut + shift - there))
    worst = max(off, default=Fraction(0))
    return [f"{ours.kind} {ours.index} moved by {_seconds(worst)}"] if worst > limit else []


def _first_moved(ours: Track, theirs: Track, pair: _Pair, limit: Fraction) -> list[str]:
    x, y = ours.packets[0][0], theirs.packets[0][0]
    if x is None or y is None or pair.asked.start:
        return []
    shift = pair.shift if abs(pair.shift) > pair.half else Fraction(0)
    off = abs(x + shift - y)
    return [f"{ours.kind} {ours.index} begins {_seconds(off)} off"] if off > limit else []


def _words(pair: _Pair) -> Iterator[tuple[str, str]]:
    a, b = pair.a, pair.b
    if a.chapters and not pair.asked.start and pair.asked.stop is None:
        yield "chapters", _compare_chapters(pair)
    if a.metadata:
        gone = [name for name, value in a.metadata.items() if b.metadata.get(name) != value]
        yield "metadata", f"gone or changed: {', '.join(gone)}" if gone else ""
    if a.timecode:
        yield "timecode", "" if a.timecode == b.timecode else f"{a.timecode} -> {b.timecode or 'none'}"


def _compare_chapters(pair: _Pair) -> str:
    mine, theirs = pair.a.chapters, pair.b.chapters
    if [c[2] for c in mine] != [c[2] for c in theirs]:
        return f"{len(mine)} -> {len(theirs)}, or other titles"
    shift = pair.shift if abs(pair.shift) > pair.half else Fraction(0)
    off = max(abs(x[0] + shift - y[0]) for x, y in zip(mine, theirs, strict=True))
    return "" if off <= Fraction(1, 1000) else f"moved by {_seconds(off)}"


def _begin(frames: Sequence[Shown]) -> Fraction | None:
    return frames[0].time if frames else None


def _seconds(value: Fraction) -> str:
    return f"{float(value):.6f} s"
