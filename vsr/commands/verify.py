"""`vsr verify`: does a result differ from its source in anything but its resolution."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vsr.commands.lines import json_line
from vsr.commands.options import HerePath, json_flag

if TYPE_CHECKING:
    from vsr.jobs.verify.expected import Verdict


@click.command("verify")
@click.argument("source", metavar="INPUT", type=HerePath())
@click.argument("result", metavar="OUTPUT", type=HerePath())
@click.option("--worst", metavar="FILE", type=click.Path(path_type=Path),
              help="Write the frame that fits worst: source, result, difference times 4, as a PNG.")  # fmt: skip
@click.option("--sample", metavar="N", type=click.IntRange(min=1),
              help="Look at the pictures of N frames, spread over the file (default: all).")  # fmt: skip
@click.option("--strict", is_flag=True, help="What the container cannot hold breaks the verdict, too.")
@click.option("--start", metavar="TIME", help="OUTPUT was made with this --start.")
@click.option("--end", metavar="TIME", help="OUTPUT was made with this --end.")
@click.option("--deinterlace", type=click.Choice(("off", "frame", "field")), default="off",
              help="OUTPUT was made with this --deinterlace (default: as its flags say).")  # fmt: skip
@click.option("--autorotate", is_flag=True, help="OUTPUT was made with --autorotate.")
@click.option("--square-pixels", is_flag=True, help="OUTPUT was made with --square-pixels.")
@click.option("--pix-fmt", metavar="NAME", help="OUTPUT was made with this --pix-fmt.")
@click.option("--audio/--no-audio", default=True, help="OUTPUT was made with --no-audio.")
@click.option("--map", "selection", metavar="STREAM,...", help="OUTPUT was made with this --map.")
@json_flag("the verdict")
def command(  # one parameter a flag
    source: Path,
    result: Path,
    worst: Path | None,
    sample: int | None,
    strict: bool,
    start: str | None,
    end: str | None,
    deinterlace: Literal["off", "frame", "field"],
    autorotate: bool,
    square_pixels: bool,
    pix_fmt: str | None,
    audio: bool,
    selection: str | None,
    as_json: bool,
) -> None:
    """Hold OUTPUT against the INPUT that it was made of: frames, times, streams, tags, colours, every picture.

    Both are read anew, from their first byte to their last, by nothing that took part in the making. What the container
    of OUTPUT cannot hold is told and accepted. Exit code 8 if anything else differs.

    \b
    vsr verify holiday.mp4 holiday-2x.mp4
    vsr verify tape.mkv tape-2x.mkv --worst worst.png
    vsr verify clip.mov part.mov --start 1:30 --end 2:00 --json
    """
    from vsr.jobs.times import seconds
    from vsr.jobs.verify.entry import verify
    from vsr.jobs.verify.expected import Expected

    expected = Expected(
        start=None if start is None else seconds(start, "--start"),
        stop=None if end is None else seconds(end, "--end"),
        fields=2 if deinterlace == "field" else 1,
        is_deinterlaced=deinterlace != "off",
        is_turned=autorotate,
        has_square_pixels=square_pixels,
        pixel_format=pix_fmt,
        audio=audio,
        selection=selection,
    )
    verdict = verify(source, result, expected=expected, worst=worst, sample=sample)
    if as_json:
        click.echo(json_line(verdict))
    else:
        _show(verdict)
    verdict.raise_if_broken(strict=strict)


def _show(verdict: Verdict) -> None:
    from vsr.commands.tables import show_table

    rows = [(finding.check, finding.state, finding.detail) for finding in verdict.findings]
    show_table(("check", "state", "what was found"), rows)
    click.echo(_last_line(verdict))


def _last_line(verdict: Verdict) -> str:
    if broken := verdict.of("broken"):
        named = ", ".join(finding.check for finding in broken)
        return f"verdict: broken ({len(broken)} of {len(verdict.findings)} checks: {named})"
    lost = len(verdict.of("lost by the container"))
    return f"verdict: holds{f', but for {lost} that the container cannot hold' if lost else ''}"
