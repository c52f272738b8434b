"""What N is worth to sr3: equal training with 1, 3 and 5 frames, with alignment and without, clean and compressed.

    python benchmarks/sr3_frames.py PHOTOS TRAINING_CLIPS CLIPS --work FOLDER

Trains six small nets (32 wide, 2 + 2 blocks, x4) by the recipe `sr3-tiny`: one of a single frame first, and from its
weights, by as many updates again each, N = 1, 3 and 5, and N = 3 and 5 whose neighbours stand where they are
(`unaligned`: differences to the centre without any motion). Then restores the windows of `benchmarks/windows.py` in
one step. Stopped and started again it goes on; photographs `*0` and CLIPS are never trained on.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor
from windows import Sources, by_source, machine, windows

from vsr.core.events import Event, Noted
from vsr.data import examples
from vsr.temporal.align import differences
from vsr.temporal.motion import still
from vsr.training.loop import train
from vsr.training.recipe import find, read_recipe

ROOT = Path(__file__).resolve().parent
SCALE = 4
FIRST = "first"
QUALITIES = (None, 18.0, 26.0)
SMALL = (
    "net.features=32",
    "net.blocks=1",
    "net.depth=2",
    "net.scales=[]",
    "data.crop=24",
    "data.clip_windows=6",
    "schedule.minutes=0",
    "run.validate=1000000",
    "run.pictures=4",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    name: str
    frames: int
    is_aligned: bool = True


VARIANTS = (
    Variant(name="N1", frames=1),
    Variant(name="N3", frames=3),
    Variant(name="N3-unaligned", frames=3, is_aligned=False),
    Variant(name="N5", frames=5),
    Variant(name="N5-unaligned", frames=5, is_aligned=False),
)


@contextmanager
def unaligned() -> Iterator[None]:
    """Let examples be made of neighbours as they are; no engine does that, so there is no setting for it."""

    def as_they_are(frames: Tensor, *, scale: int) -> Tensor:
        return differences(frames, scale=scale, motions=[still(*frames.shape[-2:])] * (len(frames) - 1))

    with patch.object(examples, "differences", as_they_are):
        yield


def trained(variant: Variant, args: argparse.Namespace, init: Path | None) -> Path:
    """Give the weights of a variant, trained where they are not there yet."""
    name = FIRST if init is None else variant.name
    folder: Path = args.work / name
    path = folder / f"{name}.safetensors"
    if path.is_file():
        return path
    only = "[" + ",".join(f'"{pattern}"' for pattern in args.only) + "]"
    own = [
        f"name={name}",
        f"net.frames={variant.frames}",
        f"schedule.updates={args.updates}",
        f"data.only={only}",
        *([] if init is None else [f"net.init={init}"]),
    ]
    recipe = read_recipe(find("sr3-tiny"), [*SMALL, *own])

    def report(event: Event) -> None:
        if isinstance(event, Noted):
            print(f"{time.strftime('%H:%M:%S')} {name}: {event.message}", flush=True)

    with nullcontext() if variant.is_aligned else unaligned():
        result = train(recipe, [args.photos, args.training], folder, resume=True, device="cpu", report=report)
    print(f"{time.strftime('%H:%M:%S')} {name}: {result.seconds:.0f} s, {result.figures}", flush=True)
    return result.weights


def measured(weights: dict[str, Path], args: argparse.Namespace) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Give luma PSNR by quality, kind of window, variant and source."""
    most = max(variant.frames for variant in VARIANTS)
    found: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for crf in QUALITIES:
        rows: dict[str, dict[str, dict[str, float]]] = {}
        for is_aligned in (True, False):
            with nullcontext() if is_aligned else unaligned():
                every = windows(args.photos, args.clips, scale=SCALE, frames=most, pictures=args.pictures, crf=crf)
            chosen = {v.name: weights[v.name] for v in VARIANTS if v.is_aligned == is_aligned and v.name in weights}
            for kind, sources in every.items():
                rows.setdefault(kind, {}).update(_rows(sources, chosen, has_bicubic=is_aligned))
        found["clean" if crf is None else f"crf {crf:g}"] = rows
        _show("clean" if crf is None else f"crf {crf:g}", rows)
    return found


def _rows(sources: Sources, chosen: dict[str, Path], *, has_bicubic: bool) -> dict[str, dict[str, float]]:
    rows = {"bicubic": by_source(sources, None, SCALE)} if has_bicubic else {}
    return rows | {name: by_source(sources, str(path), SCALE) for name, path in chosen.items()}


def _show(quality: str, rows: dict[str, dict[str, dict[str, float]]]) -> None:
    for kind, variants in rows.items():
        base = np.array(list(variants["N1"].values()))
        print(f"\n| {quality}, {kind} | PSNR Y | - N1 | worst source | sources that gain |\n|---|---:|---:|---:|---:|")
        for name, values in variants.items():
            gain = np.array(list(values.values())) - base
            better = f"{int((gain > 0).sum())} of {len(gain)}"
            mean = np.mean(list(values.values()))
            print(f"| {name} | {mean:.2f} | {gain.mean():+.2f} | {gain.min():+.2f} | {better} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("training", type=Path, help="clips to train on")
    parser.add_argument("clips", type=Path, help="clips to measure on")
    parser.add_argument("--work", type=Path, required=True, help="folder of the trained nets")
    parser.add_argument("--updates", type=int, default=3000, help="of each stage")
    parser.add_argument("--pictures", type=int, default=20, help="photographs to measure on")
    parser.add_argument("--only", nargs="*", default=[], help="names of what is trained on (default: everything)")
    parser.add_argument("--variants", nargs="*", default=[variant.name for variant in VARIANTS])
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "sr3_frames.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    first = trained(VARIANTS[0], args, None)
    chosen = [variant for variant in VARIANTS if variant.name in args.variants]
    weights = {variant.name: trained(variant, args, first) for variant in chosen}
    result = {
        "scale": SCALE,
        "updates": 2 * args.updates,
        "machine": machine(),
        "psnr_y": measured(weights, args),
    }
    args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
