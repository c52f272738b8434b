"""Sampling a network that predicts noise: ancestral in every trained step, or DDIM in a few of them.

Pure functions of (net, noise, condition, grid). Randomness comes in through `noise`, a function of a step's number, so
that nothing depends on the order of calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from vsr.engines.schedules import alphas, respaced

# (x (B, 3, H, W), condition (B, C, H, W), level (B, 1)) -> the noise in x, (B, 3, H, W)
NoiseNet: TypeAlias = Callable[[Tensor, Tensor, Tensor], Tensor]
# 0 -> what the sampler starts from; t -> what is added on leaving step t; each (B, 3, H, W), standard normal
NoiseSource: TypeAlias = Callable[[int], Tensor]
# (steps still to come, what it has come to (B, 3, H, W)), after each step
Watch: TypeAlias = Callable[[int, Tensor], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The steps that a sampler visits, the least noisy first: their numbers, and alpha-bar at each."""

    steps: tuple[int, ...]
    alphas: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.steps or len(self.steps) != len(self.alphas):
            raise ValueError(f"a grid has as many alphas as steps and at least one, got {len(self.steps)}")

    def before(self, k: int) -> float:
        """Give alpha-bar at the point that step k leads to: 1, a clean picture, at the end."""
        return self.alphas[k - 1] if k else 1.0


def grid(betas: Tensor, count: int | None = None) -> Grid:
    """Give the grid of `count` of the trained steps, None: of all of them.

    Raises:
        ValueError: less than 1, or more than there are.
    """
    left = alphas(betas)
    steps = respaced(len(left), len(left) if count is None else count)
    return Grid(steps=steps, alphas=tuple(float(left[step]) for step in steps))


def ancestral(
    net: NoiseNet, noise: NoiseSource, condition: Tensor, grid: Grid, watch: Watch = lambda left, x: None
) -> Tensor:
    """Sample (B, 3, H, W) in [-1, 1] by the chain of Ho et al. 2020 (arXiv 2006.11239), algorithm 2.

    Each step estimates the picture (eq. 15), holds it to [-1, 1], and draws from the posterior between it and x (eq. 7:
    its mean, and its own variance, the smaller of the paper's two). Nothing is added on leaving the last step. The
    network is told the noise level, not the step (Saharia et al. 2021, arXiv 2104.07636, eq. 6 and algorithm 2).
    """
    x = noise(0)
    for k in reversed(range(len(grid.steps))):
        alpha, before = grid.alphas[k], grid.before(k)
        clean = _clean(x, _predicted(net, x, condition, alpha), alpha)
        beta = 1 - alpha / before
        mean = clean * (math.sqrt(before) * beta / (1 - alpha)) + x * (math.sqrt(1 - beta) * (1 - before) / (1 - alpha))
        x = mean if k == 0 else mean + noise(grid.steps[k]) * math.sqrt(beta * (1 - before) / (1 - alpha))
        watch(k, x)
    return x


def ddim(
    net: NoiseNet, noise: NoiseSource, condition: Tensor, grid: Grid, watch: Watch = lambda left, x: None
) -> Tensor:
    """Sample (B, 3, H, W) in [-1, 1] by Song et al. 2021 (arXiv 2010.02502), eq. 12 with sigma = 0.

    Only the start is random. The estimate of the picture is held to [-1, 1], and the noise taken anew from what was
    held: else an estimate far out, as the noisiest steps give it, would leave its mark in the direction of travel.
    """
    x = noise(0)
    for k in reversed(range(len(grid.steps))):
        alpha, before = grid.alphas[k], grid.before(k)
        clean = _clean(x, _predicted(net, x, condition, alpha), alpha)
        held = (x - clean * math.sqrt(alpha)) / math.sqrt(1 - alpha)
        x = clean if k == 0 else clean * math.sqrt(before) + held * math.sqrt(1 - before)
        watch(k, x)
    return x


def _predicted(net: NoiseNet, x: Tensor, condition: Tensor, alpha: float) -> Tensor:
    return net(x, condition, torch.full((len(x), 1), math.sqrt(alpha), dtype=x.dtype, device=x.device))


def _clean(x: Tensor, noise: Tensor, alpha: float) -> Tensor:
    """Give the picture that x is, if `noise` is the noise in it: Ho et al. 2020, eq. 15."""
    return (x / math.sqrt(alpha) - noise * math.sqrt(1 / alpha - 1)).clamp(-1, 1)
