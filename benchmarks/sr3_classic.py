"""SR3 as published, on the held-out windows of what `vsr prepare` wrote: how many steps buy what, against bicubic.

    python benchmarks/sr3_classic.py DATA WEIGHTS [--windows 12] [--out benchmarks/results/sr3_classic.json]

DATA is a folder of `vsr prepare --size 16,128 --frames 3` (its `val` part, where it has one). Two protocols side by
side: that of the public implementation (8 bits, RGB, no border cut, SSIM the mean of the three channels'), and ours
(luma, `scale` pixels cut from each border). DDIM and the ancestral chain visit some of the trained steps; the ancestral
chain was published with all 2000. `consistent` rows are brought back to LR twice, which undoes a shift of hue. `detail`
is the Laplacian energy of luma against HR's; `hue` the largest error of a channel's mean, in codes of 8 bits.

The three-frame implementation states 18.37 dB and 0.51 for its own clips, which cannot be had: that is the
neighbourhood of these figures, not the same test.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from windows import machine

from vsr.data.degrade import Degradation
from vsr.data.examples import Example, ExampleSpec, build, unit
from vsr.data.material import find
from vsr.engines import color_fix, ddpm, noise, registry
from vsr.engines.archs.sr3_classic import Sr3Classic
from vsr.engines.classic_engine import enlarged
from vsr.evaluation import metrics, protocol

PUBLISHED = {"psnr_rgb": 18.37, "ssim_rgb": 0.51}
SEED = 5
BATCH = 4
Row = dict[str, float]


def held_out(data: Path, net: Sr3Classic, count: int) -> list[Example]:
    """Give `count` of the windows, spread evenly."""
    train, val = find([data], holdout=None)
    spec = ExampleSpec(
        scale=net.layout.scale,
        domain="rgb",
        degradation=Degradation(),
        frames=net.layout.frames,
        alignment="none",
        smallest=1,
    )
    every = build(val if (data / "val").is_dir() else train, spec, seed=SEED)
    count = min(count, len(every))
    return [every[number * len(every) // count] for number in range(count)]


@torch.inference_mode()
def sampled(net: Sr3Classic, examples: Sequence[Example], kind: str, steps: int) -> list[Tensor]:
    """Give the pictures (3, H, W), black 0 and white 1; every window has its own seeded noise."""
    sampler = {"ddim": ddpm.ddim, "ancestral": ddpm.ancestral}[kind]
    found: list[Tensor] = []
    for first in range(0, len(examples), BATCH):
        part = examples[first : first + BATCH]
        condition = enlarged(torch.stack([frames(example) for example in part]), net.layout.scale)
        drawn = partial(_drawn, range(first, first + len(part)), *condition.shape[-2:])
        found += (sampler(partial(_predict, net), drawn, condition, ddpm.grid(net.betas, steps)) + 1) / 2
    return found


def frames(example: Example) -> Tensor:
    """Give the LR frames (N, 3, h, w), black 0 and white 1."""
    return unit(example.lr[None] if example.window is None else example.window, "rgb")


def figures(pictures: Sequence[Tensor], examples: Sequence[Example], scale: int) -> Row:
    """Give the mean figures of restored pictures, black 0 and white 1, by both protocols."""
    every = []
    for picture, example in zip(pictures, examples, strict=True):
        rgb, hr = protocol.rounded(picture.double() * 255), example.hr.double()
        sr_y, hr_y = (protocol.inside(protocol.luma(planes), scale) for planes in (rgb, hr))
        every.append(
            {
                "psnr_rgb": metrics.psnr(hr, rgb),
                "ssim_rgb": metrics.ssim(hr, rgb),
                "psnr_y": metrics.psnr(hr_y, sr_y),
                "ssim_y": metrics.ssim(hr_y, sr_y),
                "detail": metrics.detail(sr_y, hr_y) or 0.0,
                "hue": float((rgb - hr).mean(dim=(-2, -1)).abs().max()),
            }
        )
    return {key: math.fsum(row[key] for row in every) / len(every) for key in every[0]}


def _predict(net: Sr3Classic, x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
    found: Tensor = net(torch.cat((condition, x), dim=1), level)
    return found


def _drawn(numbers: Sequence[int], height: int, width: int, step: int) -> Tensor:
    return torch.stack([noise.field(SEED + number, height, width, 3, draw=step) for number in numbers])


def show(name: str, row: Row) -> None:
    cells = ("psnr_rgb", 9, 2), ("ssim_rgb", 9, 3), ("psnr_y", 9, 2), ("ssim_y", 9, 3), ("detail", 8, 2), ("hue", 8, 1)
    told = "".join(f"{row[key]:>{wide}.{digits}f}" if key in row else f"{'-':>{wide}}" for key, wide, digits in cells)
    print(f"{name:<28}{told}" + (f"{row['seconds']:>9.1f}" if "seconds" in row else ""), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("weights", help="a model or weight file of sr3_classic")
    parser.add_argument("--windows", type=int, default=12)
    parser.add_argument("--ddim", type=int, nargs="*", default=[1, 5, 20, 50])
    parser.add_argument("--ancestral", type=int, nargs="*", default=[200])
    parser.add_argument("--training", default="", help="what the weights were trained on and how long, for the record")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    card, net = registry.open_network(args.weights)
    assert isinstance(net, Sr3Classic), f"{args.weights} is {card.arch}, not sr3_classic"
    net.eval()
    examples, scale = held_out(args.data, net, args.windows), net.layout.scale
    print(f"{len(examples)} windows, x{scale}, {net.layout.frames} frames, {card.parameters:,} parameters")
    print(f"{'':<28}{'RGB dB':>9}{'RGB SSIM':>9}{'Y dB':>9}{'Y SSIM':>9}{'detail':>8}{'hue':>8}{'s each':>9}")
    bicubic = [protocol.enlarged(unit(example.lr, "rgb").double(), *example.hr.shape[-2:]) for example in examples]
    rows: dict[str, Row] = {"published, other clips": PUBLISHED, "bicubic": figures(bicubic, examples, scale)}
    for name, row in rows.items():
        show(name, row)
    for kind, steps in [*(("ddim", n) for n in args.ddim), *(("ancestral", n) for n in args.ancestral)]:
        began = time.monotonic()
        pictures = sampled(net, examples, kind, steps)
        seconds = (time.monotonic() - began) / len(examples)
        low = [unit(example.lr, "rgb") for example in examples]
        consistent = [color_fix.backproject(a[None], b[None])[0] for a, b in zip(pictures, low, strict=True)]
        name = f"{kind} {steps}"
        rows[name] = {**figures(pictures, examples, scale), "seconds": seconds}
        rows[f"{name}, consistent"] = figures(consistent, examples, scale)
        for key in (name, f"{name}, consistent"):
            show(key, rows[key])
    if args.out is not None:
        facts = {
            "machine": machine(),
            "parameters": card.parameters,
            "layout": str(net.layout),
            "training": args.training,
            "windows": len(examples),
            "clips": len({example.name for example in examples}),
            "spread_psnr_rgb_bicubic": statistics.pstdev(
                metrics.psnr(example.hr.double(), protocol.rounded(picture * 255))
                for example, picture in zip(examples, bicubic, strict=True)
            ),
        }
        args.out.write_text(json.dumps({**facts, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
