"""The ranking check: degradations are what they say, and a distance must order their strengths."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from scipy.stats import spearmanr
from torch import Tensor

from tests.textures import textured
from vsr.core.errors import InputError
from vsr.evaluation.features import load_features
from vsr.evaluation.ranking import LADDERS, blur, downscale, jpeg, noise, ranking, spearman

PICTURES = [textured(seed, 96, 112) for seed in range(6)]


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _codes(picture: Tensor) -> np.ndarray:
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


@pytest.mark.parametrize("name", LADDERS)
def test_a_degradation_keeps_size_and_range_and_gives_8_bit_values(name: str) -> None:
    for strength in LADDERS[name].rungs:
        worse = LADDERS[name].apply(textured(1, 17, 40), strength, _generator())
        assert worse.shape == (3, 17, 40)
        assert 0 <= float(worse.min()) <= float(worse.max()) <= 1
        assert torch.allclose((worse * 255).round(), worse * 255, atol=1e-3)


def test_blur_is_a_gaussian() -> None:
    """Oracle: scipy, cut off at the same 3 sigma, mirrored the same way; half a code of rounding."""
    picture = textured(1)
    expected = gaussian_filter(picture.double().numpy(), (0, 2.0, 2.0), mode="mirror", truncate=3.0)
    assert np.abs(blur(picture, 2.0, _generator()).numpy() - expected).max() <= 0.51 / 255


def test_downscale_is_pillows_bicubic_both_ways() -> None:
    """Away from borders, where Pillow renormalises; in floats, as its 8-bit way clips between the axes."""
    picture = textured(1, 96, 96)
    small = [Image.fromarray(plane.numpy() * 255).resize((32, 32), Image.Resampling.BICUBIC) for plane in picture]
    codes = [Image.fromarray(np.asarray(plane).round().clip(0, 255)) for plane in small]
    expected = np.stack([np.asarray(plane.resize((96, 96), Image.Resampling.BICUBIC)) for plane in codes])
    ours = downscale(picture, 3.0, _generator()).numpy() * 255
    assert np.abs(ours - expected.clip(0, 255))[:, 12:-12, 12:-12].max() <= 1.1  # rounded twice


def test_noise_has_the_standard_deviation_asked_for() -> None:
    grey = torch.full((3, 128, 128), 0.5)
    worse = noise(grey, 0.05, _generator())
    assert float((worse - 0.5).std()) == pytest.approx(0.05, rel=0.02)  # 49,152 draws: 0.3 % is one sigma
    assert float(np.corrcoef(worse[0].flatten(), worse[1].flatten())[0, 1]) == pytest.approx(0, abs=0.03)


def test_jpeg_is_pillows_of_that_quality() -> None:
    """Two builds of libjpeg: the same tables, so nearly the same picture."""
    picture = textured(1)
    data = BytesIO()
    Image.fromarray(_codes(picture)).save(data, "jpeg", quality=30)
    expected = np.asarray(Image.open(data)).astype(int)
    ours = _codes(jpeg(picture, 70, _generator())).astype(int)
    assert np.abs(ours - expected).mean() < 0.5
    assert cv2.PSNR(ours.astype(np.uint8), expected.astype(np.uint8)) > 40


def test_spearman_is_scipys() -> None:
    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.integers(0, 5, 12).tolist(), rng.normal(size=12).tolist()
        assert spearman(a, b) == pytest.approx(float(spearmanr(a, b).statistic), abs=1e-12)
    assert spearman([1, 2, 3], [7, 7, 7]) == 0


class _Energy:
    """Features that any real distance beats: the picture itself, or what is no measure at all."""

    def __init__(self, name: str, sign: float) -> None:
        self.name, self._sign = name, sign

    def __call__(self, rgb: Tensor) -> list[Tensor]:
        return [torch.cat([rgb, torch.ones_like(rgb)], dim=1)] if self._sign > 0 else [torch.rand_like(rgb)]

    def error(self, restored: Tensor, hr: Tensor) -> Tensor:
        raise AssertionError("the ranking compares maps, not losses")


def test_the_check_tells_a_distance_from_chance() -> None:
    torch.manual_seed(0)
    pictures = PICTURES[:3]
    good, bad = ranking(_Energy("pixels", 1), pictures), ranking(_Energy("chance", -1), pictures)
    assert good.keys() == bad.keys() == LADDERS.keys()
    assert min(good.values()) > 0.9
    assert max(bad.values()) < 0.8


def test_no_pictures_are_an_error() -> None:
    with pytest.raises(InputError, match="no pictures"):
        ranking(_Energy("pixels", 1), [])


def test_the_shipped_selffeat_orders_every_degradation() -> None:
    """On generated pictures that it never saw. One swap of neighbours in seven costs .036."""
    found = ranking(load_features(), PICTURES)
    assert {name: value for name, value in found.items() if value < 0.96} == {}
