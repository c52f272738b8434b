"""ESPCN: convolutions at low resolution, one sub-pixel shuffle at the end.

Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
Neural Network" (arXiv 1609.05158), sec. 3: 5x5 -> 64, 3x3 -> 32, 3x3 -> r² channels, periodic shuffling (eq. 4).
Two deliberate differences: ReLU for tanh (equal PSNR, a quarter less time on a CPU), and the network adds to a
bicubic base, which is itself a fixed convolution and is kept in float32 while the body may run in bfloat16.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.filters import BICUBIC, phase_kernel, shuffle


class Espcn(nn.Module):
    """(B, 1, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W); C is 1 (luma) or 3 (RGB)."""

    base: Tensor

    def __init__(self, *, scale: int, channels: int = 1) -> None:
        super().__init__()
        self.scale = scale
        self.channels = channels
        self.body = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, channels * scale**2, 3, padding=1),
        )
        kernel = torch.from_numpy(phase_kernel(scale, BICUBIC)).float()[:, None]
        self.register_buffer("base", kernel.repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        centre = frames[:, frames.shape[1] // 2]
        first = self.body[0]
        assert isinstance(first, nn.Conv2d)
        residual = self.body(centre.to(first.weight.dtype, memory_format=torch.channels_last))
        padded = F.pad(centre, (2, 2, 2, 2), mode="replicate").to(memory_format=torch.channels_last)
        base = F.conv2d(padded, self.base.to(centre.dtype), groups=self.channels)
        return shuffle(base + residual.to(base.dtype), self.scale)


def load(state: Mapping[str, Tensor], *, scale: int, channels: int = 1) -> Espcn:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Espcn(scale=scale, channels=channels)
    net.load_state_dict(dict(state))
    return net


def halo() -> int:
    """Give the reach of one output pixel, in low-resolution pixels: 2 + 1 + 1."""
    return 4


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Espcn:
    """Build the network of a card: luma or RGB by its domain."""
    return load(state, scale=scale, channels=1 if card.domain == "y" else 3)


def recognise(state: Mapping[str, object]) -> tuple[int, int] | None:
    """Give (scale, channels) if `state` is this network's own layout, else None."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    first, last = shapes.get("body.0.weight", ()), shapes.get("body.4.weight", ())
    names = {f"body.{layer}.{kind}" for layer in (0, 2, 4) for kind in ("weight", "bias")}
    if set(state) != names or len(first) != 4 or first[0] != 64 or len(last) != 4 or first[1] not in (1, 3):
        return None
    scale, channels = math.isqrt(last[0] // first[1]), first[1]
    if scale < 1:
        return None
    with torch.device("meta"):
        own = Espcn(scale=scale, channels=channels).state_dict()
    expected = {key: tuple(value.shape) for key, value in own.items()}
    return (scale, channels) if expected == shapes else None
