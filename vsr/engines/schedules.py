"""Noise schedules of diffusion models in discrete steps, and which of the steps a sampler visits. All in float64.

`betas[t]` is the variance that step t adds, t = 0 the least noisy; the share of the picture that is left after it is
`alphas(betas)[t]`, called alpha-bar in Ho et al. 2020 (arXiv 2006.11239) and gamma in Saharia et al. 2021 (arXiv
2104.07636).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

ScheduleName = Literal["quad", "linear", "warmup10", "warmup50", "const", "jsd", "cosine"]

_COSINE_OFFSET = 8e-3  # Nichol & Dhariwal 2021 (arXiv 2102.09672), eq. 17: keeps the first steps from vanishing
_LARGEST_BETA = 0.999  # same place: the last step of the cosine would be singular
_LEAST_ALPHA = 1e-20  # `jsd` ends in exactly nothing, which samplers could not divide by
_WARMUP = {"warmup10": 0.1, "warmup50": 0.5}


def betas(name: ScheduleName, steps: int, *, start: float = 1e-6, end: float = 1e-2) -> Tensor:
    """Give the variances (T,) float64 of a schedule of T `steps`; `jsd` and `cosine` have no ends of their own.

    quad: linear in the root. warmup10, warmup50: linear over that percentage of the steps, then `end`. const: `end`.
    jsd: 1/T, 1/(T-1), ..., 1 (Sohl-Dickstein et al. 2015, arXiv 1503.03585, sec. 2.4.1: what erases a fixed share of
    the picture at each step).

    Raises:
        ValueError: fewer than one step, ends outside (0, 1), or an unknown name.
    """
    if steps < 1 or not (0 < start < 1 and 0 < end < 1):
        raise ValueError(f"a schedule has at least 1 step and ends between 0 and 1, got {steps} from {start} to {end}")
    if name == "linear":
        return _ramp(start, end, steps)
    if name == "quad":
        return _ramp(math.sqrt(start), math.sqrt(end), steps) ** 2
    if name == "const":
        return _ramp(end, end, steps)
    if name in _WARMUP:
        warm = int(steps * _WARMUP[name])
        return torch.cat([_ramp(start, end, warm), _ramp(end, end, steps - warm)])
    if name == "jsd":
        return 1 / torch.arange(steps, 0, -1, dtype=torch.float64)
    if name == "cosine":
        return _cosine(steps)
    raise ValueError(f"no schedule is named {name!r}")


def alphas(betas: Tensor) -> Tensor:
    """Give what is left of the picture's variance after each step: (T,) float64 in (0, 1), falling."""
    return torch.cumprod(1 - betas.double(), dim=0).clamp_min(_LEAST_ALPHA)


def respaced(total: int, count: int) -> tuple[int, ...]:
    """Choose `count` of `total` trained steps, ascending and evenly spread, the first and the last always among them.

    A network knows the noise levels it was trained with: fewer steps means visiting fewer of them, never stretching a
    shorter schedule, which would not end in pure noise. One step is the last alone.

    Raises:
        ValueError: less than 1, or more than there are.
    """
    if not 1 <= count <= total:
        raise ValueError(f"1 to {total} steps, got {count}")
    if count == 1:
        return (total - 1,)
    return tuple((2 * i * (total - 1) + count - 1) // (2 * (count - 1)) for i in range(count))


def _ramp(start: float, end: float, steps: int) -> Tensor:
    return torch.linspace(start, end, steps, dtype=torch.float64)


def _cosine(steps: int) -> Tensor:
    """Nichol & Dhariwal 2021, eq. 17."""
    at = torch.arange(steps + 1, dtype=torch.float64) / steps
    left = torch.cos((at + _COSINE_OFFSET) / (1 + _COSINE_OFFSET) * math.pi / 2) ** 2
    return (1 - left[1:] / left[:-1]).clamp(max=_LARGEST_BETA)
