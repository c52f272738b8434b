"""ESPCN: convolutions at low resolution, one sub-pixel shuffle at the end; with neighbours or without.

Shi et al. 2016, "Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional
Neural Network" (arXiv 1609.05158), sec. 3: 5x5 -> 64, 3x3 -> 32, 3x3 -> r² channels, periodic shuffling (eq. 4).
Two deliberate differences: ReLU for tanh (equal PSNR, a quarter less time on a CPU), and the network adds to a
bicubic base, which is itself a fixed convolution and is kept in float32 while the body may run in bfloat16.
The deeper variant has a second 3x3 -> 64 (58,212 parameters on luma at x2). With N frames in a window, a
`TemporalResidual` adds what the aligned neighbours know.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.engines.temporal_residual import TemporalResidual
from vsr.filters import base_channels, base_kernel, shuffle

TEMPORAL_FEATURES = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """scale, channels in and out (1 luma, 3 RGB), widths of all layers but the last, frames in a window."""

    scale: int
    channels: int = 1
    middle: tuple[int, ...] = (64, 32)
    frames: int = 1

    @property
    def halo(self) -> int:
        """The reach of one output pixel, in low-resolution pixels."""
        features = 1 + len(self.middle)
        return features + (1 if self.frames == 1 else 4)


class Espcn(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W); C is 1 (luma) or 3 (RGB).

    `aligned` (B, N-1, C, scale*H, scale*W): the neighbours' differences to the centre where N > 1; None counts as zero.
    """

    base: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.scale = layout.scale
        first, *rest = layout.middle
        layers: list[nn.Module] = [nn.Conv2d(layout.channels, first, 5, padding=2), nn.ReLU(inplace=True)]
        for before, after in zip(layout.middle, rest, strict=False):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU(inplace=True)]
        layers.append(nn.Conv2d(layout.middle[-1], layout.channels * layout.scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)
        self.temporal = (
            TemporalResidual(
                frames=layout.frames,
                channels=layout.channels,
                scale=layout.scale,
                context=layout.middle[-1],
                features=TEMPORAL_FEATURES,
            )
            if layout.frames > 1
            else None
        )
        self.register_buffer("base", base_kernel(layout.scale, layout.channels), persistent=False)

    def forward(self, frames: Tensor, aligned: Tensor | None = None) -> Tensor:
        centre = frames[:, frames.shape[1] // 2]
        *front, last = self.body
        assert isinstance(last, nn.Conv2d)
        features = centre.to(last.weight.dtype, memory_format=torch.channels_last)
        for layer in front:
            features = layer(features)
        residual = last(features)
        if self.temporal is not None and aligned is not None:
            residual = residual.to(centre.dtype) + self.temporal(aligned, features).to(centre.dtype)
        base = base_channels(centre, self.base)
        return shuffle(base + residual.to(base.dtype), self.scale)


def load(state: Mapping[str, Tensor], layout: Layout) -> Espcn:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Espcn(layout)
    net.load_state_dict(dict(state))
    return net


def card(name: str, layout: Layout) -> ModelCard:
    """Give the facts of a network of this layout as a card without weights."""
    return ModelCard(
        id=name,
        family=name,
        arch="espcn",
        scale=layout.scale,
        domain="y" if layout.channels == 1 else "rgb",
        frames=layout.frames,
        alignment="none" if layout.frames == 1 else "grid",
        halo=layout.halo,
        dtypes=("fp32", "bf16"),
    )


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Espcn:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    layout = recognise(state)
    if layout is None or layout.scale != scale or layout.frames != card.frames:
        raise RuntimeError(f"found {layout}, the card says x{scale} with {card.frames} frames")
    return load(state, layout)


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is this network's own, else None."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    convs = [shapes.get(f"body.{layer}.weight", ()) for layer in (0, 2, 4, 6)]
    convs = convs[: 4 if convs[3] else 3]
    if len(shapes) != len(state) or not all(len(shape) == 4 for shape in convs):
        return None
    first, last = convs[0], convs[-1]
    if first[2:] != (5, 5) or first[1] not in (1, 3) or last[0] % first[1]:
        return None
    channels, scale = first[1], math.isqrt(last[0] // first[1])
    enter = shapes.get("temporal.enter.weight")
    if scale < 1 or (enter is not None and len(enter) != 4):
        return None
    frames = 1 if enter is None else enter[1] // (channels * scale**2) + 1
    layout = Layout(scale=scale, channels=channels, middle=tuple(shape[0] for shape in convs[:-1]), frames=frames)
    with torch.device("meta"):
        own = {key: tuple(value.shape) for key, value in Espcn(layout).state_dict().items()}
    return layout if own == shapes else None
