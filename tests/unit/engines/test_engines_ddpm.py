"""Samplers on distributions whose best network is a formula."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vsr.engines.ddpm import Grid, NoiseNet, NoiseSource, ancestral, ddim, grid
from vsr.engines.schedules import betas

Sampler = Callable[[NoiseNet, NoiseSource, Tensor, Grid], Tensor]
SHAPE = (2, 3, 24, 24)
TRAINED = betas("linear", 200, start=1e-5, end=0.1)  # ends in noise: alpha-bar 3e-5


def drawn(step: int) -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(step), dtype=torch.float64)


def knowing(clean: Tensor) -> NoiseNet:
    """The network of a data set of one picture."""

    def net(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        alpha = (level**2)[..., None, None]
        return (x - alpha.sqrt() * clean) / (1 - alpha).sqrt()

    return net


def gaussian(mean: float, spread: float) -> NoiseNet:
    """The network of independent normal pixels: the expected noise given x, which is linear in it."""

    def net(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        alpha = (level**2)[..., None, None]
        return (1 - alpha).sqrt() * (x - alpha.sqrt() * mean) / (alpha * spread**2 + 1 - alpha)

    return net


@pytest.mark.parametrize("sampler", [ancestral, ddim])
@pytest.mark.parametrize("count", [1, 2, 17, 200])
def test_a_network_that_knows_the_picture_leads_to_it_in_any_number_of_steps(sampler: Sampler, count: int) -> None:
    clean = drawn(99).clamp(-1, 1)
    found = sampler(knowing(clean), drawn, clean, grid(TRAINED, count))
    torch.testing.assert_close(found, clean, rtol=0, atol=1e-9)


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_the_samples_have_the_mean_and_the_spread_of_the_data(sampler: Sampler) -> None:
    found = sampler(gaussian(0.3, 0.1), drawn, drawn(0), grid(betas("linear", 2000)))
    assert float(found.mean()) == pytest.approx(0.3, abs=0.01)  # 3,456 values: error of the mean .0017
    assert float(found.std()) == pytest.approx(0.1, rel=0.05)  # and of the spread 1.2 %; finite steps cost 1 % more


def test_ddim_follows_the_flow_from_the_noise_it_began_with() -> None:
    """For normal data the probability flow maps noise z to mean + spread * z."""
    trained, start = betas("linear", 2000), drawn(0)
    wanted = 0.3 + 0.1 * start
    error, coarse = (
        float((ddim(gaussian(0.3, 0.1), drawn, start, grid(trained, count)) - wanted).abs().max())
        for count in (2000, 200)
    )
    assert error < 0.01 < coarse  # of values that span 0.7; the error of Euler's method falls with the step
    assert float((ancestral(gaussian(0.3, 0.1), drawn, start, grid(trained, 200)) - wanted).abs().mean()) > 0.05


def test_noise_is_asked_for_by_step_and_the_last_step_adds_none() -> None:
    asked: list[int] = []

    def noted(step: int) -> Tensor:
        asked.append(step)
        return drawn(step)

    ancestral(gaussian(0, 0.5), noted, drawn(0), grid(TRAINED, 5))
    assert asked == [0, 199, 149, 100, 50]
    asked.clear()
    ddim(gaussian(0, 0.5), noted, drawn(0), grid(TRAINED, 5))
    assert asked == [0]


@pytest.mark.parametrize("sampler", [ancestral, ddim])
def test_an_estimate_that_is_far_out_is_held_to_the_range(sampler: Sampler) -> None:
    def wrong(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        return x + 0.5

    found = sampler(wrong, drawn, drawn(0), grid(TRAINED, 20))
    assert float(found.abs().max()) <= 1 + 1e-9


def test_the_network_is_told_the_root_of_what_is_left() -> None:
    told: list[float] = []

    def net(x: Tensor, condition: Tensor, level: Tensor) -> Tensor:
        assert level.shape == (2, 1) and level.dtype == x.dtype
        told.append(float(level[0]))
        return x

    ddim(net, drawn, drawn(0), grid(TRAINED, 2))
    left = torch.cumprod(1 - TRAINED, 0)
    assert told == pytest.approx([float(left[-1]) ** 0.5, float(left[0]) ** 0.5], rel=1e-12)
