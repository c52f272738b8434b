"""Figures against independent implementations: scikit-image, scipy, and formulas worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage, signal
from skimage import color
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.textures import textured
from vsr.evaluation import protocol
from vsr.evaluation.metrics import METRICS, Compared, detail, gmsd, lr_error, measure, ms_ssim, psnr, ssim

ORACLE = {"data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


def pair(height: int = 96, width: int = 120, noise: float = 9.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Give 8-bit codes (3, H, W) and a noisy, blurred copy of them."""
    hr = (textured(3, height, width) * 255).round().double()
    rng = np.random.default_rng(0)
    worse = ndimage.gaussian_filter(hr.numpy(), (0, 1, 1)) + rng.normal(0, noise, hr.shape)
    return hr, protocol.rounded(torch.from_numpy(worse))


def test_psnr_is_scikit_images_on_luma_and_on_rgb() -> None:
    a, b = pair()
    for one, other in ((a, b), (a[0], b[0])):
        expected = peak_signal_noise_ratio(one.numpy(), other.numpy(), data_range=255)
        assert psnr(one, other) == pytest.approx(expected, abs=1e-9)


def test_ssim_is_scikit_images_on_luma_and_on_rgb() -> None:
    a, b = pair()
    assert ssim(a[0], b[0]) == pytest.approx(structural_similarity(a[0].numpy(), b[0].numpy(), **ORACLE), abs=1e-6)
    expected = structural_similarity(a.numpy(), b.numpy(), channel_axis=0, **ORACLE)
    assert ssim(a, b) == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_is_the_papers_formula_worked_with_scipy() -> None:
    hr, worse = pair(184, 200)
    a, b = hr[0].numpy(), worse[0].numpy()
    expected = 1.0
    for level, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        mean = [ndimage.gaussian_filter(x, 1.5, truncate=3.5)[5:-5, 5:-5] for x in (a, b, a * a, b * b, a * b)]
        variance_a, variance_b = mean[2] - mean[0] ** 2, mean[3] - mean[1] ** 2
        contrast = (2 * (mean[4] - mean[0] * mean[1]) + 7.65**2) / (variance_a + variance_b + 7.65**2)
        luminance = (2 * mean[0] * mean[1] + 2.55**2) / (mean[0] ** 2 + mean[1] ** 2 + 2.55**2)
        expected *= (luminance * contrast if level == 4 else contrast).mean() ** weight
        a, b = (signal.convolve2d(x, np.full((2, 2), 0.25), "valid")[::2, ::2] for x in (a, b))
    assert ms_ssim(hr[0], worse[0]) == pytest.approx(expected, abs=1e-6)


def test_ms_ssim_of_a_picture_too_small_for_five_scales_is_not_a_number_made_up() -> None:
    a, b = pair(175, 200)
    assert ms_ssim(a[0], b[0]) is None


def test_gmsd_is_the_papers_formula_worked_with_scipy() -> None:
    hr, worse = pair(64, 66)
    prewitt = np.array([[1, 0, -1]] * 3) / 3
    magnitudes = []
    for plane in (hr[0].numpy(), worse[0].numpy()):
        half = signal.convolve2d(np.pad(plane, ((0, 1), (0, 1))), np.full((2, 2), 0.25), "valid")[::2, ::2]
        magnitudes.append(
            np.hypot(signal.convolve2d(half, prewitt, "same"), signal.convolve2d(half, prewitt.T, "same"))
        )
    first, second = magnitudes
    expected = np.std((2 * first * second + 170) / (first**2 + second**2 + 170), ddof=1)
    assert gmsd(hr[0], worse[0]) == pytest.approx(expected, abs=1e-9)


def test_detail_is_the_laplacian_energy_over_that_of_hr() -> None:
    hr, worse = pair()
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    energy = [(signal.convolve2d(plane[0].numpy(), kernel, "valid") ** 2).mean() for plane in (worse, hr)]
    assert detail(worse[0], hr[0]) == pytest.approx(energy[0] / energy[1], rel=1e-12)
    assert detail(worse[0], torch.full_like(worse[0], 7.0)) is None


def test_a_result_that_shrinks_to_its_lr_has_no_lr_error() -> None:
    flat = torch.full((3, 40, 40), 77.0, dtype=torch.float64)
    assert lr_error(flat, torch.full((3, 10, 10), 77.0, dtype=torch.float64), 4) == 0
    # One level off on [-1, 1] is 2 / 255.
    off = lr_error(flat, torch.full((3, 10, 10), 78.0, dtype=torch.float64), 4)
    assert off == pytest.approx(1e5 * (2 / 255) ** 2)


def test_equal_pictures_are_perfect_in_every_figure() -> None:
    hr, _ = pair(180, 180)
    lr = protocol.rounded(protocol.shrunk(hr, 2))
    y = protocol.luma(hr)
    compared = Compared(hr_y=y, sr_y=y, hr_rgb=hr, sr_rgb=hr, lr=lr, restored=hr, scale=2)
    figures = measure(compared)
    assert figures["psnr_y"] == figures["psnr_rgb"] == math.inf
    ones = [figures[name] for name in ("ssim_y", "ssim_rgb", "ms_ssim_y", "detail")]
    assert ones == pytest.approx([1.0] * 4, abs=1e-12)
    assert figures["gmsd"] == pytest.approx(0, abs=1e-12)
    assert figures["lr_error"] == 0


def test_every_figure_of_a_picture_has_its_row_in_the_table() -> None:
    hr, worse = pair()
    y, small = protocol.luma(hr), protocol.shrunk(hr, 2)
    compared = Compared(hr_y=y, sr_y=protocol.luma(worse), hr_rgb=hr, sr_rgb=worse, lr=small, restored=worse, scale=2)
    assert set(measure(compared)) <= {metric.name for metric in METRICS}


def test_luma_is_scikit_images_and_goes_back_to_the_same_rgb() -> None:
    hr, _ = pair()
    expected = color.rgb2ycbcr(hr.numpy().transpose(1, 2, 0).astype(np.uint8)).transpose(2, 0, 1)
    assert torch.allclose(protocol.ycc(hr), torch.from_numpy(expected), atol=1e-9)
    assert torch.allclose(protocol.rgb(protocol.ycc(hr)), hr, atol=1e-9)


def test_a_grey_picture_is_its_own_luma() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    assert torch.equal(protocol.luma(protocol.planes(grey)), torch.from_numpy(grey).double())
    assert np.array_equal(protocol.pixels(protocol.planes(grey)), grey)
