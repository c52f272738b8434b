"""Bringing a restored picture's colours back to those of its low-resolution frame.

Diffusion models that predict noise let hues drift: at the noisiest steps a small error of the network is a large one of
the picture. Pure functions of `result` (B, 3, H, W) and `low` (B, 3, h, w), both in [0, 1]; values are not clipped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.sampling import ColorFix
from vsr.filters import BICUBIC, resize

# Starck & Murtagh's a trous transform ("Astronomical Image and Data Analysis", 2nd ed., sec. 2.4): a cubic B-spline
_B3 = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_WAVELET_LEVELS = 5  # what is coarser than 32 output pixels or so comes from the low-resolution frame
_TINY = 1e-6


def fixed(result: Tensor, low: Tensor, kind: ColorFix, *, rounds: int = 2) -> Tensor:
    """Apply a colour fix by its name; `rounds` is for `backproject`."""
    if kind == "adain":
        return adain(result, low)
    if kind == "wavelet":
        return wavelet(result, low)
    if kind == "backproject":
        return backproject(result, low, rounds=rounds)
    return result


def adain(result: Tensor, low: Tensor) -> Tensor:
    """Give each channel the mean and the standard deviation of the enlarged frame's (Huang & Belongie 2017, eq. 8)."""
    wanted = _enlarged(low, result)
    spread, mean = torch.std_mean(result, dim=(-2, -1), keepdim=True, correction=0)
    wanted_spread, wanted_mean = torch.std_mean(wanted, dim=(-2, -1), keepdim=True, correction=0)
    return (result - mean) * (wanted_spread / spread.clamp_min(_TINY)) + wanted_mean


def wavelet(result: Tensor, low: Tensor, *, levels: int = _WAVELET_LEVELS) -> Tensor:
    """Exchange the low frequencies for the enlarged frame's (a trous, `levels` times): details stay the result's."""
    return result + _smooth(_enlarged(low, result) - result, levels)


def backproject(result: Tensor, low: Tensor, *, rounds: int = 2) -> Tensor:
    """Bring the shrunk result closer to the frame, `rounds` times (Irani & Peleg 1991): y += Up(low - Down(y)).

    result (B, C, s*h, s*w), low (B, C, h, w); bicubic (a = -0.5) both ways, antialiased down.
    """
    for _ in range(rounds):
        missing = low - resize(result, low.shape[-2], low.shape[-1], BICUBIC)
        result = result + _enlarged(missing, result)
    return result


def _enlarged(low: Tensor, like: Tensor) -> Tensor:
    return resize(low, like.shape[-2], like.shape[-1], BICUBIC)


def _smooth(planes: Tensor, levels: int) -> Tensor:
    """Apply the B3 spline along rows and columns with holes of 1, 2, 4, ... pixels; edges are repeated."""
    for level in range(levels):
        reach = 2 * 2**level
        planes = _along(F.pad(planes, (0, 0, reach, reach), mode="replicate"), 2**level, dim=-2)
        planes = _along(F.pad(planes, (reach, reach, 0, 0), mode="replicate"), 2**level, dim=-1)
    return planes


def _along(padded: Tensor, step: int, *, dim: int) -> Tensor:
    size = padded.shape[dim] - 4 * step
    return torch.stack([padded.narrow(dim, k * step, size) * weight for k, weight in enumerate(_B3)]).sum(0)
