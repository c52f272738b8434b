"""Every media file of a folder through `vsr upscale`, `vsr verify` and a checker that shares nothing with vsr.

    python -m tests.fidelity FOLDER [--model nearest] [--scale 1] [--keep DIR] [--limit 300] [--page FILE]

prints a table in Markdown, a line a file: what it is, what became of it (or the refusal, with its exit code), what was
said to be lost, what `vsr verify` says and what `tests/matrix/checker.py` finds. A folder of pictures counts as one
file. Exit 0 when every file ends in an output that both find faithful, or in a refusal: exit code 1 is a bug, never a
refusal.
"""

from __future__ import annotations

import argparse
import itertools
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2

from tests.faults.forks import Forks
from tests.matrix.checker import Asked, compared
from tests.matrix.reading import Look, look

KEPT = {".mp4", ".mov", ".mkv", ".webm", ".ts", ".m4v"}
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp"}
LEFT = {".md", ".txt", ".json", ".sha256"}
REFUSALS = {2, 3, 6}
"""Exit codes of what cannot be done; the others are faults of a model, a device, a job, or of vsr."""


@dataclass(kw_only=True)
class Row:
    file: str
    what: str
    result: str
    verify: str
    independent: str
    is_good: bool
    warnings: list[str] = field(default_factory=list)

    def line(self) -> str:
        cells = (self.file, self.what, self.result, self.verify, self.independent)
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


HEAD = "| File | What it is | Result | `vsr verify` | Independent check |\n|---|---|---|---|---|"


def compare(source: Path, result: Path, *, scale: Fraction = Fraction(2)) -> list[str]:
    """Give what of frames, times, streams and chapters is not as it was, in words; empty where all of it is."""
    names = ("frames", "times", "start", "sound", "subtitles", "in step", "chapters")
    a = look(source)
    found = compared(a, look(result, a.grid), (source, result), Asked(scale=scale))
    return [f"{name}: {found[name]}" for name in names if found.get(name)]


def entries(folder: Path) -> list[Path]:
    """Give the media of a folder: files, and folders of pictures."""
    return sorted(
        path for path in folder.iterdir() if path.is_dir() or (path.suffix.lower() not in LEFT and path.is_file())
    )


def row(forks: Forks, path: Path, out: Path, words: Sequence[str], *, scale: Fraction, limit_s: float) -> Row:
    """Send one source through; give its line."""
    seen = _look(path)
    what = describe(seen) if seen is not None else _what(path)
    suffix = path.suffix.lower()
    result = out / (path.name if suffix in KEPT or path.is_dir() else f"{path.name}.mkv")
    try:
        code, events, err = _vsr(forks, ["upscale", path, "-o", result, *words, "--overwrite", "--json"], limit_s)
    except TimeoutError:
        return Row(file=path.name, what=what, result=f"**took more than {limit_s:g} s**", verify="-", independent="-",
                   is_good=False)  # fmt: skip
    if code:
        return _refused(path, what, result, code, events, err)
    warnings = [str(text) for text in (events[-1].get("warnings") or [])] if events else []
    said = "; ".join(_shortened(text) for text in warnings)
    verified = _verified(forks, path, result, limit_s)
    if seen is None or result.is_dir():
        made, counted = _counted(path, result)
        return Row(
            file=path.name,
            what=what,
            result=f"{made}{'; ' if said else ''}{said}",
            verify=verified,
            independent=counted,
            is_good=verified == "holds" and not counted.startswith("**"),
            warnings=warnings,
        )
    given = look(result, seen.grid)
    bias = 0.5 if seen.family == given.family else 1.5  # of a palette's colours half the chroma samples go
    found = compared(seen, given, (path, result), Asked(scale=scale, mean=3.0, bias=bias))
    if result.suffix == ".ts":
        found.pop("last duration", None)  # MPEG-TS has none: what a reader says is a guess
    broken = {name: how for name, how in found.items() if how and not _is_told(name, warnings)}
    lost = [name for name, how in found.items() if how and name not in broken]
    judged = "; ".join(f"**{name}**: {how}" for name, how in broken.items()) or f"{len(found) - len(lost)} hold"
    if lost:
        judged += f", {len(lost)} lost as told ({', '.join(lost)})"
    return Row(
        file=path.name,
        what=what,
        result=f"{len(given.frames)} frames, {len(given.tracks) + len(given.files)} other streams"
        + (f"; {said}" if said else ""),
        verify=verified,
        independent=judged,
        is_good=not broken and verified == "holds",
        warnings=warnings,
    )


