"""The U-Net of "Image Super-Resolution via Iterative Refinement", as its best known implementation lays it out.

Saharia et al. 2021 (arXiv 2104.07636), sec. 2 and appendix A; keys and order are those of the public PyTorch version
and of its multi-frame descendant, so that their checkpoints load once the prefix is taken off (see
`engines.upstream_config`). The network predicts the noise in x, given the enlarged frames and the noise level; how it
is sampled stands in `engines.classic_engine`.

A state says what its shapes cannot: `betas` (float64, the schedule it was trained with), `norm_groups`, `image_size`
(the side of the pictures it was trained on), `scale` and `dropout` lie in it as buffers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.card import ModelCard

Variant = Literal["sr3", "biggan"]

_FACTS = ("betas", "norm_groups", "image_size", "scale", "dropout")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The shape of a network, and what it was trained for.

    frames: N in a window. inner: width of the first level; multipliers: of each level, relative to it. attention: the
    levels (0 the finest) whose blocks attend. res_blocks: a level, downwards. image_size: side in output pixels.
    variant: `biggan` adds the noise level between the normalisation and the activation before a block's first
    convolution, where BigGAN has its conditional shift, and scales what a block gives by 1/sqrt(2) (Saharia et al.
    2021, sec. 2.4); `sr3` adds it after that convolution.
    """

    frames: int = 1
    inner: int = 64
    multipliers: tuple[int, ...] = (1, 2, 4, 8, 8)
    attention: tuple[int, ...] = (3,)
    res_blocks: int = 2
    norm_groups: int = 32
    image_size: int = 128
    dropout: float = 0.0
    variant: Variant = "sr3"
    scale: int = 8

    def __post_init__(self) -> None:
        counts = (self.frames, self.inner, *self.multipliers, self.res_blocks, self.norm_groups, self.scale)
        if not self.multipliers or min(counts) < 1 or self.frames % 2 == 0 or self.inner % 2:
            raise ValueError(f"counts are at least 1, frames odd and inner even, got {self}")
        if self.inner % self.norm_groups:  # and so of every width, each a multiple of it
            raise ValueError(f"norm_groups must divide the width {self.inner}, got {self.norm_groups}")
        if self.image_size < 1 or self.image_size % self.divisor or not 0 <= self.dropout < 1:
            raise ValueError(f"image_size is a multiple of {self.divisor} and dropout below 1, got {self}")

    @property
    def divisor(self) -> int:
        """What output height and width are multiples of: each level but the first halves them."""
        return int(2 ** (len(self.multipliers) - 1))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each level."""
        return tuple(self.inner * multiplier for multiplier in self.multipliers)


class Sr3Classic(nn.Module):
    """The noise in x: net(x, level).

    x: (B, 3N+3, H, W) in about [-1, 1], the N enlarged frames, oldest first, then the noisy picture; H and W multiples
    of `layout.divisor`. level: (B, 1) in (0, 1], the root of alpha-bar. Gives (B, 3, H, W).
    """

    betas: Tensor

    def __init__(self, layout: Layout, betas: Tensor) -> None:
        super().__init__()
        self.layout = layout
        self.register_buffer("betas", betas.double())
        for name in ("norm_groups", "image_size", "scale"):
            self.register_buffer(name, torch.tensor(getattr(layout, name)))
        self.register_buffer("dropout", torch.tensor(layout.dropout, dtype=torch.float64))
        inner = layout.inner
        self.noise_level_mlp = nn.Sequential(
            LevelEncoding(inner), nn.Linear(inner, 4 * inner), nn.SiLU(), nn.Linear(4 * inner, inner)
        )
        self.downs, skips = _downwards(layout)
        width = layout.widths[-1]
        self.mid = nn.ModuleList(Block(layout, width, width, attends=attends) for attends in (True, False))
        self.ups = _upwards(layout, skips)
        self.final_conv = Convolution(inner, 3, layout.norm_groups)

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        embedded = self.noise_level_mlp(level)
        skips = []
        for layer in self.downs:
            x = layer(x, embedded) if isinstance(layer, Block) else layer(x)
            skips.append(x)
        for layer in self.mid:
            x = layer(x, embedded)
        for layer in self.ups:
            x = layer(torch.cat((x, skips.pop()), dim=1), embedded) if isinstance(layer, Block) else layer(x)
        noise: Tensor = self.final_conv(x)
        return noise


class LevelEncoding(nn.Module):
    """(B, 1) -> (B, width): sine and cosine of the level at frequencies from 1 down to nearly 1/10,000.

    The level is not multiplied by anything, unlike WaveGrad's (Chen et al. 2021, arXiv 2009.00713).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.count = width // 2

    def forward(self, level: Tensor) -> Tensor:
        at = torch.arange(self.count, dtype=level.dtype, device=level.device) / self.count
        angles = level * torch.exp(-math.log(1e4) * at)
        return torch.cat((angles.sin(), angles.cos()), dim=1)


