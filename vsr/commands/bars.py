"""Counted work -> what the user sees: a bar on a terminal, sparse plain lines in a log, JSON lines, or nothing.

The screen of `vsr extract`, `prepare`, `train` and `evaluate`; `vsr upscale` has its own, `commands/screen.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tqdm import tqdm

from vsr.commands.lines import event_line, visible
from vsr.core.events import Event, Noted, Report, Warned, Worked, silent

LOG_S = 10.0  # between lines where no terminal redraws them


@contextmanager
def open_bar(*, as_json: bool, quiet: bool) -> Iterator[Report]:
    """Give a Report that draws `Worked` on stderr as a bar and prints the rest above it; JSON lines go to stdout."""
    if as_json:
        yield print_line
        return
    if quiet:
        yield silent
        return
    bar = Bar()
    try:
        yield bar
    finally:
        bar.close()


def print_line(event: Event) -> None:
    """Print an event as one JSON object."""
    tqdm.write(event_line(event), file=sys.stdout)


class Bar:
    """One tqdm bar at a time: the first count makes it, a count in another unit the next. Called in one thread."""

    def __init__(self) -> None:
        self._bar: tqdm[None] | None = None
        self._unit = ""

    def __call__(self, event: Event) -> None:
        match event:
            case Worked():
                self._draw(event)
            case Noted():
                tqdm.write(visible(event.message), file=sys.stderr)
            case Warned():
                tqdm.write(f"warning: {visible(event.message)}", file=sys.stderr)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

    def _draw(self, event: Worked) -> None:
        if self._bar is None or event.unit != self._unit:
            self.close()
            self._unit = event.unit
            interval = 0.1 if sys.stderr.isatty() else LOG_S
            self._bar = tqdm(total=event.total, unit=f" {event.unit}", mininterval=interval, dynamic_ncols=True)
        self._bar.total = event.total
        self._bar.set_postfix_str(event.note, refresh=False)
        self._bar.update(event.done - self._bar.n)
