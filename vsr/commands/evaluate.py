"""`vsr evaluate`: how good models are, in figures and to look at."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from vsr.commands.options import json_flag

if TYPE_CHECKING:
    from vsr.evaluation.results import Evaluation

KINDS = ("bicubic", "gauss+decimate", "realistic")


@click.command("evaluate")
@click.argument("test_sets", metavar="TESTSET...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="MODEL",
    help="Name or weight file; may be repeated (default: the best shipped). MODEL:x2x2 restores twice by x2; "
    "MODEL:steps=4,noise=static samples a diffusion model so: steps, detail, consistency, noise, color_fix, frames.",
)
@click.option(
    "-s",
    "--scale",
    type=click.IntRange(1, 16),
    help="HR size / LR size (default: that of --lr, else the first model's).",
)
@click.option(
    "--lr",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder or file of LR, one for each test set (default: LR is made of HR).",
)
@click.option("--degrade", type=click.Choice(KINDS), default="bicubic", show_default=True, help="How LR is made of HR.")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of random degradations and of noise."
)
@click.option(
    "--tta", is_flag=True, help="Add a row for each model run on all eight turns and mirrors (self-ensemble)."
)
@click.option(
    "--frames-limit",
    type=click.IntRange(0),
    default=60,
    show_default=True,
    help="Measure so many frames of each video at most; 0: all.",
)
@click.option(
    "--crops", type=click.IntRange(0, 100), default=3, show_default=True, help="Crops a test set on the page."
)
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    help="VGG19 or selffeat file for the perceptual distance (default: the shipped selffeat).",
)
@click.option(
    "--lpips-weights",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="BACKBONE HEADS",
    help="LPIPS: torchvision's AlexNet or VGG16, and the fitted heads.",
)
@click.option(
    "--metric", "metrics", multiple=True, metavar="NAME", help="Measure only this; may be repeated (default: all)."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Write report.md, report.json and report.html into this folder.",
)
@click.option("--overwrite", is_flag=True, help="Replace reports that are there.")
@json_flag("figures and progress")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but the tables and errors.")
def command(
    test_sets: tuple[Path, ...],
    models: tuple[str, ...],
    scale: int | None,
    lr: tuple[Path, ...],
    degrade: str,
    seed: int,
    tta: bool,
    frames_limit: int,
    crops: int,
    features: Path | None,
    lpips_weights: tuple[Path, Path] | None,
    metrics: tuple[str, ...],
    device: str,
    output: Path | None,
    overwrite: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure models on test sets, always beside bicubic.

    TESTSET is a folder of HR pictures or videos, or one file. Tables go to stdout; -o adds Markdown, JSON and one
    HTML page that needs nothing else: sortable tables, crops side by side under a slider, curves of videos.

    \b
    vsr evaluate set5 set14 --model espcn --scale 4 -o report
    vsr evaluate clip.mp4 --model espcn:x2x2 --model ESRGAN.pth --scale 4 --tta
    vsr evaluate hr --lr lr_x4 --model espcn
    """
    from vsr.commands.bars import open_bar
    from vsr.data.degrade import Degradation
    from vsr.evaluation.compare import evaluate
    from vsr.evaluation.page import check_output, write_reports

    if output is not None:
        check_output(output, overwrite=overwrite)
    with open_bar(as_json=as_json, quiet=quiet) as report:
        result = evaluate(
            models,
            test_sets,
            scale=scale,
            lr=lr,
            degradation=Degradation(kind=degrade),
            ensemble=tta,
            frames_limit=frames_limit or None,
            crops=crops if output is not None else 0,
            device=device,
            features_from=features,
            lpips_from=lpips_weights,
            metrics=metrics,
            seed=seed,
            report=report,
        )
    if output is not None:
        write_reports(result, output, overwrite=overwrite)
    _show(result, as_json=as_json)


def _show(result: Evaluation, *, as_json: bool) -> None:
    from vsr.commands.lines import json_line
    from vsr.commands.tables import show_table
    from vsr.evaluation.tables import document, stated, table, told

    if as_json:
        click.echo(json_line({"event": "evaluation", **document(result)}))
        return
    for test_set in result.sets:
        click.echo(f"{test_set.name} x{result.scale}: {told(test_set)}")
        show_table(*table(test_set))
        click.echo()
    click.echo(stated(result))
