"""`vsr upscale`: parse, plan, run, show."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import json_line
from vsr.commands.options import SettingsCommand, given, json_flag, settings_flags, volume_flags
from vsr.commands.signals import asking
from vsr.core.presets import find, resolve

if TYPE_CHECKING:
    from vsr.core.job import Job


@click.command("upscale", cls=SettingsCommand)
@click.argument("source", metavar="INPUT", type=click.Path())
@click.option("-o", "--output", type=click.Path(), help="Where the result goes (default: beside INPUT).")
@click.option("-p", "--preset", metavar="NAME", help="A preset's name, or a TOML file; flags beat it.")
@click.option(
    "--dry-run", is_flag=True, help="Print the resolved job as TOML and the time it will take; write nothing."
)
@json_flag("progress, warnings, summary and errors")
@volume_flags
@settings_flags()
def command(
    source: str,
    output: str | None,
    preset: str | None,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **flags: object,
) -> None:
    """Make INPUT larger and sharper: same frames, same times, same sound, same colours.

    INPUT is a video, an image, a numbered sequence (shot_%04d.png) or a folder of images. The output is a video, an
    image, or a folder or pattern of images, as its name says; without -o it stands beside INPUT, named after the model
    and the scale. A name that begins with a dash goes after a bare --. Both may be URLs (s3://, gs://, sftp:// …).

    What is stopped goes on when the same command is given again; `vsr jobs` shows what waits.

    \b
    vsr upscale holiday.mp4
    vsr upscale old.mkv -o new.mkv --height 1080 --preset quality
    vsr upscale scan_%05d.png -o restored/ --scale 4
    """
    resolved = resolve(given(flags), find(preset) if preset else None)

    from vsr.commands.screen import open_screen
    from vsr.jobs.plan import plan
    from vsr.jobs.remote import staged_remote
    from vsr.jobs.run import make

    with open_screen(as_json=as_json, quiet=quiet, verbose=verbose) as report:
        if dry_run:
            with staged_remote(source, output, overwrite=resolved.settings.run.overwrite) as staged:
                _show_plan(plan(staged.source, staged.destination, resolved), as_json=as_json)
        else:
            with asking(is_heard=False) as stop:
                make(source, output, resolved, report, stop=stop, command=shlex.join(sys.argv))


def _show_plan(job: Job, *, as_json: bool) -> None:
    from vsr.jobs.describe import estimate, to_toml

    seconds = estimate(job)
    if as_json:
        click.echo(json_line({"estimated_s": seconds, "job": job}, event="dry_run"))
    else:
        click.echo(to_toml(job, seconds), nl=False)
