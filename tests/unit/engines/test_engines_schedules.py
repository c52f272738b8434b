"""Schedules against closed forms, and the steps that are chosen of them."""

from __future__ import annotations

import itertools
from typing import get_args

import numpy as np
import pytest
import torch

from vsr.engines.schedules import ScheduleName, alphas, betas, respaced


@pytest.mark.parametrize("name", get_args(ScheduleName))
@pytest.mark.parametrize("steps", [1, 7, 2000])
def test_a_schedule_is_float64_between_0_and_1_and_leaves_less_at_each_step(name: ScheduleName, steps: int) -> None:
    made = betas(name, steps)
    left = alphas(made)
    assert (made.shape, made.dtype, left.dtype) == ((steps,), torch.float64, torch.float64)
    assert float(made.min()) > 0 and float(made.max()) <= 1
    assert float(left.min()) > 0 and float(left.max()) < 1 and bool((left.diff() < 0).all())


def test_linear_and_quad_rise_evenly_themselves_and_in_their_root() -> None:
    linear, quad = (betas(name, 2000, start=1e-6, end=1e-2) for name in ("linear", "quad"))  # type: ignore[arg-type]
    at = np.arange(2000) / 1999
    np.testing.assert_allclose(linear, 1e-6 + at * (1e-2 - 1e-6), rtol=1e-12)
    np.testing.assert_allclose(quad, (1e-3 + at * (1e-1 - 1e-3)) ** 2, rtol=1e-12)


def test_const_leaves_a_power_and_jsd_an_equal_share() -> None:
    np.testing.assert_allclose(alphas(betas("const", 50, end=0.02)), 0.98 ** np.arange(1, 51), rtol=1e-12)
    # (1 - 1/T) (1 - 1/(T-1)) ... telescopes
    np.testing.assert_allclose(alphas(betas("jsd", 50)), np.arange(49, -1, -1) / 50, rtol=1e-12, atol=1e-19)


@pytest.mark.parametrize(("name", "warm"), [("warmup10", 20), ("warmup50", 100)])
def test_a_warmup_is_a_ramp_and_then_flat(name: ScheduleName, warm: int) -> None:
    made = betas(name, 200, start=0.001, end=0.02)
    np.testing.assert_allclose(made[:warm], 0.001 + np.arange(warm) / (warm - 1) * 0.019, rtol=1e-12)
    assert bool((made[warm:] == 0.02).all())


def test_the_cosine_leaves_a_squared_cosine_and_its_last_step_is_held() -> None:
    made = betas("cosine", 2000)
    angle = (np.arange(2001) / 2000 + 0.008) / 1.008 * np.pi / 2
    left = np.cos(angle[1:]) ** 2 / np.cos(angle[0]) ** 2
    np.testing.assert_allclose(alphas(made)[:-1], left[:-1], rtol=1e-9)
    assert float(made[-1]) == 0.999


def test_the_noisiest_step_enlarges_an_error_as_much_as_is_known() -> None:
    """1/sqrt(alpha-bar) at the end: 151 for the released schedule, 40,582 for its cosine descendant."""
    assert float(alphas(betas("linear", 2000))[-1] ** -0.5) == pytest.approx(151, abs=1)
    assert float(alphas(betas("cosine", 2000))[-1] ** -0.5) == pytest.approx(40_582, rel=1e-3)


@pytest.mark.parametrize(("total", "count"), [(2000, 20), (2000, 2000), (20, 19), (5, 2), (1, 1)])
def test_chosen_steps_are_distinct_ascending_even_and_keep_both_ends(total: int, count: int) -> None:
    steps = respaced(total, count)
    gaps = {b - a for a, b in itertools.pairwise(steps)}
    assert len(steps) == count and min(gaps, default=1) >= 1
    assert (steps[0], steps[-1]) == (0, total - 1)
    assert max(gaps, default=1) - min(gaps, default=1) <= 1


def test_one_step_is_the_noisiest_and_what_is_impossible_is_refused() -> None:
    assert respaced(2000, 1) == (1999,)
    for count in (0, 6):
        with pytest.raises(ValueError, match="1 to 5 steps"):
            respaced(5, count)
    with pytest.raises(ValueError, match="at least 1 step"):
        betas("linear", 0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        betas("linear", 10, end=1.0)
