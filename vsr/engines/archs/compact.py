"""Compact: a chain of 3x3 convolutions with PReLU at low resolution, one sub-pixel shuffle, a nearest-neighbour base.

The layout of SRVGGNetCompact (Real-ESRGAN's small video models: 64 wide, 16 or 32 deep), whose checkpoints load as they
are; width, depth and scale are read from the shapes. The result is the reference network's; the order of work is ours:
nearest upsampling followed by an addition is the same as adding each pixel to its scale² channels before the shuffle,
at a fraction of the cost on a CPU, and the base stays in float32 while the body may run in bfloat16.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsr.filters import shuffle

_KEYS = re.compile(r"body\.(\d+)\.(weight|bias)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """channels in and out, features (width), convolutions between the first and the last (depth), scale."""

    channels: int
    features: int
    depth: int
    scale: int

    @property
    def halo(self) -> int:
        """The reach of one output pixel: one pixel a convolution."""
        return self.depth + 2


class Compact(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W): the centre picture."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.scale = layout.scale
        layers: list[nn.Module] = [nn.Conv2d(layout.channels, layout.features, 3, padding=1)]
        for _ in range(layout.depth):
            layers += [nn.PReLU(layout.features), nn.Conv2d(layout.features, layout.features, 3, padding=1)]
        layers += [
            nn.PReLU(layout.features),
            nn.Conv2d(layout.features, layout.channels * layout.scale**2, 3, padding=1),
        ]
        self.body = nn.Sequential(*layers)

    def forward(self, frames: Tensor) -> Tensor:
        centre = frames[:, frames.shape[1] // 2]
        first = self.body[0]
        assert isinstance(first, nn.Conv2d)
        detail = self.body(centre.to(first.weight.dtype, memory_format=torch.channels_last)).to(centre.dtype)
        blocks = detail.permute(0, 2, 3, 1).unflatten(3, (centre.shape[1], self.scale**2))
        # Each pixel is the base of its scale² channels. Not in place: in float32 `detail` may be the body's own result.
        summed = blocks + centre.permute(0, 2, 3, 1).unsqueeze(-1)
        return shuffle(summed.flatten(3).permute(0, 3, 1, 2), self.scale)


def load(state: Mapping[str, Tensor], layout: Layout) -> Compact:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Compact(layout)
    net.load_state_dict(dict(state))
    return net


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is that of this network with PReLU, else None."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    numbers = [int(match[1]) for key in state if (match := _KEYS.fullmatch(key))]
    if len(shapes) != len(state) or len(numbers) != len(state) or max(numbers, default=1) % 2:
        return None
    last, first = max(numbers), shapes.get("body.0.weight", ())
    if last < 2 or len(first) != 4 or first[1] not in (1, 3):
        return None
    layout = Layout(channels=first[1], features=first[0], depth=last // 2 - 1, scale=_scale(shapes, last, first[1]))
    if layout.scale < 1:
        return None
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in Compact(layout).state_dict().items()}
    return layout if expected == shapes else None


def _scale(shapes: Mapping[str, tuple[int, ...]], last: int, channels: int) -> int:
    out = shapes.get(f"body.{last}.weight", (0,))[0]
    scale = math.isqrt(out // channels)
    return scale if scale**2 * channels == out else 0
