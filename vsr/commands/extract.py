"""`vsr extract`: videos to folders of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from vsr.commands.lines import clock, json_line, visible
from vsr.commands.options import HerePath, json_flag
from vsr.core.errors import UsageError

if TYPE_CHECKING:
    from vsr.data.extract import Extracted


@click.command("extract")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True, type=HerePath())
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--every", type=int, default=1, metavar="N", help="Take each n-th frame (default: 1, every frame).")
@click.option("--rate", metavar="R", help="Take R pictures a second: 2, 0.5 or 30000/1001.")
@click.option("--at", multiple=True, metavar="TIME", help="Take the frame at this time: 1.5 or 00:00:03; repeatable.")
@click.option("--windows", type=int, metavar="N", help="Take windows of N frames, none across a cut; one folder each.")
@click.option(
    "--stride", type=int, default=1, metavar="S", help="Frames from one to the next in a window (default: 1)."
)
@click.option("--count", type=int, metavar="K", help="Take K windows of each source, spread evenly (default: all).")
@click.option("--shots", is_flag=True, help="One folder a shot.")
@click.option("--crop", metavar="WxH+X+Y", help="Keep this box of each frame, in pixels.")
@click.option("--square", is_flag=True, help="Keep the largest square in the middle.")
@click.option("--size", metavar="WxH", help="Then resample to this size (bicubic); one number for a square.")
@click.option("--format", type=click.Choice(["png", "jpg", "webp"]), default="png", help="Image format (default: png).")
@click.option("--depth", type=click.Choice(["8", "16"]), default="8", help="Bits a sample; 16 in PNG (default: 8).")
@click.option("--quality", type=int, metavar="Q", help="1 to 100 (default: JPEG 95, WebP lossless).")
@click.option("--drop-duplicates", is_flag=True, help="Leave out frames in which nothing has moved.")
@click.option("--drop-blurred", is_flag=True, help="Leave out blurred frames.")
@click.option("--drop-black", is_flag=True, help="Leave out black frames.")
@click.option(
    "--duplicate-limit", type=float, metavar="X", help="Largest change of a duplicate, 0 to 1 (default: 0.006)."
)
@click.option("--blur-limit", type=float, metavar="X", help="Least blur of a blurred frame, 0 to 1 (default: 0.58).")
@click.option("--black-limit", type=float, metavar="X", help="Least dark share of a black frame (default: 0.98).")
@click.option("--workers", type=int, metavar="N", help="Threads that write pictures (default: one a core).")
@click.option("--overwrite", is_flag=True, help="Make OUT anew, where it was made with other settings.")
@json_flag("progress, warnings and the result")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    inputs: Sequence[Path],
    out: Path,
    every: int,
    rate: str | None,
    at: Sequence[str],
    windows: int | None,
    stride: int,
    count: int | None,
    shots: bool,
    crop: str | None,
    square: bool,
    size: str | None,
    format: Literal["png", "jpg", "webp"],
    depth: str,
    quality: int | None,
    drop_duplicates: bool,
    drop_blurred: bool,
    drop_black: bool,
    duplicate_limit: float | None,
    blur_limit: float | None,
    black_limit: float | None,
    workers: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Take frames out of videos: OUT gets a folder of pictures for each, and manifest.jsonl with a line a picture.

    INPUT is a video, or a folder of videos. The manifest tells each picture's file, source, pts, shot and sha256. A
    run that was stopped goes on when the same command is given again. Times count from the first frame.

    \b
    vsr extract holiday.mp4 frames/
    vsr extract clips/ frames/ --rate 2 --drop-blurred --drop-duplicates
    vsr extract clips/ triples/ --windows 3 --count 20 --square --size 256
    """
    from vsr.commands.bars import open_bar
    from vsr.data import quality as measured
    from vsr.data.extract import extract, raise_failures
    from vsr.data.extraction import Extraction, read_box, read_size
    from vsr.jobs.times import seconds

    wish = Extraction(
        every=every,
        rate=_rate(rate) if rate is not None else None,
        at=tuple(seconds(text, "--at") for text in at),
        windows=windows,
        stride=stride,
        count=count,
        shots=shots,
        crop=read_box(crop) if crop is not None else None,
        square=square,
        size=read_size(size) if size is not None else None,
        format=format,
        depth=8 if depth == "8" else 16,
        quality=quality,
        duplicates=_limit(drop_duplicates, duplicate_limit, measured.DUPLICATE),
        blurred=_limit(drop_blurred, blur_limit, measured.BLURRED),
        black=_limit(drop_black, black_limit, measured.BLACK),
    )
    with open_bar(as_json=as_json, quiet=quiet) as report:
        result = extract(inputs, out, wish, workers=workers, overwrite=overwrite, report=report)
    if as_json:
        click.echo(json_line(result, event="extracted"))
    elif not quiet:
        _show(result)
    raise_failures(result)


def _rate(text: str) -> Fraction:
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(
            f"--rate {text!r} is no rate", hint="Write pictures a second: 2, 0.5 or 30000/1001."
        ) from error


def _limit(is_wanted: bool, given: float | None, measured: float) -> float | None:
    """Naming a limit asks for it too."""
    return given if given is not None else measured if is_wanted else None


def _show(result: Extracted) -> None:
    sources = f"{len(result.sources)} source" + ("" if len(result.sources) == 1 else "s")
    earlier = f", {result.resumed} of them earlier" if result.resumed else ""
    click.echo(
        f"{visible(str(result.out))}: {result.pictures} pictures from {result.frames} frames of {sources}{earlier}"
    )
    if result.dropped:
        click.echo("  left out: " + ", ".join(f"{count} {reason}" for reason, count in result.dropped.items()))
    click.echo(f"  {clock(result.wall_s)}")
