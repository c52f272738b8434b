"""Perceptual features: the nets are what they say, the distance is a distance, files are checked."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tests.textures import textured
from vsr.core.errors import IncompatibleModel, UnsafeWeights, WeightsCorrupt, WeightsMissing
from vsr.evaluation import features as room
from vsr.evaluation.features import SelfFeat, Vgg19Features, distance, halved, load_features

# torchvision's vgg19: the numbers of its convolutions up to conv5_4, and their channels.
VGG_CONVOLUTIONS = {
    0: (3, 64),
    2: (64, 64),
    5: (64, 128),
    7: (128, 128),
    10: (128, 256),
    12: (256, 256),
    14: (256, 256),
    16: (256, 256),
    19: (256, 512),
    21: (512, 512),
    23: (512, 512),
    25: (512, 512),
    28: (512, 512),
    30: (512, 512),
    32: (512, 512),
    34: (512, 512),
}


class _Runs:
    def __reduce__(self) -> tuple[object, ...]:
        return print, ("run",)


@pytest.fixture(scope="module")
def selffeat() -> SelfFeat:
    torch.manual_seed(0)
    return SelfFeat().eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vgg_state() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    state = {}
    for number, (before, width) in VGG_CONVOLUTIONS.items():
        weight = torch.randn(width, before, 3, 3, generator=generator)
        state[f"features.{number}.weight"] = weight * (2 / (9 * before)) ** 0.5
        state[f"features.{number}.bias"] = torch.randn(width, generator=generator) * 0.1
    return state


@pytest.fixture(scope="module")
def vgg_file(vgg_state: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pth"
    torch.save({**vgg_state, "classifier.0.weight": torch.zeros(4, 4)}, path)
    return path


def test_selffeat_has_four_maps_each_half_as_large(selffeat: SelfFeat) -> None:
    maps = selffeat(torch.rand(2, 3, 50, 33))
    assert [tuple(map.shape[2:]) for map in maps] == [(50, 33), (25, 16), (12, 8), (6, 4)]
    assert [map.shape[1] for map in maps] == list(room.WIDTHS)


def test_a_fresh_selffeat_keeps_the_size_of_its_signal(selffeat: SelfFeat) -> None:
    """With torch's own start the last map would be a thousand times smaller than the first, and all of it biases."""
    first, *_, last = (float(map.std(dim=(2, 3)).mean()) for map in selffeat(textured(1)[None]))
    assert last > first / 10


def test_halving_keeps_a_constant_and_removes_the_finest_pattern() -> None:
    stripes = torch.tensor([1.0, -1.0]).repeat(8).expand(1, 2, 16, 16)
    assert torch.allclose(halved(torch.full((1, 2, 16, 16), 0.7)), torch.tensor(0.7))
    assert float(halved(stripes)[..., 1:-1].abs().max()) < 1e-6  # (1, 3, 3, 1) has a zero at the Nyquist frequency


def test_the_distance_is_zero_for_the_same_symmetric_and_positive(selffeat: SelfFeat) -> None:
    a, b = textured(1)[None], textured(2)[None]
    assert float(distance(selffeat, a, a)) == 0
    assert float(distance(selffeat, a, b)) > 0
    assert float(distance(selffeat, a, b)) == pytest.approx(float(distance(selffeat, b, a)), rel=1e-6)


def test_the_distance_is_the_formula(selffeat: SelfFeat) -> None:
    a, b = textured(1)[None], textured(2)[None]
    expected = 0.0
    for one, other in zip(selffeat(a), selffeat(b), strict=True):
        x, y = one[0].double().numpy(), other[0].double().numpy()
        x, y = (m / np.sqrt((m**2).mean(0, keepdims=True) + 1e-4) for m in (x, y))
        expected += float(((x - y) ** 2).mean())
    assert float(distance(selffeat, a, b)) == pytest.approx(expected, rel=1e-4)  # float32 sums


def test_a_batch_has_the_distances_of_its_pictures(selffeat: SelfFeat) -> None:
    a, b = torch.stack([textured(1), textured(2)]), torch.stack([textured(3), textured(4)])
    alone = [float(distance(selffeat, x[None], y[None])) for x, y in zip(a, b, strict=True)]
    assert distance(selffeat, a, b).tolist() == pytest.approx(alone, rel=1e-4)  # convolutions sum in another order


def test_luma_counts_as_grey(selffeat: SelfFeat) -> None:
    a, b = textured(1)[None, :1], textured(2)[None, :1]
    as_rgb = distance(selffeat, a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1))
    assert torch.equal(distance(selffeat, a, b), as_rgb)
    assert torch.equal(selffeat.error(a, b), selffeat.error(a.expand(-1, 3, -1, -1), b.expand(-1, 3, -1, -1)))


@pytest.mark.parametrize(("one", "other"), [((16, 16), (16, 17)), ((15, 32), (15, 32))])
def test_sizes_that_cannot_be_compared_are_refused(
    selffeat: SelfFeat, one: tuple[int, int], other: tuple[int, int]
) -> None:
    with pytest.raises(IncompatibleModel, match="16"):
        distance(selffeat, torch.zeros(1, 3, *one), torch.zeros(1, 3, *other))


def test_the_smallest_picture_has_a_distance(selffeat: SelfFeat) -> None:
    assert torch.isfinite(distance(selffeat, torch.zeros(1, 3, 16, 16), torch.ones(1, 3, 16, 16))).all()


