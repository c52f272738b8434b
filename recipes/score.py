"""Score the shipped weights beside bicubic on the standard test sets: Y-PSNR, by the protocol of the papers.

    python recipes/score.py TESTSETS            # prints a table
    python recipes/score.py TESTSETS --write    # and puts the figures into the cards

TESTSETS holds folders of lossless HR pictures (`set5`, `set14`, `bsd100`). HR is cropped to a multiple of the scale;
Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255, rounded; LR is MATLAB's bicubic of it (a = -0.5, antialiased,
mirrored borders), rounded to 8 bits; the result is rounded and clipped; `scale` pixels are cut from each border; the
mean of the per-image PSNR. A grey picture is its own Y. Engines run as `vsr upscale` runs them, in float32.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vsr.core.card import ModelCard, Score
from vsr.engines import registry, weights
from vsr.engines.base import Batch, Engine, Key
from vsr.engines.cards import dump
from vsr.filters import BICUBIC, resize

SETS = ("set5", "set14", "bsd100")
SUFFIXES = {".png", ".webp", ".bmp", ".jpg"}


def luma(path: Path) -> Tensor:
    """Give BT.601 studio luma codes, rounded, (H, W) float64. A grey file's codes are taken as they are."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f"cannot read {path}")
    if image.ndim == 2:
        return torch.from_numpy(image.astype(np.float64))
    b, g, r = (image[..., i].astype(np.float64) for i in range(3))
    return torch.from_numpy(np.round(16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255))


def codes(y: Tensor) -> Tensor:
    return y.round().clamp(0, 255)


def upscaled(engine: Engine, lr: Tensor) -> Tensor:
    """Run an engine on luma codes as the pipeline does: black 0, white 1."""
    frames = ((lr - 16) / 219).float()[None, None, None]
    return engine.restore(Batch(frames=frames, keys=(Key(frame=0, seed=0),)))[0, 0].double() * 219 + 16


def psnr(hr: Tensor, sr: Tensor, scale: int) -> float:
    error = (hr - codes(sr))[scale:-scale, scale:-scale]
    return 10 * math.log10(255**2 / float((error**2).mean()))


def mean_psnr(paths: list[Path], scale: int, restore: Callable[[Tensor], Tensor]) -> float:
    total = 0.0
    for path in paths:
        hr = luma(path)
        height, width = (d // scale * scale for d in hr.shape)
        hr = hr[:height, :width]
        lr = codes(resize(hr, height // scale, width // scale, BICUBIC))
        total += psnr(hr, restore(lr), scale)
    return total / len(paths)


def score(card: ModelCard, folders: list[Path]) -> list[Score]:
    assert card.scale is not None
    scale = card.scale
    engine = registry.open_engine(card.id, scale=scale, precision="fp32")

    def bicubic(lr: Tensor) -> Tensor:
        return resize(lr, lr.shape[0] * scale, lr.shape[1] * scale, BICUBIC)

    scores = []
    for folder in folders:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
        base = round(mean_psnr(paths, scale, bicubic), 3)
        value = round(mean_psnr(paths, scale, lambda lr: upscaled(engine, lr)), 3)
        scores.append(Score(test_set=folder.name, metric="psnr_y", value=value, bicubic=base))
        print(f"{card.id:<12}{folder.name:<8}{value:>8.3f}{base:>9.3f}{value - base:>+8.3f}", flush=True)
    engine.close()
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("testsets", type=Path)
    parser.add_argument("--model", help="a family or an id (default: every shipped model with weights of luma)")
    parser.add_argument("--write", action="store_true", help="put the figures into the shipped cards")
    args = parser.parse_args()
    folders = [args.testsets / name for name in SETS if (args.testsets / name).is_dir()]
    if not folders:
        raise SystemExit(f"{args.testsets} holds none of {', '.join(SETS)}")
    cards = [card for card in registry.models() if card.digest and card.domain == "y"]
    if args.model:
        cards = [card for card in cards if args.model in (card.id, card.family)]
    print("Y-PSNR in dB   set         model  bicubic    gain")
    for card in cards:
        scored = replace(card, scores=tuple(score(card, folders)))
        if args.write:
            (weights.shipped_folder() / f"{card.id}.toml").write_text(dump(scored), encoding="utf-8")


if __name__ == "__main__":
    main()
