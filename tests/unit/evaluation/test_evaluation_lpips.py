"""LPIPS from a user's files: the published layout, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from tests.textures import textured
from vsr.core.errors import IncompatibleModel
from vsr.evaluation.lpips import load_lpips

SHAPES = {
    0: (64, 3, 11),
    3: (192, 64, 5),
    6: (384, 192, 3),
    8: (256, 384, 3),
    10: (256, 256, 3),
}  # torchvision's alexnet


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    generator = torch.Generator().manual_seed(0)
    backbone = {}
    for index, (after, before, size) in SHAPES.items():
        weight = torch.randn((after, before, size, size), generator=generator) / (before * size * size) ** 0.5
        backbone[f"features.{index}.weight"] = weight
        backbone[f"features.{index}.bias"] = torch.zeros(after)
    heads = {
        f"lin{k}.model.1.weight": torch.rand((1, shape[0], 1, 1), generator=generator)
        for k, shape in enumerate(SHAPES.values())
    }
    save_file(backbone, tmp_path / "alex.safetensors")
    save_file(heads, tmp_path / "heads.safetensors")
    return tmp_path / "alex.safetensors", tmp_path / "heads.safetensors"


def test_it_is_the_papers_sum_over_five_layers(files: tuple[Path, Path]) -> None:
    a, b = textured(1, 64, 64)[None], textured(2, 64, 64)[None]
    net = load_lpips(*files)
    state = dict(net.backbone.state_dict())
    expected = 0.0
    x, y = (
        (p * 2 - 1 - torch.tensor([-0.03, -0.088, -0.188]).view(3, 1, 1))
        / torch.tensor([0.458, 0.448, 0.45]).view(3, 1, 1)
        for p in (a, b)
    )
    for k, (index, stride, padding) in enumerate(((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1))):
        if index in (3, 6):
            x, y = F.max_pool2d(x, 3, 2), F.max_pool2d(y, 3, 2)
        kernel, bias = state[f"{index}.weight"], state[f"{index}.bias"]
        x, y = (F.relu(F.conv2d(z, kernel, bias, stride, padding)) for z in (x, y))
        apart = (F.normalize(x, dim=1, eps=1e-10) - F.normalize(y, dim=1, eps=1e-10)) ** 2
        expected += float((apart * net.heads[k]).sum(dim=1).mean())
    assert float(net(a, b)) == pytest.approx(expected, rel=1e-4)
    assert float(net(a, a)) == 0


def test_files_that_do_not_belong_together_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    backbone, heads = files
    with pytest.raises(IncompatibleModel, match="neither AlexNet nor VGG16"):
        load_lpips(heads, heads)
    with pytest.raises(IncompatibleModel, match="does not hold LPIPS's heads for AlexNet"):
        load_lpips(backbone, backbone)
