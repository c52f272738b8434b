"""What neighbouring frames are worth: networks of one frame and of several on the same windows.

    python benchmarks/neighbours.py PHOTOS CLIPS --scale 2 espcn-x2 espcn-mf-x2 [WEIGHTS ...]

Three kinds of windows, LR by MATLAB's bicubic (with --crf then through H.264): `pans` of held-out photographs (smooth
motion of up to 8 HR pixels a frame, by fractions), `still` ones (nothing moves), and the clips' own frames. Luma PSNR
of the centre frame by the protocol of `vsr.evaluation.protocol`, in float32; differences are to the first network.
Every network sees the same windows; one of fewer frames reads the inner ones.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vsr.data.degrade import Degradation, from_table
from vsr.data.examples import Example, ExampleSpec, build
from vsr.data.material import Item, find
from vsr.engines import registry
from vsr.training.setup import bicubic_score, score

SEED = 3


def inner(example: Example, frames: int) -> Example:
    """Give an example as a network of fewer frames sees it: the inner neighbours, or none."""
    if example.aligned is None or frames == 1:
        return replace(example, aligned=None)
    cut = (len(example.aligned) - (frames - 1)) // 2
    return replace(example, aligned=example.aligned[cut : len(example.aligned) - cut])


def by_source(sources: Mapping[str, list[Example]], reference: str | None, scale: int) -> dict[str, float]:
    """Give the mean PSNR of each source's windows, restored by a network, or by bicubic."""
    if reference is None:
        return {name: bicubic_score(examples, scale, "y")["psnr_y"] for name, examples in sources.items()}
    card, net = registry.open_network(reference, scale=scale)
    net.eval()
    return {
        name: score(net, [inner(example, card.frames) for example in examples], scale, "y")["psnr_y"]
        for name, examples in sources.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("models", nargs="+", help="luma models or weight files, the first is compared with")
    parser.add_argument("--scale", type=int, required=True)
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--crf", type=float, help="send LR through H.264 at this quality first")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    _, photos = find([args.photos], holdout=["*0"])
    moving = [item for part in find([args.clips]) for item in part]
    most = max(registry.choose(model, args.scale, None).card.frames for model in args.models)
    kinds: dict[str, tuple[list[Item], dict[str, float]]] = {
        "pans": (photos[: args.pictures], {"still": 0.0, "reach": 8.0}),
        "still": (photos[: args.pictures // 4], {"still": 2.0, "reach": 0.0}),
        "clips": (moving, {}),
    }
    clean = {"blur": 0.0, "noise": 0.0, "shot_noise": 0.0, "jpeg_share": 0.0, "resize": "bicubic"}
    coded = {"kind": "realistic", **clean, "video_share": 1.0, "codecs": "h264", "crf": args.crf}
    degradation = Degradation() if args.crf is None else from_table(coded)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, (items, motion) in kinds.items():
        spec = ExampleSpec(scale=args.scale, domain="y", degradation=degradation, frames=most, clip_windows=3, **motion)
        sources = {item.name: build([item], spec, seed=SEED) for item in items}
        rows = {model or "bicubic": by_source(sources, model, args.scale) for model in (None, *args.models)}
        found[kind] = rows
        base = np.array(list(rows[args.models[0]].values()))
        print(f"\n{kind}: {len(items)} sources   mean   - first    worst   - first")
        for model, values in rows.items():
            gain = np.array(list(values.values())) - base
            print(
                f"{Path(model).stem:<24}{np.mean(list(values.values())):>9.3f}{gain.mean():>+9.3f}{gain.min():>+9.3f}"
            )
        if kind == "clips":
            for name in rows[args.models[0]]:
                print(f"  {name:<24}" + "".join(f"{rows[model][name]:>9.3f}" for model in rows), flush=True)
    if args.out is not None:
        args.out.write_text(json.dumps({"scale": args.scale, "crf": args.crf, "psnr_y": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
