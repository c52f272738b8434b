"""From the folders that a user names to the crops that training draws, and the examples that validation sees."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vsr.core.events import Event, Report, Warned
from vsr.data.crops import Crops, MixedCrops, middle
from vsr.data.examples import Example, ExampleSpec, build, digest_of
from vsr.data.material import find
from vsr.training.recipe import Recipe

_SMALLEST_HELD = 16  # LR pixels a side


def read_pictures(
    recipe: Recipe, data: Sequence[Path], val: Sequence[Path], *, device: str, report: Report
) -> tuple[Crops | MixedCrops, list[Example], str]:
    """Read and degrade everything once: crops for training (on the device), examples for validation, their digest.

    Raises:
        InputError: a folder is missing, nothing in it can be trained on, or nothing is as large as a crop.
    """
    items, held_items = find(data, only=recipe.data.only, holdout=None if val else recipe.data.holdout)
    if val:
        both = find(val, only=recipe.data.only, holdout=None)
        held_items = list(dict.fromkeys(item for part in both for item in part))
    if held_items[0] in items:
        report(Warned(message=f"nothing is held out: {held_items[0].name} is trained on and validated on; see --val"))
    held_items = held_items[: recipe.run.pictures]
    net = recipe.net
    spec = ExampleSpec(
        scale=net.scale,
        domain=net.domain,
        degradation=recipe.degrade,
        frames=net.frames,
        alignment="none" if net.arch == "sr3_classic" else "grid",
        sizes=recipe.data.sizes,
        draws=recipe.data.draws,
        motion=recipe.data.motion,
        reach=recipe.data.reach,
        still=recipe.data.still,
        clip_windows=recipe.data.clip_windows,
        smallest=recipe.data.crop,
    )
    seed = recipe.run.seed

    def warn(event: Event) -> None:
        if isinstance(event, Warned):
            report(event)

    examples = build(items, spec, seed=seed, report=report)
    once = replace(spec, sizes=(1.0,), draws=1, motion=min(1, spec.motion), clip_windows=2, smallest=_SMALLEST_HELD)

    held = [
        middle(example, scale=net.scale, side=recipe.run.side)
        for example in build(held_items, once, seed=seed, use="validate", report=warn)
    ]
    made, parts = [*examples, *held], [_crops(recipe, examples, net.scale, recipe.data.crop, device)]
    for scale in net.scales:
        side = _side(recipe.data.crop * net.scale, scale)
        examples = build(items, replace(spec, scale=scale, smallest=side), seed=seed, report=report)
        parts.append(_crops(recipe, examples, scale, side, device))
        made += examples
    digest = digest_of(made)
    if len(parts) == 1:
        return parts[0], held, digest
    share = recipe.data.scale_share
    return MixedCrops(parts, (1 - share, *(share / len(net.scales) for _ in net.scales))), held, digest


def _crops(recipe: Recipe, examples: Sequence[Example], scale: int, side: int, device: str) -> Crops:
    return Crops(
        examples,
        side=side,
        scale=scale,
        domain=recipe.net.domain,
        augment=recipe.data.augment,
        device=device,
    )


def _side(hr: int, scale: int) -> int:
    """Give the LR side of a crop of about so many HR pixels, which are a multiple of 8, as sr3's grid wants them."""
    step = 8 // math.gcd(8, scale)
    return max(step, round(hr / scale / step) * step)
