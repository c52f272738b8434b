"""Colour fixes: what they must bring back, and what they must leave."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import Tensor

from tests.textures import textured
from vsr.core.sampling import ColorFix
from vsr.engines.color_fix import adain, backproject, fixed, wavelet
from vsr.filters import BICUBIC, resize

SCALE = 4


def pair() -> tuple[Tensor, Tensor]:
    """Pictures and their low-resolution frames, exact."""
    full = torch.stack([textured(seed, 96, 128) for seed in (1, 2)])
    return full, resize(full, 24, 32, BICUBIC)


def tinted(full: Tensor) -> Tensor:
    return full * torch.tensor([0.8, 1.1, 0.9]).view(3, 1, 1) + torch.tensor([0.08, -0.05, 0.02]).view(3, 1, 1)


@pytest.mark.parametrize("kind", get_args(ColorFix))
def test_a_tint_is_taken_away_and_details_stay(kind: ColorFix) -> None:
    full, low = pair()
    before = tinted(full)
    after = fixed(before, low, kind)
    off = (before - full).mean((-2, -1)).abs().max(), (after - full).mean((-2, -1)).abs().max()
    assert off[0] > 0.03
    if kind == "none":
        assert after is before
        return
    assert off[1] < 0.004  # a level
    assert (after - full).square().mean() < 0.4 * (before - full).square().mean()
    detail = full - resize(low, 96, 128, BICUBIC)
    found = after - resize(resize(after, 24, 32, BICUBIC), 96, 128, BICUBIC)
    assert 0.8 < float((found * detail).sum() / detail.square().sum()) < 1.25


def test_adain_gives_each_channel_the_mean_and_the_spread_of_the_enlarged_frame() -> None:
    full, low = pair()
    wanted = resize(low, 96, 128, BICUBIC)
    found = adain(tinted(full), low)
    torch.testing.assert_close(found.mean((-2, -1)), wanted.mean((-2, -1)), rtol=0, atol=1e-6)
    torch.testing.assert_close(found.var((-2, -1)), wanted.var((-2, -1)), rtol=1e-5, atol=0)
    assert bool(torch.isfinite(adain(torch.full_like(full, 0.5), low)).all())  # a channel that is flat


def test_the_wavelet_changes_no_more_than_the_slow_part() -> None:
    _, low = pair()
    enlarged = resize(low, 96, 128, BICUBIC)
    checks = torch.ones(96, 128)
    checks[::2, ::2] = checks[1::2, 1::2] = -1  # the fastest there is: a B3 spline gives zero of it
    found = wavelet(enlarged + 0.1 * checks, low)[..., 4:-4, 4:-4]
    torch.testing.assert_close(found, (enlarged + 0.1 * checks)[..., 4:-4, 4:-4], rtol=0, atol=1e-2)
    torch.testing.assert_close(wavelet(enlarged + 0.2, low), enlarged, rtol=0, atol=1e-6)


def test_the_wavelets_smoothing_is_the_spline_with_holes() -> None:
    """An impulse, one level: the outer product of (1, 4, 6, 4, 1) / 16; two levels: its convolution with the spread."""
    low, result = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 64, 64)
    result[..., 32, 32] = -1
    spline = torch.tensor([1.0, 4, 6, 4, 1]) / 16
    once = wavelet(result, low, levels=1) - result
    torch.testing.assert_close(once[0, 0, 30:35, 30:35], spline[:, None] * spline, rtol=0, atol=1e-7)
    assert float(once.sum()) == pytest.approx(3, abs=1e-5)
    spread = torch.zeros(9)
    spread[::2] = spline
    line = torch.nn.functional.conv1d(spread[None, None], spline.flip(0)[None, None], padding=4)[0, 0]
    twice = wavelet(result, low, levels=2) - result
    torch.testing.assert_close(twice[0, 1, 26:39, 32], line * line[6], rtol=0, atol=1e-7)


def test_back_projection_brings_the_shrunk_result_to_the_frame() -> None:
    full, low = pair()
    errors = [
        float((resize(backproject(tinted(full), low, rounds=n), 24, 32, BICUBIC) - low).square().mean())
        for n in (0, 1, 2)
    ]
    assert errors[1] < 0.1 * errors[0] and errors[2] < 0.5 * errors[1]
    torch.testing.assert_close(backproject(full, low), full, rtol=0, atol=1e-5)  # nothing is missing
