"""What a finished training run leaves: the weight file, its card, and the recipe it was made by."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from vsr.core.card import ModelCard
from vsr.engines.cards import dump as dump_card
from vsr.engines.weights import digest_of
from vsr.io.images.files import write_whole
from vsr.training.nets import card_of, write_weights
from vsr.training.recipe import dump
from vsr.training.setup import bicubic_score
from vsr.training.state import Run, header


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """weights: the averaged weights at the end; best: those that validated best. figures: of the last validation.

    seconds: of training alone, over all interruptions. is_main: whether this process, of several, wrote them.
    """

    folder: Path
    weights: Path
    best: Path
    card: ModelCard | None
    updates: int
    seconds: float
    figures: dict[str, float]
    bicubic: dict[str, float]
    is_main: bool = True


def finish(run: Run, data: Sequence[str]) -> Trained:
    """Write weights, card and recipe of a run that has reached its end.

    Raises:
        DiskFull, OutputError: they cannot be written.
    """
    recipe = run.recipe
    path = run.folder / f"{recipe.name}.safetensors"
    shipped = run.setup.shipped(run.average)
    card, bicubic = None, {}
    if run.accelerator.is_main_process:
        content = write_weights(path, shipped, header(run))
        write_whole(run.folder / "recipe.toml", dump(recipe).encode())
        if recipe.net.arch != "selffeat":
            how = (
                f"{run.update} updates of {recipe.data.batch} crops in {run.seconds / 60:.0f} min on {_machine(run)}, "
                f"seed {recipe.run.seed}; data: {', '.join(data)}."
            )
            card = replace(card_of(recipe, shipped.state_dict(), digest_of(content)), training=how)
            write_whole(run.folder / f"{recipe.name}.toml", dump_card(card).encode())
            bicubic = bicubic_score(run.held, recipe.net.scale, recipe.net.domain)
    return Trained(
        folder=run.folder,
        weights=path,
        best=run.folder / "best.safetensors",
        card=card,
        updates=run.update,
        seconds=run.seconds,
        figures=run.figures,
        bicubic=bicubic,
        is_main=run.accelerator.is_main_process,
    )


def _machine(run: Run) -> str:
    if run.accelerator.device.type == "cuda":
        return f"{run.accelerator.num_processes} x {torch.cuda.get_device_name()}"
    return f"{torch.get_num_threads()} of {os.cpu_count()} cores ({platform.machine()})"