class Convolution(nn.Module):
    """Group normalisation, SiLU, dropout, 3x3 convolution; `shift` (B, width, 1, 1) goes in before the activation."""

    def __init__(self, entering: int, leaving: int, groups: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.GroupNorm(groups, entering),
            nn.SiLU(),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            nn.Conv2d(entering, leaving, 3, padding=1),
        )

    def forward(self, x: Tensor, shift: Tensor | None = None) -> Tensor:
        norm, *rest = self.block
        x = norm(x) if shift is None else norm(x) + shift
        for layer in rest:
            x = layer(x)
        return x


class NoiseShift(nn.Module):
    """The embedded level (B, C) as a shift (B, width, 1, 1)."""

    def __init__(self, inner: int, width: int) -> None:
        super().__init__()
        self.noise_func = nn.Sequential(nn.Linear(inner, width))

    def forward(self, embedded: Tensor) -> Tensor:
        shift: Tensor = self.noise_func(embedded)
        return shift[..., None, None]


class Residual(nn.Module):
    """Two convolutions, told the noise level, beside a skip of 1x1 where the width changes."""

    def __init__(self, layout: Layout, entering: int, leaving: int) -> None:
        super().__init__()
        self.is_biggan = layout.variant == "biggan"
        self.noise_func = NoiseShift(layout.inner, entering if self.is_biggan else leaving)
        self.block1 = Convolution(entering, leaving, layout.norm_groups)
        self.block2 = Convolution(leaving, leaving, layout.norm_groups, layout.dropout)
        self.res_conv = nn.Conv2d(entering, leaving, 1) if entering != leaving else nn.Identity()

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        shift, skip = self.noise_func(embedded), self.res_conv(x)
        if self.is_biggan:
            whole: Tensor = (self.block2(self.block1(x, shift)) + skip) * math.sqrt(0.5)
        else:
            whole = self.block2(self.block1(x) + shift) + skip
        return whole


class Attention(nn.Module):
    """x + self-attention of one head over all positions."""

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.out = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=2)
        found = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        result: Tensor = x + self.out(found.transpose(1, 2).reshape(x.shape))
        return result


class Block(nn.Module):
    """A residual block, followed by attention on some levels."""

    def __init__(self, layout: Layout, entering: int, leaving: int, *, attends: bool) -> None:
        super().__init__()
        self.res_block = Residual(layout, entering, leaving)
        self.attn = Attention(leaving, layout.norm_groups) if attends else None

    def forward(self, x: Tensor, embedded: Tensor) -> Tensor:
        x = self.res_block(x, embedded)
        return x if self.attn is None else self.attn(x)


class Resized(nn.Module):
    """Half the size by a convolution of stride 2, or twice: nearest, then a convolution."""

    def __init__(self, width: int, *, is_up: bool) -> None:
        super().__init__()
        self.is_up = is_up
        self.conv = nn.Conv2d(width, width, 3, stride=1 if is_up else 2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.is_up else x)
        return result


def _downwards(layout: Layout) -> tuple[nn.ModuleList, list[int]]:
    """Give the layers of the way down, and the width of what each gives."""
    width = layout.inner
    layers: list[nn.Module] = [nn.Conv2d(3 * layout.frames + 3, width, 3, padding=1)]
    skips = [width]
    for level, leaving in enumerate(layout.widths):
        for _ in range(layout.res_blocks):
            layers.append(Block(layout, width, leaving, attends=level in layout.attention))
            skips.append(leaving)
            width = leaving
        if level + 1 < len(layout.widths):
            layers.append(Resized(width, is_up=False))
            skips.append(width)
    return nn.ModuleList(layers), skips


def _upwards(layout: Layout, skips: list[int]) -> nn.ModuleList:
    """Give the layers of the way up; each block takes the last skip that is left beside what comes from below."""
    width, left = layout.widths[-1], list(skips)
    layers: list[nn.Module] = []
    for level, leaving in reversed(list(enumerate(layout.widths))):
        for _ in range(layout.res_blocks + 1):
            layers.append(Block(layout, width + left.pop(), leaving, attends=level in layout.attention))
            width = leaving
        if level:
            layers.append(Resized(width, is_up=True))
    return nn.ModuleList(layers)


