"""The command `vsr`: finds the verb, runs it, turns what went wrong into words and an exit code.

Each verb lives in `vsr/commands/NAME.py` and is imported when it is asked for; the one-line help stands here, so that
`vsr --help` imports none of them. Exit codes: `core/errors.py`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence

import click

from vsr import __version__
from vsr.commands.failure import broken_pipe, show_bug, show_click, show_error, show_interrupt
from vsr.commands.signals import Stops
from vsr.core.errors import VsrError

VERBS = {
    "upscale": "Make a video, an image or a sequence of images larger and sharper.",
    "preview": "Upscale single frames, and show them beside bicubic.",
    "batch": "Upscale a folder of videos and images, and go on where it was stopped.",
    "jobs": "List, show and clean interrupted jobs.",
    "extract": "Take frames out of videos: every, some, windows, shots.",
    "prepare": "Make a dataset: HR, LR and enlarged LR of pictures or windows.",
    "train": "Train a network by a recipe, on pictures or videos.",
    "evaluate": "Measure models on test sets: tables, and a page to look at.",
    "models": "List the models, or tell everything about one.",
    "presets": "List the presets, or show one.",
    "probe": "Tell everything about a media file, and what upscale will do to it.",
    "verify": "Check that a result differs from its source in resolution alone.",
    "doctor": "Check what this machine can do: libraries, devices, encoders, weights.",
    "bench": "Measure how fast each stage runs here, and what limits the whole.",
    "completion": "Print a shell's completion script.",
    "reference": "Print this command line's documentation as Markdown.",
}
HIDDEN = {"reference"}
COMPLETION_VARIABLE = "_VSR_COMPLETE"


class Verbs(click.Group):
    """Imports a verb when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in VERBS if name not in HIDDEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = importlib.import_module(f"vsr.commands.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, VERBS[name]) for name in self.list_commands(ctx)])


@click.command(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try: vsr upscale holiday.mp4 --scale 2. Each command has its own --help.",
)
@click.version_option(__version__, prog_name="vsr", message="%(prog)s %(version)s")
def vsr() -> None:
    """Make videos larger and sharper: same frames, same times, same sound, same colours, more pixels."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit code; nothing that a verb raises escapes."""
    words = list(sys.argv[1:] if args is None else args)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a file name need not be valid in any encoding
    if COMPLETION_VARIABLE in os.environ:
        vsr.main(words, prog_name="vsr", complete_var=COMPLETION_VARIABLE)
    # A closed terminal ends the work as SIGTERM does, unless the user asked for it to go on (nohup).
    numbers = [signal.SIGTERM, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else [])]
    stops = Stops()
    before = {number: signal.signal(number, stops.terminate) for number in numbers}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, stops.interrupt)
    try:
        return _run(words)
    finally:
        for number, usual in before.items():
            signal.signal(number, usual)


def _run(words: list[str]) -> int:  # noqa: PLR0911 -- one return an outcome
    as_json = "--json" in (words[: words.index("--")] if "--" in words else words)
    try:
        with vsr.make_context("vsr", list(words)) as context:
            vsr.invoke(context)
        sys.stdout.flush()
        return 0
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except click.ClickException as error:
        return show_click(error, as_json=as_json)
    except VsrError as error:
        return show_error(error, as_json=as_json)
    except (KeyboardInterrupt, click.Abort) as stop:
        return show_interrupt(stop, as_json=as_json)
    except BrokenPipeError as error:
        return broken_pipe() or show_bug(error, as_json=as_json)
    except Exception as error:
        return show_bug(error, as_json=as_json)
