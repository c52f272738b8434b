"""Train the shipped ESPCN weights on a CPU: luma, one scale a run, by time, resumable.

    python recipes/train_espcn.py PHOTOS --scale 2 --minutes 25 --out runs/espcn-x2

PHOTOS is a folder of photographs. Names that end in `0` before the extension are for validation, the rest for
training; `--free-only` keeps the name prefixes whose licence allows shipping weights trained on them. HR is the
luma of each photograph (and of a copy at 0.7 of its size), LR is MATLAB's bicubic of it, rounded to 8 bits.
The run writes `last.pt` every minute (weights, average, optimiser, random state), goes on from it when started
again, and ends with `espcn-xN.safetensors`, the exponential moving average of the weights, and `log.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from vsr.engines.archs.espcn import Espcn
from vsr.filters import BICUBIC, resize

FREE = ("cid22", "clic2025", "budgie", "elementary", "immich", "bbb", "peppercarrot", "wp2025", "sam2")
CROP = 32  # LR pixels a side
BATCH = 32
EMA = 0.999
LEARNING_RATE = (1e-3, 1e-5)
WARM_UP = 200


def luma(path: Path) -> NDArray[np.float64]:
    """Give BT.601 studio luma codes, 16..235, unrounded, of an image file."""
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"cannot read {path}")
    b, g, r = (image[..., i].astype(np.float64) for i in range(3))
    return 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255


def pair(hr: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Give (LR, HR) as uint8 luma codes."""
    height, width = (d // scale * scale for d in hr.shape)
    hr = hr[:height, :width]
    lr = resize(hr, height // scale, width // scale, BICUBIC)
    return lr.round().clamp(0, 255).byte(), hr.round().clamp(0, 255).byte()


def load(paths: list[Path], scale: int, sizes: tuple[float, ...]) -> list[tuple[Tensor, Tensor]]:
    pairs = []
    for path in paths:
        y = torch.from_numpy(luma(path)).float()
        for size in sizes:
            hr = y if size == 1 else resize(y, round(y.shape[0] * size), round(y.shape[1] * size), BICUBIC)
            pairs.append(pair(hr, scale))
    return pairs


def unit(codes: Tensor) -> Tensor:
    """Give luma codes as floats, black 0 and white 1, as the pipeline feeds them."""
    return (codes.float() - 16) / 219


def batch(
    pairs: list[tuple[Tensor, Tensor]], share: NDArray[np.float64], scale: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    lrs, hrs = [], []
    for index in rng.choice(len(pairs), BATCH, p=share):
        lr, hr = pairs[index]
        y = int(rng.integers(0, lr.shape[0] - CROP + 1))
        x = int(rng.integers(0, lr.shape[1] - CROP + 1))
        a = lr[y : y + CROP, x : x + CROP]
        b = hr[y * scale : (y + CROP) * scale, x * scale : (x + CROP) * scale]
        if rng.random() < 0.5:
            a, b = a.flip(1), b.flip(1)
        if rng.random() < 0.5:
            a, b = a.flip(0), b.flip(0)
        if rng.random() < 0.5:
            a, b = a.T, b.T
        lrs.append(a)
        hrs.append(b)
    return unit(torch.stack(lrs))[:, None, None], unit(torch.stack(hrs))[:, None]


@torch.inference_mode()
def validate(net: Espcn, pairs: list[tuple[Tensor, Tensor]], scale: int) -> float:
    total = 0.0
    for lr, hr in pairs:
        out = (net(unit(lr)[None, None, None])[0, 0] * 219 + 16).round().clamp(0, 255)
        error = (out - hr.float())[scale:-scale, scale:-scale]
        total += 10 * math.log10(255**2 / float((error**2).mean()))
    return total / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--scale", type=int, required=True, choices=(2, 3, 4))
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--free-only", action=argparse.BooleanOptionalAction, default=True)
    args = parser.parse_args()

    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    paths = sorted(p for p in args.photos.iterdir() if p.suffix in {".webp", ".png", ".jpg"})
    if args.free_only:
        paths = [p for p in paths if p.name.startswith(FREE)]
    train = load([p for p in paths if not p.stem.endswith("0")], args.scale, (1.0, 0.7))
    val = load([p for p in paths if p.stem.endswith("0")], args.scale, (1.0,))
    train = [p for p in train if min(p[0].shape) >= CROP]
    area = np.array([p[0].numel() for p in train], dtype=np.float64)
    print(f"{len(train)} training and {len(val)} validation pictures", flush=True)

    net = Espcn(scale=args.scale).to(memory_format=torch.channels_last)
    average = Espcn(scale=args.scale)
    average.load_state_dict(net.state_dict())
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE[0])
    step, spent = 0, 0.0
    last = args.out / "last.pt"
    if last.exists():
        saved = torch.load(last, weights_only=False)
        net.load_state_dict(saved["net"])
        average.load_state_dict(saved["average"])
        optimiser.load_state_dict(saved["optimiser"])
        rng.bit_generator.state = saved["rng"]
        step, spent = saved["step"], saved["spent"]
        print(f"going on at update {step}, {spent / 60:.1f} min", flush=True)

    budget = args.minutes * 60
    began = time.monotonic() - spent
    next_save = spent + 60
    running = 0.0
    while (spent := time.monotonic() - began) < budget:
        progress = spent / budget
        high, low = LEARNING_RATE
        rate = (low + (high - low) * 0.5 * (1 + math.cos(math.pi * progress))) * min(1, (step + 1) / WARM_UP)
        for group in optimiser.param_groups:
            group["lr"] = rate
        lr, hr = batch(train, area / area.sum(), args.scale, rng)
        loss = ((net(lr) - hr) ** 2).mean()
        if not torch.isfinite(loss):
            raise SystemExit(f"non-finite loss at update {step}")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        step += 1
        decay = min(EMA, (step + 1) / (step + 10))
        with torch.no_grad():
            for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)
        running += (float(loss.detach()) - running) * 0.01
        if spent > next_save:
            next_save += 60
            record = {
                "update": step,
                "minutes": round(spent / 60, 2),
                "loss": running,
                "rate": rate,
                "psnr_y_val": round(validate(average, val, args.scale), 4),
            }
            print(json.dumps(record), flush=True)
            with (args.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(record) + "\n")
            part = last.with_suffix(".part")
            torch.save(
                {
                    "net": net.state_dict(),
                    "average": average.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "rng": rng.bit_generator.state,
                    "step": step,
                    "spent": spent,
                },
                part,
            )
            part.replace(last)

    result = args.out / f"espcn-x{args.scale}.safetensors"
    header = {
        "arch": "espcn",
        "scale": str(args.scale),
        "channels": "1",
        "updates": str(step),
        "seed": str(args.seed),
    }
    save_file({k: v.contiguous() for k, v in average.state_dict().items()}, result, metadata=header)
    print(f"{result}: {step} updates, validation {validate(average, val, args.scale):.3f} dB", flush=True)


if __name__ == "__main__":
    main()
