"""A training run's state: what a checkpoint holds, beside what is made anew from the recipe."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vsr.core.errors import ChangedSinceStart, OutputExists
from vsr.data.crops import Crops
from vsr.data.examples import Example
from vsr.io.atomic import translate
from vsr.training import checkpoint
from vsr.training.recipe import Recipe, differences, from_mapping, to_mapping
from vsr.training.setup import Setup
from vsr.training.task import TrainBatch

if TYPE_CHECKING:
    from accelerate import Accelerator

CHECKPOINT = "checkpoint.pt"
_FREE = ("schedule.updates", "schedule.minutes", "run.save_s", "run.validate", "description")  # may change on resuming


@dataclass(slots=True, kw_only=True)
class Run:
    """A run's state: what the checkpoint holds, and what is made anew from the recipe."""

    recipe: Recipe
    setup: Setup
    accelerator: Accelerator
    nets: dict[str, nn.Module]  # as the accelerator runs them
    optimisers: dict[str, torch.optim.Optimizer]
    average: nn.Module
    crops: Crops
    held: list[Example]
    folder: Path
    update: int = 0
    updates: int = 0
    seconds: float = 0.0
    best: float = -float("inf")
    figures: dict[str, float] = field(default_factory=dict)
    batch: TrainBatch | None = None

    @property
    def first(self) -> str:
        return next(iter(self.nets))


def header(run: Run) -> dict[str, str]:
    """Give what a weight file's header says of its making."""
    recipe = run.recipe
    facts = {
        "arch": recipe.net.arch,
        "recipe": recipe.name,
        "scale": recipe.net.scale,
        "updates": run.update,
        "seed": recipe.run.seed,
    }
    # One key: safetensors writes several in any order, and the same weights should be the same bytes.
    return {"vsr": json.dumps(facts)}


def save(run: Run) -> None:
    """Write the checkpoint.

    Raises:
        DiskFull, OutputError: it cannot be written; the one before is as it was.
    """
    if not run.accelerator.is_main_process:
        return
    content = {
        "recipe": to_mapping(run.recipe),
        "nets": {name: run.accelerator.unwrap_model(net).state_dict() for name, net in run.nets.items()},
        "optimisers": {name: optimiser.state_dict() for name, optimiser in run.optimisers.items()},
        "average": run.average.state_dict(),
        "update": run.update,
        "updates": run.updates,
        "seconds": run.seconds,
        "best": run.best,
        "figures": run.figures,
        "pictures": len(run.crops),
    }
    checkpoint.save(run.folder / CHECKPOINT, content)


def saved_in(out: Path, *, resume: bool, restart: bool) -> dict[str, object] | None:
    """Give the checkpoint to go on from, after making the folder."""
    path = out / CHECKPOINT
    try:
        out.mkdir(parents=True, exist_ok=True)
        if restart:
            for name in (CHECKPOINT, "log.jsonl"):
                (out / name).unlink(missing_ok=True)
    except OSError as error:
        raise translate(error, out) from error
    if not path.exists():
        return None
    if not resume:
        raise OutputExists(f"{out} holds a training run", hint="--resume goes on with it, --restart begins anew.")
    return checkpoint.load(path)


def restore(run: Run, saved: dict[str, object]) -> None:
    """Put a checkpoint's state into a run.

    Raises:
        ChangedSinceStart: it is of another recipe, or of other pictures.
    """
    before = from_mapping(saved["recipe"])  # type: ignore[arg-type]  # as `save` wrote it
    changed = [line for line in differences(before, run.recipe) if not line.startswith(_FREE)]
    if changed or saved["pictures"] != len(run.crops):
        what = "; ".join(changed) or f"{saved['pictures']} pictures then, {len(run.crops)} now"
        raise ChangedSinceStart(
            f"{run.folder} holds a run of another recipe or other pictures: {what}",
            hint="Go on with what it began with, or begin anew with --restart.",
        )
    for name, net in run.nets.items():
        run.accelerator.unwrap_model(net).load_state_dict(saved["nets"][name])  # type: ignore[index]
        run.optimisers[name].load_state_dict(saved["optimisers"][name])  # type: ignore[index]
    run.average.load_state_dict(saved["average"])  # type: ignore[arg-type]
    run.update, run.updates = int(saved["update"]), int(saved["updates"])  # type: ignore[call-overload]
    run.seconds, run.best = float(saved["seconds"]), float(saved["best"])  # type: ignore[arg-type]
    run.figures = dict(saved["figures"])  # type: ignore[call-overload]
    if run.recipe.schedule.updates:
        run.updates = run.recipe.schedule.updates
