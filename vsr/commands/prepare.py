"""`vsr prepare`: footage to training pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.lines import json_line, visible
from vsr.commands.options import json_flag
from vsr.core.errors import InputMissing, SettingsError, UsageError

if TYPE_CHECKING:
    from vsr.data.degrade import Degradation
    from vsr.data.prepare import Prepared


@click.command("prepare")
@click.argument("source", metavar="SRC", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--size", metavar="L,R", help="Squares: LR of L and HR of R pixels a side, as 16,128.")
@click.option("--scale", type=int, metavar="S", help="Instead of --size: the pictures' own size, LR S times smaller.")
@click.option("--frames", type=int, default=3, metavar="N", help="Frames of a window (default: 3).")
@click.option("--stride", type=int, default=1, metavar="S", help="Frames from one to the next (default: 1).")
@click.option("--windows", type=int, default=1, metavar="K", help="Windows of each clip, spread evenly (default: 1).")
@click.option("--split", metavar="PARTS", help="By video: train/val (90/10), 80/20, or train/test=80/20.")
@click.option(
    "--degrade",
    "kind",
    type=click.Choice(["bicubic", "gauss+decimate", "realistic"]),
    help="How LR is made (default: bicubic, as MATLAB does).",
)
@click.option("--degrade-file", type=click.Path(path_type=Path), help="TOML with the degradation's ranges.")
@click.option("--seed", type=int, default=0, metavar="N", help="Of the split and of all that is drawn (default: 0).")
@click.option("--lmdb", is_flag=True, help="Also write an LMDB environment with the SR3 keys (needs --size).")
@click.option("--workers", type=int, metavar="N", help="Clips at a time (default: one a core).")
@click.option("--overwrite", is_flag=True, help="Make OUT anew, where it was made otherwise or of other files.")
@json_flag("progress, warnings and the result")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def command(
    source: Path,
    out: Path,
    size: str | None,
    scale: int | None,
    frames: int,
    stride: int,
    windows: int,
    split: str | None,
    kind: str | None,
    degrade_file: Path | None,
    seed: int,
    lmdb: bool,
    workers: int | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Make hr / lr / sr triplets for training, in the layout of the multi-frame SR3 data set.

    SRC is a video, or a folder of videos, of folders of frames, or of images. Windows never cross a shot cut. OUT gets
    hr_R/ID/frame_0_hr_R.png and so on, in train/ and val/ with --split, and manifest.jsonl with a line a window. Files
    that cannot be used are named, and the exit code is 9. A run that was stopped goes on with the same command, at the
    clip that it was at.

    \b
    vsr prepare clips/ data/ --size 16,128 --split train/val
    vsr prepare clips/ data/ --scale 4 --windows 20 --degrade realistic --seed 7
    """
    from vsr.commands.bars import open_bar
    from vsr.data.preparation import Preparation
    from vsr.data.prepare import prepare, raise_failures
    from vsr.data.split import read_split

    if workers is not None and workers < 1:
        raise SettingsError(f"workers must be at least 1, got {workers}")
    wish = Preparation(
        size=_sizes(size) if size is not None else None,
        scale=scale,
        frames=frames,
        stride=stride,
        windows=windows,
        split=read_split(split) if split is not None else None,
        degradation=_degradation(kind, degrade_file),
        seed=seed,
    )
    with open_bar(as_json=as_json, quiet=quiet) as report:
        result = prepare(source, out, wish, lmdb=lmdb, workers=workers, overwrite=overwrite, report=report)
    if as_json:
        click.echo(json_line(result, event="prepared"))
    elif not quiet:
        _show(result)
    raise_failures(result)


def _sizes(text: str) -> tuple[int, int]:
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(f"{text!r} is no pair of sizes", hint="For example --size 16,128.")
    return int(parts[0]), int(parts[1])


def _degradation(kind: str | None, file: Path | None) -> Degradation:
    import tomllib

    from vsr.data.degrade import from_table

    table: dict[str, object] = {}
    if file is not None:
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise InputMissing(f"{file} does not exist") from error
        except (OSError, ValueError) as error:
            raise SettingsError(f"{file} cannot be read as TOML: {error}") from error
    return from_table({**table, "kind": kind} if kind is not None else table)


def _show(result: Prepared) -> None:
    parts = ", ".join(f"{count} in {visible(part)}" for part, count in result.parts.items() if part)
    click.echo(visible(str(result.out)))
    windows = f"{result.windows} window{'s' * (result.windows != 1)}"
    click.echo(f"  {windows}, {result.pictures} pictures" + (f": {parts}" if parts else ""))
    if result.resumed:
        click.echo(f"  there already: {result.resumed}")
    if result.failed:
        click.echo(f"  left out: {len(result.failed)}, see below")
