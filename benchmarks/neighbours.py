"""What neighbouring frames are worth: networks of one frame and of several on the same windows.

    python benchmarks/neighbours.py PHOTOS CLIPS --scale 2 espcn-x2 espcn-mf-x2 [WEIGHTS ...]

The windows are those of `benchmarks/windows.py`. Luma PSNR of the centre frame by the protocol of
`vsr.evaluation.protocol`, in float32; differences are to the first network. Every network sees the same windows; one of
fewer frames reads the inner ones.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from windows import by_source, windows

from vsr.engines import registry


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
    most = max(registry.choose(model, args.scale, None).card.frames for model in args.models)
    every = windows(args.photos, args.clips, scale=args.scale, frames=most, pictures=args.pictures, crf=args.crf)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind, sources in every.items():
        rows = {model or "bicubic": by_source(sources, model, args.scale) for model in (None, *args.models)}
        found[kind] = rows
        base = np.array(list(rows[args.models[0]].values()))
        print(f"\n{kind}: {len(sources)} sources   mean   - first    worst   - first")
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
