"""Events -> what the user sees: a live bar on a terminal, plain lines in a log, JSON lines for a program, or nothing.

Progress and warnings go to stderr, the result to stdout. With --json everything goes to stdout, one object a line.
A screen is a `Report`, called in the thread that opened it; it draws when an event arrives, at most 8 times a second.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from vsr.commands.lines import (
    clock,
    event_line,
    file_line,
    folder_line,
    folder_progress_line,
    folder_summary_line,
    progress_line,
    stage_loads,
    summary_lines,
    visible,
    worker_loads,
)
from vsr.commands.tables import show_table
from vsr.core import events
from vsr.core.events import (
    Event,
    FileEnded,
    FolderListed,
    FolderProgress,
    FolderSummary,
    Planned,
    Report,
    Summary,
    Warned,
    Worked,
    silent,
)

Clock = Callable[[], float]

DRAW_S = 1 / 8
JSON_S = 0.5
LINE_S = 5.0
LINE_PERCENT = 5
SILENCE_S = 60.0  # a log of a long job still shows that it lives
FEW_FILES = 20  # of a folder, that are all told in the end
MOST_FILES = 100


@contextmanager
def open_screen(*, as_json: bool, quiet: bool, verbose: int) -> Iterator[Report]:
    """Give the screen that fits the streams and the flags; it is cleared away at the end, whatever happens."""
    console = Console(stderr=True, highlight=False)
    with _logging_to(console, quiet=quiet, verbose=verbose):
        if as_json:
            yield JsonLines()
        elif quiet:
            yield silent
        elif console.is_terminal:
            live = Live(console)
            try:
                yield live
            finally:
                live.close()
        else:
            yield PlainLines()


class JsonLines:
    """Every event one object on stdout; progress at most twice a second, its last event always."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._last = -JSON_S

    def __call__(self, event: Event) -> None:
        if isinstance(event, events.Progress | Worked | FolderProgress):
            if self._now() - self._last < JSON_S and event.done != event.total:
                return
            self._last = self._now()
        click.echo(event_line(event))


class PlainLines:
    """For logs: a progress line every 5 % but no oftener than every 5 s, and at least one a minute."""

    def __init__(self, now: Clock = time.monotonic) -> None:
        self._now = now
        self._last = now()
        self._percent = 0

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                click.echo(f"{visible(event.source)}: {event.frames} frames, {event.description}", err=True)
            case events.Progress():
                self._progress(event)
            case Worked():
                self._worked(event)
            case events.Noted():
                click.echo(visible(event.message), err=True)
            case Warned():
                click.echo(f"warning: {visible(event.message)}", err=True)
            case Summary():
                _show_summary(event)
            case FolderListed():
                click.echo(folder_line(event), err=True)
            case FolderProgress():
                self._folder(event)
            case FileEnded() if event.status != "earlier":
                click.echo(file_line(event), err=True)
            case FolderSummary():
                _show_folder(event)

    def _folder(self, event: FolderProgress) -> None:
        waited = self._now() - self._last
        percent = int(100 * event.share)
        if waited >= SILENCE_S or (waited >= LINE_S and percent >= self._percent + LINE_PERCENT):
            self._last, self._percent = self._now(), percent
            click.echo(folder_progress_line(event), err=True)

    def _progress(self, event: events.Progress) -> None:
        waited = self._now() - self._last
        percent = 100 * event.done // event.total if event.total else 0
        if waited >= SILENCE_S or (waited >= LINE_S and percent >= self._percent + LINE_PERCENT):
            self._last, self._percent = self._now(), percent
            click.echo(progress_line(event), err=True)

    def _worked(self, event: Worked) -> None:
        if event.done == event.total or self._now() - self._last >= SILENCE_S:
            self._last = self._now()
            click.echo(_work_text(event), err=True)


