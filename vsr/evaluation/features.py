"""Perceptual features and the distance between two pictures in them.

Two nets give features: `selffeat`, our own and shipped, taught to name degradations (`vsr.training.selffeat`), and
VGG19 from a file that the user has. Neither distance is LPIPS: no weights fitted to human judgements take part.
`vsr.evaluation.ranking` checks that a distance grows with the strength of known degradations.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.errors import IncompatibleModel, WeightsMissing
from vsr.engines import weights

SELFFEAT = "selffeat"
WIDTHS = (16, 32, 64, 128)
MINIMUM = 16  # pixels a side: two are left in the last stage
# What makes a weight of 1.0 count as much as the pixels, which is what Ledig et al. 2017 (sec. 3.2) wanted of VGG's
# 1/12.75: at a bicubic x4 upscaling, the gradient of `SelfFeat.error` is as long as that of the MSE on [-1, 1].
# Measured on 29 held-out photographs: median .009, mean .012, from .002 to .036.
SELFFEAT_SCALE = 0.01
VGG_SCALE = 1 / 12.75
_VGG_WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512, 512, 512, 512, 0, 512, 512, 512, 512)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_EPSILON = 1e-4


class Features(Protocol):
    """A fixed net whose feature maps stand for what one sees. Gradients flow to its input, not to its weights."""

    name: str

    def __call__(self, rgb: Tensor) -> list[Tensor]:
        """Give the feature maps of pictures (B, 3, H, W) in [0, 1], fine to coarse, each (B, C, h, w)."""

    def error(self, restored: Tensor, hr: Tensor) -> Tensor:
        """Give the training error of each picture, (B,), scaled to weigh about as much as the pixel MSE."""


class SelfFeat(nn.Module):
    """Four stages of two 3x3 convolutions with SiLU, blurred and halved between: (B, 3, H, W) in [0, 1] -> 4 maps.

    Any size from 16 pixels a side. The blur before halving (Zhang 2019, arXiv 1904.11486) keeps the maps steady
    under small shifts, so that the distance does not punish what one cannot see.
    """

    name = SELFFEAT

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        before = (3, *widths[:-1])
        self.stages = nn.ModuleList(_stage(a, b) for a, b in zip(before, widths, strict=True))

    def forward(self, rgb: Tensor) -> list[Tensor]:
        x = (rgb - 0.5) * 4
        maps = []
        for k, stage in enumerate(self.stages):
            x = stage(halved(x) if k else x)
            maps.append(x)
        return maps

    def error(self, restored: Tensor, hr: Tensor) -> Tensor:
        """See `Features.error`: the sum over the stages of the mean squared difference over HR's mean square, scaled.

        Not the distance: with each position normalised, what is already noisy costs nothing more, and a generator
        trained on that ran off into noise (Laplacian energy 6.6 times HR's after 180 updates).
        """
        _check(restored, hr)
        total = torch.zeros(hr.shape[0], device=hr.device)
        with torch.no_grad():
            wanted = self(rgb_of(hr))
        for ours, theirs in zip(self(rgb_of(restored)), wanted, strict=True):
            size = theirs.square().mean(dim=(1, 2, 3)) + _EPSILON
            total = total + (ours - theirs).square().mean(dim=(1, 2, 3)) / size
        return SELFFEAT_SCALE * total


def _stage(before: int, width: int) -> nn.Sequential:
    first, second = nn.Conv2d(before, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
    for conv in (first, second):
        # torch's own start halves the signal at each layer, and what is left is the biases; this one keeps its size:
        # SiLU leaves .355 of a unit normal's mean square (He et al. 2015, eq. 10, for SiLU).
        nn.init.normal_(conv.weight, std=(0.355 * 9 * conv.in_channels) ** -0.5)
        nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return nn.Sequential(first, nn.SiLU(), second, nn.SiLU())


def halved(x: Tensor) -> Tensor:
    """Blur with (1, 3, 3, 1) / 8 both ways and keep every second sample: (B, C, H, W) -> (B, C, H // 2, W // 2)."""
    taps = torch.tensor((1.0, 3.0, 3.0, 1.0), device=x.device, dtype=x.dtype) / 8
    kernel = (taps[:, None] * taps).expand(x.shape[1], 1, 4, 4)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, stride=2, groups=x.shape[1])


class Vgg19Features(nn.Module):
    """VGG19 (Simonyan & Zisserman 2015, configuration E) up to conv5_4, before its activation.

    Gives the maps after relu1_2, relu2_2, relu3_4, relu4_4 and of conv5_4; the error is that of conv5_4 alone
    (phi_5,4 of Ledig et al. 2017, eq. 5), scaled by 1/12.75.
    """

    name = "vgg19"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for width in _VGG_WIDTHS:
            if width:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
                before = width
            else:
                layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(_IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, rgb: Tensor) -> list[Tensor]:
        x = (rgb - self.get_buffer("mean")) / self.get_buffer("std")
        maps = []
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(x)
            x = layer(x)
        return [*maps, x]

    def error(self, restored: Tensor, hr: Tensor) -> Tensor:
        """See `Features.error`: the mean squared difference of conv5_4's maps, each scaled by 1/12.75."""
        _check(restored, hr)
        with torch.no_grad():
            theirs = self(rgb_of(hr))[-1]
        ours = self(rgb_of(restored))[-1]
        difference: Tensor = (ours - theirs) * VGG_SCALE
        return difference.square().mean(dim=(1, 2, 3))


def load_features(reference: str | Path | None = None) -> SelfFeat | Vgg19Features:
    """Give the features by name (`selffeat`, the default) or from a file: VGG19 with torchvision's keys, or a selffeat.

    The net is on the CPU, in float32, in eval mode and without gradients of its own.

    Raises:
        WeightsMissing, WeightsCorrupt, UnsafeWeights: the file is not there, is damaged, or wants to run code.
        IncompatibleModel: the file holds another net.
    """
    path = shipped_selffeat() if reference in (None, SELFFEAT) else Path(str(reference))
    if reference in (None, SELFFEAT) and not path.is_file():
        raise WeightsMissing(
            "the weights of selffeat are missing",
            hint="Train them (vsr train recipes/selffeat.toml), reinstall vsr, or give a VGG19 file (--vgg-weights).",
        )
    loaded = weights.unwrapped(weights.load(path).state)
    state = {key: value.float() for key, value in loaded.items() if isinstance(value, Tensor)}
    net = _selffeat(state) if any(".stages." in f".{key}" for key in state) else _vgg(state)
    if net is None:
        raise IncompatibleModel(
            f"{path} holds neither VGG19 nor a selffeat net",
            hint="Give a VGG19 state dict with torchvision's keys (features.0.weight … features.34.weight).",
        )
    return net.eval().requires_grad_(False)


def shipped_selffeat() -> Path:
    """Give where the shipped weights of `selffeat` lie."""
    return Path(__file__).resolve().parent / "selffeat.safetensors"


def _selffeat(state: Mapping[str, Tensor]) -> SelfFeat | None:
    """Build the net that `state` belongs to; what trained with it (`heads.`) is left out."""
    own = {key.removeprefix("features."): value for key, value in state.items() if not key.startswith("heads.")}
    biases = [own[key] for k in range(len(own)) if (key := f"stages.{k}.2.bias") in own]
    if not biases:
        return None
    net = SelfFeat(tuple(len(bias) for bias in biases))
    return net if _fits(net, own) else None


def _vgg(state: Mapping[str, Tensor]) -> Vgg19Features | None:
    """Take the convolutions up to conv5_4; torchvision's classifier and what bears no name of its own are left out."""
    net = Vgg19Features()
    named = {key if key.startswith("features.") else f"features.{key}": value for key, value in state.items()}
    own = {key: named[key] for key in net.state_dict() if key in named}
    return net if _fits(net, own) else None


def _fits(net: nn.Module, state: Mapping[str, Tensor]) -> bool:
    wanted = {key: value.shape for key, value in net.state_dict().items()}
    if wanted != {key: value.shape for key, value in state.items()}:
        return False
    net.load_state_dict(dict(state))
    return True


def distance(features: Features, a: Tensor, b: Tensor) -> Tensor:
    """Give how far apart pictures (B, 3 or 1, H, W) in [0, 1] look, (B,): 0 is alike; no unit, no upper bound of use.

    The sum over the stages of the mean squared difference of the maps, each position's channels brought to a mean
    square of 1 (the form of Zhang et al. 2018, eq. 1, without its fitted weights). Grey pictures count as RGB ones.
    With selffeat it orders the strengths of one degradation well; degradations of different kinds it need not order
    as people do (it minds faint noise as much as the blur of a bicubic x4), and it hardly sees a change of brightness.

    Raises:
        IncompatibleModel: the sizes differ, or a side is below 16 pixels.
    """
    _check(a, b)
    total = torch.zeros(a.shape[0], device=a.device)
    for one, other in zip(features(rgb_of(a)), features(rgb_of(b)), strict=True):
        total = total + (normalised(one) - normalised(other)).square().mean(dim=(1, 2, 3))
    return total


def normalised(maps: Tensor) -> Tensor:
    """Bring each position's channels to a mean square of 1: (B, C, h, w) -> (B, C, h, w)."""
    return maps * (maps.square().mean(dim=1, keepdim=True) + _EPSILON).rsqrt()


def rgb_of(pictures: Tensor) -> Tensor:
    """Give luma pictures (B, 1, H, W) as grey RGB ones; RGB as it is."""
    return pictures.expand(-1, 3, -1, -1) if pictures.shape[1] == 1 else pictures


def _check(a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise IncompatibleModel(f"cannot compare pictures of {_size(a)} and {_size(b)}")
    if min(a.shape[-2:]) < MINIMUM:
        raise IncompatibleModel(f"perceptual features need {MINIMUM} pixels a side, got {_size(a)}")


def _size(pictures: Tensor) -> str:
    return f"{pictures.shape[-1]}x{pictures.shape[-2]}"