def load(state: Mapping[str, Tensor], layout: Layout) -> Sr3Classic:
    """Build the network that `state` belongs to. Raises RuntimeError (torch's own) when keys or shapes differ."""
    net = Sr3Classic(layout, state["betas"])
    net.load_state_dict(dict(state))
    return net


def card(name: str, layout: Layout) -> ModelCard:
    """Give the facts of a network of this layout as a card without weights."""
    side, reach = layout.image_size // layout.scale, layout.image_size // layout.scale // 4
    return ModelCard(
        id=name,
        family=name,
        arch="sr3_classic",
        scale=layout.scale,
        domain="rgb",
        frames=layout.frames,
        divisor=layout.divisor // math.gcd(layout.divisor, layout.scale),
        halo=reach,
        tiling="blend",
        description=(
            f"SR3 U-Net{' (BigGAN blocks)' if layout.variant == 'biggan' else ''}, {layout.inner} wide, trained at "
            f"{side} -> {layout.image_size} pixels; larger pictures run in blended windows of that size, approximate: "
            "its normalisation and attention look at all of a window"
        ),
    )


def build(card: ModelCard, state: Mapping[str, Tensor], *, scale: int) -> Sr3Classic:
    """Build the network of a card. Raises RuntimeError when the weights are of another network or scale."""
    layout = recognise(state)
    if layout is None or layout.scale != scale or layout.frames != card.frames:
        raise RuntimeError(f"found {layout}, the card says x{scale} with {card.frames} frames")
    return load(state, layout)


def recognise(state: Mapping[str, object]) -> Layout | None:
    """Give the layout if `state` is this network's own, with its facts beside the weights, else None."""
    facts = {key: value for key in _FACTS if isinstance(value := state.get(key), Tensor)}
    if len(facts) != len(_FACTS) or any(facts[key].numel() != 1 for key in _FACTS[1:]) or facts["betas"].dim() != 1:
        return None
    shapes = {key: tuple(value.shape) for key, value in state.items() if isinstance(value, Tensor)}
    if len(shapes) != len(state):
        return None
    found = structure({key: shape for key, shape in shapes.items() if key not in _FACTS})
    if found is None:
        return None
    try:
        return replace(
            found,
            norm_groups=int(facts["norm_groups"]),
            image_size=int(facts["image_size"]),
            scale=int(facts["scale"]),
            dropout=float(facts["dropout"]),
        )
    except ValueError:
        return None


def structure(shapes: Mapping[str, tuple[int, ...]]) -> Layout | None:
    """Give what the weights' shapes alone say, None if they are not this U-Net's.

    They do not say norm_groups, image_size, scale and dropout, which are set to the least possible.
    """
    first, levels = shapes.get("downs.0.weight", ()), _levels(shapes)
    if len(first) != 4 or first[0] < 1 or first[1] < 6 or first[1] % 3 or not levels[0]:
        return None
    variants: tuple[Variant, ...] = ("sr3", "biggan")
    for variant in variants:
        try:
            layout = Layout(
                frames=first[1] // 3 - 1,
                inner=first[0],
                multipliers=tuple(level[0][0] // first[0] if level else 0 for level in levels),
                attention=tuple(number for number, level in enumerate(levels) if level and level[0][1]),
                res_blocks=len(levels[0]),
                norm_groups=1,
                image_size=int(2 ** (len(levels) - 1)),
                variant=variant,
                scale=1,
            )
        except ValueError:
            return None
        with torch.device("meta"):
            own = {key: tuple(value.shape) for key, value in Sr3Classic(layout, torch.empty(1)).state_dict().items()}
        if {key: shape for key, shape in own.items() if key not in _FACTS} == shapes:
            return layout
    return None


def _levels(shapes: Mapping[str, tuple[int, ...]]) -> list[list[tuple[int, bool]]]:
    """Give each level's blocks on the way down: width, and whether it attends."""
    levels: list[list[tuple[int, bool]]] = [[]]
    for number in range(1, len(shapes)):
        block = shapes.get(f"downs.{number}.res_block.block1.block.3.weight")
        if block:
            levels[-1].append((block[0], f"downs.{number}.attn.qkv.weight" in shapes))
        elif f"downs.{number}.conv.weight" in shapes:
            levels.append([])
        else:
            break
    return levels
