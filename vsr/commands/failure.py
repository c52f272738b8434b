"""What went wrong, in words and as an exit code; the last stop of every exception."""

from __future__ import annotations

import logging
import os
import select
import sys
import traceback
from dataclasses import dataclass

import click

from vsr.commands.lines import json_line, visible
from vsr.core.errors import Interrupted, UsageError, VsrError

log = logging.getLogger(__name__)

BUG = 1
TERMINATED = 143  # 128 + SIGTERM, as shells count
BROKEN_PIPE = 141  # 128 + SIGPIPE


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends the program the way Ctrl-C does, with an exit code of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """The `error` event of --json."""

    kind: str
    message: str
    hint: str | None
    notes: tuple[str, ...]
    exit_code: int


def show_error(error: VsrError, *, as_json: bool) -> int:
    """Tell one of our own errors: what failed, where, and what the user can do."""
    log.debug("where it came from:", exc_info=error)
    notes = tuple(getattr(error, "__notes__", ()))
    return _tell(type(error).__name__, error.message, error.hint, error.exit_code, as_json=as_json, notes=notes)


def show_click(error: click.ClickException, *, as_json: bool) -> int:
    """Tell a wrong command line. Without any words the help itself is the answer."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return error.exit_code
    context = getattr(error, "ctx", None)
    hint = f"{context.command_path} --help lists what there is." if context is not None else None
    return _tell(UsageError.__name__, error.format_message(), hint, UsageError.exit_code, as_json=as_json)


def show_interrupt(stop: BaseException, *, as_json: bool) -> int:
    """Tell that the user, or the system, stopped the work."""
    is_terminated = isinstance(stop, Terminated)
    message = "stopped by SIGTERM" if is_terminated else "stopped by the user"
    code = TERMINATED if is_terminated else Interrupted.exit_code
    return _tell(Interrupted.__name__, f"{message}; no half-made output is left", None, code, as_json=as_json)


def show_bug(error: Exception, *, as_json: bool) -> int:
    """Tell an exception that nobody foresaw, with everything a report of it needs."""
    traceback.print_exception(error, file=sys.stderr)
    hint = "This is a bug in vsr. Please report it with the lines above, the command and what `vsr doctor` prints."
    return _tell("Bug", f"{type(error).__name__}: {error}", hint, BUG, as_json=as_json)


def broken_pipe() -> int | None:
    """Give the exit code if the reader of our output has gone; None if the broken pipe is another one.

    A reader that has seen enough (`| head`) is no error: nothing is said, and nothing more is written.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            number = stream.fileno()
        except (OSError, ValueError):
            continue
        poll = select.poll()
        poll.register(number, select.POLLOUT)
        if any(flags & select.POLLERR for _, flags in poll.poll(0)):
            # What is still in Python's buffer must go somewhere when the interpreter ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            return BROKEN_PIPE
    return None


def _tell(
    kind: str, message: str, hint: str | None, exit_code: int, *, as_json: bool, notes: tuple[str, ...] = ()
) -> int:
    if as_json:
        failure = _Failure(kind=kind, message=message, hint=hint, notes=notes, exit_code=exit_code)
        click.echo(json_line(failure, event="error"))
    else:
        click.echo(f"{click.style('error:', fg='red', bold=True)} {_indented(message)}", err=True)
        for note in notes:
            click.echo(f"       {_indented(note)}", err=True)
        if hint:
            click.echo(f"{click.style('hint:', fg='cyan')} {_indented(hint)}", err=True)
    return exit_code


def _indented(text: str) -> str:
    return "\n       ".join(visible(line) for line in text.splitlines())