def test_the_training_error_is_the_formula(selffeat: SelfFeat) -> None:
    a, b = torch.stack([textured(1), textured(2)]), torch.stack([textured(3), textured(4)])
    expected = np.zeros(2)
    for one, other in zip(selffeat(a), selffeat(b), strict=True):
        x, y = one.double().numpy(), other.double().numpy()
        expected += ((x - y) ** 2).mean((1, 2, 3)) / ((y**2).mean((1, 2, 3)) + 1e-4)
    assert selffeat.error(a, b).tolist() == pytest.approx(expected * room.SELFFEAT_SCALE, rel=1e-4)  # float32 sums


def test_the_training_error_keeps_growing_where_the_distance_saturates(selffeat: SelfFeat) -> None:
    """A generator must pay for more noise on a picture that is noisy already."""
    hr, noise = textured(1)[None], torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    weak, strong = hr + 0.5 * noise, hr + 2 * noise
    assert float(selffeat.error(strong, hr)) > 10 * float(selffeat.error(weak, hr))
    assert float(distance(selffeat, strong, hr)) < 2 * float(distance(selffeat, weak, hr))


def test_gradients_reach_the_picture_and_are_finite_even_where_it_is_flat(selffeat: SelfFeat) -> None:
    picture = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    selffeat.error(picture, textured(1, 32, 32)[None]).sum().backward()
    assert picture.grad is not None
    assert torch.isfinite(picture.grad).all()
    assert float(picture.grad.abs().sum()) > 0


def test_vgg_is_torchvisions_net_up_to_conv5_4_before_its_activation(
    vgg_file: Path, vgg_state: dict[str, Tensor]
) -> None:
    """Oracle: the layers run one by one by their torchvision numbers, on ImageNet's normalisation."""
    net = load_features(vgg_file)
    picture = textured(3, 32, 48)[None]
    x = (picture - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        3, 1, 1
    )
    for number in range(35):
        if number in VGG_CONVOLUTIONS:
            x = F.conv2d(x, vgg_state[f"features.{number}.weight"], vgg_state[f"features.{number}.bias"], padding=1)
        elif number in (4, 9, 18, 27):
            x = F.max_pool2d(x, 2)
        else:
            x = F.relu(x)
    assert isinstance(net, Vgg19Features)
    maps = net(picture)
    assert [map.shape[1] for map in maps] == [64, 128, 256, 512, 512]
    assert torch.allclose(maps[-1], x, atol=1e-4, rtol=1e-4)
    assert float(x.min()) < 0, "before the activation"


def test_vggs_error_is_the_mean_square_over_12_75_squared(vgg_file: Path) -> None:
    net = load_features(str(vgg_file))
    a, b = textured(3, 32, 32)[None], textured(4, 32, 32)[None]
    expected = float((net(a)[-1] - net(b)[-1]).square().mean()) * (1 / 12.75) ** 2
    assert float(net.error(a, b)) == pytest.approx(expected, rel=1e-5)
    assert float(distance(net, a, a)) == 0


@pytest.mark.parametrize("prefix", ["features.", "module.features.", ""])
def test_vgg_is_found_under_the_names_trainers_give_it(
    prefix: str, vgg_state: dict[str, Tensor], tmp_path: Path
) -> None:
    path = tmp_path / "vgg.safetensors"
    save_file({key.replace("features.", prefix, 1): value for key, value in vgg_state.items()}, path)
    assert load_features(path).name == "vgg19"


def test_a_selffeat_file_is_read_with_and_without_the_heads_it_was_taught_with(
    selffeat: SelfFeat, tmp_path: Path
) -> None:
    bare, taught = tmp_path / "bare.safetensors", tmp_path / "taught.safetensors"
    save_file({key: value.half() for key, value in selffeat.state_dict().items()}, bare)
    heads = {"heads.kind.0.weight": torch.zeros(3, 3)}
    save_file({**{f"features.{key}": value.half() for key, value in selffeat.state_dict().items()}, **heads}, taught)
    picture = textured(1)[None]
    one, other = load_features(bare), load_features(taught)
    assert isinstance(one, SelfFeat)
    assert not any(p.requires_grad or p.dtype != torch.float32 for p in one.parameters())
    assert torch.equal(one(picture)[-1], other(picture)[-1])


@pytest.mark.parametrize("reference", [None, "selffeat"])
def test_missing_shipped_weights_say_what_to_do(
    reference: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(room, "shipped_selffeat", lambda: tmp_path / "selffeat.safetensors")
    with pytest.raises(WeightsMissing) as caught:
        load_features(reference)
    assert "selffeat.toml" in (caught.value.hint or "")


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=r"vgg19\.pth"):
        load_features(tmp_path / "vgg19.pth")


@pytest.mark.parametrize(
    "keys", [["stages.0.0.weight"], ["features.0.weight"], ["body.0.weight"], ["stages.weight"], ["features.stages.x"]]
)
def test_another_net_is_refused(keys: list[str], tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({key: torch.zeros(4, 3, 3, 3) for key in keys}, path)
    with pytest.raises(IncompatibleModel, match="neither VGG19 nor a selffeat"):
        load_features(path)


def test_a_vgg_file_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg19.pth"
    path.write_bytes(pickle.dumps({"features.0.weight": _Runs()}))
    with pytest.raises(UnsafeWeights):
        load_features(path)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "selffeat.safetensors"
    path.write_bytes(b"not weights at all")
    with pytest.raises(WeightsCorrupt):
        load_features(path)