def _counted(path: Path, result: Path) -> tuple[str, str]:
    """Compare how many pictures there are, and of an animation their times, by OpenCV: FFmpeg reads no such source."""
    if path.is_dir():
        want = sum(file.suffix.lower() in IMAGES for file in path.iterdir())
        got = len(list(result.iterdir())) if result.is_dir() else len(look(result).frames)
        return f"{got} pictures", "as many pictures" if got == want else f"**{want} pictures -> {got}**"
    animation = cv2.imreadanimation(str(path))[1]
    times = [frame.time for frame in look(result).frames]
    steps = [round(1000 * (b - a)) for a, b in itertools.pairwise(times) if a is not None and b is not None]
    is_same = len(times) == len(animation.frames) and steps == list(animation.durations)[: len(steps)]
    said = "as many frames, the same times" if is_same else f"**{list(animation.durations)} ms -> {steps}**"
    return f"{len(times)} frames", said


_TOLD = {
    "data and other video": ("data", "stream"), "sound": ("audio", "sound", "stream"), "alpha": ("alpha",),
    "rotation and mirror": ("rotat", "mirror", "turn"), "HDR10 metadata": ("HDR", "mastering", "light"),
    "captions": ("caption",), "start": ("starts", "before zero"), "times": ("one tick", "times"),
    "subtitles": ("subtitle",), "cover": ("cover",), "attachments": ("attachment",), "chapters": ("chapter",),
    "metadata": ("metadata",), "timecode": ("timecode",), "colour tags": ("colour", "players will guess"),
    "aspect ratio": ("aspect",), "depth": ("bits",), "last duration": ("duration",),
    "titles": ("title",), "dispositions": ("disposition", "marked"), "languages": ("language",),
}  # fmt: skip


def _is_told(name: str, warnings: Sequence[str]) -> bool:
    """Whether the user was told of a loss: a word of it stands in a warning."""
    return any(word in text for text in warnings for word in _TOLD.get(name, ()))


def _refused(path: Path, what: str, result: Path, code: int, events: Sequence[dict[str, object]], err: str) -> Row:
    lines = [line for line in err.splitlines() if line.strip()]
    told = next((line for line in lines if line.startswith("error")), lines[-1] if lines else "nothing said")
    for event in events:
        if event.get("event") == "error":
            told = str(event.get("message", told))
    is_clean = not result.exists()
    words = _shortened(told.removeprefix("error: "), 300)
    return Row(
        file=path.name,
        what=what,
        result=f"refused, exit {code}: {words}"
        if is_clean
        else f"**exit {code}, but {result.name} is there**: {words}",
        verify="-",
        independent="-",
        is_good=code in REFUSALS and is_clean,
    )


def _vsr(forks: Forks, words: Sequence[object], limit_s: float) -> tuple[int, list[dict[str, Any]], str]:
    """Run the command line; give its exit code, its events and its errors.

    Raises:
        TimeoutError: it took longer.
    """
    try:
        ended = forks.end(forks.start(words), longest_s=limit_s)
    except AssertionError:
        raise TimeoutError from None
    return ended.code, ended.events, ended.err


