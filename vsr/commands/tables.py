"""Facts on stdout: tables for people, aligned columns that are never cut where stdout is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vsr.commands.lines import visible

Facts = Sequence[tuple[str, str]]


def show_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under their headers."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(header, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(cell)) for cell in row))
    _print(table)


def show_facts(title: str, facts: Facts) -> None:
    """Print names and values under a title; nothing at all where there are no facts."""
    if not facts:
        return
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False, title=title, title_justify="left",
        title_style="bold cyan",
    )  # fmt: skip
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(Text("  " + visible(name)), Text(visible(value)))
    _print(table)


def _print(table: Table) -> None:
    """Print as wide as it takes where nobody's window limits it; lines end without the columns' padding."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    console = Console(width=10_000, highlight=False, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    sys.stdout.write("\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n")
