"""The weightless engines against the gathering resampler, and against PIL's kernels through torch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from vsr.core.card import ModelCard
from vsr.engines import registry
from vsr.engines.archs import resample
from vsr.filters import KERNELS, resize


def net(name: str, scale: int) -> resample.Resample:
    card = ModelCard(id=name, family=name, arch="resample", scale=None, domain="y")
    return resample.build(card, {}, scale=scale)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("scale", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (13, 24)])
def test_equals_the_gathering_resampler_up_to_the_borders(name: str, scale: int, size: tuple[int, int]) -> None:
    picture = torch.rand(2, 1, 3, *size, generator=torch.Generator().manual_seed(0))
    expected = resize(picture[:, 0], size[0] * scale, size[1] * scale, KERNELS[name])
    # float32 sums in another order
    torch.testing.assert_close(net(name, scale)(picture), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "mode"), [("bilinear", "bilinear"), ("bicubic", "bicubic")])
def test_equals_torchs_antialiased_interpolation_away_from_borders(name: str, mode: str) -> None:
    picture = torch.rand(1, 1, 1, 20, 20, generator=torch.Generator().manual_seed(1))
    expected = F.interpolate(picture[:, 0], scale_factor=3, mode=mode, antialias=True)
    # torch's antialiased kernel has a = -0.5 as ours; its borders are renormalised, ours mirrored: 3 pixels cut
    torch.testing.assert_close(net(name, 3)(picture)[..., 9:-9, 9:-9], expected[..., 9:-9, 9:-9], rtol=0, atol=2e-6)


def test_nearest_repeats_each_pixel() -> None:
    picture = torch.rand(1, 1, 1, 5, 6)
    expected = picture[:, 0].repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.equal(net("nearest", 3)(picture), expected)


def test_a_flat_picture_stays_flat_at_the_borders() -> None:
    assert torch.allclose(net("lanczos", 4)(torch.full((1, 1, 1, 9, 9), 0.7)), torch.tensor(0.7), atol=1e-6)


@pytest.mark.parametrize("name", KERNELS)
def test_the_shipped_cards_say_the_kernels_reach(name: str) -> None:
    assert registry.choose(name).card.halo == resample.reach(KERNELS[name])
