"""LPIPS (Zhang et al. 2018, arXiv 1801.03924, version 0.1) from weights that the user has; vsr ships none.

Two files: the backbone's state dict with torchvision's keys (AlexNet or VGG16: `features.0.weight`, ...), and the
linear heads fitted to human judgements (`lin0.model.1.weight` ... `lin4.model.1.weight`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsr.core.errors import IncompatibleModel
from vsr.engines import weights

HEADS = 5
SMALLEST = 64  # pixels a side: AlexNet's last maps are 3 x 3 there
# The authors' ScalingLayer: ImageNet's mean and deviation for pictures in [-1, 1].
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10
_ALEX = ((64, 11, 4, 2), 0, (192, 5, 1, 2), 0, (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
_VGG = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
_ALEX_TAPS = (1, 4, 7, 9, 11)  # after each ReLU
_VGG_TAPS = (3, 8, 15, 22, 29)  # relu1_2, 2_2, 3_3, 4_3, 5_3


class Lpips(nn.Module):
    """The distance of two pictures (B, 3, H, W) in [0, 1]: (B,), 0 is alike."""

    def __init__(self, backbone: nn.Sequential, taps: tuple[int, ...], heads: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self._taps = taps
        self.heads = nn.ParameterList(nn.Parameter(head, requires_grad=False) for head in heads)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(3, 1, 1))

    @torch.inference_mode()
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        total = torch.zeros(a.shape[0])
        for one, other, head in zip(self._maps(a), self._maps(b), self.heads, strict=True):
            total = total + F.conv2d((one - other) ** 2, head).mean(dim=(1, 2, 3))
        return total

    def _maps(self, pictures: Tensor) -> list[Tensor]:
        """Give the maps at the taps, each position's channels of length 1."""
        x = (pictures * 2 - 1 - self.get_buffer("shift")) / self.get_buffer("scale")
        maps = []
        for number, layer in enumerate(self.backbone):
            x = layer(x)
            if number in self._taps:
                maps.append(x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON))
        return maps


def load_lpips(backbone: Path, heads: Path) -> Lpips:
    """Read LPIPS from a backbone's and the heads' file.

    Raises:
        WeightsMissing, WeightsCorrupt, UnsafeWeights: of either file.
        IncompatibleModel: a file holds something else, or the two do not belong together.
    """
    state = _tensors(backbone)
    first = state.get("features.0.weight")
    is_alex = first is not None and tuple(first.shape) == (64, 3, 11, 11)
    net = _alex() if is_alex else _vgg()
    wanted = net.state_dict()
    own = {key: state.get(f"features.{key}") for key in wanted}
    if any(value is None or value.shape != wanted[key].shape for key, value in own.items()):
        raise IncompatibleModel(
            f"{backbone} is neither AlexNet nor VGG16 with torchvision's keys",
            hint="Give torchvision's alexnet or vgg16 state dict.",
        )
    net.load_state_dict({key: value for key, value in own.items() if value is not None})
    found = _tensors(heads)
    fitted = [found.get(f"lin{k}.model.1.weight", found.get(f"lin{k}.weight")) for k in range(HEADS)]
    widths = (64, 192, 384, 256, 256) if is_alex else (64, 128, 256, 512, 512)
    read = tuple(head for head in fitted if head is not None)
    if [tuple(head.shape) for head in read] != [(1, width, 1, 1) for width in widths]:
        raise IncompatibleModel(
            f"{heads} does not hold LPIPS's heads for {'AlexNet' if is_alex else 'VGG16'}",
            hint="It has keys lin0.model.1.weight to lin4.model.1.weight.",
        )
    return Lpips(net.eval().requires_grad_(False), _ALEX_TAPS if is_alex else _VGG_TAPS, read)


def _tensors(path: Path) -> Mapping[str, Tensor]:
    state = weights.unwrapped(weights.load(path).state)
    return {key: value.float() for key, value in state.items() if isinstance(value, Tensor)}


def _alex() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for item in _ALEX:
        if isinstance(item, int):
            layers.append(nn.MaxPool2d(3, 2))
            continue
        width, size, stride, padding = item
        layers += [nn.Conv2d(before, width, size, stride, padding), nn.ReLU()]
        before = width
    return nn.Sequential(*layers)


def _vgg() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 3
    for width in _VGG:
        if width:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.ReLU()]
            before = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)
