"""The book of the faults that were tried, as the table of `docs/reliability.md`: `make faults` writes both."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HEAD = """\
# What goes wrong, and what is lost

Made by `make faults` from what it has really tried; change the tests in `tests/faults`, not this file.

Each fault is planted in a real run of the command line, in a process of its own. Then, with the fault gone, **the same
command is run again**. A fault counts as survived if

- the run that met it either ended well with exactly the right bytes, or ended with an error that says what to do, and
  whatever stood at the destination before still stands there, whole;
- the second run ends with the bytes of a run that nothing disturbed, and leaves no work folder and no temporary file;
- no thread, open file or child process of either is left.

*Lost* counts the frames of the undisturbed result that are missing or different after the second run.

"""

TAIL = """
What is not in the table: a disk that says it has written what it has not; a machine whose memory flips bits while a
picture lies in it; two kinds of device, whose arithmetic rounds differently. Killed between the last two steps of
tidying up, a run leaves its result, whole, and an empty hidden folder beside it, and the same command then says that
the result exists.

`make soak` runs an hour of video through the program and holds memory, open files and threads against their start.
"""


@dataclass(kw_only=True)
class Row:
    times: int = 0
    lost: int = 0
    messages: Counter[str] = field(default_factory=Counter)


def rows(log: Path) -> dict[str, Row]:
    """Give what was noted, by fault, in the order of the alphabet."""
    found: dict[str, Row] = {}
    for line in log.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        row = found.setdefault(entry["fault"], Row())
        row.times += entry["times"]
        row.lost += entry["lost"]
        row.messages[_plain(entry["message"])] += 1
    return dict(sorted(found.items()))


def page(found: dict[str, Row]) -> str:
    """Give the whole page."""
    lines = ["| Fault | Times tried | Frames lost | Message |", "|---|--:|--:|---|"]
    for fault, row in found.items():
        said = [message for message, _ in row.messages.most_common() if message]
        message = said[0] if said else "none is needed: the same command goes on"
        lines.append(f"| {_cell(fault)} | {row.times} | {row.lost} | {_cell(message)} |")
    times, lost = (sum(getattr(row, name) for row in found.values()) for name in ("times", "lost"))
    lines.append(f"| **{len(found)} faults** | **{times}** | **{lost}** | |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


def _plain(message: str) -> str:
    """Leave the folders out, which are another's every time."""
    return re.sub(r"(?<![\w.-])/[^\s:;,']*/", "", message.partition("\n")[0]).strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path)
    parser.add_argument("page", type=Path)
    given = parser.parse_args()
    given.page.write_text(page(rows(given.log)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
