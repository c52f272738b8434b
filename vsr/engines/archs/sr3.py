"""SR3 across frames: a small two-level U-Net that predicts the velocity of a residual's diffusion.

After Saharia et al. 2021 (arXiv 2104.07636), who condition a denoising U-Net on the enlarged picture; what differs is
said in docs/sr3.md. The net works on the output grid, folded by `PATCH`, so its cost does not depend on the scale. It
normalises each pixel over its channels and has neither attention nor pooling: what a pixel becomes depends on a bounded
surrounding alone (`Layout.reach`), so tiles are exact, and any size will do.

Neighbours enter as aligned differences to the centre through a `TemporalResidual`: zero differences give exactly what
the centre alone gives. Everything that does not depend on the step lies in `context`, computed once a frame.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.card import ModelCard
from vsr.engines.diffusion import START
from vsr.engines.temporal_residual import TemporalResidual
from vsr.filters import base_channels, base_kernel, is_traced, shuffle, unshuffle

PATCH = 4  # pixels a side that are folded into channels
GRID = 2 * PATCH  # output sizes and tile origins are multiples of it: both levels see whole cells
LARGEST = 8  # scale
# Standard deviation of HR - bicubic on [-1, 1], luma, 37 photographs: what makes the residual's variance one.
DEVIATIONS: Mapping[int, float] = {2: 0.0755, 3: 0.1014, 4: 0.1179, 6: 0.1401, 8: 0.1562}
_WAVES = 8  # of the time's embedding
_TOLD = 128  # features of the embedding


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """channels of the pictures; width of the first level and, twice that, of the second; blocks at either end of the
    first level; middle blocks of the second. frames: N. scales: those it was trained for."""

    channels: int = 1
    width: int = 48
    blocks: int = 2
    middle: int = 4
    frames: int = 1
    scales: tuple[int, ...] = (4,)

    @property
    def trunk_reach(self) -> int:
        """The reach of one output pixel in `context` and in the noisy picture, in output pixels."""
        cells = 1 + 2 * self.blocks + 2 * 2 * self.middle + 2 * self.blocks + 1 + 1  # the last: a cell of the 2nd level
        return cells * PATCH

    @property
    def context_reach(self) -> int:
        """The reach of one pixel of `context` in the pictures, in output pixels."""
        return PATCH * (1 + (0 if self.frames == 1 else 5))

    @property
    def reach(self) -> int:
        """The reach of one output pixel, in output pixels, but for the two of the bicubic base."""
        return self.trunk_reach + self.context_reach


class _Norm(nn.Module):
    """Each pixel's channels brought to mean 0 and variance 1, times a weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, features: Tensor) -> Tensor:
        inner = features.permute(0, 2, 3, 1)
        return F.layer_norm(inner, (inner.shape[-1],), self.weight).permute(0, 3, 1, 2)


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = _Norm(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.told = nn.Linear(_TOLD, 2 * width)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        _silence(self.told)
        _silence(self.second)  # begins as the identity

    def forward(self, features: Tensor, told: Tensor) -> Tensor:
        hidden = self.first(self.norm(features))
        gain, bias = self.told(told)[:, :, None, None].chunk(2, dim=1)
        hidden = F.silu(hidden * (1 + gain) + bias)
        result: Tensor = features + self.second(hidden)
        return result


def _silence(layer: nn.Linear | nn.Conv2d) -> None:
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)