def _verified(forks: Forks, path: Path, result: Path, limit_s: float) -> str:
    """Ask `vsr verify`; give "holds", or what it says."""
    try:
        code, events, err = _vsr(forks, ["verify", path, result, "--json"], limit_s)
    except TimeoutError:
        return f"**took more than {limit_s:g} s**"
    if code == 0:
        return "holds"
    said = [str(event["message"]) for event in events if "message" in event]
    for event in events:
        found = event.get("findings")
        broken = [f for f in found if f["state"] == "broken"] if isinstance(found, list) else []
        said = [f"{f['check']}: {f['detail']}" for f in broken] or said
    return f"**exit {code}**: {_shortened('; '.join(said) or err[-200:], 300)}"


def _look(path: Path) -> Look | None:
    """Read a source; None where PyAV alone reads none of its pictures: folders, animated WebP, no video at all."""
    if path.is_dir():
        return None
    try:
        seen = look(path)
    except (av.FFmpegError, IndexError, StopIteration):
        return None
    return seen if seen.frames else None


def describe(seen: Look) -> str:
    """Say in few words what a file is."""
    size = f"{seen.size[0]}x{seen.size[1]}"
    codecs = ", ".join(t.codec or t.kind for t in seen.tracks if not t.is_cover)
    extra = [
        f"SAR {seen.sar}" if seen.sar != 1 else "",
        "turned" if seen.turn and seen.turn != (1, 0, 0, 1) else "",
        "interlaced" if any(frame.is_interlaced for frame in seen.frames) else "",
        "HDR10" if seen.hdr else "",
        "captions" if any(frame.captions for frame in seen.frames) else "",
        f"{len(seen.chapters)} chapters" if seen.chapters else "",
        f"{len(seen.files)} attachments" if seen.files else "",
        f"starts at {float(seen.frames[0].time):.3f} s" if seen.frames[0].time else "",
        f"damaged ({seen.trouble})" if seen.trouble else "",
    ]
    kind = seen.container.split(",")[0]
    text = f"{kind}, {size} {seen.format}, {len(seen.frames)} frames" + (f", {codecs}" if codecs else "")
    return ", ".join([text, *(word for word in extra if word)])


def _what(path: Path) -> str:
    if path.is_dir():
        return f"folder of {len(list(path.iterdir()))} pictures"
    try:
        with av.open(str(path)) as container:
            return (
                f"{container.format.name}: {', '.join(s.type for s in container.streams) or 'no streams'}, no pictures"
            )
    except av.FFmpegError as error:
        return f"not read by FFmpeg: {error.strerror}"


def _shortened(text: str, most: int = 160) -> str:
    plain = re.sub(r"(?<![\w.-])/[^\s:;,']*/", "", text)
    return plain if len(plain) <= most else plain[: most - 3] + "..."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="nearest")
    parser.add_argument("--keep", type=Path, help="keep the results here")
    parser.add_argument("--scale", default="1")
    parser.add_argument("--limit", type=float, default=300, help="seconds that one command may take")
    parser.add_argument("--page", type=Path, help="write the table here too")
    args = parser.parse_args()
    words = ["-m", args.model, "-s", args.scale]
    table: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        out = (args.keep or Path(temporary)).absolute()
        out.mkdir(parents=True, exist_ok=True)
        (runs := Path(temporary) / "runs").mkdir()
        forks = Forks(runs)
        print(HEAD)
        for path in entries(args.folder):
            found = row(forks, path.absolute(), out, words, scale=Fraction(args.scale), limit_s=args.limit)
            table.append(found)
            print(found.line(), flush=True)
        forks.close()
    bad = [found.file for found in table if not found.is_good]
    foot = f"{len(table)} entries, {len(table) - len(bad)} as they should be" + (
        f"; look at: {', '.join(bad)}" if bad else ""
    )
    print(f"\n{foot}")
    if args.page:
        args.page.write_text("\n".join([HEAD, *(found.line() for found in table), "", foot, ""]), encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
