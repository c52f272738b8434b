"""Put trained weights into the zoo, each with its card: the last step after `vsr train`.

    python recipes/ship.py runs/compact-x2 runs/espcn-mf-x2 --machine "an AMD EPYC with AVX512-BF16"
    make scores TESTSETS="TESTSETS CLIPS" WRITE=1

A run's folder holds `NAME.safetensors`, `NAME.toml` and `recipe.toml`. The weights are the average at the end of the
run; those of srresnet and sr3, ten times as large as the others, are kept in half precision. Weights that are for
several scales get a card for each. The card says what they are, on
what they were trained and by whose licence, for how long, with which seed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save

from vsr.engines import files, weights
from vsr.engines.cards import dump, read_card
from vsr.training.recipe import Recipe, find, read_recipe, to_mapping

PHOTOS = (
    "296 photographs and drawings under free licences (of 325; those whose file names end in 0 are held out): "
    "Cloudinary CID22 (CC BY-SA 4.0), CLIC 2025 (Unsplash licence), Budgie backgrounds (CC0), elementary OS wallpapers "
    "(free licences, each picture its own), Immich test assets (public domain), Big Buck Bunny, (c) Blender Foundation "
    "(CC BY 3.0), Pepper&Carrot, drawings by David Revoy (CC BY 4.0), WordPress Twenty Twenty-Five (CC0), SAM 2 "
    "(Apache-2.0)."
)
CLIPS = (
    " Clips: SAM 2 (Apache-2.0), Track-Anything (MIT), Big Buck Bunny, (c) Blender Foundation (CC BY 3.0), AndroidX "
    "media test files (Apache-2.0). Photographs become windows by smooth random motion of fractions of a pixel."
)
BICUBIC = " LR is MATLAB's bicubic of HR, both rounded to 8 bits"
HALF = ("srresnet", "srgan", "sr3")
SIZES = re.compile(r"(sr3)-(?:tiny|fast|base)")  # one name for whatever size is shipped
SAID = ("net.init", "data.only", "data.batch", "schedule.updates", "schedule.minutes")  # by other words of the card


def card_text(recipe: Recipe, training: str, machine: str) -> str:
    """Give the card's `training`: data and licences, degradation, length, machine, seed, recipe."""
    made, _, data = training.partition("; data: ")
    made = made.replace(" cores (x86_64)", f" cores of {machine}")
    coded = recipe.degrade.video_share if recipe.degrade.kind == "realistic" else 0
    lr = BICUBIC + (f"; {coded:.0%} of the windows went through H.264 or HEVC." if coded else ".")
    recipe_file = re.sub(r"-x\d+$", "", recipe.name)
    changes = changed(recipe, recipe_file)
    start = f" Begun from {Path(recipe.net.init).stem}" if recipe.net.init else ""
    frozen = ", which stays as it is." if recipe.net.freeze else "." if start else ""
    loss = "" if recipe.net.arch == "sr3" else f" Loss {recipe.loss.kind}."
    return (
        f"{PHOTOS}{CLIPS if 'clips' in data else ''}{lr}{loss}{start}{frozen} "
        f"{made}. recipes/{recipe_file}.toml{f' with {changes}' if changes else ''}."
    )


def changed(recipe: Recipe, family: str) -> str:
    """Give the keys that a run's command line put over its recipe and that decide the weights, as it had them."""
    plain, own = (to_mapping(each) for each in (read_recipe(find(family), [f"net.scale={recipe.net.scale}"]), recipe))
    found = []
    for block in ("net", "data", "loss", "diffusion", "schedule"):
        first, second = plain[block], own[block]
        assert isinstance(first, dict)
        assert isinstance(second, dict)
        found += [f"{block}.{key}={second[key]}" for key in second if second[key] != first[key]]
    return ", ".join(change for change in found if not change.startswith(SAID))


def ship(run: Path, zoo: Path, machine: str, scales: Sequence[int] = ()) -> None:
    """Write one run's weights and cards into the zoo; scales: only these of several, those that reach their floor."""
    recipe = read_recipe(run / "recipe.toml")
    card = read_card(run / f"{recipe.name}.toml")
    family = re.sub(r"-x\d+$", "", recipe.name)
    trained = weights.load(run / f"{recipe.name}.safetensors", digest=card.digest)
    content = (run / f"{recipe.name}.safetensors").read_bytes()
    if family.startswith(HALF):
        state = {key: _half(value) for key, value in trained.state.items() if isinstance(value, torch.Tensor)}
        content = save(state, metadata={"vsr": trained.header["vsr"]})
    every = files.inspect_all(run / f"{recipe.name}.safetensors")
    match = SIZES.fullmatch(family)
    name = match[1] if match else card.id
    (zoo / f"{name}.safetensors").write_bytes(content)
    for own in (own for own in every if not scales or own.scale in scales):
        shipped = replace(
            own,
            id=f"{name}-x{own.scale}" if len(every) > 1 else name,
            family=name if len(every) > 1 else family,
            weights=name if len(every) > 1 else "",
            parameters=card.parameters,
            digest=weights.digest_of(content),
            licence="CC-BY-SA-4.0",
            training=card_text(recipe, card.training, machine),
            description=recipe.description,
        )
        (zoo / f"{shipped.id}.toml").write_text(dump(shipped), encoding="utf-8")
        print(f"{shipped.id}: {card.parameters} parameters, {len(content) / 2**20:.2f} MiB, {shipped.digest[:12]}")


def _half(value: torch.Tensor) -> torch.Tensor:
    """Give weights in half precision; what is kept in double precision, a schedule, stays what it is."""
    return value.half() if value.dtype == torch.float32 else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--machine", required=True, help="what it was trained on, for the card")
    parser.add_argument("--scale", type=int, action="append", default=[], help="ship only this one of several scales")
    parser.add_argument("--zoo", type=Path, default=weights.shipped_folder())
    args = parser.parse_args()
    for run in args.runs:
        ship(run, args.zoo, args.machine, args.scale)


if __name__ == "__main__":
    main()
