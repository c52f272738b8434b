"""Does a perceptual distance order degradations as it must? One degradation at a time, weak to strong.

`vsr.training.selffeat` teaches its net with the same four degradations; `tests` hold the shipped net to this check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.errors import InputError
from vsr.evaluation.features import Features, distance
from vsr.filters import BICUBIC, resize

Apply = Callable[[Tensor, float, torch.Generator], Tensor]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ladder:
    """A degradation and its strengths from weak to strong, in its own unit.

    apply: (picture (3, H, W) in [0, 1], strength, generator on the CPU) -> the same size, in [0, 1], rounded to 8 bits.
    levels: [low, high) of the three levels that `selffeat` learns to tell apart.
    rungs: the strengths that `ranking` compares.
    """

    apply: Apply
    levels: tuple[tuple[float, float], ...]
    rungs: tuple[float, ...]


def downscale(picture: Tensor, factor: float, _: torch.Generator) -> Tensor:
    """Shrink by `factor` and bring back to size, both bicubic: what an upscaler without a net gives."""
    height, width = picture.shape[-2:]
    small = resize(picture, max(1, round(height / factor)), max(1, round(width / factor)), BICUBIC)
    return _rounded(resize(_rounded(small), height, width, BICUBIC))


def blur(picture: Tensor, sigma: float, _: torch.Generator) -> Tensor:
    """Blur by a Gaussian of `sigma` pixels, cut off at 3 sigma; borders are mirrored, as far as there is a picture."""
    radius = min(max(1, int(np.ceil(3 * sigma))), min(picture.shape[-2:]) - 1)
    at = torch.arange(-radius, radius + 1, dtype=picture.dtype, device=picture.device)
    taps = torch.exp(-0.5 * (at / sigma) ** 2)
    taps = taps / taps.sum()
    padded = F.pad(picture[:, None], (radius,) * 4, mode="reflect")
    return _rounded(F.conv2d(F.conv2d(padded, taps.view(1, 1, -1, 1)), taps.view(1, 1, 1, -1))[:, 0])


def noise(picture: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise of standard deviation `std` (of full range), each channel its own."""
    return _rounded(picture + std * torch.randn(picture.shape, generator=generator).to(picture))


def jpeg(picture: Tensor, strength: float, _: torch.Generator) -> Tensor:
    """Code as JPEG of quality `100 - strength`, chroma halved (libjpeg's default), and decode."""
    codes = (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).flip(2).contiguous().cpu().numpy()
    done, data = cv2.imencode(".jpg", codes, [cv2.IMWRITE_JPEG_QUALITY, round(100 - strength)])
    assert done, "an 8-bit RGB picture can always be coded"
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)[..., ::-1].copy()
    return torch.from_numpy(decoded).permute(2, 0, 1).to(picture.device, picture.dtype) / 255


def _rounded(picture: Tensor) -> Tensor:
    return (picture.clamp(0, 1) * 255).round() / 255


LADDERS: Mapping[str, Ladder] = {
    "downscale": Ladder(
        apply=downscale, levels=((1.6, 2.4), (2.4, 3.4), (3.4, 4.6)), rungs=(1.25, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0)
    ),
    "blur": Ladder(apply=blur, levels=((0.5, 1.0), (1.0, 2.0), (2.0, 4.0)), rungs=(0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0)),
    "noise": Ladder(
        apply=noise,
        levels=((0.01, 0.03), (0.03, 0.08), (0.08, 0.2)),
        rungs=(0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2),
    ),
    "jpeg": Ladder(apply=jpeg, levels=((15, 50), (50, 80), (80, 95)), rungs=(5.0, 20.0, 40.0, 60.0, 75.0, 85.0, 92.0)),
}


@torch.no_grad()
def ranking(features: Features, pictures: Iterable[Tensor], *, seed: int = 0) -> dict[str, float]:
    """Give Spearman's correlation of distance and strength by degradation, the mean over `pictures`.

    1 is a perfect order, 0 none. pictures: (3, H, W) in [0, 1], of any sizes from 16 pixels. Noise is drawn anew for
    each strength.

    Raises:
        InputError: no picture is given.
    """
    found: dict[str, list[float]] = {name: [] for name in LADDERS}
    generator = torch.Generator().manual_seed(seed)
    for picture in pictures:
        for name, ladder in LADDERS.items():
            worse = torch.stack([ladder.apply(picture, strength, generator) for strength in ladder.rungs])
            distances = distance(features, worse, picture.expand_as(worse))
            found[name].append(spearman(ladder.rungs, distances.tolist()))
    if not found["blur"]:
        raise InputError("no pictures to rank degradations on")
    return {name: fmean(values) for name, values in found.items()}


def spearman(a: Iterable[float], b: Iterable[float]) -> float:
    """Give Spearman's rank correlation of two series of at least two numbers; equal values share their mean rank."""
    x, y = _ranks(a), _ranks(b)
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return float((x * y).sum()) / norm if norm else 0.0


def _ranks(values: Iterable[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    _, where, counts = np.unique(np.asarray(list(values), np.float64), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[where], np.float64)