class Live:
    """For people: one live line with bar, frames, speed, time left and each stage's load."""

    def __init__(self, console: Console, now: Clock = time.monotonic) -> None:
        self._console = console
        self._now = now
        self._drawn = now() - DRAW_S
        # rich's own refreshing needs a thread of its own; frames come often enough.
        self._bar = Progress(
            TextColumn("{task.percentage:>3.0f} %"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}"),
            TextColumn("[dim]{task.fields[loads]}"),
            console=console,
            auto_refresh=False,
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, text="loading the model", loads="")

    def __call__(self, event: Event) -> None:
        match event:
            case Planned():
                self._say(f"{visible(event.source)}\n  {event.frames} frames, {event.description}")
                self._bar.start()
                self._bar.refresh()
            case events.Progress():
                self._progress(event)
            case Worked():
                self._draw(event.done, event.total, _work_text(event))
            case events.Noted():
                self._say(visible(event.message))
            case Warned():
                self._say(f"warning: {visible(event.message)}", style="yellow")
            case Summary():
                self.close()
                _show_summary(event)
            case FolderListed():
                self._say(folder_line(event))
                self._bar.start()
                self._bar.refresh()
            case FolderProgress():
                left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
                file = f"{visible(event.file)} {event.file_done}/{event.file_total}"
                text = f"{event.done}/{event.total} files, {event.fps:.1f} fps{left}"
                self._draw(round(1000 * event.share), 1000, text, loads=file)
            case FileEnded() if event.status != "earlier":
                self._say(file_line(event), style="" if event.status == "done" else "yellow")
            case FolderSummary():
                self.close()
                _show_folder(event)

    def close(self) -> None:
        """Wipe the live line; the terminal is as before."""
        self._bar.stop()

    def _progress(self, event: events.Progress) -> None:
        left = f", {clock(event.eta_s)} left" if event.eta_s is not None else ""
        text = f"{event.done}/{event.total} frames, {event.fps:.1f} fps{left}"
        # One line has no room for both: which device is slow matters more than which stage of it.
        self._draw(event.done, event.total, text, loads=worker_loads(event.workers) or stage_loads(event.stages))

    def _draw(self, done: int, total: int | None, text: str, loads: str = "") -> None:
        if self._now() - self._drawn < DRAW_S and done != total:
            return
        self._drawn = self._now()
        self._bar.update(self._task, completed=done, total=total, text=text, loads=loads)
        self._bar.refresh()

    def _say(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)


def _work_text(event: Worked) -> str:
    of = "" if event.total is None else f"/{event.total}"
    return f"{event.note}, {event.done}{of} {event.unit}"


def _show_summary(event: Summary) -> None:
    """The result on stdout; warnings in full where the reader of stdout may not have seen stderr."""
    is_seen = sys.stdout.isatty() and sys.stderr.isatty()
    first, *rest = summary_lines(event, is_warned=is_seen)
    click.echo("\n".join([click.style(first, fg="green", bold=True), *rest]))


def _show_folder(event: FolderSummary) -> None:
    """The sum on stdout; of many files only those that are not done."""
    told = [file for file in event.files if file.status != "done" or len(event.files) <= FEW_FILES]
    rows = [
        (file.status, file.source, str(file.frames or ""), clock(file.wall_s) if file.wall_s else "", file.reason)
        for file in told[:MOST_FILES]
    ]
    if rows:
        show_table(("", "file", "frames", "time", ""), rows)
    if len(told) > MOST_FILES:
        click.echo(f"and {len(told) - MOST_FILES} more: see {visible(event.results)}")
    click.echo(click.style(folder_summary_line(event), fg="red" if event.failed else "green", bold=True))


@contextmanager
def _logging_to(console: Console, *, quiet: bool, verbose: int) -> Iterator[None]:
    """Send the library's log to stderr, through the console so that it does not tear the live line; then as before."""
    level = logging.ERROR if quiet else {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    handler: logging.Handler
    if console.is_terminal:
        handler = RichHandler(console=console, show_time=False, show_path=False, markup=False, highlighter=None)
    else:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("vsr")
    before, usual = list(log.handlers), log.level
    log.handlers[:] = [handler]
    log.setLevel(level)
    try:
        yield
    finally:
        log.handlers[:] = before
        log.setLevel(usual)