class Sr3(nn.Module):
    """(B, N, C, H, W) in [0, 1] -> (B, C, s*H, s*W): the centre picture after one step, the regression.

    `aligned` (B, N-1, C, s*H, s*W): the neighbours' differences to the centre where N > 1; None counts as zero.
    Samplers call the parts: `enlarged`, `context`, `velocity`.
    """

    base: Tensor
    deviations: Tensor

    def __init__(self, layout: Layout, *, scale: int | None = None) -> None:
        super().__init__()
        self.layout = layout
        self.scale = scale or layout.scales[0]
        width, planes = layout.width, layout.channels * PATCH**2
        self.stem = nn.Conv2d(planes, width, 3, padding=1)
        self.stem_noisy = nn.Conv2d(planes, width, 3, padding=1, bias=False)
        self.temporal = (
            TemporalResidual(
                frames=layout.frames,
                channels=layout.channels,
                scale=PATCH,
                context=width,
                features=width,
                out=width,
            )
            if layout.frames > 1
            else None
        )
        self.embed = nn.Sequential(nn.Linear(2 * _WAVES + 1, _TOLD), nn.SiLU(), nn.Linear(_TOLD, _TOLD), nn.SiLU())
        self.enter = nn.ModuleList(_Block(width) for _ in range(layout.blocks))
        self.down = nn.Conv2d(width, 2 * width, 2, stride=2)
        self.middle = nn.ModuleList(_Block(2 * width) for _ in range(layout.middle))
        self.up = nn.Conv2d(2 * width, 4 * width, 1)
        self.merge = nn.Conv2d(2 * width, width, 1)
        self.leave = nn.ModuleList(_Block(width) for _ in range(layout.blocks))
        self.head_norm = _Norm(width)
        self.head = nn.Conv2d(width, planes, 3, padding=1)
        _silence(self.head)
        known = [DEVIATIONS.get(s, DEVIATIONS[LARGEST]) if s in layout.scales else 0.0 for s in range(1, LARGEST + 1)]
        self.register_buffer("deviations", torch.tensor(known))
        self.register_buffer("base", base_kernel(self.scale, layout.channels), persistent=False)

    def deviation(self, scale: int) -> float:
        """Give the residual's standard deviation at a scale, on [-1, 1]."""
        return float(self.deviations[scale - 1])

    def enlarged(self, frames: Tensor) -> Tensor:
        """Give the centre of (B, N, C, H, W), bicubic, at `self.scale`."""
        return shuffle(base_channels(frames[:, frames.shape[1] // 2], self.base), self.scale)

    def context(self, base: Tensor, aligned: Tensor | None, deviation: float | Tensor) -> Tensor:
        """Give what the net knows of the pictures, (B, width, sH/PATCH, sW/PATCH): base (B, C, sH, sW) in [0, 1]."""
        dtype = self.stem.weight.dtype
        folded = unshuffle((2 * base - 1).to(dtype), PATCH).contiguous(memory_format=torch.channels_last)
        known: Tensor = self.stem(folded)
        if self.temporal is None or aligned is None:
            return known
        new: Tensor = self.temporal(aligned * (2 / deviation), known)
        return known + new

    def velocity(self, noisy: Tensor | None, time: Tensor, context: Tensor, scale: int | None = None) -> Tensor:
        """Give v (B, C, sH, sW) of noisy residuals (B, C, sH, sW), None at START, at times (B,)."""
        dtype = self.stem.weight.dtype
        told = self.embed(_waves(time, scale or self.scale).to(dtype))
        features = context
        if noisy is not None:
            folded = unshuffle(noisy.to(dtype), PATCH).contiguous(memory_format=torch.channels_last)
            features = features + self.stem_noisy(folded)
        for block in self.enter:
            features = block(features, told)
        inner = self.down(features)
        for block in self.middle:
            inner = block(inner, told)
        features = self.merge(torch.cat((shuffle(self.up(inner), 2), features), dim=1))
        for block in self.leave:
            features = block(features, told)
        result: Tensor = self.head(F.silu(self.head_norm(features)))
        return shuffle(result.to(torch.promote_types(dtype, torch.float32)), PATCH)

    def forward(self, frames: Tensor, aligned: Tensor | None = None) -> Tensor:
        base = self.enlarged(frames)
        height, width = base.shape[-2:]
        base, aligned = padded(base, aligned)
        deviation = self.deviations[self.scale - 1]
        time = torch.full_like(base[:, 0, 0, 0], START)
        restored = base - deviation / 2 * self.velocity(None, time, self.context(base, aligned, deviation))
        return restored if is_traced() else restored[..., :height, :width]


def padded(base: Tensor, aligned: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Repeat the right and lower edges of base (B, C, H, W) up to a multiple of `GRID`; differences get zeros."""
    below, right = (-size % GRID for size in base.shape[-2:])
    if is_traced() or not (below or right):  # a recorded network is given whole cells
        return base, aligned
    more = None if aligned is None else F.pad(aligned, (0, right, 0, below))
    return F.pad(base, (0, right, 0, below), mode="replicate"), more


def _waves(time: Tensor, scale: int) -> Tensor:
    """Give the embedding's input (B, 17): cosines and sines of multiples of the time, and the scale in octaves."""
    phases = time.float()[:, None] * torch.arange(1, _WAVES + 1, device=time.device)
    octaves = torch.full_like(phases[:, :1], math.log2(scale) - 2)
    return torch.cat((phases.cos(), phases.sin(), octaves), dim=1)


def load(state: Mapping[str, Tensor], layout: Layout, *, scale: int | None = None) -> Sr3:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Sr3(layout, scale=scale)
    net.load_state_dict(dict(state))
    return net


def cards(name: str, layout: Layout) -> tuple[ModelCard, ...]:
    """Give a card without weights for each scale of a network of this layout."""
    first = ModelCard(
        id=name,
        family=name,
        arch="sr3",
        scale=layout.scales[0],
        domain="y" if layout.channels == 1 else "rgb",
        frames=layout.frames,
        alignment="none" if layout.frames == 1 else "grid",
        dtypes=("fp32", "bf16"),
        description=f"SR3, {layout.width} wide, {2 * layout.blocks} + {layout.middle} blocks",
        usual=True,
    )
    return tuple(
        replace(
            first,
            scale=scale,
            usual=scale == layout.scales[0],
            divisor=GRID // math.gcd(GRID, scale),
            halo=-(-layout.reach // scale) + 2,
        )
        for scale in layout.scales
    )


def card(name: str, layout: Layout) -> ModelCard:
    """Give the card of the first of its scales."""
    return cards(name, layout)[0]


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Sr3:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    layout = recognise(state)
    if layout is None or scale not in layout.scales or layout.frames != card.frames:
        raise RuntimeError(f"found {layout}, the card says x{scale} with {card.frames} frames")
    return load(state, layout, scale=scale)


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is that of this network, else None."""
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)}
    stem, deviations = tensors.get("stem.weight"), tensors.get("deviations")
    if len(tensors) != len(state) or stem is None or stem.dim() != 4 or deviations is None:
        return None
    if tuple(deviations.shape) != (LARGEST,) or deviations.is_meta:
        return None
    scales = tuple(at + 1 for at in range(LARGEST) if float(deviations[at]) > 0)
    enter = tensors.get("temporal.enter.weight")
    channels = stem.shape[1] // PATCH**2
    if not scales or channels not in (1, 3) or (enter is not None and enter.dim() != 4):
        return None
    layout = Layout(
        channels=channels,
        width=stem.shape[0],
        blocks=_count(tensors, "enter"),
        middle=_count(tensors, "middle"),
        frames=1 if enter is None else enter.shape[1] // (channels * PATCH**2) + 1,
        scales=tuple(sorted(scales, key=lambda scale: (scale != 4, scale))),
    )
    if layout.frames % 2 == 0:  # no window has it
        return None
    with torch.device("meta"):
        expected = {key: tuple(value.shape) for key, value in Sr3(layout).state_dict().items()}
    return layout if expected == {key: tuple(value.shape) for key, value in tensors.items()} else None


def _count(tensors: Mapping[str, Tensor], name: str) -> int:
    return len({key.split(".")[1] for key in tensors if key.startswith(f"{name}.")})
