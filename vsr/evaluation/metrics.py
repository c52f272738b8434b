"""Figures of one restored picture against its HR: each a function of `Compared`, each a row of `METRICS`.

A new metric is a function and its row. Planes are 8-bit codes in float64, the border already cut, by
`vsr.evaluation.protocol`. What cannot be measured on a picture (too small, flat) is None, never a number.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vsr.core.errors import UsageError
from vsr.evaluation import protocol

PEAK = 255.0
SSIM_SIZE = 11  # taps of the window; also the smallest side that can be measured
_SSIM_SIGMA = 1.5
# Wang, Simoncelli and Bovik 2003, section 3.2: the weight of each of five scales.
_MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_GMSD_C = 170.0  # Xue et al. 2014, section III-A, for codes of 8 bits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """A restored picture beside its HR. y: (H, W). rgb: (3, H, W), or (1, H, W) of a grey picture; both without border.

    lr, restored: (C, h, w) and (C, H, W) with borders, for what is measured against LR.
    """

    hr_y: Tensor
    sr_y: Tensor
    hr_rgb: Tensor
    sr_rgb: Tensor
    lr: Tensor
    restored: Tensor
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """How a figure is called, written and read. best: `high`, `low`, `one` (nearest to 1), or `none`."""

    name: str
    label: str
    best: str
    digits: int
    meaning: str
    unit: str = ""
    is_rms: bool = False  # of a clip: the quadratic mean over its frames


def psnr(a: Tensor, b: Tensor) -> float:
    """Give the peak signal-to-noise ratio in dB, over all planes together; infinite where they are equal."""
    error = float(((a - b) ** 2).mean())
    return 10 * math.log10(PEAK**2 / error) if error > 0 else math.inf


def ssim(a: Tensor, b: Tensor) -> float:
    """Give the structural similarity of (H, W) or the mean over planes (C, H, W): Wang et al. 2004, eq. 13.

    Gaussian window of 11 x 11, sigma 1.5, K1 = 0.01, K2 = 0.03, only where the window lies inside the picture.
    """
    return float(_similarity(_stack(a), _stack(b))[0])


def ms_ssim(a: Tensor, b: Tensor) -> float | None:
    """Give the multi-scale structural similarity of (H, W): Wang et al. 2003, eq. 7. None below 176 pixels a side.

    Scales are halved by the mean of 2 x 2 pixels; a negative contrast term counts as 0.
    """
    if min(a.shape[-2:]) < SSIM_SIZE * 2 ** (len(_MS_WEIGHTS) - 1):
        return None
    first, second = _stack(a), _stack(b)
    result = 1.0
    for number, weight in enumerate(_MS_WEIGHTS):
        whole, contrast = _similarity(first, second)
        is_last = number == len(_MS_WEIGHTS) - 1
        result *= max(0.0, float(whole if is_last else contrast)) ** weight
        first, second = F.avg_pool2d(first, 2), F.avg_pool2d(second, 2)
    return result


def detail(sr: Tensor, hr: Tensor) -> float | None:
    """Give the Laplacian energy of (H, W) over that of HR: below 1 is blurred, above is too sharp or noisy."""
    of_hr = _laplacian_energy(hr)
    return _laplacian_energy(sr) / of_hr if of_hr > 0 else None


def gmsd(a: Tensor, b: Tensor) -> float:
    """Give the gradient magnitude similarity deviation of (H, W): Xue et al. 2014, eq. 5. 0 is equal."""
    first, second = (_gradient(_halved(plane)) for plane in (a, b))
    similarity = (2 * first * second + _GMSD_C) / (first**2 + second**2 + _GMSD_C)
    return float(similarity.std(correction=1))


def lr_error(restored: Tensor, lr: Tensor, scale: int) -> float:
    """Give 1e5 x the mean squared error, on [-1, 1], between LR and the restored picture brought back to LR's size."""
    again = protocol.rounded(protocol.shrunk(restored, scale))
    return 1e5 * float((((again - lr) * 2 / PEAK) ** 2).mean())


def color_shift(sr: Tensor, hr: Tensor) -> float:
    """Give how far the mean of a plane (C, H, W) is from HR's, in codes: that of the plane that is farthest off."""
    return float((sr.mean(dim=(-2, -1)) - hr.mean(dim=(-2, -1))).abs().max())


_FIGURES: dict[str, Callable[[Compared], float | None]] = {
    "psnr_y": lambda c: psnr(c.hr_y, c.sr_y),
    "ssim_y": lambda c: ssim(c.hr_y, c.sr_y),
    "psnr_rgb": lambda c: psnr(c.hr_rgb, c.sr_rgb),
    "ssim_rgb": lambda c: ssim(c.hr_rgb, c.sr_rgb),
    "ms_ssim_y": lambda c: ms_ssim(c.hr_y, c.sr_y),
    "detail": lambda c: detail(c.sr_y, c.hr_y),
    "gmsd": lambda c: gmsd(c.hr_y, c.sr_y),
    "lr_error": lambda c: lr_error(c.restored, c.lr, c.scale),
    "color_shift": lambda c: color_shift(c.sr_rgb, c.hr_rgb),
}

