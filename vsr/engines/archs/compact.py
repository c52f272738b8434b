"""Compact: a chain of 3x3 convolutions with PReLU at low resolution and one sub-pixel shuffle, onto an upscaled base.

The layout of SRVGGNetCompact (Real-ESRGAN's small video models: 64 wide, 16 or 32 deep), whose checkpoints load as they
are; width, depth and scale are read from the shapes. The result is the reference network's; the order of work is ours:
nearest upsampling followed by an addition is the same as adding each pixel to its scale² channels before the shuffle,
at a fraction of the cost on a CPU, and the base stays in float32 while the body may run in bfloat16.

Two things are our own: a bicubic base instead of the nearest-neighbour one (its fixed kernel lies in the weight file as
`base`, so that a file says which it has), and a `TemporalResidual` where a window holds N frames.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.engines.temporal_residual import TemporalResidual
from vsr.filters import base_channels, base_kernel, is_traced, shuffle

_KEYS = re.compile(r"body\.(\d+)\.(weight|bias)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """channels in and out, features (width), convolutions between the first and the last (depth), scale.

    bicubic: the base is bicubic, not nearest. frames: N in a window.
    """

    channels: int
    features: int
    depth: int
    scale: int
    bicubic: bool = False
    frames: int = 1

    @property
    def halo(self) -> int:
        """The reach of one output pixel: one pixel a convolution."""
        return self.depth + 2 + (3 if self.frames > 1 else 0)


class Compact(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, scale*H, scale*W): the centre picture.

    `aligned` (B, N-1, C, scale*H, scale*W): the neighbours' differences to the centre where N > 1; None counts as zero.
    """

    base: Tensor | None

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.scale, self.channels = layout.scale, layout.channels
        layers: list[nn.Module] = [nn.Conv2d(layout.channels, layout.features, 3, padding=1)]
        for _ in range(layout.depth):
            layers += [nn.PReLU(layout.features), nn.Conv2d(layout.features, layout.features, 3, padding=1)]
        layers += [
            nn.PReLU(layout.features),
            nn.Conv2d(layout.features, layout.channels * layout.scale**2, 3, padding=1),
        ]
        self.body = nn.Sequential(*layers)
        self.temporal = (
            TemporalResidual(
                frames=layout.frames,
                channels=layout.channels,
                scale=layout.scale,
                context=layout.features,
                features=layout.features,
            )
            if layout.frames > 1
            else None
        )
        self.register_buffer("base", base_kernel(layout.scale, layout.channels) if layout.bicubic else None)

    def forward(self, frames: Tensor, aligned: Tensor | None = None) -> Tensor:
        centre = frames[:, frames.shape[1] // 2]
        *front, last = self.body
        assert isinstance(last, nn.Conv2d)
        features = centre.to(last.weight.dtype, memory_format=torch.channels_last)
        for layer in front:
            features = layer(features)
        detail = last(features).to(centre.dtype)
        if self.temporal is not None and aligned is not None:
            detail = detail + self.temporal(aligned, features).to(centre.dtype)
        if self.base is not None:
            return shuffle(base_channels(centre, self.base) + detail, self.scale)
        if is_traced():  # in one operator, at the price of a copy
            every = torch.arange(self.channels, device=centre.device).repeat_interleave(self.scale**2)
            return shuffle(detail + centre.index_select(1, every), self.scale)
        blocks = detail.permute(0, 2, 3, 1).unflatten(3, (centre.shape[1], self.scale**2))
        # Each pixel is the base of its scale² channels. Not in place: in float32 `detail` may be the body's own result.
        summed = blocks + centre.permute(0, 2, 3, 1).unsqueeze(-1)
        return shuffle(summed.flatten(3).permute(0, 3, 1, 2), self.scale)


def load(state: Mapping[str, Tensor], layout: Layout) -> Compact:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Compact(layout)
    net.load_state_dict(dict(state))
    return net


def card(name: str, layout: Layout) -> ModelCard:
    """Give the facts of a network of this layout as a card without weights."""
    return ModelCard(
        id=name,
        family=name,
        arch="compact",
        scale=layout.scale,
        domain="y" if layout.channels == 1 else "rgb",
        frames=layout.frames,
        alignment="none" if layout.frames == 1 else "grid",
        halo=layout.halo,
        dtypes=("fp32", "bf16", "fp16"),
        description=f"Compact, {layout.features} wide, {layout.depth} deep",
    )


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Compact:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    layout = recognise(state)
    if layout is None or layout.scale != scale or layout.frames != card.frames:
        raise RuntimeError(f"found {layout}, the card says x{scale} with {card.frames} frames")
    return load(state, layout)


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is that of this network with PReLU, else None."""
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    own = [key for key in state if key == "base" or key.startswith("temporal.")]
    numbers = [int(match[1]) for key in state if (match := _KEYS.fullmatch(key))]
    if len(shapes) != len(state) or len(numbers) + len(own) != len(state) or max(numbers, default=1) % 2:
        return None
    last, first = max(numbers), shapes.get("body.0.weight", ())
    if last < 2 or len(first) != 4 or first[1] not in (1, 3):
        return None
    scale = _scale(shapes, last, first[1])
    enter = shapes.get("temporal.enter.weight")
    if scale < 1 or (enter is not None and len(enter) != 4):
        return None
    layout = Layout(
        channels=first[1],
        features=first[0],
        depth=last // 2 - 1,
        scale=scale,
        bicubic="base" in shapes,
        frames=1 if enter is None else enter[1] // (first[1] * scale**2) + 1,
    )
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in Compact(layout).state_dict().items()}
    return layout if expected == shapes else None


def _scale(shapes: Mapping[str, tuple[int, ...]], last: int, channels: int) -> int:
    out = shapes.get(f"body.{last}.weight", (0,))[0]
    scale = math.isqrt(out // channels)
    return scale if scale**2 * channels == out else 0
