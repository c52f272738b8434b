"""`vsr train`: a recipe and folders in, a weight file out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.bars import open_bar
from vsr.commands.lines import clock, json_line
from vsr.commands.options import json_flag

if TYPE_CHECKING:
    from vsr.training.result import Trained

FOLDER = click.Path(path_type=Path)


@click.command("train")
@click.argument("recipe", metavar="RECIPE")
@click.argument("changes", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--data", "-d", multiple=True, type=FOLDER, help="Pictures, videos or a prepared dataset; repeatable.")
@click.option("--val", multiple=True, type=FOLDER, help="The same for validation (default: what the recipe holds out).")
@click.option("--out", "-o", type=FOLDER, default=None, help="Folder of the run (default: runs/NAME).")
@click.option("--minutes", type=float, default=None, help="Set the number of updates from the measured rate.")
@click.option("--resume", is_flag=True, help="Go on where an interrupted run was.")
@click.option("--restart", is_flag=True, help="Begin anew in a folder that holds a run.")
@click.option("--device", default="auto", metavar="DEVICE", help="auto or cpu (default: auto).")
@click.option("--vgg-weights", type=FOLDER, default=None, help="VGG19 state dict for the losses on features.")
@click.option("--dry-run", is_flag=True, help="Print the resolved recipe and stop.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@json_flag("progress and result")
def command(
    recipe: str,
    changes: tuple[str, ...],
    data: tuple[Path, ...],
    val: tuple[Path, ...],
    out: Path | None,
    minutes: float | None,
    resume: bool,
    restart: bool,
    device: str,
    vgg_weights: Path | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train the network of RECIPE: a TOML file, or the name of a shipped one; KEY=VALUE changes it.

    On several GPUs, the same command by accelerate: accelerate launch -m vsr train ...

    \b
    vsr train espcn --data photos --minutes 16
    vsr train my.toml --data dataset --resume schedule.updates=50000
    """
    from vsr.training.recipe import dump, find, read_recipe

    if resume and restart:
        raise click.UsageError("--resume goes on, --restart begins anew: give one of them.")
    if minutes is not None:
        changes = (*changes, f"schedule.minutes={float(minutes)}", "schedule.updates=0")
    resolved = read_recipe(find(recipe), changes)
    if dry_run:
        click.echo(dump(resolved), nl=False)
        return
    if not data:
        raise click.UsageError("Give pictures or videos to train on: --data FOLDER.")
    from vsr.training.loop import train

    with open_bar(as_json=as_json, quiet=quiet) as report:
        result = train(
            resolved,
            data,
            out or Path("runs") / resolved.name,
            val=val,
            resume=resume,
            restart=restart,
            device=device,
            vgg_weights=vgg_weights,
            report=report,
        )
    if not result.is_main:
        return
    if as_json:
        click.echo(json_line(result, event="trained"))
    elif not quiet:
        _show(result)


def _show(result: Trained) -> None:
    from vsr.commands.tables import show_facts

    figures = [
        (f"held out {key}", f"{value:.4g}" + (f" (bicubic {result.bicubic[key]:.4g})" if key in result.bicubic else ""))
        for key, value in result.figures.items()
    ]
    facts = [
        ("updates", f"{result.updates} in {clock(result.seconds)}"),
        *figures,
        ("weights", str(result.weights)),
        ("best validated", str(result.best)),
        ("curves", f"tensorboard --logdir {result.folder}"),
    ]
    if result.card is not None:
        facts.append(("use", f"vsr upscale INPUT --model {result.weights}"))
    show_facts(result.weights.stem, facts)