METRICS = (
    Metric(
        name="psnr_y", label="PSNR Y", best="high", digits=3, unit="dB", meaning="peak signal-to-noise ratio of luma"
    ),
    Metric(name="ssim_y", label="SSIM Y", best="high", digits=4, meaning="structural similarity of luma"),
    Metric(
        name="psnr_rgb",
        label="PSNR RGB",
        best="high",
        digits=3,
        unit="dB",
        meaning="over the three planes; about 2 dB below Y",
    ),
    Metric(name="ssim_rgb", label="SSIM RGB", best="high", digits=4, meaning="mean over the three planes"),
    Metric(
        name="ms_ssim_y",
        label="MS-SSIM Y",
        best="high",
        digits=4,
        meaning="at five scales; pictures of at least 176 pixels a side",
    ),
    Metric(name="detail", label="detail", best="one", digits=3, meaning="Laplacian energy of luma / that of HR"),
    Metric(name="gmsd", label="GMSD", best="low", digits=4, meaning="gradient magnitude similarity deviation of luma"),
    Metric(
        name="lr_error",
        label="LR error",
        best="low",
        digits=2,
        meaning="1e5 x mean squared error on [-1, 1] of the result, shrunk by bicubic, against LR",
    ),
    Metric(
        name="color_shift",
        label="colour shift",
        best="low",
        digits=3,
        meaning="difference of the mean of R, G or B, whichever is farthest from HR's, in codes",
    ),
    Metric(
        name="vgg19",
        label="VGG19 dist.",
        best="low",
        digits=4,
        meaning="distance in the features of the VGG19 given; not LPIPS",
    ),
    Metric(
        name="selffeat",
        label="selffeat",
        best="low",
        digits=4,
        meaning="distance in the features of vsr's own net; not LPIPS",
    ),
    Metric(name="lpips", label="LPIPS", best="low", digits=4, meaning="Zhang et al. 2018, from the weights given"),
    Metric(
        name="temporal_error",
        label="temporal err",
        best="low",
        is_rms=True,
        digits=3,
        meaning="RMS, in luma codes, of (change between frames) - (change in HR)",
    ),
    Metric(
        name="warping_error",
        label="warping err",
        best="none",
        is_rms=True,
        digits=3,
        meaning="RMS, in luma codes, of a frame less the one before moved by HR's motion; blur lowers it, too",
    ),
    Metric(
        name="vmaf", label="VMAF", best="high", digits=2, meaning="by the ffmpeg program's libvmaf, its default model"
    ),
)


NAMES = tuple(metric.name for metric in METRICS)


def measure(compared: Compared, names: Collection[str] = NAMES) -> dict[str, float | None]:
    """Give the figures of one picture by their metrics' names: those of `names` that look at one picture alone."""
    return {name: figure(compared) for name, figure in _FIGURES.items() if name in names}


def check_names(names: Iterable[str]) -> frozenset[str]:
    """Give the names as a set; none at all stands for every metric.

    Raises:
        UsageError: there is no such metric (the close match is named).
    """
    asked = frozenset(names)
    for name in sorted(asked - set(NAMES)):
        close = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Metrics: {', '.join(NAMES)}."
        raise UsageError(f"there is no metric {name!r}", hint=hint)
    return asked or frozenset(NAMES)


def _stack(plane: Tensor) -> Tensor:
    """Give planes as (C, 1, H, W)."""
    return plane[None, None] if plane.dim() == 2 else plane[:, None]


def _similarity(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Give the means of SSIM and of its contrast and structure term, over planes (C, 1, H, W)."""
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mean_a, mean_b = _blurred(a), _blurred(b)
    variance_a = _blurred(a * a) - mean_a**2
    variance_b = _blurred(b * b) - mean_b**2
    covariance = _blurred(a * b) - mean_a * mean_b
    contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return (luminance * contrast).mean(), contrast.mean()


def _blurred(stack: Tensor) -> Tensor:
    """Blur both ways by adding shifted planes up: in float64 on a CPU a quarter of conv2d's time."""
    place = torch.arange(SSIM_SIZE, dtype=stack.dtype) - SSIM_SIZE // 2
    taps = torch.exp(-(place**2) / (2 * _SSIM_SIGMA**2))
    taps = taps / taps.sum()
    for dim in (-2, -1):
        size = stack.shape[dim] - SSIM_SIZE + 1
        total = stack.narrow(dim, 0, size) * taps[0]
        for k in range(1, SSIM_SIZE):
            total.add_(stack.narrow(dim, k, size), alpha=float(taps[k]))
        stack = total
    return stack


def _laplacian_energy(plane: Tensor) -> float:
    middle = plane[1:-1, 1:-1]
    around = plane[:-2, 1:-1] + plane[2:, 1:-1] + plane[1:-1, :-2] + plane[1:-1, 2:]
    return float(((around - 4 * middle) ** 2).mean())


def _halved(plane: Tensor) -> Tensor:
    """Give every second pixel of the 2 x 2 mean, as the authors' code does (zero beyond the lower right edge)."""
    return F.avg_pool2d(F.pad(plane[None, None], (0, 1, 0, 1)), 2, stride=1)[0, 0, ::2, ::2]


def _gradient(plane: Tensor) -> Tensor:
    """Give the gradient's magnitude by Prewitt's operator over 3, zero beyond the edges."""
    rows = torch.tensor([[1.0, 1, 1], [0, 0, 0], [-1, -1, -1]], dtype=plane.dtype) / 3
    both = F.conv2d(plane[None, None], torch.stack([rows, rows.T])[:, None], padding=1)[0]
    return torch.sqrt((both**2).sum(dim=0))
