"""SRResNet, the generator of SRGAN: residual blocks at low resolution, sub-pixel upscaling by steps.

Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network" (arXiv
1609.04802), sec. 3.2 and fig. 4: conv9 -> 16 x (conv3, PReLU, conv3, +) -> conv3 with a long skip -> (conv3 to 4x the
channels, shuffle by 2, PReLU) once for x2, twice for x4, one shuffle by 3 for x3 -> conv9. Two deliberate
differences: no batch normalisation (it is an affine map at evaluation, and training without it is as good and
independent of the batch: Lim et al. 2017, arXiv 1707.02921, sec. 3.1), and the result is added to a bicubic base, kept
in float32 while the body may run in bfloat16.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.filters import base_channels, base_kernel, shuffle

_BLOCK = re.compile(r"body\.trunk\.(\d+)\.first\.weight")
_STEPS = {1: (), 2: (2,), 3: (3,), 4: (2, 2), 8: (2, 2, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """scale (2, 3, 4 or 8), channels in and out, features (width), residual blocks."""

    scale: int
    channels: int = 3
    features: int = 64
    blocks: int = 16

    @property
    def halo(self) -> int:
        """The reach of one output pixel in low-resolution pixels; layers after a shuffle reach less."""
        reach, size = 4.0 + 2 * self.blocks + 1, 1
        for step in _STEPS[self.scale]:
            reach += 1 / size
            size *= step
        return int(-(-(reach + 4 / size) // 1))


class Block(nn.Module):
    """x + conv(PReLU(conv(x)))."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=1)
        self.act = nn.PReLU(features)
        self.second = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(self.act(self.first(x)))
        return result


class Upscale(nn.Module):
    """conv to step² times the channels, shuffle, PReLU."""

    def __init__(self, features: int, step: int) -> None:
        super().__init__()
        self.step = step
        self.conv = nn.Conv2d(features, features * step**2, 3, padding=1)
        self.act = nn.PReLU(features)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.act(shuffle(self.conv(x), self.step))
        return result


class Body(nn.Module):
    """What runs in the reduced precision: (B, C, H, W) -> (B, C, scale*H, scale*W), the residual to the base."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        width = layout.features
        self.enter = nn.Sequential(nn.Conv2d(layout.channels, width, 9, padding=4), nn.PReLU(width))
        self.trunk = nn.Sequential(*(Block(width) for _ in range(layout.blocks)))
        self.join = nn.Conv2d(width, width, 3, padding=1)
        self.upscale = nn.Sequential(*(Upscale(width, step) for step in _STEPS[layout.scale]))
        self.leave = nn.Conv2d(width, layout.channels, 9, padding=4)
        for block in self.trunk:
            assert isinstance(block, Block)
            nn.init.zeros_(block.second.weight)  # each block begins as the identity: stable at a high rate
            nn.init.zeros_(_bias(block.second))
        nn.init.zeros_(self.leave.weight)  # training begins from the bicubic base
        nn.init.zeros_(_bias(self.leave))

    def forward(self, x: Tensor) -> Tensor:
        entered = self.enter(x)
        joined = self.join(self.trunk(entered)) + entered
        residual: Tensor = self.leave(self.upscale(joined))
        return residual


class SrResNet(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W): the centre picture."""

    base: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.scale = layout.scale
        self.body = Body(layout)
        self.register_buffer("base", base_kernel(layout.scale, layout.channels), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        centre = frames[:, frames.shape[1] // 2]
        residual: Tensor = self.body(centre.to(self.body.join.weight.dtype, memory_format=torch.channels_last))
        base = shuffle(base_channels(centre, self.base), self.scale)
        return base + residual.to(base.dtype)


def load(state: Mapping[str, Tensor], layout: Layout) -> SrResNet:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = SrResNet(layout)
    net.load_state_dict(dict(state))
    return net


def card(name: str, layout: Layout) -> ModelCard:
    """Give the facts of a network of this layout as a card without weights."""
    return ModelCard(
        id=name,
        family=name,
        arch="srresnet",
        scale=layout.scale,
        domain="y" if layout.channels == 1 else "rgb",
        halo=layout.halo,
        dtypes=("fp32", "bf16"),
        description=f"SRResNet, {layout.features} wide, {layout.blocks} blocks",
    )


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> SrResNet:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    layout = recognise(state)
    if layout is None or layout.scale != scale:
        raise RuntimeError(f"found {layout}, the card says x{scale}")
    return load(state, layout)


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is this network's own, else None."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    first = shapes.get("body.enter.0.weight", ())
    if len(shapes) != len(state) or len(first) != 4:
        return None
    blocks = sum(1 for key in shapes if _BLOCK.fullmatch(key))
    for scale in _STEPS:
        layout = Layout(scale=scale, channels=first[1], features=first[0], blocks=blocks)
        with torch.device("meta"):
            own = {key: tuple(value.shape) for key, value in SrResNet(layout).state_dict().items()}
        if own == shapes:
            return layout
    return None


def _bias(conv: nn.Conv2d) -> Tensor:
    assert conv.bias is not None
    return conv.bias
