"""A training run's state: what a checkpoint holds, beside what is made anew from the recipe."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from vsr.core.errors import ChangedSinceStart, OutputError, OutputExists
from vsr.data.crops import Crops, MixedCrops
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
    crops: Crops | MixedCrops
    held: list[Example]
    material: str  # see `data.examples.digest_of`
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
        "material": run.material,
    }
    checkpoint.save(run.folder / CHECKPOINT, content)


def saved_in(out: Path, *, resume: bool, restart: bool) -> dict[str, object] | None:
    """Give the checkpoint to go on from, after making the folder; None where the run begins.

    Raises:
        OutputExists: there is one, and neither `resume` nor `restart` is set.
        InputError: it cannot be read.
        OutputError: the folder cannot be made, or is a file.
    """
    path = out / CHECKPOINT
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out} is a file, not a folder", hint="Name a folder with -o.")
    try:
        out.mkdir(parents=True, exist_ok=True)
        for part in out.glob(f".vsr-part-*{path.suffix}"):  # of a run that was killed while it wrote
            part.unlink(missing_ok=True)
    except OSError as error:
        raise translate(error, out) from error
    if restart or not path.exists():
        return None
    if not resume:
        raise OutputExists(f"{out} holds a training run", hint="--resume goes on with it, --restart begins anew.")
    return checkpoint.load(path)


def forget(out: Path) -> None:
    """Remove the run that lies in a folder: what a new one would not write over at once."""
    try:
        for name in (CHECKPOINT, "log.jsonl", "best.safetensors"):
            (out / name).unlink(missing_ok=True)
        shutil.rmtree(out / "board", ignore_errors=True)
    except OSError as error:
        raise translate(error, out) from error


def restore(run: Run, saved: dict[str, object]) -> None:
    """Put a checkpoint's state into a run. Its length is the recipe's: given in updates, or in minutes at the rate so
    far where they have changed.

    Raises:
        ChangedSinceStart: it is of another recipe, or of other pictures.
    """
    before = from_mapping(saved["recipe"])  # type: ignore[arg-type]  # as `save` wrote it
    _check(run, saved, [line for line in differences(before, run.recipe) if not line.startswith(_FREE)])
    for name, net in run.nets.items():
        run.accelerator.unwrap_model(net).load_state_dict(saved["nets"][name])  # type: ignore[index]
        run.optimisers[name].load_state_dict(saved["optimisers"][name])  # type: ignore[index]
    run.average.load_state_dict(saved["average"])  # type: ignore[arg-type]
    run.update, run.updates = int(saved["update"]), int(saved["updates"])  # type: ignore[call-overload]
    run.seconds, run.best = float(saved["seconds"]), float(saved["best"])  # type: ignore[arg-type]
    run.figures = dict(saved["figures"])  # type: ignore[call-overload]
    plan = run.recipe.schedule
    if plan.updates:
        run.updates = plan.updates
    elif plan.minutes != before.schedule.minutes:
        run.updates = max(run.update, round(plan.minutes * 60 * run.update / run.seconds)) if run.update else 0


def _check(run: Run, saved: Mapping[str, object], changed: list[str]) -> None:
    if not changed and saved["pictures"] != len(run.crops):
        changed = [f"{saved['pictures']} pictures then, {len(run.crops)} now"]
    if not changed and saved.get("material", run.material) != run.material:  # a checkpoint of an older vsr has none
        changed = ["the pictures, or those held out, are not the same as then"]
    if changed:
        raise ChangedSinceStart(
            f"{run.folder} holds a run of another recipe or other pictures: {'; '.join(changed)}",
            hint="Go on with what it began with, or begin anew with --restart.",
        )
