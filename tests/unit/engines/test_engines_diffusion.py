"""The flow's sampler against cases whose answer is known in closed form."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from vsr.engines.diffusion import START, fuller, grid, mixed, sample
from vsr.engines.noise import field

MEAN, SPREAD = 0.4, 0.7


def ideal(noisy: Tensor | None, time: float) -> Tensor:
    """The velocity that is right for residuals of normal distribution: E[x0 | x_t] by Bayes, in closed form."""
    c, s = math.cos(time), math.sin(time)
    if noisy is None:
        return torch.full((1, 1, 64, 64), -MEAN)
    expected = MEAN + SPREAD**2 * c / (SPREAD**2 * c**2 + s**2) * (noisy - c * MEAN)
    return (c * noisy - expected) / s


def drawn() -> Tensor:
    return field(1, 64, 64, 1)[None]


def test_the_first_step_is_the_mean_and_asks_for_no_noise() -> None:
    def unwanted() -> Tensor:
        raise AssertionError("noise was asked for")

    (only,) = sample(ideal, unwanted, grid(1))
    torch.testing.assert_close(only, torch.full((1, 1, 64, 64), MEAN))


def test_many_steps_give_a_sample_of_the_distribution() -> None:
    times = (START, *torch.linspace(1.55, 0.02, 400).tolist())
    *_, last = sample(ideal, drawn, times)
    assert float(last.mean()) == pytest.approx(MEAN, abs=0.05)
    assert float(last.std()) == pytest.approx(SPREAD, rel=0.03)
    # the flow is monotone here: the sample is the noise itself, brought to mean and spread
    torch.testing.assert_close(last, MEAN + SPREAD * drawn(), rtol=0, atol=0.05)


def test_an_error_falls_with_the_step_size() -> None:
    def error(count: int) -> float:
        *_, last = sample(ideal, drawn, (START, *torch.linspace(1.55, 0.02, count).tolist()))
        return float((last - (MEAN + SPREAD * drawn())).abs().mean())

    assert error(200) < 0.6 * error(100) < 0.4 * error(50)


def test_the_estimates_come_step_by_step() -> None:
    assert len(list(sample(ideal, drawn, grid(4)))) == 4


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 8, 20])
def test_grids_fall_from_the_start(steps: int) -> None:
    times = grid(steps)
    assert len(times) == steps and times[0] == START
    assert all(a > b for a, b in itertools.pairwise(times))


def test_the_grid_of_four_is_the_measured_one() -> None:
    assert grid(4) == pytest.approx((START, 1.0, 0.575, 0.15))


def test_no_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        grid(0)


def test_a_few_steps_reach_less_of_a_small_spread() -> None:
    """What `fuller` rests on, in closed form: the share of the spread that four steps reach."""

    def reached(spread: float) -> float:
        def velocity(noisy: Tensor | None, time: float) -> Tensor:
            if noisy is None:
                return torch.zeros(1, 1, 64, 64)
            c, s = math.cos(time), math.sin(time)
            return (c * noisy - spread**2 * c / (spread**2 * c**2 + s**2) * noisy) / s

        *_, last = sample(velocity, drawn, grid(4))
        return float(last.std() / drawn().std()) / spread

    assert reached(0.1) < 0.55
    assert 0.65 < reached(0.5) < 0.75


@pytest.mark.parametrize(("period", "gain"), [(2, 2.56), (64, 1.0), (8, 1.3)])
def test_a_fuller_sample_is_spread_in_its_fine_detail(period: int, gain: float) -> None:
    mean = torch.rand(2, 1, 64, 64)
    wave = (torch.arange(64) * (2 * math.pi / period) + math.pi / 4).sin().expand(2, 1, 64, 64)
    added = fuller(mean, mean + wave) - mean
    inner = (..., slice(8, -8), slice(8, -8))
    assert float((added[inner] * wave[inner]).mean() / wave[inner].square().mean()) == pytest.approx(gain, abs=0.08)
    assert torch.equal(fuller(mean, mean), mean)


def test_what_training_shows_contains_both_parts() -> None:
    torch.manual_seed(0)
    residual, noise = torch.randn(3, 2, 5, 7), torch.randn(3, 2, 5, 7)
    times = torch.tensor([0.3, 1.1, START])
    noisy, velocity = mixed(residual, noise, times)
    c, s = times.cos().reshape(3, 1, 1, 1), times.sin().reshape(3, 1, 1, 1)
    torch.testing.assert_close((c * noisy - s * velocity)[:2], residual[:2])
    torch.testing.assert_close((s * noisy + c * velocity)[:2], noise[:2])
    assert not noisy[2].any()
    torch.testing.assert_close(velocity[2], -residual[2])
