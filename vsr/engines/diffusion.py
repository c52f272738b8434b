"""Samplers of a diffusion that predicts velocity: pure functions of (net, noise, grid).

The trigonometric flow of Lu and Song 2024 (arXiv 2410.11081, sec. 3): a residual x0 of unit variance and noise z mix as
x_t = cos t * x0 + sin t * z, t in [0, pi/2]; the network predicts v = cos t * z - sin t * x0 (v-prediction: Salimans
and Ho 2022, arXiv 2202.00512, app. D), from which both follow without division: x0 = cos t * x_t - sin t * v and
z = sin t * x_t + cos t * v. At t = pi/2 the net is given zeros in place of x_t: what minimises its squared error there
is -E[x0 | frames], so the first step is the regression, free of noise and of the seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional

START = math.pi / 2
_HIGHEST, _LOWEST = 1.0, 0.15  # of the steps after the first: fine texture is decided late
_SECOND_OF_TWO = 0.6
_FINE, _FINE_SIGMA, _TAPS = 1.7, 0.8, 3  # see `fuller`; by detail and perceptual distance on Set5, docs/sr3.md

# net(x, t) -> v; x (B, C, H, W) is None at START.
Velocity = Callable[[Tensor | None, float], Tensor]


def grid(steps: int) -> tuple[float, ...]:
    """Give the times of so many network calls, falling from pi/2: 1.0 to 0.15 evenly after the first.

    Raises:
        ValueError: fewer than one.
    """
    if steps < 1:
        raise ValueError(f"a sampler takes at least one step, got {steps}")
    if steps <= 2:
        return (START, _SECOND_OF_TWO)[:steps]
    apart = (_HIGHEST - _LOWEST) / (steps - 2)
    return (START, *(_HIGHEST - k * apart for k in range(steps - 1)))


def sample(net: Velocity, noise: Callable[[], Tensor], times: Sequence[float]) -> Iterator[Tensor]:
    """Yield the estimate of x0 after each step: first the regression, last the sample.

    Deterministic steps along the flow's ordinary differential equation (DDIM: Song et al. 2021, arXiv 2010.02502,
    eq. 12 with sigma = 0): from t to s, x_s = cos s * x0 + sin s * z with the estimates at t. The noise enters once,
    between the first step and the second; nothing else is random. noise: gives (B, C, H, W), asked for only then.
    times: falling from START.
    """
    assert times[0] == START
    estimate = -net(None, START)
    yield estimate
    drawn = noise() if len(times) > 1 else None
    for time in times[1:]:
        assert drawn is not None
        noisy = math.cos(time) * estimate + math.sin(time) * drawn
        velocity = net(noisy, time)
        estimate = math.cos(time) * noisy - math.sin(time) * velocity
        drawn = math.sin(time) * noisy + math.cos(time) * velocity
        yield estimate


def fuller(first: Tensor, last: Tensor) -> Tensor:
    """Give a sample (B, C, H, W) whose fine detail is spread farther from the mean than a few steps spread it.

    first, last: the estimates of the first step, the mean, and of the last. A few steps reach only a part of the
    spread, the less the smaller it is: for a normal distribution of spread .1 the closed form gives half of it with
    four steps, for .5 and more .7. Where a picture's spread is small is its finest detail. So what the sample adds to
    the mean is sharpened: its part above a Gaussian of `_FINE_SIGMA` px is added `_FINE` times more. The form follows
    from that, how much is measured: as much as costs four steps 1.6 dB against one on Set5.
    """
    added = last - first
    rows = functional.pad(added, (_TAPS, _TAPS, _TAPS, _TAPS), mode="reflect").flatten(0, 1)[:, None]
    kernel = _gaussian().to(added.device)
    smooth = functional.conv2d(functional.conv2d(rows, kernel[None, None, :, None]), kernel[None, None, None, :])
    return last + _FINE * (added - smooth.reshape(added.shape))


def _gaussian() -> Tensor:
    places = torch.arange(-_TAPS, _TAPS + 1, dtype=torch.float32)
    weights = torch.exp(-((places / _FINE_SIGMA) ** 2) / 2)
    return weights / weights.sum()


def mixed(residual: Tensor, noise: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Give x_t and v of residuals (B, C, H, W) at times (B,): what training shows, and what it asks for.

    Where the time is START the noisy picture is zeros.
    """
    c, s = (part.reshape(-1, 1, 1, 1) for part in (time.cos(), time.sin()))
    is_start = (time >= START - 1e-6).reshape(-1, 1, 1, 1)
    noisy = torch.where(is_start, torch.zeros_like(residual), c * residual + s * noise)
    velocity = torch.where(is_start, -residual, c * noise - s * residual)
    return noisy, velocity
