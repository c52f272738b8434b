"""`vsr preview`: one frame of the result, and a part of it beside bicubic."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import json_line, visible
from vsr.commands.options import HerePath, SettingsCommand, given, json_flag, settings_flags, volume_flags
from vsr.core.presets import find, resolve

if TYPE_CHECKING:
    from vsr.jobs.preview import Still


@click.command("preview", cls=SettingsCommand)
@click.argument("source", metavar="INPUT", type=HerePath())
@click.option(
    "--at",
    multiple=True,
    metavar="TIME",
    help="The frame shown then, from the first frame on: seconds or [HH:]MM:SS[.mmm]; may be repeated.",
)
@click.option(
    "--frame",
    "numbers",
    multiple=True,
    type=int,
    metavar="N",
    help="The frame of this number, from 0; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The picture, a .png file, or a folder for several (default: beside INPUT).",
)
@click.option(
    "--compare/--no-compare", default=True, help="Write a part beside bicubic too: NAME_compare.png (default: on)."
)
@click.option("--crop", metavar="X,Y,W,H", help="That part, in pixels of INPUT (default: the square with most detail).")
@click.option("-p", "--preset", metavar="NAME", help="A preset's name, or a TOML file; flags beat it.")
@json_flag("what was written, warnings and errors")
@volume_flags
@settings_flags()
def command(
    source: Path,
    at: tuple[str, ...],
    numbers: tuple[int, ...],
    output: Path | None,
    compare: bool,
    crop: str | None,
    preset: str | None,
    as_json: bool,
    quiet: bool,
    verbose: int,
    **flags: object,
) -> None:
    """Write one frame of the result as a PNG, and a part of it beside bicubic (left bicubic, right the model).

    It is the frame that `vsr upscale` would hand to its encoder with the same settings, sample for sample. Nothing else
    is made, and no work folder is left. With a model whose noise moves with the picture (sr3) the source is decoded
    once from start to --end to know how it moves.

    \b
    vsr preview holiday.mp4 --at 1:30
    vsr preview holiday.mp4 --at 12.5 --at 47 --model sr3 --scale 4
    vsr preview old.mkv --frame 300 --crop 100,50,320,240 -o look.png
    """
    resolved = resolve(given(flags), find(preset) if preset else None)

    from vsr.commands.screen import open_screen
    from vsr.jobs.preview import preview as made
    from vsr.jobs.sidebyside import crop_of

    with open_screen(as_json=as_json, quiet=quiet, verbose=verbose) as report:
        stills = made(
            source,
            resolved,
            at=at,
            frames=numbers,
            output=output,
            compare=compare,
            crop=crop_of(crop) if crop is not None else None,
            report=report,
        )
    for still in stills:
        if as_json:
            click.echo(json_line(still, event="preview"))
        elif not quiet:
            click.echo(_line(still))


def _line(still: Still) -> str:
    """Give `frame 300, pts 12012, 12.012 s: film_espcn_frame000300.png`, and the pair's path."""
    made = f"{still.width}x{still.height} {still.pixel_format} by {still.model}"
    said = f"frame {still.frame}, pts {still.pts}, {still.time_s:.3f} s, {made}: {visible(str(still.path))}"
    return said if still.compare is None else f"{said}\n  beside bicubic: {visible(str(still.compare))}"
