"""Put trained ESPCN weights into the zoo: the last step of the recipe, after `train_espcn.py`.

    python recipes/ship_espcn.py runs --minutes 26 --machine "1 core of an AMD EPYC with AVX-512"
    python recipes/score.py TESTSETS --write

The folder holds one folder a training run (`espcn-x2/espcn-x2.safetensors`). Each weight file is copied as it is; its
card says what it is, on what it was trained and by whose licence, for how long, with which seed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from vsr.core.card import ModelCard
from vsr.engines import weights
from vsr.engines.archs import espcn
from vsr.engines.cards import dump
from vsr.engines.files import inspect

SCALES = (2, 3, 4)
DATA = (
    "325 photographs and drawings under free licences (luma, also at 0.7 of their size; the 296 whose file names do "
    "not end in 0 were trained on, 29 held out): Cloudinary CID22 (CC BY-SA 4.0), CLIC 2025 (Unsplash licence), Budgie "
    "backgrounds (CC0), elementary OS wallpapers (free licences, each picture its own), Immich test assets (public "
    "domain), Big Buck Bunny, (c) Blender Foundation (CC BY 3.0), Pepper&Carrot, drawings by David Revoy (CC BY 4.0), "
    "WordPress Twenty Twenty-Five (CC0), SAM 2 (Apache-2.0)."
)
HOW = (
    "LR is MATLAB's bicubic of HR, both rounded to 8 bits. {updates} updates in {minutes:.0f} min on {machine}: 32 "
    "crops of 32x32 LR pixels each, mean squared error, Adam 1e-3 to 1e-5 by cosine, average of the weights 0.999, "
    "seed {seed}. recipes/train_espcn.py."
)


def card_of(path: Path, *, minutes: float, machine: str) -> ModelCard:
    """Give the full card of a trained weight file."""
    found = inspect(path)
    header = weights.load(path).header
    if found.arch != "espcn" or header.get("arch") != "espcn":
        raise SystemExit(f"{path} holds no espcn weights")
    how = HOW.format(updates=header["updates"], minutes=minutes, machine=machine, seed=header["seed"])
    return ModelCard(
        id=f"espcn-x{found.scale}",
        family="espcn",
        arch="espcn",
        scale=found.scale,
        domain=found.domain,
        halo=espcn.halo(),
        tiling="exact",
        dtypes=("fp32", "bf16"),
        parameters=found.parameters,
        digest=found.digest,
        licence="CC-BY-SA-4.0",
        training=f"{DATA} {how}",
        description="ESPCN (Shi et al. 2016) on luma with ReLU and a bicubic base: the fast per-frame model.",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--minutes", type=float, required=True, help="as given to train_espcn.py, for the card")
    parser.add_argument("--machine", required=True, help="what it was trained on, for the card")
    parser.add_argument("--zoo", type=Path, default=weights.shipped_folder())
    args = parser.parse_args()
    for scale in SCALES:
        name = f"espcn-x{scale}"
        source = args.runs / name / f"{name}.safetensors"
        if not source.is_file():
            print(f"{name}: no {source}, left out")
            continue
        card = card_of(source, minutes=args.minutes, machine=args.machine)
        (args.zoo / f"{name}.safetensors").write_bytes(source.read_bytes())
        (args.zoo / f"{name}.toml").write_text(dump(card), encoding="utf-8")
        print(f"{name}: {card.parameters} parameters, sha256 {card.digest[:12]}")


if __name__ == "__main__":
    main()
