"""What the matrix found, as the table of `docs/fidelity.md`: `make fidelity` writes both.

Between two marks in the page stands what people wrote; it stays as it is.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from tests.matrix.checker import PROPERTIES

COLUMNS = ("mp4", "mov", "mkv", "webm", "avi", "ts")
LABELS = {
    "frames": "every frame, none twice",
    "times": "times of frames (variable rates, gaps, B-frames)",
    "start": "time of the first frame",
    "last duration": "duration of the last frame",
    "picture": "the picture itself, each frame in its place",
    "size": "the size asked for",
    "depth": "bits a sample",
    "alpha": "alpha channel",
    "colour tags": "colour tags: matrix, range, primaries, transfer",
    "HDR10 metadata": "HDR10: mastering display, light levels",
    "aspect ratio": "shape of the picture shown (sample aspect ratio)",
    "rotation and mirror": "rotation, mirroring",
    "sound": "sound, every stream",
    "subtitles": "subtitles, text and bitmap",
    "data and other video": "a second video",
    "cover": "cover picture",
    "attachments": "attachments (fonts)",
    "in step": "sound and subtitles in step with the picture",
    "languages": "languages",
    "titles": "titles of streams",
    "dispositions": "default, forced and other marks",
    "chapters": "chapters",
    "metadata": "title, artist and other metadata",
    "timecode": "timecode",
    "captions": "closed captions",
}
BEGIN, END = "<!-- by hand: begin -->", "<!-- by hand: end -->"

HEAD = """\
# What stays as it was

`vsr upscale` changes the resolution of a video and nothing else. This page says what that means for each container, and
how to prove it for a file of your own:

    vsr verify IN OUT

reads both files anew and compares frames, times, streams, colours, shape and metadata, and the pictures themselves. It
ends with exit code 0 when everything that the container can hold is there, and with 8 when something is not. `vsr
upscale --verify` does it before the result gets its name; `--json` gives it to machines. `vsr probe IN` says beforehand
what will become of each part of a file.

## What holds for which container

"""

LEGEND = """
**yes (n)**: the same in all of n inputs. **said (n)**: the container cannot hold it; a warning says so before the work
begins, `--strict` refuses it, and `.mkv` keeps it where anything does. **not held**: the container has no place for it,
and nothing of it is seen or heard. **open (n)**: differs, and should not, in n inputs. A dash: not among the inputs.

Made by `make fidelity` from {cases} generated inputs ({refused} of them rightly refused before any work), each upscaled
and held against its source by `vsr verify` and by a checker that shares no code with vsr (`tests/matrix`). Columns are
containers of results. Times are the same to half a tick of the coarser clock of the two; copied streams packet by
packet, bit by bit; converted text by its words, converted sound by its samples. Real files differ from generated ones:
`make media FOLDER=...` does the same with every file of a folder and prints what became of each.

"""

BY_HAND = f"""{BEGIN}
## Rules

(What is done with sizes, fields, bit rates and losses is written here by hand; the table above is not.)
{END}
"""


@dataclass(kw_only=True)
class Cell:
    """The inputs of one property in one container, by what became of it."""

    same: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    def text(self) -> str:
        parts = [f"yes ({len(self.same)})"] if self.same else []
        parts += [f"said ({len(self.said)})"] if self.said else []
        parts += ["not held"] if self.silent else []
        parts += [f"open ({len(self.open)})"] if self.open else []
        return ", ".join(parts) or "–"


def cells(log: Path) -> tuple[dict[tuple[str, str], Cell], int, int]:
    """Give the table's cells, and how many cases there are and were refused."""
    found: dict[tuple[str, str], Cell] = defaultdict(Cell)
    entries = {entry["case"]: entry for entry in map(json.loads, log.read_text(encoding="utf-8").splitlines())}
    for name, entry in sorted(entries.items()):
        for property_, how in entry["found"].items():
            cell = found[property_, entry["to"]]
            if not how:
                cell.same.append(name)
            elif property_ in entry["unsure"] or entry["lost"].get(property_) == "":
                cell.silent.append(name)
            elif property_ in entry["lost"]:
                cell.said.append(name)
            else:
                cell.open.append(name)
    refused = sum(bool(entry["refused"]) and not entry["faults"] for entry in entries.values())
    return found, len(entries), refused


def page(log: Path, before: str) -> str:
    """Give the whole page; what people wrote into the one before is kept."""
    found, cases, refused = cells(log)
    lines = ["| | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for property_ in PROPERTIES:
        row = [found[property_, column].text() if (property_, column) in found else "–" for column in COLUMNS]
        if any(text != "–" for text in row):
            lines.append(f"| {LABELS[property_]} | " + " | ".join(row) + " |")
    entries = map(json.loads, log.read_text(encoding="utf-8").splitlines())
    notes = [f"- {e['case']} ({e['to']}): {'; '.join(e['faults'])}" for e in entries if e["faults"]]
    notes = sorted(re.sub(r"(?<![\w.-])/[^\s:;,']*/", "", note) for note in notes)
    opened = "\n".join(["## Open", "", *notes, "", ""]) if notes else ""
    kept = BY_HAND
    if BEGIN in before and END in before:
        kept = before[before.index(BEGIN) : before.index(END) + len(END)] + "\n"
    return HEAD + "\n".join(lines) + "\n" + LEGEND.format(cases=cases, refused=refused) + opened + kept


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    before = given.page.read_text(encoding="utf-8") if given.page.exists() else ""
    given.page.write_text(page(given.log, before), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
